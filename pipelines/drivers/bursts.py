"""The driver's side of bursts: find phrases that many documents of few hosts have, and let rules see them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...filters.text.words import UNICODE
from ..files import store
from ..files.parts import read_all
from ..stages.phrases import most_frequent
from .plan import FORMAT
from .pool import STAGES, numbered

if TYPE_CHECKING:
    from .plan import Plan
    from .pool import Pool

VERSION = 1
"""Raised whenever the same pool can give other phrases."""

TEXT_PER_RANGE = 1 << 24
"""Bytes of text for each range of hashes in the exchange: some 2.7 million words of 16 bytes make 43 MB a group."""

_FIGURES = ("documents", "phrases", "bytes")


def find_bursts(plan: Plan, pool: Pool, clusters: str) -> tuple[Plan, dict[str, Any] | None]:
    """Find the phrases that many documents of few hosts have, unless that was done before or the study does not ask.

    Args:
        plan: The plan.
        pool: The pool.
        clusters: Folder of the clusters; of each, one document is counted.

    Returns:
        The plan, which knows where rules find the columns; and what the manifest tells: the settings, `sources` (of
        each the documents that have phrases, how many, and their bytes), and `most`, the phrases of most documents:
        `hash` (of their first words), `documents`, `hosts` and `sample`; None where the study does not ask.
    """
    wanted = plan.study.settings.bursts
    if wanted is None:
        return plan, None
    settings = dataclasses.asdict(wanted)
    of = "/".join(clusters.split("/")[-2:])
    identity = store.fingerprint([FORMAT, VERSION, UNICODE, pool.identity, settings, of])
    folder = pool.store.path("bursts", identity)
    if not store.exists(store.join(folder, "done.json")):
        _find(pool, identity, {**settings, "clusters": clusters, "folder": folder})
    found = store.read_json(store.join(folder, "done.json"))
    return dataclasses.replace(plan, bursts=identity), {**settings, **found}


def _find(pool: Pool, identity: str, common: dict[str, Any]) -> None:
    folder, module = common["folder"], f"{STAGES}.phrases"
    text = sum(part.text_bytes for part in pool.parts)
    tasks = pool.tasks(**common, ranges=max(1, text // TEXT_PER_RANGE), bursts=identity)
    frequent, verdicts, summaries = (store.join(folder, name) for name in ("frequent", "verdicts", "summaries"))
    with pool.report.stage("find frequent phrases", len(tasks), lambda: len(store.names(frequent))):
        reduces = [(f"{module}:count_runs", common), (f"{module}:write_frequent", common)]
        pool.engine.exchange("find frequent phrases", f"{module}:emit_runs", reduces, tasks, 3 * text)
    with pool.report.stage("compare their surroundings", len(tasks), lambda: len(store.names(verdicts))):
        reduces = [(f"{module}:judge_runs", common), (f"{module}:write_verdicts", common)]
        pool.engine.exchange("compare their surroundings", f"{module}:emit_contexts", reduces, tasks, text // 10)
    for task in tasks:
        task["summary"] = numbered(summaries, task["ordinal"]).replace(".parquet", ".json")
    pool.run_missing("mark bursts", f"{module}:mark_part", [(task["summary"], task) for task in tasks])
    sources = {name: dict.fromkeys(_FIGURES, 0) for name in pool.sources}
    most: dict[str, tuple[int, int, str]] = {}
    for summary in read_all(store.read_json, [task["summary"] for task in tasks]):
        for figure in _FIGURES:
            sources[summary["source"]][figure] += summary[figure]
        most = most_frequent([most, {one["hash"]: tuple(one["found"]) for one in summary["most"]}])
    listed = [
        {"hash": one, "documents": documents, "hosts": hosts, "sample": sample}
        for one, (documents, hosts, sample) in most.items()
    ]
    store.write_json(store.join(folder, "done.json"), {"sources": sources, "most": listed})
