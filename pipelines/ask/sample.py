"""Sample: some documents of a result, drawn by a hash of seed and content, with their texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import mix64
from ..stages import keys
from .records import Records, Wanted, open_records
from .texts import ahead, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

DRAWN = np.dtype([("rank", "<u8"), ("key", "<u8")])


@dataclass(frozen=True)
class Drawn:
    """A document that was drawn.

    Attributes:
        told: What the ledger says of it, and the recipe (`records.COLUMNS`).
        text: What is encoded of it, or as it was read; None where the record gave no document.
    """

    told: dict[str, Any]
    text: str | None


def sample(out: str, wanted: Wanted, count: int = 10, seed: int = 0, *, as_read: bool = False) -> list[Drawn]:
    """Draw documents without regard to where they stand, so that the same seed gives the same ones of any layout.

    Args:
        out: Folder of a finished build.
        wanted: Of which records.
        count: How many; all where there are no more.
        seed: Another seed draws others.
        as_read: Whether texts are told as they were read, not as they are encoded.

    Returns:
        In the order in which they were drawn: more of the same seed are these and then others.

    Raises:
        UserError: As for `open_records`.
        OSError: A file of the result or its store is missing or damaged.
    """
    records = open_records(out, wanted)

    def draw(ordinal: int) -> NDArray[Any]:
        rows = np.flatnonzero(records.mask(ordinal))
        return least(packed(records, ordinal, rows, seed), count) if len(rows) else np.zeros(0, DRAWN)

    best = np.zeros(0, DRAWN)
    for found in ahead(draw, range(len(records.evidence.parts))):
        best = least(np.concatenate([best, found]), count)
    return read_drawn(records, best, as_read=as_read)


def packed(records: Records, ordinal: int, rows: NDArray[np.int64], seed: int) -> NDArray[Any]:
    """Ranks and keys of some rows of a part; a record without a document has its place for an id."""
    part = records.evidence.parts[ordinal]
    ids = keys.id_array(records.evidence.place.column(part, ("document",)))[rows]
    high, low = ids["high"].astype("<u8"), ids["low"].astype("<u8")
    out = np.empty(len(rows), DRAWN)
    out["key"] = keys.keys(ordinal, rows)
    out["rank"] = mix64(seed, high, np.where((high == 0) & (low == 0), out["key"], low))
    return out


def least(drawn: NDArray[Any], count: int) -> NDArray[Any]:
    """The first so many by rank."""
    order = np.lexsort((drawn["key"], drawn["rank"]))
    return drawn[order[:count]]


def read_drawn(records: Records, drawn: NDArray[Any], *, as_read: bool = False) -> list[Drawn]:
    """Ledgers and texts of what was drawn, in its order."""
    numbers, rows = keys.ordinals(drawn["key"]), keys.rows(drawn["key"])
    found: dict[int, Drawn] = {}
    for ordinal in np.unique(numbers).tolist():
        here = np.sort(rows[numbers == ordinal])
        texts = read_texts(records.evidence, ordinal, here, as_read=as_read)
        keyed = keys.keys(ordinal, here).tolist()
        for key, told, text in zip(keyed, records.told(ordinal, here), texts, strict=True):
            found[key] = Drawn(told, text)
    return [found[key] for key in drawn["key"].tolist()]


def as_lines(drawn: Iterable[Drawn]) -> Iterable[dict[str, Any]]:
    """What was drawn as values for JSON lines."""
    return ({**one.told, "text": one.text} for one in drawn)
