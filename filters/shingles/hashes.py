"""From text to the hashes of shingles: the kernels behind :mod:`.shingles`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..hashing import finalised
from ..kernels import inlined, kernel
from ..text.buffers import load64
from .blocks import BLOCK
from .code_tokens import code_text, licence_end, mark_code
from .folding import fold_text, mark_characters, mark_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS, CHARACTERS, CODE = range(3)
"""What a document's shingles are made of."""

LONGEST = 64
"""Tokens in a shingle, at most: a 64-bit hash has so many rotations."""

PIECE = 1 << 14
"""Bytes of a document at a time, so that what is made of them stays in the second-level cache."""

_TURN = np.uint64(11)  # odd, so that the 64 places of a shingle have 64 rotations
_M1 = np.uint64(0x9E3779B97F4A7C15)
_M2 = np.uint64(0xD6E8FEB86659FD93)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class Scratch(NamedTuple):
    """What is made of one piece of a document.

    Attributes:
        text: uint8; folded bytes, or code.
        starts: uint32; where each token starts in ``text``.
        ends: uint32; the byte after it.
        tokens: uint64; its hash, after those that the piece before left.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    tokens: NDArray[np.uint64]


def scratch(longest: int) -> Scratch:
    """Room for pieces of so many bytes: 19 bytes for each. A token has a byte at least, and folding doubles at most."""
    return Scratch(
        np.empty(2 * longest + 4 * BLOCK, np.uint8),
        np.empty(longest + BLOCK, np.uint32),
        np.empty(longest + BLOCK, np.uint32),
        np.empty(longest + BLOCK + LONGEST, np.uint64),
    )


@inlined
def fmix32(value: Any) -> Any:
    """MurmurHash3's 32-bit finaliser, which datasketch applies once to every hash before it permutes."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel
def hash_tokens(text: Any, starts: Any, ends: Any, count: Any, hashes: Any) -> None:
    """Hash the bytes of each token: its first eight, all further ones by eights, and its last eight.

    ``text`` goes on for 8 bytes after the last token.
    """
    address = np.uint64(text.ctypes.data)
    eight = np.uint64(8)
    for token in range(count):
        start = np.uint64(starts[token])
        end = np.uint64(ends[token])
        size = end - start
        value = load64(address, start)
        if size <= eight:
            value &= _ALL >> ((eight - size) << np.uint64(3))
            value = (value ^ (size * _M1)) * _M2
        else:
            value = (value ^ (size * _M1)) * _M2
            at = start + eight
            while at + eight < end:
                value = (value ^ (value >> np.uint64(32)) ^ load64(address, at)) * _M1
                at += eight
            value = (value ^ (value >> np.uint64(32)) ^ load64(address, end - eight)) * _M1
        value = (value ^ (value >> np.uint64(32))) * _M2
        hashes[token] = value ^ (value >> np.uint64(29))


@kernel
def hash_shingles(tokens: Any, span: int, out: Any) -> None:
    """Hash each run of ``span`` tokens, ``len(out)`` of them: their hashes, each rotated by its place, added and mixed.

    256 runs at a time, so that the sums stay in the first-level cache.
    """
    sums = np.empty(256, np.uint64)
    for first in range(0, len(out), 256):
        size = min(256, len(out) - first)
        for index in range(size):
            sums[index] = tokens[first + index]
        turn = np.uint64(0)
        for place in range(1, span):
            turn = (turn + _TURN) & np.uint64(63)
            back = np.uint64(64) - turn
            shifted = tokens[first + place : first + place + size]
            for index in range(size):
                sums[index] += (shifted[index] << turn) | (shifted[index] >> back)
        part = out[first : first + size]
        for index in range(size):
            part[index] = np.uint32(finalised(sums[index]))


@inlined
def piece_end(data: Any, first: Any, index: Any, stop: Any) -> Any:
    """Where the piece at ``index`` of a document that starts at ``first`` ends.

    That is at the first white space in ASCII from the next multiple of PIECE on: no token goes on there.
    """
    end = first + ((index - first) // np.uint64(PIECE) + np.uint64(1)) * np.uint64(PIECE)
    while end < stop and data[end] > 0x20:
        end += np.uint64(1)
    return min(end, stop)


@kernel
def longest_piece(offsets: Any, data: Any, valid: Any) -> Any:
    """Bytes (uint64) of the longest piece of any document. A text of a megabyte without white space is one piece."""
    longest = np.uint64(0)
    for row in range(len(valid)):
        if valid[row]:
            index = first = np.uint64(offsets[row])
            stop = np.uint64(offsets[row + 1])
            while index < stop:
                end = piece_end(data, first, index, stop)
                longest = max(longest, end - index)
                index = end
    return longest


@kernel
def _hash_document(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, first: Any, start: Any, stop: Any, unit: int, span: int, fold: Any, flags: Any, room: Any, out: Any
) -> int:
    """Hash the shingles of the document ``data[first:stop]``, read from ``start`` on; how many.

    It is read in pieces, so that memory stays small whatever its length.
    """
    made = 0
    held: Any = 0  # tokens in hand: the last of the pieces before, which shingles of the next begin with
    begins_line = np.uint64(1)
    index = start
    while index < stop:
        end = piece_end(data, first, index, stop)
        if unit == CODE:
            size = code_text(data, index, end, flags, room.text)
            count, begins_line = mark_code(room.text, size, begins_line, room.starts, room.ends)
        else:
            size = fold_text(data, index, end, fold, flags, room.text)
            if unit == WORDS:
                count = mark_words(room.text, size, room.starts, room.ends)
            else:
                count = mark_characters(room.text, size, room.starts, room.ends)
        hash_tokens(room.text, room.starts, room.ends, count, room.tokens[held:])
        held += np.int64(count)
        whole = held - span + 1
        if whole > 0:
            hash_shingles(room.tokens, span, out[made : made + whole])
            made += whole
            held = span - 1
            for token in range(held):
                room.tokens[token] = room.tokens[whole + token]
        index = end
    if made == 0 and held > 0:
        hash_shingles(room.tokens, held, out[:1])
        made = 1
    return made


@kernel
def hash_documents(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    units: Any,
    spans: Any,
    fold: Any,
    flags: Any,
    room: Any,
    out_offsets: Any,
    out: Any,
) -> None:
    """Hash the shingles of every row into ``out``, one row after the other."""
    made = 0
    for row in range(len(valid)):
        if valid[row]:
            first = np.uint64(offsets[row])
            stop = np.uint64(offsets[row + 1])
            unit = units[row]
            start = licence_end(data, first, stop) if unit == CODE else first
            count = _hash_document(data, first, start, stop, unit, spans[unit], fold, flags, room, out[made:])
            if count == 0 and start > first:  # nothing but a licence
                count = _hash_document(data, first, first, stop, unit, spans[unit], fold, flags, room, out[made:])
            made += count
        out_offsets[row + 1] = made
