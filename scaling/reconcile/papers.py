"""Published laws with the choices behind their exponents, and the way from one to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..laws.law import Law
from ..laws.registry import LAWS
from ..laws.surface import CHINCHILLA
from ..runs.columns import Numbers
from .frontier import best_sizes, power_law
from .reconcile import Step, Waterfall, explain, with_embeddings

BUDGETS = np.geomspace(1e8, 1e30, 221)
"""FLOPs that are looked at; those whose best size is outside a paper's range are left out."""


@dataclass(frozen=True)
class Paper:
    """A published law of the best size.

    Attributes:
        name: Authors and year.
        source: Title and where to find it.
        exponent: Of the best size over compute, as published.
        sizes: Smallest and largest model, as the paper counts parameters.
        theta: Constants of ``law``, or None where the paper gives no surface that tells best sizes.
        law: The law, in which sizes count all parameters.
        non_embedding: Whether the paper leaves embeddings out of sizes and FLOPs.
    """

    name: str
    source: str
    exponent: float
    sizes: tuple[float, float]
    theta: Mapping[str, float] | None = None
    law: Law = CHINCHILLA
    non_embedding: bool = False


PAPERS: Mapping[str, Paper] = MappingProxyType(
    {
        "kaplan-2020": Paper(
            "Kaplan et al. 2020",
            "Scaling Laws for Neural Language Models, arXiv:2001.08361",
            0.73,
            (768, 1.5e9),
            non_embedding=True,
        ),
        "hoffmann-2022": Paper(
            "Hoffmann et al. 2022, approach 3",
            "Training Compute-Optimal Large Language Models, arXiv:2203.15556",
            0.46,
            (44e6, 16e9),
            MappingProxyType({"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}),
        ),
        "besiroglu-2024": Paper(
            "Besiroglu et al. 2024",
            "Chinchilla Scaling: A replication attempt, arXiv:2404.10102",
            0.512,
            (44e6, 16e9),
            MappingProxyType({"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}),
        ),
    }
)
"""Papers by name."""


def between(first: Paper, second: Paper) -> Waterfall:
    """Why two papers disagree on the exponent of the best size.

    The first paper's surface is taken for true and read as the second reads its runs: with the other's constants (its
    data, training and fitting; if it gives a surface), counting of parameters, and range of sizes. What then remains to
    the second's published exponent is ``unexplained``: warm-up, schedule and tuning, which constants do not show (see
    :func:`.reconcile.reconcile` for runs that do).

    Raises:
        ValueError: The first paper gives no surface.

    >>> print(between(PAPERS["besiroglu-2024"], PAPERS["kaplan-2020"]).table())
    Besiroglu et al. 2024             0.513
    range of sizes         +0.000     0.513   over all orders +0.120
    embeddings left out    +0.274     0.787   over all orders +0.154
    unexplained            -0.057     0.730
    Kaplan et al. 2020                0.730
    """
    if first.theta is None:
        raise ValueError(f"{first.name} gives no surface to read in another way: name it second.")
    causes = ["range of sizes"] if first.sizes != second.sizes else []
    if second.theta is not None and (second.theta, second.law) != (first.theta, first.law):
        causes.insert(0, "constants")
    if first.non_embedding != second.non_embedding:
        causes.append("embeddings left out" if second.non_embedding else "embeddings counted")

    def exponent(changed: frozenset[str]) -> float:
        surface = second if "constants" in changed else first
        counting = second if changed & {"embeddings left out", "embeddings counted"} else first
        extent = second if "range of sizes" in changed else first
        theta = surface.theta or {}
        return _exponent(surface.law, theta, extent.sizes, with_embeddings if counting.non_embedding else None)

    if not causes:
        only = exponent(frozenset())
        return Waterfall(first.name, second.name, (Step("unexplained", only, second.exponent, None),))
    made = explain(causes, exponent, start=first.name, end=second.name)
    last = Step("unexplained", made.steps[-1].after, second.exponent, None)
    return Waterfall(first.name, second.name, (*made.steps, last))


def find(name: str) -> Paper:
    """A published law by its name, or a fit by its file, as `tokenladder reconcile` takes them.

    Args:
        name: A name of :data:`PAPERS`; or the path of a ``fit.json``, with ``:RECIPE`` where it holds several recipes.

    Raises:
        ValueError: There is no such law, or the file holds no fit whose best sizes can be told; with what would work.
    """
    if name in PAPERS:
        return PAPERS[name]
    path, _, recipe = (name, "", "") if Path(name).is_file() else name.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"{name!r} is neither a published law ({', '.join(PAPERS)}) nor a fit.json that exists.")
    try:
        fits = json.loads(Path(path).read_text(encoding="utf-8"))["fits"]
        usable = [one for one in fits if one["sizes"] and {"params", "tokens"} == set(LAWS[one["law"]].columns)]
        chosen = [one for one in usable if not recipe or one["recipe"] == recipe]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not what `tokenladder fit` writes: give its fit.json.") from error
    if len({one["recipe"] for one in chosen}) != 1:
        known = ", ".join(f"{path}:{one['recipe']}" for one in usable) or "none: fit a law of params and tokens"
        raise ValueError(f"{name} must name one recipe's fit; there are {known}.")
    one = chosen[0]
    law, theta, sizes = LAWS[one["law"]], one["theta"], (one["sizes"][0], one["sizes"][1])
    source = f"{one['law']} fitted to {one['runs']} runs"
    return Paper(name, source, _exponent(law, theta, sizes, None), sizes, theta, law)


def _exponent(
    law: Law, theta: Mapping[str, float], extent: tuple[float, float], count: Callable[[Numbers], Numbers] | None
) -> float:
    """The slope of the line through the best sizes within a range, with sizes and FLOPs counted alike."""
    best = best_sizes(law, theta, BUDGETS, count=count)
    inside = (best.params >= extent[0]) & (best.params <= extent[1])
    if inside.sum() < 3:
        raise ValueError(f"The law {law.name!r} has no best sizes between {extent[0]:g} and {extent[1]:g} parameters.")
    return power_law(best.flops[inside], best.params[inside]).exponent
