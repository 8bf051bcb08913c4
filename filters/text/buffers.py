"""A column of text as kernels read it: its offsets and bytes, the code points in them, and eight bytes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from ..kernels import inlined, intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPLACEMENT = 0xFFFD
"""What a byte that is not UTF-8 decodes to. Arrow does not check text that is read from a file."""


class Text(NamedTuple):
    """The buffers of a string column of ``n`` rows, as kernels take them.

    Attributes:
        offsets: int64[n + 1]; row ``i`` is ``data[offsets[i] : offsets[i + 1]]``.
        data: uint8[bytes]; UTF-8, read only.
        valid: bool[n]; False for a null row, whose bytes mean nothing.
    """

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]
    valid: NDArray[np.bool_]


def text_column(documents: pa.RecordBatch, name: str = "text") -> pa.StringArray:
    """The column of text that a score reads.

    Raises:
        ValueError: There is no such column, or it holds no strings.

    >>> text_column(pa.record_batch({"text": ["a", None]})).null_count
    1
    """
    if name not in documents.schema.names:
        have = ", ".join(documents.schema.names) or "none"
        raise ValueError(f"The score reads the column {name!r}, but the batch holds these columns: {have}.")
    column = documents.column(name)
    if pa.types.is_string(column.type):
        return cast("pa.StringArray", column)
    if not (pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)):
        raise ValueError(f"The score reads the column {name!r} as text, but it holds {column.type}.")
    return cast("pa.StringArray", column.cast(pa.string()))


def optional_column(documents: pa.RecordBatch, name: str) -> pa.StringArray:
    """A column of strings that a score reads where there is one; nulls where there is none.

    Raises:
        ValueError: It holds no strings.

    >>> optional_column(pa.record_batch({"text": ["a"]}), "kind").to_pylist()
    [None]
    """
    if name not in documents.schema.names:
        return pa.nulls(len(documents), pa.string())
    return text_column(documents, name)


def text_buffers(column: pa.StringArray | pa.BinaryArray) -> Text:
    """The buffers of a column of ``string`` or ``binary``, without copying its bytes; slices and nulls included.

    >>> text_buffers(pa.array(["ab", None, "c"]).slice(1)).offsets.tolist()
    [2, 2, 3]
    """
    rows = len(column)
    _, offsets, data = column.buffers()
    if rows and offsets is not None:
        start = np.frombuffer(memoryview(offsets), np.int32, rows + 1, column.offset * 4).astype(np.int64)
    else:
        start = np.zeros(1, np.int64)
    raw = np.frombuffer(b"" if data is None else memoryview(data), np.uint8)
    valid = np.ones(rows, np.bool_)
    if column.null_count:
        import pyarrow.compute as pc

        valid = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    return Text(start, raw, valid)


@inlined
def decode(data: Any, index: Any, stop: Any) -> tuple[Any, Any]:
    """The code point at ``data[index]`` and the index after it; never reads at or past ``stop``."""
    first = np.int64(data[index])
    if first < 0x80:
        return first, index + 1
    if 0xC2 <= first < 0xE0 and index + 1 < stop:
        return ((first & 0x1F) << 6) | (np.int64(data[index + 1]) & 0x3F), index + 2
    if 0xE0 <= first < 0xF0 and index + 2 < stop:
        point = ((first & 0x0F) << 12) | ((np.int64(data[index + 1]) & 0x3F) << 6)
        return point | (np.int64(data[index + 2]) & 0x3F), index + 3
    if 0xF0 <= first < 0xF5 and index + 3 < stop:
        point = ((first & 0x07) << 18) | ((np.int64(data[index + 1]) & 0x3F) << 12)
        point |= ((np.int64(data[index + 2]) & 0x3F) << 6) | (np.int64(data[index + 3]) & 0x3F)
        return (point, index + 4) if point < 0x110000 else (np.int64(REPLACEMENT), index + 1)
    return np.int64(REPLACEMENT), index + 1


@intrinsic
def load64(_typing: Any, _address: Any, _offset: Any) -> Any:
    """Eight bytes at ``address + offset`` as uint64: one instruction, where eight indexed bytes would be twenty."""
    from llvmlite import ir
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*arguments), ir.IntType(64).as_pointer())
        value = builder.load(pointer)
        value.align = 1
        return value

    return types.uint64(types.uint64, types.uint64), generate
