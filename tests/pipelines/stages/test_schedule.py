"""The schedule against Tijdeman's rule in fractions, and against his bound in every prefix."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.stages.schedule import ONE, State, integer_weights, prefix_counts, state_at

import naive

shares = st.lists(st.integers(0, 1000) | st.floats(0, 1e6), min_size=1, max_size=12).filter(lambda w: sum(w) > 1e-3)


@given(shares)
def test_weights_equal_largest_remainder(weights):
    assert integer_weights(weights).tolist() == naive.integer_weights(weights, ONE)


@given(st.lists(st.fractions(0, 1), min_size=1, max_size=200).filter(sum))
def test_weights_sum_to_one_and_are_within_one_unit(weights):
    whole = integer_weights(weights)
    assert whole.sum() == ONE
    assert all(abs(int(n) - w * ONE / sum(weights)) < 1 for n, w in zip(whole, weights, strict=True))


@pytest.mark.parametrize("weights", [[0, 0], [0.5, -0.1]])
def test_weights_that_are_no_shares(weights):
    with pytest.raises(ValueError, match="are not shares: none may be negative, one must be positive"):
        integer_weights(weights)


@settings(max_examples=60)
@given(shares, st.integers(0, 120))
def test_picks_equal_the_rule_in_fractions(weights, count):
    whole = integer_weights(weights)
    assert State.start(whole).advance(count)[0].tolist() == naive.schedule(whole, count)


@settings(max_examples=30)
@given(st.integers(2, 200), st.integers(0, 2**32), st.floats(0.1, 4))
def test_every_prefix_is_within_the_bound(strata, seed, skew):
    rng = np.random.default_rng(seed)
    whole = integer_weights(rng.random(strata) ** skew + 1e-9)
    count = 2000
    picks, after = State.start(whole).advance(count)
    given_so_far = np.cumsum(picks[:, None] == np.arange(strata), axis=0)
    # in whole numbers: |2**32 · given - n · weight| ≤ 2**32 · (1 - 1/(2k-2))
    error = np.abs(given_so_far * ONE - np.arange(1, count + 1)[:, None] * whole)
    assert int(error.max()) <= Fraction(ONE) * (1 - Fraction(1, 2 * strata - 2))
    assert after.given.tolist() == given_so_far[-1].tolist()
    assert after.owed.tolist() == (count * whole - after.given * ONE).tolist()


@given(shares, st.integers(0, 200), st.integers(0, 200))
def test_going_on_equals_going_at_once(weights, first, second):
    start = State.start(integer_weights(weights))
    picks, middle = start.advance(first)
    more, end = middle.advance(second)
    whole, last = start.advance(first + second)
    assert np.r_[picks, more].tolist() == whole.tolist()
    assert (end.owed.tolist(), end.given.tolist()) == (last.owed.tolist(), last.given.tolist())
    assert start.given.sum() == 0  # the earlier state is not touched


def test_one_stratum_and_strata_of_no_weight():
    picks, state = State.start(integer_weights([3])).advance(5)
    assert (picks.tolist(), state.given.tolist()) == ([0] * 5, [5])
    picks, state = State.start(integer_weights([0, 1, 0, 1])).advance(6)
    assert state.given.tolist() == [0, 3, 0, 3]


@given(shares, st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_counts_of_prefixes(weights, lengths):
    whole = integer_weights(weights)
    lengths.sort()
    picks = State.start(whole).advance(lengths[-1])[0]
    expected = [np.bincount(picks[:n], minlength=len(whole)).tolist() for n in lengths]
    assert [row.tolist() for row in prefix_counts(whole, lengths)] == expected


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(0, 2**32), st.lists(st.integers(0, 900), max_size=6), st.integers(0, 1000))
def test_any_place_is_found_from_a_checkpoint(strata, seed, places, position):
    rng = np.random.default_rng(seed)
    whole = integer_weights(rng.random(strata) ** 2 + 1e-9)
    checkpoints = [row.tolist() for row in prefix_counts(whole, sorted(places))]
    found = state_at(whole, position, checkpoints)
    replayed = State.start(whole).advance(position)[1]
    assert (found.owed.tolist(), found.given.tolist()) == (replayed.owed.tolist(), replayed.given.tolist())


def test_a_checkpoint_far_beyond_64_bits_of_products_is_a_state_like_any_other():
    whole = integer_weights([0.7, 0.2, 0.1])
    near = state_at(whole, 1000, [])
    far = [int(n) * 10**9 for n in (7, 2, 1)]  # after 10**10 sequences all is even again, but for rounded weights
    state = State.after(whole, far)
    exact = [int(w) * 10**10 - (n << 32) for w, n in zip(whole, far, strict=True)]
    assert state.owed.tolist() == exact
    assert near.given.tolist() == [700, 200, 100]


def test_there_is_no_place_before_the_stream():
    with pytest.raises(ValueError, match=r"^A place in the stream is 0 or more sequences; -1 was given\.$"):
        state_at(integer_weights([1]), -1)
