"""The driver's side of a ladder: how many sequences of each stratum, how much to encode, where shards are cut."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from . import store
from .ladder import BUCKETS, groups, groups_json
from .parts import read_all
from .plan import FORMAT, whole
from .schedule import State, integer_weights, prefix_counts

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from .pool import Pool

BYTES_PER_TOKEN = 2.0
"""What is assumed before anything was encoded: so little that the first try seldom encodes more than is needed."""

MARGIN = 1.03
"""What is encoded beyond the estimate from the measured bytes per token."""


@dataclass(frozen=True)
class Ladder:
    """One ladder, planned and its documents placed.

    Attributes:
        name: The recipe's name.
        identity: Fingerprint of everything that its shards depend on.
        folder: Where its plan and places are.
        strata: Names, sorted; the schedule's order.
        weights: Whole numbers over 2**32.
        available: Tokens of each stratum as far as they were counted; all of them where the ladder repeats any.
        rungs: Sequences of each rung by name, ascending.
        counts: For each rung, sequences of each stratum.
    """

    name: str
    identity: str
    folder: str
    strata: list[str]
    weights: list[int]
    available: list[int]
    rungs: dict[str, int]
    counts: list[list[int]]

    def ends(self, length: int) -> list[list[int]]:
        """For each rung, tokens of each stratum."""
        return [[int(n) * length for n in row] for row in self.counts]


def stratum_weights(
    weights: dict[str, float] | None, text_bytes: dict[str, int]
) -> tuple[dict[str, Fraction | float], list[str]]:
    """Weights of strata from what the study says of sources and strata.

    A stratum that is named has its weight; a source's weight is shared among its other strata as their kept text has
    it. Without weights, text bytes decide alone.

    Args:
        weights: By stratum (`web/en`) or source (`web`).
        text_bytes: Kept text of each stratum.

    Returns:
        Weights by stratum, and the names that the study gives a weight to but of which nothing was kept.

    >>> stratum_weights({"web": 0.75, "code": 0.25}, {"web/en": 30, "web/de": 10, "code/none": 5})[0]["web/de"]
    Fraction(3, 16)
    """
    from fractions import Fraction

    if weights is None:
        return {name: Fraction(size) for name, size in text_bytes.items() if size}, []
    shares: dict[str, Fraction | float] = {name: Fraction(str(w)) for name, w in weights.items() if name in text_bytes}
    empty = [name for name, weight in weights.items() if weight and name in text_bytes and not text_bytes[name]]
    for name, weight in weights.items():
        if name in text_bytes or not weight:
            continue
        inside = {s: size for s, size in text_bytes.items() if s.split("/")[0] == name and s not in shares}
        total = sum(inside.values())
        if not total:
            empty.append(name)
        for stratum, size in inside.items():
            shares[stratum] = Fraction(str(weight)) * size / total if total else Fraction(0)
    return {name: share for name, share in shares.items() if share}, empty


def plan_ladder(  # noqa: PLR0917 each is a setting of the study
    pool: Pool,
    name: str,
    choices: str,
    identity: str,
    budgets: dict[str, int],
    length: int,
    *,
    weights: dict[str, float] | None = None,
    repeat: int = 1,
) -> Ladder:
    """Encode as much as is needed, place every document, and say what each rung holds.

    Args:
        pool: What all stages share.
        name: The recipe's name, for people.
        choices: Folder of what the recipe chose.
        identity: Fingerprint of the choices.
        budgets: Requested tokens by rung, ascending.
        length: Tokens in a sequence.
        weights: As the study has them.
        repeat: Passes over a stratum at most.

    Raises:
        UserError: A stratum is empty or runs short; all of them are named with what is missing.
    """
    _, text_bytes = _histogram(store.join(choices, "histograms"), "text_bytes")
    kept = {stratum: int(row.sum()) for stratum, row in text_bytes.items()}
    shares, empty = stratum_weights(weights, kept)
    if empty or not shares:
        of = ", ".join(sorted(empty)) or "any source"
        raise store.UserError(f"{name}: no document of {of} is kept. Loosen its rules or change its weights.")
    strata = sorted(shares)
    whole_weights = integer_weights([shares[stratum] for stratum in strata])
    rungs = {rung: whole(tokens, length) for rung, tokens in budgets.items()}
    counts = prefix_counts(whole_weights, list(rungs.values()))
    needed = {stratum: int(n) * length for stratum, n in zip(strata, counts[-1], strict=True)}
    ladder_identity = store.fingerprint(
        [
            FORMAT,
            identity,
            pool.tokenizer["fingerprint"],
            strata,
            whole_weights.tolist(),
            list(rungs.values()),
            length,
            repeat,
        ]
    )
    folder = pool.store.path("ladders", ladder_identity)
    encoded, tokens, complete = _encode(pool, name, choices, {s: text_bytes[s] for s in strata}, needed)
    available = {stratum: int(tokens[stratum].sum()) for stratum in strata}
    short = {s: need - repeat * available[s] for s, need in needed.items() if need > repeat * available[s]}
    if short:
        raise store.UserError(_shortage(name, short, needed, available, repeat))
    ladder = Ladder(
        name=name,
        identity=ladder_identity,
        folder=folder,
        strata=strata,
        weights=whole_weights.tolist(),
        available=[available[s] if complete[s] else max(available[s], needed[s]) for s in strata],
        rungs=rungs,
        counts=[row.tolist() for row in counts],
    )
    _place(pool, ladder, choices, length, (encoded, tokens), needed)
    return ladder


def _histogram(folder: str, value: str) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Documents and `value` by stratum, each an int64 array over the buckets, summed over all parts."""
    tables = read_all(store.read_table, [store.join(folder, name) for name in sorted(store.names(folder))])
    table = pa.concat_tables(tables).combine_chunks()
    stratum = table.column("stratum").combine_chunks().dictionary_encode()
    documents: dict[str, NDArray[np.int64]] = {}
    values: dict[str, NDArray[np.int64]] = {}
    codes, buckets = stratum.indices.to_numpy(), table.column("bucket").to_numpy()
    for n, name in enumerate(stratum.dictionary.to_pylist()):
        for out, column in ((documents, "documents"), (values, value)):
            out[name] = np.zeros(BUCKETS, np.int64)
            np.add.at(out[name], buckets[codes == n], table.column(column).to_numpy()[codes == n])
    return documents, values


