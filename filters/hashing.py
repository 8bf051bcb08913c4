"""Hashes that are the same on every machine: of text (xxHash64) and of document ids (MurmurHash3's finaliser).

* xxHash64 (Yann Collet, https://github.com/Cyan4973/xxHash, specification 0.1.1): what the package ``xxhash`` gives as
  ``xxh64``, so that anyone can recompute a hash.
* The 64-bit finaliser of MurmurHash3 (Austin Appleby): a bijection of 64-bit integers whose every output bit depends on
  every input bit.

None is meant against an adversary who chooses documents so that they collide; a document's id (BLAKE2b) is.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .kernels import inlined, kernel
from .text.buffers import load64, text_buffers

if TYPE_CHECKING:
    from numpy.typing import NDArray

ID_BYTES = 16

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_F1 = np.uint64(0xFF51AFD7ED558CCD)
_F2 = np.uint64(0xC4CEB9FE1A85EC53)
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: keeps seed 0 away from 0, which the finaliser maps to 0
_MASK = (1 << 64) - 1


@inlined
def _rotate(value: Any, bits: Any) -> Any:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@inlined
def _round(lane: Any, block: Any) -> Any:
    return _rotate(lane + block * _P2, 31) * _P1


@kernel
def xxh64(data: Any, start: int, stop: int, seed: Any) -> Any:
    """XxHash64 of ``data[start:stop]`` (uint8), for use inside kernels. ``seed`` must be a uint64."""
    address = np.uint64(data.ctypes.data)
    at = np.uint64(start)
    end = np.uint64(stop)
    length = end - at
    eight = np.uint64(8)
    if length >= np.uint64(32):
        v1, v2, v3, v4 = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
        while at + np.uint64(32) <= end:
            v1 = _round(v1, load64(address, at))
            v2 = _round(v2, load64(address, at + eight))
            v3 = _round(v3, load64(address, at + np.uint64(16)))
            v4 = _round(v4, load64(address, at + np.uint64(24)))
            at += np.uint64(32)
        value = _rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18)
        value = (value ^ _round(np.uint64(0), v1)) * _P1 + _P4
        value = (value ^ _round(np.uint64(0), v2)) * _P1 + _P4
        value = (value ^ _round(np.uint64(0), v3)) * _P1 + _P4
        value = (value ^ _round(np.uint64(0), v4)) * _P1 + _P4
    else:
        value = seed + _P5
    value += length
    while at + eight <= end:
        value = _rotate(value ^ _round(np.uint64(0), load64(address, at)), 27) * _P1 + _P4
        at += eight
    if at + np.uint64(4) <= end:
        four = np.uint64(data[at]) | (np.uint64(data[at + np.uint64(1)]) << eight)
        four |= (np.uint64(data[at + np.uint64(2)]) << np.uint64(16)) | (
            np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
        )
        value = _rotate(value ^ (four * _P1), 23) * _P2 + _P3
        at += np.uint64(4)
    while at < end:
        value = _rotate(value ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += np.uint64(1)
    value = (value ^ (value >> np.uint64(33))) * _P2
    value = (value ^ (value >> np.uint64(29))) * _P3
    return value ^ (value >> np.uint64(32))


@kernel
def _hash_rows(offsets: Any, data: Any, valid: Any, seed: Any, hashes: Any) -> None:
    for row in range(len(valid)):
        if valid[row]:
            hashes[row] = xxh64(data, offsets[row], offsets[row + 1], seed)


def hash_text(column: pa.StringArray | pa.BinaryArray, seed: int = 0) -> NDArray[np.uint64]:
    """The xxHash64 of each row's bytes.

    Args:
        column: ``n`` rows of string or binary.
        seed: 0 to 2^64 - 1.

    Returns:
        uint64[n]; 0 for a null row.

    Raises:
        ValueError: The seed is out of range.

    >>> import pyarrow as pa
    >>> [f"{value:016x}" for value in hash_text(pa.array(["", "abc"]))]
    ['ef46db3751d8e999', '44bc2cf5ad770999']
    """
    text = text_buffers(column)
    hashes = np.zeros(len(column), np.uint64)
    _hash_rows(text.offsets, text.data, text.valid, np.uint64(checked_seed(seed)), hashes)
    return hashes


def hash_bytes(data: bytes, seed: int = 0) -> int:
    """The xxHash64 of one value, in plain Python: loading the first kernel of a process takes a second.

    Args:
        data: What to hash.
        seed: 0 to 2^64 - 1.

    Raises:
        ValueError: The seed is out of range.

    >>> f"{hash_bytes(b'abc'):016x}"
    '44bc2cf5ad770999'
    """
    p1, p2, p3, p4, p5 = (int(prime) for prime in (_P1, _P2, _P3, _P4, _P5))

    def rotated(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & _MASK

    def taken(lane: int, block: int) -> int:
        return rotated((lane + block * p2) & _MASK, 31) * p1 & _MASK

    whole = len(data) // 32 * 32
    value = checked_seed(seed) + p5
    if whole:
        lanes = [(seed + start) & _MASK for start in (p1 + p2, p2, 0, -p1)]
        for blocks in struct.iter_unpack("<4Q", data[:whole]):
            lanes = [taken(lane, block) for lane, block in zip(lanes, blocks, strict=True)]
        value = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            value = ((value ^ taken(0, lane)) * p1 + p4) & _MASK
    value = (value + len(data)) & _MASK
    eights, fours = whole + (len(data) - whole) // 8 * 8, len(data) // 4 * 4
    for (block,) in struct.iter_unpack("<Q", data[whole:eights]):
        value = (rotated(value ^ taken(0, block), 27) * p1 + p4) & _MASK
    for (block,) in struct.iter_unpack("<I", data[eights:fours]):
        value = (rotated(value ^ (block * p1 & _MASK), 23) * p2 + p3) & _MASK
    for byte in data[fours:]:
        value = rotated(value ^ (byte * p5 & _MASK), 11) * p1 & _MASK
    value = (value ^ (value >> 33)) * p2 & _MASK
    value = (value ^ (value >> 29)) * p3 & _MASK
    return value ^ (value >> 32)


def fmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser of each value: a bijection; 0 stays 0.

    >>> [f"{value:x}" for value in fmix64(np.array([0, 1], np.uint64))]
    ['0', 'b456bcfc34c2cb2c']
    """
    mixed = values ^ (values >> np.uint64(33))
    mixed *= _F1
    mixed ^= mixed >> np.uint64(33)
    mixed *= _F2
    mixed ^= mixed >> np.uint64(33)
    return mixed


