"""Notes of workers: how long tasks take, which were the slowest, how many records were rejected, and what is going on.

Each worker process keeps one small file, `HOST@PID.json` in the build's folder of notes, and puts it in place again
every few seconds: as many files as there are workers, however many tasks. The driver and `tokenladder status` add them
up. They are for people: not part of a result, and a note that cannot be written is lost in silence.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from ..files import store
from ..files.parts import read_all
from ..files.schema import REJECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOWEST = 5
"""Tasks of a stage that are kept by name."""

SECONDS = 2.0
"""Between two writes of a worker's file."""


class Notebook:
    """The notes of this process for one build."""

    def __init__(self, folder: str) -> None:
        """Name the build's folder of notes; none for work that nobody watches."""
        self._path = store.join(folder, f"{socket.gethostname()}@{os.getpid()}.json") if folder else ""
        self._lock = threading.Lock()
        self._stages: dict[str, dict[str, Any]] = {}
        self._now: dict[int, dict[str, Any]] = {}
        self._written = float("-inf")

    @contextlib.contextmanager
    def task(self, stage: str, payload: dict[str, Any]) -> Iterator[_Task]:
        """Time a task; the body may say how far it is and what it gave."""
        thread, began = threading.get_ident(), time.time()
        name = name_of(payload)
        now: dict[str, Any] = {"stage": stage, "task": name, "since": round(began, 3), "record": 0}
        one = _Task(lambda record: self._at(now, record))
        with self._lock:
            self._now[thread] = now
        self._write()
        try:
            yield one
        finally:
            with self._lock:
                self._now.pop(thread, None)
                self._add(stage, name, time.time() - began, one.value)
            self._write()

    def _at(self, now: dict[str, Any], record: int) -> None:
        now["record"] = record
        self._write()

    def _add(self, stage: str, task: str, seconds: float, value: Any) -> None:
        empty = {"tasks": 0, "seconds": 0.0, "slowest": [], "records": 0, "rejected": 0}
        kept = self._stages.setdefault(stage, empty)
        kept["tasks"] += 1
        kept["seconds"] += seconds
        kept["slowest"] = heapq.nlargest(SLOWEST, [*kept["slowest"], [round(seconds, 3), task]])
        if isinstance(value, dict) and "outcomes" in value:  # of a slice that was read
            kept["records"] += sum(part["rows"] for part in value["parts"])
            kept["rejected"] += sum(one["records"] for one in value["outcomes"] if one["outcome"] == REJECTED)

    def flush(self) -> None:
        """Write what is noted, now."""
        self._write(least=0.0)

    def _write(self, least: float | None = None) -> None:
        with self._lock:
            if not self._path or time.monotonic() - self._written < (SECONDS if least is None else least):
                return
            self._written = time.monotonic()
            value = {"stages": self._stages, "now": list(self._now.values())}
            with contextlib.suppress(OSError):
                store.write_json(self._path, value)


class _Task:
    """What the body of `Notebook.task` tells.

    Attributes:
        at: To be called with the number of the record that is worked on.
        value: What the task gave.
    """

    def __init__(self, at: Callable[[int], None]) -> None:
        self.at = at
        self.value: Any = None


_notebooks: dict[str, Notebook] = {}
_notebooks_lock = threading.Lock()


def notebook(folder: str) -> Notebook:
    """The notebook of this process for a build's folder of notes."""
    with _notebooks_lock:
        if folder not in _notebooks:
            _notebooks[folder] = Notebook(folder)
        return _notebooks[folder]


def name_of(payload: dict[str, Any]) -> str:
    """What a task works on, for people: a raw file, a part, a shard.

    >>> name_of({"part": {"source": "web", "id": "0a/1b/00000"}, "ordinal": 3}), name_of({"shard": "out/shards/a/0"})
    ('web, part 0a/1b/00000', 'out/shards/a/0')
    """
    part = payload.get("part")
    if "slice" in payload:
        files, start = json.loads(payload["slice"])[:2]
        more = f" and {len(files) - 1} more" if len(files) > 1 else f" from {start:,} on" if start else ""
        return f"{files[0][0]}{more}"[:200]
    if isinstance(part, dict):
        return f"{part['source']}, part {part['id']}"
    return str(part or payload.get("shard") or payload.get("path") or payload.get("name") or "")[:200]


def read(folder: str) -> dict[str, Any]:
    """The sum of all workers' notes: `stages` by name, and `now`, the tasks at work, each with its `worker`."""
    stages: dict[str, dict[str, Any]] = {}
    now: list[dict[str, Any]] = []
    paths = [store.join(folder, name) for name in sorted(store.names(folder))]
    for path, one in zip(paths, read_all(_read, paths), strict=True):
        worker = path.rpartition("/")[2].removesuffix(".json")
        now += [{**task, "worker": worker} for task in one["now"]]
        for stage, kept in one["stages"].items():
            if stage not in stages:
                stages[stage] = kept
                continue
            into = stages[stage]
            for key in ("tasks", "seconds", "records", "rejected"):
                into[key] += kept[key]
            into["slowest"] = heapq.nlargest(SLOWEST, [*into["slowest"], *kept["slowest"]])
    return {"stages": stages, "now": now}


def _read(path: str) -> dict[str, Any]:
    try:
        value = store.read_json(path)
    except (OSError, ValueError):
        return {"stages": {}, "now": []}
    return value if isinstance(value, dict) else {"stages": {}, "now": []}
