"""Choose: which documents of the pool a recipe keeps, and where each stands in the order of its stratum.

A recipe is a mask over columns that were computed before: no text is read. Rules apply in order; the first that a
document fails is its reason. `top` rules need one exchange each to find their exact cut. Of each cluster the recipe's
first document by priority survives, chosen among those that the rules keep, so a filter never loses a whole cluster.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..filters.hashing import fmix64, hash_text, mix64
from . import keys, segments, store
from .parts import Part, Store, cluster_sizes, read_clusters
from .repeated_lines import emptied
from .schema import BUCKET_BITS, CANDIDATE, CLASS_STARTS, CLASSES, DUPLICATED, EMPTIED, EXCLUDED, KNOWN, NO_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

FARTHEST = "farthest"
"""What a rule calls the distance to all documents before, in an order that puts the least similar one next."""

MANTISSA_BITS = 52
"""Of a float64; values of a `top` rule are grouped by sign, exponent and the first few of these."""

TOP = np.dtype(
    [("value", "<u8"), ("priority", "<u8"), ("tie", "<u8"), ("key", "<u8"), ("weight", "<i8"), ("group", "<u8")]
)
CLUSTER_COLUMNS = (("cluster.size",), ("cluster.class",))
RIVAL = np.dtype(
    [
        ("cluster", keys.ID),
        ("contained", "u1"),
        ("priority", "<u8"),
        ("tie", "<u8"),
        ("key", "<u8"),
        ("id", keys.ID),
    ]
)
LOSER = np.dtype([("row", "<u4"), ("survivor", keys.ID)])


class View:
    """One part as the rules of one recipe see it: columns are read when asked for, once."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.place, self.part = Store(payload["store"]), Part(**payload["part"])
        self.ordinal: int = payload["ordinal"]
        self.recipe: dict[str, Any] = payload["recipe"]
        self.source_ordinal: int = payload["source_ordinal"]
        self._columns: dict[tuple[str, ...], pa.Array] = {}
        self.clusters = read_clusters(self.recipe["clusters"], self.ordinal)

    def column(self, where: list[str]) -> pa.Array:
        """A column by its place."""
        key = tuple(where)
        if key not in self._columns:
            if key == ("sample",):
                self._columns[key] = pa.array((self.priorities >> np.uint64(11)).astype(np.float64) / 2**53)
            elif key[0].startswith("draw."):
                self._columns[key] = self._draw_column(int(key[0].partition(".")[2]))
            elif key in CLUSTER_COLUMNS:
                self._columns[key] = self._cluster_column(key)
            elif key[0] == FARTHEST:
                self._columns[key] = self._distances(key[1])
            else:
                self._columns[key] = self.place.column(self.part, key).combine_chunks()
        return self._columns[key]

    def _cluster_column(self, where: tuple[str, ...]) -> pa.Array:
        sizes = cluster_sizes(self.clusters, self.part.rows)
        if where == ("cluster.size",):
            return pa.array(sizes)
        return pa.array(CLASSES).take(pa.array(np.searchsorted(CLASS_STARTS, np.maximum(sizes, 1), "right") - 1))

    def _distances(self, rule: str) -> pa.Array:
        """What `farthest` measured for a rule; null where the rules before it did not keep a row."""
        path = self.place.path("choices", self.recipe["identity"], FARTHEST, rule, f"{self.ordinal:07d}.parquet")
        values = np.full(self.part.rows, np.nan)
        if store.exists(path):
            found = store.read_table(path)
            values[found.column("row").to_numpy()] = found.column("value").to_numpy()
        return pa.array(values, from_pandas=True)

    def _draw_column(self, draws: int) -> pa.Array:
        """Which of some draws has the cluster of each row: near duplicates are in one draw together."""
        ids = self.cluster_ids
        hashes = mix64(self.recipe["draws"], ids["high"].astype("<u8"), ids["low"].astype("<u8"))
        return pa.array((hashes % np.uint64(draws)).astype(np.int64)).cast(pa.string())

    def earlier(self) -> NDArray[np.int64]:
        """Rows that an earlier study has: near duplicates of what it keeps."""
        rows = self.clusters.column("row").to_numpy()[self.clusters.column("earlier").to_numpy()]
        return rows.astype(np.int64)  # type: ignore[no-any-return] # pyarrow's stubs do not know

    def values(self, where: list[str]) -> NDArray[np.float64]:
        """A column of numbers; NaN for null."""
        column = pc.cast(self.column(where), pa.float64(), safe=False).fill_null(np.nan)
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)

    @property
    def ids(self) -> NDArray[Any]:
        """Ids of the documents."""
        return keys.id_array(self.column(["document"]))

    @property
    def cluster_ids(self) -> NDArray[Any]:
        """Ids of their clusters' leaders."""
        ids = self.ids.copy()
        ids[self.clusters.column("row").to_numpy()] = keys.id_array(self.clusters.column("cluster"))
        return ids

    @property
    def priorities(self) -> NDArray[np.uint64]:
        """What the documents are ordered by."""
        ids = self.cluster_ids if self.recipe["draw"] == "cluster" else self.ids
        return mix64(self.recipe["seed"], ids["high"].astype("<u8"), ids["low"].astype("<u8"))

    @property
    def ties(self) -> NDArray[np.uint64]:
        """What decides between equal texts."""
        return keys.ties(self.place, self.part, self.source_ordinal)

    @property
    def text_bytes(self) -> pa.Array:
        """Bytes of each text that are left of it."""
        size = self.column(["text_bytes"])
        cut = self.recipe.get("cut")
        return pc.subtract(size, self.column([cut, "cut_bytes"]).fill_null(0)) if cut else size

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Keys of the rows."""
        return keys.keys(self.ordinal, np.arange(self.part.rows))

    def excluded(self) -> pa.Table | None:
        """Rows that may not be trained on, because of the held-out set."""
        folder = self.recipe["excluded"]
        name = f"{self.ordinal:07d}.parquet"
        return store.read_table(store.join(folder, name)) if folder and store.exists(store.join(folder, name)) else None

    def codes(self, rules: int) -> NDArray[np.int16]:
        """What the first `rules` rules say of each row."""
        codes = np.zeros(self.part.rows, np.int16)
        for n in range(rules - 1, -1, -1):
            codes[~self.passes(n)] = n + 1
        if self.recipe.get("cut"):
            codes[emptied(self.place, self.part, self.recipe["cut"])] = EMPTIED
        excluded = self.excluded()
        if excluded is not None:
            codes[excluded.column("row").to_numpy()] = EXCLUDED
        codes[self.column(["document"]).is_null().to_numpy(zero_copy_only=False)] = NO_DOCUMENT
        return codes

    def passes(self, n: int, rule: dict[str, Any] | None = None) -> NDArray[np.bool_]:
        """Which rows one rule keeps, or those conditions of it that `rule` has."""
        rule = rule or self.recipe["rules"][n]
        passes = np.ones(self.part.rows, bool)
        if rule["sources"] is not None and self.part.source not in rule["sources"]:
            return passes
        if rule["labels"] is not None:
            found = pc.is_in(self.column(rule["label"]), value_set=pa.array(rule["labels"], pa.string()))
            passes &= found.to_numpy(zero_copy_only=False)
        if rule["min"] is not None:
            passes &= self.values(rule["value"]) >= rule["min"]
        if rule["max"] is not None:
            passes &= self.values(rule["value"]) <= rule["max"]
        if rule["top"] is not None:
            passes &= self._above(self.recipe["cuts"][str(n)], rule)
        return passes

    def ranked(self, rule: dict[str, Any]) -> NDArray[np.float64]:
        """What a `top` rule goes by, the greatest first."""
        values = self.values(rule["value"])
        return values if rule["near"] is None else -np.abs(values - rule["near"])

    def groups(self, rule: dict[str, Any]) -> NDArray[np.uint64]:
        """The group of each row, of which a `top` rule takes its share: a hash of its labels; without groups, 0."""
        if rule["within"] is None:
            return np.zeros(self.part.rows, np.uint64)
        return hash_text(self.joined(rule["within"]))

    def joined(self, columns: list[list[str]]) -> pa.Array:
        """The labels of some columns as one, `none` for a missing one."""
        pieces = [pc.fill_null(pc.cast(self.column(where), pa.string()), "none") for where in columns]
        return pc.binary_join_element_wise(*pieces, "/") if len(pieces) > 1 else pieces[0]

    def _above(self, cuts: dict[str, list[int]], rule: dict[str, Any]) -> NDArray[np.bool_]:
        """Rows that stand before, or at, the cut of their group."""
        found = np.zeros(self.part.rows, bool)
        groups = self.groups(rule)
        ranks = (descending(self.ranked(rule)), self.priorities, self.ties, self.keys)
        for group in np.unique(groups).tolist():
            if str(group) not in cuts:
                continue
            equal = groups == np.uint64(group)
            for array, bound in zip(ranks, cuts[str(group)], strict=True):
                found |= equal & (array < np.uint64(bound))
                equal &= array == np.uint64(bound)
            found |= equal
        return found


def descending(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Numbers as unsigned integers in opposite order: the greatest value becomes the least; NaN comes last.

    >>> np.argsort(descending(np.array([-1.0, 0.0, 2.5, np.nan]))).tolist()
    [2, 1, 0, 3]
    """
    bits = (values + 0.0).view(np.uint64)  # adding zero turns -0.0 into 0.0
    negative = bits >> np.uint64(63) == 1
    out = np.where(negative, bits, ~(bits | np.uint64(1 << 63)))
    out[np.isnan(values)] = np.uint64(2**64 - 1)
    return out


