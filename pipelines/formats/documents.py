"""From a slice to record batches: extraction, limits and the document's id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa

from ..files.schema import DOCUMENTS, ID_BYTES
from ..files.store import UserError
from .record import valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .record import Record
    from .slices import Slice
    from .source import Source

BATCH_ROWS = 8192
BATCH_BYTES = 16 * 2**20

_COPIED = tuple(name for name in DOCUMENTS.names if name not in {"document", "text"})


def documents(
    source: Source,
    slice_: Slice,
    *,
    reject: Mapping[int, str] | None = None,
    at: Callable[[int], object] = lambda _: None,
    rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Rows of a slice, one for each record read, in batches of up to 8,192 rows or about 16 MiB of text.

    Args:
        source: How to read.
        slice_: What to read.
        reject: Records, by their ordinal in the slice, that are not to be extracted, and why: they crashed or hung
            an earlier process.
        at: Told the ordinal of the record that is to be read and extracted next, before it is.
        rows: Of a batch, at most.

    Yields:
        Batches in `schema.DOCUMENTS`.

    Raises:
        OSError: A file cannot be read now; the message names it.
    """
    from . import records

    rejected = reject or {}
    batch = _Batch()
    reader = records(slice_, source)
    ordinal = 0
    while True:
        at(ordinal)
        record = next(reader, None)
        if record is None:
            break
        if ordinal in rejected:
            record.reject(rejected[ordinal])
        batch.append(record, _text(record, source))
        if len(batch.texts) == rows or batch.bytes >= BATCH_BYTES:
            yield batch.close()
            batch = _Batch()
        ordinal += 1
    if batch.texts:
        yield batch.close()


def _text(record: Record, source: Source) -> bytes | None:  # noqa: PLR0911 a reason each
    """The UTF-8 text of a record; None, and the record told why, where it has none."""
    if record.outcome is not None:
        return None
    if record.html is not None:
        from .extract import ExtractionError, extract, hidden_share

        try:
            record.text = extract(record.html, record.charset, source.extract)
            if source.hidden_text:
                record.hidden = hidden_share(record.html, record.charset)
        except ExtractionError as error:
            record.reject(str(error))
            return None
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 whatever a hostile page makes an extractor raise; the ledger names it
            record.reject(f"extraction failed: {type(error).__name__}")
            return None
    if record.text is None:
        return None
    text = valid(record.text)
    if not text or text.isspace():
        record.drop("empty text")
        return None
    data = text.encode()
    if len(data) > source.max_document:
        record.reject(f"document over {source.max_document} bytes")
        return None
    return data


class _Batch:
    """Columns that grow row by row."""

    def __init__(self) -> None:
        self.texts: list[bytes | None] = []
        self.bytes = 0
        self._ids: list[bytes | None] = []
        self._columns: dict[str, list[object]] = {name: [] for name in _COPIED}

    def append(self, record: Record, text: bytes | None) -> None:
        self.texts.append(text)
        self.bytes += len(text or b"")
        self._ids.append(None if text is None else hashlib.blake2b(text, digest_size=ID_BYTES).digest())
        for name, values in self._columns.items():
            values.append(getattr(record, name))

    def close(self) -> pa.RecordBatch:
        arrays = {
            "document": pa.array(self._ids, DOCUMENTS.field("document").type),
            "text": pa.array(self.texts, pa.binary()).view(pa.string()),
        }
        arrays |= {name: pa.array(values, DOCUMENTS.field(name).type) for name, values in self._columns.items()}
        return pa.RecordBatch.from_arrays([arrays[name] for name in DOCUMENTS.names], schema=DOCUMENTS)
