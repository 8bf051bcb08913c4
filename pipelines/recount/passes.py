"""Recount passes: where a stratum's documents begin again, each in the same order, and how often one stands in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .result_files import ID, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

STANDS = np.dtype([("id", ID), ("start", "<i8"), ("sequence", "<i8"), ("tokens", "<i8")])
"""A document, or a piece of one, that begins in a stratum's stream: the document's tokens before it, the sequence in
which it begins, and its tokens as far as they stand."""


def first_pass(ids: NDArray[Any], kept: NDArray[Any] | None) -> int:
    """How many documents make the first pass, where copies of one text stand side by side in every pass.

    It is over where the first document comes again after another one; where there is but one text, after its copies.

    Args:
        ids: Of dtype (id, start): the documents of a stratum, in order.
        kept: Ids of the rows that the ledger keeps; None where there is no ledger.
    """
    again = np.flatnonzero((ids[1:] == ids[:1]) & (ids[1:] != ids[:-1])) + 1
    stop = int(again[0]) if len(again) else len(ids)
    if kept is not None and stop and (ids == ids[0]).all():
        stop = min(stop, max(1, int((kept == ids[0]["id"]).sum())))
    return stop


def fitted_pass(ids: NDArray[Any], kept: NDArray[Any]) -> int:
    """How many documents make the first pass, where copies of a text may stand apart.

    As many as lie between two places of one that has no copy; if none of these comes again, those before the first
    document comes once more than it has copies.

    Args:
        ids: Of dtype (id, start): the documents of a stratum, in order.
        kept: Ids of the rows of its source that the ledger keeps, sorted.
    """
    if not len(ids):
        return 0
    copies = np.searchsorted(kept, ids["id"], "right") - np.searchsorted(kept, ids["id"], "left")
    single = np.flatnonzero(copies == 1)
    same = np.flatnonzero(ids == ids[single[0]]) if len(single) else single
    if len(same) > 1:
        return int(same[1] - same[0])
    same = np.flatnonzero(ids == ids[0])
    return int(same[copies[0]]) if 0 < copies[0] < len(same) else len(ids)


def check_passes(
    passes: Iterable[tuple[int, NDArray[Any], int]], strata: Sequence[str], kept: NDArray[Any] | None
) -> list[str]:
    """Documents that stand too often in one pass, and passes that have another order than the first.

    Args:
        passes: For each stratum its number, its documents (`STANDS`), and how many of them make the first pass.
        strata: Their names.
        kept: Ids of the rows that the ledger keeps, a copy for each; None where there is no ledger.

    Returns:
        One line for each fault.
    """
    faults, first = [], []
    for n, every, stop in passes:
        ids = every[["id", "start"]]
        first.append(ids[:stop])
        wrong = ids[stop:] != ids[: len(ids) - stop]
        if wrong.any():
            at = every[stop:][wrong.argmax()]
            faults.append(f"sequence {at['sequence']:,}: a new pass of {strata[n]} has another order")
    stands, times = np.unique(np.concatenate([np.zeros(0, STANDS)[["id", "start"]], *first]), return_counts=True)
    ids = stands["id"]
    allowed = np.ones(len(ids), np.int64)
    if kept is not None and len(kept):
        known, copies = np.unique(kept, return_counts=True)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        allowed = np.where(known[at] == ids, copies[at], 1)
    over = times > allowed
    return faults + named(ids[over], "stands {} times in one pass", times[over])
