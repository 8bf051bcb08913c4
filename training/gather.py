"""Kernels that copy rows from many memory maps into one batch, and read bits of document starts.

A batch of a shuffled run takes each row from another shard. A Python loop costs about 1 µs a row, which is a billion
tokens a second at 1,024 tokens to a row before anything is copied; a kernel over addresses costs the copy.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from ..filters.kernels import intrinsic, kernel
from . import late

if TYPE_CHECKING:
    from numpy.typing import NDArray


@intrinsic
def _copy(_typing: Any, _target: Any, _source: Any, _count: Any) -> Any:
    """Copy so many bytes from one address to another, as memcpy does."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        pointer = ir.IntType(8).as_pointer()
        target, source = builder.inttoptr(target, pointer), builder.inttoptr(source, pointer)
        cgutils.raw_memcpy(builder, target, source, count, 1)

    return types.void(types.uint64, types.uint64, types.uint64), generate


@kernel
def _move(addresses: Any, rows: Any, width: Any, out: Any) -> None:
    target = np.uint64(out.ctypes.data)
    for n in range(len(rows)):
        _copy(target + np.uint64(n) * width, addresses[n] + np.uint64(rows[n]) * width, width)


def _move_early(addresses: Any, rows: Any, width: Any, out: Any) -> None:
    """What the kernel does, a call for each row."""
    target = out.ctypes.data
    for source in (addresses + rows.astype(np.uint64) * width).tolist():
        ctypes.memmove(target, source, int(width))
        target += int(width)


def gather(addresses: NDArray[np.uint64], rows: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Copy rows of memory into `out`: row n is the `rows[n]`-th of the table that begins at `addresses[n]`.

    Args:
        addresses: uint64[n]; where tables begin. They must be alive, and hold rows as wide as those of `out`.
        rows: int64[n]; not negative, inside their tables. Nothing here can check that.
        out: Any dtype, shape (n, …), contiguous.

    Raises:
        ValueError: The lengths differ, or `out` is not contiguous.
    """
    if not len(addresses) == len(rows) == len(out) or not out.flags.c_contiguous:
        raise ValueError(
            f"{len(addresses)} addresses, {len(rows)} rows and {len(out)} places, "
            f"contiguous: {out.flags.c_contiguous}; equal lengths and a contiguous array are needed."
        )
    if len(out):
        width = np.uint64(out.nbytes // len(out))
        move = _move if late.pays(len(out)) else _move_early
        move(addresses, rows, width, out.reshape(-1).view(np.uint8))


@kernel
def _segments(bits: Any, numbers: Any, positions: Any) -> None:
    rows, length = numbers.shape
    for row in range(rows):
        number, begin = 0, 0
        for at in range(length):
            if bits[row, at >> 3] & (0x80 >> (at & 7)):
                number += at > 0
                begin = at
            numbers[row, at] = number
            positions[row, at] = at - begin


def _segments_early(bits: Any, numbers: Any, positions: Any) -> None:
    """What the kernel does, in numpy."""
    length = numbers.shape[1]
    starts = np.unpackbits(bits, axis=1, count=length)
    starts[:, :1] = 0
    at = np.arange(length, dtype=np.int32)
    np.cumsum(starts, axis=1, out=numbers)
    np.subtract(at, np.maximum.accumulate(starts * at, axis=1), out=positions)


def segments(bits: NDArray[np.uint8], length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Which document of its sequence each token is of, and its place in that document, from the bits of starts.

    Args:
        bits: uint8 of shape (n, ceil(length / 8)); a bit for each token, the first in the highest place, set where a
            document begins.
        length: Tokens in a sequence.

    Returns:
        Two int32 arrays of shape (n, length). Numbers count from 0 in each sequence; places count from 0 at each start
        and at position 0, where the rest of an earlier document may stand.

    Raises:
        ValueError: There are too few bits for so many tokens.

    >>> numbers, positions = segments(np.array([[0b00101000]], np.uint8), 6)
    >>> numbers.tolist(), positions.tolist()
    ([[0, 0, 1, 1, 2, 2]], [[0, 1, 0, 1, 0, 1]])
    """
    if bits.ndim != 2 or bits.shape[1] * 8 < length:
        raise ValueError(f"Bits of shape {bits.shape} do not hold {length} tokens a row.")
    numbers = np.empty((len(bits), length), np.int32)
    positions = np.empty((len(bits), length), np.int32)
    (_segments if late.pays() else _segments_early)(np.ascontiguousarray(bits), numbers, positions)
    return numbers, positions
