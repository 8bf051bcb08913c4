"""Segments: the encoded documents of a part, a file each time that more of them were needed.

A segment is an Arrow IPC file with one column, the tokens of each document followed by the end-of-document token, and
beside it a small index that says which row of the part each is and how long. The index is written last: a segment
without one does not exist. Which documents share a segment depends on what was asked for before; a document's tokens
never do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from . import store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .parts import Store

INDEX = ".index.parquet"


def _folder(place: Store, tokenizer: str, part: str) -> str:
    return place.path("tokens", tokenizer, part)


def _names(folder: str) -> list[str]:
    return sorted(name.removesuffix(INDEX) for name in store.names(folder) if name.endswith(INDEX))


def counts(place: Store, tokenizer: str, part: str, rows: int) -> NDArray[np.int64]:
    """Tokens of each row of a part, end-of-document token included; 0 where it was not encoded.

    Args:
        place: The store.
        tokenizer: The tokenizer's fingerprint.
        part: The part's id.
        rows: How many the part has.
    """
    out = np.zeros(rows, np.int64)
    folder = _folder(place, tokenizer, part)
    for name in _names(folder):
        index = store.read_table(store.join(folder, name + INDEX))
        out[index.column("row").to_numpy()] = index.column("tokens").to_numpy()
    return out


def write(  # noqa: PLR0917 each is a column or says whose
    place: Store, tokenizer: str, part: str, rows: NDArray[np.int64], offsets: NDArray[np.int64], ids: Any
) -> None:
    """Add a segment.

    Args:
        place: The store.
        tokenizer: The tokenizer's fingerprint.
        part: The part's id.
        rows: int64 of shape (n,): the row of each document, in the order of `ids`.
        offsets: int64 of shape (n + 1,).
        ids: uint16 or uint32 of shape (offsets[-1],).
    """
    folder = _folder(place, tokenizer, part)
    name = store.fingerprint([int(row) for row in rows])  # in order: content follows it
    column = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids))
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([column], ["input_ids"])
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    store.write_bytes(store.join(folder, f"{name}.arrow"), sink.getvalue())
    index = pa.table({"row": rows.astype(np.uint32), "tokens": np.diff(offsets)})
    store.write_table(store.join(folder, name + INDEX), index)


class Reader:
    """Tokens of one part's documents, by row."""

    def __init__(self, place: Store, tokenizer: str, part: str, rows: int) -> None:
        """Open all segments of the part; local ones are mapped, not read."""
        self._starts = np.full(rows, -1, np.int64)
        self._segment = np.full(rows, -1, np.int64)
        self._ids: list[NDArray[Any]] = []
        folder = _folder(place, tokenizer, part)
        for n, name in enumerate(_names(folder)):
            index = store.read_table(store.join(folder, name + INDEX))
            path = store.join(folder, f"{name}.arrow")
            source = store.open_input(path) if store.is_remote(path) else pa.memory_map(path)
            with source:
                column = pa.ipc.open_file(source).read_all().column(0).chunk(0)
            at = index.column("row").to_numpy()
            self._segment[at] = n
            self._starts[at] = column.offsets.to_numpy()[:-1]
            self._ids.append(column.values.to_numpy())

    def copy(self, row: int, start: int, stop: int, out: NDArray[Any]) -> None:
        """Put tokens [start, stop) of a document into `out`."""
        at = self._starts[row]
        out[:] = self._ids[self._segment[row]][at + start : at + stop]
