"""Weights that change along budgets in bytes or documents: their areas, the course in tokens, and whole builds."""

from __future__ import annotations

import itertools
import json
import sys
from fractions import Fraction
from pathlib import Path

import little
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.drivers.amounts import STEPS, Amounts, steps
from tokenladder.pipelines.recount.reach import exact_area
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.schedule import ONE, integer_weights, prefix_counts
from tokenladder.pipelines.study.file import parse
from tokenladder.pipelines.study.weights import Bend

import naive

sys.path.insert(0, str(Path(__file__).parents[2] / "tokenizers"))
import tokenizer_files

LENGTH = little.LENGTH


def drawn(seed, strata, bends, reach):
    """Weights at some places, with zeros, steps, and places beyond what is looked at."""
    rng = np.random.default_rng(seed)
    rows = rng.random((bends, strata)) ** rng.uniform(0.1, 5) * (rng.random((bends, strata)) > 0.3)
    rows[:, 0] += 1e-9
    places = np.sort(rng.integers(0, reach + reach // 4 + 2, bends)).tolist()
    return Amounts(tuple(places), tuple(tuple(integer_weights(row).tolist()) for row in rows))


AMOUNTS = st.builds(drawn, st.integers(0, 2**32), st.integers(2, 5), st.integers(2, 5), st.just(10**10))


@given(AMOUNTS, st.integers(0, 15 * 10**9))
def test_what_is_due_equals_the_slow_twin_and_is_counted_again_by_other_code(amounts, place):
    exact = naive.due(list(zip(amounts.places, amounts.weights, strict=True)), place)
    assert amounts.due(place) == exact
    assert sum(exact) == place
    heights = zip(*amounts.weights, strict=True)
    assert [exact_area(amounts.places, row, place) / ONE for row in heights] == exact
    assert amounts.targets(place) == [-int(-one // 1) for one in exact]


@given(AMOUNTS, st.lists(st.integers(1, 10**10), min_size=1, max_size=4, unique=True))
def test_tokens_are_counted_at_every_budget_bend_and_step(amounts, budgets):
    found, largest = amounts.grid(sorted(budgets)), max(budgets)
    assert found == sorted({*found})
    assert {*budgets, *(one for one in amounts.places if 0 < one < largest)} <= {*found}
    assert found[-1] == largest
    steps_of = [*amounts.places, largest]
    for left, right in itertools.pairwise(found):
        inside = [n for n, place in enumerate(steps_of[:-1]) if place <= left < steps_of[n + 1]]
        n = inside[-1] if inside else -1
        if 0 <= n < len(amounts.places) - 1 and amounts.weights[n] != amounts.weights[n + 1]:
            assert right - left <= -(-(amounts.places[n + 1] - amounts.places[n]) // STEPS)


@settings(max_examples=25, deadline=None)
@given(AMOUNTS, st.lists(st.integers(1, 40), min_size=5, max_size=5), st.integers(1, 9 * 10**9))
def test_the_course_has_the_tokens_of_every_step_and_none_of_its_weights_is_below_zero(amounts, rates, first):
    budgets = [first, 10**10]
    places = amounts.grid(budgets)
    ends = [[int(one * rate / 10) for one, rate in zip(amounts.due(at), rates, strict=False)] for at in places]
    sequences, course, bends = steps(ends, 10**7, places, amounts, budgets)
    assert (course.weights >= 0).all()
    assert (course.weights.sum(axis=1) == ONE).all()
    assert [places[n] for n in bends[1::2]] == sorted({places[n] for n in bends if n >= 0})
    for place, own, row in zip(places, sequences, ends, strict=True):
        assert own == max((2 * sum(row) + 10**7) // (2 * 10**7), place in budgets, *sequences[: places.index(place)], 0)
    for n in bends[1::2]:
        exact = [Fraction(one * sequences[n], sum(ends[n])) for one in ends[n]]
        assert all(abs(int(a) / ONE - b) < 1 for a, b in zip(course.due(sequences[n]), exact, strict=True))
    counts = prefix_counts(course, sequences)
    assert all(abs(int(a) * 10**7 - b) < 2 * 10**7 for a, b in zip(counts[-1], ends[-1], strict=True))


@pytest.mark.parametrize("rates", [(1, 1), (3, 1), (1, 3)])
def test_inside_a_step_what_is_due_is_off_by_less_than_a_thousandth_of_it(rates):
    many = 100_000
    amounts = Amounts((0, many), ((ONE, 0), (0, ONE)))
    places = amounts.grid([many])
    ends = [[int(one * rate) for one, rate in zip(amounts.due(at), rates, strict=True)] for at in places]
    sequences, course, _ = steps(ends, 1, places, amounts, [many])
    for at in range(500, many, 777):
        exact = [one * rate for one, rate in zip(amounts.due(at), rates, strict=True)]
        place = round(sum(exact))
        off = max(abs(int(a) / ONE - b) for a, b in zip(course.due(place), exact, strict=True))
        assert off < sequences[-1] / STEPS / 1000


# builds

ROWS = {name: little.corpus(3, count, prefix=name) for name, count in (("a", 240), ("b", 150), ("c", 120))}


def sources(folder):
    return {name: little.write_jsonl(folder / f"{name}.jsonl", rows) for name, rows in ROWS.items()}


def failed(out):
    return {check.promise: check.found for check in verify(str(out)) if not check.holds}


def reaching(texts, target, unit):
    """Ids of the documents up to the one with which a stratum reaches so much, in as many passes as that takes."""
    found, had = [], 0
    while had < target:
        one = texts[len(found) % len(texts)]
        found.append(little.document_id(one))
        had += len(one.encode()) if unit == "bytes" else 1
    return found


def begun(result, rung, stratum):
    """Ids of the documents of a stratum that begin in a rung, in order."""
    strata = result.tokens(rung=rung)[1]
    rows = result.documents(rung=rung).to_pylist()
    return [row["document"].hex() for row in rows if row["offset"] == 0 and strata[row["sequence"]] == stratum]


@pytest.mark.parametrize("unit", ["bytes", "documents"])
def test_every_tokenizer_has_the_same_documents_in_every_rung(tmp_path, unit):
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files.byte_level_bpe())
    tokenizers = {"plain": {"type": "bytes"}, "bpe": {"type": "huggingface", "path": str(tmp_path / "tokenizer.json")}}
    scale = 300 if unit == "bytes" else 1
    budgets = [40 * scale, 110 * scale, 200 * scale]
    place = "110 documents" if unit == "documents" else "33KB"
    weights = [{"at": 0.3, "a": 0.9, "b": 0.1}, {"at": place, "a": 0.2, "b": 0.3, "c": 0.5}, {"at": 1.0, "c": 1.0}]
    bends = [(60 * scale, (0.9, 0.1, 0.0)), (110 * scale, (0.2, 0.3, 0.5)), (200 * scale, (0.0, 0.0, 1.0))]
    bends = [(at, integer_weights(row).tolist()) for at, row in bends]
    order = {"easy": {"recipe": "all", "rung": f"{budgets[1]} {unit}", "sort": "bytes", "mixed": True}}
    more = {
        "budgets": [f"{n} {unit}" for n in budgets],
        "recipes": {"all": {"weights": weights}},
        "curricula": order,
        "shard_tokens": 400 * LENGTH,
    }
    for name, table in tokenizers.items() if unit == "bytes" else [("bpe", tokenizers["bpe"])]:
        study = little.write_study(tmp_path / name, sources(tmp_path), tokenizer=table, **more)
        result = little.build(study, tmp_path / name / "out")
        assert failed(result.out) == {}
        recipe = result.manifest["recipes"]["all"]
        assert recipe["budget_course"] == [
            {"at": at, "weights": dict(zip("abc", row, strict=True))} for at, row in bends
        ]
        for n, budget in enumerate(budgets):
            due = naive.due(bends, budget)
            for stratum, one in zip("abc", due, strict=True):
                wanted = reaching(little.ordered([row["text"] for row in ROWS[stratum]]), one, unit)
                mine = begun(result, n, stratum)
                few = min(len(mine), len(wanted))
                assert mine[:few] == wanted[:few]
                assert abs(len(mine) - len(wanted)) <= (2 if name == "plain" else 5)  # two sequences' worth
        card = (result.out / "README.md").read_text()
        assert f"above are their means. Weights and places are of {unit}" in card
        assert f"| {bends[1][0]:,} | 20.000 % | 30.000 % | 50.000 % |" in card
    again = little.build(study, tmp_path / "bpe" / "out")
    assert again.manifest == result.manifest


def test_a_smaller_study_repeats_and_steps(tmp_path):
    bends = [{"at": "6KB", "a": 1.0}, {"at": "6KB", "c": 1.0}]
    more = {"budgets": ["5KB", "60KB"], "recipes": {"all": {"weights": bends, "repeat": 3}}}
    result = little.build(little.write_study(tmp_path, sources(tmp_path), **more), tmp_path / "out")
    assert failed(result.out) == {}
    first, last = result.manifest["recipes"]["all"]["rungs"]
    assert first["strata"]["c"]["sequences"] == 0
    assert last["repeated_tokens"] > 0
    stop = result.tokens()[1].tolist().index("c")
    assert set(result.tokens()[1][stop + 1 :].tolist()) == {"c"}
    assert abs(stop * LENGTH - 6000) < 3 * 90 * 4  # the document that reaches 6,000 bytes, and its token a document


def test_a_course_whose_places_are_not_reached_is_found(tmp_path):
    weights = [{"at": 0.2, "a": 1.0}, {"at": 1.0, "b": 1.0}]
    more = {"budgets": ["9KB", "30KB"], "recipes": {"all": {"weights": weights}}}
    out = little.build(little.write_study(tmp_path, sources(tmp_path), **more), tmp_path / "out").out
    text = (out / "manifest.json").read_text()
    manifest = json.loads(text)
    manifest["recipes"]["all"]["budget_course"][0]["at"] = 15_000
    (out / "manifest.json").write_text(json.dumps(manifest))
    found = failed(out)["Exact (all)"]
    assert "sequence 167: stratum 1 lacks its 10,500 bytes by 2 sequences" in found
    manifest = json.loads(text)
    bend = manifest["recipes"]["all"]["course"][-1]
    assert bend["at"] == 30_000
    for one in manifest["recipes"]["all"]["course"]:
        one["at"] = one["at"] * 2 // 3
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "sequences too early" in failed(out)["Exact (all)"]


def test_weights_of_a_file_have_places_in_the_unit_of_the_budgets(tmp_path):
    (tmp_path / "weights.json").write_text(json.dumps([{"at": "6KB", "a": 1.0}, {"at": "9KB", "b": 1.0}]))
    more = {"budgets": ["15KB"], "recipes": {"all": {"weights": "weights.json"}}}
    result = little.build(little.write_study(tmp_path, sources(tmp_path), **more), tmp_path / "out")
    assert failed(result.out) == {}
    assert [bend["at"] for bend in result.manifest["recipes"]["all"]["budget_course"]] == [6000, 9000]
    path = result.out / result.manifest["recipes"]["all"]["weights_file"]["path"]
    path.write_text(json.dumps([{"at": "6KB", "a": 1.0}, {"at": "8KB", "b": 1.0}, {"at": "9KB", "b": 1.0}]))
    assert "weights at 3 places, the manifest at 2" in failed(result.out)["Weights (all)"]


def test_places_of_a_study_are_in_the_unit_of_its_budgets():
    text = """
name = "s"
budgets = ["1GB", "4GB"]
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
sources.code = { format = "jsonl", path = "c.jsonl" }
recipes.r = { weights = [{ at = "3GB", web = 1 }, { at = 1, web = 0.5, code = 0.5 }] }
"""
    assert parse(text, "/data/s.toml").recipe("r").weights == (
        Bend(3 * 10**9, {"web": 1}),
        Bend(1.0, {"web": 0.5, "code": 0.5}),
    )
