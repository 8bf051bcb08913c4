"""The command line: exit statuses 0, 1 and 2, messages without tracebacks, help at once."""

from __future__ import annotations

import json
import subprocess
import sys

import little
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.commands.tables import show_checks, show_manifest
from tokenladder.pipelines.drivers.pool import BuildError
from tokenladder.pipelines.files.schema import OUTCOMES
from tokenladder.pipelines.recount.result_files import Check

GOES_ON = "The same command goes on from here."


def run(*arguments, **more):
    return CliRunner().invoke(cli, [str(one) for one in arguments], **more)


@pytest.fixture
def study(tmp_path):
    little.write_jsonl(tmp_path / "web.jsonl", little.corpus(1, 60, prefix="w"))
    return little.write_study(tmp_path, {"web": tmp_path / "web.jsonl"})


def test_help_answers_at_once_and_imports_nothing_heavy():
    code = (
        "import sys, runpy; sys.argv = ['tokenladder', '--help']\n"
        "try: runpy.run_module('tokenladder', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'apache_beam', 'pyarrow', 'numba', 'numpy', 'pydantic', 'rich', 'tokenizers', 'sentencepiece'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stderr.strip() == "[]"
    for command in ("quickstart", "plan", "build", "verify", "explain", "card"):
        assert f"\n  {command} " in out.stdout
    assert "..." not in out.stdout.partition("Commands:")[2]  # in 80 columns each is told in full


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_each_command_has_help_and_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: tokenladder {command}" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build"], "Missing argument 'STUDY'"),
        (["biuld"], "No such command 'biuld'"),
        (["build", "study.toml", "--runner=x"], "No such option"),
        (["build", "gone.toml"], "gone.toml: there is no such study file."),
        (["plan", "gone.toml"], "gone.toml: there is no such study file."),
        (["verify", "gone"], "gone"),
        (["explain", "gone", "x"], "gone"),
        (["card", "gone"], "gone: holds no manifest.json. Give the folder of a finished build."),
    ],
)
def test_mistakes_of_the_user_have_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_all_mistakes_of_a_study_are_shown(tmp_path):
    (tmp_path / "bad.toml").write_text('name = "x"\nseed = "y"\n')
    result = run("build", tmp_path / "bad.toml")
    assert result.exit_code == 2
    assert result.output.startswith(f"{tmp_path}/bad.toml: ")
    for key in ("seed", "budgets", "recipes", "sources", "tokenizer.type"):
        assert f"\n  {key}: " in result.output


def test_a_wrong_runner_has_status_2(study, tmp_path):
    result = run("build", study, "--out", tmp_path / "out", "--", "--runner=Nonsense")
    assert result.exit_code == 2
    assert "--runner=Nonsense: Unexpected pipeline runner" in result.output


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BuildError("9 of 9 records are unreadable"), "9 of 9 records are unreadable\n"),
        (
            OSError(28, "No space left on device", "/out/x"),
            f"[Errno 28] No space left on device: '/out/x'\nNothing half-written was left. {GOES_ON}\n",
        ),
        (KeyboardInterrupt(), f"Interrupted. {GOES_ON}\n"),
    ],
)
def test_failures_have_status_1(study, tmp_path, monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("tokenladder.pipelines.drivers.build.build", fail)
    result = run("build", study, "--out", tmp_path / "out")
    assert (result.exit_code, result.output) == (1, message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["quickstart", "--quiet", "--out", "FILE/x"],
        ["design", "--flops", "1e15", "--out", "FILE/x"],
        ["design", "--flops", "1e15", "--out", "FILE"],
        ["init", "study.toml", "--study", "FILE/study.toml"],
        ["report", ".", "--to", "FILE/x/report.html"],
        ["train-tokenizer", "study.toml", "--vocabulary", "400", "--out", "FILE/x"],
    ],
)
@pytest.mark.usefixtures("study")
def test_a_file_where_a_folder_is_to_be_is_told(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("x")
    monkeypatch.setattr("tokenladder.pipelines.drivers.report._numbers", lambda _: ({}, {}))
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"{tmp_path}/FILE is a file, " in result.output.splitlines()[-1]
    assert "Name another one." in result.output
    assert "Errno" not in result.output


def test_a_command_that_only_reads_promises_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(5, "Input/output error", "/out/x")

    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr("tokenladder.pipelines.recount.verify.verify", fail)
    result = run("verify", tmp_path)
    assert (result.exit_code, result.output) == (1, "[Errno 5] Input/output error: '/out/x'\n")


def test_a_defect_shows_its_traceback(study, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("tokenladder.pipelines.drivers.build.build", fail)
    assert isinstance(run("build", study).exception, ZeroDivisionError)


def test_plan_as_json_and_as_tables(study, tmp_path):
    result = run("plan", study, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    plan = json.loads(result.output)
    assert (plan["study"], plan["sources"]["web"]["files"]) == ("little", 1)
    assert not (tmp_path / "out").exists()  # a plan writes nothing
    shown = run("plan", study, "--out", tmp_path / "out")
    assert shown.exit_code == 0
    for text in ("little: sources", "jsonl", "1280", "3840", f"store: {tmp_path / 'out' / '.store'}"):
        assert text.replace("1280", "1,280").replace("3840", "3,840") in shown.output


def test_a_build_shows_the_funnel_and_the_rungs(study, tmp_path, monkeypatch):
    monkeypatch.setattr("tokenladder.pipelines.drivers.build.Engine", little.Eager)
    result = run("build", study, "--out", tmp_path / "out")
    assert result.exit_code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert f"root hash: {manifest['root_hash']}" in result.stdout
    for text in ("all: where every record went", "over budget", "all: rungs", "3,840"):
        assert text in result.stdout
    quiet = run("build", study, "--out", tmp_path / "out", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    shown = run("card", tmp_path / "out")
    assert shown.output.rstrip("\n") == (tmp_path / "out" / "README.md").read_text().rstrip("\n")


def test_texts_of_users_are_no_markup(capsys):
    """Brackets in a rule or a file's name are shown, and do not break the table."""
    outcomes = {name: {"records": 1, "bytes": 1, "reasons": {"licence is [/MIT] [red]": 1}} for name in OUTCOMES}
    counts = {"web": {"records": 1, "bytes": 1, "documents": 1, "text_bytes": 1}}
    recipe = {"counts": {"web": {"outcomes": outcomes}}, "strata": {}, "rungs": []}
    show_manifest({"counts": counts, "recipes": {"r": recipe}, "held_out": None, "root_hash": "0"})
    show_checks([Check("Exact", holds=False, found="shards/[/x].parquet")])
    shown = capsys.readouterr().out
    assert "licence is [/MIT] [red]" in shown
    assert "shards/[/x].parquet" in shown
    assert "BROKEN" in shown


def test_rungs_in_bytes_show_how_many_they_reached(capsys):
    rung = {"name": "2MB", "unit": "bytes", "reached": 2_012_345, "tokens": 600_064, "sequences": 1172}
    rungs = [rung | {"repeated_tokens": 0, "shards": [{}], "strata": {}}]
    recipes = {"r": {"counts": {}, "strata": {}, "rungs": rungs}}
    show_manifest({"counts": {}, "recipes": recipes, "held_out": None, "root_hash": "0"})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("r: rungs") + 1
    told = ["rung bytes tokens sequences repeated shards", "2MB 2,012,345 600,064 1,172 0 1"]
    assert lines[at : at + 2] == told
