"""JSON Lines: one object a line, plain or compressed (gzip, zstd, bzip2, xz)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from ..files.schema import REJECTED
from .record import CorruptError, Record, valid
from .streams import CHUNK, Inflated, Raw, compression

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input, Slice
    from .source import Source

_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Lines of the slice's files; those that begin in [start, stop) for a piece of one file. Blank lines are none.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        try:
            with Raw(file) as raw:
                yield from _lines(raw, file, source, slice_.start, slice_.stop)
        except CorruptError as error:
            yield Record(file.name, file.name, file.size, outcome=REJECTED, reason=str(error))


def _lines(raw: Raw, file: Input, source: Source, start: int, stop: int) -> Iterator[Record]:
    kind = compression(raw.read(6))
    if kind is not None and start:
        return  # the piece from the beginning reads a compressed file whole, whatever its name says
    stop = raw.size if stop < 0 else stop
    raw.seek(max(0, start - 1))
    stream = Inflated(raw, kind)
    buffered = io.BufferedReader(stream, CHUNK)
    position = max(0, start - 1)
    if start:  # a line belongs to the piece in which it begins
        position += _rest_of_line(buffered)
    while kind is not None or position < stop:
        line = buffered.readline(source.raw_limit + 1)
        if not line:
            break
        size = len(line)
        over = size > source.raw_limit and not line.endswith(b"\n")
        if over:
            size += _rest_of_line(buffered)
        if over or line.strip(_SPACE):
            where = f"{file.name}:{position}"
            record = Record(where, where, size)
            if stream.error is not None and not line.endswith(b"\n"):
                yield record.reject(stream.error)
                return
            yield record.reject(f"line over {source.raw_limit} bytes") if over else _parsed(line, record, source)
        position += size
    if stream.error is not None:
        where = f"{file.name}:{position}"
        yield Record(where, where, raw.size - stream.taken, outcome=REJECTED, reason=stream.error)


def _rest_of_line(buffered: io.BufferedReader[Inflated]) -> int:
    """Skip behind the next newline in pieces of bounded size; bytes skipped."""
    size = 0
    while piece := buffered.readline(CHUNK):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def _parsed(line: bytes, record: Record, source: Source) -> Record:
    try:
        value = json.loads(line.removeprefix(_BOM).decode())
    except UnicodeDecodeError:
        return record.reject("not UTF-8")
    except (ValueError, RecursionError):
        return record.reject("not JSON")
    if not isinstance(value, dict):
        return record.reject("not a JSON object")
    text = value.get(source.text)
    if not isinstance(text, str):
        return record.reject("no text field")
    record.text = text
    record.name = label(value.get(source.id)) or record.name
    record.date = label(value.get(source.date))
    return record


def label(value: Any) -> str | None:
    """A field as a name or a date: text and whole numbers as they are written, all else is None."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return valid(str(value)) or None
    except ValueError:  # an integer of more digits than Python writes out
        return None
