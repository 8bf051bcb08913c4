"""Pictures of losses: over tokens by recipe, IsoFLOP valleys, residuals, and over passes through the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.grid import fresh
from ..fits.fit import Fit
from ..fits.intervals import Bootstrap
from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from ..runs.columns import Numbers, Runs, take
from .isoflop import find_valleys
from .style import COLOURS, LINES, MARKERS, label_counts, ordered_colours, panels, short, style, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = 5
"""Curves of one recipe at most; more cannot be told apart."""

LIKE = 1.5
"""A curve reaches as far in tokens as the runs of sizes within this factor of its own."""


def loss_over_tokens(
    runs: Mapping[str, Runs], fits: Mapping[str, Fit], bands: Mapping[str, Bootstrap] | None = None
) -> Figure:
    """Loss over tokens: a colour for each recipe, or, for a single one, for each size.

    Args:
        runs: Runs of each recipe.
        fits: Its fit, where there is one over `params` or `tokens` and nothing else.
        bands: Its bootstrap, for the band around the largest size's curve.
    """
    bands = bands or {}
    with style():
        figure, [axes] = panels()
        single = len(runs) == 1
        for place, (recipe, columns) in enumerate(runs.items()):
            sizes = _some(np.unique(columns["params"]), CURVES if single else 2)
            if single:
                shades, scale = ordered_colours(columns["params"])
                axes.scatter(columns["tokens"], columns["loss"], c=shades, s=16, linewidths=0)
                bar = figure.colorbar(scale, ax=axes, label="parameters")
                label_counts(bar.ax.yaxis)
            else:
                colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
                axes.scatter(columns["tokens"], columns["loss"], c=colour, marker=marker, s=18, label=words(recipe))
            if recipe not in fits:
                continue
            for turn, size in enumerate(sizes[::-1]):
                shade, line = (scale.to_rgba(size), "-") if single else (colour, LINES[turn % len(LINES)])
                _curve(axes, fits[recipe], bands.get(recipe) if turn == 0 else None, columns, size, shade, line)
        axes.set(xscale="log", xlabel="tokens", ylabel="loss, nats per token")
        label_counts(axes.xaxis)
        if not single:
            axes.legend(title="recipe")
            if fits:
                axes.set_title("curves: each recipe's largest size (solid) and smallest (dashed)", fontsize=10)
        return figure


def _curve(  # noqa: PLR0917 one line of a picture
    axes: Any, fit: Fit, band: Bootstrap | None, columns: Runs, size: float, colour: Any, line: str
) -> None:
    alike = np.abs(np.log(np.asarray(columns["params"]) / size)) <= np.log(LIKE)
    own = np.asarray(columns["tokens"])[alike]
    tokens = np.geomspace(own.min() / 1.3, own.max() * 1.3, 100)
    there = fresh(np.full(100, size), tokens)
    if not set(fit.law.columns) <= set(there):
        return
    axes.plot(tokens, fit.predict(there), color=colour, linestyle=line)
    if band is not None:
        low, high = band.band(there)
        axes.fill_between(tokens, low, high, color=colour, alpha=0.2, linewidth=0)


def isoflop(runs: Runs, fit: Fit | None = None) -> Figure:
    """IsoFLOP valleys: loss over size at equal FLOPs, a parabola through the bottom, and its lowest point.

    Args:
        runs: A table with sums of FLOPs that three sizes or more share.
        fit: Draws the law's valley (dashed) beside each parabola.

    Raises:
        ValueError: No three sizes share a sum of FLOPs.
    """
    found = find_valleys(runs)
    if not found:
        raise ValueError("No three sizes were trained with the same FLOPs, so there are no IsoFLOP valleys to show.")
    with style():
        figure, [axes] = panels()
        shades, scale = ordered_colours([valley.flops for valley in found])
        for valley, shade in zip(found, shades, strict=True):
            params, loss = (np.asarray(runs[name])[valley.rows] for name in ("params", "loss"))
            axes.scatter(params, loss, color=shade, s=16, linewidths=0)
            grid = np.geomspace(*valley.near, 100)
            axes.plot(grid, np.polyval(valley.parabola, np.log(grid)), color=shade)
            if valley.lowest is not None:
                at = np.polyval(valley.parabola, np.log(valley.lowest))
                axes.plot(valley.lowest, at, marker="*", markersize=11, color=shade, markeredgecolor="white")
            if fit is not None and set(fit.law.columns) <= {"params", "tokens"}:
                grid = np.geomspace(params.min(), params.max(), 100)
                tokens = valley.flops / (FLOPS_PER_PARAMETER_AND_TOKEN * grid)
                predicted = fit.predict({"params": grid, "tokens": tokens})
                axes.plot(grid, predicted, color=shade, linestyle="--", linewidth=1.0)
        axes.set(xscale="log", xlabel="parameters", ylabel="loss, nats per token")
        label_counts(axes.xaxis)
        figure.colorbar(scale, ax=axes, label="FLOPs of a run")
        return figure


def residuals(fit: Fit, runs: Runs) -> Figure:
    """What a fit leaves: measured over predicted, in per cent, over each column that the law reads (three at most).

    Args:
        fit: The fit.
        runs: The runs that it was fitted to.
    """
    names = [name for name in fit.law.columns if name in runs][:3]
    target = np.asarray(runs[fit.law.target], np.float64)
    left = 100 * (target / fit.predict(runs) - 1)
    with style():
        figure, axes = panels(len(names))
        middle = 1.4826 * float(np.median(np.abs(left)))
        for place, (axis, name) in enumerate(zip(axes, names, strict=True)):
            axis.axhspan(-2 * middle, 2 * middle, color="#999999", alpha=0.2, linewidth=0)
            axis.axhline(0, color="black", linewidth=1)
            axis.scatter(runs[name], left, s=14, color=COLOURS[0], alpha=0.7, linewidths=0)
            axis.set(xscale="log", xlabel=name.replace("_", " "))
            label_counts(axis.xaxis)
            if place == 0:
                axis.set_ylabel(f"measured over predicted {fit.law.target}, %")
        axes[0].set_title(
            f"{words(fit.law.name)}; the band is twice the robust scatter of {middle:.2g} %", fontsize=10, loc="left"
        )
        return figure


def repetition(runs: Runs, fit: Fit | None = None) -> Figure:
    """Loss over passes through the same text: one colour for each amount of unique text, at the size with most runs.

    Args:
        runs: A table with `unique_tokens` and `epochs`.
        fit: A law over `params`, `tokens` and `unique_tokens` draws its curves, and (dotted) the loss of fresh text.

    Raises:
        ValueError: No text was read twice.
    """
    if "epochs" not in runs or not (np.asarray(runs["epochs"]) > 1.5).any():
        raise ValueError("No run reads its text twice or more, so there is no repetition to show.")
    sizes, counts = np.unique(np.asarray(runs["params"])[np.asarray(runs["epochs"]) > 1.5], return_counts=True)
    size = sizes[np.argmax(counts)]
    chosen = take(runs, np.asarray(runs["params"]) == size)
    levels, counts = np.unique(chosen["unique_tokens"], return_counts=True)
    levels = np.sort(levels[np.argsort(-counts, kind="stable")[: len(COLOURS)]])
    with style():
        figure, [axes] = panels()
        for place, unique in enumerate(levels):
            own = take(chosen, chosen["unique_tokens"] == unique)
            colour = COLOURS[place % len(COLOURS)]
            axes.scatter(
                own["epochs"], own["loss"], color=colour, marker=MARKERS[place % len(MARKERS)], s=20,
                label=f"{short(unique)} unique tokens",
            )  # fmt: skip
            if fit is not None and set(fit.law.columns) <= {"params", "tokens", "unique_tokens"}:
                epochs = np.geomspace(1, max(2.0, own["epochs"].max()), 100)
                there = {"params": np.full(100, size), "tokens": unique * epochs, "unique_tokens": np.full(100, unique)}
                axes.plot(epochs, fit.predict(there), color=colour)
                fresh = there | {"unique_tokens": there["tokens"]}
                axes.plot(epochs, fit.predict(fresh), color=colour, linestyle=":", linewidth=1.1)
        axes.set(xscale="log", xlabel="passes through the text", ylabel="loss, nats per token")
        axes.set_title(
            f"{short(size)} parameters" + ("; dotted: as if all text were fresh" if fit else ""), fontsize=10
        )
        label_counts(axes.xaxis)
        axes.legend(fontsize=9)
        return figure


def _some(values: Numbers, count: int) -> Numbers:
    """At most `count` of the values, spread evenly, first and last included."""
    if values.size <= count:
        return values
    places = np.unique(np.linspace(0, values.size - 1, count).round().astype(int))
    return np.asarray(values[places], np.float64)
