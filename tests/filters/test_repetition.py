from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.rules import ngrams
from tokenladder.filters.rules.repetition import Repetition

import naive

PIECES = st.sampled_from(["a", "ab", "b", "ba", "aba", "the", "don't", ".", "--", "中文", "é", "\u0301", "\U0001f642"])
SPACES = st.sampled_from([" ", " ", " ", "", "\n", "\n\n", "\n \n", "\r\n", "\t", "\u2028", "\u00a0"])
# Few different pieces, so that n-grams repeat, also those that are cut at other places.
TEXT = st.lists(st.tuples(PIECES, SPACES).map("".join), max_size=60).map("".join) | st.text(max_size=60)
LINES = st.lists(st.sampled_from(["", "a", "a b", "\n", " ", "a b c d e f g h i j k", "é"]), max_size=12).map("\n".join)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@given(st.lists(st.none() | TEXT | LINES, max_size=4), st.integers(0, 2))
def test_figures_equal_the_slow_twin(texts, skipped):
    scored = Repetition().score(batch(texts).slice(skipped))
    scored.validate(full=True)
    for text, row in zip(texts[skipped:], scored.to_pylist(), strict=True):
        reason = row.pop("reason")
        if text is None:
            assert reason is None
            assert set(row.values()) == {None}
            continue
        figures = naive.repetition(text, "unicode")
        assert row == {name: float(np.float32(value)) for name, value in figures.items()}
        failed = [name for name, value in figures.items() if value > getattr(Repetition(), f"max_{name}")]
        assert reason == ("empty" if not text else failed[0] if failed else "pass")


@settings(max_examples=40)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_figures_of_english_words_equal_the_slow_twin(texts):
    for text, row in zip(texts, Repetition(words="english").score(batch(texts)).to_pylist(), strict=True):
        del row["reason"]
        assert row == {name: float(np.float32(value)) for name, value in naive.repetition(text, "english").items()}


@pytest.mark.parametrize("size", [1, 3, ngrams.WINDOW - 1, ngrams.WINDOW, ngrams.WINDOW + 1])
def test_ngrams_of_any_length_repeat(size):
    text = " ".join(["x" * size + str(n % 10) for n in range(30)])
    row = Repetition().score(batch([text])).to_pylist()[0]
    assert row["duplicated_10_n_grams"] == pytest.approx(20 * (size + 1) / len(text))


def test_ngrams_are_joined_without_spaces():
    # Five words, then the same letters cut otherwise: datatrove takes them for the same five-gram.
    row = Repetition().score(batch(["ab c d e f x a bc d e f"])).to_pylist()[0]
    assert row["duplicated_5_n_grams"] == pytest.approx(6 / 23)


def test_a_document_of_very_many_short_words_has_room():
    row = Repetition().score(batch(["a b " * 5000])).to_pylist()[0]
    assert row["top_2_gram"] == pytest.approx(3 * 5000 / 20000)
    assert row["duplicated_5_n_grams"] == pytest.approx(
        naive.repetition("a b " * 5000, "unicode")["duplicated_5_n_grams"]
    )


def test_an_empty_batch_gives_an_empty_batch():
    assert Repetition().score(batch([])) == pa.record_batch([[]] * 14, schema=Repetition().columns)


@pytest.mark.parametrize("text", [b"caf\xe9 caf\xe9 \n\n\xe9", b"\xf0\x9f\x99", b"\xc3\n\xc3", b"a\n\na\n\na\xe2\x80"])
def test_a_text_that_is_not_utf8_is_scored_without_reading_past_it(text):
    def scored(before, following):
        raw = pa.array([before, text, following], pa.binary())
        broken = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
        return Repetition().score(pa.record_batch({"text": broken})).to_pylist()[1]

    # A text of many newlines before it leaves their places in the room that this one is counted in.
    alone = scored(b"", b"")
    assert scored(b"\n" * 50, b"\xa8\n") == scored(b"a b\n\n" * 9, b"\n\n") == alone


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"words": "german"}, r'repetition: words must be "unicode" or "english"; it is \'german\''),
        (
            {"max_top_3_gram": -0.1},
            r"repetition: max_top_3_gram is a share of the text, at least 0; it is -0\.1\. A share",
        ),
        ({"max_dup_line_frac": float("nan")}, "max_dup_line_frac is a share of the text, at least 0; it is nan"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Repetition(**fields)
