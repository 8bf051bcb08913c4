"""The terminal: tables that fit its width, JSON in place of them, quiet commands, no colour on request, completion."""

from __future__ import annotations

import json
import subprocess
import sys

import little
import pyarrow.parquet as pq
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.commands.tables import show_checks, show_manifest
from tokenladder.pipelines.commands.terminal import printable, printable_text, show, titled
from tokenladder.pipelines.drivers.report import NUMBERS, PAGE
from tokenladder.pipelines.recount.result_files import Check
from tokenladder.training.rung import list_rungs

LONG = "a-curriculum-with-a-name-that-says-all-that-it-is-for"


def run(*arguments):
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    web = little.write_jsonl(folder / "web.jsonl", little.corpus(1, 60, prefix="w"))
    return little.build(little.write_study(folder, {"web": web}), folder / "out")


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_numbers_are_never_broken_whatever_the_width(built, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    show_manifest(built.manifest)
    shown = capsys.readouterr().out
    counts = built.manifest["recipes"]["all"]["counts"]["web"]["outcomes"]
    for rung in built.manifest["recipes"]["all"]["rungs"]:
        assert f"{rung['tokens']:,}" in shown
    assert f"{counts['over_budget']['records']:,}" in shown
    lines = [line for line in shown.splitlines() if not line.startswith("root hash")]
    assert max(map(len, lines)) <= max(width, 34)


def test_a_table_too_wide_is_shown_row_by_row(monkeypatch, capsys):
    table = titled("counts", "name", "first", "second")
    table.add_row("one", "1,000,000", "2,000,000")
    monkeypatch.setenv("COLUMNS", "20")
    show(table)
    assert capsys.readouterr().out == "counts\none\n  first   1,000,000\n  second  2,000,000\n"


def test_checks_stand_below_what_they_are_of(monkeypatch, capsys):
    checks = [Check("Manifest", holds=True, found="x"), Check(f"Ordered ({LONG})", holds=False, found="y" * 50)]
    monkeypatch.setenv("COLUMNS", "60")
    show_checks(checks)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:4] == ["verify", "holds   Manifest  x", LONG, f"BROKEN  Ordered   {'y' * 42}"]


