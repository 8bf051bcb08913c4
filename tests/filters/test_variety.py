"""Variety of words: ratios and entropies equal those of counters."""

from __future__ import annotations

import collections
import itertools
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures.variety import Variety
from tokenladder.filters.provenance.hosts import hosts

import naive

WORDY = st.lists(st.sampled_from(["a", "rose", "is", "Rose", "日本", "don't", "--", "\n", "1,000"]), max_size=40).map(
    " ".join
)


def entropy(values):
    counts = collections.Counter(values)
    return -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values())


def expected(text, segment):
    said = naive.words(text)
    pairs = list(itertools.pairwise(said))
    size = min(segment, len(said))
    cut = [said[n : n + size] for n in range(0, len(said) - size + 1, size or 1)] if said else []
    ratio = sum(len(set(one)) for one in cut) / sum(map(len, cut)) if said else 0
    return [len(said), len(set(said)), ratio, entropy(said), entropy(pairs)]


@given(st.lists(st.none() | WORDY | st.text(max_size=40), max_size=4), st.integers(0, 2), st.integers(1, 7))
def test_figures_are_those_of_counters(texts, skipped, segment):
    found = Variety(segment=segment).score(pa.record_batch({"text": pa.array(texts, pa.string())}).slice(skipped))
    for row, text in zip(found.to_pylist(), texts[skipped:], strict=True):
        wanted = [None] * 5 if text is None else [pytest.approx(one, abs=1e-5) for one in expected(text, segment)]
        assert list(row.values()) == wanted


def test_a_segment_of_no_words_is_refused():
    with pytest.raises(ValueError, match=r"^variety: segment must be at least one word; it is 0\.$"):
        Variety(segment=0)


def test_hosts_are_cut_out_of_addresses():
    names = [
        "HTTP://A.b/",
        "https://u:p@a.b:8080?x",
        "a.b/c",
        "//a.b",
        "ftp://a#b",
        "x://[2001:db8::1]:80/",
        "https:///",
        None,
    ]
    assert hosts(pa.array(names)).to_pylist() == ["a.b", "a.b", None, None, "a", "[2001:db8::1]", None, None]
