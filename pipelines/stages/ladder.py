"""Ladder: from the order of documents to exact places in each stratum's token stream.

Histograms of tokens by the top bits of the priority give the offset at which each bucket starts; sorting inside a
group of buckets gives every document's exact offset. Sequence i of a stratum is its tokens [i·L, (i+1)·L). The schedule
says which stratum each sequence of the mixed stream comes from. A rung is a prefix of that stream.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.hashing import mix64
from ..files import store
from ..files.parts import Part, Store
from ..files.schema import BUCKET_BITS, CANDIDATE
from . import keys, segments
from .edits import encoded_bytes
from .fit import fit
from .pieces import buckets_of, cut, earliest, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

BUCKETS = 1 << BUCKET_BITS

GROUP_DOCUMENTS = 1 << 20
"""Neighbouring buckets are sorted together until they hold so many documents: 44 bytes each, 46 MB a group."""

ORDERED = np.dtype([("priority", "<u8"), ("id", keys.ID), ("tie", "<u8"), ("key", "<u8"), ("tokens", "<i8")])
ORDERED_BYTES = np.dtype([*ORDERED.descr, ("text_bytes", "<i8")])
"""The same with the bytes of the text as encoded, where budgets are in bytes."""

PLACED = np.dtype([("row", "<u4"), ("stratum", "<u2"), ("offset", "<i8"), ("tokens", "<i8")])
START = ("start", "<i8")
"""Where documents are cut into pieces, the document's tokens before each."""


@dataclass(frozen=True)
class Group:
    """Neighbouring buckets of one stratum that are sorted together.

    Attributes:
        stratum: The stratum's number.
        first: First bucket.
        stop: Bucket after the last.
        base: Tokens of the stratum before the first bucket.
        tokens: Tokens in the group.
    """

    stratum: int
    first: int
    stop: int
    base: int
    tokens: int


def groups(
    documents: NDArray[np.int64],
    tokens: NDArray[np.int64],
    needed: Sequence[int],
    size: int = GROUP_DOCUMENTS,
    blocks: Sequence[int] | None = None,
) -> list[Group]:
    """Cut each stratum's buckets into groups, as far as its needed tokens reach.

    Args:
        documents: int64 of shape (strata, buckets).
        tokens: int64 of shape (strata, buckets).
        needed: Tokens needed of each stratum.
        size: Documents after which a group is full.
        blocks: For each stratum, buckets that stay together; by default each is by itself.

    >>> groups(np.array([[2, 1, 4]]), np.array([[20, 10, 40]]), [30], size=2)
    [Group(stratum=0, first=0, stop=1, base=0, tokens=20), Group(stratum=0, first=1, stop=2, base=20, tokens=10)]
    """
    out = []
    for stratum, need in enumerate(needed):
        first, base, held, inside = 0, 0, 0, 0
        for bucket in range(documents.shape[1]):
            held += int(documents[stratum, bucket])
            inside += int(tokens[stratum, bucket])
            full = held >= size or base + inside >= need or bucket + 1 == documents.shape[1]
            full &= blocks is None or (bucket + 1) % blocks[stratum] == 0
            if full and inside:
                out.append(Group(stratum, first, bucket + 1, base, inside))
            if full:
                first, base, held, inside = bucket + 1, base + inside, 0, 0
            if base >= need:
                break
    return out


