"""Contaminated documents: what the scores `contamination` found in the pool, counted for the manifest and the card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.lists.contamination import Contamination
from ..files import store
from ..files.parts import Store, read_all
from .plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plan import Plan
    from .pool import Pool

MOST_LISTED = 1000
"""Items of a set that the manifest lists by number, the first ones."""


def count_found(plan: Plan, pool: Pool) -> dict[str, Any] | None:
    """What the study's scores of type `contamination` found in the whole pool, before any rule.

    Returns:
        By score: `documents` (by source, those with any item) and `sets`, by set: `items`, `too_short` (not looked
        for), `found` (items that a document holds), `answered` (with their answer), `found_items` (numbers from 0 in
        the set, the first 1,000) and `documents` (by source); None where the study has no such score.
    """
    told = {}
    for name, family in plan.study.scores.items():
        if isinstance(family, Contamination):
            told[name] = _count(pool, plan.score_of[name], family)
    return told or None


def _count(pool: Pool, score: str, family: Contamination) -> dict[str, Any]:
    sizes = family.set_sizes()
    ends = np.cumsum([one["items"] for one in sizes.values()]).tolist()
    folder = pool.store.path("contaminated", store.fingerprint([FORMAT, pool.identity, score]))
    paths = [store.join(folder, f"{n:07d}.json") for n in range(len(pool.parts))]
    tasks = pool.tasks(score=score, ends=ends)
    for path, task in zip(paths, tasks, strict=True):
        task["path"] = path
    pool.run_missing(
        "count contaminated documents",
        f"{__name__}:count_part",
        list(zip(paths, tasks, strict=True)),
    )
    documents: dict[str, int] = {}
    by_set: list[dict[str, int]] = [{} for _ in sizes]
    found: set[int] = set()
    answered: set[int] = set()
    for part, counts in zip(pool.parts, read_all(store.read_json, paths), strict=True):
        found.update(counts["items"])
        answered.update(counts["answered_items"])
        for table, n in zip((documents, *by_set), (counts["documents"], *counts["sets"]), strict=True):
            if n:
                table[part.source] = table.get(part.source, 0) + n
    sets = {}
    for (name, size), first, end, where in zip(sizes.items(), [0, *ends], ends, by_set, strict=False):
        mine = sorted(item - first for item in found if first <= item < end)
        sets[name] = {
            **size,
            "found": len(mine),
            "answered": sum(first <= item < end for item in answered),
            "found_items": mine[:MOST_LISTED],
            "documents": where,
        }
    return {"documents": documents, "sets": sets}


def count_part(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> None:
    """Count what one part's score found.

    Args:
        payload: `store` (root), `part`, `score` (fingerprint), `ends` (the item after the last of each set) and `path`.
        at: Not called.
    """
    del at
    place = Store(payload["store"])
    table = store.read_table(place.score(payload["score"], payload["part"]["id"]), ["items", "answered_items"])
    lists = table.column("items").combine_chunks()
    rows = np.repeat(np.arange(len(lists)), lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
    items = lists.flatten().to_numpy(zero_copy_only=False)
    sets = np.searchsorted(payload["ends"], items, side="right")
    in_sets = [len(np.unique(rows[sets == number])) for number in range(len(payload["ends"]))]
    answered = table.column("answered_items").combine_chunks().flatten()
    value = {
        "documents": len(np.unique(rows)),
        "sets": in_sets,
        "items": np.unique(items).tolist(),
        "answered_items": sorted(set(answered.to_pylist())),
    }
    store.write_json(payload["path"], value)
