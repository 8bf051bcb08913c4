"""Best-fit packing: which documents share a sequence, so that none is cut but those longer than a sequence.

Documents that are longer are cut to pieces of a whole sequence first. Then, the longest first, each goes where the
least room is left that holds it, or begins a new sequence: best-fit decreasing (Ding et al. 2024, "Fewer Truncations
Improve Language Modeling", https://arxiv.org/abs/2404.10830). What is left of a sequence is padding.

The stream must keep the order of priorities, so that any prefix of it is a sample. So documents are packed in *blocks*:
equal ranges of priority, of some thousands of documents each, that the number of a stratum's documents decides and no
budget. In a block, sequences stand in the order of the document that began each, its longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.kernels import inlined, kernel
from ..files.schema import BUCKET_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_DOCUMENTS = 4096
"""Documents of a block, at least, where there are so many: twice as many are padded a little less."""


def block_buckets(documents: int) -> int:
    """Buckets of priority in a block of a stratum: a power of two.

    Args:
        documents: That a recipe keeps of the stratum.

    >>> block_buckets(5000), block_buckets(1_000_000), block_buckets(10**9)
    (4096, 32, 1)
    """
    halvings = min(BUCKET_BITS, max(0, (documents // BLOCK_DOCUMENTS).bit_length() - 1))
    return 1 << (BUCKET_BITS - halvings)


def fit(
    tokens: NDArray[np.int64], blocks: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Put documents into sequences, block by block.

    Args:
        tokens: int64 of shape (n,), from 1 to `length`, in the order of priority.
        blocks: int64 of shape (n,), ascending: the block of each.
        length: Tokens of a sequence.

    Returns:
        The sequence of each document and its place there, int64 of shape (n,), and the number of sequences. In a
        sequence, documents stand in their order.

    Raises:
        ValueError: A document is empty or longer than a sequence.

    >>> fit(np.array([3, 5, 4, 2]), np.zeros(4, np.int64), 8)
    (array([0, 0, 1, 1]), array([0, 3, 0, 4]), 2)
    """
    if len(tokens) and not 0 < tokens.min() <= tokens.max() <= length:
        raise ValueError(f"Documents of {tokens.min()} to {tokens.max()} tokens do not fit sequences of {length}.")
    sequence, place = np.empty(len(tokens), np.int64), np.empty(len(tokens), np.int64)
    starts = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]][: len(blocks)])
    count = 0
    for low, high in zip(starts, np.r_[starts[1:], len(tokens)], strict=False):
        some = tokens[low:high]
        bins, opener = np.empty(len(some), np.int64), np.empty(len(some), np.int64)
        used = _fit(some, np.argsort(-some, kind="stable"), length, bins, opener)
        number = np.empty(used, np.int64)
        number[np.argsort(opener[:used])] = np.arange(used)
        order = np.argsort(number[bins], kind="stable")
        of = number[bins][order]
        before = np.cumsum(some[order]) - some[order]
        first = np.searchsorted(of, np.arange(used))
        place[low + order] = before - before[first][of]
        sequence[low:high] = count + number[bins]
        count += used
    return sequence, place, count


@inlined
def _mark(some: Any, head: Any, room: Any, leaves: Any) -> None:
    node = leaves + room
    some[node] = head[room] >= 0
    while node > 1:
        node >>= 1
        some[node] = some[2 * node] or some[2 * node + 1]


@kernel
def _fit(tokens: Any, order: Any, length: int, bins: Any, opener: Any) -> int:
    leaves = 1
    while leaves <= length:
        leaves *= 2
    some = np.zeros(2 * leaves, np.bool_)  # a tree: whether any sequence has a room of this range
    head = np.full(length + 1, -1, np.int64)  # by room, the sequence that came to it last
    below = np.empty(len(tokens), np.int64)  # and the one that came to the same room before it
    used = 0
    for item in order:
        size = tokens[item]
        node = leaves + size
        if not some[node]:
            while node > 1 and (node & 1 or not some[node + 1]):
                node >>= 1
            if node > 1:
                node += 1
        if node > 1:
            while node < leaves:
                node = 2 * node if some[2 * node] else 2 * node + 1
            room = node - leaves
            chosen = head[room]
            head[room] = below[chosen]
            _mark(some, head, room, leaves)
        else:
            room, chosen = length, used
            opener[used] = item
            used += 1
        bins[item] = chosen
        left = room - size
        if left:
            below[chosen] = head[left]
            head[left] = chosen
            _mark(some, head, left, leaves)
    return used
