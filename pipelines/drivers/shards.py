"""The driver's side of packing: where shards are cut, and which of them stand already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..files import store
from ..files.parts import read_all
from ..stages.schedule import at_start, prefix_counts
from .pool import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladders import Ladder
    from .pool import Pool


VERSION = 3
"""Raised whenever the same sequences would give other bytes."""

CHECKPOINTS = 256
"""Places of a stream at which the manifest gives the state of its schedule; two hundred strata take some 400 KB."""


def shard_ranges(ladder: Ladder, shard_sequences: int) -> list[tuple[int, int]]:
    """First sequence and number of sequences of each shard: cut at every rung, and at a target size between.

    >>> from tokenladder.pipelines.drivers.ladders import Ladder
    >>> ladder = Ladder("r", "", "", ["web"], [1 << 32], [9], {"a": 3, "b": 8}, [[3], [8]])
    >>> shard_ranges(ladder, 4)
    [(0, 3), (3, 3), (6, 2)]
    """
    out: list[tuple[int, int]] = []
    start = 0
    for end in ladder.rungs.values():
        pieces = -(-(end - start) // shard_sequences)
        for n in range(pieces):  # of nearly equal size, the larger ones first
            count = (end - start) // pieces + (n < (end - start) % pieces)
            out.append((out[-1][0] + out[-1][1] if out else 0, count))
        start = end
    return out


@dataclass(frozen=True)
class Target:
    """Where a ladder's shards go, relative to the folder of the result.

    Attributes:
        ladder: The ladder.
        shards: Folder of shards.
        documents: Folder of the tables of documents that stand in them.
    """

    ladder: Ladder
    shards: str
    documents: str


def checkpoints(ladder: Ladder, shard_sequences: int) -> list[list[int]]:
    """Sequences of each stratum where some shards begin, of which `schedule.state_at` finds any place near by.

    Args:
        ladder: The ladder.
        shard_sequences: Sequences in a shard, at most.

    Returns:
        At most `CHECKPOINTS`, evenly spread, the beginning of the stream not among them.
    """
    starts = [first for first, _ in shard_ranges(ladder, shard_sequences)][1:]
    starts = starts[:: max(1, -(-len(starts) // CHECKPOINTS))]
    return [row.tolist() for row in prefix_counts(ladder.schedule, starts)]


def pack(pool: Pool, wanted: Sequence[Target], out: str, shard_sequences: int) -> list[list[dict[str, Any]]]:
    """Write the shards of some ladders.

    Args:
        pool: What all ladders share.
        wanted: The ladders.
        out: Folder of the result.
        shard_sequences: Sequences in a shard, at most.

    Returns:
        For each ladder its shards in order: `path`, `documents`, `sequences`, `tokens`, `sha256`, `bytes`.
    """
    every = [_shard_tasks(pool, one, out, shard_sequences) for one in wanted]
    todo = [task for tasks in every for task in tasks if not is_marked(task, "shard", "documents")]
    with pool.report.stage("pack", len(todo), lambda: sum(is_marked(task, "shard", "documents") for task in todo)):
        pool.engine.each("pack", f"{STAGES}.pack:write_shard", todo)
    out_lists = []
    for one, tasks in zip(wanted, every, strict=True):
        names = [f"{n:05d}" for n in range(len(tasks))]
        for folder in (one.shards, one.documents):
            remove_left(store.join(out, folder), {f"{name}.parquet" for name in names})
        remove_left(store.join(out, ".build", one.shards), {f"{name}.json" for name in names})
        markers = read_all(store.read_json, [task["marker"] for task in tasks])
        out_lists.append(
            [
                {"path": f"{one.shards}/{name}.parquet", "documents": f"{one.documents}/{name}.parquet"}
                | {key: marker[key] for key in ("sequences", "tokens", "sha256", "documents_sha256", "bytes")}
                | ({"padding": marker["padding"]} if "padding" in marker else {})
                for name, marker in zip(names, markers, strict=True)
            ]
        )
    return out_lists


def _shard_tasks(pool: Pool, one: Target, out: str, shard_sequences: int) -> list[dict[str, Any]]:
    ladder, listing = one.ladder, pool.listing()
    state, tasks = at_start(ladder.schedule), []
    for n, (first, count) in enumerate(shard_ranges(ladder, shard_sequences)):
        tasks.append(
            {
                "store": pool.store.root,
                "plan": store.join(ladder.folder, "plan.json"),
                "parts": listing,
                "folder": ladder.folder,
                "tokenizer": pool.tokenizer["fingerprint"],
                "first": first,
                "count": count,
                "given": state.given.tolist(),
                "shard": store.join(out, one.shards, f"{n:05d}.parquet"),
                "documents": store.join(out, one.documents, f"{n:05d}.parquet"),
                "marker": store.join(out, ".build", one.shards, f"{n:05d}.json"),
                "input_ids": pool.input_ids,
                "identity": store.fingerprint([VERSION, ladder.identity, first, count, pool.input_ids]),
            }
        )
        state = state.advance(count)[1]
    return tasks


def is_marked(task: dict[str, Any], *written: str) -> bool:
    """Whether the files that a task writes stand, and its marker says that they are of this ladder."""
    sizes = {name: store.size(task[name]) for name in ("marker", *written)}
    if None in sizes.values():
        return False
    marker = store.read_json(task["marker"])
    whole = all(marker["written"][name] == sizes[name] for name in written)
    return whole and bool(marker["identity"] == task["identity"])


def remove_left(folder: str, wanted: set[str]) -> None:
    """Delete files of a folder that are left from another ladder."""
    for name in sorted(store.names(folder) - wanted):
        store.remove(store.join(folder, name))
