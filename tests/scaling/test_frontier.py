from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.reconcile.frontier import best_sizes, envelope, find_break, power_law, valleys

import published

CONSTANTS = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}


def isoflop(law="chinchilla", theta=CONSTANTS):
    flops, params = (each.ravel() for each in np.meshgrid(np.geomspace(1e18, 1e21, 7), np.geomspace(1e7, 1e11, 41)))
    runs = {"flops": flops, "params": params, "tokens": flops / 6 / params}
    return runs | {"loss": LAWS[law].predict(theta, runs)}


def test_three_approaches_agree_where_a_law_is_true():
    """a = β / (α + β); Hoffmann et al. 2022 give the coefficient G = (α A / β B)^(1 / (α + β)) too."""
    exponent = 0.28 / 0.62
    coefficient = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62) * 6**-exponent
    third = best_sizes(LAWS["chinchilla"], CONSTANTS, np.geomspace(1e18, 1e21, 7))
    assert third.sizes.exponent == pytest.approx(exponent, abs=1e-6)
    assert third.sizes.coefficient == pytest.approx(coefficient, rel=1e-4)
    assert third.data.exponent == pytest.approx(1 - exponent, abs=1e-6)
    runs = isoflop()
    for found in (valleys(runs), valleys(runs, method="parabola"), envelope(runs)):
        assert found.sizes.exponent == pytest.approx(exponent, abs=0.02)
        assert found.loss == pytest.approx(third.loss, rel=2e-3)


STAGES = [
    ({"tuning": "base", "warm_up": "long", "decay": "kaplan", "count": "kaplan"}, 0.834),
    ({"tuning": "base", "warm_up": "long", "decay": "kaplan", "count": "standard"}, 0.700),
    ({"tuning": "base", "warm_up": "short", "decay": "kaplan", "count": "standard"}, 0.606),
    ({"tuning": "base", "warm_up": "short", "decay": "chinchilla", "count": "standard"}, 0.572),
    ({"tuning": "tuned", "warm_up": "short", "decay": "const", "count": "standard"}, 0.497),
]


@pytest.mark.parametrize(("settings", "exponent"), STAGES)
def test_porians_exponents_through_the_corrections(settings, exponent):
    runs = published.table("isoflop.csv")
    rows = np.all([runs[name] == value for name, value in settings.items()], axis=0)
    found = valleys({name: values[rows] for name, values in runs.items()})
    assert found.sizes.exponent == pytest.approx(exponent, abs=0.01)


def test_budgets_without_a_bottom_are_skipped():
    runs = isoflop()
    edge = {name: values[(runs["flops"] > 1.1e18) | (runs["params"] > 2e9)] for name, values in runs.items()}
    assert valleys(edge).skipped == (1e18,)
    one = {name: values[runs["flops"] < 2e18] for name, values in runs.items()}
    with pytest.raises(
        ValueError,
        match=r"^Of 1 FLOP budgets, 1 have a lowest loss between other sizes; two are needed\..*"
        r"or read a fitted law instead \(in reconcile: method=surface\)\.$",
    ):
        valleys(one)
    with pytest.raises(ValueError, match=r"^A frontier needs runs of two budgets or more.$"):
        envelope(one)


def test_the_best_of_runs_of_one_size_counts():
    runs = isoflop()
    worse = {name: np.r_[values, values] for name, values in runs.items()}
    worse["loss"][: runs["loss"].size] *= 1.5
    np.testing.assert_array_equal(valleys(worse).params, valleys(runs).params)


def test_budgets_may_be_ranges_of_flops():
    runs = isoflop()
    jittered = runs | {
        "flops": runs["flops"] * np.exp(0.05 * np.random.default_rng(0).standard_normal(runs["loss"].size))
    }
    assert envelope(jittered, bins=9).sizes.exponent == pytest.approx(0.28 / 0.62, abs=0.05)


def test_best_sizes_know_that_tokens_run_out():
    theta = published.C4_CONSTANTS | {"R_D": 15.4, "R_N": 5.3}
    budgets = np.geomspace(1e20, 1e24, 9)
    free = best_sizes(LAWS["data-constrained"], theta, budgets, unique_tokens=None)
    short = best_sizes(LAWS["data-constrained"], theta, budgets, unique_tokens=1e10)
    assert free.sizes.exponent == pytest.approx(0.5, abs=0.01)
    assert (short.loss > free.loss + 0.01).any()
    # With 10 billion tokens, more epochs are bought before more parameters.
    assert (short.tokens[-3:] > 20 * 1e10).all()
    with pytest.raises(
        ValueError, match=r"^The law 'bimix' reads share, steps: a best size needs one of params and tokens"
    ):
        best_sizes(LAWS["bimix"], {}, budgets)


def test_a_power_law_is_the_line_through_logarithms():
    x, y = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([1.0, 4.0, 9.0, 30.0])
    slope, level = np.polyfit(np.log(x), np.log(y), 1)
    found = power_law(x, y)
    assert (found.exponent, found.coefficient) == pytest.approx((slope, np.exp(level)))
    covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)[1]
    assert found.standard_error == pytest.approx(np.sqrt(covariance[0, 0]))
    weighted = power_law(x, y, np.array([1.0, 4.0, 9.0, 16.0]))
    assert weighted.exponent == pytest.approx(np.polyfit(np.log(x), np.log(y), 1, w=[1, 2, 3, 4])[0])
    assert found.predict(np.array([10.0])) == pytest.approx(np.exp(level) * 10**slope)
    with pytest.raises(ValueError, match=r"^A power law needs two different budgets or more, but there are 1.$"):
        power_law(np.ones(3), np.ones(3))


def test_a_break_is_found_and_its_place_told():
    x = np.geomspace(1, 1e4, 25)
    broken = np.where(x < 100, x**-0.5, 100**-0.3 * x**-0.2)
    noise = np.exp(0.02 * np.random.default_rng(1).standard_normal(25))
    found = find_break(x, broken * noise)
    assert found.at == pytest.approx(100, rel=0.3)
    assert (found.below, found.above) == pytest.approx((-0.5, -0.2), abs=0.03)
    assert found.p_value < 0.001
    with pytest.raises(ValueError, match=r"^A break needs three points on either side and one more: seven, not 6.$"):
        find_break(x[:6], x[:6])


def test_straight_lines_are_called_broken_as_often_as_they_should_be():
    x, generator = np.geomspace(1, 1e4, 15), np.random.default_rng(4)
    lines = [x**-0.3 * np.exp(0.05 * generator.standard_normal(15)) for _ in range(200)]
    called = sum(find_break(x, line, draws=200).p_value <= 0.05 for line in lines)
    assert 2 <= called <= 20
