"""Runs of words and their neighbours against the slow twin; phrases put together from them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenladder.filters.duplicates.phrases import find_runs, first_of_each, join_runs

import naive

TEXT = st.text(st.one_of(st.sampled_from("ab é\n\u2028.\u00ad語ก\u0e31Ⱥ\r"), st.characters(codec="utf-8")), max_size=30)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.none() | TEXT, max_size=5), st.integers(1, 4))
@example(["a b\nc d", None, "a b. c d", "語語 a\u00ad b"], 2)
def test_runs_and_neighbours_are_those_of_the_slow_twin(texts, count):
    found = find_runs(pa.array(["before this", *texts], pa.string()).slice(1), count)
    wanted = [naive.runs(text or "", count) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(those) for those in wanted]
    every = [one for those in wanted for one in those]
    # equal words have equal hashes, others have others
    assert len(set(zip([one[0] for one in every], found.hashes.tolist(), strict=True))) == len(
        {one[0] for one in every}
    )
    assert len(set(found.hashes.tolist())) == len({one[0] for one in every})
    for at, side in ((1, found.before), (2, found.after)):
        pairs = set(zip([one[at] for one in every], side.tolist(), strict=True))
        assert len(pairs) == len({one for one, _ in pairs}) == len({two for _, two in pairs})
        assert {two for one, two in pairs if one is None} <= {0}
    rows = np.repeat(np.arange(len(texts)), np.diff(found.offsets))
    for row, start, stop, (words, _, _) in zip(rows, found.starts, found.stops, every, strict=True):
        assert naive.folded_words(texts[row].encode()[start:stop].decode()) == list(words)
    first = [words not in [one[0] for one in those[:n]] for those in wanted for n, (words, _, _) in enumerate(those)]
    assert first_of_each(found).tolist() == first


def test_a_long_run_is_hashed_in_the_order_of_its_words():
    found = find_runs(pa.array([" ".join(map(str, range(64))), " ".join(map(str, [1, 0, *range(2, 64)]))]), 64)
    assert len(found.hashes) == len(set(found.hashes.tolist())) == 2


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=8), max_size=4))
def test_phrases_are_those_of_the_slow_twin(documents):
    flags = np.array([flag for those in documents for flag in those], bool).reshape(-1, 3)
    offsets = np.r_[0, np.cumsum([len(those) for those in documents])].astype(np.int64)
    found = join_runs(offsets, flags[:, 0], flags[:, 0] & flags[:, 1], flags[:, 0] & flags[:, 2])
    wanted = []
    for first, those in zip(offsets, documents, strict=False):
        text = " ".join(f"{first + n}" for n in range(len(those)))
        known = {(f"{first + n}",): (0, 0, begins, ends) for n, (has, begins, ends) in enumerate(those) if has}
        wanted.append([(first + one, first + two) for one, two in naive.burst_phrases(text, known, 1)])
    assert np.diff(found.offsets).tolist() == [len(those) for those in wanted]
    spans = list(zip(found.first.tolist(), found.last.tolist(), strict=True))
    assert spans == [span for those in wanted for span in those]


@pytest.mark.parametrize("count", [0, 65])
def test_a_run_of_no_words_or_of_too_many_is_refused(count):
    with pytest.raises(ValueError, match=rf"^A run has from 1 to 64 words; {count} were given\.$"):
        find_runs(pa.array(["a"]), count)
