"""What a fit makes small: the sum over runs of a loss of the residual, in nats or in their logarithm.

The residual of a run is ``log(predicted) − log(measured)`` for ``of="log loss"`` (a relative error, without unit), and
``predicted − measured`` for ``of="loss"`` (nats, or whatever the law's target is measured in).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from ..runs.columns import Numbers

Of: TypeAlias = Literal["log loss", "loss"]


@dataclass(frozen=True)
class Huber:
    """Squares near zero, absolute values beyond (Huber 1964): ``r²/2`` up to ``delta``, then ``delta·(|r| − delta/2)``.

    Attributes:
        delta: Where squares end, in the unit of the residual. Hoffmann et al. 2022 take 1e-3 of log loss.
        of: What residuals are taken of.

    Raises:
        ValueError: ``delta`` is not above zero.
    """

    delta: float = 1e-3
    of: Of = "log loss"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ValueError(
                f"Huber's delta is the largest residual that is squared, so it must be above 0, not {self.delta}."
            )

    def __str__(self) -> str:
        return f"Huber (δ = {self.delta:g}) of {self.of}"


@dataclass(frozen=True)
class LeastAbsolute:
    """The sum of ``|r|``: the limit of :class:`Huber` over δ as δ goes to 0; one run in error moves it little."""

    of: Of = "log loss"
    delta: ClassVar[float] = 0.0

    def __str__(self) -> str:
        return f"least absolute deviations of {self.of}"


@dataclass(frozen=True)
class LeastSquares:
    """The sum of ``r²/2``: best where noise is normal and every run is right."""

    of: Of = "log loss"
    delta: ClassVar[float] = np.inf

    def __str__(self) -> str:
        return f"least squares of {self.of}"


Objective: TypeAlias = Huber | LeastAbsolute | LeastSquares


def losses(residuals: Numbers, delta: float) -> Numbers:
    """Loss of each residual: Huber's with ``delta``; ``|r|`` for 0, ``r²/2`` for infinity.

    >>> losses(np.array([-3.0, 0.5]), 1.0)
    array([2.5  , 0.125])
    """
    size = np.abs(residuals)
    if delta == 0:
        return size
    if np.isinf(delta):
        return 0.5 * residuals * residuals
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)
