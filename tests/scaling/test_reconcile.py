from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.objectives import LeastSquares
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.reconcile.frontier import envelope
from tokenladder.scaling.reconcile.reconcile import Reading, explain, reconcile, simulate, with_embeddings
from tokenladder.scaling.reconcile.views import architecture, lower_envelope, views

import published

REPLICATION = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
CHINCHILLA = {"A": 406.4, "B": 410.7, "E": 1.6934, "alpha": 0.3392, "beta": 0.2849}


@pytest.mark.parametrize(("theta", "exponent"), [(REPLICATION, 0.7805), (CHINCHILLA, 0.7388)])
def test_leaving_embeddings_out_makes_kaplans_exponent_of_chinchillas_law(theta, exponent):
    """Pearce & Song 2024: 20 sizes and 100 budgets of Kaplan's range, losses at 1,000 checkpoints."""
    runs = simulate(
        LAWS["chinchilla"],
        theta,
        np.logspace(2.9, 9.2, 20),
        np.logspace(12.95, 20.7, 100),
        count=with_embeddings,
        checkpoints=np.logspace(6, 25, 1000),
    )
    assert envelope(runs).sizes.exponent == pytest.approx(exponent, abs=1e-4)


def test_counting_everything_gives_back_the_laws_own_exponent():
    sizes, budgets = np.geomspace(1e3, 1e11, 200), np.geomspace(1e15, 1e21, 30)
    runs = simulate(LAWS["chinchilla"], REPLICATION, sizes, budgets)
    assert envelope(runs).sizes.exponent == pytest.approx(0.3658 / 0.7136, abs=0.005)


def test_porians_way_from_kaplan_to_chinchilla():
    start = Reading(only={"tuning": "base", "warm_up": "long", "decay": "kaplan", "count": "kaplan"})
    causes = {
        "last layer's FLOPs": {"only": {"count": "standard"}},
        "warm-up": {"only": {"warm_up": "short"}},
        "schedule": {"only": {"decay": "chinchilla"}},
        "tuning": {"only": {"tuning": "tuned", "decay": "const"}},
    }
    made = reconcile(published.table("isoflop.csv"), start, causes, start="Kaplan", end="tuned", claimed=0.5)
    exponents = [made.steps[0].before, *(step.after for step in made.steps)]
    assert exponents == pytest.approx([0.834, 0.700, 0.606, 0.572, 0.497, 0.5], abs=0.01)
    assert [step.cause for step in made.steps] == [*causes, "unexplained"]
    assert {step.share for step in made.steps} == {None}
    bars = made.bars()
    assert (bars[0], bars[-1]) == (("Kaplan", 0.0, exponents[0]), ("tuned", 0.0, 0.5))
    assert sum(height for _, _, height in bars[1:-1]) == pytest.approx(0.5 - exponents[0])
    assert made.table().splitlines()[0].split() == ["Kaplan", f"{exponents[0]:.3f}"]


def readable():
    """A table that can be read in many ways: three counts of size, two data sets, repeats, a range."""
    sizes, budgets = np.geomspace(1e6, 1e10, 30), np.geomspace(1e17, 1e21, 9)
    runs = simulate(LAWS["chinchilla"], REPLICATION, sizes, budgets, count=with_embeddings)
    runs["params_non_embedding"] = runs["params"]
    runs["params"] = with_embeddings(runs["params"])
    runs["unique_tokens"] = np.minimum(runs["tokens"], 1e12)
    runs["recipe"] = np.where(np.arange(runs["loss"].size) % 2, "raw", "clean")
    return runs


def test_shares_over_all_orders_sum_to_the_whole_difference():
    causes = {
        "embeddings": {"size": "params_non_embedding"},
        "range": {"least_flops": 1e19},
        "fitting": {"method": "surface", "objective": LeastSquares()},
        "repetition": {"most_epochs": 1.0},
    }
    made = reconcile(readable(), Reading("envelope"), causes)
    whole = made.steps[-1].after - made.steps[0].before
    assert sum(step.share for step in made.steps) == pytest.approx(whole)
    assert sum(step.change for step in made.steps) == pytest.approx(whole)
    assert "over all orders" in made.table()


