"""What a job service says of a job that failed, made short for people, with all of it in a file.

Flink's and Spark's job servers send one text: Java's stack, which holds Python's traceback where a worker raised. Of
some 80 lines, one says what was wrong.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINES = 3
"""Lines of an error that are shown."""

WIDTH = 400
"""Characters of each; a command of Docker's or Java's can be longer than a screen."""

_HEADING = re.compile(r"^Pipeline \S+ failed in state \w+: ")
_WHERE = re.compile(r" \[while running '.*'\]$")
_CAUSE = re.compile(r"(?:Caused by|ExecutionException): (.+)")
_CLASS = re.compile(r"^(?:[a-z]\w*\.)+(?=[A-Z]\w*: )")
_GONE = re.compile(r"CANCELLED: client cancelled|SDK worker disconnected")
"""Java's and Prism's words for a worker whose connection broke."""


class JobError(RuntimeError):
    """A job of an engine failed, and not by a mistake of the user's; shown without a traceback, exit status 1."""


def last_error(text: str) -> str:
    r"""Of what a job service said, the error at the root.

    Args:
        text: Java's stack, a Python traceback inside it, or both; or one line.

    >>> last_error("Pipeline a_1 failed in state FAILED: java.io.IOException: no docker\n\tat org.a.B.c(B.java:1)")
    'IOException: no docker'
    """
    lines = _HEADING.sub("", text.strip()).splitlines() or ["no reason was given"]
    starts = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    starts += [n for n, line in enumerate(lines) if "Traceback (most recent call last)" in line and not starts]
    if starts:  # the last of a chain of Python's is what came out of the worker
        after = [line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")]
        java = next((n for n, line in enumerate(after) if not line or line.startswith("\t")), len(after))
        lines = after[:java] or lines[:1]
    else:
        causes = [found[1] for line in lines if (found := _CAUSE.search(line))]
        lines = [causes[-1] if causes else lines[0]]
    said = "\n".join(_CLASS.sub("", line)[:WIDTH] for line in lines[:LINES])
    said = _WHERE.sub("", said)
    if (gone := _GONE.search(said)) is not None:
        return f"a worker process ended, or its connection broke ({gone[0]})"
    return said


def told(runner: str, stage: str, error: Exception, server_log: Callable[[], bytes] | None = None) -> JobError:
    """A job's failure in words for a person; what the engine said is left in a file that the words name.

    Args:
        runner: As people write it.
        stage: Whose job it was.
        error: What Beam raised.
        server_log: Gives what the job server printed, if it was started here.
    """
    if callable(details := getattr(error, "details", None)):  # of gRPC, for the job service itself went away
        last = f"its job service answers no more ({details()})"
    elif not str(error):  # gRPC's, where no connection was made in time
        last = f"its job service does not answer ({type(error).__name__})"
    else:
        last = last_error(str(error))
    logs = b"" if server_log is None else b"\n\nThe job server:\n" + server_log()
    what = "The whole error" if server_log is None else "The whole error and the job server's log"
    try:
        handle, path = tempfile.mkstemp(prefix=f"tokenladder-{runner}-", suffix=".log")
        with os.fdopen(handle, "wb") as file:
            file.write(str(error).encode(errors="replace") + logs)
    except OSError as unkept:  # a full disk may be what made the job fail
        path = f"not kept ({unkept})"
    return JobError(
        f"{runner}: the job of the stage '{stage}' failed: {last}\n{what}: {path}\n"
        "Finished parts are kept: the same command goes on from here."
    )


@contextlib.contextmanager
def quiet_jobs() -> Iterator[None]:
    """Keep from the root logger what Beam writes there of a job's messages: errors are raised, and told once."""
    root = logging.getLogger()

    def of_others(record: logging.LogRecord) -> bool:
        return record.module != "portable_runner"

    root.addFilter(of_others)
    try:
        yield
    finally:
        root.removeFilter(of_others)
