from __future__ import annotations

import dataclasses

import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.reconcile.papers import PAPERS, between
from tokenladder.scaling.reconcile.views import by_scale

import published


def test_kaplans_exponent_is_mostly_chinchillas_without_embeddings():
    made = between(PAPERS["besiroglu-2024"], PAPERS["kaplan-2020"])
    assert made.steps[0].before == pytest.approx(0.3658 / (0.3478 + 0.3658), abs=1e-4)
    assert [step.cause for step in made.steps] == ["range of sizes", "embeddings left out", "unexplained"]
    # Pearce & Song find .7805 on 20 sizes; without gaps between sizes it is .787.
    assert made.steps[1].after == pytest.approx(0.787, abs=0.001)
    assert made.steps[-1].after == 0.73
    assert sum(step.share for step in made.steps[:2]) == pytest.approx(made.steps[1].after - made.steps[0].before)


def test_two_fits_of_the_same_points_differ_by_their_constants_alone():
    made = between(PAPERS["hoffmann-2022"], PAPERS["besiroglu-2024"])
    assert [step.cause for step in made.steps] == ["constants", "unexplained"]
    assert made.steps[0].before == pytest.approx(0.28 / 0.62, abs=1e-4)
    assert made.steps[0].after == pytest.approx(0.3658 / 0.7136, abs=1e-4)
    assert made.steps[1].change == pytest.approx(0, abs=0.002)


def test_a_paper_beside_itself_leaves_nothing_to_explain():
    (step,) = between(PAPERS["besiroglu-2024"], PAPERS["besiroglu-2024"]).steps
    assert (step.cause, step.change) == ("unexplained", pytest.approx(0, abs=0.002))


def test_mistakes_are_named():
    with pytest.raises(
        ValueError, match=r"^Kaplan et al. 2020 gives no surface to read in another way: name it second.$"
    ):
        between(PAPERS["kaplan-2020"], PAPERS["hoffmann-2022"])
    tiny = dataclasses.replace(PAPERS["kaplan-2020"], sizes=(1e-3, 1e-2))
    with pytest.raises(
        ValueError, match=r"^The law 'chinchilla' has no best sizes between 0.001 and 0.01 parameters.$"
    ):
        between(PAPERS["hoffmann-2022"], tiny)


def test_parts_of_the_range_are_fitted_by_themselves():
    runs = published.chinchilla()
    small, large = by_scale(LAWS["power-compute"], runs, parts=2)
    assert small.problem.columns["flops"].max() == large.problem.columns["flops"].min()
    assert small.problem.measured.size + large.problem.measured.size == 241
    assert small.theta != large.theta
    below = {name: values[runs["flops"] <= small.problem.columns["flops"].max()] for name, values in runs.items()}
    assert small.theta == fit(LAWS["power-compute"], below).theta
    with pytest.raises(
        ValueError, match=r"^There must be 2 parts or more, and fewer than the 240 distinct sizes, not 1.$"
    ):
        by_scale(LAWS["power-compute"], runs, parts=1)
