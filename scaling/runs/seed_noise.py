"""How far runs that differ in their seed alone lie apart, and whether two recipes lie further apart than that.

Two or three seeds a cell say little of their scatter, so it is pooled over all cells and recipes of the table. It is
pooled as log loss, because the scatter of the loss itself shrinks with the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import stdtr, stdtrit

from .columns import Runs

Cell: TypeAlias = tuple[float, float]
"""Parameters and tokens of a run."""


@dataclass(frozen=True)
class SeedNoise:
    """The pooled scatter between seeds.

    Attributes:
        deviation: Standard deviation of log loss between runs of one recipe in one cell.
        degrees: Degrees of freedom that it stands on: runs, less one for every recipe and cell.
    """

    deviation: float
    degrees: int


@dataclass(frozen=True)
class Difference:
    """Two recipes in one cell.

    Attributes:
        first: A recipe.
        second: Another.
        cell: Parameters and tokens.
        difference: Mean log loss of the first, less that of the second: below zero, the first is better.
        low: Lower end of its interval.
        high: Upper end.
        p_value: Chance of a difference this large from seeds alone.
        seeds: Runs of the first and of the second.
    """

    first: str
    second: str
    cell: Cell
    difference: float
    low: float
    high: float
    p_value: float
    seeds: tuple[int, int]

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.low <= 0 <= self.high


def log_losses(runs: Runs) -> dict[Cell, dict[str, list[float]]]:
    """Log loss of every run, by cell (ascending) and recipe (by name), in the order of the table.

    Raises:
        ValueError: The table does not tell recipes apart.
    """
    if "recipe" not in runs:
        raise ValueError("To compare recipes, the runs table needs the column recipe.")
    found: dict[Cell, dict[str, list[float]]] = {}
    columns = (np.asarray(runs[name]).tolist() for name in ("params", "tokens", "recipe", "loss"))
    for params, tokens, recipe, loss in zip(*columns, strict=True):
        found.setdefault((params, tokens), {}).setdefault(recipe, []).append(float(np.log(loss)))
    return {cell: dict(sorted(found[cell].items())) for cell in sorted(found)}


def seed_noise(runs: Runs) -> SeedNoise:
    """The scatter between seeds, pooled over all cells and recipes.

    Raises:
        ValueError: No recipe has two runs in a cell.

    >>> runs = {"params": np.full(4, 1e8), "tokens": np.full(4, 2e9), "recipe": np.array(["a", "a", "b", "b"]),
    ...         "loss": np.exp([1.00, 1.02, 1.10, 1.12])}  # fmt: skip
    >>> seed_noise(runs).degrees, round(seed_noise(runs).deviation, 4)
    (2, 0.0141)
    """
    groups = [np.array(group) for recipes in log_losses(runs).values() for group in recipes.values()]
    degrees = sum(group.size - 1 for group in groups)
    if not degrees:
        raise ValueError(
            "No recipe has two runs of one size and budget, so nothing tells what is seed noise. Train a second seed "
            "of at least one run, or give the noise as a number."
        )
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return SeedNoise((squares / degrees) ** 0.5, degrees)


def difference(
    runs: Runs, first: str, second: str, cell: Cell, *, noise: SeedNoise | None = None, level: float = 0.95
) -> Difference:
    """Whether two recipes differ in one cell beyond seed noise (Student's t on the pooled scatter).

    Args:
        runs: The runs table.
        first: A recipe.
        second: Another.
        cell: Parameters and tokens.
        noise: As found before; from the table if not given.
        level: Of the interval.

    Raises:
        ValueError: A recipe has no run in the cell, or nothing tells the noise.
    """
    recipes = log_losses(runs).get(cell, {})
    for recipe in (first, second):
        if recipe not in recipes:
            raise ValueError(
                f"The recipe {recipe!r} has no run of {cell[0]:g} parameters and {cell[1]:g} tokens. "
                f"There are runs of: {', '.join(recipes) or 'none'}."
            )
    noise = noise or seed_noise(runs)
    one, other = recipes[first], recipes[second]
    error = noise.deviation * (1 / len(one) + 1 / len(other)) ** 0.5
    middle = float(np.mean(one) - np.mean(other))
    reach = float(stdtrit(noise.degrees, (1 + level) / 2)) * error
    p_value = 2 * float(stdtr(noise.degrees, -abs(middle) / error)) if error else float(middle == 0)
    return Difference(first, second, cell, middle, middle - reach, middle + reach, p_value, (len(one), len(other)))
