r"""Find patterns in columns of text at the speed of a kernel.

A pattern is looked for in two steps. A kernel first finds the *runs* of bytes in which it could stand at all: a run of
digits and separators with seven digits, a run with an ``@``, a run of twenty letters and digits. These are a few
per cent of a text. The runs of a whole batch are copied into one buffer, over which RE2 then makes one pass for each
pattern; what it finds is checked by Python (checksums, reserved ranges, the words before it). A pattern's matches must
consist of the run's bytes alone, and a run is copied with the byte before and after it, so that what is found is
exactly what the pattern would find in the whole text. ``\b`` is meant for ASCII on both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import re2

from ..kernels import kernel
from .buffers import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

AROUND = 48
"""Bytes before and after a match that its check can look at, as far as the document goes."""


class Finder(NamedTuple):
    """The runs of bytes in which a pattern can stand.

    Attributes:
        characters: The bytes that a run is made of. A run is as long as it can be.
        shortest: Bytes of the shortest run that is worth a look.
        trigger: Some of ``characters``, one of which every wanted run holds. Empty: all, so that one byte in
            ``shortest`` has to be looked at.
        counted: Bytes to count in a run.
        least: A run with fewer of them is passed over.
        led: If not empty: a run is passed over unless one of these bytes stands before it, with at most one quotation
            mark and four spaces between.
        holds: If not empty: a pattern, for RE2, that every wanted run holds: one pass over all runs saves one for each
            kind over those without it.
    """

    characters: bytes
    shortest: int
    trigger: bytes = b""
    counted: bytes = b""
    least: int = 0
    led: bytes = b""
    holds: bytes = b""


def anything(_found: bytes, _before: bytes, _after: bytes) -> bool:
    """A check that all matches pass."""
    return True


@dataclass(frozen=True)
class Kind:
    """A pattern with its check.

    Attributes:
        name: What a find is called; several patterns may share a name.
        finder: Where to look.
        pattern: A regular expression over bytes in the syntax that RE2 and :mod:`re` share. If it has a group, the
            group is what is found.
        accepts: Given the bytes found, and up to AROUND bytes of the document before and after: is it one?
        lead: If not empty: a pattern that must match, without line feeds, at the end of the AROUND bytes before. Looked
            for in all of them at once, before ``accepts`` is asked.
        reach: How many bytes behind the match ``end`` wants to see.
        end: Given these, how many of them belong to the find too; negative if it is none after all.
    """

    name: str
    finder: Finder
    pattern: bytes
    accepts: Callable[[bytes, bytes, bytes], bool] = anything
    lead: bytes = b""
    reach: int = 0
    end: Callable[[bytes], int] | None = None


class Spans(NamedTuple):
    """Finds in a column, in the order of the text.

    Attributes:
        rows: int64[n]; the row of each.
        starts, stops: int64[n]; its first byte, and the byte behind its last, in the column's data buffer.
        names: int64[n]; the position of its name in the list of names.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    names: NDArray[np.int64]


class _Runs(NamedTuple):
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


def runs(text: Text, finder: Finder) -> _Runs:
    """The row, first byte, and byte behind the last, of every run.

    >>> import pyarrow as pa
    >>> from tokenladder.filters.text.buffers import text_buffers
    >>> digits = Finder(b"0123456789-", shortest=4, counted=b"0123456789", least=4)
    >>> runs(text_buffers(pa.array(["call 555-12 now", "1-2"])), digits).stops.tolist()
    [11]
    """
    first, last = (int(text.offsets[0]), int(text.offsets[-1])) if len(text.valid) else (0, 0)
    room = (last - first) // finder.shortest + 1  # pages that no run needs are never touched
    found = _Runs(np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64))
    trigger, stride = (finder.trigger, 1) if finder.trigger else (finder.characters, finder.shortest)
    tables = (_table(finder.characters), _table(trigger), _table(finder.counted), _table(finder.led))
    limits = (stride, finder.shortest, finder.least, bool(finder.led))
    count = _find_runs(text.offsets, text.data, text.valid, *tables, *limits, *found)
    return _Runs(*(each[:count] for each in found))


