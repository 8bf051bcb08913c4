"""Source formats, from raw file to record batches. Never Beam.

A new format is one file with a function ``records(slice_, source)``, and one line in :data:`FORMATS`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from .documents import documents
from .record import CorruptError, ReadError, Record
from .slices import Input, Slice
from .source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = {
    "html": "html_files",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "tar": "tar_files",
    "tree": "tree",
    "warc": "warc",
    "wet": "wet",
    "zip": "zip_files",
}
"""What a study writes as ``format`` → module, imported when it is read."""


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Every record of a slice, in the order of its files.

    Raises:
        OSError: A file cannot be read now (permission, connection, disk); the message names it.
    """
    module = importlib.import_module(f".{FORMATS[source.format]}", __name__)
    read = cast("Callable[[Slice, Source], Iterator[Record]]", module.records)
    return read(slice_, source)


__all__ = ["FORMATS", "CorruptError", "Input", "ReadError", "Record", "Slice", "Source", "documents", "records"]
