"""Stretches: the order between documents that rungs in bytes or documents end with, inside which pieces stay.

A rung in bytes or documents is a beginning of the order of documents, whatever their tokens are. Where documents are
cut into pieces, or put together by how many tokens they have, this happens inside the stretch between two such rungs'
last documents: so a rung still has exactly those documents, and its beginning is every smaller rung.

A document's first piece stands where the document would. Each later one has a place of its own in the stretch, by a
hash of the document's priority and the piece's number: so long documents are spread over the whole stretch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import mix64
from .pieces import SEED, Pieces, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HALF = np.uint64(32)


def stretch_of(bounds: Sequence[Sequence[int]], documents: NDArray[Any]) -> NDArray[np.int64]:
    """In which stretch each document of a stratum stands: how many bounds come before it.

    Args:
        bounds: Last documents of the stretches, in order, each as priority, both halves of the id, tie and key.
        documents: Of shape (n,), with `priority`, `id`, `tie` and `key`.

    Returns:
        int64 of shape (n,); `len(bounds)` behind the last.
    """
    priorities = np.array([bound[0] for bound in bounds], np.uint64)
    out = np.searchsorted(priorities, documents["priority"], "left")
    after = np.searchsorted(priorities, documents["priority"], "right")
    for n in np.flatnonzero(after > out).tolist():  # a bound itself, a copy of one, or once in 2**64 by chance
        one, first = documents[n], int(out[n])
        ids = int(one["id"]["high"]), int(one["id"]["low"])
        rank = (int(one["priority"]), *ids, int(one["tie"]), int(one["key"]))
        out[n] = first + sum(tuple(bound) < rank for bound in bounds[first : int(after[n])])
    return out


def cut_inside(
    priority: NDArray[np.uint64],
    tokens: NDArray[np.int64],
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
    most: int,
) -> Pieces:
    """Cut documents into pieces that stay inside their stretches.

    Args:
        priority: uint64 of shape (k,).
        tokens: int64 of shape (k,), the end-of-document token included.
        low: uint64 of shape (k,): where each one's stretch begins.
        high: uint64 of shape (k,): where it ends.
        most: Tokens of a piece; 0 cuts nothing.

    >>> two = np.array([5, 2**63], np.uint64)
    >>> cut_inside(two, np.array([3, 10]), two * 0, two, 4).start.tolist()
    [0, 0, 4, 8]
    """
    times = np.maximum(-(-tokens // most), 1) if most else np.ones(len(tokens), np.int64)
    index, number = spread(times)
    start = number * most
    length = np.minimum(tokens[index] - start, most) if most else tokens
    first, room = low[index], (high - low)[index]
    chance = mix64(SEED, priority[index], number.astype(np.uint64)) >> HALF
    # chance · room / 2**32, of which each half fits 64 bits
    inside = chance * (room >> HALF) + ((chance * (room & np.uint64(0xFFFFFFFF))) >> HALF)
    return Pieces(index, start, length, np.where(number == 0, priority[index], first + inside))