def emit_order(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The documents of a part that the ladder can need, by group.

    Args:
        payload: `store`, `part`, `ordinal`, `source_ordinal`, `choices` (folder), `tokenizer` (fingerprint), and
            `plan` (path of a file with `strata`, `groups`, `sequence_length`, where documents are cut into pieces
            `piece`, where they are fitted to sequences `fit`, the buckets of a block of each stratum, and where strata
            run short `exhausted`, their numbers); `edits` (`Pool.edits`) where budgets are in bytes.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    plan = store.read_json(payload["plan"])
    choice = store.read_table(store.join(payload["choices"], f"{payload['ordinal']:07d}.parquet"))
    lengths = segments.counts(place, payload["tokenizer"], part.id, part.rows)
    number = {name: n for n, name in enumerate(plan["strata"])}
    stratum = choice.column("stratum").combine_chunks().dictionary_encode()
    numbers = np.array([number.get(name, -1) for name in stratum.dictionary.to_pylist()] or [-1], np.int64)
    strata = numbers[stratum.indices.to_numpy(zero_copy_only=False)]
    rows = np.flatnonzero((choice.column("code").to_numpy() == CANDIDATE) & (strata >= 0) & (lengths > 0))
    most, text_bytes = plan.get("piece", 0), place.column(part, ("text_bytes",)).to_numpy()[rows]
    pieces = cut(choice.column("priority").to_numpy()[rows], text_bytes, lengths[rows], most)
    if "fit" in plan:
        pieces = within(pieces, plan["sequence_length"])
    groups = _group_of(plan["groups"], len(plan["strata"]))
    ends = np.max(np.where(groups >= 0, np.arange(BUCKETS) + 1, 0), axis=1)  # of each stratum, as far as it is needed
    ends[plan.get("exhausted", [])] = BUCKETS  # each of its documents had its turn, also where none can stand
    _tell_refused(payload, place, part, choice, strata, ends, most)
    group = groups[strata[rows[pieces.index]], buckets_of(pieces.priority)]
    inside = np.flatnonzero(group >= 0)
    rows, group = rows[pieces.index[inside]], group[inside]
    packed = np.empty(len(rows), _dtype(_form(plan), cut=_cuts(plan)))
    if _cuts(plan):
        packed["start"] = pieces.start[inside]
    packed["priority"] = pieces.priority[inside]
    packed["id"] = keys.id_array(place.column(part, ("document",)))[rows]
    packed["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows]
    packed["key"] = keys.keys(payload["ordinal"], rows)
    packed["tokens"] = pieces.tokens[inside]
    if plan.get("text_bytes"):
        packed["text_bytes"] = encoded_bytes(place, part, payload["edits"])[rows]
    yield from keys.split(packed, keys.numbered(payload["number"], group))


def _tell_refused(  # noqa: PLR0917 what a row is told by
    payload: dict[str, Any],
    place: Store,
    part: Part,
    choice: pa.Table,
    strata: NDArray[np.int64],
    ends: NDArray[np.int64],
    piece: int,
) -> None:
    """Write which documents would stand here, but could not be encoded: `refused/NUMBER.parquet` beside the plan."""
    refused = segments.refused(place, payload["tokenizer"], part.id)
    if not refused:
        return
    rows = np.array(sorted(refused), np.int64)
    rows = rows[(choice.column("code").to_numpy()[rows] == CANDIDATE) & (strata[rows] >= 0)]
    text_bytes = place.column(part, ("text_bytes",)).to_numpy()[rows]
    buckets = buckets_of(earliest(choice.column("priority").to_numpy()[rows], text_bytes, piece))
    rows = rows[buckets < ends[strata[rows]]]
    if len(rows):
        table = pa.table({"row": rows.astype(np.uint32), "reason": [refused[row] for row in rows.tolist()]})
        folder = payload["plan"].rpartition("/")[0]
        store.write_table(store.join(folder, "refused", f"{payload['ordinal']:07d}.parquet"), table)


def _form(plan: dict[str, Any]) -> np.dtype[Any]:
    return ORDERED_BYTES if plan.get("text_bytes") else ORDERED


def _cuts(plan: dict[str, Any]) -> bool:
    """Whether documents are cut into pieces."""
    return "piece" in plan or "fit" in plan


def _dtype(whole: np.dtype[Any], *, cut: bool) -> np.dtype[Any]:
    """The dtype of documents, or that of their pieces."""
    return np.dtype([*whole.descr, START]) if cut else whole


def _ordered(values: Iterable[bytes], plan: dict[str, Any]) -> NDArray[Any]:
    """The documents of one group in order."""
    packed = keys.joined(values, _dtype(_form(plan), cut=_cuts(plan)))
    ids = packed["id"]
    rank = (packed["key"], packed["tie"], ids["low"], ids["high"], packed["priority"])
    return packed[np.lexsort((packed["start"], *rank) if _cuts(plan) else rank)]


def _fitted(packed: NDArray[Any], plan: dict[str, Any], stratum: int) -> tuple[NDArray[np.int64], int]:
    """Offsets of one group's documents in its sequences, and how many sequences they make."""
    blocks = buckets_of(packed["priority"]) // plan["fit"][stratum]
    sequences, places, count = fit(packed["tokens"], blocks, plan["sequence_length"])
    return sequences * plan["sequence_length"] + places, count


def count_fitted(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Write how many sequences a group's documents make: `fitted/NUMBER.json`, a number."""
    ladder, number = keys.unnumbered(bucket)
    plan = store.read_json(payload["plans"][ladder])
    count = _fitted(_ordered(values, plan), plan, plan["groups"][number]["stratum"])[1]
    store.write_json(store.join(payload["folders"][ladder], "fitted", f"{number:05d}.json"), count)
    return
    yield


def _group_of(listed: list[dict[str, int]], strata: int) -> NDArray[np.int64]:
    of = np.full((max(strata, 1), BUCKETS), -1, np.int64)
    for n, group in enumerate(listed):
        of[group["stratum"], group["first"] : group["stop"]] = n
    return of


def order_group(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Sort one group, write each document's offset in its stratum, and send the places back to the parts.

    Writes `order/NUMBER.parquet`: `key`, `id`, `offset`, `tokens`, and `start` of pieces, in order; documents that
    start at or after the stratum's needed tokens are left out.
    """
    ladder, number = keys.unnumbered(bucket)
    folder = payload["folders"][ladder]
    plan = store.read_json(store.join(folder, "plan.json"))
    group = Group(**plan["groups"][number])
    packed = _ordered(values, plan)
    if "fit" in plan:
        offsets = group.base + _fitted(packed, plan, group.stratum)[0]
        order = np.argsort(offsets)
        packed, offsets = packed[order], offsets[order]
    else:
        offsets = group.base + np.cumsum(packed["tokens"]) - packed["tokens"]
    packed, offsets = packed[offsets < plan["needed"][group.stratum]], offsets[offsets < plan["needed"][group.stratum]]
    columns = {"key": packed["key"], "id": keys.id_column(packed["id"]), "offset": offsets, "tokens": packed["tokens"]}
    placed = np.empty(len(packed), _dtype(PLACED, cut=_cuts(plan)))
    if _cuts(plan):
        columns["start"] = placed["start"] = packed["start"]
    if plan.get("text_bytes"):
        columns["text_bytes"] = packed["text_bytes"]
    store.write_table(store.join(folder, "order", f"{number:05d}.parquet"), pa.table(columns))
    placed["row"] = keys.rows(packed["key"])
    placed["stratum"] = group.stratum
    placed["offset"] = offsets
    placed["tokens"] = packed["tokens"]
    yield from keys.split(placed, keys.numbered(ladder, keys.ordinals(packed["key"])))


def write_places(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The places of one part's documents, or of their pieces: `row`, `stratum`, `offset`, `tokens`, and `start`."""
    ladder, ordinal = keys.unnumbered(bucket)
    placed = keys.joined(values, _dtype(PLACED, cut=bool(payload["pieces"][ladder])))
    placed = placed[np.lexsort((placed["offset"], placed["row"]))]
    table = pa.table({name: placed[name] for name in placed.dtype.names or ()})
    store.write_table(store.join(payload["folders"][ladder], "places", f"{ordinal:07d}.parquet"), table)
    return
    yield


def groups_json(listed: Sequence[Group]) -> list[dict[str, int]]:
    """Groups as plain values."""
    return [asdict(group) for group in listed]


def order_seed(seed: int, permutation: int) -> int:
    """The seed of a permutation of the documents; of number 0, the study's own.

    >>> order_seed(17, 0), order_seed(17, 1) == order_seed(17, 2)
    (17, False)
    """
    one, other = np.array([seed], np.uint64), np.array([permutation], np.uint64)
    return int(mix64(0x7065726D, one, other)[0]) if permutation else seed


def draws_seed(seed: int) -> int:
    """The seed by which clusters fall into disjoint draws; unrelated to every order."""
    one = np.array([seed], np.uint64)
    return int(mix64(0x64726177, one, one)[0])


def held_out_seed(seed: int) -> int:
    """The seed of the order in which clusters are held out; unrelated to the order of documents."""
    one = np.array([seed], np.uint64)
    return int(mix64(0x68656C64, one, one)[0])
