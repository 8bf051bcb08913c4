"""Leaders: which candidates are near duplicates, and of whom.

Documents of one component are walked in order; one becomes a leader unless its Jaccard similarity to some leader
reaches the threshold. Then each of the others joins the leader most similar to it, be it earlier or later: joining the
first that is similar enough would part documents that are nearer to each other than to it. A document is compared with
leaders that share a band with it. A band that many share, such as that of a common template, would make this quadratic,
so two rules bound it:

* of each band the first `LEADERS_PER_BAND` leaders are compared with;
* a document in a band of more documents than that is also compared with leaders that share a *fine* band: half as many
  values, twice as many bands, the first `LEADERS_PER_BAND` of each again. With 18 bands of 6 values a pair at
  similarity .7 shares none of the 36 fine bands of 3 with a probability of 0.3 in a million, so that what a template
  hides is found by the values in which its pages differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.duplicates import minhash
from ...filters.hashing import fmix64
from ...filters.kernels import inlined, kernel
from ...filters.shingles.element_sets import complete_to, overlap
from . import grouping

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEADERS_PER_BAND = 64
"""Leaders of one band that a document is compared with, the earliest ones."""

EXACT_MARGIN = 2.5
"""Standard errors of the estimate below the threshold at which an exact comparison is still made: one in 160 pairs at
the threshold is estimated lower."""


_SLICE = 1 << 16
"""Signatures that are copied at a time: 28 MB."""


@dataclass(frozen=True)
class Sets:
    """Sets of shingles for exact comparison.

    Attributes:
        offsets: int64 of shape (n + 1,); set `i` is `values[offsets[i]:offsets[i + 1]]`.
        values: uint32, ascending in each set.
        most: What the sets were cut to, their least values; one of so many is compared as far as it goes. 0 where all
            are whole.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.uint32]
    most: int = 0


