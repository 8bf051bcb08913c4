from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.scaling.fits.decisions import crossings, decision_accuracy, rank
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.runs.seed_noise import SeedNoise, difference, log_losses, seed_noise

SMALL, LARGE = (1e7, 2e8), (1e8, 2e9)
POWER = LAWS["power-tokens"]


def runs_of(cells):
    """Runs from {cell: {recipe: [log loss, …]}}."""
    rows = [
        (*cell, recipe, np.exp(value))
        for cell, recipes in cells.items()
        for recipe, values in recipes.items()
        for value in values
    ]
    columns = list(zip(*rows, strict=True))
    names = ("params", "tokens", "recipe", "loss")
    return {name: np.array(column) for name, column in zip(names, columns, strict=True)}


def simulated(rng, recipes=4, seeds=3, noise=0.003, shifts=None):
    shifts = rng.normal(0, 0.01, recipes) if shifts is None else shifts
    return runs_of(
        {
            cell: {f"r{n}": (1.0 + shift + rng.normal(0, noise, seeds)).tolist() for n, shift in enumerate(shifts)}
            for cell in (SMALL, LARGE)
        }
    )


def test_seed_noise_is_pooled():
    runs = runs_of({SMALL: {"a": [1.0, 1.02], "b": [1.1, 1.12]}, LARGE: {"a": [0.9], "b": [0.8, 0.83, 0.86]}})
    noise = seed_noise(runs)
    squares = 0.01**2 * 4 + 0.03**2 * 2
    assert noise.degrees == 4
    assert noise.deviation == pytest.approx((squares / 4) ** 0.5)


def test_a_difference_is_students():
    from scipy.stats import ttest_ind

    one, other = [1.0, 1.02, 1.01], [1.03, 1.05]
    found = difference(runs_of({SMALL: {"a": one, "b": other}}), "a", "b", SMALL)
    expected = ttest_ind(one, other)
    low, high = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.difference == pytest.approx(np.mean(one) - np.mean(other))
    assert found.seeds == (3, 2)
    assert found.beyond_noise == (expected.pvalue < 0.05)


def test_intervals_of_differences_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        runs = simulated(rng, recipes=2, shifts=[0.0, 0.004])
        found = difference(runs, "r0", "r1", SMALL)
        held += found.low <= -0.004 <= found.high
    assert 0.92 < held / 600 < 0.98


def test_equal_runs_without_noise():
    runs = runs_of({SMALL: {"a": [1.0, 1.0], "b": [1.0, 1.0]}})
    assert difference(runs, "a", "b", SMALL).p_value == 1
    assert not difference(runs, "a", "b", SMALL).beyond_noise


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda runs: difference(runs, "a", "c", SMALL),
            ("The recipe 'c' has no run of 1e+07 parameters and 2e+08 tokens. There are runs of: a, b."),
        ),
        (
            lambda runs: difference(runs, "a", "b", (1, 2)),
            ("The recipe 'a' has no run of 1 parameters and 2 tokens. There are runs of: none."),
        ),
        (lambda runs: rank(runs, (1, 2)), "There are no runs of 1 parameters and 2 tokens."),
        (
            lambda runs: decision_accuracy(runs, (1, 2)),
            "Of 1 parameters and 2 tokens there are runs of 0 recipes: too few.",
        ),
        (
            lambda runs: decision_accuracy(runs, SMALL),
            "No smaller size and budget shares two recipes with the large one.",
        ),
        (
            lambda runs: seed_noise({name: runs[name][::2] for name in runs}),
            "No recipe has two runs of one size and budget",
        ),
        (
            lambda runs: log_losses({"params": runs["params"]}),
            "To compare recipes, the runs table needs the column recipe.",
        ),
        (
            lambda _: crossings(POWER, np.ones(3), np.ones(3), between=(5, 5), held={}),
            "The range must rise from above 0",
        ),
    ],
)
def test_what_cannot_be_decided(call, said):
    with pytest.raises(ValueError) as caught:
        call(runs_of({SMALL: {"a": [1.0, 1.02], "b": [1.1, 1.12]}}))
    assert said in str(caught.value)


def test_ranks():
    runs = runs_of({LARGE: {"bad": [1.2, 1.21], "good": [1.0, 1.01], "also-good": [1.001, 1.011]}})
    places = rank(runs, LARGE)
    assert [(one.recipe, one.best, one.worst) for one in places] == [("good", 1, 2), ("also-good", 1, 2), ("bad", 3, 3)]
    assert [one.seeds for one in places] == [2, 2, 2]


def test_one_recipe_is_first():
    assert [(p.best, p.worst) for p in rank(runs_of({LARGE: {"a": [1.0, 1.1]}}), LARGE)] == [(1, 1)]


