from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.objectives import LeastSquares
from tokenladder.scaling.fits.two_steps import two_steps
from tokenladder.scaling.laws.mixture import data_mixing, mixture_regression
from tokenladder.scaling.laws.registry import LAWS, MIXTURES

import published

EXACT = LeastSquares("loss")


def test_over_training_fit_and_its_predictions_of_loss():
    """Their a multiplies N^-2η, ours (M/C)^η = (6 N²)^-η: a factor of 6^η; their c is -2η."""
    found = fit(LAWS["gadre"], published.over_training("five"), objective=EXACT)
    theta = found.theta
    assert theta["a"] * 6 ** -theta["eta"] == pytest.approx(166.21, abs=0.005)
    assert theta["b"] == pytest.approx(366.69, abs=0.005)
    assert -2 * theta["eta"] == pytest.approx(-0.2729, abs=5e-5)
    assert theta["E"] == pytest.approx(1.8366, abs=5e-5)
    large = published.over_training("large")
    errors = 100 * np.abs(found.predict(large) - large["loss"]) / large["loss"]
    assert sorted(errors) == pytest.approx([0.7103, 0.7320], abs=5e-5)


def test_over_training_predictions_of_error():
    loss = fit(LAWS["gadre"], published.over_training("five"), objective=EXACT)
    error = fit(LAWS["loss-to-error"], published.over_training("six"), objective=EXACT)
    large = published.over_training("large")
    predicted = error.predict({"loss": loss.predict(large)})
    errors = 100 * np.abs(predicted - large["error"]) / large["error"]
    assert sorted(errors) == pytest.approx([0.0464, 3.6365], abs=5e-5)


def test_two_steps_chain_the_fits():
    runs = published.over_training("six")
    chain = two_steps(LAWS["gadre"], LAWS["loss-to-error"], runs, first=EXACT, second=EXACT)
    large = published.over_training("large")
    expected = chain.score.predict({"loss": chain.loss.predict(large)})
    np.testing.assert_array_equal(chain.predict(large), expected)
    grid = np.meshgrid(np.geomspace(1e8, 1e9, 3), np.geomspace(1e9, 1e11, 4))
    sizes = {"params": grid[0].ravel(), "tokens": grid[1].ravel()}
    surface = {"A": 60.0, "B": 300.0, "E": 0.5, "alpha": 0.3, "beta": 0.3}
    sigmoid = {"a": -0.7, "k": 4.0, "L_0": 1.0, "b": 0.95}
    sizes["task_loss"] = LAWS["chinchilla"].predict(surface, sizes)
    sizes["accuracy"] = LAWS["task-sigmoid"].predict(sigmoid, sizes)
    chain = two_steps(LAWS["chinchilla"], LAWS["task-sigmoid"], sizes, first=EXACT, second=EXACT)
    assert dict(chain.loss.theta) == pytest.approx(surface, rel=1e-4)
    assert dict(chain.score.theta) == pytest.approx(sigmoid, rel=1e-4)


