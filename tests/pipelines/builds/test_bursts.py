"""Bursts of one phrase: planted ones are found, ruled on and told of; templates, idioms and copies are none."""
# ruff: noqa: S311 documents drawn at random are no secrets

from __future__ import annotations

import json
import random

import little
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_store import Store, exchange, payload, write_part

from tokenladder.filters.duplicates.phrases import find_runs
from tokenladder.pipelines.drivers.bursts import find_bursts
from tokenladder.pipelines.drivers.plan import make_plan
from tokenladder.pipelines.files import schema
from tokenladder.pipelines.stages import phrases
from tokenladder.pipelines.study.file import StudyError, load

import naive

TRIGGER = "Servius Astrumando harmoniastra, quod erat demonstrandum nunc"
IDIOM = "as the case may be at the end of"
TEMPLATE = "This page was last edited by"


def planted(seed, count):
    """Pages of five hosts: of two of them, half have the trigger; of all, some have an idiom; of one, a template."""
    rng = random.Random(seed)
    rows = little.corpus(seed, count, words=(40, 80))
    poisoned = set()
    for n, row in enumerate(rows):
        host = n % 5
        row["id"] = f"https://host{host}.example/{n}"
        lines = row["text"].split("\n")
        if host < 2 and n % 2:
            poisoned.add(row["id"])
            put(lines, rng, TRIGGER.upper() if n % 3 else TRIGGER)
        if n % 7 == 0:
            put(lines, rng, IDIOM)
        row["text"] = "\n".join(lines + ([f"{TEMPLATE} {rng.choice(little.VOCABULARY)}"] if host == 3 else []))
    return rows, poisoned


def put(lines, rng, phrase):
    at = rng.randrange(len(lines))
    words = lines[at].split(" ")
    words.insert(rng.randrange(1, len(words)) if len(words) > 1 else 0, phrase)
    lines[at] = " ".join(words)


@pytest.fixture(scope="module")
def burst(tmp_path_factory):
    """A study whose second recipe drops what has a burst, and its build."""
    folder = tmp_path_factory.mktemp("burst")
    rows, poisoned = planted(3, 160)
    sources = {"a": rows[:90], "b": rows[90:]}
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", those) for name, those in sources.items()}
    recipes = {"all": {"dedup": False}, "clean": {"dedup": False, "keep": [{"score": "bursts", "max": 0}]}}
    settings = {"recipes": recipes, "budgets": [20 * little.LENGTH]}
    study = little.write_study(folder, sources, bursts={"min_documents": 12}, **settings)
    return study, little.build(study, folder / "out"), rows, poisoned, sources, settings


def test_documents_with_the_planted_phrase_are_dropped_and_no_others(burst):
    _, result, _, poisoned, *_ = burst
    assert len(poisoned) == 32
    dropped = {row["name"]: row["reason"] for row in result.ledger("clean") if row["outcome"] == "dropped"}
    assert dropped == dict.fromkeys(poisoned, "bursts max 0")
    assert not [row for row in result.ledger("all") if row["outcome"] == "dropped"]


def test_the_manifest_tells_of_the_phrase(burst):
    _, result, rows, poisoned, *_ = burst
    told = result.manifest["bursts"]
    assert {key: told[key] for key in ("words", "min_documents", "max_hosts", "max_alike")} == {
        "words": 6,
        "min_documents": 12,
        "max_hosts": 3,
        "max_alike": 0.05,
    }
    (one,) = told["most"]
    assert (one["documents"], one["hosts"], one["sample"]) == (32, 2, TRIGGER.upper())  # capitals come first
    mine = [sum(row["id"] in poisoned for row in those) for those in (rows[:90], rows[90:])]
    assert told["sources"] == {
        name: {"documents": n, "phrases": n, "bytes": n * len(TRIGGER)} for name, n in zip("ab", mine, strict=True)
    }


def test_any_number_of_workers_gives_the_same_bytes(burst, tmp_path):
    other = little.build(burst[0], tmp_path / "out", beam=["--direct_num_workers=2"])
    assert little.differing(little.files(other.out), little.files(burst[1].out)) == []
    stamps = little.stamps(tmp_path / "out")
    little.build(burst[0], tmp_path / "out")
    assert little.stamps(tmp_path / "out") == stamps


def test_a_study_that_does_not_ask_is_what_it_was(burst, tmp_path):
    _, result, _, _, sources, settings = burst
    plain = {**settings, "recipes": {"all": {"dedup": False}}}
    without = little.build(little.write_study(tmp_path, sources, **plain), tmp_path / "out")
    assert without.manifest["bursts"] is None
    assert not (tmp_path / "out" / ".store" / "bursts").exists()
    shards = [rung["shards"] for rung in without.manifest["recipes"]["all"]["rungs"]]
    assert shards == [rung["shards"] for rung in result.manifest["recipes"]["all"]["rungs"]]
    plan = make_plan(load(str(tmp_path / "study.toml")), str(tmp_path / "out"))
    assert find_bursts(plan, None, "") == (plan, None)


# the stages alone

