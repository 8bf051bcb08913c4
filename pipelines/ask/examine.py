"""Examine: what each rule of a recipe found of one row, where the row stands, and what its scores say."""

from __future__ import annotations

import bisect
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...filters.duplicates import minhash
from ...filters.shingles import shingles
from ..engines.care import killed_rows
from ..files import store
from ..files.parts import Store, read_clusters
from ..stages.choose import find_cuts
from ..stages.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..stages.evidence import Evidence

NOT_ASKED = "another source"
"""Outcome of a rule that says nothing about the document's source."""

NOT_RANKED = "not ranked"
"""Outcome of a `top` rule for what an earlier rule dropped."""


@dataclass(frozen=True)
class Tried:
    """One rule and what it found.

    Attributes:
        rule: The rule in words.
        outcome: `met`, `failed`, NOT_ASKED or NOT_RANKED.
        label: The label that it looked at, None where it looks at none or there is none.
        value: The number, likewise.
        cut: Of a `top` rule, the value of the last document that is in; None where its group has none.
    """

    rule: str
    outcome: str
    label: str | None = None
    value: float | None = None
    cut: float | None = None


@dataclass(frozen=True)
class Place:
    """Where a document stands in a recipe's stream, at its first pass.

    Attributes:
        stratum: Its stratum.
        offset: Tokens of the stratum before it.
        tokens: Its tokens, the end-of-document token included.
        sequence: The sequence in which it begins, counted from 0.
        position: Token of the sequence at which it begins.
        shard: Path of that sequence's shard, relative to the result.
    """

    stratum: str
    offset: int
    tokens: int
    sequence: int
    position: int
    shard: str


@dataclass(frozen=True)
class Cluster:
    """The cluster of a document that has near duplicates among the candidates.

    Attributes:
        leader: Hex of the leader's id.
        leads: Whether it is the document itself.
        size: Documents in it.
        similarity: To the leader, as the cluster stage found it; a share of the document where it is contained.
        contained: Whether it stands in the leader, rather than being like it.
    """

    leader: str
    leads: bool
    size: int
    similarity: float
    contained: bool


@dataclass(frozen=True)
class Similar:
    """How alike two documents are.

    Attributes:
        estimated: Jaccard similarity as the signatures estimate it; None where there are none.
        exact: That of their shingles.
    """

    estimated: float | None
    exact: float | None


