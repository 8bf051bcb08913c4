"""Connect: components of candidates, across all groups.

Where the edges fit into memory the driver finds the components itself (`grouping.components`). Otherwise they are found
by exchanges alone: alternating large-star and small-star steps (Kiveris et al. 2014, "Connected Components in MapReduce
and Beyond", algorithm "alternating"), which link every document to ever smaller neighbours until each component is a
star around its least key. Both ways give the same labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.hashing import fmix64
from ..files import store
from . import grouping, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

EDGE = np.dtype([("a", "<u8"), ("b", "<u8")])
LABEL = np.dtype([("row", "<u4"), ("component", "<u8")])

LARGE, SMALL = "large-star", "small-star"


def read_edges(path: str) -> NDArray[np.uint64]:
    """A file of edges as uint64 of shape (e, 2)."""
    table = store.read_table(path)
    return np.stack([table.column("a").to_numpy(), table.column("b").to_numpy()], axis=1)


def write_edges(path: str, edges: NDArray[np.uint64]) -> None:
    """Edges of shape (e, 2) as a file with the columns `a` and `b`."""
    store.write_table(path, pa.table({"a": edges[:, 0], "b": edges[:, 1]}))


def emit_edges(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Edges by their end that a step looks at.

    Args:
        payload: `path` (a file of edges), `step` (LARGE or SMALL), `ranges`.
    """
    edges = read_edges(payload["path"])
    both = np.concatenate([edges, edges[:, ::-1]])
    edges = both if payload["step"] == LARGE else np.sort(edges, axis=1)[:, ::-1]
    yield from keys.split(packed(edges), bucket(edges[:, 0], payload["ranges"]))


def packed(edges: NDArray[np.uint64]) -> NDArray[Any]:
    """Edges of shape (e, 2) as a packed array."""
    return np.ascontiguousarray(edges).view(EDGE).reshape(-1)


def bucket(nodes: NDArray[np.uint64], ranges: int) -> NDArray[np.int64]:
    """The range of hashes of each key."""
    return (fmix64(nodes) % np.uint64(ranges)).astype(np.int64)


def star(number: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """One step for the documents of one range.

    Args:
        number: Of the range.
        values: Edges, the document that is looked at first.
        payload: `step`, `folder` (where edges go), `before` (folder of the edges before both steps of a round) and
            `changed` (folder that says which ranges changed).
    """
    edges = np.unique(keys.joined(values, EDGE))
    u, v = edges["a"], edges["b"]
    first = np.flatnonzero(np.r_[True, u[1:] != u[:-1]])
    least = np.minimum(np.minimum.reduceat(v, first), u[first])
    m = np.repeat(least, np.diff(np.r_[first, len(u)]))
    if payload["step"] == LARGE:
        found = np.stack([m, v], axis=1)[v > u]
    else:
        found = np.concatenate([np.stack([m, v], axis=1), np.stack([least, u[first]], axis=1)])
    found = np.unique(found[found[:, 0] != found[:, 1]], axis=0)
    name = f"{number:05d}.parquet"
    write_edges(store.join(payload["folder"], name), found)
    if payload["step"] == SMALL:
        before = store.join(payload["before"], name)
        if not store.exists(before) or not np.array_equal(read_edges(before), found):
            store.write_bytes(store.join(payload["changed"], f"{number:05d}"), b"")
    return
    yield


def emit_labels(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The component of each document of a file of stars, by part.

    Args:
        payload: `path`.
    """
    edges = read_edges(payload["path"])
    members, labels = grouping.components(edges)
    out = np.empty(len(members), LABEL)
    out["row"] = keys.rows(members)
    out["component"] = labels
    yield from keys.split(out, keys.ordinals(members))


def write_labels(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The documents of a part that have candidates: `row` and `component`.

    Args:
        ordinal: Of the part.
        values: Of `LABEL`.
        payload: `folder`.
    """
    labels = np.unique(keys.joined(values, LABEL))  # the middle of a star stands in every file that has one of its rays
    table = pa.table({"row": labels["row"], "component": labels["component"]})
    store.write_table(store.join(payload["folder"], f"{ordinal:07d}.parquet"), table)
    return
    yield
