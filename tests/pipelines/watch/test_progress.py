"""What a build says: plain lines where there is no terminal, and never a failure of its own."""

from __future__ import annotations

import io
import re
import threading

import pytest
from rich.console import Console

from tokenladder.pipelines.watch import progress
from tokenladder.pipelines.watch.progress import Reporter


def reporter(*, terminal=False, quiet=False):
    out = io.StringIO()
    made = Reporter(quiet=quiet)
    made.console = Console(file=out, highlight=False, force_terminal=terminal, width=100)
    return made, out


@pytest.mark.parametrize(
    ("done", "megabytes", "seconds", "expected"),
    [
        (0, 10.0, 2.0, "read: 0 of 8, 2.0 s"),
        (2, 10.0, 2.0, "read: 2 of 8, 2.0 s, 1.2 MB/s, about 6 s left"),
        (8, 10.0, 4.0, "read: 8 of 8, 4.0 s, 2.5 MB/s"),
        (8, 0.0, 0.0, "read: 8 of 8, 0.0 s"),
    ],
)
def test_a_line(done, megabytes, seconds, expected):
    assert progress._line("read", done, 8, megabytes, seconds) == expected


def test_plain_lines_at_the_start_and_at_the_end():
    made, out = reporter()
    with made.stage("pack [all]", 3, lambda: 0):
        pass
    first, last = out.getvalue().splitlines()
    assert first == "pack [all]: 3 to do"
    assert last.startswith("pack [all]: 3 of 3, ")


def test_lines_between_them_and_a_count_that_fails(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.01)
    made, out = reporter()
    asked, twice = [], threading.Event()

    def count():
        asked.append(None)
        if len(asked) == 2:  # the first line is written by now
            twice.set()
        raise OSError("the listing failed")

    with made.stage("pack", 3, count):
        assert twice.wait(timeout=60)
    assert "pack: 0 of 3" in out.getvalue()


def test_a_terminal_has_a_live_line():
    made, out = reporter(terminal=True)
    with made.stage("pack", 3, lambda: 1):
        pass
    assert "pack: 3 of 3" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stage_that_fails_is_not_told_as_done(terminal):
    made, out = reporter(terminal=terminal)
    with pytest.raises(OSError, match="full"), made.stage("pack", 3, lambda: 0):
        raise OSError("full")
    assert "3 of 3" not in out.getvalue()


@pytest.mark.parametrize(("quiet", "total"), [(True, 3), (False, 0)])
def test_nothing_to_say(quiet, total):
    made, out = reporter(quiet=quiet)
    with made.stage("pack", total, lambda: 0):
        pass
    assert out.getvalue() == ""


@pytest.mark.parametrize(("megabytes", "shown"), [(100.0, r"\b[0-9]+\.[0-9] MB/s"), (0.0, r"\b[0-9]+\.[0-9] parts/s")])
def test_a_terminal_shows_how_fast_it_goes(monkeypatch, megabytes, shown):
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0.01)
    made, out = reporter(terminal=True)
    finished, seen = [0], threading.Event()

    def done():
        finished[0] += 1
        if finished[0] > 40:
            seen.set()
        return finished[0]

    with made.stage("read", 1000, done, megabytes):
        assert seen.wait(60)
    assert re.search(shown, out.getvalue())


def test_a_stage_that_stands_still_is_told(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    one = progress._Stage("encode", 3, 0.0)
    found = []
    for minutes, state in [
        (0, (0, "")),
        (9, (0, "")),
        (11, (0, "")),
        (12, (0, "")),
        (13, (1, "")),
        (22, (1, "")),
        (24, (1, "")),
    ]:
        now[0] = 60.0 * minutes
        found.append(one.stands_still(state))
    assert found == [False, False, True, False, False, False, True]
    at_work = [{"since": n, "worker": f"here@{n}", "task": f"a{n}.jsonl"} for n in (7, 5, 6)]
    told = "encode: nothing was finished for 10 min{}. A worker that hangs can be ended."
    assert progress._still("encode", at_work) == told.format("; longest at work: here@5, a5.jsonl")
    assert progress._still("encode", []) == told.format("")