def emit_top(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Values that compete for the place of rule `payload["rule"]`, in 2**`payload["bits"]` ranges an octave."""
    view = View(payload)
    n = payload["rule"]
    rule = view.recipe["rules"][n]
    passes = view.codes(n) == CANDIDATE
    if rule["sources"] is not None and view.part.source not in rule["sources"]:
        return
    values = view.ranked(rule)
    passes &= ~np.isnan(values)
    packed = np.empty(int(passes.sum()), TOP)
    packed["value"] = descending(values)[passes]
    packed["priority"] = view.priorities[passes]
    packed["tie"] = view.ties[passes]
    packed["key"] = view.keys[passes]
    packed["group"] = view.groups(rule)[passes]
    packed["weight"] = 1
    if rule["by"] == "tokens":
        packed["weight"] = segments.counts(view.place, payload["tokens"], view.part.id, view.part.rows)[passes]
    group = (packed["value"] >> np.uint64(MANTISSA_BITS - payload["bits"])).astype(np.int64)
    yield from keys.split(packed, keys.numbered(payload["number"], group))


def rank_top(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """One range of values of one recipe in order, greatest first, ties by priority."""
    number, group = keys.unnumbered(bucket)
    packed = keys.joined(values, TOP)
    packed = packed[np.lexsort((packed["key"], packed["tie"], packed["priority"], packed["value"]))]
    table = pa.table({name: packed[name] for name in TOP.names or ()})
    store.write_table(store.join(payload["folders"][number], f"{group:07d}.parquet"), table)
    return
    yield


def find_cuts(folder: str, share: float) -> dict[str, list[int]]:
    """The last document of each group that is in: the most that do not exceed `share` of its weight, at least one.

    Args:
        folder: What `rank_top` wrote.
        share: In (0, 1].

    Returns:
        By group, the document's value (as `descending` has it), priority, tie and key.
    """
    names = sorted(store.names(folder))
    files = [store.read_table(store.join(folder, name), ["group", "weight"]) for name in names]
    totals: dict[int, int] = {}
    for table in files:
        groups, inverse = np.unique(table.column("group").to_numpy(), return_inverse=True)
        sums = np.zeros(len(groups), np.int64)
        np.add.at(sums, inverse, table.column("weight").to_numpy())
        for group, weight in zip(groups.tolist(), sums.tolist(), strict=True):
            totals[group] = totals.get(group, 0) + weight
    left = {group: int(Fraction(str(share)) * total) for group, total in totals.items()}
    cuts: dict[str, list[int]] = {}
    for name, table in zip(names, files, strict=True):
        column, weights = table.column("group").to_numpy(), table.column("weight").to_numpy()
        last: dict[int, int] = {}
        for group in np.unique(column[np.isin(column, np.array(list(left), np.uint64))]).tolist():
            rows = np.flatnonzero(column == np.uint64(group))
            ends = np.cumsum(weights[rows])
            fits = int(np.searchsorted(ends, left[group], side="right"))
            if fits or str(group) not in cuts:
                last[group] = int(rows[max(fits - 1, 0)])
            left[group] -= int(ends[-1])
            if fits < len(rows):
                del left[group]  # its cut is found
        if last:
            rows_of = store.read_table(store.join(folder, name)).take(pa.array(list(last.values()))).to_pylist()
            for group, row in zip(last, rows_of, strict=True):
                cuts[str(group)] = [row["value"], row["priority"], row["tie"], row["key"]]
    return cuts


def emit_rivals(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Documents that pass all rules and are not alone in their cluster, by cluster."""
    view = View(payload)
    rows = view.clusters.column("row").to_numpy()
    rivals = view.codes(len(view.recipe["rules"]))[rows] == CANDIDATE
    rivals &= ~view.clusters.column("earlier").to_numpy()
    rows = rows[rivals]
    packed = np.empty(len(rows), RIVAL)
    packed["cluster"] = view.cluster_ids[rows]
    packed["contained"] = view.clusters.column("contained").to_numpy()[rivals]
    packed["priority"] = view.priorities[rows]
    packed["tie"] = view.ties[rows]
    packed["key"] = view.keys[rows]
    packed["id"] = view.ids[rows]
    group = (fmix64(packed["cluster"]["low"].astype("<u8")) % np.uint64(payload["ranges"])).astype(np.int64)
    yield from keys.split(packed, keys.numbered(payload["number"], group))


def eliminate(bucket: int, values: Iterable[bytes], _payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """All but the first document of each cluster, sent back to their parts with the survivor's id.

    What stands in a longer document of its cluster comes after those that it stands in or that are like them.
    """
    packed = keys.joined(values, RIVAL)
    cluster, ids = packed["cluster"], packed["id"]
    # the id stands before the tie: where the draw is by cluster, all rivals have one priority
    rank = (packed["key"], packed["tie"], ids["low"], ids["high"], packed["priority"], packed["contained"])
    order = (*rank, cluster["low"], cluster["high"])
    packed = packed[np.lexsort(order)]
    loses = np.r_[False, packed["cluster"][1:] == packed["cluster"][:-1]]
    first = np.maximum.accumulate(np.where(loses, 0, np.arange(len(packed))))
    losers = np.empty(int(loses.sum()), LOSER)
    losers["row"] = keys.rows(packed["key"][loses])
    losers["survivor"] = packed["id"][first[loses]]
    yield from keys.split(losers, keys.numbered(keys.unnumbered(bucket)[0], keys.ordinals(packed["key"][loses])))


def write_losers(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The duplicates of one recipe in one part."""
    number, ordinal = keys.unnumbered(bucket)
    losers = keys.joined(values, LOSER)
    losers = losers[np.argsort(losers["row"])]
    table = pa.table({"row": losers["row"], "survivor": keys.id_column(losers["survivor"])})
    store.write_table(store.join(payload["folders"][number], "losers", f"{ordinal:07d}.parquet"), table)
    return
    yield


def choose_part(payload: dict[str, Any], **_: Any) -> None:
    """Write what the recipe says of every row of a part, and the part's documents and bytes by stratum and priority.

    Writes `choices/NUMBER.parquet` with `code` (int16), `label` (what a pass-or-reason score said), `survivor`,
    `stratum` and `priority`; and `histograms/NUMBER.parquet` with `stratum`, `bucket`, `documents`, `text_bytes`.
    """
    view = View(payload)
    rules = view.recipe["rules"]
    codes = view.codes(len(rules))
    survivors = np.zeros(len(codes), keys.ID)
    losers_path = store.join(payload["folder"], "losers", f"{view.ordinal:07d}.parquet")
    if view.recipe["dedup"] and store.exists(losers_path):
        losers = store.read_table(losers_path)
        lost = losers.column("row").to_numpy()
        codes[lost] = DUPLICATED
        survivors[lost] = keys.id_array(losers.column("survivor"))
    if view.recipe["dedup"]:
        lost = view.earlier()
        lost = lost[codes[lost] == CANDIDATE]
        codes[lost] = KNOWN
        survivors[lost] = view.cluster_ids[lost]
    excluded = view.excluded()
    if excluded is not None:
        survivors[excluded.column("row").to_numpy()] = keys.id_array(excluded.column("near"))
    stratum = _strata(view)
    table = pa.table(
        {
            "code": codes,
            "label": _labels(view, codes),
            "survivor": keys.id_column(survivors, survivors == np.zeros(1, keys.ID)[0]),
            "stratum": stratum,
            "priority": view.priorities,
        }
    )
    store.write_table(store.join(payload["folder"], "choices", f"{view.ordinal:07d}.parquet"), table)
    buckets = table.column("priority").to_numpy() >> np.uint64(64 - BUCKET_BITS)
    counted = pa.table({"stratum": stratum, "bucket": buckets.astype(np.uint16), "text_bytes": view.text_bytes}).filter(
        pa.array(codes == CANDIDATE)
    )
    groups = counted.group_by(["stratum", "bucket"], use_threads=False)
    histogram = groups.aggregate([("text_bytes", "count"), ("text_bytes", "sum")])
    histogram = histogram.rename_columns(["stratum", "bucket", "documents", "text_bytes"])
    histogram = histogram.sort_by([("stratum", "ascending"), ("bucket", "ascending")])
    store.write_table(store.join(payload["folder"], "histograms", f"{view.ordinal:07d}.parquet"), histogram)


def _strata(view: View) -> pa.Array:
    if view.recipe["one_stratum"]:
        return pa.repeat(pa.scalar("held_out"), view.part.rows)
    return view.joined(view.recipe["strata"])


def _labels(view: View, codes: NDArray[np.int16]) -> pa.Array:
    """For documents dropped by a rule of the form `is = "pass"`, the reason that the score gives as its label."""
    labels = pa.nulls(len(codes), pa.string())
    for n, rule in enumerate(view.recipe["rules"]):
        if rule["labels"] == ["pass"] and (codes == n + 1).any():
            labels = pc.if_else(pa.array(codes == n + 1), pc.cast(view.column(rule["label"]), pa.string()), labels)
    return labels
