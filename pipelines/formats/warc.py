"""WARC files (ISO 28500), as crawls come: responses become pages, all other records are counted and named.

Every whole record of a truncated or damaged file is given, what was lost has a row, and reading goes on behind the
damage. Parsing is our own for that reason: fastwarc 2.0 takes half a header for a record, ends in silence at a
truncated one, and stops at the first damage; here extraction takes twenty times as long as reading anyway.
"""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING

from ..files.schema import REJECTED
from . import vouched
from .payload import TEXT_TYPE, body_type, charset_of, decoded_body, joined_body, media_type, parse_http
from .record import CorruptError, Record, valid
from .streams import CHUNK, MAGIC, Inflated, Raw, compression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .slices import Input, Slice
    from .source import Source

_BEGIN = b"WARC/"
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_LARGEST_HEADERS = 256 * 1024
_RESPONSES = frozenset({"response"})
_CONTENT = frozenset({"resource", "conversion"})
_OTHER = frozenset({"warcinfo", "request", "metadata", "continuation"})


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Every record of the WARC files of a slice, and one rejected row for each stretch that could not be read.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        yield from _file_records(file, source)


def _file_records(file: Input, source: Source) -> Iterator[Record]:
    try:
        raw = Raw(file)
    except CorruptError as error:
        yield Record(file.name, file.name, file.size, outcome=REJECTED, reason=str(error))
        return
    with raw:
        kind = compression(raw.read(6))
        start = 0
        while start < raw.size:
            raw.seek(start)
            stretch = _Stretch(raw, kind, file.name, source)
            yield from stretch
            if stretch.reason is None:
                return
            start = _next_start(raw, kind, stretch.damaged + 1)
            name = f"{file.name}:{stretch.damaged}"
            yield Record(name, name, start - stretch.damaged, outcome=REJECTED, reason=stretch.reason)


class _Stretch:
    """Records from one offset of a file up to its end or to the first damage.

    Attributes:
        reason: What is wrong at the end of the stretch, None where the file ended well.
        damaged: Offset in the file from which nothing was yielded.
    """

    def __init__(self, raw: Raw, kind: str | None, name: str, source: Source) -> None:
        self.reason: str | None = None
        self._name, self._source, self._kind = name, source, kind
        self._start = self.damaged = raw.tell()
        self._stream = Inflated(raw, kind)
        self._buffered = io.BufferedReader(self._stream, CHUNK)
        self._position = 0

    def __iter__(self) -> Iterator[Record]:
        limit = self._source.raw_limit
        try:
            while (begin := self._blank_lines()) is not None:
                self.damaged = self._offset(begin)
                headers = self._headers()
                length = int(headers["content-length"])
                block = self._read(min(length, limit + 1))
                if length > limit:
                    self._skip(length - len(block))
                yield self._record(headers, block, length)
        except CorruptError as error:
            self.reason = self._stream.error or str(error)
        else:
            if self._stream.error is not None:
                self.reason, self.damaged = self._stream.error, self._stream.members[-1][1]

    def _line(self) -> bytes:
        line = self._buffered.readline(_LARGEST_HEADERS)
        self._position += len(line)
        return line

    def _blank_lines(self) -> int | None:
        """Skip to the next line that holds something and must begin a record; its position, None at the end."""
        while self._buffered.peek(1)[:1] in (b"\r", b"\n"):
            self._line()
        return self._position if self._buffered.peek(1) else None

    def _headers(self) -> dict[str, str]:
        """Headers with names in lower case, of a repeated one the first, up to and with the blank line."""
        first = self._line()
        if not first.startswith(_BEGIN):
            raise CorruptError("corrupt record")
        headers: dict[str, str] = {}
        room = _LARGEST_HEADERS
        while (line := self._line()) not in (b"\r\n", b"\n"):
            room -= len(line)
            if not line.endswith(b"\n") or room < 0:
                raise CorruptError("corrupt record" if room < 0 else "truncated record")
            name, _, value = line.decode("utf-8", "replace").partition(":")
            headers.setdefault(name.strip().lower(), valid(value.strip()))
        if not _LENGTH.fullmatch(headers.get("content-length", "")):
            raise CorruptError("corrupt record")
        return headers

    def _read(self, size: int) -> bytes:
        block = self._buffered.read(size)
        self._position += len(block)
        if len(block) < size:
            raise CorruptError("truncated record")
        return block

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._read(min(size, CHUNK)))

    def _offset(self, position: int) -> int:
        """Offset in the file of the member that holds a position of the stream."""
        if self._kind is None:
            return self._start + position
        return self._stream.member_at(position)

    def _record(self, headers: Mapping[str, str], block: bytes, length: int) -> Record:
        position = f"{self._name}:{self.damaged}"
        record = Record(
            name=headers.get("warc-target-uri", "").strip("<>") or position,
            record=position,
            bytes=length,
            date=headers.get("warc-date") or None,
            kind="page",
        )
        if length > self._source.raw_limit:
            return record.reject(f"record over {self._source.raw_limit} bytes")
        try:
            return _content(record, headers, block, self._source)
        except CorruptError as error:
            return record.reject(str(error))


def _content(record: Record, headers: Mapping[str, str], block: bytes, source: Source) -> Record:  # noqa: PLR0911 a rule each
    kind = headers.get("warc-type", "unknown").lower()
    declared = headers.get("content-type")
    if kind == "revisit":
        return record.drop("revisit")
    if kind in _RESPONSES:
        if media_type(declared) not in ("application/http", ""):
            return record.drop("not HTTP")  # dns: and the like
        message = parse_http(block)
        if message.status == 0:
            return record.reject("corrupt HTTP headers")
        if message.status != 200:
            return record.drop(f"http status {message.status}")
        body = decoded_body(message, source.raw_limit)
        forms = [message.body, joined_body(message), body]
        declared = message.headers.get("content-type")
    elif kind in _CONTENT:
        body, forms = block, [block]
    else:
        return record.drop(f"warc {kind}") if kind in _OTHER else record.reject("unknown WARC type")
    found = body_type(headers.get("warc-identified-payload-type"), declared, body)
    if found in (TEXT_TYPE, "text/html"):
        record.payload = vouched.payload(headers.get("warc-payload-digest"), forms)
        record.view = vouched.view(source.views, record.name, body) if source.views else None
    if found == TEXT_TYPE:
        record.text = _plain(body, charset_of(declared))
        return record
    if found != "text/html":
        return record.drop("not html")
    record.html, record.charset = body, charset_of(declared)
    return record


def _plain(body: bytes, charset: str | None) -> str:
    from .extract import decode

    return decode(body, charset)


def _next_start(raw: Raw, kind: str | None, at: int) -> int:
    """Offset of the next place, from `at` on, where a WARC record begins; the file's size if there is none."""
    mark = next((magic for magic, name in MAGIC.items() if name == kind), b"\r\n" + _BEGIN)
    tail = b""
    while at < raw.size:
        raw.seek(at)
        data = tail + raw.read(CHUNK)
        base = at - len(tail)
        found = data.find(mark)
        while found >= 0:
            start = base + found + (2 if kind is None else 0)
            if kind is None or _begins(raw, kind, start):
                return start
            found = data.find(mark, found + 1)
        at += CHUNK
        tail = data[-len(mark) + 1 :]
    return raw.size


def _begins(raw: Raw, kind: str, start: int) -> bool:
    """Whether a compressed member at `start` gives a WARC record: its three magic bytes also come up by chance."""
    raw.seek(start)
    with contextlib.suppress(CorruptError):
        return Inflated(raw, kind).read(len(_BEGIN)) == _BEGIN
    return False
