"""Python's way in: `tokenladder.fit`. The command of the same name does the same, and draws."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from ..data_cards import notebook
from .fits.objectives import Huber, Objective
from .fits.report import Analysis, Decisions, analyse, decide
from .runs.columns import Numbers, Runs
from .runs.table import RunsTable, make_table, read_runs

NO_FILE = "runs"
"""What messages call runs that are of no file."""


@dataclass(frozen=True, repr=False)
class Fits:
    """A law fitted to each recipe of a table of runs, and what the runs say about which recipe is better.

    Attributes:
        table: The runs as read and checked.
        analyses: One for each recipe, by name; the empty name where the table tells none apart.
        decisions: Ranks, differences beyond seed noise and crossings; None for a single recipe.
    """

    table: RunsTable
    analyses: Mapping[str, Analysis]
    decisions: Decisions | None

    def theta(self, recipe: str = "") -> Mapping[str, float]:
        """The parameters of a recipe's law by name, in the units of the law.

        Raises:
            ValueError: There is no such recipe.
        """
        return self._of(recipe).fit.theta

    def predict(self, runs: Runs, recipe: str = "") -> Numbers:
        """Predictions for other runs, float64[runs], in the unit of the law's target (nats per token).

        Args:
            runs: The law's columns, such as `params` and `tokens`: one number, or one for each run.
            recipe: Whose law.

        Raises:
            ValueError: There is no such recipe, or a column is missing.
        """
        return self._of(recipe).fit.predict({name: np.atleast_1d(column) for name, column in runs.items()})

    def _of(self, recipe: str) -> Analysis:
        if recipe not in self.analyses:
            known = ", ".join(map(repr, self.analyses))
            raise ValueError(f"There is no fit for the recipe {recipe!r}. There are: {known}.")
        return self.analyses[recipe]

    def __repr__(self) -> str:
        return "\n".join(
            f"{name}: {one.fit.table()}" if name else one.fit.table() for name, one in self.analyses.items()
        )

    def _repr_html_(self) -> str:
        pieces = [_show(one) for one in self.analyses.values()]
        if self.decisions is not None:
            ranks = [
                (
                    one.recipe,
                    f"{exp(one.log_loss):.4f}",
                    one.seeds,
                    f"{one.best}" if one.best == one.worst else f"{one.best} to {one.worst}",
                )
                for one in self.decisions.ranks
            ]
            params, tokens = self.decisions.cell
            caption = f"losses at {params:,.0f} parameters and {tokens:,.0f} tokens"
            pieces.append(notebook.table(caption, ("recipe", "loss", "seeds", "places that noise leaves"), ranks))
        pieces += [notebook.line(f"note: {note}") for note in self.table.notes]
        of = f" of {self.table.path}" if self.table.path != NO_FILE else ""
        return notebook.page(f"fits to {len(self.table):,} runs{of}", *pieces)


def _show(one: Analysis) -> str:
    made, drawn = one.fit, one.samples
    rows = [
        (
            parameter.name,
            f"{made.theta[parameter.name]:.6g}",
            str(drawn.intervals[parameter.name]) if drawn else None,
            parameter.unit,
        )
        for parameter in made.law.parameters
    ]
    title = f"{made.law.name}: {made.law.formula_text}" if made.law.formula_text else made.law.name
    doubts = [notebook.line(f"doubt: {flag.name}: {flag.message}") for flag in made.flags]
    heads = ("parameter", "value", "95 % by bootstrap", "unit")
    return notebook.table(f"{one.recipe}: {title}" if one.recipe else title, heads, rows) + "".join(doubts)


def fit(
    runs: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
    law: str = "chinchilla",
    *,
    columns: Mapping[str, str] | None = None,
    objective: Objective | None = None,
    bootstraps: int = 1000,
    pooled: bool = False,
    seed: int = 0,
) -> Fits:
    """Fit a scaling law to each recipe's runs, and compare the recipes.

    Args:
        runs: A CSV, Parquet or JSON file, the folder of the reference trainer, or one mapping a run with `params`,
            `tokens`, `loss` (nats per token) and, where there are such, `recipe`, `seed`, `unique_tokens`.
        law: A law's name, from `tokenladder.scaling.laws.registry.LAWS`.
        columns: Our name → theirs, where names are not recognised.
        objective: What to make small; Huber's function of log loss with δ = 0.001 by default, as Chinchilla has it.
        bootstraps: Resampled fits for the intervals; 0 for none.
        pooled: One fit for all recipes together.
        seed: Of the bootstrap.

    Raises:
        UserError: The runs cannot be read, or are not usable; all mistakes at once.
        ValueError: There is no such law, or too few runs for it.

    >>> law = lambda n, d: 1.8 + 480 / n**0.35 + 2100 / d**0.37
    >>> runs = [{"params": n, "tokens": d, "loss": law(n, d)} for n in (1e7, 4e7, 2e8, 1e9) for d in (1e9, 4e9, 2e10)]
    >>> found = fit(runs, bootstraps=0)
    >>> round(found.theta()["beta"], 3), found.predict({"params": 7e9, "tokens": 1.4e11}).round(3).tolist()
    (0.37, [2.13])
    """
    if isinstance(runs, str | os.PathLike):
        table = read_runs(os.fspath(runs), columns)
    else:
        table = make_table(list(runs), NO_FILE, columns or {})
    found = analyse(table, law, objective=objective or Huber(), fixed={}, samples=bootstraps, seed=seed, pooled=pooled)
    return Fits(table, {one.recipe: one for one in found}, decide(table, [] if pooled else found))