def surfaces():
    """Parameters and runs without noise that determine each law."""
    generator = np.random.default_rng(8)

    def spread(low, high):
        return np.exp(generator.uniform(np.log(low), np.log(high), 80))

    sizes = {"params": spread(1e7, 1e10), "tokens": spread(1e8, 1e11)}
    return {
        "kaplan": ({"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}, sizes),
        "gadre": ({"a": 200.0, "b": 370.0, "E": 1.8, "eta": 0.14}, sizes),
        "data-constrained": (
            published.C4_CONSTANTS | {"R_D": 15.4, "R_N": 5.3},
            sizes | {"unique_tokens": sizes["tokens"] / spread(1, 60)},
        ),
        "repetition-penalty": (
            {"A": 400.0, "B": 900.0, "E": 1.7, "P": 0.05, "alpha": 0.34, "beta": 0.3, "delta": 0.7, "kappa": 0.6},
            sizes | {"unique_tokens": sizes["tokens"] / spread(1.5, 60)},
        ),
        "filtering": (
            {"k": 50.0, "E": 1.7, "b": 0.2, "tau": 4.0},
            {"tokens": sizes["tokens"], "unique_tokens": sizes["tokens"] / spread(1, 60)},
        ),
        "quality": (
            {"A": 400.0, "B": 900.0, "E": 1.7, "alpha": 0.34, "beta": 0.3, "gamma_beta": 0.2},
            sizes | {"quality": spread(0.1, 1)},
        ),
        "bimix": (
            {"B": 20.0, "C": 1.5, "alpha": 0.08, "beta": 0.3},
            {"share": spread(0.05, 1), "steps": spread(1e3, 1e6)},
        ),
        "d-cpt": (
            {
                "A": 400.0,
                "B": 900.0,
                "C": 0.3,
                "E": 1.2,
                "alpha": 0.34,
                "beta": 0.3,
                "gamma": 0.5,
                "eta": 0.3,
                "epsilon": 0.1,
            },
            sizes | {"share": spread(0.05, 1)},
        ),
        "vocabulary": (
            {"A_1": 400.0, "A_2": 100.0, "B": 900.0, "E": 6.0, "alpha_1": 0.34, "alpha_2": 0.45, "beta": 0.3},
            {"params_non_embedding": sizes["params"], "tokens": sizes["tokens"], "params_vocabulary": spread(1e5, 1e8)},
        ),
        "loss-to-loss": ({"K": 0.8, "kappa": 1.2, "E_0": 1.5, "E_1": 1.1}, {"source_loss": spread(2, 6)}),
        "loss-to-error": ({"epsilon": 0.85, "k": 2.0, "gamma": 0.7}, {"loss": spread(2, 6)}),
    }


@pytest.mark.parametrize("name", sorted(surfaces()))
def test_every_law_is_found_again_from_runs_without_noise(name):
    truth, runs = surfaces()[name]
    one = LAWS[name]
    runs = runs | {one.target: one.predict(truth, runs)}
    found = fit(one, runs, objective=EXACT, descents=20)
    assert dict(found.theta) == pytest.approx(truth, rel=2e-3)


def test_farseer_follows_a_surface_without_noise():
    """Nine parameters trade with each other, so predictions are compared, and to 0.3 % rather than exactly."""
    grid = np.meshgrid(np.geomspace(1e8, 1e10, 8), np.geomspace(1e9, 1e12, 8))
    runs = {"params": grid[0].ravel(), "tokens": grid[1].ravel()}
    truth = {
        "a_1": 0.02,
        "b_1": -1.4,
        "alpha": 0.1,
        "a_2": 0.5,
        "b_2": 4.0,
        "beta": 0.06,
        "a_3": 5.0,
        "b_3": 0.2,
        "gamma": -0.15,
    }
    runs["loss"] = LAWS["farseer"].predict(truth, runs)
    found = fit(LAWS["farseer"], runs, objective=LeastSquares(), descents=20)
    assert np.abs(found.residuals).max() < 3e-3


def test_a_penalty_for_repeats_grows_with_epochs_and_size_and_spares_the_first_epoch():
    law, theta = LAWS["repetition-penalty"], surfaces()["repetition-penalty"][0]
    surface = {name: theta[name] for name in LAWS["chinchilla"].names}
    unique, epochs = np.full(5, 1e9), np.array([1.0, 1.5, 4, 60, 60])
    runs = {"params": np.array([1e9] * 4 + [4e9]), "tokens": unique * epochs, "unique_tokens": unique}
    penalty = law.predict(theta, runs) - LAWS["chinchilla"].predict(surface, runs)
    expected = theta["P"] * (epochs - 1) ** theta["delta"] * (runs["params"] / unique) ** theta["kappa"]
    np.testing.assert_allclose(penalty, expected, atol=1e-12)
    slopes = LAWS["chinchilla"].gradient(surface, runs)[:, 0]
    assert law.gradient(theta, runs)[:, 0] == pytest.approx([*slopes[:3], 0, *slopes[3:], 0, 0])
    more = {**runs, "tokens": unique * np.array([200.0] * 5)}
    assert (law.predict(theta, more) > law.predict(theta, runs))[-1]  # beyond a point, more epochs raise the loss


def test_a_penalty_for_repeats_fits_the_published_runs_better_than_what_repeats_are_worth():
    runs = published.table("data_constrained.csv")
    added, worth = (fit(LAWS[name], runs) for name in ("repetition-penalty", "data-constrained"))
    assert (added.value, worth.value) == pytest.approx((0.0051278, 0.0065899), abs=1e-7)
    assert not added.flags


def test_repeats_are_worth_less_and_unique_tokens_their_all():
    law, theta = LAWS["data-constrained"], published.C4_CONSTANTS | {"R_D": 15.4, "R_N": 5.3}
    few = {"params": np.array([1e8]), "tokens": np.array([1e10])}
    once = law.predict(theta, few | {"unique_tokens": np.array([1e10])})
    assert once == pytest.approx(LAWS["chinchilla"].predict(published.C4_CONSTANTS, few))
    losses = [law.predict(theta, few | {"unique_tokens": np.array([1e10 / epochs])})[0] for epochs in (1, 4, 40, 400)]
    assert losses == sorted(losses)
    assert losses[1] - losses[0] < 0.2 * (losses[2] - losses[0])


def test_a_pool_that_is_repeated_loses_its_utility():
    law, theta = LAWS["filtering"], {"k": 50.0, "E": 1.7, "b": 0.2, "tau": 4.0}
    seen = {"tokens": np.array([2.5e9]), "unique_tokens": np.array([1e9])}
    by_hand = 1e9**-0.2 * 2 ** (-0.2 * 2 ** (-1 / 4)) * (2.5 / 2) ** (-0.2 * 2 ** (-2 / 4))
    assert law.predict(theta, seen) == pytest.approx(1.7 + 50 * by_hand)
    with pytest.raises(ValueError, match=r"one by one, at most 10,000, but a run has 100,000.$"):
        law.predict(theta, {"tokens": np.array([1e14]), "unique_tokens": np.array([1e9])})


def test_mixture_laws_are_made_for_a_studys_strata():
    strata = ("web", "code", "books")
    shares = np.random.default_rng(2).dirichlet(np.ones(3), 40).T
    runs = {f"share_{name}": share for name, share in zip(strata, shares, strict=True)}
    truth = {"c": 1.5, "t_web": -0.5, "t_code": 0.8, "t_books": -2.0}
    runs["loss"] = MIXTURES["data-mixing"](strata).predict(truth, runs)
    assert dict(fit(data_mixing(strata), runs, objective=EXACT).theta) == pytest.approx(truth, rel=1e-4)
    linear = fit(mixture_regression(strata), runs, objective=EXACT).theta
    solved = np.linalg.lstsq(shares.T, runs["loss"], rcond=None)[0]
    assert [linear[f"t_{name}"] for name in strata] == pytest.approx(list(solved), rel=1e-5)
    with pytest.raises(ValueError, match=r"^A mixture law needs 2 or more strata with different names, not web, web.$"):
        data_mixing(("web", "web"))
