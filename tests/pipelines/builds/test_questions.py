"""The ready studies of common questions: each is built over a small corpus, and shows what it says it shows."""

from __future__ import annotations

import re
import tomllib

import little
import pytest

from tokenladder.pipelines.drivers.plan import make_plan
from tokenladder.pipelines.quickstart.corpus import QUESTIONS, write_studies
from tokenladder.pipelines.study.file import load

SMALL = {
    r'(?m)^type  = "sentencepiece"\ntrain = .*$': 'type = "bytes"',
    r"(?m)^budgets = .*$": 'budgets = ["16K", "32K"]',
    r"(?m)^sequence_length = 512": "sequence_length = 64",
    r'(?m)^tokens = "50K"': 'tokens = "1K"',
    r'(?m)^rung( +)= "1M"': r'rung\1= "32K"',
}
"""What makes a ready study small: budgets, sequences, the held-out set, and a tokenizer that needs no training."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    write_studies(folder)
    rows = [
        {**row, "text": "the page is about this: " + row["text"]}
        for row in little.corpus(11, 150, copies=20, neighbours=30)
    ]
    little.write_warc(folder / "corpus" / "web" / "0.warc.gz", rows)
    little.write_tree(folder / "corpus" / "code", little.corpus(12, 120, prefix="code", copies=10))
    for name in QUESTIONS:
        path = folder / f"{name}.toml"
        text = path.read_text()
        for pattern, instead in SMALL.items():
            text, found = re.subn(pattern, instead, text)
            assert found or (name != "order" and "rung" in pattern), pattern
        path.write_text(text.replace(' is = "en", min = 0.5,', " min = 0.0,"))  # random words are of no language
    return folder


def build(folder, name):
    return little.build(folder / f"{name}.toml", folder / name, store=folder / "store")


def test_every_ready_study_is_left_by_the_quickstart_or_trains_a_classifier():
    from importlib import resources

    shipped = {file.name for file in resources.files("tokenladder.studies").iterdir() if file.name.endswith(".toml")}
    left = {"quickstart.toml", *(f"{name}.toml" for name in QUESTIONS)}
    assert shipped - left == {"quality_education.toml", "quality_instructions.toml"}


def test_files_of_the_user_are_kept(tmp_path):
    (tmp_path / "dedup.toml").write_text("mine")
    assert write_studies(tmp_path) == tmp_path / "study.toml"
    assert (tmp_path / "dedup.toml").read_text() == "mine"
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(["study", *QUESTIONS])


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_says_what_to_run_and_look_at(name):
    from importlib import resources

    text = resources.files("tokenladder.studies").joinpath(f"{name}.toml").read_text()
    said = text[: text.index("\nname ")]
    assert all(line.startswith("#") for line in said.splitlines())
    assert f"tokenladder build {name}.toml --out {name} --store built/.store" in said
    assert f"tokenladder train-reference {name} " in said
    assert "# Look at: " in said


def test_sources_and_scores_are_those_of_the_quickstart(tmp_path):
    # So that all of them read and score the corpus once, in one store.
    write_studies(tmp_path)
    first = tomllib.loads((tmp_path / "study.toml").read_text())
    for name in QUESTIONS:
        study = tomllib.loads((tmp_path / f"{name}.toml").read_text())
        assert study["sources"] == first["sources"]
        assert study["dedup"] == first["dedup"]
        assert study["tokenizer"] == first["tokenizer"]
        assert {score: first["scores"].get(score) for score in study["scores"]} == study["scores"]


def test_dedup_keeps_duplicates_in_one_recipe(folder):
    built = build(folder, "dedup")
    outcomes = {recipe: [outcome for outcome, _ in built.bins(recipe).values()] for recipe in ("twice", "once")}
    assert "duplicate" not in outcomes["twice"]
    assert outcomes["once"].count("duplicate") > 20
    assert built.rungs("once").keys() == built.rungs("twice").keys() == {"16K", "32K"}


def test_quality_repeats_where_its_recipe_is_strict(folder):
    built = build(folder, "quality")
    unique = {recipe: built.rungs(recipe)["32K"]["unique_tokens"] for recipe in ("all", "half", "quarter")}
    assert unique["all"] >= unique["half"] > unique["quarter"]
    assert built.rungs("all")["32K"]["repeated_tokens"] == 0
    assert built.rungs("quarter")["32K"]["repeated_tokens"] > 0


def test_epochs_are_passes_over_parts_of_one_pool(folder):
    built = build(folder, "epochs")
    trained = {recipe: set(built.trained(recipe)) for recipe in ("all", "quarter", "sixteenth")}
    assert trained["sixteenth"] < trained["quarter"]
    repeated = [built.rungs(recipe)["32K"]["repeated_tokens"] for recipe in trained]
    assert repeated == sorted(repeated)
    assert repeated[2] > 32_000 / 2


def test_orders_hold_the_same_documents(folder):
    built = build(folder, "order")
    curricula = built.manifest["curricula"]
    assert {one["tokens"] for one in curricula.values()} == {built.rungs("all")["32K"]["tokens"]}
    assert curricula["easy-first"]["spearman"] > 0.5 > -0.5 > curricula["hard-first"]["spearman"]
    assert len(curricula) == 6


def test_the_second_question_reads_nothing_again(folder):
    build(folder, "dedup")
    planned = make_plan(load(str(folder / "epochs.toml")), str(folder / "other"), str(folder / "store"))
    assert [source["to_read"] for source in planned.describe()["sources"].values()] == [0, 0]
