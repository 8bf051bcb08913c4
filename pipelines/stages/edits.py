"""What is changed in a part's texts where they are encoded: lines that are cut, finds that are masked.

Everything else, ids, priorities, rules and clusters, is of the texts as they were read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.private.personal import MASKS
from ...filters.text.masks import CUT, Edits, apply_edits, growth, lists, merge_spans
from ..files import store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.parts import Part, Store


class Editor:
    """The edits of one part: it writes texts as they are encoded.

    Attributes:
        names: What is masked.
    """

    def __init__(self, place: Store, part: Part, edits: dict[str, Any]) -> None:
        """Read where the edits stand.

        Args:
            place: The store.
            part: The part.
            edits: `Pool.edits`; nothing is changed where it is empty.
        """
        masks: list[tuple[str, list[str]]] = edits.get("masks", [])
        self.names = list(dict.fromkeys(name for _, names in masks for name in names))
        self._edits: Edits | None = None
        found = [_spans(place, part, score, [self.names.index(name) for name in names]) for score, names in masks]
        if edits.get("cut"):
            found.append(_cuts(place, part, edits["cut"]))
        if found:
            valid = place.column(part, ("document",)).is_valid().to_numpy()
            rows, starts, stops, names = (np.concatenate(each) for each in zip(*found, strict=True))
            self._edits = merge_spans(rows, starts, stops, names, valid)

    def edit(self, column: pa.StringArray, rows: NDArray[np.int64]) -> pa.StringArray:
        """The texts of these rows as they are encoded."""
        return column if self._edits is None else apply_edits(column, self._edits.take(rows), self.names)

    def sizes(self, read: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bytes of all of the part's texts as they are encoded, from those that were read: int64[rows]."""
        return read if self._edits is None else read + growth(self._edits, self.names)

    def counts(self, rows: int) -> NDArray[np.int32]:
        """Masks in each of the part's rows, by name: int32[rows, names]."""
        return np.zeros((rows, 0), np.int32) if self._edits is None else self._edits.counts(len(self.names))


def _spans(place: Store, part: Part, score: str, numbers: list[int]) -> tuple[NDArray[np.int64], ...]:
    """Row, start, stop and name of what a score says is to be masked."""
    table = store.read_table(place.score(score, part.id), MASKS.names).combine_chunks()
    (offsets, starts), (_, stops), (_, names) = (lists(table.column(name).combine_chunks()) for name in MASKS.names)
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return rows, starts, stops, np.array(numbers, np.int64)[names]


def _cuts(place: Store, part: Part, lines: str) -> tuple[NDArray[np.int64], ...]:
    """The same of repeated lines that are cut."""
    table = store.read_table(place.score(lines, part.id), ["starts", "stops"]).combine_chunks()
    (offsets, starts), (_, stops) = (lists(table.column(name).combine_chunks()) for name in ("starts", "stops"))
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return rows, starts, stops, np.full(len(rows), CUT, np.int64)


def encoded_bytes(place: Store, part: Part, edits: dict[str, Any]) -> NDArray[np.int64]:
    """UTF-8 bytes of each of a part's texts as it is encoded: int64[rows], 0 where there is no document.

    Args:
        place: The store.
        part: The part.
        edits: `Pool.edits`.
    """
    read = place.column(part, ("text_bytes",)).combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    return Editor(place, part, edits).sizes(read.astype(np.int64))
