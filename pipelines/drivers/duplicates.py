"""The driver's side of clustering: candidates, components, leaders."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from ..files import marks, store
from ..files.parts import read_all
from ..stages import cluster, connect, grouping, keys
from .plan import FORMAT, SKETCH_SIZE
from .pool import STAGES, BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import Plan
    from .pool import Pool

IN_MEMORY_EDGES = 50_000_000
"""Edges of which the driver finds the components itself: 16 bytes each and as much again, 1.6 GB."""

MOST_ROUNDS = 64
"""Rounds of large-star and small-star; a path of 2^62 documents would be done. More means that something is wrong."""


def find_clusters(plan: Plan, pool: Pool) -> str:
    """Cluster the pool, unless that was done before.

    Returns:
        The folder of the clusters; every document is alone where nothing of the study asks for near duplicates.

    Raises:
        BuildError: The components do not converge.
    """
    if not plan.signature:
        return pool.store.path("clusters", "none")
    dedup = plan.study.settings.dedup
    parameters = {key: value for key, value in asdict(dedup).items() if key not in {"on_wipe_out", "against"}}
    earlier = [one.identity for one in plan.against]
    folder = pool.store.path(
        "clusters", store.fingerprint([FORMAT, pool.identity, plan.signature, parameters, earlier])
    )
    if marks.is_done(folder):
        return folder
    bands, rows = dedup.banding
    exact = dedup.proof == "exact"
    common: dict[str, Any] = {
        "family": plan.signature,
        "sketch": plan.sketch,
        "sketch_size": SKETCH_SIZE if plan.sketch else 0,
        "bands": bands,
        "rows": rows,
        "ranges": pool.ranges,
        "folder": folder,
        "parts": len(pool.parts),
        "ledgers": [],
        "shingles": {"unit": dedup.unit, "ngram": dedup.ngram} if exact else None,
    }
    tasks = pool.tasks(**common)
    for one in plan.against:
        tasks += one.tasks(len(tasks), len(pool.sources), common)
    _link(pool, tasks, common, folder)
    listed = _connect(pool, folder)
    module = f"{STAGES}.cluster"
    members = store.join(folder, "members")
    inside = [tasks[n] for n in listed]
    leaders = (f"{module}:lead", {**common, "threshold": dedup.threshold, "containment": dedup.containment})
    write = (f"{module}:write_clusters", common)
    text = sum(task["part"]["text_bytes"] for task in inside) if exact else 0
    volume = sum(task["part"]["documents"] for task in inside) * (64 + 4 * bands * rows + 4 * common["sketch_size"])
    with pool.report.stage("compare candidates", len(listed), lambda: len(store.names(members))):
        pool.engine.exchange("compare candidates", f"{module}:emit_members", [leaders, write], inside, volume + text)
    marks.mark(folder, {"parts_with_candidates": len(listed)}, ["members"])
    return folder


def _link(pool: Pool, tasks: list[dict[str, Any]], common: dict[str, Any], folder: str) -> None:
    """Find which documents share a hash."""
    edges = store.join(folder, "edges")
    link = (f"{STAGES}.cluster:link_candidates", {"folder": folder})
    records = 1 + common["bands"] + common["sketch_size"]
    volume = sum(task["part"]["documents"] for task in tasks) * records * cluster.PAIR.itemsize
    with pool.report.stage("find candidates", pool.ranges, lambda: len(store.names(edges))):
        pool.engine.exchange("find candidates", f"{STAGES}.cluster:emit_bands", [link], tasks, volume)


def _connect(pool: Pool, folder: str) -> list[int]:
    """Write the components of every part's documents; the numbers of parts that have any."""
    edges = store.join(folder, "edges")
    paths = [store.join(edges, name) for name in sorted(store.names(edges))]
    count = sum(read_all(_rows, paths))
    target = store.join(folder, "components")
    if count <= IN_MEMORY_EDGES:
        pairs = np.concatenate([np.zeros((0, 2), np.uint64), *read_all(connect.read_edges, paths)])
        members, labels = grouping.components(pairs)
        numbers = keys.ordinals(members)
        for ordinal in np.unique(numbers):
            low, high = np.searchsorted(numbers, [ordinal, ordinal + 1])
            packed = np.empty(high - low, connect.LABEL)
            packed["row"], packed["component"] = keys.rows(members[low:high]), labels[low:high]
            list(connect.write_labels(int(ordinal), [packed.tobytes()], {"folder": target}))
    else:
        paths = _shrink(pool, folder, paths, count)
        write = (f"{STAGES}.connect:write_labels", {"folder": target})
        tasks = [{"path": path} for path in paths]
        pool.engine.exchange("label components", f"{STAGES}.connect:emit_labels", [write], tasks, 24 * count)
    return sorted(int(name.partition(".")[0]) for name in store.names(target))


def _rows(path: str) -> int:
    with store.open_input(path) as file:
        return int(pq.read_metadata(file).num_rows)


def _shrink(pool: Pool, folder: str, paths: Sequence[str], count: int) -> list[str]:
    """Rounds of large-star and small-star until nothing changes; the files of the stars."""
    before = store.join(folder, "edges")
    for number in range(MOST_ROUNDS):
        base = store.join(folder, "rounds", f"{number:02d}")
        changed = store.join(base, "changed")
        for step in (connect.LARGE, connect.SMALL):
            target = store.join(base, step)
            payload = {"step": step, "folder": target, "before": before, "changed": changed}
            tasks = [{"path": path, "step": step, "ranges": pool.ranges} for path in paths]
            reduce = (f"{STAGES}.connect:star", payload)
            pool.engine.exchange(f"{step} {number}", f"{STAGES}.connect:emit_edges", [reduce], tasks, 32 * count)
            paths = [store.join(target, name) for name in sorted(store.names(target))]
        if not store.names(changed) and store.names(before) == store.names(store.join(base, connect.SMALL)):
            return list(paths)
        before = store.join(base, connect.SMALL)
    raise BuildError(
        f"{folder}: components of near duplicates did not come to rest in {MOST_ROUNDS} rounds, which no number of "
        "documents needs. The store may be damaged: build again with another --store."
    )
