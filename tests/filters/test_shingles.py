from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenladder.filters.shingles import shingles

import naive

# Few letters, so that words run into symbols and lone letters; longer than a block of 64 bytes; then all of Unicode.
LETTERS = "ab Éé'’-中文กำ가ー\u0301\u00ad\u200b\n1٣Ⱥİ𠀀ं_Z"
WORDS = st.text(st.sampled_from(LETTERS), max_size=200) | st.text(max_size=80)
PIECES = [
    "a",
    "_b1",
    "/*",
    "*/",
    "//",
    "#",
    "# ",
    "\n",
    "\r\n",
    " ",
    "\t",
    "--",
    ";",
    "%",
    "!",
    "=",
    "**",
    "中",
    "กำ",
    "é",
]
PIECES += [
    "<!-- ",
    "-->",
    "Licence",
    "COPYRIGHT",
    "spdx",
    "(",
    ")",
    "x" * 70,
    "→",
    "\u0301",
    "#i",
    "/",
    "*",
    "0x1F",
    "\ufeff",
]
CODE = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=80)
UNITS = st.sampled_from(["words", "characters", "code"])


def batch(texts, **columns):
    return pa.record_batch({"text": pa.array(texts, pa.string()), **columns})


def rows(found):
    return [found.hashes[a:b].tolist() for a, b in itertools.pairwise(found.offsets)]


@given(st.lists(st.none() | WORDS | CODE, max_size=5), UNITS, st.integers(1, 6), st.integers(0, 2))
@example(["Ⱥ" * 90, "中" * 90, "ab" * 90, "a中" * 90, "中\u0301é" * 40], "words", 2, 0)
@example(["Ⱥ" * 90, "中" * 90, "ab" * 90, "a中" * 90, "中\u0301é" * 40], "characters", 2, 0)
@example(["# " * 40 + "a", "a /" + " " * 62 + "/b", "x" * 63 + "/*", "x" * 62 + "/* (", "\n" * 64 + "#a"], "code", 1, 0)
def test_elements_equal_the_slow_twin(texts, unit, ngram, skipped):
    found = shingles.elements(batch(texts).slice(skipped), unit, ngram)
    assert found.hashes.dtype == np.uint32
    assert rows(found) == [[] if text is None else naive.elements(text, unit, ngram) for text in texts[skipped:]]


@pytest.mark.parametrize("unit", ["words", "characters", "code"])
@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{n}" for n in range(6_000)),
        "中文é " * 5_000,
        "x" * 40_000 + " and more",
        "a = 1  # ten\n" * 3_000,
        "a" + " " * 20_000 + "# b\n" + " " * 20_000 + "# c\n#" + " " * 33_000 + "# d",
        "/* licence" + " word" * 8_000 + " */ code",
    ],
    ids=["words", "scripts", "one token", "lines", "spaces", "licence"],
)
def test_a_document_that_is_read_in_pieces_has_the_same_elements(text, unit):
    found = shingles.elements(batch(["before", text, "after"]), unit, 7)
    assert rows(found)[1] == naive.elements(text, unit, 7)


@given(WORDS | CODE, UNITS, st.integers(1, 64))
def test_one_shingle_hashes_to_its_element(text, unit, ngram):
    tokens = naive.shingle_tokens(text, unit)[:ngram]
    if not tokens:
        assert shingles.hash_shingle(b"") == 0
        return
    expected = int(shingles.elements(batch([text]), unit, ngram).hashes[0])
    assert shingles.hash_shingle(" ".join(tokens).encode()) == expected


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("int  main( void )\r\n{\n\treturn x_1<<2;}", "int main ( void ) { return x_1 < < 2 ; }"),
        ("  # Print it.\nprint('it')  # now", "Print it . print ( ' it ' ) # now"),
        ("/**\n * Adds.\n **/\nint a; /* sum */", "Adds . int a ; sum"),
        ("-- select\nselect *\n  from t;;", "select select * from t ; ;"),
        ("# Copyright 2020 Me\n#\n# All of it.\n\n# Adds.\nx = 1", "Adds . x = 1"),
        ("#!/bin/sh\n# SPDX-License-Identifier: MIT\necho", "echo"),
        ("/* Licensed to you */\n/* Adds. */\nx", "Adds . x"),
        ("\ufeff// Copyright\nx", "x"),
        ("<!-- licence --><p>", "< p >"),
        ("#include <copyright.h>", "include < copyright . h >"),
        ("# Copyright", "Copyright"),
        ("名前 = été", "名 前 = été"),
        ("→ ∑ …", ""),
    ],
)
def test_what_a_token_of_code_is(text, tokens):
    assert naive.shingle_tokens(text, "code") == tokens.split()
    expected = [naive.element([token]) for token in tokens.split()]
    assert shingles.elements(batch([text]), "code", 1).hashes.tolist() == expected


def test_auto_reads_programming_languages_as_code_and_all_else_as_words():
    texts = ["A, b; C! (d)"] * 4
    types = pa.array(["Python", "Markdown", None, "C++"])
    counts = [9, 4, 4, 9]
    for column in (types, types.cast(pa.large_string()), types.dictionary_encode()):
        assert np.diff(shingles.elements(batch(texts, file_type=column), ngram=1).offsets).tolist() == counts
    for without in (batch(texts), batch(texts, file_type=pa.nulls(4))):
        assert np.diff(shingles.elements(without, ngram=1).offsets).tolist() == [4] * 4
    assert np.diff(shingles.elements(batch(texts, file_type=types), "words", 1).offsets).tolist() == [4] * 4


def test_each_unit_has_its_own_ngram():
    text = " ".join("abcdefghijklmnopqrstuvwxyz")
    for unit, ngram in (("words", 5), ("characters", 20), ("code", 8)):
        assert len(shingles.elements(batch([text]), unit).hashes) == 26 - ngram + 1


def test_a_text_that_is_not_utf8_is_read_without_reading_past_it():
    raw = pa.array([b"caf\xe9", b"\xf0\x9f\x99", b"ok \xc3", b"\xff\xfe"], pa.binary())
    broken = pa.record_batch({"text": pa.Array.from_buffers(pa.string(), 4, raw.buffers())})
    for unit in ("words", "code"):
        assert np.diff(shingles.elements(broken, unit, 1).offsets).tolist() == [1, 0, 1, 0]


def test_shingles_of_another_order_are_others():
    found = rows(shingles.elements(batch(["a b c d", "a c b d", "a a b b", "ab c d"]), "words", 4))
    assert len({each for (each,) in found}) == 4


def test_mistakes_say_what_was_given_and_what_would_work():
    with pytest.raises(ValueError, match="unit must be one of words, characters, code, auto; it is 'bytes'"):
        shingles.elements(batch(["a"]), "bytes")
    with pytest.raises(ValueError, match="ngram must be from 1 to 64; it is 65"):
        shingles.elements(batch(["a"]), "words", 65)
    with pytest.raises(
        ValueError, match="The column 'file_type' names each row's language as text, but it holds int64"
    ):
        shingles.elements(batch(["a"], file_type=[1]))
