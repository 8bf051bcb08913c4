"""How sure a fit is: bootstraps over runs, seeds or clusters, and profile likelihoods.

Neither trusts the curvature at the optimum. The sandwich that does is wrong by factors of 0.5 to 1.6 on Chinchilla's
240 runs (``bench/laws.py``), because the surface bends within the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..runs.columns import Numbers, Runs
from .descent import descend
from .fit import Fit

RIVALS = 3
"""Optima of a fit that its samples and profiles start from, the best ones; more cost time and are never the best."""

REACH = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Standard errors to either side at which profiles are first looked at."""


@dataclass(frozen=True)
class Interval:
    """An interval for one number.

    Attributes:
        low: Its lower end; the bound of the fit where the runs give none.
        high: Its upper end, likewise.
        level: The share of experiments in which it should hold the truth.
        open_low: Whether the runs give no lower end.
        open_high: Whether they give no upper end.
    """

    low: float
    high: float
    level: float
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        low = "no lower end" if self.open_low else f"{self.low:.5g}"
        high = "no upper end" if self.open_high else f"{self.high:.5g}"
        return f"{low} to {high}"


@dataclass(frozen=True)
class Bootstrap:
    """A law fitted to resampled runs.

    Attributes:
        fit: The fit to all runs.
        thetas: float64[samples, parameters], in the law's order.
        level: Of the intervals.
    """

    fit: Fit
    thetas: Numbers
    level: float

    @property
    def standard_errors(self) -> Mapping[str, float]:
        """Standard deviation of each parameter over the samples."""
        return dict(zip(self.fit.law.names, map(float, self.thetas.std(0, ddof=1)), strict=True))

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """The percentile interval of each parameter."""
        ends = zip(self.fit.law.names, self._ends(self.thetas).T, strict=True)
        return {name: Interval(float(low), float(high), self.level) for name, (low, high) in ends}

    def of(self, quantity: Callable[[Mapping[str, Numbers]], Numbers]) -> Interval:
        """The interval of any function of the parameters, which come as float64[samples] by name.

        For example ``lambda t: t["beta"] / (t["alpha"] + t["beta"])``, the exponent of the best size over compute.
        """
        values = quantity(dict(zip(self.fit.law.names, self.thetas.T, strict=True)))
        low, high = self._ends(np.asarray(values, np.float64))
        return Interval(float(low), float(high), self.level)

    def band(self, runs: Runs) -> tuple[Numbers, Numbers]:
        """Lower and upper ends of predictions for other runs, float64[runs] each; of the law, not of a run's noise."""
        low, high = self._ends(self.fit.law.predict(self.thetas, runs))
        return low, high

    def _ends(self, values: Numbers) -> Numbers:
        tail = (1 - self.level) / 2
        return np.asarray(np.quantile(values, [tail, 1 - tail], axis=0), np.float64)


