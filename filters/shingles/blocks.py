"""Text in blocks of 64 bytes: a mask of 64 bits says in which bytes something holds, and bit operations do the rest.

The way of simdjson (Langdale and Lemire 2019, "Parsing Gigabytes of JSON per Second"): one comparison classifies 64
bytes, shifts find where runs start and stop, and only those places are visited. The instructions are LLVM's portable
vectors, so that every processor computes the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import inlined, intrinsic

BLOCK = 64
"""Bytes in a block. Buffers that are read in blocks hold so many bytes more than their text."""

ONE = np.uint64(1)
LAST = np.uint64(1 << 63)
"""The bit of a block's last byte."""


@intrinsic
def _within(_typing: Any, _address: Any, _first: Any, _count: Any) -> Any:
    """A bit for each of 64 bytes at an address that is one of ``count`` from ``first`` on."""
    from llvmlite import ir
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(8), BLOCK)
        address, first, count = arguments
        block = builder.load(builder.inttoptr(address, lanes.as_pointer()))
        block.align = 1
        distance = builder.sub(block, _everywhere(builder, lanes, first))
        found = builder.icmp_unsigned("<", distance, _everywhere(builder, lanes, count))
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(types.uint64, types.uint8, types.uint8), generate


def _everywhere(builder: Any, lanes: Any, value: Any) -> Any:
    """The byte in all lanes."""
    from llvmlite import ir

    undefined = ir.Constant(lanes, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK))


@intrinsic
def first_bit(_typing: Any, _mask: Any) -> Any:
    """The place of the lowest bit that is set in a uint64; 64 if none is."""
    from llvmlite import ir
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def set_bits(_typing: Any, _mask: Any) -> Any:
    """How many bits of a uint64 are set."""
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def copy64(_typing: Any, _source: Any, _target: Any) -> Any:
    """Copy 64 bytes from one address (uint64) to another: one instruction, where a loop looks for overlaps first."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target = (
            builder.inttoptr(each, ir.VectorType(ir.IntType(8), BLOCK).as_pointer()) for each in arguments
        )
        block = builder.load(source)
        block.align = 1
        builder.store(block, target).align = 1
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@inlined
def within64(address: Any, first: int, last: int) -> Any:
    """For 64 bytes at an address (uint64): bit ``i`` is set if byte ``i`` is from ``first`` to ``last``."""
    return _within(address, np.uint8(first), np.uint8(last - first + 1))


@inlined
def is64(address: Any, byte: int) -> Any:
    """For 64 bytes at an address (uint64): bit ``i`` is set if byte ``i`` is ``byte``."""
    return _within(address, np.uint8(byte), np.uint8(1))


@inlined
def follows(mask: Any, before: Any) -> Any:
    """The bits after those of ``mask``; ``before`` is the mask of the block before it."""
    return (mask << ONE) | (before >> np.uint64(63))


@inlined
def put_places(places: Any, count: Any, base: Any, mask: Any) -> Any:
    """Append ``base`` plus the place of each set bit to ``places`` (uint32) at ``count``; the new count (uint64).

    Eight at a time, without a question after each, which processors would guess wrong: up to 8 more are written than
    there are, for the next call to write over.
    """
    total = count + set_bits(mask)
    while True:
        for place in range(8):
            places[count + np.uint64(place)] = np.uint32(base + first_bit(mask))
            mask &= mask - ONE
        count += np.uint64(8)
        if count >= total:
            return total
