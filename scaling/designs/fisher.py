"""What a set of runs could tell about a law, before one of them is trained: Fisher information.

The runs are taken to scatter around the law by independent normal errors of log loss, so that the information is
`Jᵀ W J`, with J the slopes of log loss by the parameters and W one over the variance of each cell. What comes out
are the least standard errors that a fit can have (Cramér–Rao), in the linear approximation around the assumed
parameters. They compare designs well and promise too much in absolute terms: on Chinchilla's 240 points they give .0071
for alpha and .0064 for beta where a bootstrap over the points gives .0154 and .0206, because those scatter with heavy
tails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..laws.law import Law
from ..runs.columns import Numbers, Runs

IDENTIFIED = 1e-9
"""Singular values of the scaled slopes below this share of the largest count as none: rounding alone leaves 1e-13."""


@dataclass(frozen=True)
class Noise:
    """How far runs fall from a law, as standard deviations of log loss (.01 is about 1 % of the loss).

    The defaults add up to .0048, which is the scatter (1.48 times the median absolute residual) of Chinchilla's 240
    points around their best fit; runs with equal settings among the public data-constrained runs (Muennighoff et al.
    2023) scatter by .0024 in the median.

    Attributes:
        seed: Between runs of one cell that differ in their seed alone.
        misfit: Between a cell and the law, the same for all seeds of the cell: no number of seeds averages it out.

    Raises:
        ValueError: Below zero, or nothing at all.
    """

    seed: float = 0.0024
    misfit: float = 0.0042

    def __post_init__(self) -> None:
        if not (self.seed >= 0 and self.misfit >= 0 and self.seed + self.misfit > 0):
            raise ValueError(
                f"Noise needs standard deviations of log loss, one of them above 0, not seed {self.seed:g} and "
                f"misfit {self.misfit:g}."
            )

    def variance(self, seeds: Numbers) -> Numbers:
        """Variance of a cell's mean log loss over `seeds` runs."""
        return self.misfit**2 + self.seed**2 / np.asarray(seeds, np.float64)


@dataclass(frozen=True)
class Precision:
    """How well a design would know a law.

    Attributes:
        errors: Standard error of each parameter, in its own unit; infinite where the design cannot tell it.
        exponent: Standard error of `beta / (alpha + beta)`, the power with which the best size grows with compute; None
            for laws without these two.
        target: Standard error of the predicted log loss at the target; infinite where the design cannot tell it.
        condition: Condition number of the scaled slopes; above 1e4 the errors mean little.
    """

    errors: Mapping[str, float]
    exponent: float | None
    target: float | None
    condition: float


def precision(  # noqa: PLR0917 a law, a design and a target
    law: Law,
    theta: Mapping[str, float],
    cells: Runs,
    seeds: Numbers,
    noise: Noise,
    target: Runs | None = None,
) -> Precision:
    """Standard errors that runs in the given cells would leave.

    Args:
        law: The law that will be fitted.
        theta: Parameters that are assumed for planning.
        cells: The law's columns, one row a cell.
        seeds: Runs in each cell, float64[cells].
        noise: Scatter of log loss.
        target: The law's columns at the one point that is to be predicted.

    Raises:
        ValueError: A column is missing, or the target is more than one row.

    >>> from ..laws.registry import LAWS
    >>> cells = {"params": np.tile([1e8, 4e8, 1.6e9], 3), "tokens": np.repeat([2e9, 8e9, 3.2e10], 3)}
    >>> known = precision(LAWS["chinchilla"], PRIOR, cells, np.ones(9), Noise())
    >>> round(known.errors["alpha"], 3), round(known.errors["beta"], 3)
    (0.06, 0.057)
    """
    slopes = _log_slopes(law, theta, cells)
    weighted = slopes / np.sqrt(noise.variance(seeds))
    scale = np.linalg.norm(weighted, axis=1)
    scale = np.where(scale > 0, scale, 1.0)
    _, sizes, axes = np.linalg.svd((weighted / scale[:, None]).T, full_matrices=False)
    told = sizes > IDENTIFIED * sizes[0]
    condition = float(sizes[0] / sizes[-1]) if told.all() and sizes.size == len(scale) else np.inf

    def error(direction: Numbers) -> float:
        """Standard error of a combination of parameters."""
        scaled = direction / scale
        seen = axes @ scaled
        if not np.allclose(axes[told].T @ seen[told], scaled, rtol=0, atol=1e-6 * np.linalg.norm(scaled)):
            return np.inf
        return float(np.linalg.norm(seen[told] / sizes[told]))

    units = np.eye(len(law.names))
    errors = {name: error(units[index]) for index, name in enumerate(law.names)}
    exponent = None
    if {"alpha", "beta"} <= set(law.names):
        alpha, beta = theta["alpha"], theta["beta"]
        both = (alpha + beta) ** 2
        exponent = error(units[law.names.index("beta")] * alpha / both - units[law.names.index("alpha")] * beta / both)
    at_target = None
    if target is not None:
        toward = _log_slopes(law, theta, target)
        if toward.shape[1] != 1:
            raise ValueError(f"A target is one point, not {toward.shape[1]}.")
        at_target = error(toward[:, 0])
    return Precision(errors, exponent, at_target, condition)


def _log_slopes(law: Law, theta: Mapping[str, float], runs: Runs) -> Numbers:
    """Derivatives of log loss by each parameter, float64[parameters, rows]."""
    return np.asarray(law.gradient(theta, runs) / law.predict(theta, runs), np.float64)


PRIOR: Mapping[str, float] = {"A": 482.005, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
"""Chinchilla's law as Besiroglu et al. 2024 (arXiv 2404.10102) refitted it to the published points; for planning."""
