"""MurmurHash3's 64-bit finaliser (Austin Appleby) and a hash made of it, in numpy: loaders start without numba.

What :mod:`.hashing` says of its hashes holds for these, which it gives, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

_F1 = np.uint64(0xFF51AFD7ED558CCD)
_F2 = np.uint64(0xC4CEB9FE1A85EC53)
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: keeps seed 0 away from 0, which the finaliser maps to 0
_MASK = (1 << 64) - 1


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