def bootstrap(
    fit: Fit, *, samples: int = 1000, groups: NDArray[np.generic] | None = None, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """Fit again to runs drawn with replacement (Efron 1979).

    Args:
        fit: The fit to all runs; samples start from each of its best optima.
        samples: How many.
        groups: One label a run, of any type; whole groups are drawn. Give the seed's number, the model or the sweep
            that runs share, because runs that share it err alike. None draws runs.
        seed: Of the drawing.
        level: Of the intervals.

    Raises:
        ValueError: Fewer than two groups or labels of another length.
    """
    _check_level(level)
    runs = fit.problem.measured.size
    members = np.arange(runs) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if members.size != runs:
        raise ValueError(f"The bootstrap needs a group for each of the {runs} runs, but was given {members.size}.")
    count = int(members.max()) + 1
    if count < 2:
        raise ValueError("The bootstrap needs two groups or more: from one, every sample is the same.")
    # numpy promises that this older generator draws alike for ever, and published bootstraps drew with it.
    draws = np.random.RandomState(seed).randint(0, count, (samples, count))
    times = np.zeros((samples, count))
    np.add.at(times, (np.arange(samples)[:, None], draws), 1.0)
    weights = times[:, members]
    best, values = np.empty((samples, len(fit.law.names))), np.full(samples, np.inf)
    for optimum in fit.optima[:RIVALS]:
        start = fit.problem.coordinates(fit.law.vector(optimum.theta))
        ends, reached = descend(fit.problem, np.tile(start, (samples, 1)), weights, tolerance=1e-9)
        better = reached < values
        best[better], values[better] = ends[better], reached[better]
    return Bootstrap(fit, fit.problem.vectors(best), level)


@dataclass(frozen=True)
class Profile:
    """The best objective at each value of one parameter, all others free.

    Attributes:
        name: The parameter.
        values: float64[points], rising.
        objectives: float64[points].
        interval: Where the likelihood ratio does not speak against the value.
    """

    name: str
    values: Numbers
    objectives: Numbers
    interval: Interval


def profiles(fit: Fit, *, level: float = 0.95, names: tuple[str, ...] | None = None) -> Mapping[str, Profile]:
    """Profile-likelihood intervals of parameters.

    A value is inside if the objective there, with the others fitted again, is above the optimum by less than t²/2 times
    the noise, where t is Student's quantile. For least squares this is the likelihood ratio of normal noise. For
    Huber's loss and absolute values it is the robust ratio of Schrader & Hettmansperger (1980), whose noise is mean ψ²
    over mean ψ' of the residuals. The noise must be alike in all runs; where it is not, or runs come in groups, take
    :func:`bootstrap`.

    Args:
        fit: The fit to all runs.
        level: Of the intervals.
        names: Parameters to look at; None for all.

    Raises:
        ValueError: No more runs than parameters, or a name that the law does not have.
    """
    _check_level(level)
    law, problem = fit.law, fit.problem
    wanted = law.names if names is None else names
    unknown = sorted(set(wanted) - set(law.names))
    if unknown:
        raise ValueError(f"The law {law.name!r} has no parameter {unknown[0]!r}; it has {', '.join(law.names)}.")
    if problem.measured.size <= len(law.names):
        raise ValueError(f"Profiles need more runs than the {len(law.names)} parameters of the law {law.name!r}.")
    covariance = _covariance(fit)
    return {name: _profile(fit, law.names.index(name), covariance, level) for name in wanted}


def _quantile(fit: Fit, level: float) -> float:
    """How many standard errors wide: Student's, because the noise is estimated from few residuals."""
    from scipy.special import stdtrit

    return float(stdtrit(fit.residuals.size - len(fit.law.names), 0.5 + level / 2))


def noise(fit: Fit) -> float:
    """The scale of the objective: mean ψ² over mean ψ' of the residuals, with the parameters' degrees taken off.

    For least squares it is the variance of the residuals.
    """
    residuals, delta = fit.residuals, fit.objective.delta
    runs = residuals.size
    freedom = max(runs - len(fit.law.names), 1)
    if np.isinf(delta):
        return float((residuals**2).sum() / freedom)
    size = np.abs(residuals)
    # The density at zero wants a window that holds enough runs, whatever delta is. A least absolute fit passes through
    # one run for each parameter, and those tell nothing of the density.
    through = len(fit.law.names) if delta == 0 else 0
    window = max(delta, float(np.quantile(size, min(1.0, max(0.35, 3 * len(fit.law.names) / runs)))))
    slope = max((size <= window).sum() - through, 1) / (runs - through) / window * (delta or 1.0)
    power = (np.minimum(size, delta) ** 2).sum() if delta else float(runs)
    return float(power / freedom / slope)


def _covariance(fit: Fit) -> Numbers:
    """A guess of the coordinates' covariance, float64[parameters, parameters]: steps and directions of the search."""
    residuals, slopes = fit.problem.slopes(fit.problem.coordinates(fit.vector)[None])
    spread = float(np.median(np.abs(residuals))) / 0.6745 + 1e-12
    matrix = slopes[0] @ slopes[0].T
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    inverse = np.linalg.pinv(matrix / np.outer(scale, scale), rcond=1e-10, hermitian=True)
    return np.asarray(spread**2 * inverse / np.outer(scale, scale), np.float64)


def _profile(fit: Fit, index: int, covariance: Numbers, level: float) -> Profile:
    threshold = fit.value + 0.5 * _quantile(fit, level) ** 2 * noise(fit)
    centre = fit.problem.coordinates(fit.vector)
    low, high = fit.problem.bounds
    step = float(np.sqrt(max(covariance[index, index], 1e-300)))
    direction = covariance[:, index] / max(covariance[index, index], 1e-300)
    reach = np.array([*(-each for each in reversed(REACH)), *REACH]) * step
    places = np.clip(centre[index] + reach, low[index], high[index])
    known = {float(centre[index]): centre}
    _objectives(fit, index, places, direction, known)
    values = _objectives(fit, index, places, direction, known)  # now from the neighbours' ends, and its own
    seen = dict(zip(places.tolist(), values.tolist(), strict=True))
    seen[float(centre[index])] = min(fit.value, *seen.values())
    ends = []
    for side, bound in ((-1, float(low[index])), (1, float(high[index]))):
        end = _crossing(fit, index, side, direction, threshold=threshold, seen=seen, known=known)
        ends.append((bound, True) if end is None else (end, False))
    places = np.array(sorted(seen))
    values = np.tile(fit.problem.coordinates(fit.vector), (places.size, 1))
    values[:, index] = places
    (first, open_low), (last, open_high) = ends
    limits = np.tile(centre, (2, 1))
    limits[:, index] = first, last
    first, last = fit.problem.vectors(limits)[:, index]
    return Profile(
        fit.law.names[index],
        fit.problem.vectors(values)[:, index],
        np.array([seen[place] for place in places]),
        Interval(float(first), float(last), level, open_low, open_high),
    )


def _crossing(
    fit: Fit,
    index: int,
    side: int,
    direction: Numbers,
    *,
    threshold: float,
    seen: dict[float, float],
    known: dict[float, Numbers],
) -> float | None:
    """Where the profile last rises through the threshold on one side; None if it never does. Adds to ``seen``."""
    centre = fit.problem.coordinates(fit.vector)
    ahead = sorted((place for place in seen if side * (place - centre[index]) >= 0), key=lambda place: side * place)
    inside = [number for number, place in enumerate(ahead) if seen[place] <= threshold]
    if inside[-1] == len(ahead) - 1:
        return None
    near, far = ahead[inside[-1]], ahead[inside[-1] + 1]
    for _ in range(12):
        # Objectives rise like squares, so their roots rise like lines.
        rise = np.sqrt(max(threshold - fit.value, 0.0)) - np.sqrt(max(seen[near] - fit.value, 0.0))
        whole = np.sqrt(max(seen[far] - fit.value, 0.0)) - np.sqrt(max(seen[near] - fit.value, 0.0))
        place = near + (far - near) * float(
            np.clip(rise / whole if np.isfinite(whole) and whole > 0 else 0.5, 0.1, 0.9)
        )
        value = float(_objectives(fit, index, np.array([place]), direction, known)[0])
        seen[place] = value
        near, far = (place, far) if value <= threshold else (near, place)
        if abs(value - threshold) <= 1e-3 * (threshold - fit.value):
            return place
    return near + (far - near) / 2


def _objectives(fit: Fit, index: int, places: Numbers, direction: Numbers, known: dict[float, Numbers]) -> Numbers:
    """The best objective with one coordinate at each of ``places``.

    Descents begin on a line through the fit, at its rivals, and at the nearest points of ``known`` on both sides (place
    → where the best descent ended), which is added to. Where a law is nearly another with fewer parameters, as a power
    near 1, only the neighbours lead to the valley's bottom.
    """
    problem = fit.problem
    centre = problem.coordinates(fit.vector)
    low, high = problem.bounds
    starts = [centre + np.outer(places - centre[index], direction)]
    starts += [
        np.tile(problem.coordinates(fit.law.vector(other.theta)), (places.size, 1)) for other in fit.optima[1:RIVALS]
    ]
    sorted_known = np.array(sorted(known))
    right = np.searchsorted(sorted_known, places)
    for near in (right - 1, np.minimum(right, sorted_known.size - 1), np.minimum(right + 1, sorted_known.size - 1)):
        starts.append(np.array([known[place] for place in sorted_known[np.maximum(near, 0)]]))
    points = np.clip(np.concatenate(starts), low, high)
    points[:, index] = np.tile(places, len(starts))
    fixed = np.zeros(points.shape, np.bool_)
    fixed[:, index] = True
    ends, values = descend(problem, points, fixed=fixed, tolerance=1e-11)
    values = values.reshape(len(starts), places.size)
    best = values.argmin(0)
    chosen = ends.reshape(len(starts), places.size, -1)[best, np.arange(places.size)]
    known |= dict(zip(places.tolist(), chosen, strict=True))
    return np.asarray(values.min(0), np.float64)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, such as 0.95, not {level}.")
