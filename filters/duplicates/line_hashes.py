r"""Lines and paragraphs of documents: where they stand, a hash of what each says, and the text without some of them.

Boilerplate of web pages repeats line by line: menus, cookie notices, licences. CCNet (Wenzek et al. 2020,
https://arxiv.org/abs/1911.00359) finds it by the first 64 bits of a hash of each paragraph, lower-cased and without
accents and punctuation. Here a unit is folded as :func:`..text.words.folded` says, with one space between words, and
its hash is the xxHash64 of that in UTF-8. Unlike CCNet's, digits stay: lines that differ in their figures differ.

A **unit** is a line that is not blank, as ``str.splitlines`` cuts lines, or a paragraph: lines without a blank one
between them. Blank lines belong to the unit before them, those at the beginning of a text to its first unit, so that
units cover the whole text and what is left after some are cut has no gaps.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..hashing import xxh64
from ..kernels import inlined, kernel
from ..text import words
from ..text.buffers import decode, text_buffers
from ..text.words import BREAK, DROPPED, SEPARATES, SPACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNITS = ("line", "paragraph")

_BLANK = 0x20
_ENDS = 0  # in the table of ASCII: ends a line
_START, _STOP, _HASH = range(3)


class Units(NamedTuple):
    """The units of ``n`` documents, one after the other; ``u`` in all.

    Attributes:
        offsets: int64[n + 1]; the units of document ``i`` are ``offsets[i]`` to ``offsets[i + 1]``. A null has none.
        starts: int64[u]; byte of its document at which a unit starts, 0 for the first.
        stops: int64[u]; byte after its last line, without what ends that line and the blank lines that follow.
        sizes: int64[u]; bytes up to the next unit or the end of the text.
        hashes: uint64[u]; 0 for a unit that is too short to count.
    """

    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    sizes: NDArray[np.int64]
    hashes: NDArray[np.uint64]


def find_units(column: pa.StringArray, unit: str = "line", min_characters: int = 20) -> Units:
    r"""Units of each document and the hash of what they say.

    Args:
        column: ``n`` texts; slices and nulls included.
        unit: ``line`` or ``paragraph``.
        min_characters: Code points that a folded unit has at least, single spaces between words included; a shorter
            one gets no hash.

    Returns:
        Where they stand, and uint64 hashes.

    Raises:
        ValueError: The unit is neither, or the least length is not positive.

    >>> units = find_units(pa.array(["All rights reserved.\n\nÀll — rights: Reserved"]), min_characters=5)
    >>> units.starts.tolist(), units.stops.tolist(), bool(units.hashes[0] == units.hashes[1])
    ([0, 22], [20, 47], True)
    """
    if unit not in UNITS:
        raise ValueError(f"A unit is {' or '.join(map(repr, UNITS))}; {unit!r} was given.")
    if min_characters < 1:
        raise ValueError(f"min_characters must be at least 1; it is {min_characters}.")
    text = text_buffers(column)
    used = text.data[text.offsets[0] : text.offsets[-1]]
    expected = len(column) + int(np.count_nonzero(used == ord("\n"))) + 1
    offsets = np.zeros(len(column) + 1, np.int64)
    found = _find(
        *text, unit == "paragraph", min_characters, _ascii(), words.folded(), words.flags(), expected, offsets
    )
    lengths = np.where(text.valid, np.diff(text.offsets), 0)
    starts = found[:, _START]
    sizes = np.diff(starts, append=0)
    filled = np.diff(offsets) > 0
    last = offsets[1:][filled] - 1
    sizes[last] = lengths[filled] - starts[last]
    return Units(offsets, starts, found[:, _STOP], sizes, found[:, _HASH].view(np.uint64))


def count_documents(
    hashes: NDArray[np.uint64],
    rows: NDArray[np.integer[Any]],
    owners: NDArray[np.uint64],
    counted: NDArray[np.bool_],
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint64]]:
    """For each distinct hash: how many documents have it, and the least of their owners.

    Args:
        hashes: uint64[u]; 0 is passed over.
        rows: int[u], ascending: the document of each.
        owners: uint64[n]: a number for each document.
        counted: bool[n]: whether a document is counted; the hashes of others are found all the same.

    Returns:
        Hashes in the order in which they first stand (uint64[h]); documents that are counted (uint32[h]); and the least
        of their owners (uint64[h]), 2^64 - 1 where there is none.

    >>> one = np.array([7, 7, 9, 7], np.uint64), np.array([0, 0, 0, 1]), np.array([5, 3], np.uint64)
    >>> [values.tolist() for values in count_documents(*one, np.array([True, True]))]
    [[7, 9], [2, 1], [3, 5]]
    """
    found = np.empty(len(hashes), np.uint64)
    documents = np.zeros(len(hashes), np.uint32)
    least = np.full(len(hashes), 2**64 - 1, np.uint64)
    count = _count(np.ascontiguousarray(hashes), rows, owners, counted, _table(len(hashes)), found, documents, least)
    return found[:count], documents[:count], least[:count]


def look_up(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of each hash in ``known`` (uint64[k], each once, none 0), or -1; int64[u].

    >>> look_up(np.array([4, 0, 9], np.uint64), np.array([9, 5], np.uint64)).tolist()
    [-1, -1, 0]
    """
    places: NDArray[np.int64] = _look_up(np.ascontiguousarray(hashes), np.ascontiguousarray(known), _table(len(known)))
    return places


