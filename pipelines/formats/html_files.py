"""HTML files, one page each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .record import CorruptError, Record
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Slice
    from .source import Source


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
    """A record with the bytes of a page, to be extracted; empty files are dropped."""
    if not data.strip():
        return record.drop("empty text")
    record.html = data
    return record
