"""Grep: the lines of documents in which a pattern of RE2 is found."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .records import Wanted, open_records
from .texts import compiled, matching

if TYPE_CHECKING:
    from collections.abc import Iterator

AROUND = 100
"""Characters before and after a match that are told of a long line."""


@dataclass(frozen=True)
class Match:
    """One line in which the pattern is found.

    Attributes:
        line: Its number, from 1.
        text: The line, or what stands around the match in a long one.
        start: Where in `text` the first match begins.
        end: Where it ends.
    """

    line: int
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Found:
    """A document in which the pattern is found.

    Attributes:
        told: What the ledger says of it, and the recipe (`records.COLUMNS`).
        matches: Its first lines with a match.
        more: Whether further lines have one.
    """

    told: dict[str, Any]
    matches: list[Match]
    more: bool


def grep(
    out: str, pattern: str, wanted: Wanted, lines: int = 3, *, ignore_case: bool = False, as_read: bool = False
) -> Iterator[Found]:
    """Look for a pattern in the texts of a result, in the order of its parts.

    Args:
        out: Folder of a finished build.
        pattern: For RE2; ^ and $ stand for the ends of lines.
        wanted: In which records.
        lines: How many lines of a document are told, at most.
        ignore_case: Whether a letter stands for both its cases.
        as_read: Whether to look at texts as they were read, not as they are encoded.

    Raises:
        UserError: The pattern is none; or as for `open_records`.
        OSError: A file of the result or its store is missing or damaged.
    """
    search = compiled(pattern, ignore_case=ignore_case)
    records = open_records(out, wanted)
    hits = matching(records.evidence, pattern, records.mask, as_read=as_read, ignore_case=ignore_case)
    for ordinal, group in itertools.groupby(hits, lambda hit: hit.ordinal):
        here = list(group)
        for hit, told in zip(here, records.told(ordinal, np.array([hit.row for hit in here])), strict=True):
            found = matches(search, hit.text, lines + 1)
            yield Found(told, found[:lines], more=len(found) > lines)


def matches(search: Any, text: str, most: int) -> list[Match]:
    r"""The first lines of a text that hold a match, each told once.

    >>> matches(compiled("b+"), "a\nabba b\nb", 2)
    [Match(line=2, text='abba b', start=1, end=3), Match(line=3, text='b', start=0, end=1)]
    """
    found: list[Match] = []
    last, line, counted = -1, 1, 0
    for match in search.finditer(text):
        start, end = match.span()
        if start <= last:
            continue  # on the line that was told last
        line += text.count("\n", counted, start)
        counted = start
        first = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", start)
        last = stop = len(text) if stop < 0 else stop
        low, high = max(first, start - AROUND), min(stop, max(min(end, stop), start) + AROUND)
        found.append(Match(line, text[low:high], start - low, min(end, stop) - low))
        if len(found) == most:
            break
    return found
