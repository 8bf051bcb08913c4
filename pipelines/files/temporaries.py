"""Temporary names on local disks: whose they are, and what dead processes left under them."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp-"
_counter = itertools.count()


def temporary_name(name: str) -> str:
    """A name for a file or a folder that no other thread, process or machine uses.

    `sweep` deletes it once its process is gone; `store.names` does not list it.
    """
    return f"{TEMPORARY}{_owner()}-{next(_counter)}-{name}"[:200]


def _owner() -> str:
    return f"{socket.gethostname()}@{os.getpid()}-{threading.get_ident()}"  # no host's name holds an @


def sweep(folder: str) -> int:
    """Delete what has a temporary name below a local folder and belongs to no living process of this machine.

    Returns:
        How many files and folders; 0 for an object store, which has no temporary names.
    """
    swept = 0
    for parent, folders, files in os.walk(folder):
        for name in filter(_is_left_behind, files):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(parent, name))
            swept += 1
        for name in list(filter(_is_left_behind, folders)):
            with suppress(FileNotFoundError):
                shutil.rmtree(os.path.join(parent, name))
            folders.remove(name)
            swept += 1
    return swept


def _is_left_behind(name: str) -> bool:
    mine = f"{TEMPORARY}{socket.gethostname()}@"
    if not name.startswith(mine):
        return False
    pid = name.removeprefix(mine).split("-", 1)[0]
    return pid.isdigit() and int(pid) != os.getpid() and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs, whoever owns it."""
    if Path(f"/proc/{pid}").exists():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
