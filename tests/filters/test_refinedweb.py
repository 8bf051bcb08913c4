from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.rules.refinedweb import RefinedWeb

import naive

WORDS = [
    "a",
    "The",
    "HOME",
    "Ω",
    "é",
    "3",
    "1,200",
    "2.5K",
    "7m",
    "٣",
    "likes",
    "LIKES",
    "Like",
    "views.",
    "3likes",
    "中",
]
PHRASES = [
    "Sign-in",
    "sign-in now",
    "Read more...",
    "read more\u2026",
    "2 Items in Cart",
    "READ MORE",
    "of items in carts",
]
ADDRESSES = [
    "http://",
    "https://a.b",
    "HTTPS://x",
    "(www.a",
    "xwww.a",
    "www.",
    "http://www.a",
    "_www.b",
    "\u017fhttp://a",
]
SPACES = [" ", " ", " ", "\n", "\n", "\t", "\u00a0", "\r\n", "\x1c", "", ".", "-", "("]
PIECE = st.sampled_from([*WORDS, *PHRASES, *ADDRESSES]) | st.text(max_size=4)
TEXT = st.lists(st.tuples(PIECE, st.sampled_from(SPACES)).map("".join), max_size=30).map("".join)
FAMILIES = st.builds(
    RefinedWeb,
    max_flagged_words=st.sampled_from([0, 0.05, 0.5, 1]),
    max_uppercase=st.sampled_from([0, 0.5, 1]),
    short_line=st.sampled_from([0, 3, 10]),
    counters=st.sampled_from([(), ("likes", "Views", "é", "likes of"), RefinedWeb().counters]),
    phrases=st.sampled_from([(), ("items in cart",), ("The", "é")]),
    first_phrases=st.sampled_from([(), ("Sign-in",), ("é a", "The")]),
    last_phrases=st.sampled_from([(), RefinedWeb().last_phrases, ("\u2026",)]),
)
KINDS = ("uppercase_lines", "numeric_lines", "counter_lines", "one_word_lines", "phrase_lines")


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def rounded(row):
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}


@given(st.lists(st.none() | TEXT, max_size=5), FAMILIES, st.integers(0, 2))
def test_counts_equal_the_slow_twin(texts, family, skipped):
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    nothing = dict.fromkeys(family.columns.names)
    expected = [nothing if text is None else rounded(naive.refinedweb(text, family)) for text in texts[skipped:]]
    assert scored.to_pylist() == expected


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("PRODUCTS AND SERVICES", "uppercase_lines"),
        ("USA and EU", "uppercase_lines"),  # five of eight letters
        ("2024 11 21", "numeric_lines"),
        ("21/11/2024", "one_word_lines"),
        ("3 likes", "counter_lines"),
        ("(1.2K Views)", "counter_lines"),
        ("3 apples", None),
        ("Home", "one_word_lines"),
        ("Sign-in or register", "phrase_lines"),
        ("Some news, read more...", "phrase_lines"),
        ("2 items in cart today", "phrase_lines"),
        ("Read more... is what the button below this very long paragraph says.", None),
        ("A sentence that says something.", None),
    ],
)
def test_what_flags_a_line(line, kind):
    row = RefinedWeb().score(batch([f"\n{line} \n"])).to_pylist()[0]
    assert {name: row[name] for name in KINDS} == {name: int(name == kind) for name in KINDS}
    assert row["lines"] == 1
    assert row["reason"] == ("pass" if kind is None else "flagged_words")


def test_a_twentieth_of_the_words_may_be_flagged():
    text = "Home\n" + "one two three four " * 5
    assert RefinedWeb().score(batch([text + "\nof"]))["reason"].to_pylist() == ["flagged_words"]
    assert RefinedWeb().score(batch([text[:-5]]))["reason"].to_pylist() == ["pass"]


def test_addresses_are_counted_with_their_share():
    text = "See https://example.org/a?b or (www.example.org), not xhttp://a."
    row = RefinedWeb().score(batch([text])).to_pylist()[0]
    assert row["urls"] == 2
    assert row["url_share"] == pytest.approx((len("https://example.org/a?b") + len("www.example.org),")) / len(text))


@pytest.mark.parametrize("text", [b"3 likes\xe2", b"sign-in\xc3", b"http://\xf0\x9f", b"\xe2\x80", b"a b\xc3\n\xc3"])
def test_a_text_that_is_not_utf8_is_scored_without_reading_past_it(text):
    def scored(following):
        raw = pa.array([text, following], pa.binary())
        return RefinedWeb().score(pa.record_batch({"text": pa.Array.from_buffers(pa.string(), 2, raw.buffers())}))[:1]

    assert scored(b"\x84\x84 x").to_pylist() == scored(b"").to_pylist() == scored(b"\n").to_pylist()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_flagged_words": 1.1}, r"refinedweb: max_flagged_words is a share from 0 to 1; it is 1\.1"),
        ({"max_uppercase": float("nan")}, "refinedweb: max_uppercase is a share from 0 to 1; it is nan"),
        ({"short_line": -1}, "refinedweb: short_line must be at least 0; it is -1"),
        ({"counters": ("a", "")}, "refinedweb: counters holds ''; an entry is not empty"),
        ({"last_phrases": ("more ",)}, "refinedweb: last_phrases holds 'more '; .* no white space around it"),
        ({"phrases": ("a\nb",)}, r"refinedweb: phrases holds 'a\\nb'; .* no newline in it"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RefinedWeb(**fields)
