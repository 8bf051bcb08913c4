"""Weights that change along the stream: linear between some places, as in annealing, with steps where two places agree.

The schedule is Tijdeman's, which holds for any weights (see `schedule`): of the strata that may take the turn, the one
that must take it soonest. What is due to a stratum after n sequences is the integral of its weight, here in whole
numbers of 2**-32 sequences, rounded down once in each piece between two bends. From which place on a stratum may take
its next turn, and by which it must, follows from how many it had and from nothing else: the state at any place is just
these counts, and no step is rounded twice.

A course is relative to one target run: in a smaller rung the end, where the weights have changed, is not yet reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.kernels import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ONE = 1 << 32
"""The sum of all weights."""

LONGEST = 1 << 30
"""Sequences of a stream whose weights change, at most: 2.2 trillion tokens in sequences of 2,048."""


@dataclass(frozen=True, eq=False)
class Course:
    """Weights of strata at some places of the stream; before the first and after the last they are constant.

    Attributes:
        places: int64 of shape (m,), sequences, ascending; two that are equal make a step.
        weights: int64 of shape (m, k), each row summing to 2**32.
    """

    places: NDArray[np.int64]
    weights: NDArray[np.int64]

    @classmethod
    def from_json(cls, bends: Sequence[dict[str, Any]]) -> Course:
        """A course from what `to_json` gave."""
        places = np.array([bend["sequences"] for bend in bends], np.int64)
        return cls(places, np.array([bend["weights"] for bend in bends], np.int64))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values: `sequences` and `weights` of each bend."""
        pairs = zip(self.places.tolist(), self.weights.tolist(), strict=True)
        return [{"sequences": place, "weights": weights} for place, weights in pairs]

    @cached_property
    def table(self) -> tuple[NDArray[np.int64], ...]:
        """The pieces, for the kernels.

        First place and length of each, of shape (p,), and by piece and stratum, of shape (p, k), what is due at its
        beginning, the weight there, and by how much that grows over the piece.
        """
        places = np.r_[0, self.places, LONGEST]
        weights = np.concatenate([self.weights[:1], self.weights, self.weights[-1:]])
        keep = np.diff(places) > 0
        starts, lengths = places[:-1][keep], np.diff(places)[keep]
        growth = np.diff(weights, axis=0)[keep]
        weights = weights[:-1][keep]
        due = np.zeros_like(weights)
        for n, length in enumerate(lengths[:-1]):
            due[n + 1] = due[n] + _grown(length, length, weights[n], growth[n])
        return starts, lengths, due, weights, growth

    def due(self, position: int) -> NDArray[np.int64]:
        """What is due to each stratum after so many sequences: int64 of shape (k,), in units of 2**-32 sequences.

        >>> Course(np.array([0, 4]), np.array([[ONE, 0], [0, ONE]])).due(4) / ONE
        array([2., 2.])
        """
        starts, lengths, due, weights, growth = self.table
        n = int(np.searchsorted(starts, position, side="right")) - 1
        grown: NDArray[np.int64] = due[n] + _grown(position - starts[n], lengths[n], weights[n], growth[n])
        return grown


def _grown(x: Any, length: Any, weight: NDArray[np.int64], growth: NDArray[np.int64]) -> NDArray[np.int64]:
    """What becomes due in the first `x` sequences of a piece: `_due` for all strata."""
    whole, rest = divmod(int(x) ** 2, 2 * int(length))
    return weight * int(x) + growth * whole + growth * rest // (2 * int(length))


@dataclass(frozen=True, eq=False)
class CourseState:
    """Where a schedule with changing weights stands.

    Attributes:
        course: The weights.
        given: int64 of shape (k,): sequences of each stratum so far.
    """

    course: Course
    given: NDArray[np.int64]

    def advance(self, count: int) -> tuple[NDArray[np.uint16], CourseState]:
        """The strata of the next `count` sequences (uint16), and the state after them.

        Raises:
            ValueError: The stream would be longer than `LONGEST`.

        >>> course = Course(np.array([0, 8]), np.array([[ONE, 0], [0, ONE]]))
        >>> CourseState(course, np.zeros(2, np.int64)).advance(8)[0]
        array([0, 0, 1, 0, 1, 0, 1, 1], dtype=uint16)
        """
        position = int(self.given.sum())
        if position + count > LONGEST:
            raise ValueError(f"Where weights change, a stream has at most {LONGEST:,} sequences.")
        picks, given = np.empty(count, np.uint16), self.given.copy()
        _advance(self.course.table, position, given, picks)
        return picks, CourseState(self.course, given)


@kernel
def _due(table: Any, i: int, position: int) -> Any:
    """What is due to stratum i after `position` sequences.

    A weight that goes from a to a + g over s sequences comes to a·x + g·x²/2s after x of them. With x² = 2s·q + r that
    is a·x + g·q + g·r/2s, where no product passes 64 bits as long as s is at most 2**30, and only the last term is
    rounded. So it never falls as x grows.
    """
    starts, lengths, due, weights, growth = table
    n = len(starts) - 1
    while starts[n] > position:
        n -= 1
    x, double = position - starts[n], 2 * lengths[n]
    whole = x * x // double
    rest = x * x - whole * double
    return due[n, i] + weights[n, i] * x + growth[n, i] * whole + growth[n, i] * rest // double


@kernel
def _reached(table: Any, i: int, wanted: int, position: int) -> Any:
    """The first place at which so much is due to stratum i, beyond the longest stream if there is none.

    The search begins at `position`, and looks as far as the weight there says: some six steps where weights change
    slowly, which is a fifth of what bisecting takes.
    """
    low, high = -1, position
    have = _due(table, i, position)
    if have < wanted:
        step = (wanted - have) // max(_due(table, i, position + 1) - have, 1) + 1
        low, high = position, min(position + step, LONGEST)
        while _due(table, i, high) < wanted:
            if high == LONGEST:
                return LONGEST + 1
            step *= 2
            low, high = high, min(high + step, LONGEST)
    near = 1
    while high - near > low and _due(table, i, high - near) >= wanted:
        high -= near
        near *= 2
    low = max(low, high - near)
    while high - low > 1:
        middle = (low + high) // 2
        if _due(table, i, middle) >= wanted:
            high = middle
        else:
            low = middle
    return high


@kernel
def _advance(table: Any, position: int, given: Any, picks: Any) -> None:
    k = len(given)
    if k == 1:
        picks[:] = 0
        given[0] += len(picks)
        return
    may = -(-(1 << 32) // (2 * k - 2))  # so much is due of a turn that may be taken, and of one that must
    must = (1 << 32) - (1 << 32) // (2 * k - 2)
    opens, closes = np.empty(k, np.int64), np.empty(k, np.int64)
    for i in range(k):
        opens[i] = _reached(table, i, (given[i] << 32) + may, position)
        closes[i] = _reached(table, i, (given[i] << 32) + must, position)
    for now in range(position + 1, position + len(picks) + 1):
        best = -1
        for i in range(k):
            if opens[i] <= now and (best < 0 or closes[i] < closes[best]):
                best = i
        if best < 0:  # what was rounded down keeps all of them waiting: the first that opens
            best = int(np.argmin(opens))
        picks[now - position - 1] = best
        given[best] += 1
        opens[best] = _reached(table, best, (given[best] << 32) + may, now)
        closes[best] = _reached(table, best, (given[best] << 32) + must, now)
