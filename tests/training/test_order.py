from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.training import late
from tokenladder.training.order import PERIOD, Order, period_weights, permute

import naive

SEEDS = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module", params=[late.ENOUGH << 40, 0], ids=["numpy", "compiled"], autouse=True)
def either_form(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(late, "ENOUGH", request.param)
        yield


@given(SEEDS, st.integers(1, 2**62), st.lists(st.integers(0, 2**62), min_size=1, max_size=20))
def test_permute_equals_its_twin(key, length, numbers):
    numbers = np.array([number % length for number in numbers], np.int64)
    got = permute(numbers, np.full(len(numbers), key, np.uint64), np.full(len(numbers), length))
    assert got.tolist() == [naive.permute(int(number), key, length) for number in numbers]


@given(st.lists(st.tuples(SEEDS, st.integers(1, 300), st.integers(0, 300)), max_size=20))
def test_permute_takes_each_number_by_its_own_key_and_length(many):
    keys, lengths, numbers = (np.array([one[n] for one in many], np.uint64) for n in range(3))
    numbers = (numbers % lengths).astype(np.int64)
    got = permute(numbers, keys, lengths.astype(np.int64))
    assert got.tolist() == [naive.permute(number % length, key, length) for key, length, number in many]


@given(SEEDS, st.integers(1, 3000))
def test_permute_is_a_permutation(key, length):
    got = permute(np.arange(length), np.full(length, key, np.uint64), np.full(length, length))
    assert np.array_equal(np.sort(got), np.arange(length))


def test_places_after_a_shuffle_are_even():
    # 4,000 seeds; where number 3 of 16 goes: each place 250 times, give or take; the chance of a sum over 60 is 1e-6.
    got = permute(np.full(4000, 3), np.arange(4000).astype(np.uint64) * np.uint64(2**40), np.full(4000, 16))
    counts = np.bincount(got, minlength=16)
    assert ((counts - 250) ** 2 / 250).sum() < 60


def test_neighbours_part_in_a_shuffle():
    got = permute(np.arange(1000), np.zeros(1000, np.uint64), np.full(1000, 1000))
    assert abs(np.corrcoef(got[:-1], got[1:])[0, 1]) < 0.1


@pytest.mark.parametrize(("number", "length"), [(-1, 4), (4, 4), (0, 2**62 + 1)])
def test_permute_refuses_what_is_outside(number, length):
    with pytest.raises(ValueError, match="not below its length"):
        permute(np.array([number]), np.zeros(1, np.uint64), np.array([length]))


@settings(max_examples=20)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.booleans(), SEEDS)
def test_places_equal_the_obvious_ones(shares, shuffled, seed):
    lengths = [3 + 2 * n for n in range(len(shares))]
    order = Order(lengths, shares, seed, shuffled=shuffled)
    got = order.places(np.arange(200))
    given_so_far = [0] * len(shares)
    for position, rung in enumerate(naive.mixture(order.weights.tolist(), 200)):
        epoch, sequence = divmod(given_so_far[rung], lengths[rung])
        given_so_far[rung] += 1
        if shuffled:
            sequence = naive.permute(sequence, naive.mix64(seed, rung, epoch), lengths[rung])
        assert (got.rungs[position], got.epochs[position], got.sequences[position]) == (rung, epoch, sequence)


def test_a_mixture_repeats_itself_after_its_period_and_keeps_its_shares():
    order = Order([10**6, 10**6], [2, 1], 1, shuffled=False)
    early, late = (order.places(start + np.arange(1000)) for start in (5, 5 + 3 * PERIOD))
    assert np.array_equal(early.rungs, late.rungs)
    counted = order.places(np.arange(30_000)).rungs
    given_so_far = np.cumsum(counted == 0)
    assert np.abs(given_so_far - np.arange(1, 30_001) * 2 / 3).max() < 1.5


def test_epochs_are_permuted_each_in_its_own_way():
    order = Order([100], None, 3, shuffled=True)
    epochs = order.places(np.arange(300)).sequences.reshape(3, 100)
    assert [sorted(epoch) for epoch in epochs.tolist()] == [list(range(100))] * 3
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


@pytest.mark.parametrize(
    ("lengths", "weights", "seed", "message"),
    [
        ([], None, 0, "there must be one"),
        ([3, 0], [1, 1], 0, "none may be empty"),
        ([3, 3], None, 0, "2 rungs need weights"),
        ([3, 3], [1], 0, "1 weights for 2 rungs"),
        ([3, 3], [1, -1], 0, "are not shares"),
        ([3, 3], [1, 1e-9], 0, "The weight 1e-09 of rung 1 is under 1/262,144 of the sum"),
        ([3], None, 2**64, "18446744073709551616 was given"),
    ],
)
def test_orders_that_make_no_sense_are_refused(lengths, weights, seed, message):
    with pytest.raises(ValueError, match=message):
        Order(lengths, weights, seed, shuffled=True)


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=8))
def test_weights_are_rounded_by_less_than_one(weights):
    whole = period_weights(weights)
    assert whole.sum() == PERIOD
    assert np.abs(whole - np.array(weights) / sum(weights) * PERIOD).max() < 1 + 1e-6
