from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.scaling.designs.fisher import Noise
from tokenladder.scaling.designs.power import (
    difference_error,
    least_difference,
    least_parameter_difference,
    parameter_power,
    power,
    seeds_needed,
)


@pytest.mark.parametrize(("cells", "seeds"), [(1, 2), (1, 5), (3, 2), (8, 1)])
def test_power_is_the_share_of_tests_that_find_it(cells, seeds):
    noise, difference = Noise(seed=0.003), 0.006
    rng = np.random.default_rng(3)
    trials = 20_000
    runs = rng.normal(0, noise.seed, (2, trials, cells, seeds))
    shift = runs[0].mean(axis=(1, 2)) - runs[1].mean(axis=(1, 2)) + difference
    if seeds > 1:
        scatter = (runs.var(axis=3, ddof=1).mean(axis=(0, 2)) * 2 / (cells * seeds)) ** 0.5
        degrees = 2 * cells * (seeds - 1)
    else:
        scatter = ((runs[0] - runs[1])[..., 0].var(axis=1, ddof=1) / cells) ** 0.5
        degrees = cells - 1
    from scipy.stats import t

    share = float((np.abs(shift) > t.ppf(0.975, degrees) * scatter).mean())
    assert power(difference, noise, cells=cells, seeds=seeds) == pytest.approx(share, abs=0.015)


@given(st.floats(0, 1), st.integers(1, 20), st.integers(2, 20), st.floats(1e-5, 0.1))
def test_power_grows_with_everything_that_helps(difference, cells, seeds, seed):
    noise = Noise(seed=seed)
    found = power(difference, noise, cells=cells, seeds=seeds)
    assert 0.05 - 1e-9 <= found <= 1
    assert power(difference * 1.1, noise, cells=cells, seeds=seeds) >= found - 1e-9
    assert power(difference, noise, cells=cells + 1, seeds=seeds) >= found - 1e-9
    assert power(difference, noise, cells=cells, seeds=seeds + 1) >= found - 1e-9
    assert power(-difference, noise, cells=cells, seeds=seeds) == found


def test_no_difference_is_found_as_often_as_the_level():
    assert power(0.0, Noise(), seeds=4, level=0.01) == pytest.approx(0.01)


@given(st.floats(1e-3, 0.1), st.floats(0.5, 0.95))
def test_seeds_and_least_difference_are_the_inverse_of_power(difference, wanted):
    noise = Noise(seed=0.0024)
    seeds = seeds_needed(difference, noise, wanted=wanted)
    assert power(difference, noise, seeds=seeds) >= wanted
    assert seeds == 2 or power(difference, noise, seeds=seeds - 1) < wanted
    least = least_difference(noise, seeds=seeds, wanted=wanted)
    assert power(least, noise, seeds=seeds) == pytest.approx(wanted, abs=1e-6)
    assert least <= difference * (1 + 1e-9)


def test_misfit_counts_where_it_is_not_shared():
    noise = Noise(seed=0.003, misfit=0.004)
    assert difference_error(noise, cells=1, seeds=1) == pytest.approx(2**0.5 * 0.003)
    assert difference_error(noise, cells=2, seeds=1, shared=0.0) == pytest.approx(0.005)


def test_what_no_number_of_seeds_can_show():
    with pytest.raises(
        ValueError, match="A difference of 1e-06 of log loss is too small to be seen through seed noise"
    ):
        seeds_needed(1e-6, Noise())
    with pytest.raises(ValueError, match="One run of each recipe tells nothing of their scatter"):
        power(0.1, Noise(), seeds=1)


def test_without_noise_every_difference_is_found():
    noise = Noise(seed=0.0, misfit=0.001)
    assert power(1e-9, noise) == 1
    assert power(0.0, noise) == 0.05


def test_parameters_of_two_recipes():
    assert parameter_power(0.0, 0.1, 0.1) == pytest.approx(0.05)
    rng = np.random.default_rng(4)
    share = np.mean(np.abs(rng.normal(0.05, np.hypot(0.01, 0.02), 100_000)) > 1.959964 * np.hypot(0.01, 0.02))
    assert parameter_power(0.05, 0.01, 0.02) == pytest.approx(share, abs=0.005)
    assert parameter_power(least_parameter_difference(0.01, 0.02), 0.01, 0.02) == pytest.approx(0.8, abs=1e-4)
