"""The journal of a build, its workers' notes, and what `status` makes of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import little
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.watch import journal, notes, progress, status
from tokenladder.pipelines.watch.journal import NAME, Journal
from tokenladder.pipelines.watch.progress import Reporter

PRIVATE = "plumbago"


def events(out):
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


def test_a_build_tells_its_stages_and_no_text(tmp_path, caplog, capfd):
    rows = little.corpus(5, 60)
    rows[7]["text"] += f" {PRIVATE}"
    bad = {"id": "bad", "text": None}
    study = little.write_study(
        tmp_path,
        {"web": little.write_jsonl(tmp_path / "a.jsonl", [*rows, bad])},
        held_out={"tokens": 5 * little.LENGTH},
        max_rejected=0.5,
    )
    little.build(study, tmp_path / "out", beam=["--direct_num_workers=2"])
    told = events(tmp_path / "out")
    assert [one["event"] for one in told if one["event"] != "stage"] == ["build", "rejected", "end"]
    assert told[-1]["status"] == "done"
    (sources,) = (one["sources"] for one in told if one["event"] == "rejected")
    assert sources == {"web": {"rejected": 1, "records": 61}}
    stages = [one for one in told if one["event"] == "stage"]
    first = {one["stage"]: one for one in reversed(stages)}
    last = {one["stage"]: one for one in stages}
    assert {"read and score", "find candidates", "encode [held-out set]", "encode", "pack", "account"} <= set(last)
    assert all(one["done"] == 0 for one in first.values())
    assert all(one["done"] == one["of"] and one["left"] == 0 for one in last.values())
    noted = notes.read(told[0]["notes"])
    assert noted["now"] == []
    kept = noted["stages"]["read and score"]
    assert (kept["tasks"], kept["records"], kept["rejected"]) == (1, 61, 1)
    assert kept["slowest"][0][1] == "a.jsonl"
    said = capfd.readouterr()
    everything = "".join(
        [(tmp_path / "out" / NAME).read_text(), json.dumps(noted), said.out, said.err, caplog.text]
        + [path.read_text(errors="replace") for path in (tmp_path / "out" / ".build").rglob("*") if path.is_file()]
    )
    assert PRIVATE not in everything
    shown = CliRunner().invoke(cli, ["build", "--status", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "web: 1 of 61 records rejected as unreadable (1.64%)" in shown.output
    assert "encode [held-out set]" in shown.output
    found = json.loads(CliRunner().invoke(cli, ["status", str(tmp_path / "out"), "--json"]).output)
    assert (found["study"], found["state"], found["now"]) == ("little", "done", [])
    assert [one["stage"] for one in found["stages"]] == list(first)[::-1]


def test_a_build_with_nothing_to_do_tells_nothing(tmp_path):
    study = little.write_study(tmp_path, {"web": little.write_jsonl(tmp_path / "a.jsonl", little.corpus(6, 60))})
    little.build(study, tmp_path / "out")
    before = events(tmp_path / "out")
    little.build(study, tmp_path / "out")
    assert events(tmp_path / "out") == before


def test_a_build_that_fails_says_so(tmp_path):
    report = Reporter(quiet=True)
    with pytest.raises(OSError, match="full"), report.to(Journal(str(tmp_path), "s")), report.stage("pack", 3, int):
        raise OSError("full")
    assert [one.get("status") for one in events(tmp_path)] == [None, None, "failed"]
    assert status.status(str(tmp_path))["state"] == "failed"


def test_half_a_line_of_a_killed_build_is_passed_over(tmp_path):
    for study in ("first", "second"):
        one = Journal(str(tmp_path), study)
        one.tell("stage", stage="pack", done=0, of=3)
        with (tmp_path / NAME).open("a") as file:
            file.write('{"time": 3, "eve')
    assert [(one["event"], one.get("study")) for one in journal.read(str(tmp_path))] == [
        ("build", "second"),
        ("stage", None),
    ]
    assert (tmp_path / NAME).read_text().count("\n") == 5  # and each whole line stands alone


def test_a_journal_that_cannot_be_written_ends_no_build(tmp_path):
    (tmp_path / ".build").write_text("a file where a folder should be")
    Journal(str(tmp_path), "s").tell("stage", stage="pack")


def test_what_others_left_among_the_notes_hides_no_build(tmp_path):
    (tmp_path / ".build" / "notes").mkdir(parents=True)
    (tmp_path / ".build" / "notes" / "left").write_text("not a folder")
    Journal(str(tmp_path), "s").tell("stage", stage="pack")
    assert [one["event"] for one in events(tmp_path)] == ["build", "stage"]


def test_a_journal_that_begins_within_a_build_is_passed_over(tmp_path):
    (tmp_path / ".build").mkdir()
    (tmp_path / NAME).write_text('{"time": 3, "event": "end", "status": "done"}\n')
    with pytest.raises(UserError, match="no build has told of its progress here"):
        status.status(str(tmp_path))


@pytest.mark.parametrize(
    ("host", "pid", "silent", "state"),
    [
        (socket.gethostname(), "own", 900, "running"),
        (socket.gethostname(), None, 5, "killed"),
        ("another", 1, 5, "running"),
        ("another", 1, 900, "silent"),
    ],
)
def test_states(tmp_path, monkeypatch, host, pid, silent, state):  # noqa: PLR0917
    if pid == "own":  # a number in the test's name would differ between the processes of one run
        pid = os.getpid()
    if pid is None:
        with subprocess.Popen([sys.executable, "-c", ""]) as dead:
            dead.wait()
        pid = dead.pid
    monkeypatch.setattr(journal.socket, "gethostname", lambda: host)
    monkeypatch.setattr(journal.os, "getpid", lambda: pid)
    now = status.time.time()
    monkeypatch.setattr(journal.time, "time", lambda: now - silent)
    one = Journal(str(tmp_path), "s")
    values = {"seconds": 8.0, "rate": 0.5, "unit": "MB/s", "left": 70.0}
    one.tell("stage", stage="read [x]", done=1, of=9, **values)
    monkeypatch.undo()
    found = status.status(str(tmp_path))
    assert (found["state"], found["stages"]) == (state, [{"stage": "read [x]", "done": 1, "of": 9, **values}])
    status.show(found)


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_numbers_are_never_cut(tmp_path, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    values = {"seconds": 8.0, "rate": 123.5, "unit": "parts/s", "left": 70.0}
    Journal(str(tmp_path), "s").tell("stage", stage="compare candidates", done=12345, of=67890, **values)
    status.show(status.status(str(tmp_path)))
    shown = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert {"12,345", "67,890"} <= set(shown.split())
    assert ("124 parts/s" in shown) == (width > 60)


def test_no_build(tmp_path):
    with pytest.raises(UserError, match=r"no build has told of its progress here\. Give the folder of a build"):
        status.status(str(tmp_path))


def test_notes_add_up(tmp_path, monkeypatch):
    folder = str(tmp_path)
    read = {"outcomes": [{"outcome": "rejected", "records": 2}, {"outcome": "dropped", "records": 9}]}
    for pid in (1, 2):
        monkeypatch.setattr(notes.os, "getpid", lambda pid=pid: pid)
        book = notes.Notebook(folder)
        for n in range(4):
            with book.task("read", {"path": f"{pid}/{n}"}) as task:
                task.value = {**read, "parts": [{"rows": 5}, {"rows": 6}]}
        with pytest.raises(OSError, match="lost"), book.task("read", {"path": "fails"}):
            raise OSError("lost")
        book.flush()
    (tmp_path / "half.json").write_text('{"sta')
    found = notes.read(folder)
    kept = found["stages"]["read"]
    assert (kept["tasks"], kept["records"], kept["rejected"], found["now"]) == (10, 88, 16, [])
    assert len(kept["slowest"]) == notes.SLOWEST


def test_the_record_at_work_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "SECONDS", 0.0)
    one = Journal(str(tmp_path), "s")
    report = Reporter(quiet=True)
    with report.to(one), report.about("x"), report.stage("read", 2, int):
        with notes.notebook(one.notes).task("read", {"part": {"source": "web", "id": "a/0"}}) as task:
            task.at(12345)
            assert progress._activity(report._at_work("read [x]")) == ", 12,345 records into 1 task at work"
            (now,) = status.status(str(tmp_path))["now"]
            assert (now["stage"], now["task"], now["record"]) == ("read", "web, part a/0", 12345)
        assert progress._activity(report._at_work("read [x]")) == ""


def test_a_task_of_a_finished_stage_is_not_at_work(tmp_path):
    """An engine that ends its workers with each stage leaves them no time to note the end."""
    one = Journal(str(tmp_path), "s")
    values = {"seconds": 8.0, "rate": 0.5, "unit": "MB/s", "left": 70.0}
    tasks = {name: {"stage": name, "since": 0.0, "task": "x", "record": 0} for name in ("choose", "encode", "pack")}
    for stage, done in {"choose": 2, "encode [held-out set]": 2, "encode": 1}.items():
        one.tell("stage", stage=stage, done=done, of=2, **values)
    store.write_json(store.join(one.notes, "vm@1.json"), {"stages": {}, "now": list(tasks.values())})
    assert [task["stage"] for task in status.status(str(tmp_path))["now"]] == ["encode", "pack"]


def test_a_dashboard_hears_of_a_long_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.005)
    one, report = Journal(str(tmp_path), "s"), Reporter(quiet=True)
    seen = progress.threading.Event()
    asked = []

    def done():
        asked.append(None)
        if len(asked) > 5:
            seen.set()
        return 1

    with report.to(one), report.stage("pack", 4, done, 8.0):
        assert seen.wait(60)
    between = [line for line in events(tmp_path) if line.get("done") == 1]
    assert between
    assert {(line["of"], line["unit"]) for line in between} == {(4, "MB/s")}
    assert all(line["left"] >= 0 and line["rate"] > 0 for line in between)
    assert store.names(str(tmp_path / ".build")) == {"progress.jsonl"}