def test_no_colour_where_none_is_wanted(built):
    code = "from tokenladder.pipelines.commands.cli import cli; cli(['verify', " + repr(str(built.out)) + "])"
    for more, coloured in (({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PATH": "", "TERM": "xterm-256color", **more},
            capture_output=True,
            check=True,
        )
        assert (b"\x1b[32m" in done.stdout) == coloured


def test_what_is_verified_as_json_and_quietly(built, tmp_path):
    checks = json.loads(run("verify", built.out, "--json").output)
    assert all(check["holds"] for check in checks)
    assert {"promise", "holds", "found"} == set(checks[0])
    assert run("verify", built.out, "--quiet").output == ""
    broken = run("verify", tmp_path / "none", "--quiet")
    assert broken.exit_code != 0
    assert "none" in broken.output


def test_sequences_as_json(built):
    lines = [json.loads(line) for line in run("decode", built.out, "all", "1:3", "--json").output.splitlines()]
    assert [line["number"] for line in lines] == [1, 2]
    assert sum(piece["length"] for piece in lines[0]["pieces"]) == little.LENGTH


def test_an_export_can_be_quiet(built, tmp_path):
    arguments = ("export", built.out, "all", "--format", "nanogpt", "--out", tmp_path / "x")
    assert run(*arguments, "--quiet").output == ""
    assert (tmp_path / "x" / "export.json").exists()


def test_the_report_and_the_card_as_json_and_quietly(built, tmp_path):
    numbers = json.loads(run("report", built.out, "--json").output)
    assert numbers == json.loads((built.out / NUMBERS).read_text())
    assert "samples" not in json.loads(run("report", built.out, "--json", "--no-samples").output)
    assert run("report", built.out, "--quiet", "--to", tmp_path / "page.html").output == ""
    assert (tmp_path / "page.html").read_bytes() == (built.out / PAGE).read_bytes()
    assert run("card", built.out, "--json").output == (built.out / "croissant.json").read_text()
    assert run("card", built.out, "--write", "--quiet").output == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell):
    script = run("completion", shell)
    assert script.exit_code == 0
    assert f"_TOKENLADDER_COMPLETE={shell}_complete" in script.output
    words = {"COMP_WORDS": "tokenladder ver", "COMP_CWORD": "1" if shell != "fish" else "ver"}
    code = "from tokenladder.pipelines.commands.cli import cli; cli(prog_name='tokenladder')"
    environment = {"PATH": "", "_TOKENLADDER_COMPLETE": f"{shell}_complete", **words}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "verify" in done.stdout
    assert "build" not in done.stdout


def completed(line, incomplete):
    """What Tab offers after a line."""
    found = ShellComplete(cli, {}, "tokenladder", "_TOKENLADDER_COMPLETE").get_completions(line.split(), incomplete)
    return [(one.value if one.type == "plain" else one.type) for one in found]


def test_names_of_a_build_are_offered(built, tmp_path):
    out, rungs = built.out, [rung["name"] for rung in built.manifest["recipes"]["all"]["rungs"]]
    assert completed(f"sample {out} --recipe", "") == ["all"]
    assert completed(f"sample {out} --recipe", "x") == []
    assert completed(f"grep the {out} --recipe all --rung", "") == rungs
    assert completed(f"grep the {out} --recipe other --rung", "") == []
    assert completed(f"sample {out} --source", "w") == completed(f"sample {out} --stratum", "w") == ["web"]
    assert completed(f"export {out}", "all-") == [f"all-{rung}" for rung in rungs]
    assert completed(f"decode {out}", "") == ["all", *list_rungs(out)]
    assert completed(f"train-tokenizer {tmp_path} {out} --recipe", "") == ["all"]
    assert (
        completed("diff", str(out)) == completed("diff", f"{out}:a") == completed("diff", f"{out}/") == [f"{out}:all"]
    )
    assert completed(f"diff {out}:all", str(out.parent)) == ["dir"]


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"recipes": 3}', "{}"])
def test_a_damaged_build_offers_nothing(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    assert completed(f"sample {tmp_path} --recipe", "") == completed("sample gone --rung", "") == []
    assert completed("sample --recipe", "") == []


LOOKS = """
import sys
from tokenladder.pipelines.commands.cli import main
try:
    main()
finally:
    print([name for name in ("apache_beam", "numba", "pandas", "scipy") if name in sys.modules])
"""


def test_looking_something_up_starts_without_heavy_libraries(built):
    ledger = built.manifest["recipes"]["all"]["ledger"][0]["path"]
    document = pq.read_table(built.out / ledger, columns=["document"]).column(0)[0].as_py()
    command = [sys.executable, "-c", LOOKS, "explain", str(built.out), document]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert document in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_module_that_is_left_out_is_not_found():
    code = (
        "import json.tool; from tokenladder.pipelines.commands.absent import do_without; do_without('csv'); import csv"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'csv': this command does without."


def test_every_reading_command_prints_json():
    reading = [
        "card",
        "count-tokens",
        "decode",
        "design",
        "diff",
        "explain",
        "fit",
        "grep",
        "plan",
        "reconcile",
        "report",
        "sample",
        "status",
        "verify",
    ]
    without = [name for name in reading if "--json" not in run(name, "--help").output]
    assert without == []


def test_spaces_of_any_width_are_shown_and_what_commands_a_terminal_is_not():
    text = "7.\u00a0The\u3000Menu\u2009\n\tx\x1b[2J\u202e\u2028"
    assert printable_text(text) == "7.\u00a0The\u3000Menu\u2009\n\tx\ufffd[2J\ufffd\ufffd"
    assert printable("a\u00a0b\nc") == "a\u00a0b\ufffdc"
