"""The journal of builds in a folder, `OUT/.build/progress.jsonl`: for dashboards that tail it, and for `status`.

One JSON object a line, each with `time` (seconds since 1970) and `event`:

    build      a build begins: `study`, `host`, `pid`, `notes` (the folder in which its workers keep notes)
    stage      `stage`, `done`, `of`, `seconds`, `rate` and its `unit`, `left` (seconds; null where nothing is known)
    rejected   after reading: for each source `rejected` and `records`
    end        `status`: done or failed

Lines are appended, so builds follow one another; on an object store, which cannot append, the file is put again with
the lines of this build. Nothing here goes into the result or its hash, and no text of a document.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import Any

from ..files import store

COMPILING = "Kernels are compiled where they are first used, once for an installation: a minute or two."
"""What is said where a person would wait for that."""

NAME = ".build/progress.jsonl"

PUT_SECONDS = 15.0
"""Between two puts on an object store."""


class Journal:
    """Writes the journal of one build; the file is touched when there is something to tell, and not before."""

    def __init__(self, out: str, study: str) -> None:
        """Name the folder of the result and the study; nothing is written yet."""
        self.notes = store.join(out, ".build", "notes", f"{socket.gethostname()}@{os.getpid()}-{time.time_ns()}")
        self._out, self._study = out, study
        self._path = store.join(out, NAME)
        self._lines: list[str] = []
        self._put = float("-inf")

    @property
    def begun(self) -> bool:
        """Whether anything was told."""
        return bool(self._lines)

    def tell(self, event: str, **values: Any) -> None:
        """Add a line. A journal that cannot be written ends no build."""
        with contextlib.suppress(OSError):
            if not self._lines:
                self._begin()
            self._append(event, values)

    def _begin(self) -> None:
        notes = store.join(self._out, ".build", "notes")
        for name in store.names(notes):
            with contextlib.suppress(OSError):  # what others left there, or what a network disk still holds
                store.remove_folder(store.join(notes, name))  # of builds before this one, which holds the folder's lock
        where = {"host": socket.gethostname(), "pid": os.getpid(), "notes": self.notes}
        self._append("build", {"study": self._study, **where})

    def _append(self, event: str, values: dict[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values}) + "\n"
        self._lines.append(line)
        if not store.is_remote(self._path):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._path, "a+b", buffering=0) as file:
                if file.tell() and _last(file) != b"\n":
                    line = "\n" + line  # a killed build left half a line
                file.write(line.encode())  # one call: a reader sees a line or none
        elif event != "stage" or time.monotonic() - self._put > PUT_SECONDS:
            store.write_bytes(self._path, "".join(self._lines).encode())
            self._put = time.monotonic()


def _last(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))


def read(out: str) -> list[dict[str, Any]]:
    """The lines of the last build in a folder, from its `build` on; empty where none told anything.

    Lines that are no JSON, such as half of one that is just being written, are left out.
    """
    path = store.join(out, NAME)
    if not store.exists(path):
        return []
    lines: list[dict[str, Any]] = []
    for text in store.read_bytes(path).decode("utf-8", "replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"time", "event"} <= line.keys():
            if line["event"] == "build":
                lines = [line]
            elif lines:  # a file that was cut off by others may begin within a build
                lines.append(line)
    return lines
