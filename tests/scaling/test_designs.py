from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.scaling.designs.fisher import PRIOR, Noise, precision
from tokenladder.scaling.designs.grid import RATIO, SHAPES, WINDOW, Grid, Wish, assess, make_grid
from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.objectives import LeastSquares
from tokenladder.scaling.laws.registry import LAWS

import published

CHINCHILLA = LAWS["chinchilla"]
TARGET = (7e9, 1.4e11)

WISHES = st.builds(
    Wish,
    flops=st.floats(1e15, 1e24),
    sizes=st.integers(1, 8) | st.lists(st.integers(10**6, 10**10), min_size=1, max_size=6).map(tuple),
    rungs=st.integers(1, 6),
    seeds=st.integers(1, 4),
    span=st.floats(1, 64),
    size_span=st.floats(1, 64),
    least_params=st.just(0.0) | st.floats(1e6, 1e8),
    least_tokens=st.just(0.0) | st.floats(1e6, 1e9),
)


@settings(max_examples=150)
@given(st.sampled_from(SHAPES), WISHES)
def test_a_grid_keeps_its_word(shape, wish):
    try:
        grid = make_grid(shape, wish)
    except ValueError:
        cheapest = 6 * wish.seeds * max(wish.least_params, 1e6) * max(wish.least_tokens, 1)
        assert wish.least_params or wish.least_tokens or shape == "isoflop" or wish.flops < 1e6 * cheapest
        return
    assert 0 < grid.flops <= wish.flops
    assert grid.params.min() >= wish.least_params
    assert grid.tokens.min() >= wish.least_tokens
    assert grid.budgets == sorted(set(grid.tokens.astype(int).tolist()))
    assert grid.runs == grid.params.size * wish.seeds
    ratio = grid.tokens / grid.params
    if shape == "rectangle" and not wish.least_tokens:
        assert len(grid.budgets) == len(np.unique(grid.tokens)) <= wish.rungs
    if shape == "isoflop":
        assert np.abs(np.log(ratio / RATIO)).max() <= np.log(WINDOW) + 0.02
    if shape == "constant-ratio":
        assert ratio.max() / ratio.min() < 1.02
    if shape == "over-training" and not wish.least_tokens:
        assert len({round(np.log(r) * 20) for r in ratio}) <= 2 * wish.rungs


@pytest.mark.parametrize("shape", SHAPES)
def test_what_there_is_is_spent(shape):
    grid = make_grid(shape, Wish(1e20))
    assert 0.98e20 < grid.flops <= 1e20
    # An IsoFLOP plan's cells come and go in steps as its sizes move.
    assert np.exp(np.log(grid.tokens / grid.params).mean()) == pytest.approx(
        RATIO, rel=0.3 if shape == "isoflop" else 0.03
    )


def test_a_rectangle_by_hand():
    grid = make_grid("rectangle", Wish(flops=6 * (1e8 + 2e8) * (1e9 + 2e9 + 4e9), sizes=(2e8, 1e8), rungs=3, span=4))
    assert grid.params.tolist() == [1e8] * 3 + [2e8] * 3
    assert grid.tokens.tolist() == [1e9, 2e9, 4e9] * 2
    assert grid.budgets == [10**9, 2 * 10**9, 4 * 10**9]
    assert grid.flops == 6 * 3e8 * 7e9


def test_budgets_without_a_span_are_one():
    grid = make_grid("rectangle", Wish(1e19, sizes=(1e7, 1e8), rungs=4, span=1))
    assert grid.params.tolist() == [1e7, 1e8]
    assert len(grid.budgets) == 1


def test_isoflop_cells_of_one_sum_cost_the_same():
    grid = make_grid("isoflop", Wish(1e20, rungs=3, span=16))
    sums = np.log(6 * grid.params * grid.tokens)
    groups = np.unique(np.round(sums, 1))
    assert len(groups) <= 4  # three sums; rounding to three figures may put one on an edge
    assert np.exp(sums.max() - sums.min()) == pytest.approx(16, rel=0.03)


def test_floors_drop_cells_and_the_rest_grows():
    free = make_grid("over-training", Wish(1e19, sizes=(1e7, 1e8)))
    floored = make_grid("over-training", Wish(1e19, sizes=(1e7, 1e8), least_params=5e7, least_tokens=5e8))
    assert floored.params.min() == 1e8
    assert floored.tokens.max() > free.tokens.max()
    assert floored.flops > 0.9e19


@pytest.mark.parametrize(
    ("shape", "wish", "said"),
    [
        (
            "triangle",
            {},
            "The shape 'triangle' is not known. Choose one of rectangle, isoflop, over-training, constant-ratio.",
        ),
        ("rectangle", {"flops": 0.0}, "flops: 0.0 is too little. Give a larger one."),
        ("rectangle", {"sizes": ()}, "sizes: () is too little. Give a larger one."),
        ("rectangle", {"rungs": 0}, "rungs: 0 is too little. Give a larger one."),
        (
            "rectangle",
            {"flops": 1e12, "least_tokens": 1e9, "sizes": (1e7,)},
            (
                "1e+12 FLOPs pay for no run of a rectangle plan above 0 parameters and 1e+09 tokens. "
                "Give more FLOPs, fewer or smaller sizes, or lower floors."
            ),
        ),
    ],
)
def test_impossible_wishes(shape, wish, said):
    with pytest.raises(ValueError) as caught:
        make_grid(shape, Wish(**{"flops": 1e18} | wish))
    assert str(caught.value) == said


