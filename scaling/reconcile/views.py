"""One table seen from four sides: loss over size, over data, over compute, and what architecture adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..fits.extrapolate import sizes
from ..fits.fit import Fit, fit
from ..fits.objectives import Objective
from ..laws.law import Law
from ..laws.surface import CHINCHILLA, POWER_COMPUTE, POWER_PARAMS, POWER_TOKENS
from ..runs.columns import Numbers, Runs, numbers, take


@dataclass(frozen=True)
class View:
    """One side.

    Attributes:
        name: ``size``, ``data``, ``compute`` or ``surface``.
        fit: The law of this side, fitted to ``rows``.
        rows: int64[], the runs that it is fitted to.
    """

    name: str
    fit: Fit
    rows: NDArray[np.int64]


def lower_envelope(along: Numbers, losses: Numbers) -> NDArray[np.int64]:
    """Rows that are better than every row with less of ``along``, in rising order of it.

    >>> lower_envelope(np.array([1.0, 2.0, 3.0, 3.0]), np.array([3.0, 3.5, 2.0, 2.5])).tolist()
    [0, 2]
    """
    order = np.lexsort((losses, along))
    best = np.minimum.accumulate(losses[order])
    return np.asarray(order[np.r_[True, losses[order][1:] < best[:-1]]], np.int64)


def views(runs: Runs, *, objective: Objective | None = None) -> tuple[View, ...]:
    """Fit the laws of size, data and compute to the lower envelope over each, and the surface to all runs.

    An exponent of size alone holds where data does not limit, and the envelope is as near to that as the runs go; where
    the single-sided exponents differ much from the surface's, the runs never left the limit of the other side.

    Args:
        runs: Columns ``params``, ``tokens`` and ``loss``; FLOPs are 6 · params · tokens unless given.
        objective: As for :func:`..fits.fit.fit`.

    Raises:
        ValueError: A column is missing, or an envelope has fewer runs than its law has parameters.
    """
    columns: dict[str, Numbers] = numbers(runs, ("params", "tokens", "loss"), ("params", "tokens", "loss"))
    columns["flops"] = sizes(runs)
    made = []
    sides = (("size", POWER_PARAMS, "params"), ("data", POWER_TOKENS, "tokens"), ("compute", POWER_COMPUTE, "flops"))
    for name, law, column in sides:
        rows = lower_envelope(columns[column], columns["loss"])
        try:
            made.append(View(name, fit(law, take(columns, rows), objective=objective), rows))
        except ValueError as error:
            raise ValueError(f"The view by {name}: {error}") from error
    everything = np.arange(columns["loss"].size)
    return (*made, View("surface", fit(CHINCHILLA, columns, objective=objective), everything))


def by_scale(
    law: Law, runs: Runs, *, parts: int = 2, by: str | None = None, objective: Objective | None = None
) -> tuple[Fit, ...]:
    """Fit a law to each part of the range of sizes: exponents that drift with scale warn of extrapolation.

    Neighbouring parts share their border's runs. To test whether one exponent changes, see
    :func:`.frontier.find_break`.

    Args:
        law: The law.
        runs: The runs table.
        parts: Ranges with as many distinct sizes each.
        by: The column that tells size; by default FLOPs.
        objective: As for :func:`..fits.fit.fit`.

    Raises:
        ValueError: Fewer than two parts, or a part with fewer runs than the law has parameters.
    """
    size = sizes(runs, by)
    levels = np.unique(size)
    if not 2 <= parts < levels.size:
        raise ValueError(
            f"There must be 2 parts or more, and fewer than the {levels.size} distinct sizes, not {parts}."
        )
    edges = levels[np.linspace(0, levels.size - 1, parts + 1).round().astype(np.int64)]
    return tuple(
        fit(law, take(runs, (size >= low) & (size <= high)), objective=objective) for low, high in pairwise(edges)
    )


@dataclass(frozen=True)
class Effect:
    """What one column adds to a fit.

    Attributes:
        column: Its name.
        exponent: Loss is multiplied by the column to this power, beside what the law says.
        standard_error: Of the exponent, from the scatter.
    """

    column: str
    exponent: float
    standard_error: float


def architecture(found: Fit, runs: Runs, columns: Sequence[str]) -> tuple[Effect, ...]:
    """Regress a law's residuals on the logarithms of architecture columns, such as width over depth or heads.

    Args:
        found: A fit to these runs, of log loss.
        runs: The runs, in the same order.
        columns: Positive columns; all enter at once.

    Raises:
        ValueError: A column is missing, constant, or follows from the others; or the fit is to other runs.
    """
    values = numbers(runs, columns, columns)
    rest = np.log(found.problem.measured) - np.log(found.law.evaluate(found.vector, found.problem.columns))
    if any(column.size != rest.size for column in values.values()):
        raise ValueError(f"The fit is to {rest.size} runs, but the table has others: give the table that was fitted.")
    design = np.stack([np.ones_like(rest), *(np.log(values[name]) for name in columns)], 1)
    if np.linalg.matrix_rank(design - np.r_[0.0, design[:, 1:].mean(0)]) < design.shape[1]:
        raise ValueError(f"The columns {', '.join(columns)} do not vary apart from each other.")
    solved = np.linalg.lstsq(design, rest, rcond=None)[0]
    scatter = ((rest - design @ solved) ** 2).sum() / max(rest.size - design.shape[1], 1)
    errors = np.sqrt(scatter * np.diag(np.linalg.inv(design.T @ design)))
    return tuple(
        Effect(name, float(value), float(error))
        for name, value, error in zip(columns, solved[1:], errors[1:], strict=True)
    )
