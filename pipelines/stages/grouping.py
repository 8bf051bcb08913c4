"""Grouping: which documents share the hash of a band.

A range of hashes is partitioned until a piece fits the cache, and each piece goes through a hash table: 59 million
records a second were shown so, where sorting them gives 6. The edges that come out are few and are reduced to stars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.kernels import inlined, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKS = np.uint64(1 << 63)
"""Bit of a record's key: the document asks for others with this hash. Records without it only answer."""

_PIECE_BITS = 14
"""Records of a piece, as a power of two: its table of 2^15 hashes and keys takes half a megabyte, the second-level
cache of a core."""


def link(hashes: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Edges that connect documents of equal hash, one of which asks.

    Args:
        hashes: uint64 of shape (n,), in any order.
        keys: uint64 of shape (n,), documents' keys, with the bit `ASKS`.

    Returns:
        uint64 of shape (e, 2), fewer than n: for every hash that someone asks for, a star over all its documents.
        Which document is the middle of the star depends on the order; which documents are connected does not.

    >>> link(np.array([5, 5, 9], np.uint64), np.array([1, 2, 3], np.uint64) | ASKS).tolist()
    [[1, 2]]
    """
    starts, records, grouped = partition(hashes)
    return _link(starts, grouped, keys[records])  # type: ignore[no-any-return] # numba's types are not known


def partition(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Cut records into pieces by their hash, each of which with its hash table fits the cache of a core.

    Args:
        hashes: uint64 of shape (n,).

    Returns:
        Where each piece starts (int64 of shape (pieces + 1,)); the records' numbers by piece, ascending in each (int64
        of shape (n,)); and the hashes in that order, because picking them one by one out of memory takes longer than
        all the rest.
    """
    bits = min(max(0, len(hashes).bit_length() - _PIECE_BITS), 16)
    return _partition(hashes, bits)  # type: ignore[no-any-return] # numba's types are not known


@inlined
def table_size(records: Any) -> Any:
    """Slots of a hash table for so many records, a power of two: at most half of them are taken."""
    size = 16
    while size < 2 * records:
        size *= 2
    return size


@kernel
def largest_table(starts: Any) -> Any:
    """Slots for the largest of the pieces. Each takes what it needs: a hash that all have makes one large."""
    most: Any = 0
    for piece in range(len(starts) - 1):
        most = max(most, starts[piece + 1] - starts[piece])
    return table_size(most)


@inlined
def first_slot(value: Any) -> Any:
    """Where to look first for a hash in a piece's table, of which the mask is still to be taken."""
    return _spread(value) >> np.uint64(20)


@kernel
def _partition(hashes: Any, bits: int) -> Any:
    """By the top bits of the hash."""
    pieces = 1 << bits
    starts = np.zeros(pieces + 1, np.int64)
    records, grouped = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.uint64)
    shift = np.uint64(64 - bits) if bits else np.uint64(63)
    mask = np.uint64(pieces - 1)
    for n in range(len(hashes)):
        starts[np.int64((_spread(hashes[n]) >> shift) & mask) + 1] += 1
    for one in range(pieces):
        starts[one + 1] += starts[one]
    filled = starts.copy()
    for n in range(len(hashes)):
        piece = np.int64((_spread(hashes[n]) >> shift) & mask)
        records[filled[piece]] = n
        grouped[filled[piece]] = hashes[n]
        filled[piece] += 1
    return starts, records, grouped


@inlined
def _spread(value: Any) -> Any:
    """All bits of a hash into its top ones: a range of hashes may be one of their remainders or their top bits."""
    return value * np.uint64(0x9E3779B97F4A7C15)


@kernel
def _link(starts: Any, hashes: Any, keys: Any) -> Any:  # noqa: C901 a kernel
    size = largest_table(starts)
    asks = np.uint64(1 << 63)
    table = np.zeros(size, np.uint64)
    middle = np.zeros(size, np.uint64)
    used = np.full(size, -1, np.int64)
    edges = np.empty((len(hashes), 2), np.uint64)
    found = 0
    for piece in range(len(starts) - 1):
        mask = np.uint64(table_size(starts[piece + 1] - starts[piece]) - 1)
        for n in range(starts[piece], starts[piece + 1]):  # who asks
            if keys[n] & asks == 0:
                continue
            key = keys[n] ^ asks
            slot = first_slot(hashes[n]) & mask
            while used[slot] == piece and table[slot] != hashes[n]:
                slot = (slot + np.uint64(1)) & mask
            if used[slot] != piece:
                used[slot] = piece
                table[slot] = hashes[n]
                middle[slot] = key
            elif middle[slot] != key:
                edges[found, 0], edges[found, 1] = middle[slot], key
                found += 1
        for n in range(starts[piece], starts[piece + 1]):  # who answers
            if keys[n] & asks != 0:
                continue
            slot = first_slot(hashes[n]) & mask
            while used[slot] == piece and table[slot] != hashes[n]:
                slot = (slot + np.uint64(1)) & mask
            if used[slot] == piece and middle[slot] != keys[n]:
                edges[found, 0], edges[found, 1] = middle[slot], keys[n]
                found += 1
    return edges[:found].copy()


def components(edges: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Connected components in memory, by union-find.

    Args:
        edges: uint64 of shape (e, 2), pairs of keys.

    Returns:
        Keys that have an edge, ascending (uint64), and for each the least key of its component (uint64).

    >>> components(np.array([[1, 2], [2, 5], [7, 9]], np.uint64))[1].tolist()
    [1, 1, 1, 7, 7]
    """
    members, flat = np.unique(edges.ravel(), return_inverse=True)
    roots = _union(len(members), flat.reshape(-1, 2).astype(np.int64))
    return members, members[roots]


def stars(edges: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same components as the edges, each as a star around its least key.

    Returns:
        uint64 of shape (s, 2): (least key, other key), in ascending order of the other.

    >>> stars(np.array([[2, 1], [2, 5], [5, 1]], np.uint64)).tolist()
    [[1, 2], [1, 5]]
    """
    members, labels = components(edges)
    other = members != labels
    return np.stack([labels[other], members[other]], axis=1)


@kernel
def _union(count: int, edges: Any) -> Any:
    parent = np.arange(count)
    for n in range(len(edges)):
        a, b = edges[n, 0], edges[n, 1]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b
    for n in range(count):  # a parent is never greater than its child, so one pass flattens all
        parent[n] = parent[parent[n]]
    return parent
