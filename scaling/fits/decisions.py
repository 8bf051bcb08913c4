"""Decisions between recipes: which is best, from how small a run one could have told, and where one overtakes another.

Decision accuracy is the share of pairs of recipes that a small run orders as the large one does (Magnusson et al. 2025,
DataDecide, arXiv 2504.11393).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..laws.law import Law
from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from ..runs.columns import Numbers, Runs
from ..runs.seed_noise import Cell, SeedNoise, difference, log_losses, seed_noise


@dataclass(frozen=True)
class Accuracy:
    """How well a small cell decides between recipes for a large one.

    Attributes:
        cell: Parameters and tokens of the small runs.
        share: FLOPs of a small run over those of a large one.
        one_seed: Share of pairs ordered right by one run of each, over all choices of seeds.
        mean: Share of pairs ordered right by the mean over seeds.
        low: Lower end of the interval of `mean`, by a bootstrap over recipes and, within them, seeds.
        high: Upper end.
        pairs: Pairs of recipes that were compared.
    """

    cell: Cell
    share: float
    one_seed: float
    mean: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Place:
    """A recipe in a ranking.

    Attributes:
        recipe: Its name.
        log_loss: Mean over seeds.
        seeds: Runs.
        best: The best place that seed noise leaves it, 1 for the first.
        worst: The worst place.
    """

    recipe: str
    log_loss: float
    seeds: int
    best: int
    worst: int


@dataclass(frozen=True)
class Crossing:
    """Where one recipe's law overtakes another's.

    Attributes:
        at: Values of the column (tokens, say) where the predicted losses are equal, ascending; the first recipe is
            better before the first of them if `first_leads`.
        first_leads: Whether the first recipe has the lower loss at the low end of the range.
        low: Lower end of the interval of the first crossing, over the sampled laws that cross; None without any.
        high: Upper end.
        chance: Share of sampled laws that cross in the range; None without samples.
    """

    at: tuple[float, ...]
    first_leads: bool
    low: float | None = None
    high: float | None = None
    chance: float | None = None


def rank(runs: Runs, cell: Cell, *, noise: SeedNoise | None = None, level: float = 0.95) -> list[Place]:
    """The recipes of one cell, best first, each with the places that seed noise leaves it.

    A place is lost or won only where the difference to the other recipe is beyond noise in a test of all pairs at
    once (Bonferroni), so that all intervals hold together with the chance `level`.

    Args:
        runs: The runs table.
        cell: Parameters and tokens.
        noise: Seed noise as found before; from the table if not given.
        level: Of the intervals.

    Raises:
        ValueError: There are no runs in the cell, or nothing tells the noise.
    """
    recipes = log_losses(runs).get(cell)
    if recipes is None:
        raise ValueError(f"There are no runs of {cell[0]:g} parameters and {cell[1]:g} tokens.")
    noise = noise or seed_noise(runs)
    pairs = max(len(recipes) * (len(recipes) - 1) // 2, 1)
    strict = 1 - (1 - level) / pairs
    better = dict.fromkeys(recipes, 0)
    worse = dict.fromkeys(recipes, 0)
    for one, other in itertools.combinations(recipes, 2):
        found = difference(runs, one, other, cell, noise=noise, level=strict)
        if found.beyond_noise:
            winner, loser = (one, other) if found.difference < 0 else (other, one)
            worse[winner] += 1
            better[loser] += 1
    means = {recipe: float(np.mean(group)) for recipe, group in recipes.items()}
    return [
        Place(recipe, means[recipe], len(recipes[recipe]), 1 + better[recipe], len(recipes) - worse[recipe])
        for recipe in sorted(recipes, key=lambda name: (means[name], name))
    ]


def decision_accuracy(runs: Runs, large: Cell, *, samples: int = 1000, level: float = 0.95) -> list[Accuracy]:
    """For every smaller cell, the share of pairs of recipes that it orders as the large cell does.

    The large cell's order is that of its means. A tie counts half.

    Args:
        runs: The runs table.
        large: Parameters and tokens of the runs whose order is wanted.
        samples: Of the bootstrap.
        level: Of the intervals.

    Returns:
        One for each cell of fewer FLOPs that shares two recipes or more with the large one, cheapest first.

    Raises:
        ValueError: There are no two recipes in the large cell, or no smaller cell.
    """
    groups = log_losses(runs)
    truth = {recipe: float(np.mean(group)) for recipe, group in groups.get(large, {}).items()}
    if len(truth) < 2:
        raise ValueError(
            f"Of {large[0]:g} parameters and {large[1]:g} tokens there are runs of {len(truth)} recipes: too few."
        )
    found = []
    for cell in sorted(groups, key=lambda one: (one[0] * one[1], one)):
        small = {recipe: np.array(group) for recipe, group in groups[cell].items() if recipe in truth}
        if cell[0] * cell[1] < large[0] * large[1] and len(small) > 1:
            found.append(_accuracy(cell, large, small, truth, samples, level))
    if not found:
        raise ValueError("No smaller size and budget shares two recipes with the large one.")
    return found


def _accuracy(  # noqa: PLR0917 what a cell is, and how it is resampled
    cell: Cell, large: Cell, small: dict[str, Numbers], truth: dict[str, float], samples: int, level: float
) -> Accuracy:
    names = sorted(small)
    order = np.array([truth[name] for name in names])
    want = np.sign(order[:, None] - order)
    upper = np.triu_indices(len(names), 1)

    def right(means: Numbers) -> Numbers:
        """Share of right pairs of each row: float64[samples, recipes] → float64[samples, pairs]."""
        got = np.sign(means[:, upper[0]] - means[:, upper[1]])
        return np.asarray((1 + got * want[upper]) / 2, np.float64)

    mean = float(right(np.array([[small[name].mean() for name in names]])).mean())
    by_seed = [
        (1 + np.sign(np.subtract.outer(small[names[i]], small[names[j]])) * want[i, j]).mean() / 2
        for i, j in zip(*upper, strict=True)
    ]
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = np.empty((samples, len(names)))
    for column, name in enumerate(names):
        group = small[name]
        drawn[:, column] = group[rng.integers(0, group.size, (samples, group.size))].mean(axis=1)
    shares = right(drawn)
    # Recipes are drawn, not pairs: a pair's weight is the product of how often its recipes were drawn.
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), samples)
    weights = (times[:, upper[0]] * times[:, upper[1]]).astype(np.float64)
    kept = weights.sum(axis=1) > 0
    values = (shares[kept] * weights[kept]).sum(axis=1) / weights[kept].sum(axis=1)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    share = cell[0] * cell[1] / (large[0] * large[1])
    return Accuracy(cell, share, float(np.mean(by_seed)), mean, float(low), float(high), len(upper[0]))


def crossings(
    law: Law,
    first: Numbers,
    second: Numbers,
    *,
    column: str = "tokens",
    between: tuple[float, float],
    held: Mapping[str, float],
    samples: tuple[Numbers, Numbers] | None = None,
    level: float = 0.95,
) -> Crossing:
    """Where the laws of two recipes cross as one column grows.

    Args:
        law: The law that both were fitted with.
        first: One recipe's parameters, float64[parameters].
        second: The other's.
        column: What grows: `tokens`, `params`.
        between: The range that is searched.
        held: The law's other columns.
        samples: Bootstrapped parameters of both, float64[samples, parameters], for the interval.
        level: Of the interval.

    Raises:
        ValueError: The range is empty.

    >>> from ..laws.registry import LAWS
    >>> law, held = LAWS["power-tokens"], {}
    >>> steep, flat = law.vector({"B": 1e4, "E": 2.0, "beta": 0.4}), law.vector({"B": 1e3, "E": 2.0, "beta": 0.3})
    >>> crossings(law, steep, flat, between=(1e8, 1e12), held=held).at
    (10000000000.0,)
    """
    if not 0 < between[0] < between[1]:
        raise ValueError(f"The range must rise from above 0, not go from {between[0]:g} to {between[1]:g}.")
    grid = np.geomspace(*between, 501)
    runs = {column: grid} | {name: np.full(grid.size, value) for name, value in held.items()}
    if "flops" in law.columns and {"params", "tokens"} <= set(runs):
        runs["flops"] = FLOPS_PER_PARAMETER_AND_TOKEN * runs["params"] * runs["tokens"]
    at, leads = _roots(grid, (law.predict(first, runs) - law.predict(second, runs))[None])
    low = high = chance = None
    if samples is not None:
        gaps = law.predict(samples[0], runs) - law.predict(samples[1], runs)
        firsts = np.array([_roots(grid, gap[None])[0][:1] or (np.nan,) for gap in gaps])[:, 0]
        crossed = firsts[~np.isnan(firsts)]
        chance = crossed.size / firsts.size
        if crossed.size:
            low, high = (float(end) for end in np.quantile(crossed, [(1 - level) / 2, (1 + level) / 2]))
    return Crossing(at, leads, low, high, chance)


def _roots(grid: Numbers, gap: Numbers) -> tuple[tuple[float, ...], bool]:
    """Zeros of one sampled function, on straight lines between the points of the grid; and whether it starts below."""
    values = gap[0]
    turns = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    exact = np.flatnonzero(values == 0)
    part = values[turns] / (values[turns] - values[turns + 1])
    between = np.log(grid[turns]) + part * (np.log(grid[turns + 1]) - np.log(grid[turns]))
    found = np.sort(np.concatenate([np.exp(between), grid[exact]]))
    return tuple(float(f"{value:.6g}") for value in found), bool(values[0] < 0)
