"""The order of a run: which rung, epoch and sequence stand at position i, in O(1) and from nothing but the seed.

* A shuffled epoch is a permutation that is computed, never stored: a Feistel network over the next power of four,
  walked until the result lies inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Each epoch of
  each rung has a key of its own.
* A mixture of rungs is the schedule of :mod:`..pipelines.stages.schedule` with weights over 2^18, so that it repeats
  itself after 2^18 sequences: one table of 2.5 MB answers for any position.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..filters.hashing import finalised, fmix64, mix64
from ..filters.kernels import kernel
from . import late

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PERIOD = 1 << 18
"""Sequences after which a mixture's schedule repeats itself; weights are whole numbers over it."""

_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Places(NamedTuple):
    """Where positions of a run lie; three int64 arrays of one length.

    Attributes:
        rungs: Number of the rung.
        epochs: Passes over that rung that are complete before.
        sequences: Sequence of that rung.
    """

    rungs: NDArray[np.int64]
    epochs: NDArray[np.int64]
    sequences: NDArray[np.int64]


@kernel
def _permute(numbers: Any, keys: Any, lengths: Any, out: Any) -> None:
    for n in range(len(numbers)):
        length = np.uint64(lengths[n])
        half = np.uint64(1)
        while length > np.uint64(1) << (half + half):
            half += np.uint64(1)
        mask = (np.uint64(1) << half) - np.uint64(1)
        value = np.uint64(numbers[n])
        while True:
            left, right = value >> half, value & mask
            for turn in range(_ROUNDS):
                mixed = finalised(keys[n] + (right + np.uint64(turn << 32)) * _GOLDEN) & mask
                left, right = right, left ^ mixed
            value = (left << half) | right
            if value < length:
                break
        out[n] = value


def _permute_early(numbers: Any, keys: Any, lengths: Any, out: Any) -> None:
    """What the kernel does, in numpy."""
    every, which = np.unique(lengths, return_inverse=True)
    half = np.array([max(1, (int(length) - 1).bit_length() + 1 >> 1) for length in every], np.uint64)[which]
    todo, value = np.arange(len(numbers)), numbers.astype(np.uint64)
    while len(todo):
        key, mask = keys[todo], (np.uint64(1) << half) - np.uint64(1)
        left, right = value >> half, value & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (fmix64(key + (right + np.uint64(turn << 32)) * _GOLDEN) & mask)
        value = (left << half) | right
        out[todo] = value
        outside = out[todo] >= lengths[todo]
        todo, value, half = todo[outside], value[outside], half[outside]


def permute(numbers: NDArray[np.int64], keys: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each number goes in the permutation of [0, length) that its key names.

    Args:
        numbers: int64[n]; 0 <= number < length.
        keys: uint64[n].
        lengths: int64[n]; from 1 to 2^62.

    Returns:
        int64[n].

    Raises:
        ValueError: A number is outside its range.

    >>> sorted(permute(np.arange(5), np.full(5, 7, np.uint64), np.full(5, 5)).tolist())
    [0, 1, 2, 3, 4]
    """
    if np.any(numbers < 0) or np.any(numbers >= lengths) or np.any(lengths > 1 << 62):
        raise ValueError("A number to permute is negative, or not below its length; lengths go to 2^62.")
    out = np.empty(len(numbers), np.int64)
    (_permute if late.pays() else _permute_early)(numbers, keys, lengths, out)
    return out


def period_weights(weights: Sequence[float | Fraction]) -> NDArray[np.int64]:
    """Shares as whole numbers that sum to `PERIOD`, by largest remainder; ties go to the first.

    Args:
        weights: Shares, not negative, not all zero; they need not sum to 1.

    Raises:
        ValueError: A weight is negative, all are zero, or one is so small that nothing is left of it.

    >>> period_weights([3, 1]).tolist()
    [196608, 65536]
    """
    finite = all(map(math.isfinite, weights))
    exact = [Fraction(weight) for weight in weights] if finite else []
    total = sum(exact)
    if total <= 0 or min(exact) < 0:
        raise ValueError(f"{[float(w) for w in weights]} are not shares: none may be negative, one must be positive.")
    scaled = [weight * PERIOD / total for weight in exact]
    whole = [int(weight) for weight in scaled]
    for n in sorted(range(len(exact)), key=lambda n: (whole[n] - scaled[n], n))[: PERIOD - sum(whole)]:
        whole[n] += 1
    lost = [n for n, weight in enumerate(exact) if weight and not whole[n]]
    if lost:
        raise ValueError(
            f"The weight {float(weights[lost[0]])} of rung {lost[0]} is under 1/{PERIOD:,} of the sum, "
            "which is the smallest share. Raise it or leave the rung out."
        )
    return np.array(whole, np.int64)


class Order:
    """The order of a run over one or more rungs.

    Args:
        lengths: Sequences of each rung.
        weights: Share of each rung; None for one rung alone.
        seed: 0 to 2^64 - 1; names the permutations. The schedule of a mixture does not depend on it.
        shuffled: Whether each epoch of each rung is permuted, or in the order of its stream.

    Raises:
        ValueError: A rung is empty, or the weights are no shares.

    >>> Order([4, 2], [0.5, 0.5], seed=1, shuffled=False).places(np.arange(6)).sequences.tolist()
    [0, 0, 1, 1, 2, 0]
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float] | None, seed: int, *, shuffled: bool) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"Rungs of {list(lengths)} sequences: there must be one, and none may be empty.")
        if weights is None and len(lengths) > 1:
            raise ValueError(f"{len(lengths)} rungs need weights.")
        if weights is not None and len(weights) != len(lengths):
            raise ValueError(f"{len(weights)} weights for {len(lengths)} rungs.")
        mix64(seed, np.zeros(0, np.uint64), np.zeros(0, np.uint64))  # refuses a seed out of range
        self.lengths = np.array(lengths, np.int64)
        self.weights = period_weights([1] if weights is None else weights)
        self.seed = seed
        self.shuffled = shuffled

    @cached_property
    def _table(self) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """For each place of the period, its rung, and how many places of that rung are before it."""
        from ..pipelines.stages.schedule import ONE, State

        picks = State.start(self.weights * (ONE // PERIOD)).advance(PERIOD)[0]
        ranks = np.empty(PERIOD, np.int64)
        for rung in range(len(self.lengths)):
            mine = np.flatnonzero(picks == rung)
            ranks[mine] = np.arange(len(mine))
        return picks, ranks

    def places(self, positions: NDArray[np.int64]) -> Places:
        """Where positions of the run lie.

        Args:
            positions: int64[n], not negative.
        """
        if len(self.lengths) == 1:
            rungs, counts = np.zeros(len(positions), np.int64), positions
        else:
            picks, ranks = self._table
            period, place = np.divmod(positions, PERIOD)
            rungs = picks[place].astype(np.int64)
            counts = period * self.weights[rungs] + ranks[place]
        lengths = self.lengths[rungs]
        epochs, sequences = np.divmod(counts, lengths)
        if self.shuffled:
            keys = mix64(self.seed, rungs.astype(np.uint64), epochs.astype(np.uint64))
            sequences = permute(sequences, keys, lengths)
        return Places(rungs, epochs, sequences)
