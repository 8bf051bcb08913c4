"""spaCy's words through the memo: equal to spaCy's, bounded, and the same after it was emptied."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.rules.gopher import Gopher
from tokenladder.filters.text import english as module

import naive

CHUNKS = ["don't", "U.S.A.", "(e.g.,", "a/b", "I'm", "http://x.org/?a=b", "...", "10km", ":-)", "C++", "don’t", "``x''"]
CHUNKS += ["x" * 60, "\u0130s", "\u00ad", "中文。", "\U0001f642", "IS_ALPHA", "\x1c", "a\u0301", "\u200b"]
TEXT = st.lists(st.sampled_from(CHUNKS) | st.text(max_size=6), max_size=12).map(" ".join)
EVERY_CATEGORY = sorted({unicodedata.category(chr(n)) for n in range(0x110000)} - {"Cs"})
CATEGORIES = st.sampled_from(EVERY_CATEGORY).flatmap(lambda name: st.characters(categories=[name]))
FIGURES = ("words", "mean_word_length", "hash_ratio", "alpha_words", "stop_words")


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def figures(texts, rule="english"):
    rows = Gopher(words=rule).score(batch(texts)).to_pylist()
    return [{name: row[name] for name in FIGURES} for row in rows]


def expected(text, rule="english"):
    found = naive.word_figures(text, rule, Gopher().stop_words)
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in found.items()}


@pytest.fixture
def small(monkeypatch):
    """A memo that holds few chunks, and its own object."""
    monkeypatch.setattr(module, "CHUNKS", 3)
    monkeypatch.setattr(module, "ROUND", 2)
    memo = module.EnglishWords()
    monkeypatch.setattr(module, "english", lambda: memo)
    monkeypatch.setattr("tokenladder.filters.text.tokens.english", lambda: memo)
    return memo


@settings(max_examples=60)
@given(st.lists(TEXT, max_size=4), st.sampled_from(["english", "unicode"]))
def test_figures_equal_the_slow_twin(texts, rule):
    assert figures(texts, rule) == [expected(text, rule) for text in texts]


@settings(max_examples=60)
@given(st.lists(CATEGORIES, max_size=20).map("".join), st.sampled_from(["english", "unicode"]))
def test_figures_equal_the_slow_twin_on_every_unicode_category(text, rule):
    assert figures([text], rule) == [expected(text, rule)]


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*CHUNKS, "the", "end."]) | st.text(max_size=5), max_size=12).map(" ".join))
def test_chunks_by_themselves_give_what_spacy_makes_of_the_text(text):
    """The claim that the memo rests on, but for the rules that look at neighbours, which the module names."""
    whole = [token.text for token in naive.spacy_english()(text.replace("IS_ALPHA", "IS_ALPHB")) if token.text.strip()]
    parts = [
        token
        for chunk in re.findall(r"\S+", text.replace("IS_ALPHA", "IS_ALPHB"))
        for token in naive.spacy_tokens(chunk)
    ]
    assert whole == parts


def test_a_memo_that_is_emptied_again_and_again_gives_the_same(small):
    texts = [" ".join(CHUNKS[at:] + [f"only{n}" for n in range(at)]) for at in range(0, len(CHUNKS), 4)]
    assert [figures([text]) for text in texts] == [[expected(text)] for text in texts]
    assert small.known <= 3 + len(CHUNKS)
    assert figures(texts) == [expected(text) for text in texts]


def test_the_memo_is_bounded_in_chunks_and_bytes(small, monkeypatch):
    most = 0
    for n in range(12):
        figures([f"a{n} b{n}"])
        most = max(most, small.known)
    assert most == 4  # with 2 known, 2 more are learnt; then all are forgotten
    monkeypatch.setattr(module, "CHUNKS", 1 << 20)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    for n in range(12):
        figures([f"{n}" * 100])
        assert small.chunks.starts[small.known] <= 1000 + 200 + module.GAP


def test_room_for_chunks_grows(monkeypatch):
    memo = module.EnglishWords()
    monkeypatch.setattr("tokenladder.filters.text.tokens.english", lambda: memo)
    text = " ".join(f"word{n}" for n in range(40_000))  # more than the memo begins with
    assert figures([text])[0]["words"] == 40_000
    assert memo.known == 40_000
    assert figures([text])[0]["words"] == 40_000
    assert memo.known == 40_000


def test_a_chunk_too_long_for_spacy_is_cut_by_the_default_rule():
    text = "(" * 5000 + "a b"
    assert figures([text])[0]["words"] == 2
    assert figures(["a" * 5000 + "'s"]) == figures(["a" * 5000 + "'s"], "unicode")


def test_without_spacy_the_message_says_what_to_do():
    program = (
        "import sys; sys.modules['spacy'] = None\n"
        "import pyarrow as pa\n"
        "from tokenladder.filters.rules.gopher import Gopher\n"
        "Gopher().score(pa.record_batch({'text': ['works']}))\n"
        "try:\n    Gopher(words='english').score(pa.record_batch({'text': ['fails']}))\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "words = \"english\" needs spaCy, which is not installed. Install it with: pip install 'tokenladder[english]'. "
        'Or take words = "unicode", which needs nothing.\n'
    )


def test_identity_names_spacys_version_where_it_is_asked():
    assert Gopher(words="english").identity()["spacy"] == module.english().version
    assert "spacy" not in Gopher().identity()