def _encode(
    pool: Pool, name: str, choices: str, text_bytes: dict[str, NDArray[np.int64]], needed: dict[str, int]
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]], dict[str, bool]]:
    """Encode each stratum by priority until its tokens suffice or its documents end.

    Returns:
        Documents and tokens that are encoded, by stratum and bucket; and whether that is the whole stratum.
    """
    goal = {stratum: BYTES_PER_TOKEN * need for stratum, need in needed.items()}
    while True:
        cutoffs = {
            stratum: min(BUCKETS, int(np.searchsorted(np.cumsum(sizes), goal[stratum])) + 1)
            for stratum, sizes in text_bytes.items()
        }
        folder = pool.store.path("counts", store.fingerprint([choices, pool.tokenizer["fingerprint"], cutoffs]))
        task = {
            "choices": store.join(choices, "choices"),
            "tokenizer": pool.tokenizer,
            "cutoffs": cutoffs,
            "counts": folder,
        }
        label = f"encode {name}"
        pool.each_part(label, "tokenladder.pipelines.encode:encode_part", folder, isolated=True, **task)
        documents, tokens = _histogram(folder, "tokens")
        empty = np.zeros(BUCKETS, np.int64)
        documents = {stratum: documents.get(stratum, empty) for stratum in text_bytes}
        tokens = {stratum: tokens.get(stratum, empty) for stratum in text_bytes}
        complete = {stratum: cutoffs[stratum] == BUCKETS for stratum in text_bytes}
        short = [s for s, need in needed.items() if tokens[s].sum() < need and not complete[s]]
        if not short:
            return documents, tokens, complete
        for stratum in short:
            done = int(text_bytes[stratum][: cutoffs[stratum]].sum())
            ratio = done / max(1, int(tokens[stratum].sum()))
            # each round at least a quarter more, so that the number of rounds is bounded whatever the text is like
            goal[stratum] = max(needed[stratum] * ratio * MARGIN, done * 1.25, 1.0)


