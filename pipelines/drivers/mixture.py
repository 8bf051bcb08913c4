"""The driver's side of counting near duplicates: the guard against wiped-out sources, and what the manifest tells."""

from __future__ import annotations

import collections
import heapq
from typing import TYPE_CHECKING, Any

from ..files import marks, store
from ..files.parts import CLUSTERS, read_all
from ..stages import keys
from .plan import FORMAT
from .pool import STAGES, BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladders import Ladder
    from .plan import Plan
    from .pool import Pool

MOST_LABELS = 50
"""Labels of one score that the manifest lists, those of the most documents."""

LARGEST = 10
"""Clusters that are shown when a source is wiped out."""

SAMPLE = 100
"""Characters of a document that are shown."""


def count_duplicates(plan: Plan, pool: Pool, clusters: str) -> dict[str, Any]:
    """What near duplicates cost each source and label, over the whole pool.

    Returns:
        `sources` (by name: `documents`, `bytes`, `duplicates`, `duplicate_bytes`, `contained`, `earlier`, `clusters`,
        and `leaders`, the duplicates by the source of their leader) and `labels` (by score and label: `documents`,
        `bytes`, `duplicates`, `duplicate_bytes`).
    """
    labels = sorted(plan.labels().items())
    folder = pool.store.path("spreads", store.fingerprint([FORMAT, pool.identity, clusters.rpartition("/")[2], labels]))
    paths = [store.join(folder, f"{n:07d}.json") for n in range(len(pool.parts))]
    tasks = pool.tasks(clusters=clusters, labels=labels)
    for path, task in zip(paths, tasks, strict=True):
        task["path"] = path
    pool.run_missing("count duplicates", f"{STAGES}.spread:count_part", list(zip(paths, tasks, strict=True)))
    names = [*pool.sources, "earlier studies"]
    sources: dict[str, Any] = {}
    spread: dict[str, dict[str, list[int]]] = {name: {} for name, _ in labels}
    for part, counts in zip(pool.parts, read_all(store.read_json, paths), strict=True):
        told = counts.pop("labels")
        leaders = counts.pop("leaders")
        mine = sources.setdefault(part.source, {**dict.fromkeys(counts, 0), "leaders": {}})
        for key, n in counts.items():
            mine[key] += n
        for number, n in leaders.items():
            source = names[int(number)]
            mine["leaders"][source] = mine["leaders"].get(source, 0) + n
        for name, found in told.items():
            for label, row in found.items():
                spread[name][label] = [a + b for a, b in zip(spread[name].get(label, [0] * len(row)), row, strict=True)]
    return {"sources": sources, "labels": {name: _listed(found) for name, found in spread.items()}}


def _listed(found: dict[str, list[int]]) -> dict[str, dict[str, int]]:
    most = heapq.nsmallest(MOST_LABELS, found.items(), key=lambda item: (-item[1][0], item[0]))
    names = ("documents", "bytes", "duplicates", "duplicate_bytes")
    return {label: dict(zip(names, row, strict=True)) for label, row in sorted(most)}


def check_wipe_out(plan: Plan, pool: Pool, clusters: str, counts: dict[str, Any]) -> None:
    """Stop where a source loses more than a share of its documents to duplicates.

    Args:
        plan: The plan.
        pool: The pool.
        clusters: Folder of the clusters.
        counts: What `count_duplicates` gave.

    Raises:
        BuildError: One does; the message shows the largest clusters.
    """
    for source, count in counts["sources"].items():
        most = plan.study.settings.dedup.most_lost(source)
        lost = count["duplicates"] - count["earlier"]
        if lost > most * count["documents"]:
            shown = "\n".join(_largest(pool, clusters, source))
            raise BuildError(
                f"sources.{source}: {lost:,} of {count['documents']:,} documents ({lost / count['documents']:.1%}) are "
                f"duplicates, more than dedup.on_wipe_out = {most:g}. Its largest clusters:\n{shown}\n"
                "If these are no duplicates, raise dedup.threshold or set dedup.proof to exact; if they are, raise "
                "dedup.on_wipe_out."
            )


def _largest(pool: Pool, clusters: str, source: str) -> list[str]:
    """The largest clusters that a source has a document in: size, and two of its documents as they begin."""
    members = store.join(clusters, "members")
    inside = [n for n, part in enumerate(pool.parts) if part.source == source]
    paths = {n: store.join(members, f"{n:07d}.parquet") for n in inside}
    paths = {n: path for n, path in paths.items() if store.exists(path)}
    sizes: dict[bytes, int] = {}
    samples: collections.defaultdict[bytes, list[tuple[int, int]]] = collections.defaultdict(list)
    for n, path in paths.items():
        table = store.read_table(path, [CLUSTERS.field(0).name, "cluster", "size"])
        for row, cluster, size in zip(*(column.to_pylist() for column in table.columns), strict=True):
            sizes[cluster] = size
            if len(samples[cluster]) < 2:
                samples[cluster].append((n, row))
        keep = heapq.nsmallest(LARGEST, sizes, key=lambda cluster: (-sizes[cluster], cluster))
        sizes = {cluster: sizes[cluster] for cluster in keep}
        samples = collections.defaultdict(list, {cluster: samples[cluster] for cluster in keep})
    lines = []
    for cluster, size in sizes.items():
        lines.append(f"  {size:,} documents")
        for n, row in samples[cluster]:
            document = pool.store.documents(pool.parts[n].id)
            found = store.read_table(document, ["name", "text"]).slice(row, 1).to_pylist()[0]
            lines.append(f"    {found['name']}: {' '.join(found['text'][: 4 * SAMPLE].split())[:SAMPLE]!r}")
    return lines


def count_in_rungs(pool: Pool, clusters: str, ladders: Sequence[Ladder], length: int) -> dict[str, list[int]]:
    """How many documents of each rung have a near duplicate that comes before them in it.

    In a small rung fewer meet their duplicate than in the pool: the share of duplicates grows with the budget.

    Args:
        pool: The pool.
        clusters: Folder of the clusters.
        ladders: Of the recipes that keep duplicates; the others have none.
        length: Tokens in a sequence.

    Returns:
        For each ladder, by name, the documents of each of its rungs.
    """
    known = clusters.rpartition("/")[2]
    folders = {
        one.name: pool.store.path("repeats", store.fingerprint([FORMAT, one.identity, known])) for one in ladders
    }
    todo = [one for one in ladders if not marks.is_done(folders[one.name])]
    tasks = [
        task
        for number, one in enumerate(todo)
        for task in pool.tasks(
            clusters=clusters,
            places=store.join(one.folder, "places"),
            ends=one.ends(length),
            number=number,
            ranges=pool.ranges,
        )
    ]
    if todo:
        counted = [store.join(folders[one.name], "counts") for one in todo]
        payload = {"folders": counted, "rungs": max(len(one.rungs) for one in todo)}
        reduces = [(f"{STAGES}.spread:count_rungs", payload)]
        volume = sum(part.documents for part in pool.parts) * len(todo) * keys.ID.itemsize
        pool.engine.exchange("count repeats", f"{STAGES}.spread:emit_placed", reduces, tasks, volume)
    for one in todo:
        marks.mark(folders[one.name], {}, ["counts"])
    out = {}
    for one in ladders:
        folder = store.join(folders[one.name], "counts")
        found = read_all(store.read_json, [store.join(folder, name) for name in sorted(store.names(folder))])
        out[one.name] = [sum(counts[n] for counts in found) for n in range(len(one.rungs))]
    return out
