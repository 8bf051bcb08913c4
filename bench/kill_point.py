"""A process that kills itself when it puts one certain file in place, or tells of every file that it puts.

Armed by environment variables, in the process that builds and, over a `sitecustomize`, in its child processes:

- `KILL_LOG`: a file to which every file put in place adds its path.
- `KILL_POINT`: JSON with `path`, `when` (`before` or `after` it is put), `driver` (whether the process that builds dies
  with it), and `mark`, a file made at the kill, so that there is one: whoever is started again goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp-"


def arm() -> None:
    """Do from now on what the environment says."""
    log, told = os.environ.get("KILL_LOG"), os.environ.get("KILL_POINT")
    if not log and not told:
        return
    point: dict[str, Any] = json.loads(told) if told else {"path": "", "when": ""}
    replace = os.replace

    def put(temporary: str, path: str) -> None:
        if path == point["path"] and point["when"] == "before":
            _kill(point)
        replace(temporary, path)
        if log and TEMPORARY not in path:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{path}\n")
        if path == point["path"] and point["when"] == "after":
            _kill(point)

    os.replace = put  # type: ignore[assignment] # takes what the package gives it


def _kill(point: dict[str, Any]) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(point["mark"], os.O_CREAT | os.O_EXCL))
        if point["driver"] and os.environ["KILL_DRIVER"] != str(os.getpid()):
            os.kill(int(os.environ["KILL_DRIVER"]), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
