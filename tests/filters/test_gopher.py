from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.rules.gopher import Gopher

import naive

WORDS = ["the", "of", "be", "a.b", "U.S.", "don't", "l\u2019eau", "'", "''", "word's", "_", "snake_case", "a_", "_._"]
WORDS += ["3.14", "42", ",", "1,2", "1,a", "(x)"]
SYMBOLS = ["...", "....", "..", "…", "….", ".…", "#", "##", "-", "•", "--", "==", "🙂🙂"]
LETTERS = ["中文", "日本", "กำ가", "́", "é", "中.文"]
SPACES = [" ", " . ", "\u00a0", "\t", "\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028"]
PIECES = st.sampled_from([*WORDS, *SYMBOLS, *LETTERS, *SPACES])
TEXT = st.lists(PIECES, max_size=40).map("".join) | st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=60)
FAMILIES = st.builds(
    Gopher,
    min_words=st.integers(0, 5),
    max_words=st.integers(5, 12),
    min_mean_word_length=st.sampled_from([0, 1.5, 3]),
    max_mean_word_length=st.sampled_from([3, 10]),
    max_symbol_ratio=st.sampled_from([0, 0.1, 1]),
    max_bullet_lines=st.sampled_from([0, 0.5, 1]),
    max_ellipsis_lines=st.sampled_from([0, 0.3, 1]),
    min_alpha_words=st.sampled_from([0, 0.5, 0.8]),
    min_stop_words=st.integers(0, 2),
)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def rounded(row):
    """Every figure as the output holds it: 32-bit floats."""
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}


@given(st.lists(st.none() | TEXT, max_size=6), FAMILIES, st.integers(0, 2))
def test_decisions_and_figures_equal_the_slow_twin(texts, family, skipped):
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    nothing = dict.fromkeys(family.columns.names)
    expected = [nothing if text is None else rounded(naive.gopher(text, family)) for text in texts[skipped:]]
    assert scored.to_pylist() == expected


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop... (ever)!", ["Don't", "stop", "...", "(", "ever", ")", "!"]),
        ("l\u2019eau 'quoted' rock'n'roll", ["l\u2019eau", "'", "quoted", "'", "rock'n'roll"]),
        ("well-known snake_case __init__", ["well", "-", "known", "snake_case", "__", "init", "__"]),
        ("U.S. 3.14 1,000,000 one,two 1,a", ["U.S", ".", "3.14", "1,000,000", "one", ",", "two", "1", ",", "a"]),
        ("see example.org: it's", ["see", "example.org", ":", "it's"]),
        ("中.文 a.文 1,中", ["中", ".", "文", "a", ".", "文", "1", ",", "中"]),
        ("===== ?!? 50%", ["=====", "?", "!", "?", "50", "%"]),
        ("漢字とkana", ["漢", "字", "と", "kana"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("\u0e01\u0e34\u0e19", ["\u0e01\u0e34", "\u0e19"]),  # a vowel sign above stays with its consonant
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("", []),
    ],
)
def test_what_a_token_is(text, tokens):
    assert naive.tokens(text) == tokens
    scored = Gopher(min_words=0).score(batch([text + " #"]))  # hashes per token tell the number of tokens
    assert scored["hash_ratio"][0].as_py() == pytest.approx(1 / (len(tokens) + 1), rel=1e-6)


SENTENCE = "It was the best of times and the worst of times to have with that company. "
PROSE = SENTENCE * 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, "pass"),
        ("", "short_doc"),
        ("   \n\n ", "short_doc"),
        (SENTENCE * 3, "short_doc"),
        ("... !!! ??? " * 100, "short_doc"),  # symbols are not words
        ("the of " * 50_001, "long_doc"),
        ("a to be of it " * 20, "below_avg_threshold"),
        ("中文没有空格" * 20, "below_avg_threshold"),
        ("incomprehensibilities the counterrevolutionaries " * 30, "above_avg_threshold"),
        ("# the # company # of\n" * 40, "too_many_hashes"),
        ("wait ... the company \u2026 of " * 20, "too_many_ellipsis"),
        ("\n".join(["  - " + SENTENCE] * 10 + ["\u2022 " + SENTENCE] * 10), "too_many_bullets"),
        ("\n".join(["- " + SENTENCE] * 9 + [SENTENCE]), "pass"),  # 0.9 of the lines are allowed
        (
            "\n".join([SENTENCE.strip() + ".."] * 2 + [SENTENCE.strip() + " \u2026"] * 2 + [SENTENCE] * 6),
            "too_many_end_ellipsis",
        ),
        ("price 1999 1998 the company of 2001 2002 " * 20, "below_alpha_threshold"),
        ("Lorem ipsum dolor amet consectetur elit " * 20, "enough_stop_words"),
        ("The quick brown fox Jumps over The lazy dog " * 10, "enough_stop_words"),  # "The" is not "the"
        ("the quick brown fox jumps over the lazy dog " * 10, "enough_stop_words"),  # one word, many times
    ],
)
def test_the_first_rule_that_fails_is_the_reason(text, reason):
    assert Gopher().score(batch([text]))["reason"].to_pylist() == [reason]


def test_stop_words_are_the_users():
    text = "Der Hund und die Katze mit dem Vogel " * 10
    german = Gopher(stop_words=("der", "und", "die", "mit"))
    assert german.score(batch([text]))["stop_words"].to_pylist() == [3]
    assert german.score(batch([text]))["reason"].to_pylist() == ["pass"]


def test_an_empty_batch_gives_an_empty_batch():
    assert Gopher().score(batch([])) == pa.record_batch([[]] * 9, schema=Gopher().columns)


def test_a_text_that_is_not_utf8_is_scored_without_reading_past_it():
    raw = pa.array([b"caf\xe9", b"\xf0\x9f\x99", b"a\xc3", b"\xf4\xbf\xbf\xbf x"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    assert Gopher().score(pa.record_batch({"text": broken}))["words"].to_pylist() == [1, 0, 1, 1]


def test_identity_names_all_that_the_output_depends_on():
    identity = Gopher(min_words=7).identity()
    assert identity["min_words"] == 7
    assert identity["stop_words"] == ["the", "be", "to", "of", "and", "that", "have", "with"]
    assert {"type", "version", "unicode", "max_symbol_ratio"} < set(identity)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_words": 9, "max_words": 8}, "0 <= min_words <= max_words must hold; they are 9 and 8"),
        (
            {"min_mean_word_length": -1},
            r"0 <= min_mean_word_length <= max_mean_word_length must hold; they are -1 and 10\.0",
        ),
        ({"min_alpha_words": 1.5}, r"gopher: min_alpha_words is a share from 0 to 1; it is 1\.5"),
        ({"max_bullet_lines": float("nan")}, "gopher: max_bullet_lines is a share from 0 to 1; it is nan"),
        ({"max_symbol_ratio": -0.1}, r"gopher: max_symbol_ratio must be at least 0; it is -0\.1"),
        (
            {"min_stop_words": 3, "stop_words": ("a", "a", "b")},
            "gopher: min_stop_words is 3, but there are 2 stop words",
        ),
        ({"stop_words": ("a", "")}, "gopher: stop_words must be up to 64 words, none empty; there are 2"),
        ({"stop_words": tuple(map(str, range(65)))}, "up to 64 words, none empty; there are 65"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Gopher(**fields)


def test_importing_scores_brings_no_pipeline_and_no_model_library():
    program = (
        "import sys, tokenladder.filters.rules.gopher, tokenladder.filters.duplicates.minhash\n"
        "print([name for name in ('apache_beam', 'datasketch', 'torch', 'fasttext_new') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
