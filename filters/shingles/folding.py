"""Words for MinHash: text → folded text → where each word, or each character, starts and ends.

The rule is that of :func:`..text.words.folded`: lower-cased, without diacritics, cut at every symbol, one letter each
in scripts that write no spaces. ASCII is folded 64 bytes at a time by comparisons, everything else by the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import inlined, kernel
from ..text.buffers import decode
from ..text.words import DROPPED, MARK, SEPARATES, SOLO
from .blocks import BLOCK, first_bit, follows, is64, put_places, within64

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@inlined
def ascii_prefix(address: Any, index: Any, stop: Any, limit: Any) -> Any:
    """How many of the bytes from ``index`` are ASCII, up to 64 and up to ``stop``; 0 if a block would pass ``limit``.

    Reading goes on past ``stop``, the end of a document, as long as the column's bytes do.
    """
    if index + np.uint64(BLOCK) > limit:
        return np.uint64(0)
    return min(first_bit(within64(address + index, 0x80, 0xFF)), stop - index)


@inlined
def _fold_ascii(source: Any, folded: Any) -> None:
    """Lower case and digits as they are, 0 for the rest; comparisons alone, so that the compiler uses vectors."""
    for lane in range(BLOCK):
        byte = source[lane]
        lower = np.uint8(byte | np.uint8(0x20))
        letter = np.uint8(lower - np.uint8(0x61)) < np.uint8(26)
        digit = np.uint8(byte - np.uint8(0x30)) < np.uint8(10)
        folded[lane] = lower if letter or digit else np.uint8(0)


@inlined
def put_point(text: Any, at: Any, point: Any) -> Any:
    """Write a code point as UTF-8; the index after it."""
    low = np.uint8(0x80 | (point & 0x3F))
    if point < 0x80:
        text[at] = np.uint8(point)
        return at + np.uint64(1)
    if point < 0x800:
        text[at] = np.uint8(0xC0 | (point >> 6))
        text[at + np.uint64(1)] = low
        return at + np.uint64(2)
    middle = np.uint8(0x80 | ((point >> 6) & 0x3F))
    if point < 0x10000:
        text[at] = np.uint8(0xE0 | (point >> 12))
        text[at + np.uint64(1)] = middle
        text[at + np.uint64(2)] = low
        return at + np.uint64(3)
    text[at] = np.uint8(0xF0 | (point >> 18))
    text[at + np.uint64(1)] = np.uint8(0x80 | ((point >> 12) & 0x3F))
    text[at + np.uint64(2)] = middle
    text[at + np.uint64(3)] = low
    return at + np.uint64(4)


@kernel
def fold_text(data: Any, start: Any, stop: Any, fold: Any, flags: Any, text: Any) -> Any:  # noqa: PLR0917 (as there)
    """Write the folded bytes of ``data[start:stop]``; a 0 byte, or several, stands between words.

    Args:
        data: uint8[bytes]; UTF-8.
        start: uint64; first byte of a piece that starts with a new word.
        stop: uint64; the byte after it.
        fold: uint32[0x110000], as :func:`..text.words.folded` gives it.
        flags: uint8[0x110000], as :func:`..text.words.flags` gives it.
        text: uint8[2 (stop - start) + 3 BLOCK]; written. A letter grows by at most one byte ("Ⱥ", from 2 to 3), and by
            one 0 before it where it, or the letter before it, stands alone (3 bytes).

    Returns:
        uint64, the bytes written; zeros follow them, so that a last word ends.
    """
    address = np.uint64(data.ctypes.data)
    limit = np.uint64(len(data))
    index = start
    at = _ZERO
    solo = False
    while index < stop:
        prefix = ascii_prefix(address, index, stop, limit)
        if prefix:
            if solo:
                text[at] = 0
                at += _ONE
                solo = False
            _fold_ascii(data[index : index + np.uint64(BLOCK)], text[at : at + np.uint64(BLOCK)])
            index += prefix
            at += prefix
        for _ in range(BLOCK):  # then what is not ASCII, or the last bytes of the column
            if index >= stop or (data[index] < 0x80 and index + np.uint64(BLOCK) <= limit):
                break
            point, after = decode(data, np.int64(index), np.int64(stop))
            index = np.uint64(after)
            folded = fold[point]
            if folded == DROPPED:
                continue
            if folded == SEPARATES:
                text[at] = 0
                at += _ONE
                solo = False
                continue
            flag = flags[point]
            alone = (flag & SOLO) != 0
            if alone or (solo and not flag & MARK):
                text[at] = 0
                at += _ONE
                solo = alone
            at = put_point(text, at, folded)
    for place in range(BLOCK + 1):
        text[at + np.uint64(place)] = 0
    return at


@kernel
def mark_words(text: Any, size: Any, starts: Any, ends: Any) -> Any:
    """Where each word of a folded text starts and ends: runs of bytes that are not 0; how many words (uint64)."""
    address = np.uint64(text.ctypes.data)
    words = stops = before = base = _ZERO
    while base <= size:
        inside = ~is64(address + base, 0)
        after = follows(inside, before)
        words = put_places(starts, words, base, inside & ~after)
        stops = put_places(ends, stops, base, after & ~inside)
        before = inside
        base += np.uint64(BLOCK)
    return stops


@kernel
def mark_characters(text: Any, size: Any, starts: Any, ends: Any) -> Any:
    """Where each character of a folded text starts and ends, 0 bytes left out; how many (uint64)."""
    address = np.uint64(text.ctypes.data)
    characters = stops = before = base = _ZERO
    while base <= size:
        inside = ~is64(address + base, 0)
        leads = inside & ~within64(address + base, 0x80, 0xBF)
        characters = put_places(starts, characters, base, leads)
        stops = put_places(ends, stops, base, follows(inside, before) & (leads | ~inside))
        before = inside
        base += np.uint64(BLOCK)
    return stops
