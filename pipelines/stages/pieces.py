"""Pieces: long documents in the order, cut so that none fills more than so many sequences in a row.

The first piece stands where the document would, and each other one at a place of its own, by a hash of the document's
priority and the piece's number. So a document of a thousand pieces is spread over the whole order, and every prefix of
it holds its share of long documents. A document is encoded as soon as any piece that it may have is wanted: how many
these are at most its bytes tell, because no tokenizer that keeps the text makes more tokens than it has bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import mix64
from ..files.schema import BUCKET_BITS, CANDIDATE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

SEED = 0x7069_6563
"""Of the hashes of pieces; the study's own seed is in the priority."""

ENDS = 2
"""Tokens beside those of the text at most: one before it, as some tokenizers have it, and the end-of-document token."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of some documents, in the order of documents and of the text.

    Attributes:
        index: int64 of shape (n,): which document.
        start: int64 of shape (n,): the document's tokens before the piece.
        tokens: int64 of shape (n,).
        priority: uint64 of shape (n,).
    """

    index: NDArray[np.int64]
    start: NDArray[np.int64]
    tokens: NDArray[np.int64]
    priority: NDArray[np.uint64]


def cut(priority: NDArray[np.uint64], text_bytes: NDArray[np.int64], tokens: NDArray[np.int64], most: int) -> Pieces:
    """Cut documents into pieces.

    Args:
        priority: uint64 of shape (k,).
        text_bytes: int64 of shape (k,).
        tokens: int64 of shape (k,), the end-of-document token included.
        most: Tokens of a piece; 0 cuts nothing.

    >>> cut(np.array([7], np.uint64), np.array([9]), np.array([10]), 4).tokens.tolist()
    [4, 4, 2]
    """
    times = np.maximum(-(-tokens // most), 1) if most else np.ones(len(tokens), np.int64)
    index, number = spread(times)
    start = number * most
    length = np.minimum(tokens[index] - start, most) if most else tokens
    return Pieces(index, start, length, _priority(priority[index], number, _possible(text_bytes, most)[index]))


def within(pieces: Pieces, length: int) -> Pieces:
    """Pieces of at most a sequence, which stand where the piece stood that they are cut from.

    Args:
        pieces: As `cut` gives them.
        length: Tokens of a sequence.
    """
    index, number = spread(-(-pieces.tokens // length))
    start = number * length
    length_of = np.minimum(pieces.tokens[index] - start, length)
    return Pieces(pieces.index[index], pieces.start[index] + start, length_of, pieces.priority[index])


def earliest(priority: NDArray[np.uint64], text_bytes: NDArray[np.int64], most: int) -> NDArray[np.uint64]:
    """The least priority of any piece that each document may have, whatever its tokens are.

    Args:
        priority: uint64 of shape (k,).
        text_bytes: int64 of shape (k,).
        most: Tokens of a piece; 0 cuts nothing.
    """
    possible = _possible(text_bytes, most)
    if not len(priority) or possible.max() == 1:
        return priority
    index, number = spread(possible)
    return np.minimum.reduceat(_priority(priority[index], number, possible[index]), np.cumsum(possible) - possible)


def _possible(text_bytes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.maximum(-(-(text_bytes + ENDS) // most), 1) if most else np.ones(len(text_bytes), np.int64)


def spread(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which document each piece is of, and its number there."""
    index = np.repeat(np.arange(len(times)), times)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(times) - times, times)


def _priority(
    priority: NDArray[np.uint64], number: NDArray[np.int64], possible: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Priorities of pieces. Where a normaliser lengthens the text, pieces beyond the possible ones share places."""
    number = number % possible
    return np.where(number == 0, priority, mix64(SEED, priority, number.astype(np.uint64)))


def buckets_of(priority: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The bucket of each priority: its top bits.

    >>> buckets_of(np.array([0, 2**63], np.uint64)).tolist()
    [0, 2048]
    """
    return (priority >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)


def bounds(choice: pa.Table, cutoffs: dict[str, int]) -> NDArray[np.int64]:
    """For each row, the first bucket that is not wanted; 0 where the recipe did not keep it.

    Args:
        choice: What `choose.choose_part` says of a part.
        cutoffs: The first bucket that is not wanted, by stratum; of a stratum that is not named nothing is wanted.
    """
    stratum = choice.column("stratum").combine_chunks().dictionary_encode()
    last = np.array([cutoffs.get(name, 0) for name in stratum.dictionary.to_pylist()] or [0], np.int64)
    kept: NDArray[Any] = choice.column("code").to_numpy() == CANDIDATE
    return np.where(kept, last[stratum.indices.to_numpy(zero_copy_only=False)], 0)


def wanted(choice: pa.Table, cutoffs: dict[str, int]) -> NDArray[np.bool_]:
    """Rows that the recipe kept and whose priority's bucket is below their stratum's cutoff; see `bounds`."""
    inside: NDArray[np.bool_] = buckets_of(choice.column("priority").to_numpy()) < bounds(choice, cutoffs)
    return inside
