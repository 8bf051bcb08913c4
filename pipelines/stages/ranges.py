"""Copies of many short ranges from one flat array to another, in one pass without the interpreter's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def copy_ranges(
    source: NDArray[Any],
    starts: NDArray[np.int64],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    out: NDArray[Any],
) -> None:
    """Copy `source[starts[n] : starts[n] + lengths[n]]` to `out[places[n] : places[n] + lengths[n]]` for every n.

    Args:
        source: Tokens, of shape (m,).
        starts: int64 of shape (k,).
        places: int64 of shape (k,).
        lengths: int64 of shape (k,).
        out: Of the dtype of `source`; written in place.

    Raises:
        ValueError: A range is not inside its array: the kernel would read or write beyond it.

    >>> out = np.zeros(4, np.uint16)
    >>> copy_ranges(np.array([7, 8, 9], np.uint16), np.array([2, 0]), np.array([0, 1]), np.array([1, 2]), out)
    >>> out
    array([9, 7, 8, 0], dtype=uint16)
    """
    bounds = np.array([starts, places, lengths], np.int64)
    if not bounds.shape[1]:
        return
    inside = (starts + lengths).max() <= len(source) and (places + lengths).max() <= len(out)
    if bounds.min() < 0 or not inside:
        raise ValueError(f"A range to copy lies outside {len(source):,} tokens or the {len(out):,} places for them.")
    _copy(source, bounds[0], bounds[1], bounds[2], out)


@kernel
def _copy(source: Any, starts: Any, places: Any, lengths: Any, out: Any) -> None:
    for n in range(len(starts)):
        # Over views the compiler sees a plain copy: 6.9 GB/s of ranges of 1,600 tokens; over indexes it is 1.3.
        there = out[places[n] : places[n] + lengths[n]]
        here = source[starts[n] : starts[n] + lengths[n]]
        for k in range(len(there)):
            there[k] = here[k]
