from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.intervals import Interval, bootstrap, noise, profiles
from tokenladder.scaling.fits.objectives import Huber, LeastSquares
from tokenladder.scaling.laws.law import law
from tokenladder.scaling.laws.registry import LAWS

import published

LINE = law("line", lambda p, c: p["a"] + p["b"] * c["x"], ("x",), {"a": (-5.0, 5.0), "b": (-5.0, 5.0)}, signed=("x",))


def lines(generator, count=25):
    x = np.linspace(-1, 1, count)
    return {"x": x, "loss": 3 + 0.5 * x + 0.1 * generator.standard_normal(count)}


def test_chinchilla_bootstrap_standard_errors():
    errors = bootstrap(fit(LAWS["chinchilla"], published.chinchilla()), samples=4000, seed=42).standard_errors
    published_errors = {"A": 124.5, "B": 1293, "E": 0.0257, "alpha": 0.0154, "beta": 0.0206}
    assert dict(errors) == pytest.approx(published_errors, rel=0.005)


def test_samples_are_fits_to_the_runs_that_were_drawn():
    runs = lines(np.random.default_rng(1))
    found = fit(LINE, runs, objective=LeastSquares("loss"))
    samples = bootstrap(found, samples=5, seed=3)
    draws = np.random.RandomState(3).randint(0, 25, (5, 25))
    for theta, rows in zip(samples.thetas, draws, strict=True):
        slope, constant = np.polyfit(runs["x"][rows], runs["loss"][rows], 1)
        assert theta == pytest.approx([constant, slope], rel=1e-8)


def test_groups_are_drawn_whole():
    runs = lines(np.random.default_rng(1), 6)
    found = fit(LINE, runs, objective=LeastSquares("loss"))
    samples = bootstrap(found, samples=12, groups=np.array(["a", "a", "a", "b", "b", "b"]), seed=0)
    exact = {
        tuple(np.polyfit(runs["x"][rows], runs["loss"][rows], 1)[::-1].round(6)) for rows in (slice(3), slice(3, 6))
    }
    exact.add(tuple(np.polyfit(runs["x"], runs["loss"], 1)[::-1].round(6)))
    assert {tuple(theta) for theta in samples.thetas.round(6)} == exact


def test_functions_of_parameters_and_bands_have_intervals():
    found = fit(LAWS["chinchilla"], published.chinchilla())
    samples = bootstrap(found, samples=200)
    share = samples.of(lambda t: t["beta"] / (t["alpha"] + t["beta"]))
    assert found.theta["beta"] / (found.theta["alpha"] + found.theta["beta"]) in share
    assert share.high - share.low < 0.1
    target = {"params": np.array([70e9]), "tokens": np.array([1.4e12])}
    low, high = samples.band(target)
    assert low[0] < found.predict(target)[0] < high[0] < low[0] + 0.1
    assert samples.intervals["alpha"] == samples.of(lambda t: t["alpha"])


def test_profiles_of_least_squares_are_the_textbooks():
    """For a straight line, the interval by likelihood ratio is estimate ± t · standard error."""
    runs = lines(np.random.default_rng(2))
    found = fit(LINE, runs, objective=LeastSquares("loss"))
    design = np.stack([np.ones(25), runs["x"]])
    variance = (found.residuals**2).sum() / 23
    errors = np.sqrt(variance * np.diag(np.linalg.inv(design @ design.T)))
    assert noise(found) == pytest.approx(variance)
    for name, error in zip("ab", errors, strict=True):
        interval = profiles(found)[name].interval
        assert (interval.low, interval.high) == pytest.approx(
            (found.theta[name] - 2.068658 * error, found.theta[name] + 2.068658 * error), abs=1e-3 * error
        )


