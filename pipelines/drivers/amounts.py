"""Amounts: how much each stratum gives of a budget in bytes or documents, where weights may change along the stream.

Where budgets are in bytes or documents, so are the places at which weights change: from nothing to the largest rung's
budget. At every place a stratum is to have the area below its weight up to there, and it goes on to the document with
which it reaches that. Neither place nor area knows a tokenizer, so recipes mean the same documents under all of them.

What the schedule goes by follows: a stretch of the stream has of each stratum the tokens of the documents between two
places. As weights change all along, so do shares of tokens; therefore a stretch on which weights go from one value to
another is cut into `STEPS`, each with its exact tokens, and in each the shares of tokens go linearly, too, as steeply
as the weights times the stratum's tokens in a byte or document would have it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..stages.course import Course
from ..stages.schedule import ONE, integer_weights
from .plan import whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STEPS = 16
"""Into so many steps a stretch with changing weights is cut: then what is due inside a step is off by less than a
thousandth of the step, even where one stratum's documents have three times the tokens of another's."""


@dataclass(frozen=True)
class Amounts:
    """Weights at some places; linear between them, constant before the first and after the last.

    Attributes:
        places: Bytes or documents, ascending; two that are equal make a step.
        weights: At each place, of each stratum, whole numbers that sum to 2**32.
    """

    places: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]

    @classmethod
    def constant(cls, weights: Sequence[int]) -> Amounts:
        """Weights that do not change."""
        return cls((0,), (tuple(weights),))

    def between(self, left: int, right: int) -> tuple[list[Fraction], list[Fraction]]:
        """Weights, in units of 2**-32, at both ends of a stretch inside which there is no place.

        >>> [float(one[0]) for one in Amounts((0, 8), ((4, 0), (0, 4))).between(2, 4)]
        [3.0, 2.0]
        """
        n = sum(place <= left for place in self.places)  # at a step, what follows it
        if n in {0, len(self.places)}:
            level = [Fraction(one) for one in self.weights[max(0, n - 1)]]
            return level, level
        first, last = self.places[n - 1], self.places[n]
        slopes = [Fraction(b - a, last - first) for a, b in zip(*self.weights[n - 1 : n + 1], strict=True)]
        low, high = (
            [a + slope * (at - first) for a, slope in zip(self.weights[n - 1], slopes, strict=True)]
            for at in (left, right)
        )
        return low, high

    def due(self, place: int) -> list[Fraction]:
        """The area below each weight up to a place, in bytes or documents.

        >>> [float(one) for one in Amounts((0, 8), ((ONE, 0), (0, ONE))).due(4)]
        [3.0, 1.0]
        """
        total = [Fraction(0)] * len(self.weights[0])
        for left, right in itertools.pairwise(sorted({0, place, *(p for p in self.places if 0 < p < place)})):
            pairs = zip(*self.between(left, right), strict=True)
            total = [had + (a + b) * (right - left) / (2 * ONE) for had, (a, b) in zip(total, pairs, strict=True)]
        return total

    def targets(self, place: int) -> list[int]:
        """What each stratum is to reach at a place: what is due there, rounded up."""
        return [-(-due.numerator // due.denominator) for due in self.due(place)]

    def grid(self, budgets: Sequence[int]) -> list[int]:
        """The places at which tokens are counted: all budgets, and up to the last one bends and the steps between.

        >>> Amounts((32, 64), ((1, 0), (0, 1))).grid([40, 64])[:4]
        [32, 34, 36, 38]
        """
        found = {*budgets}
        for (left, low), (right, high) in itertools.pairwise(zip(self.places, self.weights, strict=True)):
            steps = STEPS if low != high else 1
            found |= {left + (right - left) * n // steps for n in range(steps + 1)}
        return sorted(place for place in found if 0 < place <= max(budgets))


def steps(
    ends: Sequence[Sequence[int]],
    length: int,
    places: Sequence[int] = (),
    amounts: Amounts | None = None,
    rungs: Sequence[int] = (),
) -> tuple[list[int], Course | None, list[int]]:
    """Sequences at some places, and the weights that mix strata up to each.

    Args:
        ends: For each place, tokens of each stratum, none of which falls.
        length: Tokens in a sequence.
        places: The places, in bytes or documents; needed where weights change.
        amounts: These weights.
        rungs: Places at which a rung ends, which has one sequence at least; by default all.

    Returns:
        Sequences, ascending; a course, none for a single stratum; and for each of its bends the number of its place.

    >>> steps([[300, 100], [300, 900]], 100)[1].to_json()[2]
    {'sequences': 4, 'weights': [0, 4294967296]}
    """
    sequences, bends = [], list[int]()
    at: list[int] = []
    weights: list[NDArray[np.int64]] = []
    before, last = 0, -1
    due = [Fraction(0)] * len(ends[0])
    for n, row in enumerate(ends):
        own = whole(sum(row), length) if not rungs or places[n] in rungs else (2 * sum(row) + length) // (2 * length)
        sequences.append(max(before, own))
        if own <= before or sum(row) == 0:
            continue
        # what is due at a place is in proportion to its tokens; rounding of earlier places is made up for
        left = [max(Fraction(0), Fraction(own * one, sum(row)) - had) for one, had in zip(row, due, strict=True)]
        mean = integer_weights(left)
        first = ends[last] if last >= 0 else [0] * len(row)
        low, high = (
            (mean, mean)
            if amounts is None or not places
            else _slope(amounts, places[last] if last >= 0 else 0, places[n], np.subtract(row, first).tolist(), mean)
        )
        grown = zip(due, (low + high).tolist(), strict=True)
        due = [had + Fraction(one * (own - before), 2 * ONE) for had, one in grown]
        at += [before, own]
        weights += [low, high]
        bends += [last, n]
        before, last = own, n
    if len(ends[0]) == 1:
        return sequences, None, []
    return sequences, Course(np.array(at, np.int64), np.stack(weights)), bends


def _slope(
    amounts: Amounts, left: int, right: int, tokens: Sequence[int], mean: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shares of tokens at both ends of a stretch, of which the mean is given."""
    inside = [place for place in amounts.places if left < place < right]
    low = amounts.between(left, min([*inside, right]))[0]
    high = amounts.between(max([left, *inside]), right)[1]
    if low == high:
        return mean, mean
    sizes = [b - a for a, b in zip(amounts.due(left), amounts.due(right), strict=True)]
    rates = [int(one * ONE / size) if size else 0 for one, size in zip(tokens, sizes, strict=True)]
    shares = [[one * rate for one, rate in zip(row, rates, strict=True)] for row in (low, high)]
    if not all(map(sum, shares)):
        return mean, mean  # a stretch without a document, or with those of strata that end or begin there
    one, other = (integer_weights(row) for row in shares)
    growth = (other - one).tolist()
    # less steep where a share would fall below zero, because its documents are longer or shorter than in the mean
    least = min([Fraction(1), *(Fraction(2 * m, abs(g)) for m, g in zip(mean.tolist(), growth, strict=True) if g)])
    ends = (
        integer_weights([m + sign * least * g / 2 for m, g in zip(mean.tolist(), growth, strict=True)])
        for sign in (-1, 1)
    )
    return next(ends), next(ends)
