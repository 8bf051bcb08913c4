"""Recount rungs in bytes or documents where these are cut or fitted: which documents each has, by an order of its own.

Pieces of a rung's documents stand anywhere between the ends of two rungs, so where a document begins tells nothing of
how far the order goes. Therefore the order itself is worked out again, from the documents' ids and the study's seed:
of each stratum a rung has the first documents that reach its share, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import mix64
from .reach import NEAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .reach import Reached

PERMUTATION = 0x7065726D
"""What other orders than the study's own are hashed with."""


@dataclass(frozen=True)
class Order:
    """One pass over the documents of a stratum, by their order; copies of a text one by one.

    Attributes:
        sizes: int64 of shape (n,): bytes, or ones, up to the end of each.
        tokens: int64 of shape (n,): tokens, as far as they stand, likewise.
        pieces: int64 of shape (n,): pieces, likewise.
        text: int64 of shape (n,): which text each is.
        entries: int64 of shape (m,): which text each piece of the pass is of, as pieces stand in the stream.
        sequences: int64 of shape (m,): in which sequence each piece begins.
    """

    sizes: NDArray[np.int64]
    tokens: NDArray[np.int64]
    pieces: NDArray[np.int64]
    text: NDArray[np.int64]
    entries: NDArray[np.int64]
    sequences: NDArray[np.int64]

    @classmethod
    def of(cls, stands: NDArray[Any], known: NDArray[Any], seed: int) -> Order:
        """The order of what stands in a pass.

        Args:
            stands: Of dtype `STANDS`: its pieces.
            known: Of dtype `BEGINS`: pieces of the stratum with the sizes of their documents.
            seed: Of the order.
        """
        ids, inverse = np.unique(stands["id"], return_inverse=True)
        halves = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64)
        high, low = halves[:, 0], halves[:, 1]
        order = np.lexsort((low, high, mix64(seed, high, low)))
        rank = np.empty(len(ids), np.int64)
        rank[order] = np.arange(len(ids))
        entries = rank[inverse]
        found, first = np.unique(known["id"], return_index=True)
        sizes = known["size"][first][np.searchsorted(found, ids)][order]
        copies = np.maximum(np.bincount(entries[stands["start"] == 0], minlength=len(ids)), 1)
        tokens = np.bincount(entries, stands["tokens"], len(ids)).astype(np.int64) // copies
        pieces = np.bincount(entries, minlength=len(ids)) // copies
        text = np.repeat(np.arange(len(ids)), copies)
        sizes, tokens, pieces = (np.cumsum(one[text]) for one in (sizes, tokens, pieces))
        return cls(sizes, tokens, pieces, text, entries, stands["sequence"])


def check_whole(
    reached: Reached,
    passes: Iterator[tuple[int, NDArray[Any], int]],
    counts: dict[int, list[int]],
    *,
    seed: int,
    permutation: int,
    fits: bool,
) -> list[str]:
    """Documents that stand in another rung than their order says, and rungs that end elsewhere.

    Args:
        reached: What the stream holds, and what each stratum is to reach.
        passes: For each stratum its number, its pieces (`STANDS`), and how many of them make the first pass.
        counts: Sequences of each stratum, by the rung's sequences.
        seed: The study's.
        permutation: Which of its orders.
        fits: Whether documents are fitted to sequences: a rung then ends where its documents do, to the sequence.
    """
    own = int(mix64(PERMUTATION, np.array([seed], np.uint64), np.array([permutation], np.uint64))[0])
    faults = []
    known = reached.documents()
    places = [(rung.name, counts[rung.sequences], rung.requested, True) for rung in reached.rungs
              if rung.sequences in counts]  # fmt: skip
    if not fits:  # inside a rung, how far fitted documents are depends on where each went
        places += [(f"sequence {n:,}", given, at, False) for n, given, at in reached.places()]
    for n, every, stop in passes:
        order = Order.of(every[:stop], known[n], own if permutation else seed)
        for name, given, at, ends in places:
            target = reached.targets(at)[n]
            fault = _fault(order, target, given[n], reached.length, again=stop < len(every), fits=fits, ends=ends)
            faults += [f"{name}: stratum {n + 1} {fault} its {target:,} {reached.unit}"] if fault else []
    return faults


def _fault(order: Order, target: int, had: int, length: int, *, again: bool, fits: bool, ends: bool) -> str:
    """What is wrong with the end of a stratum at a place; empty where nothing is."""
    total = int(order.sizes[-1]) if len(order.sizes) else 0
    done, rest = divmod(target, total) if again else (0, target)
    last = min(int(np.searchsorted(order.sizes, rest)), len(order.sizes) - 1) if rest else -1
    pieces, tokens = (int(one[last]) if last >= 0 else 0 for one in (order.pieces, order.tokens))
    if ends and last >= 0 and (order.entries[:pieces] > order.text[last]).any():
        return "has a document before the one that reaches"
    if not fits:
        off = had * length - tokens - (done * int(order.tokens[-1]) if done else 0)
        return "" if abs(off) < NEAR * length else f"ends {off / length:+.1f} sequences from the document that reaches"
    whole = len(np.unique(order.sequences)) * done + len(np.unique(order.sequences[:pieces]))
    shared = 0 < pieces < len(order.sequences) and order.sequences[pieces] == order.sequences[pieces - 1]
    if shared:
        return "shares a sequence with what comes after the document that reaches"
    return "" if whole == had else f"has {had:,} sequences, not the {whole:,} of what reaches"
