"""The plan: everything that can be found out before work starts, all mistakes at once."""

from __future__ import annotations

import json

import little
import pytest

from tokenladder.pipelines.commands.tables import show_plan
from tokenladder.pipelines.drivers import build
from tokenladder.pipelines.drivers.plan import make_plan, whole
from tokenladder.pipelines.files import store
from tokenladder.pipelines.study.file import parse
from tokenladder.pipelines.watch.progress import Reporter

STUDY = """
name = "little"
budgets = ["1K", "10K"]
sequence_length = 64
[tokenizer]
type = "bytes"
[sources.web]
format = "jsonl"
path = "web.jsonl"
[sources.code]
format = "tree"
path = "code"
[scores.size]
type = "lengths"
[recipes.raw]
keep = [{ score = "size", min = 3, max = 9, sources = ["web"] }, { score = "size.words", top = 0.5 }]
[recipes.kinds]
keep = [{ score = "kind", is = "plain" }, { score = "licence", in = ["MIT"] }]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "web.jsonl").write_text('{"text": "some text"}\n')
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("print(1)\n")
    return tmp_path


def plan(folder, text=STUDY, **more):
    return make_plan(parse(text, str(folder / "study.toml")), str(folder / "out"), **more)


def test_what_a_plan_says(folder):
    described = plan(folder).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["sources"] == {
        "web": {"format": "jsonl", "files": 1, "bytes": 22, "slices": 1, "to_read": 1},
        "code": {"format": "tree", "files": 1, "bytes": 9, "slices": 1, "to_read": 1},
    }
    assert described["recipes"]["raw"]["rungs"] == {
        "1K": {"requested": 1000, "tokens": 1024},
        "10K": {"requested": 10_000, "tokens": 9984},
    }
    assert described["recipes"]["raw"]["rules"] == ["size min 3 and max 9 (web)", "size.words top 0.5 by documents"]
    assert (described["out"], described["store"]) == (str(folder / "out"), str(folder / "out" / ".store"))


def test_rules_with_the_places_of_their_columns(folder):
    made = plan(folder)
    size = made.score_of["size"]
    first, second = made.rules(made.study.recipe("raw").keep)
    assert (first["label"], first["value"]) == (None, [size, "characters"])
    assert (first["min"], first["max"], first["sources"], first["text"]) == (
        3.0,
        9.0,
        ["web"],
        "size min 3 and max 9 (web)",
    )
    assert (second["label"], second["value"], second["top"]) == ([size, "words"], [size, "words"], 0.5)
    kind, licence = made.rules(made.study.recipe("kinds").keep)
    assert (kind["label"], kind["labels"]) == (["kind"], ["plain"])
    assert (licence["label"], licence["labels"]) == (["licence"], ["MIT"])
    assert made.strata() == [["source"]]


def test_fingerprints_depend_on_content_and_not_on_places(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("copy")
    (other / "web.jsonl").write_bytes((folder / "web.jsonl").read_bytes())
    (other / "code").mkdir()
    (other / "code" / "a.py").write_bytes((folder / "code" / "a.py").read_bytes())
    first, second = plan(folder), plan(other, store_root=str(other / "shared"))
    assert (first.score_of, first.signature) == (second.score_of, second.signature)
    assert second.store.root == str(other / "shared")
    parameters = plan(folder, STUDY + "[dedup]\nngram = 3\n")
    assert parameters.score_of == first.score_of
    assert parameters.signature != first.signature


def test_all_that_is_missing_is_told_at_once(folder):
    (folder / "web.jsonl").unlink()
    text = STUDY.replace('path = "code"', 'path = ["code/*.rs", "none"]')
    text = text.replace('type = "bytes"', 'type = "huggingface"\npath = "gone.json"')
    with pytest.raises(store.UserError) as error:
        plan(folder, text)
    head, *lines = str(error.value).splitlines()
    assert head == "This study cannot be built:"
    assert [line.split(":")[0] for line in lines] == ["  sources.web.path", "  sources.code.path", "  tokenizer.path"]
    assert f"{folder}/web.jsonl: no such file. Check the path, or write a glob" in lines[0]
    assert f"{folder}/code/*.rs: no such file" in lines[1]
    assert lines[2] == f"  tokenizer.path: {folder}/gone.json: there is no such file"


def test_an_exclude_that_names_nothing_is_told(folder, capfd, monkeypatch):
    assert plan(folder).notes == ()
    text = STUDY.replace('path = "code"', 'path = "code"\nexclude = ["cod/*", "out", "out/x"]')  # out may come to be
    made = plan(folder, text)
    line = f"sources.code.exclude: {folder}/cod/* names no file of this source. Check the path, or leave it out."
    assert (made.notes, made.describe()["notes"]) == ((line,), [line])
    assert f"note: {line}" in made._repr_html_()
    show_plan(made.describe())
    assert f"note: {line}\n" in capfd.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(build, "Engine", little.Eager)
        with pytest.raises(store.UserError, match="no document of any source"):
            build.build(made, Reporter())
    assert f"note: {line}" in " ".join(capfd.readouterr().err.split())


def test_one_document_is_one(folder, capfd):
    show_plan(plan(folder, STUDY.replace('["1K", "10K"]', '["1 documents", "2 documents"]')).describe())
    shown = capfd.readouterr().out
    assert ("1 document " in shown, "2 documents " in shown, "1 documents" in shown) == (True, True, False)


@pytest.mark.parametrize("kind", ["huggingface", "sentencepiece"])
def test_a_tokenizer_file_that_is_none(folder, kind):
    (folder / "model").write_bytes(b"not a model")
    text = STUDY.replace('type = "bytes"', f'type = "{kind}"\npath = "model"')
    with pytest.raises(store.UserError, match=r"This study cannot be built:\n  tokenizer: .+"):
        plan(folder, text)


def test_a_storage_that_is_not_known(folder):
    with pytest.raises(store.UserError, match=r"sources\.web\.path: ftp://host/web: storage 'ftp://' is not known"):
        plan(folder, STUDY.replace('"web.jsonl"', '"ftp://host/web"'))


@pytest.mark.parametrize(
    ("tokens", "length", "expected"), [(1, 64, 1), (96, 64, 2), (95, 64, 1), (64, 64, 1), (10**13, 8, 125 * 10**10)]
)
def test_the_nearest_number_of_whole_sequences(tokens, length, expected):
    assert whole(tokens, length) == expected
