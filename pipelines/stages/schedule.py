"""The schedule: which stratum gives the next sequence, so that every prefix of the stream holds the mixture.

This is the chairman assignment problem (R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32, 1980).
With k strata his rule keeps each one's count within 1 - 1/(2k - 2) of its weight times the length of any prefix. Here
it runs in integers alone, weights being whole numbers over 2**32, so that every machine picks alike.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...filters.kernels import kernel
from .course import ONE, Course, CourseState

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [  # what other modules take from here, `course` included
    "ONE",
    "Course",
    "State",
    "Weights",
    "at_start",
    "integer_weights",
    "prefix_counts",
    "resumed",
    "state_at",
    "told_weights",
]

Weights = NDArray[np.int64] | Course
"""Of strata: int64 of shape (k,), summing to 2**32, or a course along which they change."""


def integer_weights(weights: Sequence[float | Fraction]) -> NDArray[np.int64]:
    """Weights as whole numbers that sum to 2**32, by largest remainder; ties go to the first.

    Args:
        weights: Shares, not negative, not all zero; they need not sum to 1.

    Raises:
        ValueError: A weight is negative or all are zero.

    >>> integer_weights([0.75, 0.25]) / ONE
    array([0.75, 0.25])
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    if total <= 0 or min(exact) < 0:
        raise ValueError(f"{[float(w) for w in weights]} are not shares: none may be negative, one must be positive.")
    scaled = [weight * ONE / total for weight in exact]
    whole = [int(weight) for weight in scaled]
    order = sorted(range(len(exact)), key=lambda n: (whole[n] - scaled[n], n))
    for n in order[: ONE - sum(whole)]:
        whole[n] += 1
    return np.array(whole, np.int64)


@dataclass(frozen=True)
class State:
    """Where a schedule stands after some sequences.

    Attributes:
        weights: int64 of shape (k,), summing to 2**32.
        owed: int64 of shape (k,): weight times length minus sequences given, in units of 2**-32 sequences.
        given: int64 of shape (k,): sequences of each stratum so far.
    """

    weights: NDArray[np.int64]
    owed: NDArray[np.int64]
    given: NDArray[np.int64]

    @classmethod
    def start(cls, weights: NDArray[np.int64]) -> State:
        """The state before the first sequence."""
        return cls(weights, np.zeros_like(weights), np.zeros_like(weights))

    @classmethod
    def after(cls, weights: NDArray[np.int64], given: Sequence[int]) -> State:
        """The state in which each stratum has given so many sequences: all that a checkpoint must keep.

        >>> State.after(integer_weights([0.5, 0.25, 0.25]), [1, 1, 0]).advance(2)[0]
        array([2, 0], dtype=uint16)
        """
        counts = np.array(given, np.int64)
        # beyond 2**31 sequences both products pass 64 bits; their difference is below 2**33 and right all the same
        return cls(weights, weights * counts.sum() - (counts << np.int64(32)), counts)

    def advance(self, count: int) -> tuple[NDArray[np.uint16], State]:
        """The strata of the next `count` sequences (uint16), and the state after them.

        >>> State.start(integer_weights([0.5, 0.25, 0.25])).advance(4)[0]
        array([0, 1, 2, 0], dtype=uint16)
        """
        picks = np.empty(count, np.uint16)
        owed, given = self.owed.copy(), self.given.copy()
        _advance(self.weights, owed, given, picks)
        return picks, State(self.weights, owed, given)


def resumed(weights: Weights, given: Sequence[int]) -> State | CourseState:
    """The state in which each stratum has given so many sequences."""
    if isinstance(weights, Course):
        return CourseState(weights, np.array(given, np.int64))
    return State.after(weights, given)


def at_start(weights: Weights) -> State | CourseState:
    """The state before the first sequence."""
    return resumed(weights, [0] * np.shape(weights.weights if isinstance(weights, Course) else weights)[-1])


def told_weights(recipe: dict[str, Any], strata: Sequence[str]) -> Weights:
    """Weights as the manifest tells them of a recipe.

    Args:
        recipe: The manifest's entry.
        strata: Its strata, sorted.
    """
    if recipe.get("course"):
        bends = [{**bend, "weights": [bend["weights"][name] for name in strata]} for bend in recipe["course"]]
        return Course.from_json(bends)
    return np.array([recipe["strata"][name]["weight"] for name in strata], np.int64)


def state_at(weights: Weights, position: int, checkpoints: Sequence[Sequence[int]] = ()) -> State | CourseState:
    """The state after some sequences, from the last checkpoint before them.

    Args:
        weights: int64 of shape (k,), summing to 2**32, or a course.
        position: Sequences.
        checkpoints: Sequences of each stratum at some places of the stream, ascending, as the manifest has them.

    Raises:
        ValueError: The position is negative.

    >>> weights = integer_weights([0.5, 0.25, 0.25])
    >>> state_at(weights, 7, [[2, 1, 1]]).given
    array([3, 2, 2])
    """
    if position < 0:
        raise ValueError(f"A place in the stream is 0 or more sequences; {position} was given.")
    known = bisect.bisect_right([sum(one) for one in checkpoints], position)
    state = resumed(weights, checkpoints[known - 1]) if known else at_start(weights)
    done = int(state.given.sum())
    while done < position:
        step = min(position - done, 1_000_000)
        state = state.advance(step)[1]
        done += step
    return state


def prefix_counts(weights: Weights, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Sequences of each stratum in the prefixes of the given, ascending lengths."""
    state = at_start(weights)
    out, done = [], 0
    for length in lengths:
        while done < length:  # a million at a time bounds memory at 2 MB
            step = min(length - done, 1_000_000)
            state = state.advance(step)[1]
            done += step
        out.append(state.given)
    return out


@kernel
def _advance(weights: Any, owed: Any, given: Any, picks: Any) -> None:
    k = len(weights)
    if k == 1:
        picks[:] = 0
        given[0] += len(picks)
        return
    scale = 2 * k - 2
    full = (scale - 1) << 32  # the bound 1 - 1/(2k-2), in units of 2**-32 / scale
    for n in range(len(picks)):
        best, best_deadline = -1, np.int64(0)
        for i in range(k):
            owed[i] += weights[i]
            if weights[i] == 0 or owed[i] * scale < (1 << 32):
                continue  # not eligible: giving it a sequence now would overshoot
            room = full - owed[i] * scale
            step = weights[i] * scale
            deadline = -((-room) // step)  # the step at which it would fall behind the bound
            if best < 0 or deadline < best_deadline:
                best, best_deadline = i, deadline
        picks[n] = best
        owed[best] -= 1 << 32
        given[best] += 1
