"""Second-order descent of many fits at once: the engine under :func:`.fit.fit` and under every bootstrap.

All problems share a law and its columns, and differ in their start and in the weights of their runs, so each step is a
few numpy operations over all of them. A step solves a damped Newton system (Levenberg 1944, Marquardt 1963). Two
matrices alternate: Newton's, of the runs whose residual is in Huber's quadratic part, which ends in a few steps but may
overshoot; and the majoriser's, which weighs each run by ``min(1, δ/|r|)`` and cannot, but closes in slowly. On the 240
runs of Chinchilla, the majoriser alone needs 100 steps for what both need 15 for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..laws.law import Law
from ..runs.columns import Numbers
from .objectives import Objective, losses

CHUNK = 77_000
"""Derivatives in one step: 64 problems of 240 runs and 5 parameters are 600 kB, which a core's cache holds."""

ABSOLUTE_STEPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
"""Widths of Huber's quadratic part on the way to absolute values, over the typical residual."""


@dataclass(frozen=True)
class Problem:
    """Runs to fit a law to, and the coordinates of the descent: the logarithm of parameters on a log scale.

    Attributes:
        law: The law.
        columns: Its columns, checked.
        measured: float64[runs], the target.
        objective: What to make small.
    """

    law: Law
    columns: Mapping[str, Numbers]
    measured: Numbers
    objective: Objective

    @property
    def logs(self) -> NDArray[np.bool_]:
        """bool[parameters]: which are on a log scale."""
        return np.array([parameter.scale == "log" for parameter in self.law.parameters], np.bool_)

    @property
    def together(self) -> int:
        """How many problems share a step."""
        return max(1, CHUNK // max(1, self.measured.size * len(self.law.parameters)))

    @property
    def bounds(self) -> tuple[Numbers, Numbers]:
        """Least and largest coordinates, float64[parameters] each."""
        low = np.array([parameter.low for parameter in self.law.parameters])
        high = np.array([parameter.high for parameter in self.law.parameters])
        return self.coordinates(low), self.coordinates(high)

    def coordinates(self, vectors: Numbers) -> Numbers:
        """Coordinates of parameter vectors, float64[..., parameters] both."""
        logs = self.logs
        return np.where(logs, np.log(np.where(logs, vectors, 1.0)), vectors)

    def vectors(self, points: Numbers) -> Numbers:
        """Parameter vectors of coordinates: the inverse of :meth:`coordinates`."""
        logs = self.logs
        return np.where(logs, np.exp(np.where(logs, points, 0.0)), points)

    def residuals(self, vectors: Numbers) -> Numbers:
        """Residuals float64[..., runs]; not finite where a prediction has no logarithm."""
        with np.errstate(all="ignore"):
            predicted = self.law.evaluate(vectors, self.columns)
            if self.objective.of == "log loss":
                return np.log(predicted) - np.log(self.measured)
            return predicted - self.measured

    def slopes(self, points: Numbers) -> tuple[Numbers, Numbers]:
        """Residuals float64[k, runs], and their derivatives by the coordinates float64[k, parameters, runs]."""
        vectors = self.vectors(points)
        with np.errstate(all="ignore"):
            predicted, gradient = self.law.differentiate(vectors, self.columns)
            logs = self.logs
            if logs.any():
                gradient[..., logs, :] *= vectors[..., logs, None]
            if self.objective.of == "log loss":
                gradient /= predicted[..., None, :]
                return np.log(predicted) - np.log(self.measured), gradient
            return predicted - self.measured, gradient

    def values(self, vectors: Numbers, weights: Numbers | None = None) -> Numbers:
        """The objective float64[...]; infinite where a residual is not finite."""
        return _total(self.residuals(vectors), self.objective.delta, weights)


@dataclass
class _State:
    """Where the problems of a chunk are; every field has one row for each problem that is still going.

    Attributes:
        points: float64[k, parameters].
        weights: float64[k or 1, runs].
        residuals: float64[k, runs].
        slopes: float64[k, parameters, runs].
        values: float64[k], the objective.
        damping: float64[k], Marquardt's.
        newton: bool[k], whether the next step takes Newton's matrix.
        calm: int64[k], steps in a row that gained nothing to speak of.
        fixed: bool[k, parameters], those that stay where they started.
    """

    points: Numbers
    weights: Numbers
    residuals: Numbers
    slopes: Numbers
    values: Numbers
    damping: Numbers
    newton: NDArray[np.bool_]
    calm: NDArray[np.int64]
    fixed: NDArray[np.bool_]

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Let go of the problems that are done."""
        for each in fields(self):
            values = getattr(self, each.name)
            if len(values) == len(rows):
                setattr(self, each.name, values[rows])


def descend(
    problem: Problem,
    points: Numbers,
    weights: Numbers | None = None,
    *,
    fixed: NDArray[np.bool_] | None = None,
    tolerance: float = 1e-13,
    steps: int = 200,
) -> tuple[Numbers, Numbers]:
    """Go down from each start to a local optimum inside the bounds.

    Args:
        problem: What to fit.
        points: float64[k, parameters], starts in coordinates.
        weights: float64[k, runs], how often each run counts; None for once each.
        fixed: bool[k, parameters], which coordinates stay where they start; None for none.
        tolerance: Done when eight steps in a row lower the objective by less than this share.
        steps: At most so many.

    Returns:
        float64[k, parameters], where each start ended, in coordinates, and float64[k], the objective there.
    """
    ends = np.array(points, np.float64)
    held = np.zeros(ends.shape, np.bool_) if fixed is None else fixed
    shares: tuple[float, ...]
    if problem.objective.delta > 0:
        shares, typical = (1.0,), problem.objective.delta
    else:
        shares = ABSOLUTE_STEPS
        sizes = np.median(np.abs(problem.residuals(problem.vectors(ends))), axis=-1)
        typical = float(np.min(sizes[np.isfinite(sizes)], initial=1.0))
    for share in shares:
        for begin in range(0, len(ends), problem.together):
            rows = slice(begin, begin + problem.together)
            chosen = np.ones((1, problem.measured.size)) if weights is None else weights[rows]
            width, enough = max(share * typical, 1e-14), tolerance if share == shares[-1] else 1e-9
            _descend(problem, ends[rows], chosen, held[rows], delta=width, tolerance=enough, steps=steps)
    return ends, problem.values(problem.vectors(ends), weights)


def polish(problem: Problem, point: Numbers, *, steps: int = 30) -> Numbers:
    """Move an optimum to where the slope vanishes, as far as rounding allows.

    Descents end where the objective no longer falls, which is flat to the square root of rounding: seven digits of a
    parameter. Newton steps on the slope itself give the rest, as long as each makes it smaller.

    Args:
        problem: What was fitted; least absolute values have no slope to look at and are left alone.
        point: float64[parameters], where a descent ended, in coordinates.
        steps: At most so many.

    Returns:
        float64[parameters]: the same point where it is at a bound, or where steps do not help.
    """
    delta = problem.objective.delta
    low, high = problem.bounds
    best, smallest = point, np.inf
    for _ in range(steps if delta > 0 else 0):
        residuals, slopes = (each[0] for each in problem.slopes(point[None]))
        if not (np.isfinite(residuals).all() and np.isfinite(slopes).all()):
            break
        inside = np.abs(residuals) <= delta
        slope = slopes @ np.clip(residuals, -delta, delta)
        steep = float(np.abs(slope / np.maximum(np.linalg.norm(slopes, axis=1), 1e-300)).max())
        if not steep < smallest or (point <= low).any() or (point >= high).any():
            break
        best, smallest = point, steep
        step = _solve(((slopes * inside) @ slopes.T)[None], slope[None])[0]
        point = np.clip(point - step, low, high)
    return best


def _descend(
    problem: Problem,
    ends: Numbers,
    weights: Numbers,
    fixed: NDArray[np.bool_],
    *,
    delta: float,
    tolerance: float,
    steps: int,
) -> None:
    """:func:`descend` for one chunk and one width of the quadratic part; moves ``ends`` in place."""
    low, high = problem.bounds
    points = np.clip(ends, low, high)
    residuals, slopes = problem.slopes(points)
    count = len(points)
    state = _State(
        points,
        weights,
        residuals,
        slopes,
        values=_total(residuals, delta, weights),
        damping=np.full(count, 1e-3),
        newton=np.zeros(count, np.bool_),
        calm=np.zeros(count, np.int64),
        fixed=fixed,
    )
    rows = np.flatnonzero(np.isfinite(state.values))
    state.keep(np.isfinite(state.values))
    for _ in range(steps if rows.size else 0):
        tried = np.clip(state.points + _step(state, delta, low, high), low, high)
        _move(state, tried, problem, delta, tolerance)
        going = (state.calm < 8) & np.isfinite(state.values)
        if not going.all():
            ends[rows[~going]] = state.points[~going]
            rows = rows[going]
            state.keep(going)
            if not rows.size:
                return
    ends[rows] = state.points


def _step(state: _State, delta: float, low: Numbers, high: Numbers) -> Numbers:
    """The damped step of each problem, float64[k, parameters]; none along a bound that the objective falls beyond."""
    size = np.abs(state.residuals)
    curvature = majoriser = np.broadcast_to(state.weights, size.shape)
    if np.isfinite(delta):
        majoriser = state.weights * np.minimum(1.0, delta / np.maximum(size, 1e-300))
        curvature = np.where(state.newton[:, None], state.weights * (size <= delta), majoriser)
    pull = np.clip(state.residuals, -delta, delta) * state.weights
    downhill: Numbers = -np.matmul(state.slopes, pull[..., None])[..., 0]
    matrix = np.matmul(state.slopes * curvature[:, None, :], state.slopes.swapaxes(1, 2))
    scale = np.matmul(state.slopes**2, majoriser[..., None])[..., 0]
    held = state.fixed | ((state.points <= low) & (downhill < 0)) | ((state.points >= high) & (downhill > 0))
    downhill = np.where(held, 0.0, downhill)
    matrix = np.where(held[:, :, None] | held[:, None, :], 0.0, matrix)
    index = np.arange(matrix.shape[1])
    matrix[:, index, index] += np.where(
        held, 1.0, state.damping[:, None] * scale + 1e-14 * scale.max(1)[:, None] + 1e-300
    )
    return _solve(matrix, downhill)


def _move(state: _State, tried: Numbers, problem: Problem, delta: float, tolerance: float) -> None:
    """Take the steps that lower the objective, and choose the damping and the matrix of the next."""
    residuals, slopes = problem.slopes(tried)
    values = _total(residuals, delta, state.weights)
    better = values < state.values
    gained = np.where(better, state.values - np.where(better, values, 0.0), 0.0)
    small = gained <= tolerance * state.values
    state.points = np.where(better[:, None], tried, state.points)
    state.residuals = np.where(better[:, None], residuals, state.residuals)
    state.slopes = np.where(better[:, None, None], slopes, state.slopes)
    state.values = np.where(better, values, state.values)
    state.damping = np.clip(state.damping * np.where(better, 0.2, 8.0), 1e-12, 1e12)
    # Newton's matrix once the majoriser closes in; the majoriser's again after a step that failed.
    state.newton = np.where(better, gained < 0.1 * state.values, ~state.newton)
    state.calm = np.where(better & ~small, 0, state.calm + 1)


def _solve(matrices: Numbers, vectors: Numbers) -> Numbers:
    """Solutions of k systems; zero for one that is not finite, the shortest for one that is singular."""
    sound = np.logical_and(np.isfinite(matrices).all((1, 2)), np.isfinite(vectors).all(1))
    sound = np.atleast_1d(sound)
    matrices = np.where(sound[:, None, None], matrices, np.eye(matrices.shape[1]))
    vectors = np.where(sound[:, None], vectors, 0.0)
    try:
        solved = np.linalg.solve(matrices, vectors[..., None])
    except np.linalg.LinAlgError:
        solved = np.matmul(np.linalg.pinv(matrices), vectors[..., None])
    return np.asarray(solved[..., 0], np.float64)


def _total(residuals: Numbers, delta: float, weights: Numbers | None) -> Numbers:
    """The weighted sum of losses, float64[...]; infinite where a residual is not finite."""
    with np.errstate(all="ignore"):
        each = losses(residuals, delta)
        total = each.sum(-1) if weights is None else (each * weights).sum(-1)
    return np.where(np.isfinite(total), total, np.inf)