def test_a_cause_that_changes_nothing_has_no_share():
    effects = {"a": 0.2, "b": -0.3, "nothing": 0.0}

    def exponent(changed):
        both = 0.1 if {"a", "b"} <= changed else 0.0
        return 0.7 + sum(effects[cause] for cause in changed) + both

    made = explain(["nothing", "b", "a"], exponent)
    assert [step.share for step in made.steps] == pytest.approx([0, -0.25, 0.25])
    assert [step.change for step in made.steps] == pytest.approx([0, -0.3, 0.3])


def test_each_choice_of_a_reading_counts():
    runs = readable()
    assert Reading(only={"recipe": "raw"}).rows(runs).sum() == runs["loss"].size // 2
    assert Reading(least_flops=1e18, most_flops=1e19).rows(runs).sum() == 3 * 30
    repeated = runs["tokens"] / runs["unique_tokens"]
    assert Reading(most_epochs=2).rows(runs).tolist() == (repeated <= 2).tolist()
    assert Reading("surface").exponent(runs) == pytest.approx(0.3658 / 0.7136, abs=0.03)
    assert Reading("parabola", flops="flops").exponent(runs) == pytest.approx(Reading().exponent(runs), abs=0.05)


def test_four_sides_of_one_table():
    runs = published.chinchilla()
    made = {view.name: view for view in views(runs)}
    assert list(made) == ["size", "data", "compute", "surface"]
    assert made["surface"].fit.theta == fit(LAWS["chinchilla"], runs).theta
    for name, column in (("size", "params"), ("data", "tokens"), ("compute", "flops")):
        rows = made[name].rows
        assert (np.diff(runs[column][rows]) >= 0).all()
        assert (np.diff(runs["loss"][rows]) < 0).all()
    # Along the frontier of compute, loss falls as C^-(α β / (α + β)): between 0.1 and 0.3.
    assert 0.1 < made["compute"].fit.theta["gamma"] < 0.3
    assert lower_envelope(np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0])).tolist() == [1, 0]
    with pytest.raises(
        ValueError, match=r"^The view by size: The law 'power-params' has 3 parameters, but there are only 1"
    ):
        views({name: values[:1].repeat(6) for name, values in runs.items()})


def test_architecture_shows_in_what_the_law_leaves():
    generator = np.random.default_rng(0)
    runs = dict(published.chinchilla())
    runs["loss"] = LAWS["chinchilla"].predict(REPLICATION, runs) * np.exp(0.002 * generator.standard_normal(240))
    runs["aspect"] = np.exp(generator.uniform(2, 5, 240))
    runs["heads"] = np.exp(generator.uniform(1, 4, 240))
    runs["loss"] *= runs["aspect"] ** 0.01
    first, second = architecture(fit(LAWS["chinchilla"], runs, objective=LeastSquares()), runs, ["aspect", "heads"])
    assert first.exponent == pytest.approx(0.01, abs=4 * first.standard_error)
    assert second.exponent == pytest.approx(0, abs=4 * second.standard_error)
    assert first.standard_error < 0.001


def test_mistakes_are_named():
    runs = readable()
    with pytest.raises(ValueError, match=r"^After changing data: No run is left with recipe = best.$"):
        reconcile(runs, Reading("envelope"), {"data": {"only": {"recipe": "best"}}})
    with pytest.raises(
        ValueError, match=r"^As the first study reads them: The reading needs the column 'seed', but the runs table"
    ):
        reconcile(runs, Reading(only={"seed": 1}), {"data": {"only": {"seed": 2}}})
    with pytest.raises(ValueError, match=r"^Causes must be one or more different names, not \['a', 'a'\].$"):
        explain(["a", "a"], lambda _: 0.0)
    found = fit(LAWS["chinchilla"], runs)
    with pytest.raises(
        ValueError, match=r"^The fit is to 270 runs, but the table has others: give the table that was fitted.$"
    ):
        architecture(found, {"aspect": np.ones(3)}, ["aspect"])
    with pytest.raises(ValueError, match=r"^The columns aspect do not vary apart from each other.$"):
        architecture(found, {"aspect": np.ones(270)}, ["aspect"])
