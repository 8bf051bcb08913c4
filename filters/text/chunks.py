"""Chunks (maximal runs without white space): walking over them, hashing them, and finding those that are known.

What spaCy makes of a chunk is kept by :mod:`.english`; these are the kernels that read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..kernels import inlined, kernel
from .buffers import decode, load64
from .words import SPACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

IS_WORD = 1
"""A token that counts as a word."""
HAS_LETTER = 2
IS_PUNCT = 4
"""A token of nothing but Unicode category P."""
ENDS_SENTENCE = 8
"""A token that is one character which ends a sentence."""
AFTER_SPACE = 16
"""A token after white space that spaCy makes a token of its own: anything but one U+0020, or any before the first."""

GAP = 3
"""Bytes of the separator that follows each chunk in the memo."""

_PADDING = 8  # load64 may read so far past the end

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_ONE, _EIGHT, _HALF = np.uint64(1), np.uint64(8), np.uint64(32)


class Chunks(NamedTuple):
    """What is known of chunks, as kernels take it.

    Attributes:
        table: int32[a power of two]; a hash table of chunk + 1, 0 where empty.
        hashes: uint64[chunks].
        starts: int64[chunks + 1]; a chunk is ``data[starts[i] : starts[i + 1] - 3]``, separators follow.
        data: uint8[bytes].
        first: int64[chunks + 1]; a chunk's tokens are ``first[i] : first[i + 1]``.
        lengths: int32[tokens]; bytes.
        characters: int32[tokens]; code points.
        kinds: uint8[tokens]; IS_WORD and so on.
        token_hashes: uint64[tokens].
    """

    table: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    data: NDArray[np.uint8]
    first: NDArray[np.int64]
    lengths: NDArray[np.int32]
    characters: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    token_hashes: NDArray[np.uint64]


def no_chunks(chunks: int = 1, size: int = 1) -> Chunks:
    """An empty memo with room for so many chunks and bytes of chunks."""
    capacity = 1 << max(4, (2 * chunks - 1).bit_length())
    return Chunks(
        np.zeros(capacity, np.int32),
        np.zeros(chunks, np.uint64),
        np.zeros(chunks + 1, np.int64),
        np.zeros(size + _PADDING, np.uint8),
        np.zeros(chunks + 1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.int32),
        np.zeros(0, np.uint8),
        np.zeros(0, np.uint64),
    )


@inlined
def address_of(data: Any) -> Any:
    """Where an array (uint8) stands in memory. The caller must hold the array for as long as it uses the address."""
    return np.uint64(data.ctypes.data)


@kernel
def hash_bytes(address: Any, start: Any, stop: Any) -> Any:
    """A 64-bit hash of the bytes from ``start`` to ``stop``, which 8 more must follow.

    Takes an address, because an array handed to a kernel costs more than hashing a word. Different for any two texts of
    up to 8 bytes and the same length.
    """
    at, end = np.uint64(start), np.uint64(stop)
    value = (end - at) * _P1
    while at + _EIGHT <= end:
        value = (value ^ load64(address, at)) * _P2
        value ^= value >> _HALF
        at += _EIGHT
    if at < end:
        rest = load64(address, at) & ((_ONE << (_EIGHT * (end - at))) - _ONE)
        value = (value ^ rest) * _P2
        value ^= value >> _HALF
    value *= _P3
    return value ^ (value >> _HALF)


@kernel
def _same(left: Any, start: int, right: Any, other: int, length: int) -> Any:
    """Whether two stretches, told by address and start, are equal; 8 more bytes must follow each."""
    at, also, end = np.uint64(start), np.uint64(other), np.uint64(start + length)
    while at + _EIGHT <= end:
        if load64(left, at) != load64(right, also):
            return False
        at += _EIGHT
        also += _EIGHT
    if at == end:
        return True
    different = load64(left, at) ^ load64(right, also)
    return (different & ((_ONE << (_EIGHT * (end - at))) - _ONE)) == np.uint64(0)


@inlined
def find_chunk(  # noqa: PLR0917 (a kernel takes columns)
    table: Any, hashes: Any, starts: Any, known: Any, address: Any, start: Any, stop: Any, hashed: Any
) -> Any:
    """The slot of the table that holds a chunk's number + 1, or 0 if it is not known.

    Args:
        table: Of :class:`Chunks`, as ``hashes`` and ``starts`` are.
        hashes: See there.
        starts: See there.
        known: The address of their ``data``.
        address: Of the text that the chunk is in, from ``start`` to ``stop``.
        start: See there.
        stop: See there.
        hashed: :func:`hash_bytes` of the chunk.
    """
    mask = np.uint64(len(table) - 1)
    slot = hashed & mask
    same = False
    while table[slot] and not same:
        chunk = table[slot] - 1
        if hashes[chunk] == hashed and starts[chunk + 1] - starts[chunk] == stop - start + GAP:
            same = _same(address, start, known, starts[chunk], stop - start)
        if not same:
            slot = (slot + _ONE) & mask
    return slot


@inlined
def next_chunk(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, index: Any, stop: Any, flags: Any, room: Any, filled: Any
) -> tuple[Any, Any, Any]:
    """Copy the chunk at or after ``index`` into ``room``, from ``filled`` on.

    Returns:
        The index after it, how far ``room`` is filled, and the white space before it: 0 none, 1 one U+0020, 2 other.
    """
    at, end, to = np.uint64(index), np.uint64(stop), np.uint64(filled)  # signed indices cost a comparison each
    begun = at
    plain = True
    inside = True
    while inside and at < end:
        byte = data[at]
        if byte < 0x80:
            inside = (flags[byte] & SPACE) != 0
            plain = plain and (byte == 0x20 or not inside)
            at += np.uint64(inside)
        else:
            point, after = decode(data, np.int64(at), stop)
            inside = (flags[point] & SPACE) != 0
            if inside:
                plain = False
                at = np.uint64(after)
    space = 0 if at == begun else 1 if plain and at == begun + _ONE else 2
    inside = True
    while inside and at < end:
        byte = data[at]
        if 0x20 < byte < 0x80:
            room[to] = byte
            to += _ONE
            at += _ONE
        elif byte < 0x80:
            inside = not flags[byte] & SPACE
            room[to] = byte
            to += np.uint64(inside)
            at += np.uint64(inside)
        else:
            point, after = decode(data, np.int64(at), stop)
            inside = not flags[point] & SPACE
            while inside and at < np.uint64(after):
                room[to] = data[at]
                to += _ONE
                at += _ONE
    return np.int64(at), np.int64(to), space
