"""Document keys and packed arrays: what travels between stages in place of text.

A document key is (part, row) in one uint64; a packed array is a numpy structured array as bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.hashing import hash_text
from ...filters.provenance.repository import repositories

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import DTypeLike, NDArray

    from ..files.parts import Part, Store

ID = np.dtype([("high", ">u8"), ("low", ">u8")])
"""A document's id as two big-endian numbers, so that their order is the order of the hex digits."""

NO_ID = b"\0" * 16


def keys(ordinal: int, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """The keys of rows of the part with this number.

    >>> keys(2, np.array([0, 7])).tolist() == [2 << 32, (2 << 32) + 7]
    True
    """
    return np.uint64(ordinal << 32) | rows.astype(np.uint64)


def ordinals(packed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The parts' numbers in keys."""
    return (packed >> np.uint64(32)).astype(np.int64)


def rows(packed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows in keys."""
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64)


def id_array(column: pa.Array) -> NDArray[Any]:
    """Ids of a fixed_size_binary[16] column as a structured array of `ID`; nulls are zero.

    >>> id_array(pa.array([b"0123456789abcdef", None], pa.binary(16))).shape
    (2,)
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        column = column.fill_null(NO_ID)
    data = column.buffers()[1]
    if not len(column) or data is None:
        return np.zeros(0, ID)
    return np.frombuffer(data, ID, len(column), column.offset * 16)


def id_column(ids: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> pa.Array:
    """The way back; rows where `mask` is true are null."""
    data = np.ascontiguousarray(ids.astype(ID, copy=False))
    bits = None if mask is None else pa.py_buffer(np.packbits(~mask, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(16), len(data), [bits, pa.py_buffer(data)])


def hexadecimal(one: Any) -> str:
    """An id as 32 hex digits."""
    return f"{int(one['high']):016x}{int(one['low']):016x}"


def ties(place: Store, part: Part, source_ordinal: int) -> NDArray[np.uint64]:
    """What decides between documents of equal text: the place of the source, then hashes of repository and name.

    Of two repositories that share files, a fork and its origin, one so keeps all that they share, where hashes of names
    alone would tear both; and neither does because its name comes first in the alphabet.
    """
    names = place.column(part, ("name",)).combine_chunks()
    owners = hash_text(repositories(names).fill_null("")) >> np.uint64(40) << np.uint64(24)
    return np.uint64(source_ordinal << 48) | owners | (hash_text(names) >> np.uint64(40))


def joined(values: Iterable[bytes], dtype: DTypeLike) -> NDArray[Any]:
    """All packed arrays of a bucket as one, in the order of arrival: sort before use."""
    return np.frombuffer(b"".join(values), dtype)


def numbered(number: int, buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Buckets of one of several recipes that share an exchange.

    >>> unnumbered(int(numbered(3, np.array([7]))[0]))
    (3, 7)
    """
    return np.int64(number << 32) + buckets


def unnumbered(bucket: int) -> tuple[int, int]:
    """The recipe's number, and its bucket."""
    return bucket >> 32, bucket & 0xFFFFFFFF


def split(array: NDArray[Any], buckets: NDArray[np.integer[Any]]) -> Iterable[tuple[int, bytes]]:
    """A packed array cut by bucket numbers, as (bucket, bytes) pairs in ascending order of bucket."""
    if not len(buckets):
        return
    low = buckets.min()
    if buckets.max() - low < 1 << 16:  # numpy sorts two-byte integers by radix, four times as fast
        order = np.argsort((buckets - low).astype(np.uint16), kind="stable")
    else:
        order = np.argsort(buckets, kind="stable")
    array, buckets = array[order], buckets[order]
    starts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
    stops = np.r_[starts[1:], len(buckets)]
    for start, stop in zip(starts, stops, strict=True):
        yield int(buckets[start]), array[start:stop].tobytes()