def _table(count: int) -> NDArray[np.int64]:
    """An open hash table that stays at most half full."""
    return np.full(1 << max(4, (2 * count).bit_length()), -1, np.int64)


@cache
def _ascii() -> NDArray[np.uint8]:
    """What each ASCII character is folded to: itself in lower case, a space, or ``_ENDS``."""
    folded, flags = words.folded()[:128], words.flags()[:128]
    table = np.where(folded == SEPARATES, _BLANK, folded).astype(np.uint8)
    table[(flags & BREAK) != 0] = _ENDS
    return table


@inlined
def _after_break(data: Any, index: Any, stop: Any) -> Any:
    """The index after the end of a line that stands at ``index``; a return and a line feed are one."""
    _, after = decode(data, index, stop)
    if data[index] == 0x0D and after < stop and data[after] == 0x0A:
        after += 1
    return after


@kernel
def _skip_blank(data: Any, index: int, stop: int, flags: Any) -> tuple[int, int]:
    """Where the first line that is not blank begins, from the line at ``index`` on, and what it says; or ``stop``."""
    line = index
    while index < stop:
        if 0x20 < data[index] < 0x80:  # no ASCII above the space is white
            return line, index
        if data[index] == 0x20 or data[index] == 0x09:
            index += 1
            continue
        point, after = decode(data, index, stop)
        if flags[point] & BREAK:
            line = after
        elif not flags[point] & SPACE:
            return line, index
        index = after
    return stop, stop


@inlined
def _put(text: Any, at: Any, point: Any) -> Any:
    """Write a code point above ASCII in UTF-8; the index after it."""
    if point < 0x800:
        text[at] = 0xC0 | (point >> 6)
        text[at + 1] = 0x80 | (point & 0x3F)
        return at + 2
    if point < 0x10000:
        text[at] = 0xE0 | (point >> 12)
        text[at + 1] = 0x80 | ((point >> 6) & 0x3F)
        text[at + 2] = 0x80 | (point & 0x3F)
        return at + 3
    text[at] = 0xF0 | (point >> 18)
    text[at + 1] = 0x80 | ((point >> 12) & 0x3F)
    text[at + 2] = 0x80 | ((point >> 6) & 0x3F)
    text[at + 3] = 0x80 | (point & 0x3F)
    return at + 4


