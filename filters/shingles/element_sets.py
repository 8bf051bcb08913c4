"""Sets of elements: from the hashes of shingles to ascending sets, and how alike two sets are.

A set may be cut to its ``most`` least values. As elements are hashes, these are a fair sample of the whole set (a
bottom-k sketch: Broder 1997, "On the resemblance and containment of documents"; Cohen and Kaplan 2007, "Summarizing
data using bottom-k sketches"): below the greatest value that a cut set has kept, it is complete, so that two sets are
compared on what lies below the greatest values of those of them that may have been cut. Sets that are complete are
compared exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel
from .hashes import fmix32

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 48  # values up to which insertion is quicker than counting


def distinct_elements(
    offsets: NDArray[np.int64], hashes: NDArray[np.uint32], most: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int32]]:
    """The distinct hashes of each row, mixed by MurmurHash3's 32-bit finaliser (a bijection), ascending.

    Args:
        offsets: int64[n + 1]; row ``i`` is ``hashes[offsets[i] : offsets[i + 1]]``.
        hashes: uint32[m].
        most: How many values to keep of a row, the least ones; None for all.

    Returns:
        int64[n + 1] and uint32 as above, and int32[n]: the distinct hashes in all, those not kept included.

    Raises:
        ValueError: ``most`` is below 1, or the offsets do not ascend within the hashes.

    >>> distinct_elements(np.array([0, 3]), np.array([0, 7, 0], np.uint32), most=1)
    (array([0, 1]), array([0], dtype=uint32), array([2], dtype=int32))
    """
    if most is not None and most < 1:
        raise ValueError(f"A set keeps at least 1 element; most is {most}.")
    offsets = checked_offsets(offsets, len(hashes))
    rows = len(offsets) - 1
    sizes = np.diff(offsets)
    longest = int(sizes.max(initial=0))
    kept = int(sizes.sum() if most is None else np.minimum(sizes, most).sum())
    values = np.empty(kept, np.uint32)
    starts = np.zeros(rows + 1, np.int64)
    counts = np.zeros(rows, np.int32)
    here, there = np.empty(longest, np.uint32), np.empty(longest, np.uint32)
    hashes = np.ascontiguousarray(hashes, np.uint32)
    _collect(offsets, hashes, longest if most is None else most, here, there, starts, values, counts)
    return starts, values[: starts[-1]], counts


def jaccard_pairs(
    offsets: NDArray[np.int64],
    values: NDArray[np.uint32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    most: int | None = None,
) -> NDArray[np.float64]:
    """The Jaccard similarity of pairs of sets: the share of the union that is in both.

    Args:
        offsets: int64[n + 1]; set ``i`` is ``values[offsets[i] : offsets[i + 1]]``.
        values: uint32[m]; ascending and distinct within a set.
        left: int64[k]; indices of sets.
        right: int64[k]; those to compare them with.
        most: What the sets were cut to: one of so many values is taken for cut. None if all are complete.

    Returns:
        float64[k], from 0 to 1; exact unless a set was cut; 0 where both are empty.

    Raises:
        ValueError: There is no such set, the indices are not pairs, or offsets do not ascend within the values.

    >>> two = np.array([0, 2, 5]), np.array([1, 4, 1, 4, 9], np.uint32)
    >>> jaccard_pairs(*two, np.array([0]), np.array([1])).round(3).tolist()
    [0.667]
    """
    out = np.zeros(len(left), np.float64)
    _jaccard(*_checked_pairs(offsets, values, left, right, most), out)
    return out


def containment_pairs(
    offsets: NDArray[np.int64],
    values: NDArray[np.uint32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    most: int | None = None,
) -> NDArray[np.float64]:
    """How much of one set is in another: the share of ``left``'s values that ``right`` has.

    Args:
        offsets: As for :func:`jaccard_pairs`.
        values: As for :func:`jaccard_pairs`.
        left: int64[k]; the sets that may be contained.
        right: int64[k]; the sets that may contain them.
        most: As for :func:`jaccard_pairs`. Where ``right`` was cut, values of ``left`` above its greatest do not count.

    Returns:
        float64[k], from 0 to 1; 0 where nothing of ``left`` can be compared.

    Raises:
        ValueError: As for :func:`jaccard_pairs`.

    >>> two = np.array([0, 2, 5]), np.array([1, 4, 1, 4, 9], np.uint32)
    >>> containment_pairs(*two, np.array([0, 1]), np.array([1, 0])).round(3).tolist()
    [1.0, 0.667]
    """
    out = np.zeros(len(left), np.float64)
    _containment(*_checked_pairs(offsets, values, left, right, most), out)
    return out


def checked_offsets(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Offsets that a kernel can follow.

    Args:
        offsets: int64[n + 1]; row ``i`` is the values from ``offsets[i]`` to ``offsets[i + 1]``.
        size: How many values there are.

    Raises:
        ValueError: They do not ascend, or leave the values.
    """
    offsets = np.ascontiguousarray(offsets, np.int64)
    if not len(offsets) or offsets[0] < 0 or offsets[-1] > size or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"Offsets of n rows are n + 1 numbers that ascend from at least 0 to at most {size}, the number of values."
        )
    return offsets


