"""Leaders: which candidates are near duplicates, and of whom.

Documents of one component are walked in order; one joins the first leader whose Jaccard similarity reaches the
threshold, or becomes a leader itself. A document is compared with leaders that share a band with it. A band that many
share, such as that of a common template, would make this quadratic, so two rules bound it:

* of each band the first `LEADERS_PER_BAND` leaders are compared with;
* a document in a band of more documents than that is also compared with leaders that share a *fine* band: half as many
  values, twice as many bands, the first `LEADERS_PER_BAND` of each again. With 14 bands of 8 values a pair at
  similarity .8 shares none of the 28 fine bands of 4 with a probability of 0.4 in a million, so that what a template
  hides is found by the values in which its pages differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..filters import minhash
from ..filters.hashing import fmix64
from ..filters.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEADERS_PER_BAND = 64
"""Leaders of one band that a document is compared with, the earliest ones."""

EXACT_MARGIN = 2.5
"""Standard errors of the estimate below the threshold at which an exact comparison is still made: one in 160 pairs at
the threshold is estimated lower."""


@dataclass(frozen=True)
class Sets:
    """Sets of shingles for exact comparison.

    Attributes:
        offsets: int64 of shape (n + 1,); set `i` is `values[offsets[i]:offsets[i + 1]]`.
        values: uint32, ascending in each set.
    """

    offsets: NDArray[np.int64]
    values: NDArray[np.uint32]


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
    apart = fmix64(component)[:, None]
    coarse, size = share(minhash.band_hashes(signatures, bands, rows) ^ apart)
    hot = _any_of(coarse, size > LEADERS_PER_BAND) & ~wordless
    fine = np.full((len(ids), 1), -1, np.int32)
    fine_size = np.zeros(0, np.int64)
    if hot.any():
        half = max(1, rows // 2)
        found, fine_size = share(minhash.band_hashes(signatures[hot], places // half, half) ^ apart[hot])
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
    )


def share(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Hashes that more than one document has, numbered.

    Args:
        hashes: uint64 of shape (n, k).

    Returns:
        int32 of shape (n, k), each hash's number, -1 where it stands once; and how often each number stands (int64).

    >>> share(np.array([[7, 8], [9, 7]], np.uint64))[0].tolist()
    [[0, -1], [-1, 0]]
    """
    order = np.argsort(hashes, axis=None)
    ranked = hashes.reshape(-1)[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(ranked)])
    shared = sizes > 1
    number = np.where(shared, np.cumsum(shared) - 1, -1).astype(np.int32)
    out = np.empty(len(ranked), np.int32)
    out[order] = np.repeat(number, sizes)
    return out.reshape(hashes.shape), sizes[shared]


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
) -> tuple[Any, Any]:
    count, places = signatures.shape
    leaders = np.arange(count)
    similarity = np.ones(count, np.float32)
    seen = np.full(count, -1, np.int64)
    entries = np.empty(starts[-1], np.int64)
    filled = np.zeros(len(starts) - 1, np.int64)
    exact = len(offsets) > 1
    for d in range(count):
        if same[d] != d:
            leaders[d] = leaders[same[d]]
            similarity[d] = similarity[same[d]]
            continue
        if wordless[d]:
            continue
        best = np.int64(-1)
        best_similarity = 0.0
        for b in range(0 if earlier[d] else numbers.shape[1]):
            one = numbers[d, b]
            if one < 0:
                continue
            for at in range(starts[one], starts[one] + filled[one]):
                leader = entries[at]
                if seen[leader] == d or 0 <= best < leader:
                    continue
                seen[leader] = d
                equal = 0
                for p in range(places):
                    equal += signatures[d, p] == signatures[leader, p]
                if equal < needed:
                    continue
                found = equal / places
                if exact:
                    left, right = offsets[d + 1] - offsets[d], offsets[leader + 1] - offsets[leader]
                    both = overlap(values[offsets[d] : offsets[d + 1]], values[offsets[leader] : offsets[leader + 1]])
                    found = both / max(1, left + right - both)
                    if found < threshold:
                        continue
                best, best_similarity = leader, found
        if best >= 0:
            leaders[d] = best
            similarity[d] = best_similarity
            continue
        for b in range(numbers.shape[1]):
            one = numbers[d, b]
            if one >= 0 and starts[one] + filled[one] < starts[one + 1]:
                entries[starts[one] + filled[one]] = d
                filled[one] += 1
    return leaders, similarity


@kernel
def overlap(left: Any, right: Any) -> int:
    """How many values two ascending arrays of distinct values share."""
    a, b, both = 0, 0, 0
    while a < len(left) and b < len(right):
        x, y = left[a], right[b]
        both += x == y
        a += x <= y
        b += y <= x
    return both
