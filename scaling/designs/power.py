"""Power: would these runs show a difference between two recipes, if there is one?

A difference is one of log loss (.01 is about 1 %), the same in every cell; both recipes are trained in the same cells.
The test is Student's, with the scatter between seeds estimated from these very runs, so its power is the noncentral
t's.
"""

from __future__ import annotations

import math

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from .fisher import Noise

MOST_SEEDS = 1000
"""Where the search for seeds ends: nobody trains more."""


def difference_error(noise: Noise, cells: int, seeds: int, shared: float = 1.0) -> float:
    """Standard error of the mean difference of log loss between two recipes.

    Args:
        noise: Scatter of one recipe's log loss.
        cells: Cells that both recipes are trained in.
        seeds: Runs of each recipe in each cell.
        shared: How much of the misfit both recipes share, and the difference is free of: 1 compares them in the same
            cells, 0 compares two laws with faults of their own.
    """
    return math.sqrt(2 * (noise.seed**2 / seeds + (1 - shared) * noise.misfit**2) / cells)


def power(
    difference: float, noise: Noise, *, cells: int = 1, seeds: int = 2, shared: float = 1.0, level: float = 0.05
) -> float:
    """The chance that a two-sided test at `level` finds a true difference of log loss.

    Args:
        difference: Of log loss; its sign does not matter.
        noise: Scatter of one recipe's log loss.
        cells: Cells that both recipes are trained in.
        seeds: Runs of each recipe in each cell.
        shared: As in :func:`difference_error`.
        level: Chance of finding a difference where there is none.

    Raises:
        ValueError: One run of each recipe in one cell: nothing tells their scatter.

    >>> round(power(0.01, Noise(seed=0.0024), seeds=3), 3)
    0.961
    """
    degrees = 2 * cells * (seeds - 1) if seeds > 1 else cells - 1
    if degrees < 1:
        raise ValueError("One run of each recipe tells nothing of their scatter. Give 2 seeds or more, or more cells.")
    edge = float(stdtrit(degrees, 1 - level / 2))
    error = difference_error(noise, cells, seeds, shared)
    if error == 0:
        return 1.0 if difference else level
    # scipy's noncentral t is NaN for tails below some 1e-16.
    shift = abs(difference) / error
    missed, wrong_way = (float(nctdtr(degrees, shift, end)) for end in (edge, -edge))
    return min(1 - (0 if math.isnan(missed) else missed) + (0 if math.isnan(wrong_way) else wrong_way), 1.0)


def seeds_needed(difference: float, noise: Noise, *, cells: int = 1, wanted: float = 0.8, level: float = 0.05) -> int:
    """The fewest seeds, two or more, with which the test has the wanted power.

    Raises:
        ValueError: Even 1,000 seeds would not do.

    >>> seeds_needed(0.01, Noise(seed=0.0024)), seeds_needed(0.003, Noise(seed=0.0024))
    (3, 12)
    """
    for seeds in range(2, MOST_SEEDS + 1):
        if power(difference, noise, cells=cells, seeds=seeds, level=level) >= wanted:
            return seeds
    raise ValueError(
        f"A difference of {difference:g} of log loss is too small to be seen through seed noise of {noise.seed:g}, "
        f"even with {MOST_SEEDS:,} seeds. Compare at more budgets, or ask for a larger difference."
    )


def least_difference(
    noise: Noise, *, cells: int = 1, seeds: int = 2, wanted: float = 0.8, level: float = 0.05
) -> float:
    """The smallest difference of log loss that the test finds with the wanted power.

    Raises:
        ValueError: As of :func:`power`.

    >>> round(least_difference(Noise(seed=0.0024), seeds=3), 4)
    0.0074
    """
    low, high = 0.0, 1e3 * difference_error(noise, cells, seeds)
    for _ in range(60):
        middle = (low + high) / 2
        enough = power(middle, noise, cells=cells, seeds=seeds, level=level) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


def parameter_power(difference: float, error: float, other_error: float, level: float = 0.05) -> float:
    """The chance to tell the exponents (or another parameter) of two recipes apart, each from a fit of its own.

    Args:
        difference: Between the two true values.
        error: Standard error of the one, as :func:`.fisher.precision` gives it.
        other_error: Of the other.
        level: Chance of finding a difference where there is none.

    >>> round(parameter_power(0.05, 0.012, 0.012), 2)
    0.84
    """
    # scipy's noncentral t is NaN for tails below some 1e-16.
    shift = abs(difference) / math.hypot(error, other_error)
    edge = float(ndtri(1 - level / 2))
    return float(ndtr(shift - edge) + ndtr(-shift - edge))


def least_parameter_difference(error: float, other_error: float, wanted: float = 0.8, level: float = 0.05) -> float:
    """The smallest difference of exponents that two fits tell apart with the wanted power.

    Args:
        error: Standard error of the one.
        other_error: Of the other.
        wanted: Power.
        level: Chance of finding a difference where there is none.

    >>> round(least_parameter_difference(0.012, 0.012), 4)
    0.0475
    """
    return float(ndtri(1 - level / 2) + ndtri(wanted)) * math.hypot(error, other_error)
