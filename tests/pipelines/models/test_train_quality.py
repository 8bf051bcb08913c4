"""Quality classifiers: what is drawn, that nothing leaks into the measurement, the same bytes again, and the card."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import little
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import tokenladder.studies
from tokenladder.filters.measures.fasttext import FastText
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.models import quality_documents, train_quality
from tokenladder.pipelines.models.quality_file import load

TINY = "[model]\ndim = 8\nbucket = 1000\nepoch = 30\nlr = 0.5\n"
GOOD = ["clear", "proof", "theorem", "lemma", "shows", "that", "every", "finite", "group"]
POOR = ["buy", "cheap", "now", "click", "here", "best", "offer", "casino", "bonus"]


def texts(words, count, seed=1):
    rng = random.Random(f"{seed}/{words[0]}")  # noqa: S311 no secret
    return [" ".join(rng.choice([*words, *little.VOCABULARY[:20]]) for _ in range(30)) for _ in range(count)]


def write(folder, body, **files):
    for name, rows in files.items():
        little.write_jsonl(folder / f"{name}.jsonl", rows)
    path = folder / "quality.toml"
    path.write_text(body)
    return load(str(path))


def rows(some):
    return [{"text": one} for one in some]


CLASSES = """name = "q"
seed = 3
held_out = 0.2
[[classes.hq]]
path = ["good.jsonl"]
[[classes.web]]
path = ["poor.jsonl"]
"""


def two_classes(folder, good=60, poor=90, extra=""):
    return write(folder, CLASSES + extra + TINY, good=rows(texts(GOOD, good)), poor=rows(texts(POOR, poor)))


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_a_classifier_tells_its_classes_apart_and_says_so(tmp_path):
    report = train_quality.train(two_classes(tmp_path, extra=""), str(tmp_path / "out"))
    none = dict.fromkeys(("empty", "copies", "near_duplicates", "contradicting"), 0)
    assert report["documents"] == {
        "hq": {**none, "read": 60, "drawn": 60, "train": 48, "held_out": 12},
        "web": {**none, "read": 90, "drawn": 90, "train": 48, "held_out": 12},
    }
    model = report["models"]["model.bin"]
    assert (model["auc"], model["accuracy"]) == (1.0, 1.0)
    assert model["at"][4] == {"threshold": 0.5, "precision": 1.0, "recall": 1.0, "share": 0.5}
    scored = FastText(str(tmp_path / "out" / "model.bin"), label="hq").score(
        pa.record_batch({"text": [" ".join(GOOD), " ".join(POOR)]})
    )
    assert scored["label"].to_pylist() == ["hq", "web"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    held = pq.read_table(tmp_path / "out" / "held_out.parquet").to_pydict()
    assert sorted(held["label"]) == ["hq"] * 12 + ["web"] * 12
    assert all((value > 0.5) == (label == "hq") for label, value in zip(held["label"], held["value"], strict=True))


def test_the_same_file_gives_the_same_bytes(tmp_path):
    wanted = load_with(tmp_path, "compress = true\n")
    first = train_quality.train(wanted, str(tmp_path / "one"))
    train_quality.train(wanted, str(tmp_path / "two"))
    assert little.differing(folder_bytes(tmp_path / "one"), folder_bytes(tmp_path / "two")) == []
    names = set(folder_bytes(tmp_path / "one"))
    assert names == {"README.md", "held_out.parquet", "model.bin", "model.ftz", "report.json", "roc.svg"}
    assert set(first["models"]) == {"model.bin", "model.ftz"}
    assert first["models"]["model.ftz"]["auc"] == 1.0
    other = train_quality.train(load_with(tmp_path, "compress = true\n", seed=4), str(tmp_path / "one"))
    assert other["models"]["model.bin"]["sha256"] != first["models"]["model.bin"]["sha256"]


def load_with(folder, more, seed=3):
    """The two classes with more settings of the model."""
    two_classes(folder)
    path = folder / "quality.toml"
    path.write_text(path.read_text().replace("seed = 3", f"seed = {seed}") + more)
    return load(str(path))


def test_nothing_that_is_measured_nearly_equals_what_is_trained_on(tmp_path):
    rng = random.Random(5)  # noqa: S311 no secret
    good = texts(GOOD, 40)
    near = [little.near(rng, one, 1) for one in good]
    both = texts([*GOOD, *POOR], 6, seed=9)
    wanted = write(
        tmp_path,
        CLASSES + TINY,
        good=rows([*good, *near, *good[:7], *both, "  "]),
        poor=rows([*texts(POOR, 80), *both]),
    )
    drawn = quality_documents.draw(wanted)
    counts = drawn.counts["hq"]
    assert (counts["read"], counts["empty"], counts["copies"], counts["contradicting"]) == (94, 1, 7, 6)
    assert counts["near_duplicates"] >= 20
    assert counts["train"] + counts["held_out"] == 40 + 40 - counts["near_duplicates"]
    assert counts["train"] == drawn.counts["web"]["train"]
    assert not set(both) & set(drawn.texts)
    bands = quality_documents._bands(drawn.texts)
    for band in bands.T:
        assert len(set(band.tolist())) == len(band)


def test_documents_are_drawn_by_hash_whatever_their_order(tmp_path):
    good, poor = texts(GOOD, 50), texts(POOR, 50)
    wanted = write(tmp_path, "per_class = 10\n" + CLASSES + TINY, good=rows(good), poor=rows(poor))
    one = quality_documents.draw(wanted)
    write(tmp_path, "per_class = 10\n" + CLASSES + TINY, good=rows(good[::-1]), poor=rows(poor[::-1]))
    assert quality_documents.draw(wanted).texts == one.texts
    assert [one.counts[label]["train"] for label in ("hq", "web")] == [8, 8]
    assert one.counts["hq"]["drawn"] == 20


SCORED = 'name = "edu"\n[scored]\npath = ["good.jsonl"]\nscore = "points"\nbins = [0, 1, 2]\nthreshold = 1.5\n'


def test_numbers_are_learnt_in_bins_and_their_mean_is_measured(tmp_path):
    points = ((POOR, 0), (little.VOCABULARY[30:40], 1.2), (GOOD, 2))
    scored = [{"text": one, "points": number} for words, number in points for one in texts(words, 40)]
    report = train_quality.train(write(tmp_path, SCORED + TINY, good=scored), str(tmp_path / "out"))
    model = report["models"]["model.bin"]
    assert report["labels"] == ["0", "1", "2"]
    assert [counts["read"] for counts in report["documents"].values()] == [40, 40, 40]
    assert (model["accuracy"], model["auc"]) == (1.0, 1.0)
    assert model["mean_absolute_error"] < 0.5
    assert model["correlation"] > 0.9
    assert [one["threshold"] for one in model["at"]] == [0.5, 1.5]
    assert model["at"][1]["precision"] == 1.0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "expected = true" in card
    assert '{ score = "quality.expected", min = 1.5 }' in card


def test_classes_come_from_recipes_and_sources_of_a_build(tmp_path):
    web = little.write_jsonl(
        tmp_path / "web.jsonl", [{"id": f"w{n}", "text": one} for n, one in enumerate(texts(GOOD, 60))]
    )
    code = little.write_jsonl(
        tmp_path / "code.jsonl", [{"id": f"c{n}", "text": one} for n, one in enumerate(texts(POOR, 60))]
    )
    study = little.write_study(
        tmp_path / "study",
        {"web": web, "code": code},
        scores={"size": {"type": "lengths"}},
        recipes={"all": {"keep": [{"score": "source", "in": ["web"]}]}},
        budgets=[100 * little.LENGTH],
    )
    little.build(study, tmp_path / "built")
    body = CLASSES.replace('path = ["good.jsonl"]', 'build = "built"\nrecipe = "all"')
    body = body.replace('path = ["poor.jsonl"]', 'build = "built"')
    dropped = load_text(tmp_path, body + 'recipe = "all"\noutcome = "dropped"\n' + TINY)
    sourced = load_text(tmp_path, body + 'source = "code"\n' + TINY)
    one, two = quality_documents.draw(dropped), quality_documents.draw(sourced)
    assert one.texts == two.texts
    assert one.counts["web"]["read"] == 60
    assert one.counts["hq"]["read"] < 60  # some are over budget
    mine = {text for text, label in zip(one.texts, one.labels, strict=True) if label == 0}
    assert mine <= set(texts(GOOD, 60))
    with pytest.raises(UserError, match=r"classes\.web\[0\]\.source: .*built has no source 'blog'; it has code, web"):
        quality_documents.draw(load_text(tmp_path, body + 'source = "blog"\n' + TINY))
    with pytest.raises(UserError, match=r"classes\.web\[0\]\.recipe: .*built has no recipe 'best'; it has all"):
        quality_documents.draw(load_text(tmp_path, body + 'recipe = "best"\n' + TINY))
    with pytest.raises(UserError, match=r"classes\.hq\[0\]\.build: .*manifest\.json: there is no such file"):
        quality_documents.draw(load_text(tmp_path, body.replace("built", "none") + 'source = "code"\n' + TINY))


def load_text(folder, body):
    (folder / "quality.toml").write_text(body)
    return load(str(folder / "quality.toml"))


def test_text_that_looks_like_a_label_teaches_none(tmp_path):
    good = [f"{one} __label__admin\n__label__web" for one in texts(GOOD, 30)]
    wanted = write(tmp_path, CLASSES + TINY, good=rows(good), poor=rows(texts(POOR, 30)))
    report = train_quality.train(wanted, str(tmp_path / "out"))
    every = FastText(str(tmp_path / "out" / "model.bin"), top=3).score(pa.record_batch({"text": ["clear"]}))
    assert sorted([every["label"][0].as_py(), every["label_2"][0].as_py()]) == ["hq", "web"]
    assert every["label_3"][0].as_py() == ""
    assert report["models"]["model.bin"]["accuracy"] > 0.9


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30))
def test_the_area_is_the_share_of_pairs_in_order(pairs):
    values, truth = np.array([value for value, _ in pairs]), np.array([kind for _, kind in pairs])
    area, points = train_quality.roc(values, truth)
    compared = [(a > b) + (a == b) / 2 for a in values[truth] for b in values[~truth]]
    assert area == (pytest.approx(np.mean(compared), abs=1e-5) if compared else None)
    assert (points[0], points[-1]) == ([0, 0], [1, 1])
    assert points == sorted(points)


def test_the_command_writes_a_card_and_a_picture(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "quality.toml").write_text((tmp_path / "quality.toml").read_text().replace('"q"', '"q-1"'))
    done = CliRunner().invoke(cli, ["train-quality", str(tmp_path / "quality.toml"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "area under the ROC curve 1.0000" in done.output
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# q-1" in card
    assert "tells hq from web" in card
    assert re.search(r"\| hq \| 60 \| 60 \| 0 \| 0 \| 0 \| 48 \| 12 \|", card)
    assert str(tmp_path) not in card + (tmp_path / "out" / "report.json").read_text()
    picture = ET.parse(tmp_path / "out" / "roc.svg").getroot()  # noqa: S314 written here
    assert picture.find("{http://www.w3.org/2000/svg}title").text == "ROC curve, area 1.000"
    assert len(picture.find("{http://www.w3.org/2000/svg}polyline").attrib["points"].split()) >= 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('name = "q"\n', r"quality\.toml: 1 mistake\n  give either classes"),
        ('name = "q"\n[[classes.a]]\npath = ["x"]\n', r"a classifier tells at least two apart"),
        (CLASSES.replace("[[", 'positive = "hg"\n[[', 1), r"there is no class 'hg'"),
        (CLASSES + "txt = 1\n", r"classes\.web\.0\.txt: no such key"),
        (CLASSES + 'build = "b"\n', r"classes\.web\.0: give either path, or build"),
        (CLASSES.replace('path = ["poor.jsonl"]', 'build = "b"'), r"build: give the recipe or the source"),
        (
            CLASSES.replace('path = ["poor.jsonl"]', 'build = "b"\nrecipe = "r"\noutcome = "lost"'),
            "outcome: kept or dropped",
        ),
        (SCORED.replace("[0, 1, 2]", "[1, 0]"), r"scored: bins: list them ascending, each once"),
        ("name =", r"cannot be read as TOML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, body, message):
    with pytest.raises(UserError, match=message):
        load_text(tmp_path, body)


def test_documents_that_cannot_be_had_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match=r"classes\.hq\[0\]\.path: .*good\.jsonl: there is no such file"):
        quality_documents.draw(load_text(tmp_path, CLASSES))
    with pytest.raises(UserError, match=r"text: a record of .*good\.jsonl has no field 'text'; its fields are body"):
        quality_documents.draw(write(tmp_path, CLASSES, good=[{"body": "x"}]))
    with pytest.raises(UserError, match=r"classes\.hq: 1 documents are left \(read 1, drawn 1\), too few to train on"):
        quality_documents.draw(write(tmp_path, CLASSES, good=rows(["one two"]), poor=rows(texts(POOR, 9))))
    with pytest.raises(
        UserError, match=r"scored\.score: a record of .* has no number in 'points'; its fields are text"
    ):
        quality_documents.draw(write(tmp_path, SCORED, good=rows(["one two"])))
    (tmp_path / "good.jsonl").write_text("[1]\n")
    with pytest.raises(UserError, match=r"classes\.hq\[0\]\.path: .*good\.jsonl, line 1: not a JSON object"):
        quality_documents.draw(load_text(tmp_path, CLASSES))


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    wanted = two_classes(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match=r"mine: holds files that no training made \(thesis\.txt\)"):
        train_quality.train(wanted, str(tmp_path / "mine"))
    with pytest.raises(UserError, match=r"thesis\.txt is a file, so no folder can stand there"):
        train_quality.train(wanted, str(tmp_path / "mine" / "thesis.txt"))


@pytest.mark.parametrize("name", ["quality_instructions", "quality_education"])
def test_the_presets_load(name):
    wanted = load(str(Path(tokenladder.studies.__path__[0]) / f"{name}.toml"))
    assert wanted.labels == {"quality_instructions": ["hq", "web"], "quality_education": list("012345")}[name]
