"""View: one part of the pool as the rules of one recipe see it: columns, priorities, and which rows each rule keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.hashing import hash_text, mix64
from ..files import store
from ..files.parts import Part, Store, cluster_sizes, read_clusters
from ..files.schema import CLASS_STARTS, CLASSES, EMPTIED, EXCLUDED, NO_DOCUMENT
from . import keys
from .repeated_lines import emptied

if TYPE_CHECKING:
    from numpy.typing import NDArray

FARTHEST = "farthest"
"""What a rule calls the distance to all documents before, in an order that puts the least similar one next."""

CLUSTER_COLUMNS = (("cluster.size",), ("cluster.class",))


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
