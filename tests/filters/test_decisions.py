"""Decisions and reasons on documents written for it, against datatrove 0.10.1's, which were taken from running it.

decisions.json holds for each document what GopherQualityFilter (without its prefix), GopherRepetitionFilter,
FineWebQualityFilter and C4QualityFilter made of it, what the last counted of lines, and C4ParagraphFilter's verdict.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from tokenladder.filters.rules.c4 import C4
from tokenladder.filters.rules.fineweb import FineWeb
from tokenladder.filters.rules.gopher import Gopher
from tokenladder.filters.rules.repetition import Repetition

DOCUMENTS = json.loads((Path(__file__).parent / "decisions.json").read_text())
BATCH = pa.record_batch({"text": [document["text"] for document in DOCUMENTS]})
FAMILIES = {"gopher": Gopher, "repetition": Repetition, "fineweb": FineWeb, "c4": C4}
# Where the default rule of words decides otherwise, and why.
OTHERWISE = {
    ("gopher", "Chinese"): "below_avg_threshold",  # each letter is a word; to spaCy, each run of them
    ("gopher", "citations"): "below_alpha_threshold",  # ".[0]" is four tokens; spaCy leaves "meadow.[0" whole
    ("gopher", "contractions"): "below_alpha_threshold",  # "n't" and "'ve" are words with letters to spaCy
    ("gopher", "emoji for words"): "short_doc",  # datatrove lists no emoji as punctuation, so they are words to it
    ("repetition", "addresses"): "duplicated_5_n_grams",  # spaCy leaves a path whole
    ("repetition", "underscores"): "top_3_gram",  # "__init__" is three tokens; spaCy leaves it whole
    ("c4", "abbreviations"): "pass",  # the full stop of "Dr." ends a sentence
}


def reasons(name, words):
    return dict(
        zip(
            (document["about"] for document in DOCUMENTS),
            FAMILIES[name](words=words).score(BATCH)["reason"].to_pylist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_english_words_give_datatroves_decisions_and_reasons(name):
    assert reasons(name, "english") == {document["about"]: document[name] for document in DOCUMENTS}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_default_words_decide_otherwise_on_these_alone(name):
    found = reasons(name, "unicode")
    other = {
        (name, document["about"]): found[document["about"]]
        for document in DOCUMENTS
        if found[document["about"]] != document[name]
    }
    assert other == {key: reason for key, reason in OTHERWISE.items() if key[0] == name}


def test_every_reason_of_datatrove_is_among_them():
    for name, family in FAMILIES.items():
        seen = {document[name] for document in DOCUMENTS}
        rules = {
            "gopher": {"short_doc", "below_avg_threshold", "above_avg_threshold", "too_many_hashes"}
            | {"too_many_ellipsis", "too_many_bullets", "too_many_end_ellipsis", "below_alpha_threshold"}
            | {"enough_stop_words"},
            "repetition": {"empty", *family().columns.names} - {"reason"},
            "fineweb": {"empty", *family().columns.names} - {"reason", "lines"},
            "c4": {"lorem_ipsum", "curly_bracket", "too_few_sentences"},
        }[name]
        assert seen == {"pass", *rules}


def test_c4_counts_the_lines_that_datatrove_counts():
    for document, row in zip(DOCUMENTS, C4(words="english").score(BATCH).to_pylist(), strict=True):
        counts = {name.removesuffix("_lines"): row[name] for name in row if name.endswith("_lines")}
        assert sum(counts.values()) - counts["long"] == row["lines"]
        counts["total"] = row["lines"]
        assert (counts.pop("long") >= 3) == document["mc4"]
        if document["c4"] in {"pass", "too_few_sentences"}:  # otherwise datatrove stops counting
            assert {name: count for name, count in counts.items() if count} == document["lines"]