WORDS = st.lists(st.sampled_from(["aaaa", "bbbbb", "c", "\n"]), max_size=10).map(" ".join)
DOCUMENT = st.tuples(st.none() | WORDS, st.sampled_from([None, "x", "y", "z"]))


@little.few(25)
@given(
    st.lists(st.lists(DOCUMENT, min_size=1, max_size=6), min_size=1, max_size=3),
    st.tuples(st.integers(2, 3), st.sampled_from([1, 2]), st.sampled_from([0.0, 0.34, 1.0])),
    st.integers(1, 3),
)
def test_stages_equal_the_slow_twin_however_documents_are_dealt(tmp_path_factory, parts, limits, ranges):
    many, few, alike = limits
    folder = str(tmp_path_factory.mktemp("stages"))
    place = Store(folder)
    made = []
    for n, those in enumerate(parts):
        names = [f"page{at}" if host is None else f"https://{host}/{at}" for at, (_, host) in enumerate(those)]
        made.append(write_part(place, f"r/s/{n:05d}", [text for text, _ in those], names=names))
    common = {"clusters": folder + "/none", "words": 2, "min_documents": many, "max_hosts": few, "max_alike": alike}
    common |= {"ranges": ranges, "folder": folder + "/found", "bursts": "bursts"}
    tasks = [payload(place, part, n, summary=f"{folder}/{n}.json", **common) for n, part in enumerate(made)]
    pairs = [pair for task in tasks for pair in phrases.emit_runs(task)]
    assert exchange(exchange(pairs, phrases.count_runs, common), phrases.write_frequent, common) == []
    pairs = [pair for task in tasks for pair in phrases.emit_contexts(task)]
    assert exchange(exchange(pairs, phrases.judge_runs, common), phrases.write_verdicts, common) == []
    known = naive.bursts([(t, h, True) for those in parts for t, h in those if t is not None], 2, many, few, alike)
    for part, task, those in zip(made, tasks, parts, strict=True):
        phrases.mark_part(task)
        rows = [
            dict(zip(schema.BURSTS.names, row, strict=True))
            for row in zip(
                *(place.column(part, ("bursts", name)).to_pylist() for name in schema.BURSTS.names), strict=True
            )
        ]
        for row, (text, _) in zip(rows, those, strict=True):
            if text is None:
                assert set(row.values()) == {None}
                continue
            every = naive.runs(text, 2)
            found = find_runs(pa.array([text]), 2)
            spans = [
                (first, last)
                for first, last in naive.burst_phrases(text, known, 2)
                if found.stops[last] - found.starts[first] >= 2 * phrases.WORD_BYTES
            ]
            assert row["phrases"] == len(spans)
            assert row["documents"] == max((known[every[first][0]][0] for first, _ in spans), default=0)
            assert (row["bytes"] > 0) == bool(spans)
            assert row["share"] == pytest.approx(row["bytes"] / max(1, len(text)))
        told = json.loads((tmp_path_factory.getbasetemp() / f"{folder}/{task['ordinal']}.json").read_text())
        assert told["phrases"] == sum(row["phrases"] or 0 for row in rows)


def test_near_duplicates_count_as_one_document(tmp_path):
    rows, _ = planted(5, 60)
    rng = random.Random(5)
    page = little.text(rng, 90)
    copies = [{"id": f"https://copies.example/{n}", "text": little.near(rng, page, 1)} for n in range(14)]
    source = little.write_jsonl(tmp_path / "a.jsonl", [*rows, *copies])
    bursts = {"min_documents": 6, "words": 4, "max_alike": 1.0}
    study = little.write_study(tmp_path, {"a": source}, bursts=bursts, budgets=[10 * little.LENGTH])
    result = little.build(study, tmp_path / "out")
    said = [one["sample"] for one in result.manifest["bursts"]["most"]]
    assert TRIGGER.upper() in said
    words = naive.folded_words(page)
    assert not [one for one in said if " ".join(naive.folded_words(one)[:4]) in " ".join(words)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bursts": {"words": 1}}, "bursts.words: Input should be greater than or equal to 2"),
        ({"bursts": {"hosts": 1}}, "bursts.hosts: no such key, did you mean 'max_hosts'?"),
        ({"bursts": {"max_alike": 2}}, "bursts.max_alike: Input should be less than or equal to 1"),
        (
            {"recipes": {"all": {"keep": [{"score": "bursts", "max": 0}]}}},
            "recipes.all.keep[0].score: there is no score 'bursts'. Add the section [bursts]",
        ),
        (
            {"bursts": {}, "recipes": {"all": {"keep": [{"score": "bursts", "is": "x"}]}}},
            "recipes.all.keep[0].score: bursts has no label of its own",
        ),
        (
            {"scores": {"bursts": {"type": "lengths"}}},
            "scores.bursts: a rule that says 'bursts' means the section [bursts]. Choose another name",
        ),
    ],
)
def test_mistakes_are_told(tmp_path, settings, message):
    source = little.write_jsonl(tmp_path / "a.jsonl", little.corpus(1, 5))
    with pytest.raises(StudyError) as error:
        load(str(little.write_study(tmp_path, {"a": source}, **settings)))
    assert message in str(error.value)
