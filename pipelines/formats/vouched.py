"""Is a page of a crawl what someone vouched for: the crawler by a digest, or a list of addresses by hashes?"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ...filters.provenance.digests import payload_matches, read_views, view_matches
from ..files import store

if TYPE_CHECKING:
    from collections.abc import Iterable

SAME, OTHER, UNKNOWN = "same", "other", "unknown"

_SAID = {True: SAME, False: OTHER, None: UNKNOWN}


def payload(declared: str | None, forms: Iterable[bytes]) -> str:
    """What a `WARC-Payload-Digest` says of a page: `same`, `other`, or `unknown` where there is none that is known.

    Args:
        declared: The header's value.
        forms: The body as sent, and with encodings undone; each is hashed only where those before it are not the one.

    >>> payload("sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ", [b"a page", b""]), payload(None, [b""])
    ('same', 'unknown')
    """
    said = UNKNOWN
    for form in dict.fromkeys(forms) if declared else ():
        said = _SAID[payload_matches(declared or "", form)]
        if said != OTHER:
            break
    return said


def view(path: str, address: str, body: bytes) -> str:
    """What the list at `path` says of a page: `same`, `other`, or `unknown` where it does not name the address.

    Raises:
        UserError: There is no such list, or it is written wrongly.
    """
    return _SAID[view_matches(views(path), address, body)]


@lru_cache(maxsize=4)
def views(path: str) -> dict[str, str]:
    """The list at a path, read once.

    Raises:
        UserError: There is no such list, or it is written wrongly.
    """
    try:
        return read_views(store.read_bytes(path).decode().splitlines(), path)
    except FileNotFoundError as error:
        raise store.UserError(f"{path}: there is no such list") from error
    except ValueError as error:
        raise store.UserError(str(error)) from error