@cache
def _table(characters: bytes) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(characters)] = True
    table.flags.writeable = False
    return table


@kernel
def _find_runs(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    member: Any,
    trigger: Any,
    counted: Any,
    leads: Any,
    stride: int,
    shortest: int,
    least: int,
    led: bool,  # noqa: FBT001 (a kernel takes plain values)
    rows: Any,
    starts: Any,
    stops: Any,
) -> int:
    found = 0
    for row in range(len(valid)):
        if not valid[row]:
            continue
        free, stop = offsets[row], offsets[row + 1]
        at = free + stride - 1
        while at < stop:
            if not trigger[data[at]]:
                at += stride
                continue
            start, end = at, at + 1
            while start > free and member[data[start - 1]]:
                start -= 1
            while end < stop and member[data[end]]:
                end += 1
            if end - start >= shortest:
                count = 0
                for index in range(start, end):
                    count += counted[data[index]]
                if count >= least and (not led or _is_led(data, offsets[row], start, leads)):
                    rows[found], starts[found], stops[found] = row, start, end
                    found += 1
            free = end
            at = end + stride  # the byte at `end` is in no run
    return found


@kernel
def _is_led(data: Any, first: int, start: int, leads: Any) -> bool:
    at = start - 1
    if at >= first and (data[at] == 0x22 or data[at] == 0x27 or data[at] == 0x60):
        at -= 1
    for _ in range(4):
        if at >= first and data[at] == 0x20:
            at -= 1
    return at >= first and leads[data[at]]


@kernel
def _gather(data: Any, starts: Any, stops: Any, places: Any, out: Any) -> None:
    for index in range(len(starts)):
        place = places[index]
        for offset in range(stops[index] - starts[index]):
            out[place + offset] = data[starts[index] + offset]
        out[places[index + 1] - 1] = 0x0A


class _Pieces(NamedTuple):
    """Runs in one buffer, each with a byte of context on either side and a line feed behind it."""

    found: _Runs
    lefts: NDArray[np.int64]
    places: NDArray[np.int64]
    data: bytes


def _pieces(text: Text, finder: Finder) -> _Pieces:
    found = runs(text, finder)
    pieces = _copied(text, found)
    if finder.holds:
        places = [match.start() for match in compiled(finder.holds).finditer(pieces.data)]
        kept = np.unique(np.searchsorted(pieces.places, np.array(places, np.int64), side="right") - 1)
        pieces = _copied(text, _Runs(*(each[kept] for each in found)))
    return pieces


def _copied(text: Text, found: _Runs) -> _Pieces:
    lefts = np.maximum(found.starts - 1, text.offsets[found.rows])
    places, data = _lines(text, lefts, np.minimum(found.stops + 1, text.offsets[found.rows + 1]))
    return _Pieces(found, lefts, places, data)


def _lines(text: Text, lefts: NDArray[np.int64], rights: NDArray[np.int64]) -> tuple[NDArray[np.int64], bytes]:
    """Stretches of text one after the other, a line feed behind each; and where each begins, and the end."""
    places = np.concatenate(([0], np.cumsum(rights - lefts + 1)))
    out = np.empty(int(places[-1]), np.uint8)
    _gather(text.data, lefts, rights, places, out)
    return places, out.tobytes()


