from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.scaling.fits.fit import fit, refit
from tokenladder.scaling.fits.objectives import Huber, LeastAbsolute, LeastSquares, losses
from tokenladder.scaling.fits.starts import spread
from tokenladder.scaling.laws.law import law
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.runs.columns import take

import naive
import published


def flags(found):
    return {flag.name for flag in found.flags}


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.floats(1e-3, 20) | st.sampled_from([0.0, np.inf]))
def test_losses_equal_the_slow_twin(residuals, delta):
    expected = [naive.huber(residual, delta) for residual in residuals]
    np.testing.assert_allclose(losses(np.array(residuals), delta), expected, rtol=1e-12, atol=1e-15)


def test_chinchilla_huber_optimum():
    found = fit(LAWS["chinchilla"], published.chinchilla())
    assert found.theta["A"] == pytest.approx(477.83, abs=0.05)
    assert found.theta["B"] == pytest.approx(2143.4, abs=0.5)
    assert found.theta["E"] == pytest.approx(1.81722, abs=2e-5)
    assert found.theta["alpha"] == pytest.approx(0.34731, abs=2e-5)
    assert found.theta["beta"] == pytest.approx(0.36717, abs=2e-5)
    assert found.value == pytest.approx(1.018274e-3, rel=1e-6)
    assert len(found.optima) == 1
    assert flags(found) == set()


def test_chinchilla_least_absolute_optimum():
    found = fit(LAWS["chinchilla"], published.chinchilla(), objective=LeastAbsolute())
    assert found.theta["A"] == pytest.approx(482.005, abs=0.005)
    assert found.theta["B"] == pytest.approx(2085.43, abs=0.02)
    # A least absolute fit passes through as many runs as it has parameters.
    assert np.sort(np.abs(found.residuals))[:6] == pytest.approx([0, 0, 0, 0, 0, 1.5e-5], abs=1e-6)


def test_optima_are_exact_to_nine_digits():
    runs = published.chinchilla()
    usual = fit(LAWS["chinchilla"], runs)
    more = fit(LAWS["chinchilla"], take(runs, np.arange(240)[::-1]), descents=40)
    assert more.vector == pytest.approx(usual.vector, rel=1e-9)
    assert more.value == pytest.approx(usual.value, rel=1e-12)
    slopes = usual.problem.slopes(usual.problem.coordinates(usual.vector)[None])[1][0]
    pull = np.clip(usual.residuals, -1e-3, 1e-3)
    assert np.abs(slopes @ pull) == pytest.approx(np.zeros(5), abs=1e-13 * np.abs(slopes * pull).sum(1).max())


@pytest.mark.parametrize(
    "objective", [Huber(0.05, "loss"), LeastSquares(), LeastSquares("loss"), LeastAbsolute("loss")]
)
def test_no_neighbour_of_an_optimum_is_better(objective):
    runs = published.chinchilla()
    found = fit(LAWS["chinchilla"], runs, objective=objective)
    assert found.value == pytest.approx(naive.objective(found.law, found.vector, runs, objective), rel=1e-9)
    generator = np.random.default_rng(3)
    for size in (1e-2, 1e-4, 1e-6):
        for _ in range(20):
            near = found.vector * np.exp(size * generator.standard_normal(5))
            assert naive.objective(found.law, near, runs, objective) >= found.value * (1 - 1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_random_surfaces_without_noise_are_found_again(seed):
    generator = np.random.default_rng(seed)
    truth = {
        "A": float(np.exp(generator.uniform(3, 8))),
        "B": float(np.exp(generator.uniform(3, 9))),
        "E": float(generator.uniform(1, 2.5)),
        "alpha": float(generator.uniform(0.2, 0.5)),
        "beta": float(generator.uniform(0.2, 0.5)),
    }
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e8, 1e12, 6)))
    runs = {"params": params, "tokens": tokens}
    runs["loss"] = LAWS["chinchilla"].predict(truth, runs)
    assert dict(fit(LAWS["chinchilla"], runs).theta) == pytest.approx(truth, rel=1e-5)


