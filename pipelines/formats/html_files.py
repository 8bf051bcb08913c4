"""HTML files, one page each, and what lies beside them in the copy of a site: pictures, fonts, style, scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .code_files import HEAD, is_binary
from .record import CorruptError, Record
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Slice
    from .source import Source

_BESIDE = re.compile(r"\.(?:css|m?js|json|map|svg|xml|rss|atom)$", re.IGNORECASE)
_PAGE = re.compile(rb"\A(?:\xff\xfe|\xfe\xff)|<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
"""What tells a page all the same: the mark of UTF-16, which is full of NUL, or its own elements."""


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """One page a file; its name is its path below the source's root.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        record = Record(file.name, file.name, file.size, kind="page")
        if file.size > source.raw_limit:
            yield record.reject(f"record over {source.raw_limit} bytes")
            continue
        try:
            with Raw(file, may_be_empty=True) as raw:
                yield page(raw.read(), record)
        except CorruptError as error:
            yield record.reject(str(error))


def page(data: bytes, record: Record) -> Record:
    """A record with the bytes of a page, to be extracted; empty files and files that are no pages are dropped.

    An extractor takes anything for a page: 1,621 pictures of a manual became as many documents, at 70 ms each.
    """
    if not data.strip():
        return record.drop("empty text")
    beside = _BESIDE.search(record.name) is not None
    if (beside or is_binary(data)) and not _PAGE.search(data[:HEAD]):
        return record.drop("not html" if beside else "binary")
    record.html = data
    return record
