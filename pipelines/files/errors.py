"""What goes wrong by the hand of the person at the keyboard, or of whoever changed our files."""

from __future__ import annotations

import re


class UserError(Exception):
    """A mistake of the person at the keyboard; shown without a traceback, exit status 2."""


DAMAGED = ": is damaged: "
"""Stands in the message of each `DamagedError`: from a worker nothing but the message comes."""


GONE = ("No such file", "does not exist")
"""One of these stands in what Arrow and the system say of a file that is not there."""


_STORED = re.compile(r"/[0-9a-f]{32}[/.]")
"""Of the path of a file in a store: the fingerprint below which it stands."""


class DamagedError(OSError, ValueError):
    """A file does not hold what it should, nor will it the next time."""


def further(message: str) -> str:
    """What to do after a file could not be read or written.

    >>> further("/a/done.json: is damaged: Expecting value")
    "If it stands in a build's store, delete that store: the same command makes all of it again."
    >>> further(f"Path does not exist 'a/.store/parts/{32 * '0'}/0.parquet'")
    "If it stands in a build's store, delete that store: the same command makes all of it again."
    >>> further("[Errno 28] No space left on device")
    'Nothing half-written was left. The same command goes on from here.'
    """
    if DAMAGED in message or (any(words in message for words in GONE) and _STORED.search(message)):
        return "If it stands in a build's store, delete that store: the same command makes all of it again."
    return "Nothing half-written was left. The same command goes on from here."
