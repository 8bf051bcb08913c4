from __future__ import annotations

import sys

import numpy as np
import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.intervals import bootstrap
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.plots import laws as plots_laws
from tokenladder.scaling.plots import losses as plots_loss
from tokenladder.scaling.plots import style as plots
from tokenladder.scaling.plots.isoflop import find_valleys
from tokenladder.scaling.runs.columns import take

import published

CHINCHILLA = LAWS["chinchilla"]


@pytest.fixture(scope="module")
def fitted():
    runs = published.chinchilla()
    made = fit(CHINCHILLA, runs)
    return runs, made, bootstrap(made, samples=50)


def offsets(axes, place=0):
    return axes.collections[place].get_offsets()


def test_one_recipes_losses_stand_where_they_were_measured(fitted):
    runs, made, samples = fitted
    figure = plots_loss.loss_over_tokens({"": runs}, {"": made}, {"": samples})
    points, curves = figure.axes[0].collections[0], figure.axes[0].lines
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([runs["tokens"], runs["loss"]]))
    assert len(curves) == plots_loss.CURVES
    tokens, loss = curves[0].get_data()  # of the largest size
    expected = made.predict({"params": np.full(100, runs["params"].max()), "tokens": tokens})
    np.testing.assert_allclose(loss, expected)
    assert figure.axes[1].get_ylabel() == "parameters"


def test_recipes_differ_in_colour_and_marker(fitted):
    runs, made, _ = fitted
    figure = plots_loss.loss_over_tokens({"raw": runs, "clean": runs}, {"clean": made})
    first, second = figure.axes[0].collections
    assert not np.array_equal(first.get_facecolor(), second.get_facecolor())
    assert not np.array_equal(first.get_paths()[0].vertices, second.get_paths()[0].vertices)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["raw", "clean"]


def test_valleys_have_their_bottom():
    params = np.geomspace(1e7, 1e9, 9)
    bottoms = {1e18: 5e7, 1e19: 1.6e8}
    runs = {
        "params": np.tile(params, 2),
        "flops": np.repeat(list(bottoms), 9),
        "loss": np.concatenate([3 + 0.1 * np.log(params / bottom) ** 2 for bottom in bottoms.values()]),
    }
    found = find_valleys(runs)
    assert [valley.lowest for valley in found] == pytest.approx(list(bottoms.values()))
    figure = plots_loss.isoflop(runs)
    stars = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert stars == pytest.approx(list(bottoms.values()))


def test_sums_that_creep_up_are_no_valley():
    flops = np.geomspace(1e18, 1e20, 200)
    runs = {"params": np.geomspace(1e7, 1e9, 200), "flops": flops, "loss": np.linspace(4, 3, 200)}
    assert find_valleys(runs) == []
    with pytest.raises(ValueError, match="No three sizes were trained with the same FLOPs"):
        plots_loss.isoflop(runs)


def test_residuals_are_in_per_cent(fitted):
    runs, made, _ = fitted
    figure = plots_loss.residuals(made, runs)
    assert len(figure.axes) == 2
    left = 100 * (runs["loss"] / made.predict(runs) - 1)
    np.testing.assert_allclose(offsets(figure.axes[1]), np.column_stack([runs["tokens"], left]))


def test_repetition_shows_each_amount_of_text():
    runs = published.table("data_constrained.csv")
    runs = runs | {"epochs": runs["tokens"] / runs["unique_tokens"]}
    figure = plots_loss.repetition(runs)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == len(figure.axes[0].collections) > 2
    assert all(label.endswith(" unique tokens") for label in labels)
    with pytest.raises(ValueError, match="No run reads its text twice or more"):
        plots_loss.repetition(take(runs, runs["epochs"] < 1.4))


def test_the_frontier_grows_as_the_law_says(fitted):
    runs, made, samples = fitted
    figure = plots_laws.frontiers(made, runs, samples)
    alpha, beta = made.theta["alpha"], made.theta["beta"]
    for axes, power in zip(figure.axes, (beta / (alpha + beta), alpha / (alpha + beta)), strict=True):
        flops, best = axes.lines[0].get_data()
        assert np.log(best[-1] / best[0]) / np.log(flops[-1] / flops[0]) == pytest.approx(power, abs=1e-4)
    assert figure.axes[0].get_title() == f"N* ∝ C^{beta / (alpha + beta):.3f}"


def test_the_cloud_is_the_bootstrap(fitted):
    _, _, samples = fitted
    axes = plots_laws.cloud(samples).axes[0]
    np.testing.assert_array_equal(offsets(axes), samples.thetas[:, 3:])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("alpha", "beta")
    coefficients = plots_laws.cloud(samples, ("A", "B")).axes[0]
    assert coefficients.get_xlabel() == "A"


def test_a_waterfall_falls_step_by_step():
    steps = [("Kaplan", 0.834), ("last layer", 0.700), ("warm-up", 0.750)]
    axes = plots_laws.waterfall(steps).axes[0]
    bars = [(bar.get_y(), bar.get_height()) for bar in axes.patches]
    assert bars == [pytest.approx(one) for one in [(0, 0.834), (0.834, -0.134), (0.7, 0.05), (0, 0.75)]]
    assert [text.get_text() for text in axes.texts] == ["-0.134", "+0.050", "0.834", "0.750"]
    with pytest.raises(ValueError, match="A waterfall needs a start and at least one step"):
        plots_laws.waterfall(steps[:1])


def test_files_are_the_same_bytes_each_time(tmp_path, fitted):
    runs, made, _ = fitted
    written = []
    for folder in ("a", "b"):
        figure = plots_loss.residuals(made, runs)
        written.append(plots.save(figure, tmp_path / folder, "residuals"))
    assert [path.name for path in written[0]] == ["residuals.svg", "residuals.pdf", "residuals.png"]
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert "measured over predicted loss, %" in written[0][0].read_text()


def test_our_style_does_not_leak():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"Pictures need matplotlib: pip install 'tokenladder\[plots\]'"):
        plots_laws.waterfall([("a", 1.0), ("b", 2.0)])


def test_colours_are_seen_on_white_and_each_has_its_marker():
    def lightness(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16

    assert len(set(plots.COLOURS)) == len(plots.COLOURS) == len(set(plots.MARKERS))
    assert all(lightness(colour) < 80 for colour in plots.COLOURS)


def test_names_from_data_are_no_formulas(tmp_path):
    runs = published.chinchilla()
    figure = plots_loss.loss_over_tokens({"_raw$x^$": runs, "a\x1b[31m\n$": runs}, {})
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [r" _raw\$x^\$", r"a?[31m?\$"]
    plots.save(figure, tmp_path, "names")
    steps = plots_laws.waterfall([("$a^", 0.5), ("_b$", 0.4)], "$")
    steps.draw_without_rendering()
    assert [label.get_text() for label in steps.axes[0].get_xticklabels()] == [r"\$a^", r"_b\$", r"\$"]
