"""The driver's side of repeated lines: find them, let rules see them, and cut them where the study says so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...filters.text.words import UNICODE
from ..files import store
from ..files.parts import read_all
from .plan import FORMAT
from .pool import STAGES, numbered

if TYPE_CHECKING:
    from .plan import Plan
    from .pool import Pool

VERSION = 1
"""Raised whenever the same pool can give other lines."""

TEXT_PER_RANGE = 1 << 24
"""Bytes of text for each range of hashes in the exchange: some 300,000 distinct lines of 24 bytes make 8 MB a group."""

MOST = 20
"""Lines that the manifest shows."""

_FIGURES = ("documents", "lines", "bytes", "cut_documents", "cut_lines", "cut_bytes")


def find_repeated_lines(plan: Plan, pool: Pool, clusters: str) -> tuple[Plan, Pool, dict[str, Any] | None]:
    """Find the lines that many documents repeat, unless that was done before or the study does not ask.

    Args:
        plan: The plan.
        pool: The pool.
        clusters: Folder of the clusters; of each, one document is counted.

    Returns:
        The plan, which knows where rules find the columns; the pool, which knows what is cut out of its text; and what
        the manifest tells: the settings, `sources` (of each the documents, lines and bytes that are repeated, and of
        these what was cut), and `most`, the most repeated lines: `hash` (xxHash64 of the folded line), `documents` and
        `sample`; None where the study does not ask.
    """
    wanted = plan.study.settings.repeated_lines
    if wanted is None:
        return plan, pool, None
    settings = dataclasses.asdict(wanted)
    remove = settings.pop("remove")
    of = "/".join(clusters.split("/")[-2:])
    identity = store.fingerprint([FORMAT, VERSION, UNICODE, pool.identity, settings, of])
    folder = pool.store.path("repeated_lines", identity)
    if not store.exists(store.join(folder, "done.json")):
        _find(pool, identity, {**settings, "clusters": clusters, "folder": folder})
    found = store.read_json(store.join(folder, "done.json"))
    if not remove:
        for figures in found["sources"].values():
            figures.update(cut_documents=0, cut_lines=0, cut_bytes=0)
    else:
        cut_bytes = sum(figures["cut_bytes"] for figures in found["sources"].values())
        pool = dataclasses.replace(pool, cut=identity, cut_bytes=cut_bytes)
    return dataclasses.replace(plan, repeated_lines=identity), pool, {**dataclasses.asdict(wanted), **found}


def _find(pool: Pool, identity: str, common: dict[str, Any]) -> None:
    folder, module = common["folder"], f"{STAGES}.repeated_lines"
    text = sum(part.text_bytes for part in pool.parts)
    ranges = max(1, text // TEXT_PER_RANGE)
    tasks = pool.tasks(**common, ranges=ranges, lines=identity)
    known, summaries = store.join(folder, "known"), store.join(folder, "summaries")
    with pool.report.stage("find repeated lines", len(tasks), lambda: len(store.names(known))):
        reduces = [(f"{module}:count_lines", common), (f"{module}:write_known", common)]
        pool.engine.exchange("find repeated lines", f"{module}:emit_lines", reduces, tasks, text // 2)
    for task in tasks:
        task["summary"] = numbered(summaries, task["ordinal"]).replace(".parquet", ".json")
    pool.run_missing("mark repeated lines", f"{module}:mark_part", [(task["summary"], task) for task in tasks])
    sources = {name: dict.fromkeys(_FIGURES, 0) for name in pool.sources}
    most: dict[str, dict[str, Any]] = {}
    for summary in read_all(store.read_json, [task["summary"] for task in tasks]):
        for figure in _FIGURES:
            sources[summary["source"]][figure] += summary[figure]
        most |= {one["hash"]: one for one in summary["most"]}
    listed = sorted(most.values(), key=lambda one: (-one["documents"], one["hash"]))[:MOST]
    store.write_json(store.join(folder, "done.json"), {"sources": sources, "most": listed})
