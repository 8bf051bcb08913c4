"""Pictures of laws: frontiers of best sizes, clouds of bootstrapped parameters, the way from one law to another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..fits.fit import Fit
from ..fits.intervals import Bootstrap
from ..laws.law import Law
from ..reconcile.frontier import best_sizes
from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from ..runs.columns import Numbers, Runs
from .isoflop import find_valleys
from .style import COLOURS, label_counts, panels, style, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BANDS = 200
"""Bootstrapped laws whose frontiers make a band; each takes some milliseconds."""


def frontiers(fit: Fit, runs: Runs, samples: Bootstrap | None = None, reach: float = 100.0) -> Figure:
    """The best size N*(C) and the best number of tokens D*(C) over FLOPs.

    Args:
        fit: A fit over size and tokens.
        runs: Its runs; the lowest points of their IsoFLOP valleys are drawn beside the law's.
        samples: Its bootstrap, for bands.
        reach: How far beyond the largest run the picture goes, as a factor of FLOPs.
    """
    measured = np.asarray(runs["flops"], np.float64)
    flops = np.geomspace(measured.min(), measured.max() * reach, 40)
    few = flops[::13]  # four budgets are enough for a band, which is all but straight here
    best = best_sizes(fit.law, fit.theta, flops)
    drawn = samples.thetas[:BANDS] if samples is not None else ()
    band = [best_sizes(fit.law, dict(zip(fit.law.names, theta.tolist(), strict=True)), few) for theta in drawn]
    bottoms = [(valley.flops, valley.lowest) for valley in find_valleys(runs) if valley.lowest is not None]
    with style():
        figure, axes = panels(2)
        for axis, name, colour in zip(axes, ("params", "tokens"), COLOURS, strict=False):
            if band:
                low, high = np.quantile([getattr(one, name) for one in band], [0.025, 0.975], axis=0)
                axis.fill_between(few, low, high, color=colour, alpha=0.25, linewidth=0, label="95 % of bootstraps")
            axis.plot(flops, getattr(best, name), color=colour, label=f"law {fit.law.name}")
            if bottoms:
                sums, sizes = (np.array(one) for one in zip(*bottoms, strict=True))
                at = sizes if name == "params" else sums / (FLOPS_PER_PARAMETER_AND_TOKEN * sizes)
                axis.plot(sums, at, "k*", markersize=9, label="lowest points of valleys")
            axis.axvspan(measured.max(), flops[-1], color="#999999", alpha=0.15, linewidth=0)
            axis.set(xscale="log", yscale="log", xlabel="FLOPs", xlim=(flops[0], flops[-1]))
            label_counts(axis.yaxis)
            axis.legend(fontsize=9, loc="upper left")
        power = best.sizes.exponent
        axes[0].set_ylabel("best parameters")
        axes[1].set_ylabel("best tokens")
        axes[0].set_title(f"N* ∝ C^{power:.3f}", fontsize=10)
        axes[1].set_title(f"D* ∝ C^{1 - power:.3f}; grey: beyond the largest run", fontsize=10)
        return figure


def cloud(samples: Bootstrap, names: tuple[str, str] | None = None) -> Figure:
    """Bootstrapped parameters, two against each other, with the intervals of both and the fit to all runs.

    Args:
        samples: The bootstrap.
        names: Two parameters; by default the law's first two exponents, or its first two parameters.

    Raises:
        ValueError: The law has one parameter only.
    """
    law = samples.fit.law
    powers = [parameter.name for parameter in law.parameters if parameter.unit == "none (a power)"]
    first_two = powers if len(powers) > 1 else [*powers, *(name for name in law.names if name not in powers)]
    if len(first_two) < 2:
        raise ValueError(f"The law {law.name!r} has one parameter, so there are no two to show against each other.")
    one, other = names or (first_two[0], first_two[1])
    with style():
        figure, [axes] = panels()
        x, y = (samples.thetas[:, law.names.index(name)] for name in (one, other))
        axes.scatter(x, y, s=7, color=COLOURS[0], alpha=0.35, linewidths=0, label=f"{x.size:,} bootstraps")
        for draw, name in ((axes.axvspan, one), (axes.axhspan, other)):
            interval = samples.intervals[name]
            draw(interval.low, interval.high, color="#999999", alpha=0.15, linewidth=0)
        theta = samples.fit.theta
        axes.plot(
            theta[one], theta[other], "*", color=COLOURS[1], markersize=13, markeredgecolor="white", label="all runs"
        )
        axes.set(xlabel=one, ylabel=other, xscale=_scale(law, one, x), yscale=_scale(law, other, y))
        axes.set_title(f"{law.name}; grey: {samples.level:.0%} intervals", fontsize=10)
        axes.legend(fontsize=9)
        return figure


def _scale(law: Law, name: str, values: Numbers) -> str:
    """How an axis shows a parameter: by its logarithm where it is a coefficient that spans a factor of ten."""
    wide = law.parameters[law.names.index(name)].scale == "log" and values.max() > 10 * values.min()
    return "log" if wide else "linear"


def waterfall(
    steps: Sequence[tuple[str, float]], end: str = "result", quantity: str = "exponent of the best size over FLOPs"
) -> Figure:
    """The way from one law to another, cause by cause.

    Args:
        steps: Names and values: the first is where the way starts, each further one the value after one more cause.
        end: Name of where it ends.
        quantity: What the values are of.

    Raises:
        ValueError: There are not two values.
    """
    if len(steps) < 2:
        raise ValueError("A waterfall needs a start and at least one step.")
    values = [value for _, value in steps]
    with style():
        figure, [axes] = panels()
        ends = (0, len(steps))
        axes.bar([ends[0]], [values[0]], color="#999999", width=0.6)
        for place, (before, after) in enumerate(itertools.pairwise(values), 1):
            colour = COLOURS[0] if after < before else COLOURS[1]
            axes.bar([place], [after - before], bottom=[before], color=colour, width=0.6)
            axes.plot([place - 0.7, place + 0.3], [before, before], color="black", linewidth=0.8)
            offset = 4 if after >= before else -4
            axes.annotate(
                f"{after - before:+.3f}", (place, after), xytext=(0, offset), textcoords="offset points", ha="center",
                va="bottom" if after >= before else "top", fontsize=9,
            )  # fmt: skip
        axes.bar([ends[1]], [values[-1]], color="#999999", width=0.6)
        for place, value in zip(ends, (values[0], values[-1]), strict=True):
            axes.annotate(
                f"{value:.3f}", (place, value), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9
            )
        names = [*(name for name, _ in steps), end]
        axes.set_xticks(range(len(names)), [words(name).strip().replace(" ", "\n", 1) for name in names], fontsize=8)
        low, high = min(values), max(values)
        room = max(high - low, 1e-6)
        axes.set_ylim(0 if 0 < low < 3 * room else low - room, high + 0.25 * room)
        axes.set_ylabel(quantity)
        axes.grid(visible=False, axis="x")
        return figure
