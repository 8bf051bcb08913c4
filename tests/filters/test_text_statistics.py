"""One count for several scores: shared where the batch is the same, never stale where it is another."""

from __future__ import annotations

import gc
import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.rules import text_statistics
from tokenladder.filters.rules.fineweb import FineWeb
from tokenladder.filters.rules.gopher import Gopher
from tokenladder.filters.rules.repetition import Repetition

TEXT = st.lists(st.sampled_from(["the", "of", "a b.", "\n", "#", "..."]), max_size=20).map(" ".join)
FAMILIES = [
    Gopher(),
    Gopher(stop_words=("a", "b")),
    Gopher(words="english"),
    Repetition(),
    FineWeb(),
    FineWeb(short_line_length=4),
]


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@pytest.fixture
def counted(monkeypatch):
    """What is counted from now on, as if nothing had been before: the number of rows and what was asked of them."""
    monkeypatch.setattr(text_statistics, "_last", text_statistics._Last())
    found = []
    count = text_statistics._counted

    def counting(documents, asked):
        found.append((len(documents), asked.rule, asked.ngrams))
        return count(documents, asked)

    monkeypatch.setattr(text_statistics, "_counted", counting)
    return found


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(TEXT, min_size=1, max_size=3), st.permutations(range(len(FAMILIES)))), max_size=4),
    st.booleans(),
)
def test_output_is_the_same_in_any_order_of_families_and_batches(batches, keep):
    held = []
    for texts, order in batches:
        documents = batch(texts)
        for n in order:
            fresh = batch(texts)  # a batch that nothing was counted of
            assert FAMILIES[n].score(documents) == FAMILIES[n].score(fresh)
            assert FAMILIES[n].score(documents) == FAMILIES[n].score(documents)
        if keep:
            held.append(documents)


def test_words_are_cut_once_for_all_families_from_the_second_batch_on(counted):
    for rows in (1, 2, 3):
        documents = batch(["some text"] * rows)
        for family in (FineWeb(), Gopher(), Repetition()):
            family.score(documents)
    first = [(1, "unicode", False), (1, "unicode", False), (1, "unicode", True)]
    assert counted == [*first, (2, "unicode", True), (3, "unicode", True)]


def test_a_slice_and_a_batch_in_the_place_of_another_are_counted_anew(counted):
    whole = batch(["one", "one two", "one two three"])
    assert Gopher().score(whole)["words"].to_pylist() == [1, 2, 3]
    assert Gopher().score(whole.slice(1))["words"].to_pylist() == [2, 3]
    for rows in range(4, 40):  # the object of one batch often stands where the one before it stood
        assert Gopher().score(batch(["one"] * rows))["words"].to_pylist() == [1] * rows
    assert len(counted) == 38


def test_nothing_of_a_batch_is_kept_but_its_counts():
    documents = batch(["some text"])
    Gopher().score(documents)
    found = text_statistics._last.batch
    assert found() is documents
    del documents
    gc.collect()
    assert found() is None


def test_each_thread_counts_for_itself(counted):
    documents = batch(["some text"])
    Gopher().score(documents)
    thread = threading.Thread(target=Gopher().score, args=(documents,))
    thread.start()
    thread.join()
    assert len(counted) == 2


def test_counts_cannot_be_changed():
    documents = batch(["some text"])
    with pytest.raises(ValueError, match="read-only"):
        text_statistics.line_counts(documents)[0, 0] = 7
    with pytest.raises(ValueError, match="read-only"):
        text_statistics.token_counts(documents, "unicode")[0, 0] = 7
