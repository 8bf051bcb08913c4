"""What `tokenladder design` works out: all shapes side by side, the chosen one's cells, its power, its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..laws.law import Law
from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from ..runs.table import finite
from .fisher import Noise, Precision
from .grid import RATIO, SHAPES, Grid, Wish, assess, make_grid
from .power import least_difference, least_parameter_difference, power, seeds_needed
from .step_laws import SCHEDULE, WARM_UP, advise
from .supply import Need, Stratum, needs

BEYOND = 10.0
"""The default target costs this many times the whole plan, as a run that a plan is made for does."""

BEST = "best"
"""The shape that knows the target best."""


@dataclass(frozen=True)
class Option:
    """One shape's plan.

    Attributes:
        grid: Its cells; None where the FLOPs do not pay for any.
        precision: What it would know.
        problem: Why there is no grid, or empty.
    """

    grid: Grid | None
    precision: Precision | None
    problem: str = ""


@dataclass(frozen=True)
class Design:
    """A worked-out design.

    Attributes:
        options: By shape.
        chosen: The shape that is written.
        grid: Its cells.
        target: Parameters and tokens that are to be predicted.
        wish: What was asked for.
        noise: Scatter that was assumed.
        theta: Parameters that were assumed.
        needs: What its budgets ask of the text, empty if nothing is known of it.
        passes: How often the text may be read.
    """

    options: Mapping[str, Option]
    chosen: str
    grid: Grid
    target: tuple[float, float]
    wish: Wish
    noise: Noise
    theta: Mapping[str, float]
    needs: Sequence[Need]
    passes: float

    @property
    def infeasible(self) -> list[int]:
        """Budgets for which text is missing."""
        return sorted({need.budget for need in self.needs if need.missing > 0})


def default_target(flops: float) -> tuple[float, float]:
    """A run of `BEYOND` times the plan's FLOPs at the best ratio: parameters and tokens, to two figures."""
    params = (BEYOND * flops / (FLOPS_PER_PARAMETER_AND_TOKEN * RATIO)) ** 0.5
    return float(f"{params:.1e}"), float(f"{RATIO * params:.1e}")


def make_design(  # noqa: PLR0917 what a design is made of
    wish: Wish,
    law: Law,
    theta: Mapping[str, float],
    noise: Noise,
    shape: str = BEST,
    target: tuple[float, float] | None = None,
    strata: Sequence[Stratum] = (),
    passes: float = 1.0,
) -> Design:
    """Lay out every shape, and choose one.

    Args:
        wish: Sizes, rungs, seeds, FLOPs.
        law: The law that will be fitted.
        theta: Its parameters, as assumed for planning.
        noise: Scatter of log loss.
        shape: One of the shapes, or `BEST`.
        target: Parameters and tokens to predict; by default :func:`default_target`.
        strata: What text there is.
        passes: How often it may be read.

    Raises:
        ValueError: The shape is not known, the FLOPs do not pay for it, or text is to be read less than once.
    """
    if shape != BEST and shape not in SHAPES:
        raise ValueError(f"The shape {shape!r} is not known. Choose one of {', '.join((BEST, *SHAPES))}.")
    if not passes >= 1:
        raise ValueError(f"passes: text is read once or more, not {passes:g} times.")
    target = target or default_target(wish.flops)
    options: dict[str, Option] = {}
    for name in SHAPES:
        try:
            grid = make_grid(name, wish)
        except ValueError as error:
            if shape == name:
                raise
            options[name] = Option(None, None, str(error))
        else:
            options[name] = Option(grid, assess(grid, law, theta, noise, target))
    chosen = shape
    if shape == BEST:
        laid = {name: option.precision.target for name, option in options.items() if option.precision is not None}
        if not laid:
            raise ValueError(options[SHAPES[0]].problem)
        chosen = min(laid, key=lambda name: (laid[name] if laid[name] is not None else np.inf, SHAPES.index(name)))
    cells = options[chosen].grid
    assert cells is not None  # noqa: S101 a shape that was asked for and has none has raised
    asked = needs(strata, cells.budgets, passes)
    return Design(options, chosen, cells, target, wish, noise, theta, asked, passes)


def comparison(design: Design, difference: float) -> dict[str, Any]:
    """Power to tell two recipes apart by `difference` of log loss, in one cell and over all cells of the plan."""
    seeds, cells = max(design.wish.seeds, 2), design.grid.params.size
    noise = design.noise
    told: dict[str, Any] = {
        "difference": difference,
        "seeds": seeds,
        "power_in_one_cell": power(difference, noise, seeds=seeds),
        "seeds_for_80_percent_in_one_cell": seeds_needed(difference, noise),
        "least_difference_in_one_cell": least_difference(noise, seeds=seeds),
    }
    if cells > 1:
        told["power_over_all_cells"] = power(difference, noise, cells=cells, seeds=design.wish.seeds)
        told["least_difference_over_all_cells"] = least_difference(noise, cells=cells, seeds=design.wish.seeds)
    known = design.options[design.chosen].precision
    told["least_difference_of_exponents"] = {
        name: finite(least_parameter_difference(known.errors[name], known.errors[name]))
        for name in ("alpha", "beta")
        if known is not None and name in known.errors
    }
    return told


def as_value(design: Design, law: Law, difference: float | None) -> dict[str, Any]:
    """A design as JSON values; what is infinite is null."""
    return {
        "law": law.name,
        "assumed": {"theta": dict(design.theta), "seed_noise": design.noise.seed, "misfit": design.noise.misfit},
        "target": {"params": design.target[0], "tokens": design.target[1]},
        "shapes": {name: _option(option) for name, option in design.options.items()},
        "chosen": design.chosen,
        "budgets": design.grid.budgets,
        "cells": [
            {
                "params": int(params),
                "tokens": int(tokens),
                "seeds": design.grid.seeds,
                "tokens_per_parameter": float(f"{tokens / params:.4g}"),
                "advice": [
                    {
                        "law": said.law,
                        "source": said.source,
                        "learning_rate": said.learning_rate,
                        "batch_tokens": said.batch_tokens,
                        "outside": list(said.outside),
                    }
                    for said in advise(params, tokens)
                ],
            }
            for params, tokens in zip(design.grid.params.tolist(), design.grid.tokens.tolist(), strict=True)
        ],
        "schedule": {"warm_up": WARM_UP, "decay": SCHEDULE},
        "comparison": comparison(design, difference) if difference is not None else None,
        "needs": [
            {name: finite(value) for name, value in vars(need).items()} for need in design.needs
        ],
        "infeasible": design.infeasible,
    }  # fmt: skip


def _option(option: Option) -> dict[str, Any]:
    if option.grid is None or option.precision is None:
        return {"problem": option.problem}
    return {
        "runs": option.grid.runs,
        "flops": option.grid.flops,
        "sizes": sorted({int(size) for size in option.grid.params}),
        "budgets": option.grid.budgets,
        "standard_errors": {name: finite(error) for name, error in option.precision.errors.items()},
        "frontier_exponent": finite(option.precision.exponent),
        "log_loss_at_target": finite(option.precision.target),
        "condition": finite(option.precision.condition),
    }
