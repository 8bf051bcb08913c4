"""Runs of consecutive words of documents, what stands beside each, and phrases that are put together from them.

A **run** is so many consecutive words as MinHash reads them (:func:`..text.words.folded`), wherever lines end. What
stands before and after it is a hash of the neighbouring word, or 0 at the beginning and end of a text and where a line
ends in between. A phrase that was put into many texts has other neighbours in each; what belongs to a template has the
same ones, or the border of a line.

:func:`join_runs` puts together, in each document, the runs of a phrase that is longer than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..hashing import finalised
from ..kernels import inlined, kernel
from ..text import words
from ..text.buffers import decode, text_buffers
from ..text.words import BREAK, DROPPED, MARK, SEPARATES, SOLO

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 64
"""Words in a run, at most: a 64-bit hash has so many rotations."""

_SEED = np.uint64(0xCBF29CE484222325)  # this and the next are FNV-1a's
_PRIME = np.uint64(0x100000001B3)


class Runs(NamedTuple):
    """The runs of ``n`` documents, one after the other; ``u`` in all.

    Attributes:
        offsets: int64[n + 1]; the runs of document ``i`` are ``offsets[i]`` to ``offsets[i + 1]``.
        starts: int64[u]; byte of its document at which the first word starts.
        stops: int64[u]; byte after the last word.
        hashes: uint64[u]; of the words; never 0.
        before: uint32[u]; hash of the word before, never 0; 0 where the line or the text begins.
        after: uint32[u]; the same of the word after.
    """

    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    before: NDArray[np.uint32]
    after: NDArray[np.uint32]


class Phrases(NamedTuple):
    """Phrases of ``n`` documents; ``p`` in all.

    Attributes:
        offsets: int64[n + 1]; those of document ``i`` are ``offsets[i]`` to ``offsets[i + 1]``.
        first: int64[p]; the run that each begins with.
        last: int64[p]; the run that it ends with.
    """

    offsets: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def find_runs(column: pa.StringArray, count: int = 6) -> Runs:
    """All runs of so many words of each document.

    Args:
        column: ``n`` texts; slices and nulls included.
        count: Words in a run, 1 to 64.

    Returns:
        See :class:`Runs`; a null, and a text of fewer words, has none.

    Raises:
        ValueError: The count is out of range.

    >>> found = find_runs(pa.array(["One — twó three", None, "said: one two Three!"]), 3)
    >>> found.offsets.tolist(), bool(found.hashes[0] == found.hashes[2]), (found.before > 0).tolist()
    ([0, 1, 1, 3], True, [False, False, True])
    """
    if not 1 <= count <= LONGEST:
        raise ValueError(f"A run has from 1 to {LONGEST} words; {count} were given.")
    text = text_buffers(column)
    offsets = np.zeros(len(column) + 1, np.int64)
    most = int(text.offsets[-1] - text.offsets[0])  # a word has a byte at least; what is not written takes no memory
    starts, stops = np.empty(most, np.int64), np.empty(most, np.int64)
    hashes = np.empty(most, np.uint64)
    before, after = np.empty(most, np.uint32), np.empty(most, np.uint32)
    used = _find(*text, count, words.folded(), words.flags(), offsets, starts, stops, hashes, before, after)
    return Runs(offsets, starts[:used], stops[:used], hashes[:used], before[:used], after[:used])


def first_of_each(runs: Runs) -> NDArray[np.bool_]:
    """Whether a run is the first of its hash in its document: bool[u].

    >>> first_of_each(find_runs(pa.array(["a b a b", "a b"]), 2)).tolist()
    [True, True, False, True]
    """
    largest = int(np.diff(runs.offsets).max(initial=0))
    table = np.full(1 << max(4, (2 * largest).bit_length()), -1, np.int64)
    first = np.zeros(len(runs.hashes), np.bool_)
    _first(runs.offsets, np.ascontiguousarray(runs.hashes), table, first)
    return first


def join_runs(
    offsets: NDArray[np.int64], known: NDArray[np.bool_], begins: NDArray[np.bool_], ends: NDArray[np.bool_]
) -> Phrases:
    """Phrases: from the first run that begins one to the last one that ends one, among runs that follow each other.

    Args:
        offsets: int64[n + 1], as :class:`Runs` has them.
        known: bool[u]; the runs of which phrases consist.
        begins: bool[u]; those of them with which a phrase may begin.
        ends: bool[u]; those with which one may end.

    Returns:
        At most one phrase for each sequence of known runs.

    >>> yes = np.array([True, True, True, False, True])
    >>> found = join_runs(np.array([0, 5]), yes, yes & [0, 1, 0, 0, 1], yes & [1, 1, 1, 0, 1])
    >>> found.first.tolist(), found.last.tolist()
    ([1, 4], [2, 4])
    """
    most = (len(known) + 1) // 2
    first, last = np.empty(most, np.int64), np.empty(most, np.int64)
    borders = np.zeros(len(offsets), np.int64)
    used = _join(offsets, known, begins, ends, borders, first, last)
    return Phrases(borders, first[:used], last[:used])


@inlined
def _neighbour(word: Any) -> Any:
    """The hash of a word as a neighbour."""
    return max(np.uint32(word), np.uint32(1))


@kernel
def _next_word(data: Any, index: int, stop: int, fold: Any, flags: Any) -> tuple[int, int, Any, bool]:
    """The word at or after ``data[index]``.

    Returns:
        Where it starts and ends, its hash, and whether a line ends before it; no word starts at ``stop``.
    """
    start, end = stop, stop
    value = _SEED
    broken = solo = inside = False
    while index < stop:
        point, after = decode(data, index, stop)
        folded = fold[point]
        if folded == DROPPED:
            index = after
            continue
        if folded == SEPARATES:
            if inside:
                break
            broken = broken or (flags[point] & BREAK) != 0
            index = after
            continue
        flag = flags[point]
        alone = (flag & SOLO) != 0
        if inside and (alone or (solo and not flag & MARK)):
            break
        if not inside:
            start, inside, solo = index, True, alone
        value = (value ^ np.uint64(folded)) * _PRIME
        index = end = after
    return start, end, finalised(value), broken


@kernel
def _find(  # noqa: PLR0917 a kernel takes columns
    offsets: Any,
    data: Any,
    valid: Any,
    count: int,
    fold: Any,
    flags: Any,
    firsts: Any,
    starts: Any,
    stops: Any,
    hashes: Any,
    before: Any,
    after: Any,
) -> int:
    """A ring holds the last ``count`` words and the one before them."""
    size = 2
    while size < count + 1:
        size *= 2
    mask = size - 1  # to divide by a number that is not known took half of the time
    values, places = np.empty(size, np.uint64), np.empty(size, np.int64)
    broken = np.empty(size, np.bool_)
    used = 0
    for row in range(len(valid)):
        firsts[row] = used
        if not valid[row]:
            continue
        first, stop = offsets[row], offsets[row + 1]
        index, seen = first, 0
        while True:
            start, end, value, breaks = _next_word(data, index, stop, fold, flags)
            if start == stop:
                break
            index = end
            if seen >= count and not breaks:
                after[used - 1] = _neighbour(value)
            at = seen & mask
            values[at], places[at], broken[at] = value, start, breaks
            seen += 1
            if seen < count:
                continue
            total = np.uint64(0)
            for n in range(count):
                turn = np.uint64((n * 11) & 63)
                word = values[(seen - count + n) & mask]
                total += (word << turn) | (word >> ((np.uint64(64) - turn) & np.uint64(63)))
            oldest = (seen - count) & mask
            starts[used], stops[used] = places[oldest] - first, end - first
            hashes[used] = max(finalised(total), np.uint64(1))
            before[used] = after[used] = 0
            if seen > count and not broken[oldest]:
                before[used] = _neighbour(values[(seen - count - 1) & mask])
            used += 1
    firsts[len(valid)] = used
    return used


@kernel
def _first(offsets: Any, hashes: Any, table: Any, first: Any) -> None:
    mask = np.uint64(len(table) - 1)
    for row in range(len(offsets) - 1):
        start = offsets[row]
        for n in range(start, offsets[row + 1]):
            slot = hashes[n] & mask
            # what stands in the table from documents before is as good as nothing
            while table[slot] >= start and hashes[table[slot]] != hashes[n]:
                slot = (slot + np.uint64(1)) & mask
            if table[slot] < start:
                table[slot] = n
                first[n] = True


@kernel
def _join(  # noqa: PLR0917 a kernel takes columns
    offsets: Any, known: Any, begins: Any, ends: Any, borders: Any, first: Any, last: Any
) -> int:
    used = 0
    for row in range(len(offsets) - 1):
        borders[row] = used
        begun = ended = -1
        for n in range(offsets[row], offsets[row + 1]):
            if known[n]:
                if begun < 0 and begins[n]:
                    begun = n
                if begun >= 0 and ends[n]:
                    ended = n
            if not known[n] or n + 1 == offsets[row + 1]:
                if ended >= 0:
                    first[used], last[used] = begun, ended
                    used += 1
                begun = ended = -1
    borders[len(offsets) - 1] = used
    return used
