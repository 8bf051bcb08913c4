"""Is a page still what it was when someone vouched for it? Hashes that come with a crawl or with a list of addresses.

A crawl's ``WARC-Payload-Digest`` (ISO 28500) says what the server sent: another hash means that a file was damaged or
changed since. A list of addresses and hashes shows when a page was replaced after the list was made ("split view":
Carlini et al. 2023, "Poisoning Web-Scale Training Datasets is Practical").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SIZES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_HASH = re.compile(r"[0-9a-f]{64}")


def payload_matches(declared: str, *payloads: bytes) -> bool | None:
    """Whether a digest is that of one of these payloads.

    Crawlers differ in what they hash, the body as sent or with its transfer coding undone: give both, so that only a
    body that is neither is a mismatch.

    Args:
        declared: The value of a ``WARC-Payload-Digest`` header: ``sha1:`` and base 32 or hexadecimal digits; or md5,
            sha256 or sha512.
        payloads: What it may be the digest of.

    Returns:
        None where the value has no form that is known, so that nothing can be said.

    >>> payload_matches("sha1:VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N", b"")
    False
    >>> payload_matches("sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ", b"page", b"")
    True
    """
    name, colon, value = declared.strip().partition(":")
    algorithm = name.lower().replace("-", "")
    if not colon or algorithm not in _SIZES:
        return None
    wanted = _decoded(value.strip(), _SIZES[algorithm])
    if wanted is None:
        return None
    return any(hashlib.new(algorithm, payload, usedforsecurity=False).digest() == wanted for payload in payloads)


def _decoded(value: str, size: int) -> bytes | None:
    """Bytes of a digest in hexadecimal or base 32; which of them, its length says."""
    plain = value.rstrip("=").upper()
    try:
        if len(plain) == 2 * size:
            return bytes.fromhex(plain)
        raw = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == size else None


def read_views(lines: Iterable[str], where: str) -> dict[str, str]:
    """A list of addresses and SHA-256 hashes: one of each on a line, the hash last, white space or a comma between.

    Args:
        lines: The list's lines; empty ones and those that begin with ``#`` are passed over.
        where: Its name, for messages.

    Raises:
        ValueError: A line has no hash, or an address comes twice with different ones.

    >>> read_views(["https://a.example/ " + "0" * 64], "views.txt")["https://a.example/"][:4]
    '0000'
    """
    views: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        address, digest = entry[:-64].rstrip(" \t,"), entry[-64:].lower()
        if not address or not _HASH.fullmatch(digest):
            raise ValueError(f"{where}, line {number}: write an address and the SHA-256 of its page in 64 hex digits.")
        if views.setdefault(address, digest) != digest:
            raise ValueError(f"{where}, line {number}: {address} has another hash further up; keep one of them.")
    return views


def view_matches(views: Mapping[str, str], address: str, payload: bytes) -> bool | None:
    """Whether a page is the one that was listed; None where its address is not.

    >>> view_matches({}, "https://a.example/", b"page") is None
    True
    """
    wanted = views.get(address)
    return None if wanted is None else hashlib.sha256(payload).hexdigest() == wanted
