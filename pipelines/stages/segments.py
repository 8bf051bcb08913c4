"""Segments: the encoded documents of a part, a file each time that more of them were needed.

A segment is a file of token ids, little-endian and with no header: the tokens of each document followed by the
end-of-document token. Beside it a small index says, in the order of rows, where each document begins and how long it
is. The index is written last: a segment without one does not exist, nor does one whose tokens were lost. Which
documents share a segment depends on what was asked for before; a document's tokens never do. A document that the
tokenizer cannot encode, because its process dies each time, is in no segment; a small file says which those are, and
how it died.

Local files are mapped, not read, so that a shard opens a part in a fraction of a millisecond, however long its index.
From object stores the index is read, and of the tokens the range that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..files import store
from .ranges import copy_ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.parts import Store

INDEX, TOKENS, REFUSED = ".index", ".tokens", ".refused"

ENTRY = np.dtype([("row", "<u4"), ("start", "<i8"), ("tokens", "<i8")])
"""Of an index: a row of the part, where its tokens start, and how many they are."""


def _folder(place: Store, tokenizer: str, part: str) -> str:
    return place.path("tokens", tokenizer, part)


def _names(folder: str) -> list[str]:
    found = store.names(folder)
    names = (name.removesuffix(INDEX) for name in found if name.endswith(INDEX))
    return sorted(name for name in names if name + TOKENS in found)


def _mapped(path: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A file as an array: local ones are mapped."""
    if store.is_remote(path):
        return np.frombuffer(store.read_bytes(path), dtype)
    with pa.memory_map(path) as file:
        return np.frombuffer(file.read_buffer(), dtype)


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
        index = _mapped(store.join(folder, name + INDEX), ENTRY)
        out[index["row"]] = index["tokens"]
    return out


def refused(place: Store, tokenizer: str, part: str) -> dict[int, str]:
    """Rows of a part that its tokenizer could not encode, and how its process died; often none.

    Args:
        place: The store.
        tokenizer: The tokenizer's fingerprint.
        part: The part's id.
    """
    folder = _folder(place, tokenizer, part)
    names = sorted(name for name in store.names(folder) if name.endswith(REFUSED))
    found = [store.read_json(store.join(folder, name)) for name in names]
    return {int(row): reason for one in found for row, reason in one.items()}


def refuse(place: Store, tokenizer: str, part: str, rows: dict[int, str]) -> None:
    """Add rows that the tokenizer could not encode; `rows` has the reason of each."""
    name = store.fingerprint(sorted(rows)) + REFUSED
    store.write_json(store.join(_folder(place, tokenizer, part), name), {str(row): rows[row] for row in rows})


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
    little = np.ascontiguousarray(ids, ids.dtype.newbyteorder("<"))
    store.write_bytes(store.join(folder, name + TOKENS), pa.py_buffer(little))
    index = np.empty(len(rows), ENTRY)
    index["row"], index["start"], index["tokens"] = rows, offsets[:-1], np.diff(offsets)
    store.write_bytes(store.join(folder, name + INDEX), index[np.argsort(index["row"])].tobytes())


@dataclass(frozen=True)
class _Segment:
    path: str
    index: NDArray[Any]


class Reader:
    """Tokens of one part's documents, by row."""

    def __init__(self, place: Store, tokenizer: str, part: str) -> None:
        """Open the indexes of all segments of the part."""
        folder = _folder(place, tokenizer, part)
        self._segments = [
            _Segment(store.join(folder, name + TOKENS), _mapped(store.join(folder, name + INDEX), ENTRY))
            for name in _names(folder)
        ]

    def copy(
        self,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        places: NDArray[np.int64],
        out: NDArray[Any],
    ) -> None:
        """Put tokens [starts[n], starts[n] + lengths[n]) of the document in row rows[n] at out[places[n]].

        Args:
            rows: int64 of shape (n,).
            starts: int64 of shape (n,).
            lengths: int64 of shape (n,).
            places: int64 of shape (n,).
            out: Of the tokens' dtype.

        Raises:
            ValueError: A document has fewer tokens, or was not encoded.
        """
        left = np.ones(len(rows), np.bool_)
        for segment in self._segments:
            index = segment.index
            at = np.minimum(np.searchsorted(index["row"], rows), len(index) - 1)
            here = np.flatnonzero(left & (index["row"][at] == rows) & (starts + lengths <= index["tokens"][at]))
            if not len(here):
                continue
            left[here] = False
            begins = index["start"][at[here]] + starts[here]
            low, high = int(begins.min()), int((begins + lengths[here]).max())
            tokens = _tokens(segment.path, low, high, out.dtype)
            copy_ranges(tokens, begins - low, places[here], lengths[here], out)
        if left.any():
            raise ValueError(
                f"{left.sum()} of {len(rows)} documents have not so many tokens in the segments of their part."
            )


def _tokens(path: str, low: int, high: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Tokens [low, high) of a segment."""
    if not store.is_remote(path):
        return _mapped(path, dtype)[low:high]
    with store.open_input(path) as file:
        return np.frombuffer(file.read_at((high - low) * dtype.itemsize, low * dtype.itemsize), dtype)