@kernel
def _fold_line(  # noqa: PLR0917 a kernel takes columns
    data: Any, index: Any, stop: Any, table: Any, fold: Any, flags: Any, text: Any, at: Any, more: Any
) -> tuple[Any, Any, Any]:
    """Fold a line behind what stands in ``text[:at]``.

    Every separator is written as a space, and the next character goes over it where a space or nothing is before: so
    ASCII needs one branch a byte, for the end of the line.

    Returns:
        Where the line ends, the bytes in ``text``, and the bytes among them that only continue a character.
    """
    last = np.uint8(_BLANK) if at == 0 else text[at - 1]
    one, end = np.uint64(1), np.uint64(stop)
    while index < stop:
        # An unsigned index needs no test for numba's negative ones: with signed ones this loop takes a third longer.
        place, write = np.uint64(index), np.uint64(at)
        code = np.uint8(_BLANK)
        while place < end:
            byte = data[place]
            if byte >= 0x80:
                break
            code = table[byte]
            if code == _ENDS:
                break
            text[write] = code
            write += np.uint64((code != _BLANK) | (last != _BLANK))
            last = code
            place += one
        index, at = np.int64(place), np.int64(write)
        if index == stop or code == _ENDS:
            break
        point, after = decode(data, index, stop)
        if flags[point] & BREAK:
            break
        folded = np.int64(fold[point])
        index = after
        if folded == DROPPED:
            continue
        if folded == SEPARATES or folded < 0x80:
            code = np.uint8(_BLANK) if folded == SEPARATES else np.uint8(folded)
            text[at] = code
            at += np.int64((code != _BLANK) | (last != _BLANK))
            last = code
        else:
            before = at
            at = _put(text, at, folded)
            more += at - before - 1
            last = np.uint8(1)
    return index, at, more


@kernel
def _find(  # noqa: PLR0917 a kernel takes columns
    offsets: Any,
    data: Any,
    valid: Any,
    paragraphs: bool,  # noqa: FBT001 of a kernel
    least: int,
    table: Any,
    fold: Any,
    flags: Any,
    expected: int,
    firsts: Any,
) -> Any:
    longest = 0
    for row in range(len(valid)):
        if valid[row]:
            longest = max(longest, offsets[row + 1] - offsets[row])
    text = np.empty(2 * longest + 8, np.uint8)  # a letter grows by one byte at most: "Ⱥ" from 2 to 3
    found = np.empty((expected, 3), np.int64)
    used = 0
    for row in range(len(valid)):
        firsts[row] = used
        if not valid[row]:
            continue
        first, stop = offsets[row], offsets[row + 1]
        begin = first
        _, index = _skip_blank(data, first, stop, flags)
        while index < stop:
            at, more, end = 0, 0, index
            joined = True
            while joined:
                end, at, more = _fold_line(data, index, stop, table, fold, flags, text, at, more)
                index, line = stop, stop
                joined = False
                if end < stop:
                    after = _after_break(data, end, stop)
                    line, index = _skip_blank(data, after, stop, flags)
                    joined = paragraphs and line == after and line < stop
                if joined and at and text[at - 1] != _BLANK:
                    text[at] = _BLANK
                    at += 1
            if at and text[at - 1] == _BLANK:
                at -= 1
            if used == len(found):
                larger = np.empty((2 * len(found), 3), np.int64)
                larger[:used] = found
                found = larger
            found[used, _START] = begin - first
            found[used, _STOP] = end - first
            found[used, _HASH] = (
                np.int64(max(xxh64(text, 0, at, np.uint64(0)), np.uint64(1))) if at - more >= least else 0
            )
            used += 1
            begin = line
    firsts[len(valid)] = used
    return found[:used]


@kernel
def _count(  # noqa: PLR0917 a kernel takes columns
    hashes: Any, rows: Any, owners: Any, counted: Any, table: Any, found: Any, documents: Any, least: Any
) -> int:
    mask = np.uint64(len(table) - 1)
    last = np.full(len(hashes), -1, np.int64)
    used = 0
    for n in range(len(hashes)):
        if hashes[n] == 0:
            continue
        slot = hashes[n] & mask
        while table[slot] >= 0 and found[table[slot]] != hashes[n]:
            slot = (slot + np.uint64(1)) & mask
        at = table[slot]
        if at < 0:
            at = used
            table[slot] = used
            found[used] = hashes[n]
            used += 1
        if counted[rows[n]] and last[at] != rows[n]:
            documents[at] += 1
            least[at] = min(least[at], owners[rows[n]])
            last[at] = rows[n]
    return used


@kernel
def _look_up(hashes: Any, known: Any, table: Any) -> Any:
    mask = np.uint64(len(table) - 1)
    for n in range(len(known)):
        slot = known[n] & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = n
    places = np.full(len(hashes), -1, np.int64)
    for n in range(len(hashes)):
        slot = hashes[n] & mask
        while table[slot] >= 0 and known[table[slot]] != hashes[n]:
            slot = (slot + np.uint64(1)) & mask
        places[n] = table[slot]
    return places
