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

from ...filters.hashing import fmix64
from ..engines.care import how_killed
from ..files import store
from ..files.schema import BUCKET_BITS, CANDIDATE, DUPLICATED, KNOWN
from . import keys, segments
from .view import FARTHEST, View, descending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

MANTISSA_BITS = 52
"""Of a float64; values of a `top` rule are grouped by sign, exponent and the first few of these."""

TOP = np.dtype(
    [("value", "<u8"), ("priority", "<u8"), ("tie", "<u8"), ("key", "<u8"), ("weight", "<i8"), ("group", "<u8")]
)
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
    """Why a rule drops documents: what a score gives as its label for `is = "pass"`, or how computing it died."""
    labels = pa.nulls(len(codes), pa.string())
    for n, rule in enumerate(view.recipe["rules"]):
        if rule["labels"] == ["pass"] and (codes == n + 1).any():
            labels = pc.if_else(pa.array(codes == n + 1), pc.cast(view.column(rule["label"]), pa.string()), labels)
        where = rule["value"] if rule["labels"] is None else rule["label"]
        if where is not None and len(where) > 1 and where[0] != FARTHEST and (codes == n + 1).any():
            absent = (codes == n + 1) & view.column(where).is_null().to_numpy(zero_copy_only=False)
            labels = pc.coalesce(how_killed(view.place.score(where[0], view.part.id), absent), labels)
    return labels
