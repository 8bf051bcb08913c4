"""The driver's side of a ladder: weights of strata, what is short, where shards are cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.drivers import drafts, ladders
from tokenladder.pipelines.drivers.shards import shard_ranges
from tokenladder.pipelines.drivers.shares import stratum_weights
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages.ladder import BUCKETS, groups_of

import naive

SIZES = st.dictionaries(st.sampled_from(["web/en", "web/de", "web/none", "code/en", "code/none"]), st.integers(0, 9))
WEIGHTS = st.dictionaries(
    st.sampled_from(["web", "code", "web/en", "code/none", "books"]), st.sampled_from([0, 0.1, 0.3, 1])
)


@given(st.none() | WEIGHTS, SIZES)
def test_weights_of_strata_equal_the_plain_rule(weights, sizes):
    shares, empty = stratum_weights(weights, sizes)
    assert shares == naive.stratum_weights(weights, sizes)
    # a weight is spent, or its name is told as one of which nothing was kept
    for name, weight in (weights or {}).items():
        spent = [n for n in shares if n == name or (n.split("/")[0] == name and n not in weights)]
        assert bool(spent) != (name in empty) if weight else name not in empty


def test_a_named_stratum_keeps_its_weight_and_the_source_shares_the_rest():
    sizes = {"web/en": 60, "web/de": 30, "web/fr": 10, "code/none": 5}
    shares, empty = stratum_weights({"web": 0.4, "web/en": 0.4, "code": 0.2}, sizes)
    assert shares == {
        "web/en": Fraction(2, 5),
        "web/de": Fraction(3, 10),
        "web/fr": Fraction(1, 10),
        "code/none": Fraction(1, 5),
    }
    assert (sum(shares.values()), empty) == (1, [])
    assert stratum_weights({"web": 0.5, "code": 0.5}, {"web/en": 0, "code/none": 3})[1] == ["web"]
    assert stratum_weights({"books": 1.0}, sizes) == ({}, ["books"])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 20))
def test_shards_are_cut_at_every_rung_and_nearly_equal(steps, most):
    ends = [sum(steps[: n + 1]) for n in range(len(steps))]
    rungs = {f"r{n}": end for n, end in enumerate(ends)}
    ladder = ladders.Ladder("r", "", "", ["web"], [1 << 32], [9], rungs, [[end] for end in ends])
    found = shard_ranges(ladder, most)
    starts = [first for first, _ in found]
    assert starts == [sum(count for _, count in found[:n]) for n in range(len(found))]
    stops = [first + count for first, count in found]
    assert set(ends) <= set(stops)
    assert stops[-1] == ends[-1]
    for begin, end in zip([0, *ends], ends, strict=False):
        inside = [count for first, count in found if begin <= first < end]
        assert max(inside) <= most
        assert max(inside) - min(inside) <= 1
        assert len(inside) == -(-(end - begin) // most)


def test_a_budget_beyond_all_measure_is_refused_before_its_schedule_is_worked_out():
    wanted = ladders.Wanted("all", "", "", {})
    with pytest.raises(
        store.UserError, match=r"^all: its largest rung needs some 7,500,000 tokens of web, of which 9 bytes"
    ):
        drafts._check_size(wanted, {"web": 3 << 30, "code": 1 << 30}, {"web": 9, "code": 10**9}, 10_000_000)
    drafts._check_size(wanted, {"web": 1 << 32}, {"web": 10**7}, 10_000_000)


@given(st.data())
def test_the_group_of_a_bucket(data):
    bucket = st.integers(0, 6) | st.integers(BUCKETS - 3, BUCKETS)
    listed = []
    for stratum in range(data.draw(st.integers(1, 3))):
        edges = sorted(data.draw(st.sets(bucket, max_size=6)))
        pairs = zip(edges[::2], edges[1::2], strict=False)
        listed += [{"stratum": stratum, "first": first, "stop": stop} for first, stop in pairs]
    listed = data.draw(st.permutations(listed))
    asked = data.draw(st.lists(st.tuples(st.integers(0, 3), bucket.filter(lambda b: b < BUCKETS)), max_size=20))
    strata, buckets = np.array(asked, np.int64).reshape(-1, 2).T
    assert groups_of(listed, strata, buckets).tolist() == naive.groups_of(listed, strata.tolist(), buckets.tolist())
