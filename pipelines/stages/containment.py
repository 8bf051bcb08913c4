"""Containment: documents that stand almost whole in a longer one, such as a page in its print version.

The similarity of two documents of unlike length is low however much they share. What is measured here is the share of
one document's shingles that the other one has (Broder 1997, "On the resemblance and containment of documents"), from
bottom-k sketches: both keep the least hashes of their shingles, so below the greatest hash that both have room for,
each sketch is the whole document, and the share of common hashes there estimates the containment.

Candidates share one of the `ASKED` least hashes of the shorter document. A container with more than k / ASKED times its
shingles may have no room for them and is not found; nor is a document with fewer than `LEAST` hashes to compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import fmix64
from ...filters.kernels import kernel
from .leaders import LEADERS_PER_BAND, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED = 8
"""Least hashes by which a document looks for one that contains it."""

LEAST = 16
"""Hashes that must be compared: at a threshold of .9, two documents of which half is shared pass one time in 6,000."""

EMPTY = 0xFFFFFFFF
"""Pads a sketch that is not full."""


def contained(  # noqa: PLR0917 a kernel takes columns
    component: NDArray[np.uint64],
    leaders: NDArray[np.int64],
    earlier: NDArray[np.bool_],
    sketches: NDArray[np.uint32],
    elements: NDArray[np.int64],
    threshold: float,
    *,
    asked: int = ASKED,
    least: int = LEAST,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Clusters that stand in a longer document, all of their members.

    Longest first, a leader looks for the first leader before it that contains it and is not contained itself. Its
    cluster moves there only if that document contains every one of its members.

    Args:
        component: uint64 of shape (n,).
        leaders: int64 of shape (n,): the index of each document's leader.
        earlier: bool of shape (n,): contains others, but never moves.
        sketches: uint32 of shape (n, k): ascending, padded with EMPTY.
        elements: int64 of shape (n,): distinct shingles.
        threshold: Least share of a document's shingles.
        asked: Least hashes by which a document looks for others.
        least: Hashes that must be compared.

    Returns:
        For each document the index of the one that contains it, or -1 (int64), and the estimated share (float32).
    """
    count, places = sketches.shape
    hashes = fmix64(sketches ^ fmix64(component)[:, None]) | np.uint64(1 << 63)
    hashes[sketches == EMPTY] = np.arange((sketches == EMPTY).sum(), dtype=np.uint64)  # shared with no one
    heads = np.flatnonzero(leaders == np.arange(count))
    order = heads[np.lexsort((heads, -elements[heads], ~earlier[heads]))]
    numbers = np.full((count, places), -1, np.int32)
    numbers[order], sizes = share(hashes[order])
    starts = np.r_[0, np.cumsum(np.minimum(sizes, LEADERS_PER_BAND))]
    by_leader = np.argsort(leaders, kind="stable")
    members = np.r_[np.searchsorted(leaders[by_leader], np.arange(count)), count]
    return _contain(order, earlier, sketches, numbers, starts, by_leader, members, threshold, asked, least)


@kernel
def _contain(  # noqa: C901, PLR0917 a kernel takes columns
    order: Any,
    earlier: Any,
    sketches: Any,
    numbers: Any,
    starts: Any,
    by_leader: Any,
    members: Any,
    threshold: float,
    asked: int,
    least: int,
) -> tuple[Any, Any]:
    count, places = sketches.shape
    inside = np.full(count, -1, np.int64)
    shares = np.zeros(count, np.float32)
    seen = np.full(count, -1, np.int64)
    rank = np.zeros(count, np.int64)
    entries = np.empty(starts[-1], np.int64)
    filled = np.zeros(len(starts) - 1, np.int64)
    for n in range(len(order)):
        d = order[n]
        rank[d] = n
        best = np.int64(-1)
        for p in range(0 if earlier[d] else min(asked, places)):
            one = numbers[d, p]
            if one < 0:
                continue
            for at in range(starts[one], starts[one] + filled[one]):
                other = entries[at]
                if seen[other] == d or (best >= 0 and rank[best] < rank[other]):
                    continue
                seen[other] = d
                whole = True
                for m in range(members[d], members[d + 1]):
                    if share_within(sketches[by_leader[m]], sketches[other], least) < threshold:
                        whole = False
                        break
                if whole:
                    best = other
        if best >= 0:
            for m in range(members[d], members[d + 1]):
                inside[by_leader[m]] = best
                shares[by_leader[m]] = share_within(sketches[by_leader[m]], sketches[best], least)
            continue
        for p in range(places):
            one = numbers[d, p]
            if one >= 0 and starts[one] + filled[one] < starts[one + 1]:
                entries[starts[one] + filled[one]] = d
                filled[one] += 1
    return inside, shares


@kernel
def share_within(short: Any, long: Any, least: int) -> float:
    """The estimated share of one sketch's document that the other's has; 0 where too little can be compared."""
    places = len(short)
    limit = min(short[places - 1], long[places - 1])  # EMPTY where both documents are whole
    a, b, compared, both = 0, 0, 0, 0
    while a < places and short[a] != EMPTY and short[a] <= limit:
        while b < places and long[b] < short[a]:
            b += 1
        both += b < places and long[b] == short[a]
        compared += 1
        a += 1
    return both / compared if compared >= least else 0.0
