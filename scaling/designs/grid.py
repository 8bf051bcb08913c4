"""Plans for a ladder of runs: which sizes, which budgets, how many seeds, for a given sum of FLOPs.

A plan has a shape, which is one of

- `rectangle`: every size at every budget; the budgets are one study's rungs;
- `isoflop`: a few sums of FLOPs, each spent on every size that suits it (Hoffmann et al. 2022, approach 2);
- `over-training`: every size at the same multiples of one ratio of tokens to parameters (Gadre et al. 2024);
- `constant-ratio`: every size at one ratio, as many published ladders are; it cannot tell alpha from beta;

and one free number, the scale of its tokens, which is solved for so that the runs cost what there is. Training costs
6 FLOPs for each parameter and token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..laws.law import Law
from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from ..runs.columns import Numbers
from .fisher import Noise, Precision, precision

SHAPES = ("rectangle", "isoflop", "over-training", "constant-ratio")
RATIO = 20.0
"""Tokens per parameter near the best for compute: Hoffmann et al. 2022 trained 70e9 parameters on 1.4e12 tokens."""

WINDOW = 16.0
"""IsoFLOP cells are kept from 1/16 to 16 times the best ratio: sizes from a quarter to four times the best."""


@dataclass(frozen=True)
class Grid:
    """Cells of a plan, sorted by size and budget.

    Attributes:
        shape: One of `SHAPES`.
        params: float64[cells].
        tokens: float64[cells].
        seeds: Runs in each cell.
    """

    shape: str
    params: Numbers
    tokens: Numbers
    seeds: int = 1

    @property
    def flops(self) -> float:
        """FLOPs of all runs."""
        return float(FLOPS_PER_PARAMETER_AND_TOKEN * self.seeds * (self.params * self.tokens).sum())

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return self.params.size * self.seeds

    @property
    def budgets(self) -> list[int]:
        """The distinct budgets in tokens, ascending: the `budgets` of a study."""
        return sorted({int(tokens) for tokens in self.tokens})

    def columns(self) -> dict[str, Numbers]:
        """Columns that laws read; every token is seen once."""
        return fresh(self.params, self.tokens)


def fresh(params: Numbers, tokens: Numbers) -> dict[str, Numbers]:
    """Columns of runs that see each token once and whose embeddings are not counted apart."""
    return {
        "params": params,
        "params_non_embedding": params,
        "tokens": tokens,
        "unique_tokens": tokens,
        "epochs": np.ones_like(tokens),
        "flops": FLOPS_PER_PARAMETER_AND_TOKEN * params * tokens,
    }


@dataclass(frozen=True)
class Wish:
    """What a plan is to be made of.

    Attributes:
        flops: For all runs together.
        sizes: Parameters of each size, or how many sizes to choose.
        rungs: Budgets for each size (rectangle, over-training) or sums of FLOPs (isoflop).
        seeds: Runs in each cell. One is best for a law: a run in a new cell tells what another seed does, and more.
        span: Largest budget over smallest.
        size_span: Largest size over smallest, where sizes are chosen.
        least_params: No smaller model is trained.
        least_tokens: No smaller budget is trained on.
        ratio: Tokens per parameter in the middle of the plan, where sizes are chosen.

    Raises:
        ValueError: A number that no plan can have.
    """

    flops: float
    sizes: int | tuple[float, ...] = 6
    rungs: int = 4
    seeds: int = 1
    span: float = 16.0
    size_span: float = 16.0
    least_params: float = 0.0
    least_tokens: float = 0.0
    ratio: float = RATIO

    def __post_init__(self) -> None:
        wrong = {
            "flops": not self.flops > 0,
            "sizes": self.sizes < 1 if isinstance(self.sizes, int) else not self.sizes or min(self.sizes) <= 0,
            "rungs": self.rungs < 1,
            "seeds": self.seeds < 1,
            "span": self.span < 1,
            "size_span": self.size_span < 1,
            "ratio": not self.ratio > 0,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(f"{name}: {getattr(self, name)!r} is too little. Give a larger one.")


def make_grid(shape: str, wish: Wish) -> Grid:
    """The plan of a shape that costs what there is, or a little less, as budgets are rounded down to three figures.

    An IsoFLOP plan costs less where the given sizes are too small or too few to spend it near the best ratio.

    Args:
        shape: One of `SHAPES`.
        wish: What it is to be made of.

    Raises:
        ValueError: The shape is not known, or no cell fits the FLOPs and the floors.

    >>> grid = make_grid("constant-ratio", Wish(flops=1e19, sizes=(5e7, 1e8, 2e8)))
    >>> grid.params.tolist(), grid.tokens.tolist()
    ([50000000.0, 100000000.0, 200000000.0], [1580000000.0, 3170000000.0, 6340000000.0])
    """
    if shape not in SHAPES:
        raise ValueError(f"The shape {shape!r} is not known. Choose one of {', '.join(SHAPES)}.")
    if isinstance(wish.sizes, int):
        sizes = _choose_sizes(shape, wish, wish.sizes)
    else:
        sizes = np.unique(np.asarray(wish.sizes, np.float64))
    sizes = sizes[sizes >= wish.least_params]
    params, tokens = _solve(shape, wish, sizes) if sizes.size else (sizes, sizes)
    tokens = _round_down(tokens)
    kept = tokens >= max(wish.least_tokens, 1.0)
    grid = Grid(shape, params[kept], tokens[kept], wish.seeds)
    if not grid.runs:
        raise ValueError(
            f"{wish.flops:g} FLOPs pay for no run of a {shape} plan above {wish.least_params:g} parameters and "
            f"{wish.least_tokens:g} tokens. Give more FLOPs, fewer or smaller sizes, or lower floors."
        )
    return grid


def assess(
    grid: Grid, law: Law, theta: Mapping[str, float], noise: Noise, target: tuple[float, float] | None = None
) -> Precision:
    """How well the runs of a plan would know a law; `target` is (parameters, tokens)."""
    where = None
    if target is not None:
        where = Grid("target", np.array([target[0]]), np.array([target[1]])).columns()
    return precision(law, theta, grid.columns(), np.full(grid.params.size, grid.seeds), noise, where)


def _solve(shape: str, wish: Wish, sizes: Numbers) -> tuple[Numbers, Numbers]:
    """Cells at the scale of tokens that pays for most of them and, among those, costs most of what there is.

    Floors and the window make cells come and go, and the cost jump, as the scale grows; so scales 2 % apart are tried
    first, and the best is then stretched to cost exactly what there is if that moves no cell over an edge.
    """
    params, tokens = _relative_cells(shape, wish, sizes)
    cost = FLOPS_PER_PARAMETER_AND_TOKEN * wish.seeds * params * tokens
    scales = wish.flops / cost.min() * np.geomspace(1, 1e-9, 1000)
    kept = _allowed(shape, wish, params, scales[:, None] * tokens)
    spent = scales * (kept @ cost)
    best = int(np.argmax(np.where(spent <= wish.flops, kept.sum(axis=1) + spent / (2 * wish.flops), -1.0)))
    scale = scales[best]
    if kept[best].any():
        stretched = wish.flops / cost[kept[best]].sum()
        if np.array_equal(_allowed(shape, wish, params, stretched * tokens), kept[best]):
            scale = stretched
    return params[kept[best]], scale * tokens[kept[best]]


def _relative_cells(shape: str, wish: Wish, sizes: Numbers) -> tuple[Numbers, Numbers]:
    """Sizes, and tokens up to one common factor, of every cell that the shape could have."""
    steps = np.unique(np.geomspace(1 / wish.span, 1, wish.rungs)) if wish.rungs > 1 else np.ones(1)
    if shape == "constant-ratio":
        return sizes, sizes
    params = np.repeat(sizes, steps.size)
    times = {"rectangle": np.ones_like(params), "over-training": params, "isoflop": 1 / params}[shape]
    return params, np.tile(steps, sizes.size) * times


def _allowed(shape: str, wish: Wish, params: Numbers, tokens: Numbers) -> NDArray[np.bool_]:
    """Which cells are over the floor and, of an IsoFLOP plan, near enough to the best ratio."""
    kept = tokens >= max(wish.least_tokens, 1.0)
    if shape == "isoflop":
        kept &= np.abs(np.log(tokens / params / wish.ratio)) <= np.log(WINDOW)
    return kept


def _choose_sizes(shape: str, wish: Wish, count: int) -> Numbers:
    """Sizes a factor apart, placed so that the plan's tokens per parameter are `ratio` in the geometric mean."""
    steps = np.geomspace(1 / wish.size_span, 1, count) if count > 1 else np.ones(1)
    low, high = 1e2, 1e16
    for _ in range(50):
        largest = (low * high) ** 0.5
        params, tokens = _solve(shape, wish, steps * largest)
        enough = params.size > 0 and float(np.log(tokens / params).mean()) >= np.log(wish.ratio)
        low, high = (largest, high) if enough else (low, largest)
    return np.unique(_round_down(steps * low))


def _round_down(values: Sequence[float] | Numbers) -> Numbers:
    """To three figures, so that budgets have short names and never cost more than there is.

    >>> _round_down([1_234_567.0, 99.9]).tolist()
    [1230000.0, 99.0]
    """
    values = np.asarray(values, np.float64)
    unit = 10.0 ** np.maximum(np.floor(np.log10(values)) - 2, 0)
    return np.asarray(np.floor(values / unit + 1e-9) * unit, np.float64)
