"""A small crawl of the quickstart's pages, written as WARC/1.1 files with what real crawls hold.

Each page gets a site around it (navigation, a list of its neighbours, a footer), so that main-content extraction has
something to remove. A fixed share of the pages is fetched again in another form: printed, from a mirror, from an
archive that misses sections, over plain http with the same bytes, as a revisit, through a redirect; and some addresses
are not found. Which page meets which fate depends on its address alone.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .pages import Page

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
"""When the first fetch says that it was made, each later one a second after; constant, so that bytes stay the same."""

PRINTED, MIRRORED, ARCHIVED, COPIED, REVISITED, REDIRECTED, NOT_FOUND = 6, 14, 20, 22, 24, 25, 26
"""Upper ends, in percent of the pages, of the ranges in which a page is fetched in a second form."""

_NAVIGATION = ("Home", "Documentation", "Download", "Community", "News", "About")


@dataclass(frozen=True, slots=True)
class Site:
    """The site of one package.

    Args:
        package: its name and version, such as `numpy 2.4.6`.
        address: where its pages are, with a `/` at the end.
    """

    package: str
    address: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request and what the server answered.

    Args:
        address: the URL asked for.
        body: the response's content.
        status: of the response, such as `200 OK`.
        content_type: of the response.
        location: where a redirect leads.
        revisit_of: the earlier fetch whose content this one repeats; written as a revisit record.
    """

    address: str
    body: bytes
    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    location: str = ""
    revisit_of: int | None = None


def crawl(pages: Sequence[tuple[Site, Page]]) -> list[Fetch]:
    """Fetch every page once, in order, and then some of them in other forms.

    >>> from .pages import Page
    >>> site = Site("shop 1.0", "https://shop.docs.example/1.0/")
    >>> [fetch.address for fetch in crawl([(site, Page("shop.html", "module shop", ("<p>Sell.</p>",)))])]
    ['https://shop.docs.example/1.0/shop.html']
    """
    fetches = [
        Fetch(_address(site, page), _document(site, page, pages[max(0, at - 12) : at + 12]))
        for at, (site, page) in enumerate(pages)
    ]
    for at, (site, page) in enumerate(pages):
        fetches.extend(_again(site, page, fetches[at], at))
    return fetches


def _address(site: Site, page: Page) -> str:
    return site.address + quote(page.path, errors="replace")


def _again(site: Site, page: Page, first: Fetch, at: int) -> Iterator[Fetch]:
    """Fetch a page in a second form, if its address says so."""
    share = int.from_bytes(hashlib.sha256(first.address.encode()).digest()[:4], "big") % 100
    parts = urlsplit(first.address)
    if share < PRINTED:
        yield Fetch(f"{first.address}?print=1", _printed(site, page))
    elif share < MIRRORED:
        yield Fetch(f"https://mirror.example/{parts.hostname}{parts.path}", _mirrored(site, page))
    elif share < ARCHIVED:
        kept = tuple(section for number, section in enumerate(page.sections) if number % 8 != 7)
        older = type(page)(page.path, page.title, kept)
        yield Fetch(f"https://archive.example/{parts.hostname}{parts.path}", _document(site, older, ()))
    elif share < COPIED:
        yield Fetch(f"http://{parts.hostname}{parts.path}", first.body)
    elif share < REVISITED:
        yield Fetch(first.address, first.body, revisit_of=at)
    elif share < REDIRECTED:
        yield Fetch(f"{first.address}/", b"", "302 Found", location=first.address)
    elif share < NOT_FOUND:
        yield Fetch(f"{first.address}x", b"<html><title>Not Found</title><h1>Not Found</h1></html>", "404 Not Found")


def _document(site: Site, page: Page, neighbours: Sequence[tuple[Site, Page]]) -> bytes:
    """A page as a documentation site of today serves it."""
    title, package = html.escape(page.title), html.escape(site.package)
    links = "\n".join(
        f'<li><a href="{html.escape(quote(other.path, errors="replace"))}">{html.escape(other.title)}</a></li>'
        for owner, other in neighbours
        if owner == site and other.path != page.path
    )
    menu = "\n".join(f'<li><a href="/{name.lower()}/">{name}</a></li>' for name in _NAVIGATION)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} — {package} documentation</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/_static/site.css"><script src="/_static/search.js"></script></head>
<body><header role="banner"><nav class="navbar"><ul>
{menu}
</ul><form action="/search" role="search"><input name="q" placeholder="Search the docs"><button>Go</button></form></nav>
<div class="breadcrumbs"><a href="/">{package}</a> » <a href="genindex.html">Index</a> » {title}</div></header>
<aside class="sidebar" role="navigation"><h3>Related pages</h3><ul>
{links}
</ul><h3>This page</h3><ul><li><a href="?print=1">Print</a></li><li><a href="/report">Report a problem</a></li></ul>
</aside>
<main role="main"><article class="body"><h1>{title}</h1>
<p>This page describes {title}, as found in {package}.</p>
{"".join(f"{section}{chr(10)}" for section in page.sections)}</article></main>
<footer class="footer" role="contentinfo"><p>Made from the docstrings of {package}. All rights are the authors'.</p>
<ul><li><a href="/privacy">Privacy</a></li><li><a href="/terms">Terms of use</a></li>
<li><a href="/cookies">Cookies</a></li></ul>
<div class="cookie-notice">We use cookies to remember your theme. <button>Accept</button> <button>Decline</button></div>
</footer></body></html>
""".encode(errors="replace")


def _printed(site: Site, page: Page) -> bytes:
    """The print version: the same words with nearly nothing around them."""
    title, package = html.escape(page.title), html.escape(site.package)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} (print version)</title></head>
<body class="print" onload="window.print()"><main><h1>{title}</h1>
<p>This page describes {title}, as found in {package}.</p>
{"".join(f"{section}{chr(10)}" for section in page.sections)}</main>
<p class="printed">Printed from {html.escape(_address(site, page))}</p></body></html>
""".encode(errors="replace")


