"""HTTP messages in WARC records: headers, transfer and content encodings with a limit, and what the body is."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from fastwarc.stream_io import BrotliReader
from resiliparse.parse.encoding import detect_mime

from .record import CorruptError
from .streams import MEMORY

if TYPE_CHECKING:
    from collections.abc import Mapping

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
TEXT_TYPE = "text/plain"
_UNTOLD = frozenset({"", "application/octet-stream", "unknown/unknown", "application/unknown", "*/*"})
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_CHUNK = re.compile(rb"\s{0,4}([0-9A-Fa-f]{1,8})[^\n]{0,1024}\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_LARGEST_HEADERS = 256 * 1024


class Message(NamedTuple):
    """An HTTP response.

    Attributes:
        status: Status code; 0 where the block does not begin with a status line.
        headers: Names in lower case; of a repeated one the first.
        body: As sent, encodings not undone.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_http(block: bytes) -> Message:
    r"""Split a response into status, headers and body.

    Raises:
        CorruptError: The headers do not end.

    >>> parse_http(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>").headers
    {'content-type': 'text/html'}
    """
    status = _STATUS.match(block)
    if status is None:
        return Message(0, {}, block)
    end = _HEADERS_END.search(block, 0, _LARGEST_HEADERS)
    if end is None:
        raise CorruptError("corrupt HTTP headers")
    headers: dict[str, str] = {}
    for line in block[: end.start()].split(b"\n")[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return Message(int(status[1]), headers, block[end.end() :])


def decoded_body(message: Message, limit: int) -> bytes:
    """The body with chunks joined and content encodings undone.

    Crawlers often store a decoded body under headers that still name an encoding; a body that does not begin like the
    encoding is taken as it is.

    Args:
        message: The response.
        limit: Largest body in bytes.

    Raises:
        CorruptError: An encoding is broken, unknown, or gives more than the limit; the message is the reason.
    """
    body = joined_body(message)
    codings = [name.strip().lower() for name in message.headers.get("content-encoding", "").split(",")]
    for coding in reversed(codings):
        if coding not in ("", "identity", "none"):
            body = _undo(coding.removeprefix("x-"), body, limit)
    return body


def joined_body(message: Message) -> bytes:
    """The body with chunks joined, and content encodings left as they are.

    Raises:
        CorruptError: It is cut off.
    """
    chunked = "chunked" in message.headers.get("transfer-encoding", "").lower()
    return _joined(message.body) if chunked else message.body


def _joined(body: bytes) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while True:
        head = _CHUNK.match(body, at)
        if head is None:
            if at == 0:
                return body
            raise CorruptError("corrupt chunked body" if body[at:].strip() else "truncated chunked body")
        size = int(head[1], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[head.end() : head.end() + size])
        if len(pieces[-1]) < size:
            raise CorruptError("truncated chunked body")
        at = head.end() + size


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    if coding == "gzip":
        return _zlib("gzip", body, 31, limit) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":
        wrapped = body[:1] == b"\x78" and int.from_bytes(body[:2], "big") % 31 == 0  # RFC 1950; else raw RFC 1951
        return _zlib("deflate", body, 15 if wrapped else -15, limit)
    if coding == "br":
        return _brotli(body, limit)
    if coding == "zstd":
        return _zstd(body, limit) if body.startswith(b"\x28\xb5\x2f\xfd") else body
    raise CorruptError("unknown content encoding")


def _zlib(name: str, body: bytes, wbits: int, limit: int) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        out = decoder.decompress(body, limit + 1)
    except zlib.error:
        raise CorruptError(f"corrupt {name} content") from None
    if len(out) > limit:
        raise CorruptError(f"document over {limit} bytes")
    if not decoder.eof:
        raise CorruptError(f"truncated {name} content")
    return out


def _brotli(body: bytes, limit: int) -> bytes:
    reader = BrotliReader(io.BytesIO(body))
    pieces, size = [], 0
    try:
        while piece := reader.read(min(2**20, limit + 1 - size)):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise CorruptError(f"document over {limit} bytes")
    except OSError:
        raise CorruptError("corrupt br content") from None
    return b"".join(pieces)


def _zstd(body: bytes, limit: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=MEMORY // 2)
    try:
        with decoder.stream_reader(body, read_across_frames=True) as reader:
            out = reader.read(limit + 1)
    except zstandard.ZstdError:
        raise CorruptError("corrupt zstd content") from None
    if len(out) > limit:
        raise CorruptError(f"document over {limit} bytes")
    return out


def media_type(declared: str | None) -> str:
    """The bare type of a Content-Type header.

    >>> media_type("Text/HTML; charset=utf-8")
    'text/html'
    """
    return (declared or "").split(";")[0].strip().lower()


def body_type(identified: str | None, declared: str | None, body: bytes) -> str:
    """text/html, text/plain, or some other media type.

    The crawler's own finding comes first, then the server's word, then the body's first bytes.
    """
    for told in (media_type(identified), media_type(declared)):
        if told not in _UNTOLD:
            return "text/html" if told in HTML_TYPES else told
    sniffed = detect_mime(body[:4096])
    return "text/html" if sniffed in HTML_TYPES else sniffed


def charset_of(content_type: str | None) -> str | None:
    """The charset that a Content-Type header names.

    >>> charset_of('text/html; charset="UTF-8"')
    'UTF-8'
    """
    match = _CHARSET.search(content_type or "")
    return match[1][:40] if match else None
