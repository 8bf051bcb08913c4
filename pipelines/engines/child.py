"""The child process of `isolate`: reads calls from its standard input, one JSON line each, and answers likewise.

It imports only what a call names, and never Beam: starting one costs the time of numpy and pyarrow.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import mmap
import os
import sys
import time
import traceback
from typing import Any

from ..files.patience import ANSWERED
from .allocators import settle

MEMORY_BYTES = 6 << 30
"""Limit on a child's private memory. A page of 64 MiB at most takes some fifty times its size to parse."""

ORPHAN_SECONDS = 3600.0
"""A child whose parent was killed ends when its pipe closes; one that hangs in native code ends after so long."""

OUT_OF_MEMORY = 77
"""Exit status of a child that met its limit of memory where nothing rejected the record; its parent tries again."""

SCORING = 1 << 40
"""What is added to a record's ordinal while its score is computed on its own; twice as much for the second score."""

ENCODING = 1 << 60
"""What is added to the row of a document while it is encoded on its own."""

SCORES = 1 << 10
"""Numbers of scores that the ordinal of a batch can tell apart."""

ALLOWED = "tokenladder."


def of_batch(first: int, score: int = 0) -> int:
    """The ordinal of a whole batch that is worked on at once, below -1; -1 is no work that stands still for long.

    Args:
        first: Its first record or row.
        score: The number of the score that is computed.

    >>> of_batch(8192, 3), score_of(of_batch(8192, 3))
    (-8388613, 3)
    """
    return -2 - first * SCORES - min(score, SCORES - 1)


def score_of(ordinal: int) -> int:
    """The number of the score that is computed, of the ordinal of a batch."""
    return (-2 - ordinal) % SCORES


def main() -> None:
    """Serve calls until standard input closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not reach the pipe
    settle()
    ANSWERED.set()
    _limit_memory()
    at = _Cell(mmap.mmap(int(sys.argv[1]), 8))

    for line in sys.stdin.buffer:
        call = json.loads(line)
        at(-1)
        try:
            answers.write(json.dumps(_answer(call, at)).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:  # the parent is gone
            return
        at.rest()


class _Cell:
    """Where the parent sees the record that is being worked on; keeps a watchdog that needs no interpreter."""

    def __init__(self, cell: mmap.mmap) -> None:
        self._cell = cell
        self._nowhere = open(os.devnull, "w")  # noqa: SIM115 lives as long as the process
        self._armed = -ORPHAN_SECONDS

    def __call__(self, ordinal: int) -> None:
        self._cell[:8] = ordinal.to_bytes(8, sys.byteorder, signed=True)
        now = time.monotonic()
        if now - self._armed > ORPHAN_SECONDS / 60:  # arming starts a thread: 50 µs, as long as a short page takes
            faulthandler.dump_traceback_later(ORPHAN_SECONDS, exit=True, file=self._nowhere)
            self._armed = now

    def rest(self) -> None:
        """Between calls nothing is watched."""
        self(-1)
        faulthandler.cancel_dump_traceback_later()
        self._armed = -ORPHAN_SECONDS


def _answer(call: dict[str, Any], at: Any) -> dict[str, Any]:
    from ..files.store import UserError

    try:
        module, _, function = call["target"].partition(":")
        if not module.startswith(ALLOWED):
            raise ValueError(f"{module} is not a module of this package")  # noqa: TRY301 answered like any other
        return {"value": getattr(importlib.import_module(module), function)(call["payload"], at=at)}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # of the whole task, which is tried again, or of one record, which is then rejected
    except UserError as error:
        return {"kind": "UserError", "message": str(error)}
    except OSError as error:
        return {"kind": "OSError", "message": str(error)}
    except Exception:  # noqa: BLE001 the parent raises it again with this traceback
        return {"kind": "RuntimeError", "message": traceback.format_exc()}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    if soft == resource.RLIM_INFINITY or soft > wanted:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


if __name__ == "__main__":
    main()