def cut_value(rank: int) -> float:
    """The number behind a rank that `view.descending` gave.

    >>> from ..stages.view import descending
    >>> cut_value(int(descending(np.array([-2.5]))[0])), cut_value(int(descending(np.array([0.25]))[0]))
    (-2.5, 0.25)
    """
    bits = rank if rank >> 63 else ~rank & ((1 << 63) - 1)
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def try_rules(evidence: Evidence, recipe: str, ordinal: int, row: int) -> tuple[list[Tried], int]:
    """What each rule of a recipe says of one row, and the row's priority."""
    task = evidence.task(recipe, ordinal)
    view = View(task)
    chosen = store.join(evidence.choices(recipe), "choices", f"{ordinal:07d}.parquet")
    choice = read_row(chosen, row, ["code", "priority"])
    out = []
    for n, rule in enumerate(task["recipe"]["rules"]):
        if rule["sources"] is not None and view.part.source not in rule["sources"]:
            out.append(Tried(rule["text"], NOT_ASKED))
            continue
        label = value = cut = None
        if rule["labels"] is not None:
            label = view.column(rule["label"])[row].as_py()
        if any(rule[key] is not None for key in ("min", "max", "top")):
            value = _number(float(view.values(rule["value"])[row]))
        if rule["top"] is not None:
            cuts = view.recipe["cuts"]
            if str(n) not in cuts:  # of a store that an earlier version wrote
                cuts[str(n)] = find_cuts(store.join(evidence.choices(recipe), "tops", str(n)), rule["top"])
            bound = cuts[str(n)].get(str(int(view.groups(rule)[row])))
            cut = None if bound is None else cut_value(bound[0])
            cut = -cut if cut is not None and rule["near"] is not None else cut  # the greatest distance
        if rule["top"] is not None and 0 < choice["code"] <= n:
            outcome = NOT_RANKED
        else:
            outcome = "met" if view.passes(n)[row] else "failed"
        out.append(Tried(rule["text"], outcome, label, value, cut))
    return out, choice["priority"]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def find_place(evidence: Evidence, recipe: str, ordinal: int, row: int) -> Place | None:
    """Where a row stands in a recipe's stream; None where it does not."""
    folder = evidence.ladder(recipe)
    path = store.join(folder, "places", f"{ordinal:07d}.parquet")
    if not store.exists(path):
        return None
    table = store.read_table(path)
    at = int(np.searchsorted(table.column("row").to_numpy(), row))
    if at == len(table) or table.column("row")[at].as_py() != row:
        return None
    (found,) = table.slice(at, 1).to_pylist()
    told, length = evidence.manifest["recipes"][recipe], evidence.manifest["sequence_length"]
    stratum = sorted(told["strata"])[found["stratum"]]
    document = read_row(evidence.place.documents(evidence.parts[ordinal].id), row, ["document"])["document"]
    for shard in _shards_with(told, found["stratum"], found["offset"] // length):
        pieces = store.read_table(
            store.join(evidence.out, shard["documents"]), ["document", "offset", "sequence", "position"]
        )
        begins = pc.and_(pc.equal(pieces.column("document"), document), pc.equal(pieces.column("offset"), 0))
        first = pieces.filter(begins).slice(0, 1).to_pylist()
        if first:
            sequence, position = first[0]["sequence"], first[0]["position"]
            return Place(stratum, found["offset"], found["tokens"], sequence, position, shard["path"])
    return None


def _shards_with(told: dict[str, Any], stratum: int, wanted: int) -> Iterator[dict[str, Any]]:
    """The shards of a recipe that may hold a stratum's sequence number `wanted`: between two checkpoints, one or few.

    The schedule would tell which sequence of the stream that is, but its kernel takes most of a second to load.
    """
    checkpoints, shards = told["checkpoints"], told["rungs"][-1]["shards"]
    known = bisect.bisect_right([row[stratum] for row in checkpoints], wanted)
    low = sum(checkpoints[known - 1]) if known else 0
    high = sum(checkpoints[known]) if known < len(checkpoints) else None
    first = 0
    for shard in shards:
        if first >= low and (high is None or first < high):
            yield shard
        first += shard["sequences"]


def read_row(path: str, row: int, columns: list[str] | None = None) -> dict[str, Any]:
    """One row of a Parquet file; of its row groups only the one that holds it is read.

    Args:
        path: The file.
        row: Counted from 0.
        columns: Which; all without.
    """
    with store.open_parquet(path) as table:
        first = 0
        for group in range(table.metadata.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            if row < first + count:
                for batch in table.iter_batches(1 << 13, row_groups=[group], columns=columns, use_threads=False):
                    if row < first + len(batch):
                        return dict(batch.slice(row - first, 1).to_pylist()[0])
                    first += len(batch)
            first += count
    raise OSError(f"{path}: has no row {row:,}. The store is damaged: build the study again")


def scores_of(evidence: Evidence, ordinal: int, row: int) -> dict[str, dict[str, Any]]:
    """Numbers and labels of every score of the study for one row, by score and column."""
    part = evidence.parts[ordinal]
    out = {}
    for name, one in evidence.said["scores"].items():
        path = evidence.place.score(one["fingerprint"], part.id)
        if store.exists(path):
            with store.open_input(path) as file:
                schema = pq.read_schema(file)
            columns = [field.name for field in schema if not pa.types.is_nested(field.type) and not _is_bytes(field)]
            out[name] = read_row(path, row, columns)
            died = killed_rows(path).get(row)
            out[name] |= {"killed": died} if died else {}
    return out


def _is_bytes(field: pa.Field) -> bool:
    return bool(pa.types.is_binary(field.type) or pa.types.is_fixed_size_binary(field.type))


def cluster_of(evidence: Evidence, ordinal: int, row: int) -> Cluster | None:
    """The cluster of a row; None where it has no near duplicate among the candidates."""
    table = read_clusters(evidence.clusters, ordinal)
    found = table.filter(pc.equal(table.column("row"), pa.scalar(row, pa.uint32()))).to_pylist()
    if not found or (found[0]["size"] < 2 and found[0]["leads"]):
        return None
    one = found[0]
    return Cluster(one["cluster"].hex(), one["leads"], one["size"], one["similarity"], one["contained"])


def similar(evidence: Evidence, one: tuple[int, int], other: tuple[int, int]) -> Similar:
    """How alike two rows are, each given as the number of its part and the row in it."""
    place, dedup = evidence.place, evidence.said["dedup"]
    ids = [evidence.parts[ordinal].id for ordinal, _ in (one, other)]
    columns = ["text", "file_type"]
    rows = [read_row(place.documents(ids[0]), one[1], columns), read_row(place.documents(ids[1]), other[1], columns)]
    texts = pa.RecordBatch.from_pylist(rows, pa.schema([("text", pa.string()), ("file_type", pa.string())]))
    offsets, values = shingles.element_sets(texts, dedup["unit"], dedup["ngram"])
    left, right = values[: offsets[1]], values[offsets[1] :]
    shared = len(np.intersect1d(left, right, assume_unique=True))
    union = len(left) + len(right) - shared
    return Similar(_estimate(place, dedup["signatures"], ids, (one[1], other[1])), shared / union if union else None)


def _estimate(place: Store, family: str, parts: Sequence[str], rows: Sequence[int]) -> float | None:
    paths = [place.score(family, part) for part in parts]
    if not family or not all(map(store.exists, paths)):
        return None
    found = [read_row(path, row, ["signature"])["signature"] for path, row in zip(paths, rows, strict=True)]
    if None in found:
        return None
    left, right = (minhash.signature_matrix(pa.array([one], pa.binary(len(one)))) for one in found)
    return float(minhash.estimated_jaccard(left, right)[0])


def locate(evidence: Evidence, document: str) -> tuple[int, int] | None:
    """The first row of the pool with an id: the number of its part, and the row; None where there is none."""
    from ..stages.lookup import find  # it is a sibling of what this module reads

    folder = evidence.place.path(evidence.said["index"])
    for key in find(folder, int(document[:16], 16)).tolist():
        ordinal, row = key >> 32, key & 0xFFFFFFFF
        path = evidence.place.documents(evidence.parts[ordinal].id)
        if read_row(path, row, ["document"])["document"].hex() == document:
            return ordinal, row
    return None