def test_noise_needs_some():
    with pytest.raises(ValueError, match="not seed 0 and misfit 0"):
        Noise(0, 0)


@pytest.mark.parametrize("shape", ["rectangle", "over-training"])
def test_errors_are_those_of_simulated_fits(shape):
    grid = make_grid(shape, Wish(1e21, sizes=6, rungs=5, seeds=2, span=32, size_span=32))
    noise = Noise(seed=0.002, misfit=0.001)
    expected = assess(grid, CHINCHILLA, PRIOR, noise, TARGET)
    columns = grid.columns()
    truth = CHINCHILLA.predict(PRIOR, columns)
    target = {"params": np.array([TARGET[0]]), "tokens": np.array([TARGET[1]])}
    rng = np.random.default_rng(5)
    found = []
    for _ in range(150):
        scatter = rng.normal(0, np.sqrt(noise.variance(np.full(truth.size, 2.0))))
        made = fit(CHINCHILLA, {**columns, "loss": truth * np.exp(scatter)}, objective=LeastSquares(), descents=1)
        theta = made.theta
        exponent = theta["beta"] / (theta["alpha"] + theta["beta"])
        found.append([theta["alpha"], theta["beta"], theta["E"], exponent, np.log(made.predict(target)[0])])
    spread = np.std(found, axis=0)
    told = [expected.errors["alpha"], expected.errors["beta"], expected.errors["E"], expected.exponent, expected.target]
    np.testing.assert_allclose(spread, told, rtol=0.2)


def test_chinchillas_own_runs():
    runs = published.chinchilla()
    known = precision(CHINCHILLA, fit(CHINCHILLA, runs).theta, runs, np.ones(240), Noise())
    assert known.errors["alpha"] == pytest.approx(0.0071, abs=2e-4)
    assert known.errors["beta"] == pytest.approx(0.0064, abs=2e-4)


def test_errors_are_the_inverse_information():
    grid = make_grid("rectangle", Wish(1e20))
    noise = Noise(0.003, 0.001)
    slopes = CHINCHILLA.gradient(PRIOR, grid.columns()) / CHINCHILLA.predict(PRIOR, grid.columns())
    information = slopes @ slopes.T / noise.variance(1.0)
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    found = assess(grid, CHINCHILLA, PRIOR, noise).errors
    np.testing.assert_allclose([found[name] for name in CHINCHILLA.names], expected, rtol=1e-6)


def test_a_constant_ratio_knows_the_way_it_goes_but_not_the_exponents():
    wish = Wish(1e20)
    known = {shape: assess(make_grid(shape, wish), CHINCHILLA, PRIOR, Noise(), TARGET) for shape in SHAPES}
    for shape in ("rectangle", "isoflop", "over-training"):
        assert known[shape].errors["alpha"] < 0.06
        assert known[shape].condition < 1e4
    assert known["constant-ratio"].errors["alpha"] > 1
    assert known["constant-ratio"].condition > 1e4
    assert known["constant-ratio"].target < 0.2


def test_what_a_design_cannot_tell_is_infinite():
    one = Grid("rectangle", np.array([1e8, 1e8, 1e8]), np.array([1e9, 2e9, 4e9]))
    known = assess(one, CHINCHILLA, PRIOR, Noise(), (1e8, 2e9))
    assert known.errors["alpha"] == np.inf
    assert known.exponent == np.inf
    assert known.target == pytest.approx(Noise().variance(1.0) ** 0.5, rel=0.2)  # three runs know their own size
    assert assess(one, CHINCHILLA, PRIOR, Noise(), (2e8, 2e9)).target == np.inf


def test_one_run_in_a_cell_beats_replicates_at_the_same_cost():
    single = make_grid("rectangle", Wish(1e20, sizes=6, rungs=6))
    double = make_grid("rectangle", Wish(1e20, sizes=6, rungs=3, seeds=2))
    assert single.runs == double.runs
    one, two = (assess(grid, CHINCHILLA, PRIOR, Noise(), TARGET) for grid in (single, double))
    assert one.errors["alpha"] < two.errors["alpha"]
    assert one.target < two.target


def test_misfit_is_not_averaged_out_by_seeds():
    grid = make_grid("rectangle", Wish(1e20))
    many = Grid("rectangle", grid.params, grid.tokens, 100_000)
    limit = assess(many, CHINCHILLA, PRIOR, Noise(0.01, 0.004)).errors["alpha"]
    assert limit == pytest.approx(assess(grid, CHINCHILLA, PRIOR, Noise(0, 0.004)).errors["alpha"], rel=1e-3)


def test_a_target_is_one_point():
    columns = make_grid("rectangle", Wish(1e20)).columns()
    with pytest.raises(ValueError, match="A target is one point, not 24"):
        precision(CHINCHILLA, PRIOR, columns, np.ones(24), Noise(), columns)


def test_laws_without_the_two_exponents_have_no_frontier():
    grid = make_grid("rectangle", Wish(1e20))
    theta = {"B": 2000.0, "E": 1.8, "beta": 0.36}
    assert assess(grid, LAWS["power-tokens"], theta, Noise()).exponent is None
