from __future__ import annotations

import pytest

from tokenladder.scaling.designs.step_laws import STEP_LAWS, advise, nearest, warm_up_tokens


def test_what_each_law_says_inside_and_outside_of_its_range():
    small, large = advise(1e8, 4e9), advise(70e9, 1.4e12)
    assert [one.law for one in small] == ["step-law", "deepseek", "porian"]
    assert [one.outside for one in small] == [(), (), ()]
    assert large[0].outside == ("params 7e+10 above 1e+09", "tokens 1.4e+12 above 1e+11")
    assert large[1].outside == ("flops 5.88e+23 above 2e+19",)
    assert advise(1e6, 1e8)[0].outside == ("params 1e+06 below 5.9e+07", "tokens 1e+08 below 2e+09")


def test_values_by_hand():
    step, deepseek, porian = advise(1e8, 4e9)
    assert step.learning_rate == pytest.approx(1.79 * 1e8**-0.713 * 4e9**0.307)
    assert step.batch_tokens == pytest.approx(0.58 * 4e9**0.571)
    assert deepseek.learning_rate == pytest.approx(0.3118 * 2.4e18**-0.125)
    assert deepseek.batch_tokens == pytest.approx(0.2920 * 2.4e18**0.3271)
    assert porian.learning_rate == pytest.approx(3.7 * 1e8**-0.36)
    assert porian.batch_tokens == pytest.approx(0.7576 * 1e8**0.703)


def test_the_law_that_covers_a_run_comes_first():
    assert nearest(1e8, 4e9).law == "step-law"
    assert nearest(1e7, 2e9).law == "deepseek"
    assert nearest(1e7, 1e8).law == "porian"
    assert nearest(1e12, 1e13).law == "step-law"  # none covers it


def test_laws_tell_their_source_and_range():
    for law in STEP_LAWS:
        assert "arXiv" in law.source
        assert all(0 < least < largest for least, largest in law.ranges.values())
        assert law.note


def test_warm_up_is_the_models_size_but_a_tenth_at_most():
    assert warm_up_tokens(1e8, 2e9) == 1e8
    assert warm_up_tokens(1e8, 5e8) == 5e7
