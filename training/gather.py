"""Copy rows from many memory maps into one batch, and read bits of document starts.

A batch of a shuffled run takes each row from another shard. A Python loop costs about 1 µs a row, which is a billion
tokens a second at 1,024 tokens to a row before anything is copied; a kernel over addresses costs the copy.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from .late import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _moved(addresses: Any, rows: Any, width: Any, out: Any) -> None:
    """What the kernel `move` does, a call for each row."""
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
        compiled = kernels(len(out))
        (compiled.move if compiled else _moved)(addresses, rows, width, out.reshape(-1).view(np.uint8))


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
    starts = np.unpackbits(bits, axis=1, count=length)
    starts[:, :1] = 0
    at = np.arange(length, dtype=np.int32)
    begins = np.maximum.accumulate(starts * at, axis=1)
    return np.cumsum(starts, axis=1, dtype=np.int32), at - begins