def test_rank_intervals_hold_the_true_rank():
    rng = np.random.default_rng(2)
    shifts = [0.0, 0.004, 0.008, 0.02]
    held = 0
    for _ in range(200):
        places = rank(simulated(rng, shifts=shifts), SMALL)
        held += all(one.best <= int(one.recipe[1]) + 1 <= one.worst for one in places)
    assert held / 200 > 0.95


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 3))
def test_decision_accuracy_equals_counting(seed, recipes, seeds):
    rng = np.random.default_rng(seed)
    runs = simulated(rng, recipes=recipes, seeds=seeds, noise=0.01)
    (found,) = decision_accuracy(runs, LARGE, samples=20)
    groups = log_losses(runs)
    right_mean, right_one, pairs = 0.0, [], 0
    for one, other in itertools.combinations(sorted(groups[LARGE]), 2):
        pairs += 1
        truth = np.mean(groups[LARGE][one]) < np.mean(groups[LARGE][other])
        right_mean += truth == (np.mean(groups[SMALL][one]) < np.mean(groups[SMALL][other]))
        agree = [truth == (i < j) for i in groups[SMALL][one] for j in groups[SMALL][other]]
        right_one.append(np.mean(agree))
    assert found.pairs == pairs
    assert found.cell == SMALL
    assert found.share == pytest.approx(0.01)
    assert found.mean == pytest.approx(right_mean / pairs)
    assert found.one_seed == pytest.approx(np.mean(right_one))
    assert 0 <= found.low <= found.high <= 1


def test_decision_accuracy_of_clear_and_of_reversed_recipes():
    order = {"a": [1.0, 1.001], "b": [1.1, 1.101], "c": [1.2, 1.201]}
    flipped = {name: [-value for value in values] for name, values in order.items()}
    (same,) = decision_accuracy(runs_of({SMALL: order, LARGE: order}), LARGE)
    (opposite,) = decision_accuracy(runs_of({SMALL: flipped, LARGE: order}), LARGE)
    assert (same.mean, same.low, same.high, same.one_seed) == (1, 1, 1, 1)
    assert (opposite.mean, opposite.low, opposite.high, opposite.one_seed) == (0, 0, 0, 0)
    (tied,) = decision_accuracy(runs_of({SMALL: {name: [1.0] for name in order}, LARGE: order}), LARGE)
    assert tied.mean == 0.5


def test_cells_come_cheapest_first():
    order = {"a": [1.0, 1.001], "b": [1.1, 1.101]}
    middle = (1e7, 1e9)
    found = decision_accuracy(runs_of({LARGE: order, middle: order, SMALL: order, (1e9, 1e10): order}), LARGE)
    assert [one.cell for one in found] == [SMALL, middle]


def test_a_crossing_with_its_interval():
    rng = np.random.default_rng(3)
    steep, flat = ({"B": 1e4, "E": 2.0, "beta": 0.4}, {"B": 1e3, "E": 2.0, "beta": 0.3})
    one, other = POWER.vector(steep), POWER.vector(flat)
    scatter = np.array([0, 0, 0.001])  # of beta alone
    samples = tuple(theta + rng.normal(0, 1, (300, 3)) * scatter for theta in (one, other))
    found = crossings(POWER, one, other, between=(1e8, 1e12), held={}, samples=samples)
    assert found.at == pytest.approx((1e10,), rel=1e-4)
    assert not found.first_leads
    assert found.low < 1e10 < found.high
    assert found.chance == 1


def test_laws_that_do_not_cross():
    one, other = (POWER.vector({"B": b, "E": 2.0, "beta": 0.3}) for b in (1e3, 2e3))
    found = crossings(POWER, one, other, between=(1e8, 1e12), held={}, samples=(one[None], other[None]))
    assert (found.at, found.first_leads, found.low, found.chance) == ((), True, None, 0.0)


def test_a_crossing_at_a_given_size():
    law = LAWS["chinchilla"]
    one = law.vector({"A": 400.0, "B": 2000.0, "E": 1.8, "alpha": 0.34, "beta": 0.37})
    other = law.vector({"A": 400.0, "B": 500.0, "E": 1.8, "alpha": 0.34, "beta": 0.30})
    found = crossings(law, one, other, between=(1e6, 1e12), held={"params": 1e9})
    (at,) = found.at
    assert at == pytest.approx(4 ** (1 / 0.07), rel=1e-3)


def test_noise_can_be_given():
    runs = runs_of({SMALL: {"a": [1.0], "b": [1.02]}})
    assert difference(runs, "a", "b", SMALL, noise=SeedNoise(0.003, 20)).beyond_noise
    assert not difference(runs, "a", "b", SMALL, noise=SeedNoise(0.03, 20)).beyond_noise
