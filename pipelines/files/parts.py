"""Parts and where everything that belongs to one stands in the store.

The store's folders, each output under a fingerprint of what it was made from:

    slices/READ/SLICE.json              what one slice of raw input gave: its parts, rows and counts
    parts/READ/SLICE/00000.parquet      documents (`schema.DOCUMENTS`)
    scores/FAMILY/READ/SLICE/00000.…    one score's columns, row by row beside the documents
    clusters/…  choices/…  tokens/…  ladders/…   what the later stages made, likewise
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from . import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")

DRIVER_THREADS = 16
"""Threads that read many small files; an object store answers each in some 20 ms."""


@dataclass(frozen=True)
class Part:
    """One Parquet file of documents.

    Attributes:
        source: The source's name.
        id: READ/SLICE/number, the same wherever the store is.
        rows: Records, with or without a document.
        documents: Records that gave one.
        bytes: Raw bytes of all records.
        text_bytes: UTF-8 bytes of all documents.
    """

    source: str
    id: str
    rows: int
    documents: int
    bytes: int
    text_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Store:
    """The folder of stage outputs; studies that name the same one share them.

    Attributes:
        root: Local folder or address.
    """

    root: str

    def path(self, *names: str) -> str:
        """A path below the root."""
        return store.join(self.root, *names)

    def documents(self, part: str) -> str:
        """The documents of a part, by its id."""
        return self.path("parts", f"{part}.parquet")

    def score(self, family: str, part: str) -> str:
        """A score's columns for a part; `family` is the score's fingerprint."""
        return self.path("scores", family, f"{part}.parquet")

    def column(self, part: Part, where: Sequence[str]) -> pa.ChunkedArray:
        """One column of a part.

        Args:
            part: The part.
            where: `(column,)` of the documents, or `(family, column)` of a score.
        """
        if list(where) == ["source"]:
            return pa.chunked_array([pa.repeat(pa.scalar(part.source), part.rows)])
        path = self.documents(part.id) if len(where) == 1 else self.score(where[0], part.id)
        return store.read_table(path, [where[-1]]).column(0)


CLUSTERS = pa.schema(
    [
        pa.field("row", pa.uint32()),
        pa.field("cluster", pa.binary(16)),  # the leader's id
        pa.field("leads", pa.bool_()),
        pa.field("similarity", pa.float32()),  # estimated Jaccard similarity to the leader
        pa.field("size", pa.uint32()),
        pa.field("contained", pa.bool_()),  # whether it stands in the leader, rather than being like it
        pa.field("earlier", pa.bool_()),  # whether the leader is a document of an earlier study
        pa.field("leader_source", pa.uint16()),  # by its place in the study; beyond the last for an earlier study
    ]
)
"""Rows of a part that have near duplicates among the candidates; any other document is alone in its cluster."""


def read_clusters(folder: str, ordinal: int) -> pa.Table:
    """What the cluster stage wrote for a part, in `CLUSTERS`."""
    path = store.join(folder, "members", f"{ordinal:07d}.parquet")
    return store.read_table(path) if store.exists(path) else CLUSTERS.empty_table()


def cluster_sizes(clusters: pa.Table, rows: int) -> NDArray[np.int64]:
    """How many documents the cluster of each row of a part has.

    Args:
        clusters: What `read_clusters` gives.
        rows: Of the part.
    """
    sizes = np.ones(rows, np.int64)
    sizes[clusters.column("row").to_numpy()] = clusters.column("size").to_numpy()
    return sizes


def missing(folder: str, names: Iterable[str], suffix: str) -> list[str]:
    """Those names that have no finished file `NAME + suffix` below a folder, in order; one listing a subfolder."""
    listed: dict[str, set[str]] = {}
    out = []
    for name in names:
        parent, _, base = store.join(folder, name).rpartition("/")
        if parent not in listed:
            listed[parent] = store.names(parent)
        if base + suffix not in listed[parent]:
            out.append(name)
    return out


def read_all(function: Callable[[str], T], paths: Sequence[str]) -> list[T]:
    """A function of each path, in order, read by several threads."""
    with concurrent.futures.ThreadPoolExecutor(DRIVER_THREADS) as threads:
        return list(threads.map(function, paths))