def _mirrored(site: Site, page: Page) -> bytes:
    """A mirror's copy: another template, as of an older site, and another first sentence."""
    title, package = html.escape(page.title), html.escape(site.package)
    menu = ("Mirrors", "Upload", "FAQ", "Contact")
    cells = "".join(f'<td><a href="/{name.lower()}.php">{name}</a></td>' for name in menu)
    return f"""<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{title} - mirror</title></head><body bgcolor="white">
<table class="menu" width="100%"><tr>{cells}</tr></table>
<div id="content"><h1>{title}</h1>
<p>A copy of the documentation of {package}, kept here for readers who cannot reach the original.</p>
{"".join(f"{section}{chr(10)}" for section in page.sections)}</div>
<hr><div id="footer"><small>Original: {html.escape(_address(site, page))}. Mirrored without changes.</small></div>
</body></html>
""".encode(errors="replace")


def warc(name: str, fetches: Sequence[Fetch]) -> bytes:
    """Write fetches as a WARC/1.1 file: one gzip member a record, each response with the request that led to it.

    Args:
        name: of the file; part of the record ids, which are version 5 UUIDs and so the same in every run.
        fetches: in order; a fetch's `revisit_of` is a place in this list.

    >>> import io
    >>> from fastwarc.warc import ArchiveIterator
    >>> data = warc("a.warc.gz", [Fetch("https://shop.example/", b"<p>Sell.</p>")])
    >>> [record.headers["WARC-Type"] for record in ArchiveIterator(io.BytesIO(data))]
    ['warcinfo', 'response', 'request', 'metadata']
    """
    info = b"software: tokenladder quickstart\r\nformat: WARC File Format 1.1\r\n"
    records = [
        _record("warcinfo", f"{name}#info", 0, info, {"WARC-Filename": name, "Content-Type": "application/warc-fields"})
    ]
    for at, fetch in enumerate(fetches):
        records.extend(_exchange(name, at, fetch, fetches))
    log = f"fetches: {len(fetches)}\r\n".encode()
    fields = {"WARC-Target-URI": f"metadata://tokenladder/{name}", "Content-Type": "application/warc-fields"}
    records.append(_record("metadata", f"{name}#log", len(fetches), log, fields))
    return b"".join(records)


def _exchange(name: str, at: int, fetch: Fetch, fetches: Sequence[Fetch]) -> Iterator[bytes]:
    head = [f"HTTP/1.1 {fetch.status}", f"Date: {_moment(at):%a, %d %b %Y %H:%M:%S} GMT"]
    head += [f"Content-Type: {fetch.content_type}", f"Content-Length: {len(fetch.body)}"]
    head += [f"Location: {fetch.location}"] if fetch.location else []
    header = "\r\n".join([*head, "", ""]).encode()
    fields = {
        "WARC-Target-URI": fetch.address,
        "WARC-Payload-Digest": _sha1(fetch.body),
        "WARC-Identified-Payload-Type": fetch.content_type.split(";", maxsplit=1)[0],
        "Content-Type": "application/http;msgtype=response",
    }
    if fetch.revisit_of is None:
        yield _record("response", f"{name}#{at}", at, header + fetch.body, fields)
    else:
        fields["WARC-Profile"] = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
        fields["WARC-Refers-To"] = _identity(f"{name}#{fetch.revisit_of}")
        fields["WARC-Refers-To-Target-URI"] = fetches[fetch.revisit_of].address
        fields["WARC-Refers-To-Date"] = f"{_moment(fetch.revisit_of):%Y-%m-%dT%H:%M:%SZ}"
        yield _record("revisit", f"{name}#{at}", at, header, fields)
    parts = urlsplit(fetch.address)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"GET {target} HTTP/1.1", f"Host: {parts.hostname}", "User-Agent: tokenladder-quickstart", "Accept: */*"]
    fields = {
        "WARC-Target-URI": fetch.address,
        "WARC-Concurrent-To": _identity(f"{name}#{at}"),
        "Content-Type": "application/http;msgtype=request",
    }
    yield _record("request", f"{name}#{at}?", at, "\r\n".join([*lines, "", ""]).encode(), fields)


def _moment(at: int) -> datetime:
    return BEGIN + timedelta(seconds=at)


def _identity(key: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, key)}>"


def _sha1(data: bytes) -> str:
    """The digest as crawlers write it; an identity of content here, not a protection."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _record(kind: str, key: str, at: int, block: bytes, fields: dict[str, str]) -> bytes:
    header = {
        "WARC-Type": kind,
        "WARC-Record-ID": _identity(key),
        "WARC-Date": f"{_moment(at):%Y-%m-%dT%H:%M:%SZ}",
        **fields,
        "WARC-Block-Digest": _sha1(block),
        "Content-Length": str(len(block)),
    }
    lines = "\r\n".join(["WARC/1.1", *(f"{name}: {value}" for name, value in header.items()), "", ""])
    return gzip.compress(lines.encode() + block + b"\r\n\r\n", compresslevel=6, mtime=0)
