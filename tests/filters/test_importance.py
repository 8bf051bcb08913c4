"""Importance against the plain rule, and what resampling by it draws."""

from __future__ import annotations

import collections
import json
import math
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters import build
from tokenladder.filters.measures.importance import Importance, logarithm

import naive

TARGET = "the proof of the lemma follows from the theorem\n" * 40
RAW = "buy cheap shoes now\n" * 40 + "the weather is fine\n" * 40


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("importance")
    (folder / "raw.txt").write_text(RAW)
    lines = [json.dumps({"text": line}) for line in TARGET.splitlines()]
    (folder / "target.jsonl").write_text("\n".join(lines) + "\n\n")
    return str(folder / "target.jsonl"), str(folder / "raw.txt")


def family(files, **more):
    return Importance(target=files[:1], raw=files[1:], **more)


def score(one, texts):
    return one.score(pa.record_batch({"text": pa.array(texts, pa.string())})).to_pydict()


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from(["the", "proof", "shoes", "weather", "lemma", "now"]), max_size=9), max_size=6),
    st.sampled_from([7, 10_000]),
)
def test_weights_equal_the_plain_rule(files, documents, buckets):
    texts = [" ".join(words) for words in documents]
    found = score(family(files, buckets=buckets), texts)
    lines = (TARGET.splitlines(), RAW.splitlines())
    for text, weight, mean in zip(texts, found["weight"], found["mean"], strict=True):
        expected, n = naive.importance(text, *lines, buckets)
        assert weight == pytest.approx(expected, abs=1e-4)
        assert mean == pytest.approx(expected / max(n, 1), abs=1e-4)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=30))
def test_logarithms_are_right_to_the_last_digits(values):
    found = logarithm(np.array(values))
    assert found.tolist() == pytest.approx([math.log(value) for value in values], rel=4e-16, abs=1e-15)


def test_a_text_like_the_target_weighs_more_and_null_stays_null(files):
    found = score(family(files), ["the lemma follows", "cheap shoes", None, ""])
    assert found["weight"][0] > 0 > found["weight"][1]
    assert found["weight"][2:] == [None, 0.0]
    assert found["draw"][2] is None


def test_the_greatest_draws_are_a_sample_in_proportion_to_importance(files):
    # two kinds of one word, of which the second is exp(weight) times as likely to come first
    texts = ["weather", "proof"]
    weights = score(family(files), texts)["weight"]
    odds = math.exp(weights[1] - weights[0])
    counted = collections.Counter()
    for seed in range(1000):
        draws = score(family(files, seed=seed), texts)["draw"]
        counted[draws[1] > draws[0]] += 1
    share = odds / (1 + odds)
    assert counted[True] / 1000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000) + 0.001)


def test_batches_and_files_do_not_matter_but_content_does(files, tmp_path):
    rng = random.Random(1)  # noqa: S311 no secret
    texts = [" ".join(rng.choices(["the", "proof", "shoes"], k=rng.randint(0, 20))) for _ in range(50)]
    one = family(files)
    whole = score(one, texts)["draw"]
    assert [score(one, [text])["draw"][0] for text in texts] == whole
    copy = tmp_path / "copy.txt"
    copy.write_text(RAW)
    assert Importance(target=files[:1], raw=(str(copy),)).identity() == one.identity()
    copy.write_text(RAW + "more")
    assert Importance(target=files[:1], raw=(str(copy),)).identity() != one.identity()


def test_mistakes_are_named(files, tmp_path):
    empty, wrong = tmp_path / "empty.txt", tmp_path / "wrong.jsonl"
    empty.write_text("\n")
    wrong.write_text('{"words": 1}\n')
    for parameters, said in (
        ({"target": [], "raw": ["x"]}, "importance: target must name at least one file of text."),
        ({"target": ["x"], "raw": [""]}, "importance: raw must name at least one file of text."),
        ({"target": ["x"], "raw": ["x"], "buckets": 1}, "importance: buckets must be from 2 to 16777216; it is 1."),
        ({"target": ["x"], "raw": ["x"], "seed": -1}, "importance: seed must be from 0 to 2^63 - 1; it is -1."),
    ):
        with pytest.raises(ValueError) as error:
            build("importance", parameters)
        assert str(error.value) == said
    with pytest.raises(FileNotFoundError, match=r"^importance: there is no file /nowhere/x\.txt\.$"):
        Importance(target=("/nowhere/x.txt",), raw=files[1:]).identity()
    for name, said in (
        (empty, f"importance: no word is in {empty}."),
        (wrong, f"importance: {wrong} is not JSON Lines with a field 'text': 'text'"),
    ):
        with pytest.raises(ValueError) as error:
            score(Importance(target=files[:1], raw=(str(name),)), ["one"])
        assert str(error.value) == said
