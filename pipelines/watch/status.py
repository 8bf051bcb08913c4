"""Status: how far a build is, from any terminal, by its journal and its workers' notes."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from ..files import store
from ..files.temporaries import is_alive
from . import journal, notes

if TYPE_CHECKING:
    from rich.table import Table

SILENT_SECONDS = 120.0
"""A build of another machine that told nothing for so long is likely gone: it tells something every 15 seconds."""

NARROW = 72
"""Columns of a terminal that has no room for rates."""


def status(out: str) -> dict[str, Any]:
    """How far the last build in a folder is.

    Args:
        out: Folder of the result.

    Returns:
        `study`, `state` (`running`, `done`, `failed`, `killed` or `silent`), `seconds` since it began, `silent` (since
        it told something), `stages` (in order, as the journal has them, with `tasks`, `task_seconds` and `slowest`
        where workers noted any), `rejected` (by source) and `now` (what was being worked on).

    Raises:
        UserError: No build told anything there.
    """
    out = store.absolute(out)
    lines = journal.read(out)
    if not lines:
        raise store.UserError(f"{out}: no build has told of its progress here. Give the folder of a build (--out).")
    begin, last = lines[0], lines[-1]
    noted = notes.read(begin["notes"])
    stages: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["event"] == "stage":
            keys = ("stage", "done", "of", "seconds", "rate", "unit", "left")
            stages[line["stage"]] = {key: line[key] for key in keys}
    for name, kept in noted["stages"].items():
        for stage in stages.values():
            if stage["stage"].partition(" [")[0] == name:
                stage |= {"tasks": kept["tasks"], "task_seconds": kept["seconds"], "slowest": kept["slowest"]}
    rejected = [line["sources"] for line in lines if line["event"] == "rejected"]
    running = [kept for kept in noted["stages"].values() if kept["records"]]
    so_far = {key: sum(kept[key] for kept in running) for key in ("rejected", "records")}
    state = _state(begin, last)
    return {
        "out": out,
        "study": begin["study"],
        "state": state,
        "seconds": round((last["time"] if last["event"] == "end" else time.time()) - begin["time"], 1),
        "silent": round(time.time() - last["time"], 1),
        "stages": list(stages.values()),
        "rejected": rejected[-1] if rejected else {"all sources, so far": so_far} if running else {},
        "now": _at_work(noted["now"], stages) if state == "running" else [],
    }


def _at_work(now: list[dict[str, Any]], stages: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks of stages that go on: a worker that its engine ends with a stage has not told that its task is done."""
    over: dict[str, bool] = {}
    for stage in stages.values():
        name = stage["stage"].partition(" [")[0]
        over[name] = over.get(name, True) and stage["done"] >= stage["of"]
    return [one for one in now if not over.get(one["stage"])]


def _state(begin: dict[str, Any], last: dict[str, Any]) -> str:
    if last["event"] == "end":
        return str(last["status"])
    if begin["host"] == socket.gethostname():
        return "running" if is_alive(begin["pid"]) else "killed"
    return "running" if time.time() - last["time"] < SILENT_SECONDS else "silent"


def show(found: dict[str, Any]) -> None:
    """Print it."""
    from rich.console import Console

    console = Console(highlight=False)
    state = {"killed": "killed; the same command goes on from there", "silent": "silent; it was killed, or is cut off"}
    told = f"{found['study']}: {state.get(found['state'], found['state'])}, {_time(found['seconds'])}"
    console.print(told, markup=False)
    console.print(_stages(found["stages"], console.width))
    for source, one in found["rejected"].items():
        share = one["rejected"] / one["records"] if one["records"] else 0.0
        told = f"{source}: {one['rejected']:,} of {one['records']:,} records rejected as unreadable ({share:.2%})"
        console.print(told, markup=False)
    slowest = [(stage["stage"], one) for stage in found["stages"] for one in stage.get("slowest", [])]
    for stage, (seconds, task) in sorted(slowest, key=lambda item: -item[1][0])[: notes.SLOWEST]:
        console.print(f"slow: {seconds:.1f} s in {stage}: {task}", markup=False)
    for one in sorted(found["now"], key=lambda one: float(one["since"])):
        told = f"at work for {_time(time.time() - one['since'])} in {one['stage']}, {one['worker']}: {one['task']}"
        console.print(told + (f", record {one['record']:,}" if one["record"] else ""), markup=False)


def _stages(stages: list[dict[str, Any]], width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("stage", overflow="fold")
    names: tuple[str, ...] = ("done", "of", "time", "rate", "left", "mean task")
    if width < NARROW:  # what would be cut off is left out
        names = names[:3]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for one in stages:
        rate = f"{one['rate']:.3g} {one['unit']}" if one["rate"] else ""
        mean = f"{one['task_seconds'] / one['tasks']:.2f} s" if one.get("tasks") else ""
        left = "" if one["left"] is None or one["done"] == one["of"] else _time(one["left"])
        numbers = (f"{one['done']:,}", f"{one['of']:,}", _time(one["seconds"]), rate, left, mean)
        table.add_row(Text(one["stage"]), *numbers[: len(names)])
    return table


def _time(seconds: float) -> str:
    """A duration for people.

    >>> _time(8.25), _time(127), _time(90000)
    ('8.2 s', '2 min 07 s', '25 h 00 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
