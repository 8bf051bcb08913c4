"""What `tokenladder fit` works out: fits of each recipe and law, how sure they are, decisions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..laws.law import Law
from ..laws.registry import LAWS, MIXTURES
from ..runs.columns import Runs
from ..runs.seed_noise import Cell, Difference, SeedNoise, difference, log_losses, seed_noise
from ..runs.table import RunsTable, finite
from .decisions import Accuracy, Crossing, Place, crossings, decision_accuracy, rank
from .extrapolate import Score, leave_largest_out
from .fit import Fit, fit
from .intervals import Bootstrap, Interval, Profile, bootstrap, profiles
from .mixtures import best_mixture
from .objectives import Objective

LEAST_SAMPLES = 10
"""Bootstraps; fewer have no standard error to speak of."""

MOST_PAIRS = 45
"""Pairs of recipes whose differences and crossings are told: those of ten recipes."""


@dataclass(frozen=True)
class Analysis:
    """One law fitted to one recipe's runs.

    Attributes:
        recipe: Its name; empty where the table tells none apart.
        runs: Its runs.
        fit: The fit.
        samples: Its bootstrap, unless none was asked for or there are too few runs.
        held_out: Its error on the largest runs after a fit to the others; None where that leaves too few.
        profiles: Its profile likelihoods by parameter, empty unless they were asked for.
    """

    recipe: str
    runs: Runs
    fit: Fit
    samples: Bootstrap | None
    held_out: Score | None
    profiles: Mapping[str, Profile]

    @property
    def exponent(self) -> tuple[float, Interval | None] | None:
        """The power with which the best size grows with FLOPs, for laws with `alpha` and `beta`; with its interval."""
        theta = self.fit.theta
        if not {"alpha", "beta"} <= set(theta):
            return None
        interval = self.samples.of(lambda t: t["beta"] / (t["alpha"] + t["beta"])) if self.samples else None
        return theta["beta"] / (theta["alpha"] + theta["beta"]), interval


@dataclass(frozen=True)
class Decisions:
    """What the runs say about which recipe is better.

    Attributes:
        cell: Parameters and tokens of the largest runs that all recipes, or most of them, share.
        noise: The pooled scatter between seeds; None without a second seed anywhere.
        ranks: Recipes in that cell, best first, with what noise leaves them; empty without noise.
        differences: Of each pair there; empty without noise.
        accuracies: How well each smaller cell decides for that one.
        crossings: Where the fitted laws of a pair cross as tokens grow, at the size of that cell.
    """

    cell: Cell
    noise: SeedNoise | None
    ranks: Sequence[Place]
    differences: Sequence[Difference]
    accuracies: Sequence[Accuracy]
    crossings: Mapping[tuple[str, str], Crossing]


def find_law(name: str, runs: Runs, fixed: Mapping[str, float]) -> Law:
    """A law by name; mixture laws over the table's own strata; some parameters held.

    Raises:
        ValueError: There is no such law, or no such parameter.
    """
    if name in MIXTURES:
        strata = sorted(column.removeprefix("share_") for column in runs if column.startswith("share_"))
        if len(strata) < 2:
            raise ValueError(f"The law {name!r} needs a column share_NAME for each stratum, two or more.")
        law = MIXTURES[name](strata)
    elif name in LAWS:
        law = LAWS[name]
    else:
        raise ValueError(f"The law {name!r} is not known. Choose one of {', '.join((*LAWS, *MIXTURES))}.")
    return law.fixed(**fixed) if fixed else law


def analyse(
    table: RunsTable,
    law_name: str,
    *,
    objective: Objective,
    fixed: Mapping[str, float],
    samples: int = 1000,
    groups: str | None = None,
    seed: int = 0,
    pooled: bool = False,
    profiled: bool = False,
) -> list[Analysis]:
    """Fit a law to each recipe's runs.

    Args:
        table: The runs.
        law_name: A law's name.
        objective: What to make small.
        fixed: Parameters that are held.
        samples: Of the bootstrap; 0 for none.
        groups: Column whose equal rows are drawn together, such as `params` or `seed`.
        seed: Of the bootstrap.
        pooled: Fit all recipes together.
        profiled: Work out profile likelihoods too.

    Raises:
        ValueError: Too few bootstraps, or the law, a column or the runs do not allow it; the message names the recipe.
    """
    if 0 < samples < LEAST_SAMPLES:
        raise ValueError(f"{samples} bootstraps make no interval. Give {LEAST_SAMPLES} or more, or 0 for none.")
    found = []
    for recipe in [""] if pooled else table.recipes():
        runs = dict(table.columns) if pooled else table.of_recipe(recipe)
        try:
            law = find_law(law_name, runs, fixed)
            made = fit(law, runs, objective=objective)
            labels = _labels(runs, groups)
            drawn = bootstrap(made, samples=samples, groups=labels, seed=seed) if samples else None
            seen = profiles(made) if profiled else {}
        except ValueError as error:
            raise ValueError(f"{recipe}: {error}" if recipe else str(error)) from error
        found.append(Analysis(recipe, runs, made, drawn, _held_out(law, runs, objective), seen))
    return found


def _labels(runs: Runs, groups: str | None) -> NDArray[Any] | None:
    if groups is None:
        return None
    if groups not in runs:
        raise ValueError(f"The runs have no column {groups!r} to draw by. There are: {', '.join(runs)}.")
    return np.asarray(runs[groups])


def _held_out(law: Law, runs: Runs, objective: Objective) -> Score | None:
    """The honest score, where the smaller runs are enough for a fit of their own."""
    try:
        return leave_largest_out(law, runs, objective=objective)
    except ValueError:
        return None


def decide(table: RunsTable, analyses: Sequence[Analysis] = ()) -> Decisions | None:
    """Compare the recipes in the largest cell that most of them share; None for a single recipe.

    Args:
        table: The runs.
        analyses: One for each recipe, of one law, for crossings.
    """
    if len(table.recipes()) < 2:
        return None
    groups = log_losses(table.columns)
    most = max(len(recipes) for recipes in groups.values())
    if most < 2:
        return None
    cell = max(
        (cell for cell, recipes in groups.items() if len(recipes) == most), key=lambda one: (one[0] * one[1], one)
    )
    pairs = list(itertools.combinations(groups[cell], 2))[:MOST_PAIRS]
    try:
        noise = seed_noise(table.columns)
    except ValueError:
        noise = None
    ranks = rank(table.columns, cell, noise=noise) if noise else []
    differences = [difference(table.columns, *pair, cell, noise=noise) for pair in pairs] if noise else []
    try:
        accuracies = decision_accuracy(table.columns, cell)
    except ValueError:
        accuracies = []
    return Decisions(cell, noise, ranks, differences, accuracies, _crossings(analyses, cell, pairs))


def _crossings(
    analyses: Sequence[Analysis], cell: Cell, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Crossing]:
    """Crossings over tokens, up to a hundred times beyond the runs, at the cell's size."""
    by_recipe = {one.recipe: one for one in analyses if "tokens" in one.fit.law.columns}
    found = {}
    for pair in pairs:
        if not set(pair) <= set(by_recipe):
            continue
        one, other = (by_recipe[recipe] for recipe in pair)
        law = one.fit.law
        if not set(law.columns) <= {"params", "params_non_embedding", "tokens", "flops"} or law.target != "loss":
            continue
        tokens = np.concatenate([np.asarray(each.runs["tokens"], np.float64) for each in (one, other)])
        drawn = (one.samples.thetas, other.samples.thetas) if one.samples and other.samples else None
        found[pair] = crossings(
            law,
            one.fit.vector,
            other.fit.vector,
            between=(float(tokens.min()), float(tokens.max()) * 100),
            held={"params": cell[0], "params_non_embedding": cell[0]},
            samples=drawn,
        )
    return found