def _checked_pairs(
    offsets: NDArray[np.int64],
    values: NDArray[np.uint32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    most: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], int]:
    offsets = checked_offsets(offsets, len(values))
    left, right = np.ascontiguousarray(left, np.int64), np.ascontiguousarray(right, np.int64)
    if len(left) != len(right):
        raise ValueError(f"Pairs are as many sets on the left as on the right; there are {len(left)} and {len(right)}.")
    sets = len(offsets) - 1
    for each in (left, right):
        if len(each) and not 0 <= each.min() <= each.max() < sets:
            raise ValueError(f"There are sets 0 to {sets - 1}; the pairs name {each.min()} to {each.max()}.")
    if most is not None and most < 1:
        raise ValueError(f"A set keeps at least 1 element; most is {most}.")
    return offsets, np.ascontiguousarray(values, np.uint32), left, right, most or 0


@kernel
def _sort(values: Any, other: Any) -> None:
    """Sort ascending, in four passes by a byte each; in time linear in the values, whatever they are."""
    count = len(values)
    if count <= _FEW:
        for index in range(1, count):
            value = values[index]
            at = index
            while at > 0 and values[at - 1] > value:
                values[at] = values[at - 1]
                at -= 1
            values[at] = value
        return
    counts = np.zeros((4, 256), np.uint32)
    for index in range(count):
        value = values[index]
        for digit in range(4):
            counts[digit, (value >> np.uint32(8 * digit)) & np.uint32(255)] += np.uint32(1)
    for digit in range(4):
        starts = counts[digit]
        total = np.uint32(0)
        for bucket in range(256):
            size = starts[bucket]
            starts[bucket] = total
            total += size
        source, target = (values, other) if digit % 2 == 0 else (other, values)
        shift = np.uint32(8 * digit)
        for index in range(count):
            bucket = (source[index] >> shift) & np.uint32(255)
            target[starts[bucket]] = source[index]
            starts[bucket] += np.uint32(1)


@kernel
def _collect(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, hashes: Any, most: int, here: Any, there: Any, starts: Any, values: Any, counts: Any
) -> None:
    at = 0
    for row in range(len(counts)):
        row_hashes = hashes[offsets[row] : offsets[row + 1]]
        row_values = here[: len(row_hashes)]
        for index in range(len(row_hashes)):
            row_values[index] = fmix32(row_hashes[index])
        _sort(row_values, there[: len(row_hashes)])
        count = 0
        for index in range(len(row_values)):
            if index == 0 or row_values[index] != row_values[index - 1]:
                if count < most:
                    values[at] = row_values[index]
                    at += 1
                count += 1
        counts[row] = count
        starts[row + 1] = at


@kernel
def complete_to(offsets: Any, values: Any, row: int, most: int) -> Any:
    """The value up to which a set is complete, where sets were cut to ``most`` values; 0 where none was."""
    if most and offsets[row + 1] - offsets[row] >= most:
        return values[offsets[row + 1] - 1]
    return np.uint32(0xFFFFFFFF)


@kernel
def overlap(offsets: Any, values: Any, one: int, two: int, bound: Any) -> tuple[int, int, int]:
    """How many values up to ``bound`` are in both sets, in the first, and in the second."""
    first, second = offsets[one], offsets[two]
    both = 0
    while first < offsets[one + 1] and second < offsets[two + 1]:
        a, b = values[first], values[second]
        if min(a, b) > bound:
            break
        both += a == b
        first += a <= b
        second += b <= a
    while first < offsets[one + 1] and values[first] <= bound:
        first += 1
    while second < offsets[two + 1] and values[second] <= bound:
        second += 1
    return both, first - offsets[one], second - offsets[two]


@kernel
def _jaccard(offsets: Any, values: Any, left: Any, right: Any, most: int, out: Any) -> None:  # noqa: PLR0917
    for pair in range(len(left)):
        one, two = left[pair], right[pair]
        bound = min(complete_to(offsets, values, one, most), complete_to(offsets, values, two, most))
        both, first, second = overlap(offsets, values, one, two, bound)
        if first + second:
            out[pair] = both / (first + second - both)


@kernel
def _containment(offsets: Any, values: Any, left: Any, right: Any, most: int, out: Any) -> None:  # noqa: PLR0917
    for pair in range(len(left)):
        bound = complete_to(offsets, values, right[pair], most)
        both, first, _ = overlap(offsets, values, left[pair], right[pair], bound)
        if first:
            out[pair] = both / first
