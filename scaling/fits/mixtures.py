"""The best mixture by a fitted law: shares of strata at which the predicted loss is least.

A law that is fitted to one loss has its least value in a corner, where only the stratum that helps most is left; what
keeps a mixture inside are several losses (the published laws weigh those of several domains), and here also the runs:
no stratum gets a share outside of what some run had, because beyond that the law is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ..runs.columns import Numbers
from .fit import Fit

DIGITS = 6
"""Decimals of a share."""


@dataclass(frozen=True)
class Mixture:
    """Shares at which a predicted loss is least.

    Attributes:
        shares: By stratum; they sum to one.
        loss: The loss that is predicted there, in nats; the mean over all fits.
        within: The least and the greatest share of each stratum in the runs.
    """

    shares: Mapping[str, float]
    loss: float
    within: Mapping[str, tuple[float, float]]


def best_mixture(fits: Sequence[Fit]) -> Mixture:
    """Minimise the mean predicted loss of fits over the simplex, inside the ranges of the runs' shares.

    Args:
        fits: Of one mixture law over the same strata, one for each loss.

    Returns:
        The mixture; shares are rounded to six decimals.

    Raises:
        ValueError: The fits are not of one mixture law, or have other strata.
    """
    columns = fits[0].law.columns
    if not all(name.startswith("share_") for name in columns) or any(one.law.columns != columns for one in fits):
        raise ValueError("A mixture is chosen by fits of one mixture law over the same strata.")
    seen = [np.concatenate([one.problem.columns[name] for one in fits]) for name in columns]
    low, high = np.array([one.min() for one in seen]), np.array([one.max() for one in seen])

    def loss(shares: Numbers) -> float:
        runs = {name: np.array([share]) for name, share in zip(columns, shares, strict=True)}
        return float(np.mean([one.predict(runs)[0] for one in fits]))

    start = np.array([one.mean() for one in seen])
    sums = {"type": "eq", "fun": lambda shares: shares.sum() - 1.0}
    found = minimize(loss, start / start.sum(), method="SLSQP", bounds=list(zip(low, high, strict=True)),
                     constraints=[sums], options={"ftol": 1e-13, "maxiter": 1000})  # fmt: skip
    shares = np.round(np.clip(found.x, low, high), DIGITS)
    shares[int(shares.argmax())] += 1.0 - shares.sum()
    names = [name.removeprefix("share_") for name in columns]
    return Mixture(
        {name: round(float(share), DIGITS) for name, share in zip(names, shares, strict=True)},
        loss(shares),
        {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)},
    )
