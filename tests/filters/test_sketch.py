from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import sketch
from tokenladder.filters.shingles import element_sets, shingles

import naive

# From few values, so that sets overlap, and from all.
VALUES = st.integers(0, 12) | st.integers(0, 2**32 - 1)
LISTS = st.lists(st.lists(VALUES, max_size=120), min_size=1, max_size=5)
MOST = st.none() | st.integers(1, 12)


def columns(lists):
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return offsets, np.array([value for each in lists for value in each], np.uint32)


def rows(offsets, values):
    return [values[a:b].tolist() for a, b in itertools.pairwise(offsets)]


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@given(LISTS, MOST)
def test_sets_equal_the_slow_twin(lists, most):
    offsets, values, counts = element_sets.distinct_elements(*columns(lists), most)
    whole = [sorted({naive.fmix32(value) for value in each}) for each in lists]
    assert rows(offsets, values) == [each[:most] for each in whole]
    assert counts.tolist() == [len(each) for each in whole]


@given(LISTS, MOST, st.data())
def test_pairs_equal_the_slow_twin(lists, most, data):
    sets = [sorted(set(each))[:most] for each in lists]
    index = st.integers(0, len(sets) - 1)
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=6))
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    found = element_sets.jaccard_pairs(*columns(sets), left, right, most)
    assert found.tolist() == [naive.set_jaccard(set(sets[a]), set(sets[b]), most) for a, b in pairs]
    found = element_sets.containment_pairs(*columns(sets), left, right, most)
    assert found.tolist() == [naive.set_containment(set(sets[a]), set(sets[b]), most) for a, b in pairs]


def test_sets_of_documents_are_compared_exactly():
    texts = ["one two three four", "ONE, two: three; five", None, "", "one two three four one two"]
    offsets, values = shingles.element_sets(batch(texts), "words", 1)
    assert np.diff(offsets).tolist() == [4, 4, 0, 0, 4]
    left, right = np.array([0, 0, 2, 0]), np.array([1, 4, 3, 3])
    assert element_sets.jaccard_pairs(offsets, values, left, right).tolist() == [3 / 5, 1, 0, 0]
    assert element_sets.containment_pairs(offsets, values, left, right).tolist() == [3 / 4, 1, 0, 0]


def test_a_cut_set_estimates_what_the_whole_one_gives():
    # 9,000 words, all of which stand in a document of 30,000; 512 of them kept, of which 154 are compared on average.
    words = [f"w{number}" for number in range(30_000)]
    texts = [" ".join(words[:9_000]), " ".join(words), " ".join(words[6_000:12_000])]
    offsets, values = shingles.element_sets(batch(texts), "words", 1, most=512)
    assert np.diff(offsets).tolist() == [512] * 3
    zero, one, two = np.array([0]), np.array([1]), np.array([2])
    assert element_sets.containment_pairs(offsets, values, zero, one, 512)[0] == 1
    assert abs(element_sets.containment_pairs(offsets, values, two, zero, 512)[0] - 0.5) < 0.1
    assert abs(element_sets.jaccard_pairs(offsets, values, zero, one, 512)[0] - 0.3) < 0.08


@given(st.lists(st.none() | st.text("ab 中.", max_size=40), max_size=6), st.integers(1, 5), st.integers(0, 2))
def test_sketches_equal_the_slow_twin(texts, size, skipped):
    family = sketch.Sketch(unit="words", ngram=2, size=size)
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    expected = []
    for text in texts[skipped:]:
        whole = sorted({naive.fmix32(each) for each in naive.elements(text or "", "words", 2)})
        kept = np.array(whole[:size], "<u4").tobytes() if whole else None
        expected.append({"sketch": kept, "elements": None if text is None else len(whole)})
    assert scored.to_pylist() == expected


def test_sketches_that_no_column_holds_are_refused(monkeypatch):
    # 2^29 values of 4 bytes, said and not made.
    offsets = np.array([0, 2**29], np.int64)
    made = (offsets, np.zeros(0, np.uint32), np.ones(1, np.int32))
    monkeypatch.setattr(sketch, "distinct_elements", lambda *_: made)
    with pytest.raises(ValueError, match="Sketches of 1 documents come to over 2 GiB; score fewer at a time"):
        sketch.Sketch().score(batch(["a"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "word"}, "sketch: unit must be one of words, characters, code, auto; it is 'word'"),
        ({"ngram": 0}, "sketch: ngram must be from 1 to 64; it is 0"),
        ({"size": 0}, "sketch: size must be from 1 to 65536 elements; it is 0"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        sketch.Sketch(**fields)


def test_mistakes_in_calls_say_what_was_given():
    offsets, values = columns([[1, 2], [3]])
    one = np.array([0])
    with pytest.raises(ValueError, match="There are sets 0 to 1; the pairs name 2 to 2"):
        element_sets.jaccard_pairs(offsets, values, one, one + 2)
    with pytest.raises(ValueError, match="there are 1 and 2"):
        element_sets.containment_pairs(offsets, values, one, np.array([0, 1]))
    with pytest.raises(ValueError, match="A set keeps at least 1 element; most is 0"):
        element_sets.jaccard_pairs(offsets, values, one, one, most=0)
    with pytest.raises(ValueError, match="A set keeps at least 1 element; most is 0"):
        shingles.element_sets(batch(["a"]), most=0)
    for wrong in ([], [0, 2, 1], [-1, 3], [0, 4]):
        with pytest.raises(ValueError, match="ascend from at least 0 to at most 3, the number of values"):
            element_sets.distinct_elements(np.array(wrong, np.int64), values)