@inlined
def finalised(value: Any) -> Any:
    """:func:`fmix64` of one uint64, for use inside kernels."""
    value = (value ^ (value >> np.uint64(33))) * _F1
    value = (value ^ (value >> np.uint64(33))) * _F2
    return value ^ (value >> np.uint64(33))


def mix64(seed: int, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit hash of each 128-bit value: ``fmix(fmix(fmix(seed + g) ^ high) ^ low)``, g = 0x9E3779B97F4A7C15.

    For equal ``high``, no two ``low`` collide.

    Args:
        seed: 0 to 2^64 - 1; another seed is another, unrelated order.
        high: uint64[n].
        low: uint64[n].

    Returns:
        uint64[n].

    Raises:
        ValueError: The seed is out of range.

    >>> one = np.array([1], np.uint64)
    >>> mix64(17, one, one) == mix64(18, one, one)
    array([False])
    """
    start = fmix64(np.array([(checked_seed(seed) + _GOLDEN) & _MASK], np.uint64))
    return fmix64(fmix64(start ^ high) ^ low)


def checked_seed(seed: int) -> int:
    """The seed, which is from 0 to 2^64 - 1.

    Raises:
        ValueError: It is out of range.
    """
    if not 0 <= seed <= _MASK:
        raise ValueError(f"A seed is an integer from 0 to 2^64 - 1; {seed} was given.")
    return seed


def priorities(ids: pa.FixedSizeBinaryArray, seed: int) -> NDArray[np.uint64]:
    """The order of documents that a study's seed gives: :func:`mix64` of an id's two little-endian halves.

    It depends on nothing but a document's content and the seed, so that no other document, file or worker changes it.

    Args:
        ids: ``n`` ids of 16 bytes, none null.
        seed: 0 to 2^64 - 1.

    Returns:
        uint64[n].

    Raises:
        ValueError: An id is null, ids are not of 16 bytes, or the seed is out of range.

    >>> import pyarrow as pa
    >>> priorities(pa.array([bytes(16)], pa.binary(16)), seed=17).dtype
    dtype('uint64')
    """
    if ids.type != pa.binary(ID_BYTES):
        raise ValueError(f"Priorities are made from ids of type fixed_size_binary[{ID_BYTES}]; these are {ids.type}.")
    if ids.null_count:
        raise ValueError(
            f"{ids.null_count} of {len(ids)} ids are null; leave out the records that gave no document before asking "
            "for priorities."
        )
    data = ids.buffers()[1]
    if not len(ids) or data is None:
        return np.zeros(0, np.uint64)
    halves = (
        np.frombuffer(memoryview(data), "<u8", 2 * len(ids), ids.offset * ID_BYTES).astype(np.uint64).reshape(-1, 2)
    )
    return mix64(seed, halves[:, 0], halves[:, 1])