def leader_clusters(  # noqa: PLR0917 a kernel takes columns
    component: NDArray[np.uint64],
    ids: NDArray[Any],
    earlier: NDArray[np.bool_],
    signatures: NDArray[np.uint32],
    bands: int,
    rows: int,
    threshold: float,
    sets: Sets | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Leader clustering of documents in the order in which they may lead.

    Args:
        component: uint64 of shape (n,); documents of two components are never compared.
        ids: `keys.ID` of shape (n,); documents of equal id are always together.
        earlier: bool of shape (n,): leads whatever comes before.
        signatures: uint32 of shape (n, bands * rows); all EMPTY where a document has no words.
        bands: Bands of the signature.
        rows: Values in a band.
        threshold: Least Jaccard similarity.
        sets: Shingles of each document; without them similarities are estimated from the signatures.

    Returns:
        For each document the index of its leader (int64, its own for a leader) and the Jaccard similarity to it
        (float32, 1 for itself).
    """
    signatures = np.ascontiguousarray(signatures)
    places = bands * rows
    margin = EXACT_MARGIN * (threshold * (1 - threshold) / places) ** 0.5 if sets is not None else 0.0
    needed = max(1, int(np.ceil((threshold - margin) * places - 1e-9)))
    wordless = signatures[:, 0] == minhash.EMPTY
    coarse, size = share(_band_hashes(signatures, np.arange(len(ids)), component, bands, rows))
    hot = _any_of(coarse, size > LEADERS_PER_BAND) & ~wordless
    fine = np.full((len(ids), 1), -1, np.int32)
    fine_size = np.zeros(0, np.int64)
    if hot.any():
        half = max(1, rows // 2)
        found, fine_size = share(_band_hashes(signatures, np.flatnonzero(hot), component, places // half, half))
        fine = np.full((len(ids), places // half), -1, np.int32)
        fine[hot] = found
    return _lead(
        _same(ids),
        earlier,
        wordless,
        signatures,
        np.concatenate([coarse, fine + np.where(fine >= 0, len(size), 0).astype(np.int32)], axis=1),
        _starts(np.concatenate([size, fine_size])),
        needed,
        threshold,
        sets.offsets if sets is not None else np.zeros(1, np.int64),
        sets.values if sets is not None else np.zeros(0, np.uint32),
        sets.most if sets is not None else 0,
    )


def _band_hashes(
    signatures: NDArray[np.uint32], chosen: NDArray[np.int64], component: NDArray[np.uint64], bands: int, rows: int
) -> NDArray[np.uint64]:
    """Hashes of the bands of the chosen documents; equal bands of two components differ."""
    out = np.empty((len(chosen), bands), np.uint64)
    for start in range(0, len(chosen), _SLICE):
        some = chosen[start : start + _SLICE]
        out[start : start + _SLICE] = (
            minhash.band_hashes(signatures[some], bands, rows) ^ fmix64(component[some])[:, None]
        )
    return out


def share(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Hashes that more than one document has, numbered.

    Args:
        hashes: uint64 of shape (n, k).

    Returns:
        int32 of shape (n, k), each hash's number, -1 where it stands once; and how often each number stands (int64).

    >>> share(np.array([[7, 8], [9, 7]], np.uint64))[0].tolist()
    [[0, -1], [-1, 0]]
    """
    flat = np.ascontiguousarray(hashes).reshape(-1)
    numbers, sizes = _share(*grouping.partition(flat))
    return numbers.reshape(hashes.shape), sizes


@kernel
def _share(starts: Any, records: Any, hashes: Any) -> Any:
    """A hash table for each piece, twice: how often each hash stands, then the numbers of those that stand often."""
    size = grouping.largest_table(starts)
    table = np.zeros(size, np.uint64)
    used = np.full(size, -1, np.int64)
    times = np.zeros(size, np.int64)
    number = np.zeros(size, np.int32)
    out = np.full(len(hashes), -1, np.int32)
    sizes = np.empty(len(hashes) // 2 + 1, np.int64)
    shared = 0
    for piece in range(len(starts) - 1):
        mask = np.uint64(grouping.table_size(starts[piece + 1] - starts[piece]) - 1)
        for again in range(2):
            for at in range(starts[piece], starts[piece + 1]):
                value = hashes[at]
                slot = grouping.first_slot(value) & mask
                while used[slot] == piece and table[slot] != value:
                    slot = (slot + np.uint64(1)) & mask
                if again == 0:
                    if used[slot] != piece:
                        used[slot], table[slot], times[slot], number[slot] = piece, value, 0, -1
                    times[slot] += 1
                elif times[slot] > 1:
                    if number[slot] < 0:
                        number[slot] = shared
                        sizes[shared] = times[slot]
                        shared += 1
                    out[records[at]] = number[slot]
    return out, sizes[:shared].copy()


def _any_of(numbers: NDArray[np.int32], which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.r_[which, False][numbers].any(axis=1)  # type: ignore[no-any-return] # number -1 is the last


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.r_[0, np.cumsum(np.minimum(sizes, LEADERS_PER_BAND))]  # type: ignore[no-any-return] # an array


def _same(ids: NDArray[Any]) -> NDArray[np.int64]:
    """The first document of equal text: its own index where there is none before."""
    order = np.lexsort((np.arange(len(ids)), ids["low"], ids["high"]))
    new = np.r_[True, ids[order][1:] != ids[order][:-1]][: len(ids)]
    first = np.maximum.accumulate(np.where(new, np.arange(len(ids)), 0)) if len(ids) else np.zeros(0, np.int64)
    out = np.empty(len(ids), np.int64)
    out[order] = order[first]
    return out


@kernel
def _lead(  # noqa: C901, PLR0912, PLR0917 a kernel takes columns
    same: Any,
    earlier: Any,
    wordless: Any,
    signatures: Any,
    numbers: Any,
    starts: Any,
    needed: int,
    threshold: float,
    offsets: Any,
    values: Any,
    most: int,
) -> tuple[Any, Any]:
    count = len(signatures)
    leaders = np.arange(count)
    similarity = np.ones(count, np.float32)
    seen = np.full(count, -1, np.int64)
    joins = np.zeros(count, np.bool_)
    entries = np.empty(starts[-1], np.int64)
    filled = np.zeros(len(starts) - 1, np.int64)
    for d in range(count):
        if same[d] != d or wordless[d]:
            continue
        for b in range(0 if earlier[d] else numbers.shape[1]):
            one = numbers[d, b]
            if one < 0:
                continue
            for at in range(starts[one], starts[one] + filled[one]):
                leader = entries[at]
                if seen[leader] == d:
                    continue
                seen[leader] = d
                if _similarity(signatures, offsets, values, most, d, leader, needed, threshold) >= 0:
                    joins[d] = True
                    break
            if joins[d]:
                break
        for b in range(0 if joins[d] else numbers.shape[1]):
            one = numbers[d, b]
            if one >= 0 and starts[one] + filled[one] < starts[one + 1]:
                entries[starts[one] + filled[one]] = d
                filled[one] += 1
    seen[:] = -1
    for d in range(count):
        if same[d] != d:
            leaders[d] = leaders[same[d]]
            similarity[d] = similarity[same[d]]
        if not joins[d]:
            continue
        best = -1.0
        for b in range(numbers.shape[1]):
            one = numbers[d, b]
            if one < 0:
                continue
            for at in range(starts[one], starts[one] + filled[one]):
                leader = entries[at]
                if seen[leader] == d:
                    continue
                seen[leader] = d
                found = _similarity(signatures, offsets, values, most, d, leader, needed, threshold)
                if found > best or (found == best and leader < leaders[d]):
                    leaders[d], best = leader, found
        similarity[d] = best
    return leaders, similarity


@inlined
def _similarity(  # noqa: PLR0917 a kernel takes columns
    signatures: Any, offsets: Any, values: Any, most: int, one: int, other: int, needed: int, threshold: float
) -> Any:
    """Jaccard similarity of two documents; -1 where it is less than is asked for."""
    places = signatures.shape[1]
    equal = 0
    for p in range(places):
        equal += signatures[one, p] == signatures[other, p]
    if equal < needed:
        return -1.0
    if len(offsets) == 1:
        return equal / places
    # A cut set says nothing of what lies above its greatest value: of 100,000 shingles in 125,000, both cut to 65,536,
    # 0.67 of the values are common.
    bound = min(complete_to(offsets, values, one, most), complete_to(offsets, values, other, most))
    both, left, right = overlap(offsets, values, one, other, bound)
    found = both / max(1, left + right - both)
    return found if found >= threshold else -1.0
