from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import line_hashes

import naive

BREAKS = ["\n", "\n\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", " \n", "\n \t\n"]
PIECES = [
    "All",
    "RIGHTS",
    "réservés",
    "Ⱥ",
    "e\u0301",
    "中文",
    "한국",
    "\u00ad",
    "\u200b",
    "\u00a0",
    "—",
    "#",
    " ",
    "  ",
    "\t",
]
TEXT = st.lists(st.sampled_from([*PIECES, *BREAKS, *BREAKS]), max_size=25).map("".join) | st.text(max_size=40)
UNIT = st.sampled_from(line_hashes.UNITS)


@given(st.lists(st.none() | TEXT, max_size=6), UNIT, st.integers(1, 9), st.integers(0, 2))
def test_units_and_hashes_equal_the_slow_twin(texts, unit, least, skipped):
    found = line_hashes.find_units(pa.array(texts, pa.string()).slice(skipped), unit, least)
    expected = []
    for n, text in enumerate(texts[skipped:]):
        at = 0
        own = []
        for says, rest in naive.units(text or "", unit):
            size, end = len((says + rest).encode()), len(says.encode())
            own.append((at, at + end, size, naive.line_hash(says, least)))
            at += size
        expected += own
        assert found.offsets[n + 1] == len(expected)
    columns = (found.starts, found.stops, found.sizes, found.hashes)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 9), st.booleans()), max_size=6))
def test_documents_are_counted_once_for_each_hash(documents):
    hashes = np.array([one for held, _, _ in documents for one in held], np.uint64)
    rows = np.repeat(np.arange(len(documents)), [len(held) for held, _, _ in documents])
    owners = np.array([owner for _, owner, _ in documents], np.uint64)
    counted = np.array([inside for _, _, inside in documents], bool)
    found, counts, least = line_hashes.count_documents(hashes, rows, owners, counted)
    expected = {
        one: [owner for held, owner, inside in documents if one in held and inside]
        for one in dict.fromkeys(hashes.tolist())
        if one
    }
    assert found.tolist() == list(expected)
    assert counts.tolist() == [len(those) for those in expected.values()]
    assert least.tolist() == [min(those, default=2**64 - 1) for those in expected.values()]


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=20), st.sets(st.integers(1, 9)))
def test_hashes_are_looked_up(hashes, known):
    known = sorted(known, reverse=True)
    places = line_hashes.look_up(np.array(hashes, np.uint64), np.array(known, np.uint64))
    assert places.tolist() == [known.index(one) if one in known else -1 for one in hashes]


def test_an_empty_column_has_no_units():
    found = line_hashes.find_units(pa.array([], pa.string()))
    assert [column.tolist() for column in found] == [[0], [], [], [], []]


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("one\ntwo", "line", ["one", "two"]),
        ("one\n\n \ntwo\n", "line", ["one", "two"]),
        ("\n \n  one\ntwo\n\nthree", "paragraph", ["\n \n  one\ntwo", "three"]),
        ("one\r\ntwo\r\n\r\nthree\r\n", "paragraph", ["one\r\ntwo", "three"]),
        (" \n\t\n", "line", []),
        ("---\n***", "line", ["---", "***"]),
        ("", "paragraph", []),
    ],
)
def test_what_a_unit_is(text, unit, says):
    found = line_hashes.find_units(pa.array([text]), unit)
    assert [text[start:stop] for start, stop in zip(found.starts, found.stops, strict=True)] == says


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("abcdefghij klmnopqrs", True),
        ("abcdefghijklmnopqrs", False),
        (" abcdefghijklmnopqrs-", False),
        ("-" * 99, False),
    ],
)
def test_twenty_folded_characters_count_by_default(text, hashed):
    assert (line_hashes.find_units(pa.array([text])).hashes != 0).tolist() == [hashed]


def test_case_accents_and_symbols_do_not_matter_but_figures_and_borders_of_words_do():
    lines = [
        "All rights reserved, 2024",
        "ÀLL — rights: Reserved (2024)",
        "All rights reserved, 2023",
        "Allrights reserved, 2024",
    ]
    first, *others = line_hashes.find_units(pa.array(lines)).hashes.tolist()
    assert [one == first for one in others] == [True, False, False]


def test_a_text_that_is_not_utf8_is_read_no_further_than_its_end():
    raw = pa.array([b"caf\xe9", b"\xf0\x9f\x99", b"a\xc3", b"b\xe2\x80"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    assert line_hashes.find_units(broken).sizes.tolist() == [4, 3, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sentence",), "A unit is 'line' or 'paragraph'; 'sentence' was given."),
        (("line", 0), "min_characters must be at least 1; it is 0."),
    ],
)
def test_impossible_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError) as caught:
        line_hashes.find_units(pa.array(["a"]), *arguments)
    assert str(caught.value) == message
