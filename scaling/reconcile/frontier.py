"""The best size for each budget, three ways (Hoffmann et al. 2022): lower envelope, IsoFLOP valleys, fitted surface.

Approach 1 takes the run of lowest loss at each budget; approach 2 finds the bottom of each IsoFLOP valley; approach 3
asks a fitted law. All end in a power law, best size = coefficient · FLOPs^exponent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..laws.law import Law
from ..runs.columns import Numbers, Runs, numbers

STEPS_BETWEEN = 25
"""Places between two neighbouring sizes at which a valley is looked at, as Porian et al. 2024 do."""


@dataclass(frozen=True)
class PowerLaw:
    """``coefficient · x^exponent``.

    Attributes:
        exponent: Without unit.
        coefficient: The value at x = 1.
        standard_error: Of the exponent, from the scatter about the line.
    """

    exponent: float
    coefficient: float
    standard_error: float

    def predict(self, x: Numbers) -> Numbers:
        """Values at ``x``, float64 of its shape."""
        return np.asarray(self.coefficient * np.asarray(x, np.float64) ** self.exponent, np.float64)


def power_law(x: Numbers, y: Numbers, weights: Numbers | None = None) -> PowerLaw:
    """The weighted least-squares line through logarithms.

    Args:
        x: float64[points], above zero.
        y: float64[points], above zero.
        weights: float64[points], one over the variance of ``log y``; None for alike.

    Raises:
        ValueError: Fewer than two distinct ``x``.

    >>> power_law(np.array([1.0, 100.0]), np.array([3.0, 30.0])).exponent
    0.5
    """
    if np.unique(x).size < 2:
        raise ValueError(f"A power law needs two different budgets or more, but there are {np.unique(x).size}.")
    weight = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    along, up = np.log(x), np.log(y)
    along = along - np.average(along, weights=weight)
    moment = float((weight * along**2).sum())
    exponent = float((weight * along * up).sum() / moment)
    middle = float(np.average(up, weights=weight))
    residuals = up - middle - exponent * along
    freedom = max(len(along) - 2, 1)
    error = float(np.sqrt((weight * residuals**2).sum() / freedom / moment))
    return PowerLaw(exponent, float(np.exp(middle - exponent * (np.log(x) - along)[0])), error)


@dataclass(frozen=True)
class Frontier:
    """The best size at each budget.

    Attributes:
        flops: float64[budgets], rising.
        params: float64[budgets], the best size.
        tokens: float64[budgets], FLOPs over six times the size.
        loss: float64[budgets], the lowest loss.
        spread: float64[budgets], standard deviation of ``log params``; one where there is no estimate.
        skipped: Budgets whose lowest loss is at the smallest or largest size, so that the best size is unknown.
    """

    flops: Numbers
    params: Numbers
    tokens: Numbers
    loss: Numbers
    spread: Numbers
    skipped: tuple[float, ...] = ()

    @property
    def sizes(self) -> PowerLaw:
        """Best parameters over FLOPs."""
        return power_law(self.flops, self.params, self.spread**-2.0)

    @property
    def data(self) -> PowerLaw:
        """Best tokens over FLOPs."""
        return power_law(self.flops, self.tokens, self.spread**-2.0)


def valleys(
    runs: Runs,
    *,
    size: str = "params",
    method: Literal["akima", "parabola"] = "akima",
    noise: float = 0.005,
    draws: int = 1000,
    seed: int = 0,
) -> Frontier:
    """Approach 2: the bottom of the valley of each FLOP budget.

    Args:
        runs: Columns ``flops``, ``loss`` and the one that ``size`` names; runs of one budget have equal ``flops``. Of
            several runs of one size and budget the best counts.
        size: The column that counts as size.
        method: ``akima`` interpolates the logarithms of loss and size (Akima 1970) and takes the median bottom over
            draws of noise, as Porian et al. 2024 do; ``parabola`` fits one through the five runs around the lowest, as
            Hoffmann et al. 2022 do through all.
        noise: Standard deviation of the loss between seeds, in nats; of ``akima`` alone.
        draws: How often noise is drawn.
        seed: Of the noise.

    Raises:
        ValueError: Fewer than two budgets have a bottom.
    """
    columns = numbers(runs, ("flops", size, "loss"), ("flops", size, "loss"))
    # numpy promises that this older generator draws alike for ever.
    generator = np.random.RandomState(seed)
    found: list[tuple[float, float, float, float]] = []
    skipped: list[float] = []
    for budget in np.unique(columns["flops"]):
        rows = columns["flops"] == budget
        sides, losses = _best_of_each(columns[size][rows], columns["loss"][rows])
        bottom = None
        if sides.size >= 3:
            draw = noise * generator.standard_normal((draws, sides.size)) if method == "akima" else None
            bottom = _parabola(sides, losses) if draw is None else _akima(sides, losses, draw)
        if bottom is None:
            skipped.append(float(budget))
        else:
            found.append((float(budget), *bottom))
    if len(found) < 2:
        raise ValueError(
            f"Of {len(found) + len(skipped)} FLOP budgets, {len(found)} have a lowest loss between other sizes; "
            "two are needed. Give runs of three sizes or more at each budget, with equal values in the column flops, "
            "or read a fitted law instead (in reconcile: method=surface)."
        )
    table = np.array(found)
    flops, params = table[:, 0], np.exp(table[:, 1])
    return Frontier(flops, params, flops / (6 * params), np.exp(table[:, 3]), table[:, 2], tuple(skipped))


def _best_of_each(sides: Numbers, losses: Numbers) -> tuple[Numbers, Numbers]:
    """Distinct sizes, rising, and the lowest loss of each."""
    distinct, place = np.unique(sides, return_inverse=True)
    best = np.full(distinct.size, np.inf)
    np.minimum.at(best, place, losses)
    return distinct, best


def _akima(sides: Numbers, losses: Numbers, noise: Numbers) -> tuple[float, float, float] | None:
    """Log of the best size, its standard deviation, and log of the loss there; None if most draws have no bottom."""
    from scipy.interpolate import Akima1DInterpolator

    along = np.log(sides)
    places = np.linspace(along[0], along[-1], (along.size - 1) * STEPS_BETWEEN)
    curves = Akima1DInterpolator(along, np.log(losses + noise), axis=1)(places)
    lowest = curves.argmin(1)
    inside = (lowest > 0) & (lowest < places.size - 1)
    if inside.mean() < 0.5:
        return None
    bottoms = places[lowest[inside]]
    # A third of the distance between sizes: noise that never moves the bottom does not mean that it is known.
    spread = max(float(bottoms.std()), STEPS_BETWEEN * float(places[1] - places[0]) / 3) / float(inside.mean())
    return float(np.median(bottoms)), spread, float(np.median(curves.min(1)[inside]))


def _parabola(sides: Numbers, losses: Numbers) -> tuple[float, float, float] | None:
    lowest = int(losses.argmin())
    if lowest in {0, losses.size - 1}:
        return None
    near = slice(max(lowest - 2, 0), lowest + 3)
    bend, slope, level = np.polyfit(np.log(sides[near]), np.log(losses[near]), 2)
    bottom = -slope / (2 * bend)
    return (float(bottom), 1.0, float(level - slope**2 / (4 * bend))) if bend > 0 else None


def envelope(runs: Runs, *, size: str = "params", bins: int | None = None) -> Frontier:
    """Approach 1: the run of lowest loss at each budget.

    Args:
        runs: Columns ``flops``, ``loss`` and the one that ``size`` names; checkpoints of a run count as runs.
        size: The column that counts as size.
        bins: Ranges of equal width in log FLOPs, one best run in each; None for one budget a distinct value.

    Raises:
        ValueError: Fewer than two budgets.
    """
    columns = numbers(runs, ("flops", size, "loss"), ("flops", size, "loss"))
    flops, losses = columns["flops"], columns["loss"]
    if bins is None:
        place = np.unique(flops, return_inverse=True)[1]
    else:
        along = np.log(flops)
        width = max(float(np.ptp(along)), 1e-12) / bins
        place = np.minimum(((along - along.min()) / width).astype(np.int64), bins - 1)
    order = np.lexsort((losses, place))
    best = order[np.r_[True, np.diff(place[order]) > 0]]
    if best.size < 2:
        raise ValueError("A frontier needs runs of two budgets or more.")
    params = columns[size][best]
    return Frontier(flops[best], params, flops[best] / (6 * params), losses[best], np.ones(best.size))


def best_sizes(
    law: Law,
    theta: Mapping[str, float],
    flops: Numbers,
    *,
    unique_tokens: float | None = None,
    count: Callable[[Numbers], Numbers] | None = None,
) -> Frontier:
    """Approach 3: the size at which a fitted law is lowest, for budgets of 6 · params · tokens FLOPs.

    Args:
        law: A law over ``params`` and ``tokens``, and ``unique_tokens`` if the law reads them.
        theta: Its parameters.
        flops: float64[budgets].
        unique_tokens: Tokens that exist; beyond them they repeat.
        count: Parameters as the law counts them, from the size that the budget is reckoned with and that is returned,
            such as :func:`.reconcile.with_embeddings`; None if both count alike.

    Raises:
        ValueError: The law reads other columns.

    >>> from ..laws.registry import LAWS
    >>> theta = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}
    >>> round(best_sizes(LAWS["chinchilla"], theta, np.geomspace(1e18, 1e24, 7)).sizes.exponent, 4)
    0.4516
    """
    if not {"params", "tokens"} <= set(law.columns) <= {"params", "tokens", "unique_tokens"}:
        raise ValueError(
            f"The law {law.name!r} reads {', '.join(law.columns)}: a best size needs one of params and tokens."
        )
    vector = law.vector(theta)
    budgets = np.asarray(flops, np.float64)
    low, high = np.zeros(budgets.size), np.log(budgets / 6)

    def losses(sides: Numbers) -> Numbers:
        params = np.exp(sides)
        tokens = budgets[:, None] / 6 / params
        have = tokens if unique_tokens is None else np.minimum(tokens, unique_tokens)
        counted = params if count is None else count(params)
        columns = {"params": counted.ravel(), "tokens": tokens.ravel(), "unique_tokens": have.ravel()}
        return law.evaluate(vector, {name: columns[name] for name in law.columns}).reshape(sides.shape)

    # Each round looks at 64 places and keeps the two intervals around the lowest: 10 rounds narrow by 32^10.
    for _ in range(10):
        places = np.linspace(low, high, 64, axis=1)
        lowest = losses(places).argmin(1)
        rows = np.arange(budgets.size)
        low, high = places[rows, np.maximum(lowest - 1, 0)], places[rows, np.minimum(lowest + 1, 63)]
    middle = (low + high) / 2
    params = np.exp(middle)
    return Frontier(budgets, params, budgets / 6 / params, losses(middle[:, None])[:, 0], np.ones(budgets.size))


@dataclass(frozen=True)
class Break:
    """Where a power law changes its exponent, if it does.

    Attributes:
        at: x of the break.
        below: Exponent under it.
        above: Exponent over it.
        p_value: Share of tables without a break, with as much scatter, that look as broken as this one.
    """

    at: float
    below: float
    above: float
    p_value: float


def find_break(x: Numbers, y: Numbers, *, draws: int = 2000, seed: int = 0) -> Break:
    """Fit a power law with one change of exponent, and test whether there is one.

    The break is the best of 31 places between the third point from each end. The largest F over them has no table, so
    its distribution is drawn from straight lines with normal scatter.

    Args:
        x: float64[points], above zero.
        y: float64[points], above zero: loss less its floor, best sizes, anything that ought to be a power law.
        draws: Tables to draw.
        seed: Of the drawing.

    Raises:
        ValueError: Fewer than seven points.
    """
    if len(x) < 7:
        raise ValueError(f"A break needs three points on either side and one more: seven, not {len(x)}.")
    order = np.argsort(x, kind="stable")
    along, up = np.log(np.asarray(x, np.float64)[order]), np.log(np.asarray(y, np.float64)[order])
    places = np.linspace(along[2], along[-3], 31)
    straight = np.stack([np.ones_like(along), along], 1)
    keep = np.eye(along.size) - straight @ np.linalg.pinv(straight)
    bends = keep @ np.maximum(along[:, None] - places, 0.0)
    norms = (bends**2).sum(0)
    tables = keep @ np.concatenate([up[:, None], np.random.RandomState(seed).standard_normal((along.size, draws))], 1)
    gains = (bends.T @ tables) ** 2 / norms[:, None]
    totals = (tables**2).sum(0)
    shares = gains.max(0) / np.maximum(totals, 1e-300)
    best = int(gains[:, 0].argmax())
    change = float(bends[:, best] @ tables[:, 0] / norms[best])
    bent = np.concatenate([straight, np.maximum(along - places[best], 0.0)[:, None]], 1)
    below = float(np.linalg.lstsq(bent, up, rcond=None)[0][1])
    p_value = (1 + int((shares[1:] >= shares[0]).sum())) / (1 + draws)
    return Break(float(np.exp(places[best])), below, below + change, p_value)