def test_over_training_is_chinchillas_surface_with_one_exponent():
    runs = published.chinchilla()
    tied, over = fit(LAWS["chinchilla-tied"], runs), fit(LAWS["gadre"], runs)
    assert over.value == pytest.approx(tied.value, rel=1e-9)
    assert 2 * over.theta["eta"] == pytest.approx(tied.theta["alpha"], rel=1e-6)
    np.testing.assert_allclose(over.residuals, tied.residuals, atol=1e-8)


def test_a_law_of_ones_own_is_fitted_as_a_law_that_ships():
    mine = law(
        "mine",
        lambda p, c: p["E"] + p["A"] * c["params"] ** -p["alpha"] + p["B"] * c["tokens"] ** -p["beta"],
        ("params", "tokens"),
        {"A": (1.0, 1e5), "B": (1.0, 1e5), "E": (0.5, 3.0), "alpha": (0.1, 0.8), "beta": (0.1, 0.8)},
    )
    found = fit(mine, published.chinchilla())
    assert dict(found.theta) == pytest.approx(dict(fit(LAWS["chinchilla"], published.chinchilla()).theta), rel=1e-6)


def test_two_optima_of_one_objective_are_both_listed_and_flagged():
    wave = law("wave", lambda p, c: 2 + p["a"] * p["a"] * c["x"], ("x",), {"a": (-3.0, 3.0)})
    found = fit(wave, {"x": np.array([1.0, 2.0, 30.0]), "loss": np.array([3.0, 4.0, 32.0])})
    assert sorted(optimum.theta["a"] for optimum in found.optima) == pytest.approx([-1, 1])
    assert flags(found) == {"several-optima"}
    assert "another optimum" in found.table()


def test_flags_say_what_runs_cannot_tell():
    params = np.geomspace(1e7, 1e9, 8)
    ratio = {"params": params, "tokens": 20 * params, "loss": 1.7 + 400 * params**-0.33 + 300 * (20 * params) ** -0.3}
    assert {"constant-ratio", "ill-conditioned", "few-runs"} <= flags(fit(LAWS["chinchilla"], ratio))
    narrow = {"tokens": np.linspace(1e9, 2e9, 6), "loss": np.linspace(3.0, 2.5, 6)}
    found = fit(LAWS["power-tokens"], narrow)
    assert "narrow-range" in flags(found)
    assert "tokens spans a factor of 2 only: exponents over it need 10 or more." in found.table()
    rising = {"tokens": np.geomspace(1e8, 1e11, 9), "loss": np.linspace(2.0, 2.5, 9)}
    assert "at-bound" in flags(fit(LAWS["power-tokens"], rising))


def test_part_of_the_runs_fits_as_a_table_of_them():
    runs = published.chinchilla()
    half = np.arange(0, 240, 2)
    assert refit(fit(LAWS["chinchilla"], runs), half).theta == fit(LAWS["chinchilla"], take(runs, half)).theta


def test_mistakes_are_named():
    few = {"params": np.array([1e8] * 4), "tokens": np.array([1e9] * 4), "loss": np.array([3.0] * 4)}
    with pytest.raises(ValueError, match=r"^The law 'chinchilla' has 5 parameters, but there are only 4 runs.$"):
        fit(LAWS["chinchilla"], few)
    with pytest.raises(ValueError, match=r"^Huber's delta is .* must be above 0, not 0.$"):
        Huber(delta=0)
    steep = law("steep", lambda p, c: -p["a"] * c["x"], ("x",), {"a": (1.0, 2.0)})
    with pytest.raises(ValueError, match=r"predicts no usable loss anywhere in its start box: check the units"):
        fit(steep, {"x": np.array([1.0, 2.0]), "loss": np.array([1.0, 2.0])})


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_starts_fill_the_box(dimensions):
    points = spread(576, dimensions)
    assert points.shape == (576, dimensions)
    halves = (points >= 0.5) @ (2 ** np.arange(dimensions))
    assert np.bincount(halves, minlength=2**dimensions).min() >= 0.7 * 576 / 2**dimensions
