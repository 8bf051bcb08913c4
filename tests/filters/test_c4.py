from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.rules.c4 import C4

import naive

WORDS = [
    "a",
    "The",
    "end",
    "Dr.",
    "U.S.",
    "x" * 9,
    "é",
    "中文",
    "{",
    "[1]",
    "[",
    "[edit]",
    "[citation needed]",
    "[٣]",
    "]",
]
PHRASES = [
    "lorem ipsum",
    "Lorem IPSUM",
    "LOREM İPSUM",
    "JavaScript",
    "privacy policy",
    "Coo\u212aie Policy",
    "use cookies",
]
ENDS = [".", "!", "?", '"', "'", "...", "..", "\u2026", "?!", ".)", "\u3002", ".\u201d", ". ", ".  ", ";", ""]
BREAKS = ["\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\n\n"]
LINE = st.tuples(
    st.lists(st.sampled_from([*WORDS, *PHRASES]) | st.text(max_size=5), max_size=6).map(" ".join),
    st.sampled_from(ENDS),
    st.sampled_from(["", " ", "  ", "\t", "\u00a0"]),
    st.sampled_from([*WORDS, ""]),
    st.sampled_from(ENDS),
    st.sampled_from(BREAKS),
).map("".join)
TEXT = st.lists(LINE, max_size=8).map("".join)
FAMILIES = st.builds(
    C4,
    min_sentences=st.integers(0, 4),
    min_words_per_line=st.integers(0, 3),
    max_word_length=st.sampled_from([8, 1000]),
    remove_citations=st.booleans(),
    terminal_punctuation=st.booleans(),
    lorem_ipsum=st.booleans(),
    javascript=st.booleans(),
    curly_bracket=st.booleans(),
    policy=st.booleans(),
)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def rounded(row):
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}


@given(st.lists(st.none() | TEXT, max_size=5), FAMILIES, st.integers(0, 2))
def test_decisions_and_counts_equal_the_slow_twin(texts, family, skipped):
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    nothing = dict.fromkeys(family.columns.names)
    expected = [nothing if text is None else rounded(naive.c4(text, family)) for text in texts[skipped:]]
    assert scored.to_pylist() == expected


@settings(max_examples=50)
@given(st.lists(TEXT, max_size=3), st.booleans())
def test_english_sentences_equal_the_slow_twin(texts, terminal):
    family = C4(words="english", terminal_punctuation=terminal, min_words_per_line=0)
    assert family.score(batch(texts)).to_pylist() == [rounded(naive.c4(text, family)) for text in texts]


def test_no_other_character_has_an_ascii_letter_in_its_lower_case():
    found = [chr(n) for n in range(128, 0x110000) if any(each.isascii() for each in chr(n).lower())]
    assert found == ["\u0130", "\u212a"]
    assert "\u0130".lower() == "i\u0307"


def test_an_empty_batch_gives_an_empty_batch():
    assert C4().score(batch([])) == pa.record_batch([[]] * 13, schema=C4().columns)


@pytest.mark.parametrize("words", ["unicode", "english"])
@pytest.mark.parametrize("text", [b"caf\xe9 [\xe9 a \xe2\x84.", b"one two \xf0\x9f\x99", b"a b c.\xc3", b"\xc3\n\xc3"])
def test_a_text_that_is_not_utf8_is_scored_without_reading_past_it(text, words):
    def scored(following):
        raw = pa.array([text, following], pa.binary())
        broken = pa.record_batch({"text": pa.Array.from_buffers(pa.string(), 2, raw.buffers())})
        return C4(words=words, min_words_per_line=0, terminal_punctuation=False).score(broken).to_pylist()[0]

    alone = scored(b"")
    assert alone["kept_lines"] == alone["lines"] > 0
    for following in (b"\n", b". One.", b"\x84\x84"):
        assert scored(following) == alone


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"words": "german"}, r'c4: words must be "unicode" or "english"; it is \'german\''),
        ({"min_sentences": -1}, "c4: min_sentences must be at least 0; it is -1"),
        ({"min_words_per_line": -2}, "c4: min_words_per_line must be at least 0; it is -2"),
        ({"max_word_length": 0}, "c4: max_word_length must be at least 1; it is 0"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        C4(**fields)
