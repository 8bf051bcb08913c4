from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.fits.extrapolate import compare, ensemble, leave_largest_out, leave_one_group_out, sizes
from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.runs.columns import take

import published


def test_the_largest_runs_are_predicted_from_the_others():
    runs = published.chinchilla()
    score = leave_largest_out(LAWS["chinchilla"], runs, share=0.1)
    (split,) = score.splits
    assert runs["flops"][split.held_out].min() > np.delete(runs["flops"], split.held_out).max()
    assert split.held_out.size == 24
    again = fit(LAWS["chinchilla"], take(runs, np.setdiff1d(np.arange(240), split.held_out)))
    assert split.fit.theta == again.theta
    np.testing.assert_allclose(split.predicted, again.predict(take(runs, split.held_out)))
    assert score.mean == pytest.approx(np.abs(split.predicted / split.measured - 1).mean())
    assert score.largest == pytest.approx(np.abs(split.predicted / split.measured - 1).max())
    assert score.bias == pytest.approx((split.predicted - split.measured).mean())
    assert score.mean < 0.02


def test_runs_of_one_size_stay_together():
    runs = {"params": np.repeat(np.geomspace(1e7, 1e9, 5), 4), "tokens": np.tile(np.geomspace(1e8, 1e10, 4), 5)}
    runs["loss"] = 2 + 100 * runs["params"] ** -0.3 + 100 * runs["tokens"] ** -0.3
    score = leave_largest_out(LAWS["power-params"], runs, share=0.3, by="params")
    assert score.splits[0].held_out.tolist() == list(range(12, 20))
    assert score.splits[0].name == "the largest 2 of 5 values of params"


def test_each_group_is_predicted_from_the_others():
    runs = published.chinchilla()
    groups = np.where(runs["params"] > 2e9, "large", "small")
    score = leave_one_group_out(LAWS["chinchilla"], runs, groups)
    assert [split.name for split in score.splits] == ["large", "small"]
    assert [set(groups[split.held_out]) for split in score.splits] == [{"large"}, {"small"}]


def test_laws_are_ranked_by_what_they_predict():
    """Kaplan's law has no floor, so it promises too much beyond its runs."""
    scores = compare([LAWS["kaplan"], LAWS["chinchilla"]], published.chinchilla())
    assert [score.law for score in scores] == ["chinchilla", "kaplan"]
    assert scores[1].bias < 0


def test_an_ensemble_leans_on_the_better_law():
    runs = published.chinchilla()
    both = ensemble([LAWS["chinchilla"], LAWS["kaplan"]], runs)
    scores = [leave_largest_out(LAWS[name], runs).splits[0].relative_errors for name in ("chinchilla", "kaplan")]
    ratio = (scores[1] ** 2).mean() / (scores[0] ** 2).mean()
    assert both.weights == pytest.approx([ratio / (1 + ratio), 1 / (1 + ratio)])
    target = {"params": np.array([1e10]), "tokens": np.array([1e12])}
    separate = [each.predict(target)[0] for each in both.fits]
    assert both.predict(target) == pytest.approx([np.prod(np.array(separate) ** both.weights)])


def test_mistakes_are_named():
    runs = {"tokens": np.geomspace(1e8, 1e10, 6), "loss": np.linspace(4, 3, 6)}
    with pytest.raises(ValueError, match=r"the table needs the column flops, or params and tokens; or name a column.$"):
        sizes(runs)
    with pytest.raises(ValueError, match=r"^Runs cannot be ranked by 'width': the runs table has only: tokens, loss.$"):
        sizes(runs, "width")
    with pytest.raises(ValueError, match=r"^A share of 1.0 of 6 distinct sizes leaves nothing to fit to"):
        leave_largest_out(LAWS["power-tokens"], runs, share=1.0, by="tokens")
    with pytest.raises(ValueError, match=r"^There must be a group for each of the 6 runs, but 2 were given.$"):
        leave_one_group_out(LAWS["power-tokens"], runs, np.array([1, 2]))
    with pytest.raises(ValueError, match=r"^To leave one group out there must be two or more.$"):
        leave_one_group_out(LAWS["power-tokens"], runs, np.ones(6))
