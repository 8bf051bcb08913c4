"""Tokens of source code for MinHash, one rule for all programming languages.

* A token is a run of letters, digits and underscores with its case as it is, or one other printable ASCII character.
  In scripts that write no spaces, each letter is a token, as in running text.
* White space, line ends and signs beyond ASCII are none, so code that was indented or wrapped anew has the same tokens.
* What decorates comments is none: ``# * / ; % ! - =`` where a line begins, and ``/`` and ``*`` beside each other.
  That takes a few operators with it (``**``, or a ``-`` that begins a line), in all copies alike.
* A licence in the comments that a file begins with is left out, if anything comes after it: copies of one file under
  two licences are near duplicates, and two short files are none for having the same licence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import inlined, kernel
from ..text.buffers import decode
from ..text.words import MARK, SOLO, WORD
from .blocks import BLOCK, LAST, ONE, copy64, follows, is64, put_places, within64
from .folding import ascii_prefix


@kernel
def code_text(data: Any, start: Any, stop: Any, flags: Any, text: Any) -> Any:
    """Copy ``data[start:stop]``, with 0 for what is beyond ASCII and no letter, and before and after lone letters.

    Args:
        data: uint8[bytes]; UTF-8.
        start: uint64; first byte of a piece that starts with a new token.
        stop: uint64; the byte after it.
        flags: uint8[0x110000], as :func:`..text.words.flags` gives it.
        text: uint8[2 (stop - start) + 4 BLOCK]; written.

    Returns:
        uint64, the bytes written; zeros follow them.
    """
    address = np.uint64(data.ctypes.data)
    target = np.uint64(text.ctypes.data)
    limit = np.uint64(len(data))
    index = start
    at = np.uint64(0)
    solo = False
    while index < stop:
        prefix = ascii_prefix(address, index, stop, limit)
        if prefix:
            if solo:
                text[at] = 0
                at += ONE
                solo = False
            copy64(address + index, target + at)
            index += prefix
            at += prefix
        for _ in range(BLOCK):  # then what is not ASCII, or the last bytes of the column
            if index >= stop or (data[index] < 0x80 and index + np.uint64(BLOCK) <= limit):
                break
            point, end = decode(data, np.int64(index), np.int64(stop))
            after = np.uint64(end)
            flag = flags[point]
            alone = (flag & SOLO) != 0
            if alone or (solo and not flag & MARK):
                text[at] = 0
                at += ONE
                solo = alone
            if point >= 0x80 and not flag & WORD:
                text[at] = 0
                at += ONE
            else:
                for byte in range(index, after):
                    text[at] = data[byte]
                    at += ONE
            index = after
    for place in range(BLOCK + 1):
        text[at + np.uint64(place)] = 0
    return at


@inlined
def _names(block: Any) -> Any:
    """Which of 64 bytes are part of a name or number."""
    letters = within64(block, 0x41, 0x5A) | within64(block, 0x61, 0x7A) | is64(block, 0x5F)
    return letters | within64(block, 0x30, 0x39) | within64(block, 0x80, 0xFF)


@inlined
def _paired(block: Any) -> Any:
    """Which of 64 bytes are ``/`` or ``*``, which decorate a comment beside another of these."""
    return is64(block, 0x2F) | is64(block, 0x2A)


@inlined
def _leading(block: Any) -> Any:
    """Which of 64 bytes are white space, or decorate a comment where a line begins, but for ``/`` and ``*``."""
    space = within64(block, 0x20, 0x21) | is64(block, 0x09) | within64(block, 0x0B, 0x0C)  # with "!"
    return space | is64(block, 0x23) | is64(block, 0x25) | is64(block, 0x2D) | is64(block, 0x3B) | is64(block, 0x3D)


@kernel
def mark_code(text: Any, size: Any, begins_line: Any, starts: Any, ends: Any) -> tuple[Any, Any]:
    """Where each token of a piece of code starts and ends.

    Args:
        text: uint8[size + BLOCK + 1]; as :func:`code_text` writes it.
        size: uint64.
        begins_line: uint64; 1 where nothing but decoration stands before it in its line, else 0.
        starts: uint32[size]; written.
        ends: uint32[size]; written.

    Returns:
        How many tokens (uint64), and ``begins_line`` for the piece that follows.
    """
    address = np.uint64(text.ctypes.data)
    tokens = stops = base = np.uint64(0)
    names = signs = lines = pairs = np.uint64(0)  # of the block before
    going_on = begins_line  # 1 where the decoration of the line goes on from the block before
    while base <= size:
        block = address + base
        line = is64(block, 0x0A) | is64(block, 0x0D)
        pair = _paired(block)
        lead = _leading(block) | pair
        # Adding the first bit of a run of ones carries through the run: what changes is the run at a line's beginning.
        carried = lead + ((follows(line, lines) | going_on) & lead)
        leading = lead & ~carried
        going_on = ONE if carried < lead else np.uint64(0)
        following = text[base + np.uint64(BLOCK)]
        beside = follows(pair, pairs) | (pair >> ONE)
        if following in (0x2F, 0x2A):
            beside |= LAST
        name = _names(block)
        sign = within64(block, 0x21, 0x7E) & ~name & ~leading & ~(pair & beside)
        after = follows(name, names)
        tokens = put_places(starts, tokens, base, (name & ~after) | sign)
        stops = put_places(ends, stops, base, (after & ~name) | follows(sign, signs))
        if base + np.uint64(BLOCK) >= size > base:
            begins_line = ((leading | line) >> (size - base - ONE)) & ONE
        names, signs, lines, pairs = name, sign, line, pair
        base += np.uint64(BLOCK)
    return stops, begins_line


@kernel
def licence_end(data: Any, start: Any, stop: Any) -> Any:
    """Where the licence ends that a file begins with; ``start`` if there is none.

    Comments at the beginning are read one after the other: ``/* … */``, ``<!-- … -->``, and lines that begin with
    ``#``, ``//``, ``--``, ``;`` or ``%`` without an empty line between. All up to the last that holds "copyright",
    "licen" or "spdx", in either case, are the licence.
    """
    found = start
    at = start
    if stop - start > np.uint64(3) and data[at] == 0xEF and data[at + ONE] == 0xBB:  # a byte order mark
        at += np.uint64(3)
    while True:
        while at < stop and data[at] <= 0x20:
            at += ONE
        end = _comment_end(data, at, stop)
        if end == at:
            return found
        if _names_licence(data, at, end):
            found = end
        at = end


@inlined
def _byte(data: Any, at: Any, stop: Any) -> Any:
    return data[at] if at < stop else np.uint8(0)


@kernel
def _comment_end(data: Any, at: Any, stop: Any) -> Any:
    """Where the comment at ``at`` ends; ``at`` if there is none."""
    byte, after = _byte(data, at, stop), _byte(data, at + ONE, stop)
    if byte == ord("/") and after == ord("*"):
        end = at + np.uint64(2)
        while end < stop and not (data[end] == ord("*") and _byte(data, end + ONE, stop) == ord("/")):
            end += ONE
        return min(end + np.uint64(2), stop)
    if byte == ord("<") and after == ord("!") and _byte(data, at + np.uint64(2), stop) == ord("-"):
        end = at
        while end < stop and not (data[end] == ord("-") and _byte(data, end + ONE, stop) == ord(">")):
            end += ONE
        return min(end + np.uint64(2), stop)
    end = at
    while _comments_line(data, end, stop):
        while end < stop and data[end] != ord("\n"):
            end += ONE
        end = min(end + ONE, stop)
        while _byte(data, end, stop) == ord(" ") or _byte(data, end, stop) == ord("\t"):
            end += ONE
    return end


@kernel
def _comments_line(data: Any, at: Any, stop: Any) -> bool:
    """Whether a line comment starts at ``at``; ``#`` before a letter is the C preprocessor's."""
    byte, after = _byte(data, at, stop), _byte(data, at + ONE, stop)
    if byte == ord("#"):
        return not np.uint8((after | np.uint8(0x20)) - np.uint8(0x61)) < np.uint8(26)
    if byte == ord("/") or byte == ord("-"):
        return bool(after == byte)
    return bool(byte == ord(";") or byte == ord("%"))


@kernel
def _names_licence(data: Any, start: Any, stop: Any) -> bool:
    for at in range(start, stop):
        lower = data[at] | np.uint8(0x20)
        if (
            (lower == ord("l") and _spells(data, at, stop, b"licen"))
            or (lower == ord("c") and _spells(data, at, stop, b"copyright"))
            or (lower == ord("s") and _spells(data, at, stop, b"spdx"))
        ):
            return True
    return False


@inlined
def _spells(data: Any, at: Any, stop: Any, word: bytes) -> bool:
    """Whether the letters at ``at`` are those of ``word``, in either case."""
    size = len(word)
    if at + np.uint64(size) > stop:
        return False
    same = 0
    while same < size and (data[at + np.uint64(same)] | np.uint8(0x20)) == word[same]:
        same += 1
    return same == size
