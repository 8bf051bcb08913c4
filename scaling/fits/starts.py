"""Where descents begin: the best of a grid over exponents, with coefficients solved for at each point of it.

A law that is a weighted sum once its exponents are fixed, as Chinchilla's, leaves only the exponents to search for; the
weights are then a small linear least-squares problem (variable projection, Golub & Pereyra 1973). The usual protocol
searches all of them: 4,500 starts for Chinchilla's five parameters, where 576 points over two exponents do better.
"""

from __future__ import annotations

import numpy as np

from ..runs.columns import Numbers
from .descent import Problem

GRID = 576
"""Points over the parameters that are searched: 24 × 24 for two exponents."""

WIDE_GRID = 2048
"""Points where more than two are searched. A box of five dimensions is mostly empty, so there are more descents, too:
with twice as many, three of 200 fits of D-CPT's law ended beside the optimum (by 1e-6 to 1e-4 of it), with four times
none."""


def starts(problem: Problem, count: int) -> Numbers:
    """The best points of the grid that lie apart from each other.

    Args:
        problem: What to fit.
        count: How many starts; twice as many if more than two parameters are searched, four times beyond four.

    Returns:
        float64[at most 4 · count, parameters], in coordinates, best first.

    Raises:
        ValueError: The law has no finite prediction anywhere in its start box.
    """
    parameters = problem.law.parameters
    corners = np.array([parameter.start for parameter in parameters]).T
    least, most = problem.coordinates(corners[0]), problem.coordinates(corners[1])
    searched = [index for index, parameter in enumerate(parameters) if not parameter.linear]
    grid = WIDE_GRID if len(searched) > 2 else GRID if searched else 1
    points = np.tile((least + most) / 2, (grid, 1))
    points[:, searched] = least[searched] + (most - least)[searched] * spread(len(points), len(searched))
    blocks = [_solve_weights(problem, block) for block in np.array_split(points, -(-grid // problem.together))]
    points = np.concatenate(blocks)
    values = np.concatenate([problem.values(problem.vectors(block)) for block in blocks])
    if not np.isfinite(values).any():
        raise ValueError(
            f"The law {problem.law.name!r} predicts no usable {problem.law.target} anywhere in its start box: "
            f"check the units of the columns {', '.join(problem.law.columns)}."
        )
    wanted = count * (1 if len(searched) < 3 else 2 if len(searched) < 5 else 4)
    width = np.where(most > least, most - least, 1.0)
    return _apart(points[np.argsort(values, kind="stable")[: np.isfinite(values).sum()]], width, wanted)


def spread(count: int, dimensions: int) -> Numbers:
    """Points that fill the unit cube evenly: a grid up to two dimensions, then multiples of irrational steps.

    The steps are powers of 1/φ, where φ is the root of ``x^(d+1) = x + 1``: for one dimension the golden ratio's.

    >>> spread(3, 1)[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    if dimensions == 1:
        return np.linspace(0, 1, count)[:, None]
    if dimensions == 2:
        side = round(count**0.5)
        along = np.linspace(0, 1, side)
        grid = np.stack(np.meshgrid(along, along, indexing="ij"), -1).reshape(-1, 2)
        return np.resize(grid, (count, 2))
    root = 1.5
    for _ in range(60):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.outer(np.arange(1, count + 1), steps)) % 1.0


def _solve_weights(problem: Problem, points: Numbers) -> Numbers:
    """Set the linear parameters of each point to their least-squares values, kept within bounds."""
    linear = [index for index, parameter in enumerate(problem.law.parameters) if parameter.linear]
    if not linear:
        return points
    vectors = problem.vectors(points)
    importance = 1.0 / problem.measured if problem.objective.of == "log loss" else np.ones_like(problem.measured)
    with np.errstate(all="ignore"):
        predicted, gradient = problem.law.differentiate(vectors, problem.columns)
        basis = gradient[:, linear, :]
        rest = problem.measured - (predicted - np.einsum("kl,kln->kn", vectors[:, linear], basis))
        basis = basis * importance
        norm = np.sqrt((basis**2).sum(-1))
        norm = np.where((norm > 0) & np.isfinite(norm), norm, 1.0)
        basis = np.nan_to_num(basis / norm[..., None], posinf=0.0, neginf=0.0)
        normal = np.matmul(basis, basis.swapaxes(1, 2)) + 1e-10 * np.eye(len(linear))
        right = np.matmul(basis, np.nan_to_num(rest * importance, posinf=0.0, neginf=0.0)[..., None])
        weights = np.linalg.solve(normal, right)[..., 0] / norm
    bounds = np.array([(problem.law.parameters[index].low, problem.law.parameters[index].high) for index in linear]).T
    vectors[:, linear] = np.clip(weights, bounds[0], bounds[1])
    return problem.coordinates(vectors)


def _apart(points: Numbers, width: Numbers, count: int) -> Numbers:
    """The first points that differ from those before by a sixth of some parameter's start box."""
    kept: list[Numbers] = []
    for point in points:
        if all(np.abs((point - other) / width).max() > 1 / 6 for other in kept):
            kept.append(point)
            if len(kept) == count:
                break
    return np.array(kept)
