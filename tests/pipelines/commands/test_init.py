"""Init: inputs are told apart, looked into, and made into a commented study that passes `plan` and builds at once."""

from __future__ import annotations

import gzip
import json
import random
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import jsonschema
import little
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.commands.propose import floor_125, ladder
from tokenladder.pipelines.commands.prospect import find_sources, look
from tokenladder.pipelines.engines import isolate
from tokenladder.pipelines.files.store import UserError, list_files
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.study.json_schema import study_schema

ROOT = Path(__file__).resolve().parents[3]
SENTENCES = ["The harbour was full of ships that had come in with the tide.", "It is what they have been told to do."]


def prose(n):
    rng = random.Random(n)  # noqa: S311 no secret
    lines = [f"{rng.choice(SENTENCES)} And {rng.choice(little.VOCABULARY)} of it was {n * k}." for k in range(30)]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder of WARC files, and a checkout of code with data and pages among it."""
    folder = tmp_path_factory.mktemp("inputs")
    for n in range(2):
        rows = [{"id": f"{n}-{k}", "text": prose(100 * n + k)} for k in range(25)]
        little.write_warc(folder / "Crawl 2024" / f"part-{n}.warc.gz", rows)
    code = folder / "checkout"
    little.write_tree(
        code / "src", [{"id": f"m{n}", "text": f"def f{n}(x):\n    return x + {n}\n" * 30} for n in range(20)]
    )
    little.write_jsonl(code / "data" / "a.jsonl", [{"text": "x"}])
    (code / "docs").mkdir()
    (code / "docs" / "index.html").write_text("<p>Hello")
    (code / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    return folder


@pytest.fixture
def _here(monkeypatch):
    """Work on untrusted input in this process: starting a child takes seconds."""
    monkeypatch.setattr(isolate, "call", lambda _, payload, **__: look(payload))
    monkeypatch.setattr("tokenladder.pipelines.drivers.build.Engine", little.Eager)


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.mark.usefixtures("_here")
def test_a_crawl_and_a_checkout_become_a_study_that_builds(inputs, tmp_path):
    study = tmp_path / "my" / "study.toml"
    twice = inputs / "checkout"  # is read once
    said = run("init", inputs / "Crawl 2024", twice, f"{twice}/", "--study", study)
    assert said.exit_code == 0, said.output
    assert re.search(r"some (\d{1,2}|\d{2}0|[\d,]+00) tokens of better documents", said.output)  # two digits of it
    assert f"tokenladder build {study} --out {study.parent / 'built'}" in said.output
    text = study.read_text()
    made = tomllib.loads(text)
    assert {name: one["format"] for name, one in made["sources"].items()} == {"crawl-2024": "warc", "checkout": "tree"}
    assert text.startswith("#:schema study.schema.json\n# A first study")
    schema = json.loads((study.parent / "study.schema.json").read_text())
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(made)) == []
    planned = run("plan", study, "--json")
    assert planned.exit_code == 0, planned.output
    built = run("build", study, "--out", tmp_path / "out", "--quiet")
    assert built.exit_code == 0, built.output
    assert [check for check in verify(str(tmp_path / "out")) if not check.holds] == []
    again = run("init", inputs / "checkout", "--study", study)
    assert (again.exit_code, again.output.strip()) == (
        2,
        f"{study}: there is such a file. Name another with --study, or replace it with --force.",
    )
    assert study.read_text() == text


def test_the_look_is_the_same_in_a_child_process_and_does_not_depend_on_the_clock(inputs):
    from tokenladder.pipelines.commands.prospect import look_into

    (found,) = find_sources([str(inputs / "Crawl 2024")])
    first = look_into(found)
    assert (first.documents, first.records) == (50, 50)
    assert max(first.languages, key=first.languages.get) == "en"
    assert first == look_into(found)
    isolate.POOL.close()


@pytest.mark.usefixtures("_here")
def test_environments_and_earlier_results_below_a_path_are_not_read_and_told(tmp_path, monkeypatch):
    home = tmp_path / "home"
    rows = [{"id": f"m{n}", "text": f"def f{n}(x):\n    return x + {n}\n" * 30} for n in range(20)]
    little.write_tree(home / "src", rows)
    study = little.write_study(tmp_path, {"a": {"format": "tree", "path": str(home / "src")}})
    little.build(study, home / "old" / "built", store=home / "shared")
    below = "web/node_modules/x"
    for name in (".venv/pyvenv.cfg", ".venv/lib/a.py", f"{below}/index.js", f"{below}/node_modules/y.js"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x = 1\n")
    (home / "node_modules.py").write_text("x = 1\n" * 50)  # a file of that name is none
    monkeypatch.chdir(home)
    said = run("init", ".")
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[:5] == [
        "Looking into home: tree, 21 files",
        f"  not read: {home}/.venv, a virtual environment of Python",
        f"  not read: {home}/old/built, a result of TokenLadder",
        f"  not read: {home}/shared, a store of TokenLadder",
        f"  not read: {home}/web/node_modules, packages of Node.js",
    ]
    left_out = [".venv", "old/built", "shared", "web/node_modules", "study.toml", "study.schema.json", "built"]
    source = tomllib.loads(Path("study.toml").read_text())["sources"]["home"]
    assert (source["path"], source["exclude"]) == (".", left_out)
    before = json.loads(run("plan", "study.toml", "--json").output)
    assert before["sources"]["home"]["files"] == 21
    assert run("build", "study.toml", "--out", "built", "--quiet").exit_code == 0
    Path("study.toml").write_text(Path("study.toml").read_text() + "# a word of mine\n")
    after = json.loads(run("plan", "study.toml", "--out", "built", "--json").output)
    assert after["sources"]["home"]["files"] == 21
    # what is named itself is read, but for such folders below it
    assert formats(home / "web" / "node_modules")["node_modules"][2] == 1


def test_a_manual_of_pages_and_their_sources_is_two_sources(tmp_path):
    for n in range(6):
        (tmp_path / "manual" / f"a{n}.txt").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "manual" / f"a{n}.txt").write_text("x" * 100)
    for n in range(5):
        (tmp_path / "manual" / f"a{n}.html").write_text("<p>" + "x" * 200)
    pages = f"{tmp_path}/manual/**/*.html"
    assert formats(tmp_path / "manual") == {
        "manual-pages": ("html", pages, 5),
        "manual-text": ("tree", f"{tmp_path}/manual", 6),
    }
    sources = {one.name: one.source for one in find_sources([str(tmp_path / "manual")])}
    assert sources["manual-text"].exclude == (pages,)
    assert [len(source.list_files()) for source in sources.values()] == [5, 6]


def test_pictures_beside_pages_do_not_make_a_site_a_tree_of_code(tmp_path):
    (tmp_path / "site").mkdir()
    for n in range(3):
        (tmp_path / "site" / f"a{n}.html").write_text("<p>Hello")
        for kind in ("png", "JPG"):
            (tmp_path / "site" / f"a{n}.{kind}").write_bytes(b"\0" * 1000)
    (tmp_path / "site" / "site.css").write_text("p { margin: 0 }")
    assert formats(tmp_path / "site") == {"site": ("html", f"{tmp_path}/site", 10)}
    for page in (tmp_path / "site").glob("*.html"):
        page.unlink()
    assert formats(tmp_path / "site") == {"site": ("tree", f"{tmp_path}/site", 7)}


def test_a_path_that_holds_no_input_is_told(tmp_path):
    (tmp_path / "mine" / "env").mkdir(parents=True)
    (tmp_path / "mine" / "env" / "pyvenv.cfg").write_text("home = /usr\n")
    message = (
        f"{tmp_path}/mine: holds nothing to read but {tmp_path}/mine/env (a virtual environment of Python). "
        "Name what is to be read all the same."
    )
    with pytest.raises(UserError, match=re.escape(message)):
        find_sources([str(tmp_path / "mine")])
    assert formats(tmp_path / "mine" / "env")["env"][2] == 1


def formats(*paths):
    return {
        one.name: (one.source.format, one.source.paths[0], one.files) for one in find_sources([str(p) for p in paths])
    }


def test_formats_are_told_by_names(inputs, tmp_path):
    folder = tmp_path / "data"
    little.write_jsonl(folder / "news" / "a.jsonl", [{"url": "u", "body": "words of a text"}])
    little.write_jsonl(folder / "news" / "b.jsonl", [{"url": "u", "body": "words of a text"}])
    little.write_parquet(folder / "books" / "a.parquet", [{"title": "t", "content": "words", "n": 1}])
    assert formats(folder) == {
        "data-jsonl": ("jsonl", f"{folder}/**/*.jsonl", 2),
        "data-parquet": ("parquet", f"{folder}/**/*.parquet", 1),
    }
    by_name = {one.name: one.source for one in find_sources([f"{folder}/news", f"{folder}/books/*.parquet"])}
    assert (by_name["news"].text, by_name["news"].id) == ("body", "url")
    assert (by_name["books"].text, by_name["books"].id) == ("content", "title")
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "code.tar.gz", "w:gz") as archive:
        archive.add(inputs / "checkout", "checkout")
    with zipfile.ZipFile(packed / "site.zip", "w") as archive:
        archive.writestr("a/index.html", "<p>One")
    found = {one.name: one.source for one in find_sources([f"{packed}/code.tar.gz", f"{packed}/site.zip"])}
    assert (found["code"].format, found["code"].inner) == ("tar", "tree")
    assert (found["site"].format, found["site"].inner) == ("zip", "html")
    assert formats(inputs)["checkout"][0] == "tree"
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.write('{"raw_content": "text", "id": 3}\n')
    (one,) = find_sources([str(tmp_path / "x.jsonl.gz")])
    assert (one.source.format, one.source.text, one.source.id) == ("jsonl", "raw_content", "id")


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "gone: no such file or folder."),
        ("*.warc", None, "*.warc: no file has such a name."),
        ("a.jsonl", "no json\n", "a.jsonl: its first line is no JSON"),
        ("a.jsonl", '{"n": 1}\n', "a.jsonl: has no column of text in its first record."),
        ("a.parquet", "PAR0", "a.parquet: is no Parquet file"),
        ("a.py", "x = 1\n", "too few for a ladder of budgets. Give more input."),
    ],
)
def test_what_cannot_be_a_source_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    said = run("init", path, "--study", tmp_path / "study.toml")
    assert said.exit_code == 2
    assert message in said.output
    assert not (tmp_path / "study.toml").exists()
    assert [file for file in list_files(str(tmp_path)) if "schema" in file.path] == []


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_first_use_says_that_it_compiles(tmp_path, monkeypatch, compiled):
    monkeypatch.setattr("tokenladder.filters.kernels.are_compiled", lambda: compiled)
    (tmp_path / "a.py").write_text("x = 1\n")
    said = run("init", tmp_path / "a.py", "--study", tmp_path / "study.toml")
    assert (said.output.splitlines()[0].startswith("Kernels are compiled where they are first used")) is not compiled


@pytest.mark.usefixtures("_here")
def test_input_without_text_is_told_with_what_was_looked_at(tmp_path):
    (tmp_path / "empty" / "below").mkdir(parents=True)
    said = run("init", tmp_path / "empty", "--study", tmp_path / "study.toml")
    assert (said.exit_code, said.output) == (
        2,
        f"{tmp_path / 'empty'}: an empty folder: no file in it, nor in folders below it.\n",
    )
    (tmp_path / "pictures").mkdir()
    for name in ("a.bin", "b.png"):
        (tmp_path / "pictures" / name).write_bytes(b"\0\1\2\3" * 100)
    said = run("init", tmp_path / "pictures", "--study", tmp_path / "study.toml", "--quiet")
    assert said.exit_code == 2
    told = "read as tree, 2 files of 800 bytes. Of 2 records looked at, 0 have text (without text: 2 binary)."
    assert said.output.splitlines()[1] == f"  pictures: {tmp_path / 'pictures'} {told}"


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "secret"))

    monkeypatch.setattr("tokenladder.pipelines.files.store.list_files", refuses)
    said = run("init", tmp_path, "--study", tmp_path / "study.toml")
    assert (said.exit_code, said.output) == (
        2,
        f"{tmp_path}: {tmp_path / 'secret'} may not be read: permission denied.\n",
    )


@pytest.mark.usefixtures("_here")
def test_a_study_beside_its_input_can_be_moved_with_it(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs)
    assert run("init", "checkout", "--study", "studies/one.toml", "--quiet").exit_code == 0
    assert tomllib.loads(Path("studies/one.toml").read_text())["sources"]["checkout"]["path"] == "../checkout"
    assert run("plan", "studies/one.toml").exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert run("init", inputs / "checkout", "--study", "one.toml", "--quiet").exit_code == 0
    assert tomllib.loads(Path("one.toml").read_text())["sources"]["checkout"]["path"] == str(inputs / "checkout")


def test_budgets_are_round_and_the_largest_fits():
    for count in (1, 3, 49, 50, 199_999, 10**9):
        assert floor_125(count) <= count < 2.5 * floor_125(count)
    assert ladder(1000, 600) == [1000]
    assert ladder(200_000, 512) == [20_000, 50_000, 100_000, 200_000]
    assert floor_125(0) == 0


def test_the_published_schema_is_current():
    shown = run("schema")
    assert shown.exit_code == 0
    kept = (ROOT / "studies" / "study.schema.json").read_text()
    assert kept == shown.output, "run `tokenladder schema > studies/study.schema.json`"


def test_the_schema_takes_the_studies_that_there_are_and_finds_mistakes():
    check = jsonschema.Draft202012Validator(study_schema())
    check.check_schema(check.schema)
    texts = [(ROOT / "studies" / "quickstart.toml").read_text()]
    shown = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    texts += [text for text in shown if "budgets =" in text]
    assert len(texts) > 1
    for text in texts:
        study = tomllib.loads(text)
        assert [error.message for error in check.iter_errors(study)] == []
        for wrong in (
            {**study, "bugdets": 1},
            {**study, "budgets": ["1X"]},
            {**study, "sources": {"web": {"format": "wacr", "path": "x"}}},
            {**study, "scores": {"a": {"type": "gopher", "no_such": 1}}},
            {name: value for name, value in study.items() if name != "tokenizer"},
        ):
            assert list(check.iter_errors(wrong))
    assert check.schema["$defs"]["Rule"]["properties"]["is"]["description"].startswith("The label it must be")


def test_a_source_has_a_name_of_its_own(tmp_path):
    for name in ("a", "b"):
        little.write_jsonl(tmp_path / name / "held_out" / "x.jsonl", [{"text": "one"}])
    found = find_sources([str(tmp_path / name / "held_out") for name in ("a", "b")])
    assert [one.name for one in found] == ["held_out-2", "held_out-3"]
    with pytest.raises(UserError, match="no file has such a name"):
        find_sources([str(tmp_path / "*.warc")])
