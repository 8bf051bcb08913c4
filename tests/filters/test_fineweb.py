from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.rules.fineweb import FineWeb
from tokenladder.filters.text.punctuation import DECIMAL, PUNCT, SENTENCE_END, SYMBOL, classes

import naive

LINES = [
    "",
    " ",
    "a",
    "a b.",
    "The end!",
    "of it。",
    "\u0964",
    "x\r",
    "\x0b",
    "x" * 30,
    "x" * 31,
    "é" * 30,
    "a b.",
    "\u2028",
]
TEXT = st.lists(st.sampled_from(LINES) | st.text(max_size=8), max_size=14).map("\n".join)
FAMILIES = st.builds(
    FineWeb,
    min_line_punct_ratio=st.sampled_from([0, 0.12, 1]),
    max_short_line_ratio=st.sampled_from([0, 0.67, 1]),
    short_line_length=st.sampled_from([0, 4, 30]),
    max_char_dup_ratio=st.sampled_from([0, 0.01, 1]),
    max_list_ratio=st.sampled_from([0, 0.3, 2]),
)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def rounded(row):
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}


@given(st.lists(st.none() | TEXT, max_size=6), FAMILIES, st.integers(0, 2))
def test_decisions_and_figures_equal_the_slow_twin(texts, family, skipped):
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    nothing = dict.fromkeys(family.columns.names)
    expected = [nothing if text is None else rounded(naive.fineweb(text, family)) for text in texts[skipped:]]
    assert scored.to_pylist() == expected


@given(TEXT)
def test_english_words_equal_the_slow_twin(text):
    family = FineWeb(words="english", max_short_line_ratio=1, min_line_punct_ratio=0, max_char_dup_ratio=1)
    assert family.score(batch([text])).to_pylist() == [rounded(naive.fineweb(text, family))]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"words": "german"}, r'fineweb: words must be "unicode" or "english"; it is \'german\''),
        ({"max_short_line_ratio": 1.1}, r"fineweb: max_short_line_ratio is a share from 0 to 1; it is 1\.1"),
        ({"max_list_ratio": -1}, "fineweb: max_list_ratio is newlines per token, at least 0; it is -1"),
        ({"short_line_length": -1}, "fineweb: short_line_length must be at least 0; it is -1"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        FineWeb(**fields)


def test_punctuation_tables_equal_their_sources():
    points = range(0x110000)
    table = classes()
    ends = [point for point in points if table[point] & SENTENCE_END]
    assert {chr(point) for point in ends} == naive.sentence_ends()
    assert {chr(point) for point in points if table[point] & SYMBOL} == naive.datatrove_symbols()
    assert [point for point in points if table[point] & PUNCT] == [
        point for point in points if unicodedata.category(chr(point))[0] == "P"
    ]
    assert [point for point in points if table[point] & DECIMAL] == [
        point for point in points if chr(point).isdecimal()
    ]
