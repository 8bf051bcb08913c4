"""Patience: an operation on an object store that failed for a reason that passes is tried again.

pyarrow's clients try single requests again, but not always to the end. Seen with pyarrow 25 behind a server that fails
on purpose: a GET whose first answer was cut, or was an error with a body, fails for good ("Failed to flush response
stream"), for its buffer is half full; and the client's budget of retries, one for all of its threads, is used up where
half of all requests fail. So whole operations are tried again here, with growing pauses. All of them may be done
twice: a put gives the same bytes under the same key, a read reads again.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds before each further try; a bucket that throttles doubles what it bears within some minutes."""

TELL_SECONDS = 3.0
"""After so long a person is told what is waited for."""

AGAIN_SECONDS = 60.0
"""Between two lines of one process; a bucket that throttles would have each thread tell."""

FIRST_SECONDS = 15.0
"""So long a host is tried that has not answered once: its address is likely wrong."""

ANSWERED = threading.Event()
"""Set when a host has answered this process, be it with an error. Workers set it: who started them had an answer."""

_ABSENT = re.compile(r"curlCode: (?:6|7|28)\b|(?:Couldn't|Could not|Failed to) (?:resolve|connect)")

_PASSES = re.compile(
    r"SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIME|NETWORK_CONNECTION|flush response stream"
    r"|HTTP status (?:code )?\(?(?:408|429|5\d\d)|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|INTERNAL\b|Timeout",
)
"""In the clients' messages: errors have no numbers there. Missing keys, permissions and credentials are not among them.
A host that does not answer is, for a network may come back."""

_told = [float("-inf")]


def passes(error: OSError) -> bool:
    """Whether an error of a client is one that another try may not meet.

    >>> passes(OSError("AWS Error SLOW_DOWN during PutObject operation")), passes(FileNotFoundError("s3://a/b"))
    (True, False)
    """
    return not isinstance(error, FileNotFoundError | PermissionError) and bool(_PASSES.search(str(error)))


def patiently(operation: Callable[[], T], *, asks: bool = True) -> T:
    """The value of an operation, tried again as long as it fails with what passes.

    Args:
        operation: What is tried.
        asks: Whether it cannot have a value without an answer of the host.

    Raises:
        OSError: What it raised, where that does not pass; how often it failed, where it never did; or that the host has
            never answered, which is told after `FIRST_SECONDS`.
    """
    began = time.monotonic()
    for pause in PAUSES:
        try:
            value = operation()
        except OSError as error:
            _judge(error, time.monotonic() - began)
        else:
            if asks:
                ANSWERED.set()
            return value
        time.sleep(pause * _share())
    try:
        return operation()
    except OSError as error:
        if not passes(error):
            raise
        times, waited = len(PAUSES) + 1, time.monotonic() - began
        raise OSError(f"The object store failed {times} times in {waited:.0f} s, at last so: {error}") from error


def _judge(error: OSError, waited: float) -> None:
    """Raise an error that another try would meet again, and tell of one that lasts."""
    if not _ABSENT.search(str(error)):
        ANSWERED.set()
    if not passes(error):
        raise error
    if not ANSWERED.is_set() and waited > FIRST_SECONDS:
        raise OSError(
            f"The object store has not answered for {waited:.0f} s: {error}. Look at its address (AWS_ENDPOINT_URL,"
            " STORAGE_EMULATOR_HOST, the bucket's region) and at this machine's network."
        ) from error
    if waited > TELL_SECONDS and time.monotonic() - _told[0] > AGAIN_SECONDS:
        _told[0] = time.monotonic()
        logging.getLogger("tokenladder").warning("The object store is away; trying again for a minute or so: %s", error)


def _share() -> float:
    """From a half to one, another for each thread of each process, so that they do not all come back at once."""
    return 0.5 + (os.getpid() * 7919 + threading.get_ident() // 4096 * 104729) % 1000 / 2000