@cache
def compiled(pattern: bytes) -> Any:
    """A pattern over bytes, compiled by RE2: on a few bytes a search takes 1 µs where :mod:`re` may need 10."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes: a text need not be valid UTF-8
    return re2.compile(pattern, options)


def candidates(text: Text, kinds: Iterable[Kind], names: Sequence[str]) -> Spans:
    """Everything of these kinds in a column, as the patterns find it: what they find may overlap.

    Args:
        text: The column's buffers.
        kinds: What to look for.
        names: All names of kinds, in the order of the output's numbers.

    Returns:
        Finds by their first byte; of those that begin at one place the longest comes first, and of these the one whose
        kind does.
    """
    pieces: dict[Finder, _Pieces] = {}
    found: list[tuple[int, int, int, int]] = []
    for kind in kinds:
        if kind.finder not in pieces:
            pieces[kind.finder] = _pieces(text, kind.finder)
        name = names.index(kind.name)
        found += [(start, -stop, name, row) for row, start, stop in _matches(text, kind, pieces[kind.finder])]
    starts, negative, numbers, rows = np.array(sorted(found), np.int64).reshape(-1, 4).T
    return Spans(rows, starts, -negative, numbers)


def separate(spans: Spans) -> Spans:
    """Of candidates that overlap, the first alone."""
    kept, last = [], -1
    for n, (start, stop) in enumerate(zip(spans.starts.tolist(), spans.stops.tolist(), strict=True)):
        if start >= last:
            last = stop
            kept.append(n)
    return Spans(*(column[np.array(kept, np.int64)] for column in spans))


def locate(text: Text, kinds: Iterable[Kind], names: Sequence[str]) -> Spans:
    r"""Everything of these kinds in a column, without what overlaps an earlier find; see :func:`candidates`.

    >>> import pyarrow as pa
    >>> from tokenladder.filters.text.buffers import text_buffers
    >>> word = Kind("b", Finder(b"abc", 2), rb"\bab+")
    >>> locate(text_buffers(pa.array(["abb cab", None, "ab"])), [word], ["a", "b"]).starts.tolist()
    [0, 7]
    """
    return separate(candidates(text, kinds, names))


def _matches(text: Text, kind: Kind, pieces: _Pieces) -> list[tuple[int, int, int]]:
    """Row, first byte and byte behind the last of every match that passes the kind's check."""
    pattern = compiled(kind.pattern)
    group = pattern.groups  # asked once: the wrapper counts groups anew each time, a tenth of all that a score takes
    spans = [match.span(group) for match in pattern.finditer(pieces.data)]
    begun, ended = np.array(spans, np.int64).reshape(-1, 2).T
    piece = np.searchsorted(pieces.places, begun, side="right") - 1
    starts = begun - pieces.places[piece] + pieces.lefts[piece]
    stops = starts + (ended - begun)
    rows = pieces.found.rows[piece]
    if kind.lead:
        led = _are_led(text, np.maximum(starts - AROUND, text.offsets[rows]), starts, kind.lead)
        rows, starts, stops = rows[led], starts[led], stops[led]
    accepted, raw = [], text.data.data  # slices of a memoryview cost half of an array's
    columns = (rows, starts, stops, text.offsets[rows], text.offsets[rows + 1])
    for row, start, stop, first, last in zip(*(each.tolist() for each in columns), strict=True):
        if kind.accepts is not anything:
            before = bytes(raw[max(first, start - AROUND) : start])
            after = bytes(raw[stop : min(last, stop + AROUND)])
            if not kind.accepts(bytes(raw[start:stop]), before, after):
                continue
        more = kind.end(bytes(raw[stop : min(last, stop + kind.reach)])) if kind.end is not None else 0
        if more >= 0:
            accepted.append((row, start, stop + more))
    return accepted


def _are_led(text: Text, lefts: NDArray[np.int64], rights: NDArray[np.int64], lead: bytes) -> NDArray[np.bool_]:
    places, data = _lines(text, lefts, rights)
    ends = [match.end() for match in compiled(lead + rb"\n").finditer(data)]
    return np.isin(places[1:], np.array(ends, np.int64))


def counts(spans: Spans, rows: int, names: int) -> NDArray[np.int32]:
    """Finds of each name in each row: int32[rows, names]."""
    flat = np.bincount(spans.rows * names + spans.names, minlength=rows * names)
    return flat.reshape(rows, names).astype(np.int32)