def test_profiles_refit_all_other_parameters():
    found = fit(LAWS["chinchilla"], published.chinchilla())
    profile = profiles(found, names=("alpha",))["alpha"]
    for value, objective in list(zip(profile.values, profile.objectives, strict=True))[4::6]:
        if 0.05 < value < 1:
            held = fit(LAWS["chinchilla"].fixed(alpha=float(value)), published.chinchilla())
            assert objective == pytest.approx(held.value, rel=1e-5)
    assert 0.315 < profile.interval.low < 0.33
    assert 0.36 < profile.interval.high < 0.375


def test_a_parameter_that_runs_do_not_bound_has_an_open_end():
    tokens = np.geomspace(1e8, 2e8, 8)
    loss = 3 - 0.2 * np.log(tokens / 1e8) + 0.01 * np.random.default_rng(0).standard_normal(8)
    interval = profiles(fit(LAWS["power-tokens"], {"tokens": tokens, "loss": loss}))["E"].interval
    assert interval.open_low
    assert str(interval).startswith("no lower end to ")
    assert str(Interval(1, 2, 0.95, open_high=True)) == "1 to no upper end"


def test_data_constrained_profile_is_flat_between_its_optima():
    """Published: both (15.4, 5.3) and (95.4, 1.71) are optima; the runs hardly tell them apart."""
    runs = published.table("data_constrained.csv")
    constants = published.C4_CONSTANTS
    found = fit(LAWS["data-constrained"].fixed(**constants), runs)
    assert found.value == pytest.approx(0.0158047, abs=5e-8)
    assert (found.theta["R_D"], found.theta["R_N"]) == pytest.approx((95.4, 1.71), rel=0.01)
    assert [
        (other.theta["R_D"], other.theta["R_N"])
        for other in found.optima
        if other.value == pytest.approx(0.0158259, abs=1e-7)
    ] == [pytest.approx((15.387756, 5.309743), rel=2e-3)]
    assert {flag.name for flag in found.flags} == {"several-optima"}
    interval = profiles(found)["R_D"].interval
    assert interval.low < 15.39
    assert interval.high > 95.4


@pytest.mark.parametrize("objective", [LeastSquares(), Huber(1e-2)])
def test_profile_intervals_hold_the_truth_as_often_as_they_say(objective):
    """60 surfaces of a power law with 24 runs and 1 % noise; bench/laws.py does more of each law."""
    generator = np.random.default_rng(11)
    tokens = np.geomspace(1e7, 1e11, 24)
    inside = 0
    for _ in range(60):
        truth = {"B": float(np.exp(generator.uniform(4, 7))), "E": 1.7, "beta": float(generator.uniform(0.25, 0.4))}
        loss = LAWS["power-tokens"].predict(truth, {"tokens": tokens}) * np.exp(0.01 * generator.standard_normal(24))
        found = fit(LAWS["power-tokens"], {"tokens": tokens, "loss": loss}, objective=objective, descents=2)
        inside += truth["beta"] in profiles(found, names=("beta",))["beta"].interval
    assert 0.88 <= inside / 60 <= 1.0


def test_mistakes_are_named():
    found = fit(LINE, lines(np.random.default_rng(1)), objective=LeastSquares("loss"))
    with pytest.raises(ValueError, match=r"^The bootstrap needs a group for each of the 25 runs, but was given 3.$"):
        bootstrap(found, groups=np.array([1, 2, 3]))
    with pytest.raises(ValueError, match=r"^The bootstrap needs two groups or more"):
        bootstrap(found, groups=np.ones(25))
    with pytest.raises(ValueError, match=r"^The level of an interval lies between 0 and 1, such as 0.95, not 95.$"):
        bootstrap(found, level=95)
    with pytest.raises(ValueError, match=r"^The law 'line' has no parameter 'c'; it has a, b.$"):
        profiles(found, names=("c",))
    exact = fit(LINE, {"x": np.array([0.0, 1.0]), "loss": np.array([1.0, 2.0])}, objective=LeastSquares("loss"))
    with pytest.raises(ValueError, match=r"^Profiles need more runs than the 2 parameters of the law 'line'.$"):
        profiles(exact)
