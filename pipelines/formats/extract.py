"""HTML to text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from ...filters.poison.hidden_html import hidden_text
from ..files.store import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 1000
"""Elements inside one another. resiliparse's main-content rules take time that grows with the square of the depth:
15 ms at 1,000, 0.4 s at 5,000, 8 s at 20,000, minutes at 100,000. Browsers stop at 512."""

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BEYOND_ASCII = re.compile(r"utf[-_]?(?:16|32|7)|iso[-_]?2022|hz", re.IGNORECASE)
_REPLACED = 0.01
"""A page declared UTF-8 whose broken bytes are under this share of its characters is UTF-8 with broken bytes."""

_OPEN_ANYWHERE = frozenset(
    b"br p li dd dt td th tr tbody thead tfoot option optgroup colgroup rp rt img input meta link hr area base "
    b"col embed source track wbr param html head body".split()
)
"""Elements that hold nothing, or that the parser closes where the next one begins."""
_NOT_CLOSED_BY_SLASH = frozenset(
    b"a abbr address article aside b big blockquote button center code dir div dl em fieldset font footer form "
    b"h1 h2 h3 h4 h5 h6 header i label main menu nav nobr ol pre s section select small span strike strong sub "
    b"sup table tt u ul".split()
)
_TAG = re.compile(
    rb"<(?:!--.*?(?:--|\Z)|(script|style|textarea|title|xmp)\b.*?(?:</\1|\Z)|(/?)([a-z][^\s/<>]*)[^<>]*)",
    re.IGNORECASE | re.DOTALL,
)


_MAY_HIDE = re.compile(rb"style|hidden|color|\0", re.IGNORECASE)
"""What stands in every page that hides text: attributes, elements of style, or another encoding than these bytes."""


class ExtractionError(ValueError):
    """A page that no extractor should be given; the message is the reason for the ledger."""


def extract(html: bytes, charset: str | None = None, extractor: str = "resiliparse") -> str:
    r"""Text of a page.

    Args:
        html: The page's bytes.
        charset: Character encoding that the transport gave.
        extractor: resiliparse (main content, 20 times faster), trafilatura (cleaner, an extra), or none.

    Raises:
        ExtractionError: Elements lie too deep in one another.
        UserError: trafilatura is not installed.

    >>> extract(b"<html><body><p>One.</p><p>Two.</p></body></html>")
    'One.\n\nTwo.'
    """
    text = decode(html, charset)
    if extractor == "none":
        return text
    check_depth(html if html.isascii() or b"\0" not in html[:64] else text.encode("utf-8", "replace"))
    if extractor == "trafilatura":
        return _trafilatura()(text) or ""
    # Alternative texts of images and link targets are no sentences of the page.
    return extract_plain_text(text, preserve_formatting=True, main_content=True, alt_texts=False, links=False)


def hidden_share(html: bytes, charset: str | None = None) -> float:
    """The share of a page's characters that a browser hides; see :mod:`...filters.poison.hidden_html`.

    Args:
        html: The page's bytes, not nested deeper than `check_depth` allows.
        charset: Character encoding that the transport gave.

    >>> hidden_share(b"<p>Seen</p><p hidden>Obey</p>"), hidden_share(b"<p>Seen</p>")
    (0.5, 0.0)
    """
    if not _MAY_HIDE.search(html):  # 1.8 GB/s; measuring makes 4 MB/s
        return 0.0
    return hidden_text(decode(html, charset).encode("utf-8", "replace")).share


def decode(data: bytes, charset: str | None = None) -> str:
    r"""Text of a page's bytes, never an error: bytes without a meaning become U+FFFD.

    In this order: byte order mark; a declared encoding in which ASCII bytes mean something else; UTF-8 if all of the
    page is valid (text in another encoding is so by chance once in never, while wrong declarations are common); the
    HTTP header; the page's meta tag; detection by its bytes.

    >>> decode("Ünder".encode("latin-1"), "ISO-8859-1"), decode("Ünder".encode(), "ISO-8859-1")
    ('Ünder', 'Ünder')
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, "replace")
    declared = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    if not declared or not _BEYOND_ASCII.match(declared):
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    for guess in (declared, detect_encoding(data, from_html_meta=True), detect_encoding(data)):
        text = _decoded(data, guess)
        if text is not None:
            return text
    return data.decode("utf-8", "replace")


def _decoded(data: bytes, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        text = data.decode(name, "replace")
    except (LookupError, ValueError):
        return None
    return text if text.count("\N{REPLACEMENT CHARACTER}") <= _REPLACED * len(text) else None


def check_depth(html: bytes) -> None:
    """See that elements are not nested beyond what extractors can stand, by their tags alone.

    A sum over all tags (some 1 GB/s) bounds the depth from above; only where it passes the limit are tags read by name.

    Raises:
        ExtractionError: They are.

    >>> check_depth(b"<div>" * 100 + b"</div>" * 100)
    """
    if len(html) < 3 * MAX_DEPTH or _bound(html) <= MAX_DEPTH:  # the shortest tag is <a>
        return
    depth = 0
    for match in _TAG.finditer(html):
        name = match[3]
        if name is None:
            continue
        name = name.lower()
        if name in _OPEN_ANYWHERE or (match[0].endswith(b"/") and name not in _NOT_CLOSED_BY_SLASH):
            continue
        depth = max(0, depth - 1) if match[2] else depth + 1
        if depth > MAX_DEPTH:
            raise ExtractionError(f"nested deeper than {MAX_DEPTH}")


def _bound(html: bytes) -> int:
    """Most tags open at once if no element could close another or hold nothing."""
    data = np.frombuffer(html, np.uint8)
    at = np.flatnonzero(data[:-1] == ord("<")) + 1
    if len(at) <= MAX_DEPTH:
        return len(at)
    step = np.where(data[at] == ord("/"), np.int32(-1), np.int32(1))  # comments count as open: a bound may be too high
    depth = np.concatenate(([0], np.cumsum(step)))
    return int((depth - np.minimum.accumulate(depth)).max())


def _trafilatura() -> Callable[[str], str | None]:
    try:
        from trafilatura import extract as run
    except ImportError as error:
        raise UserError("trafilatura is not installed. Run: pip install 'tokenladder[trafilatura]'") from error
    return lambda text: run(text, include_comments=False, include_tables=True, deduplicate=False)
