"""The loader's kernels. Imported when :mod:`.late` says that they pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..filters.kernels import inlined, kernel
from .order import GOLDEN, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable

_A = np.uint64(0xFF51AFD7ED558CCD)
_B = np.uint64(0xC4CEB9FE1A85EC53)


@intrinsic
def _copy_bytes(_typing: Any, _target: Any, _source: Any, _count: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        pointer = ir.IntType(8).as_pointer()
        target, source = builder.inttoptr(target, pointer), builder.inttoptr(source, pointer)
        cgutils.raw_memcpy(builder, target, source, count, 1)

    return types.void(types.uint64, types.uint64, types.uint64), generate


_copy = cast("Callable[[Any, Any, Any], None]", _copy_bytes)
"""Copy so many bytes from one address to another, as memcpy does."""


@kernel
def move(addresses: Any, rows: Any, width: Any, out: Any) -> None:
    """Copy row `rows[n]`, of `width` bytes, of the table at `addresses[n]` to row n of `out` (uint8, flat)."""
    target = np.uint64(out.ctypes.data)
    for n in range(len(rows)):
        _copy(target + np.uint64(n) * width, addresses[n] + np.uint64(rows[n]) * width, width)


@inlined
def _scramble(value: Any) -> Any:
    value = (value ^ (value >> np.uint64(33))) * _A
    value = (value ^ (value >> np.uint64(33))) * _B
    return value ^ (value >> np.uint64(33))


@kernel
def permute(numbers: Any, keys: Any, lengths: Any, out: Any) -> None:
    """:func:`.order.permute` into `out`."""
    for n in range(len(numbers)):
        length = np.uint64(lengths[n])
        half = np.uint64(1)
        while length > np.uint64(1) << (half + half):
            half += np.uint64(1)
        mask = (np.uint64(1) << half) - np.uint64(1)
        value = np.uint64(numbers[n])
        while True:
            left, right = value >> half, value & mask
            for turn in range(ROUNDS):
                mixed = _scramble(keys[n] + (right + np.uint64(turn << 32)) * GOLDEN) & mask
                left, right = right, left ^ mixed
            value = (left << half) | right
            if value < length:
                break
        out[n] = value