def _shortage(name: str, short: dict[str, int], needed: dict[str, int], available: dict[str, int], repeat: int) -> str:
    lines = [
        f"  {s}: {missing:,} tokens missing; {needed[s]:,} needed, {available[s]:,} kept"
        + (f" × {repeat} passes" if repeat > 1 else "")
        for s, missing in sorted(short.items())
    ]
    passes = max(-(-needed[s] // available[s]) if available[s] else 0 for s in short)
    hint = f", or set repeat = {passes}" if passes else ""
    advice = f"Lower the budgets, loosen rules, change weights{hint}."
    return f"{name}: the kept documents do not fill its largest rung.\n" + "\n".join(lines) + f"\n{advice}"


def _place(  # noqa: PLR0917 histograms and needs beside their ladder
    pool: Pool,
    ladder: Ladder,
    choices: str,
    length: int,
    encoded: tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]],
    needed: dict[str, int],
) -> None:
    if store.exists(store.join(ladder.folder, "done.json")):
        return
    listed = groups(
        np.stack([encoded[0][s] for s in ladder.strata]),
        np.stack([encoded[1][s] for s in ladder.strata]),
        [needed[s] for s in ladder.strata],
    )
    plan = {
        "strata": ladder.strata,
        "weights": ladder.weights,
        "available": ladder.available,
        "needed": [needed[s] for s in ladder.strata],
        "groups": groups_json(listed),
        "sequence_length": length,
        "dtype": pool.dtype,
        "input_ids": "list",
    }
    path = store.join(ladder.folder, "plan.json")
    store.write_json(path, plan)
    module = "tokenladder.pipelines.ladder"
    reduce = {"plan": path, "folder": ladder.folder}
    tasks = pool.tasks(choices=store.join(choices, "choices"), tokenizer=pool.tokenizer["fingerprint"], plan=path)
    with pool.report.stage(f"place {ladder.name}", len(listed), lambda: 0):
        pool.engine.exchange(
            f"place {ladder.name}",
            f"{module}:emit_order",
            [(f"{module}:order_group", reduce), (f"{module}:write_places", reduce)],
            tasks,
        )
    store.write_json(store.join(ladder.folder, "done.json"), dataclasses.asdict(ladder))


def shard_ranges(ladder: Ladder, shard_sequences: int) -> list[tuple[int, int]]:
    """First sequence and number of sequences of each shard: cut at every rung, and at a target size between.

    >>> ladder = Ladder("r", "", "", ["web"], [ONE], [9], {"a": 3, "b": 8}, [[3], [8]])
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


def pack(  # noqa: PLR0917 where each kind of file goes
    pool: Pool, ladder: Ladder, out: str, shards: str, documents: str, shard_sequences: int
) -> list[dict[str, Any]]:
    """Write the shards of a ladder, and return for each its `path`, `documents`, `sequences`, `tokens` and `sha256`.

    Args:
        pool: What all ladders share.
        ladder: The ladder.
        out: Folder of the result.
        shards: Folder of shards, relative to it.
        documents: Folder of their documents tables, relative to it.
        shard_sequences: Sequences in a shard, at most.
    """
    ranges = shard_ranges(ladder, shard_sequences)
    state, done, states = State.start(np.array(ladder.weights, np.int64)), 0, []
    for first, count in ranges:
        states.append(state)
        while done < first + count:
            step = min(first + count - done, 1_000_000)
            state, done = state.advance(step)[1], done + step
    markers, listing = store.join(out, ".build", shards), pool.listing()
    tasks = [
        {
            "store": pool.store.root,
            "plan": store.join(ladder.folder, "plan.json"),
            "parts": listing,
            "folder": ladder.folder,
            "tokenizer": pool.tokenizer["fingerprint"],
            "first": first,
            "count": count,
            "owed": at.owed.tolist(),
            "given": at.given.tolist(),
            "shard": store.join(out, shards, f"{n:05d}.parquet"),
            "documents": store.join(out, documents, f"{n:05d}.parquet"),
            "marker": store.join(markers, f"{n:05d}.json"),
            "identity": store.fingerprint([ladder.identity, first, count]),
        }
        for n, ((first, count), at) in enumerate(zip(ranges, states, strict=True))
    ]
    todo = [task for task in tasks if not is_marked(task, "shard", "documents")]
    with pool.report.stage(
        f"pack {ladder.name}", len(todo), lambda: len(store.names(markers)) - len(tasks) + len(todo)
    ):
        pool.engine.each(f"pack {ladder.name}", "tokenladder.pipelines.pack:write_shard", todo)
    written = read_all(store.read_json, [task["marker"] for task in tasks])
    names = [f"{n:05d}.parquet" for n in range(len(tasks))]
    for folder in (shards, documents):
        remove_left(store.join(out, folder), set(names))
    remove_left(markers, {f"{n:05d}.json" for n in range(len(tasks))})
    return [
        {"path": f"{shards}/{name}", "documents": f"{documents}/{name}"}
        | {key: marker[key] for key in ("sequences", "tokens", "sha256", "bytes")}
        for name, marker in zip(names, written, strict=True)
    ]


def is_marked(task: dict[str, Any], *written: str) -> bool:
    """Whether the files that a task writes stand, and its marker says that they are of this ladder."""
    if not all(store.exists(task[name]) for name in ("marker", *written)):
        return False
    return bool(store.read_json(task["marker"])["identity"] == task["identity"])


def remove_left(folder: str, wanted: set[str]) -> None:
    """Delete files of a folder that are left from another ladder."""
    for name in sorted(store.names(folder) - wanted):
        store.remove(store.join(folder, name))
