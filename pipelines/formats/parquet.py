"""Parquet files with a column of text."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..files.schema import REJECTED
from .jsonl import label
from .record import CorruptError, Record
from .row_groups import PARQUET_ERRORS
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input, Slice
    from .source import Source

ROWS = 1024
"""Rows decoded at once: 16 MiB for the longest documents that are common."""


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Rows of the slice's files, or of a range of row groups of one file.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        position = 0
        try:
            with Raw(file) as raw:
                try:
                    for record in _rows(raw, file, source, slice_.start, slice_.stop):
                        position += 1
                        yield record
                except PARQUET_ERRORS as error:
                    if raw.failed is not None:
                        raise raw.failed from error
                    raise CorruptError(str(error) if isinstance(error, CorruptError) else "corrupt parquet") from error
        except CorruptError as error:
            where = f"{file.name}:{slice_.start}+{position}" if position or slice_.start else file.name
            yield Record(where, where, 0 if position else file.size, outcome=REJECTED, reason=str(error))


def _rows(raw: Raw, file: Input, source: Source, start: int, stop: int) -> Iterator[Record]:
    parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
    schema = parquet.schema_arrow
    if source.text not in schema.names or not _holds_text(schema.field(source.text).type):
        raise CorruptError("no text field")
    columns = [name for name in (source.text, source.id, source.date) if name in schema.names]
    columns = [name for name in dict.fromkeys(columns) if not pa.types.is_nested(schema.field(name).type)]
    counts = [parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)]
    groups = list(range(start, len(counts) if stop < 0 else stop))
    row = sum(counts[:start])
    for batch in parquet.iter_batches(ROWS, row_groups=groups, columns=columns, use_threads=False):
        values = {name: batch.column(batch.schema.get_field_index(name)).to_pylist() for name in columns}
        missing = [None] * batch.num_rows
        for text, identity, date in zip(
            values[source.text], values.get(source.id, missing), values.get(source.date, missing), strict=True
        ):
            where = f"{file.name}:{row}"
            yield _record(text, Record(label(identity) or where, where, 0, date=_date(date)), source)
            row += 1


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _record(text: str | bytes | None, record: Record, source: Source) -> Record:
    if text is None:
        return record.reject("no text field")
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    record.bytes = len(data)
    if len(data) > source.raw_limit:
        return record.reject(f"record over {source.raw_limit} bytes")
    try:
        record.text = data.decode()
    except UnicodeDecodeError:
        return record.reject("not UTF-8")
    return record


def _date(value: Any) -> str | None:
    if isinstance(value, dt.date):
        return value.isoformat()
    return label(value)