def as_value(table: RunsTable, analyses: Sequence[Analysis], decisions: Decisions | None) -> dict[str, Any]:
    """Everything as JSON values; numbers that are not finite are null."""
    value = {
        "runs": {"path": table.path, "count": len(table), "notes": list(table.notes)},
        "fits": [_analysis(one) for one in analyses],
        "decisions": _decisions(decisions) if decisions is not None else None,
    }
    if best := mixtures(analyses):
        value["mixtures"] = best
    return dict(finite(value))


def mixtures(analyses: Sequence[Analysis]) -> list[dict[str, Any]]:
    """The best mixture by each mixture law: of all recipes' losses together, then of each recipe's."""
    out = []
    for law in dict.fromkeys(one.fit.law.name for one in analyses if one.fit.law.name in MIXTURES):
        mine = [one for one in analyses if one.fit.law.name == law]
        for recipe, some in [("", mine), *((one.recipe, [one]) for one in mine if len(mine) > 1)]:
            found = best_mixture([one.fit for one in some])
            within = {name: list(ends) for name, ends in found.within.items()}
            told = {"law": law, "recipe": recipe, "shares": dict(found.shares), "loss": found.loss, "within": within}
            out.append(told)
    return out


def _analysis(one: Analysis) -> dict[str, Any]:
    made, drawn = one.fit, one.samples
    exponent = one.exponent
    return {
        "recipe": one.recipe,
        "law": made.law.name,
        "formula": made.law.formula_text,
        "source": made.law.source,
        "runs": int(made.residuals.size),
        "sizes": [float(one.runs["params"].min()), float(one.runs["params"].max())] if "params" in one.runs else None,
        "theta": dict(made.theta),
        "units": {parameter.name: parameter.unit for parameter in made.law.parameters},
        "objective": {"name": str(made.objective), "value": made.value},
        "standard_errors": dict(drawn.standard_errors) if drawn else None,
        "intervals": {name: _ends(interval) for name, interval in drawn.intervals.items()} if drawn else None,
        "bootstraps": len(drawn.thetas) if drawn else 0,
        "profiles": {
            name: {"interval": _ends(seen.interval), "open": [seen.interval.open_low, seen.interval.open_high],
                   "values": seen.values.tolist(), "objectives": [finite(value) for value in seen.objectives.tolist()]}
            for name, seen in one.profiles.items()
        },
        "frontier_exponent": None if exponent is None else {"value": exponent[0], "interval": _ends(exponent[1])},
        "optima": [{"theta": dict(o.theta), "value": o.value, "starts": o.starts} for o in made.optima],
        "flags": [{"name": flag.name, "message": flag.message} for flag in made.flags],
        "condition": finite(made.condition),
        "held_out": None
        if one.held_out is None
        else {"what": one.held_out.splits[0].name, "mean": one.held_out.mean, "largest": one.held_out.largest,
              "bias": one.held_out.bias},
    }  # fmt: skip


def _ends(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [finite(interval.low), finite(interval.high)]


def _decisions(made: Decisions) -> dict[str, Any]:
    return {
        "cell": {"params": made.cell[0], "tokens": made.cell[1]},
        "seed_noise": None if made.noise is None else vars(made.noise),
        "ranks": [vars(one) for one in made.ranks],
        "differences": [vars(one) | {"beyond_noise": one.beyond_noise} for one in made.differences],
        "accuracies": [vars(one) for one in made.accuracies],
        "crossings": [{"first": pair[0], "second": pair[1], **vars(one)} for pair, one in made.crossings.items()],
    }
