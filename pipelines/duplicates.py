"""The driver's side of clustering: candidates, components, leaders, and the guard against wiped-out sources."""

from __future__ import annotations

import collections
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from . import cluster, store
from .parts import read_all
from .plan import FORMAT
from .pool import PIPELINES, BuildError

if TYPE_CHECKING:
    from .pool import Pool
    from .study import Dedup


def find_clusters(pool: Pool, dedup: Dedup, signature: str) -> str:
    """Cluster the pool, unless that was done before.

    Args:
        pool: The pool.
        dedup: Parameters.
        signature: Fingerprint of the signatures; empty where no one asks for near duplicates.

    Returns:
        The folder of the clusters; every document is alone where there were no signatures.
    """
    if not signature:
        return pool.store.path("clusters", "none")
    parameters = {key: value for key, value in asdict(dedup).items() if key != "on_wipe_out"}
    folder = pool.store.path("clusters", store.fingerprint([FORMAT, pool.identity, signature, parameters]))
    if store.exists(store.join(folder, "done.json")):
        return folder
    common = {"family": signature, "bands": dedup.bands, "rows": dedup.rows, "ranges": pool.ranges, "folder": folder}
    tasks = pool.tasks(**common)
    module = f"{PIPELINES}.cluster"
    edges, members = store.join(folder, "edges"), store.join(folder, "members")
    with pool.report.stage("find candidates", pool.ranges, lambda: len(store.names(edges))):
        link = (f"{module}:link_candidates", common)
        pool.engine.exchange("find candidates", f"{module}:emit_bands", [link], tasks)
    listed = cluster.write_components(folder, _edges(edges))
    with pool.report.stage("compare candidates", len(listed), lambda: len(store.names(members))):
        leaders = (f"{module}:lead", {**common, "threshold": dedup.threshold})
        write = (f"{module}:write_clusters", common)
        inside = [tasks[n] for n in listed]
        pool.engine.exchange("compare candidates", f"{module}:emit_members", [leaders, write], inside)
    store.write_json(store.join(folder, "done.json"), {"parts_with_candidates": len(listed)})
    return folder


def _edges(folder: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    names = sorted(store.names(folder))
    tables = read_all(store.read_table, [store.join(folder, name) for name in names])
    pairs = [np.stack([table.column("a").to_numpy(), table.column("b").to_numpy()], axis=1) for table in tables]
    return np.concatenate([np.zeros((0, 2), np.uint64), *pairs])


def check_wipe_out(pool: Pool, clusters: str, most: float) -> None:
    """Stop where a source loses more than a share of its documents to duplicates.

    Args:
        pool: The pool.
        clusters: Folder of the clusters.
        most: The share.

    Raises:
        BuildError: One does; the message says how many.
    """
    lost: collections.Counter[str] = collections.Counter()
    members = store.join(clusters, "members")
    names = sorted(store.names(members))
    led = read_all(
        lambda path: store.read_table(path, ["leads"]).column(0), [store.join(members, name) for name in names]
    )
    for name, leads in zip(names, led, strict=True):
        lost[pool.parts[int(name.partition(".")[0])].source] += len(leads) - int(np.count_nonzero(leads.to_numpy()))
    for source, n in sorted(lost.items()):
        documents = sum(part.documents for part in pool.parts if part.source == source)
        if n > most * documents:
            raise BuildError(
                f"sources.{source}: {n:,} of {documents:,} documents ({n / documents:.1%}) are duplicates, more than "
                f"dedup.on_wipe_out = {most:g}. Look at the source, or raise that share."
            )
