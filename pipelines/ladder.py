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

from ..filters.hashing import mix64
from . import keys, segments, store
from .parts import Part, Store
from .schema import BUCKET_BITS, CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

BUCKETS = 1 << BUCKET_BITS

GROUP_DOCUMENTS = 1 << 20
"""Neighbouring buckets are sorted together until they hold so many documents: 44 bytes each, 46 MB a group."""

ORDERED = np.dtype([("priority", "<u8"), ("id", keys.ID), ("tie", "<u8"), ("key", "<u8"), ("tokens", "<i8")])
PLACED = np.dtype([("row", "<u4"), ("stratum", "<u2"), ("offset", "<i8"), ("tokens", "<i8")])


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
    documents: NDArray[np.int64], tokens: NDArray[np.int64], needed: Sequence[int], size: int = GROUP_DOCUMENTS
) -> list[Group]:
    """Cut each stratum's buckets into groups, as far as its needed tokens reach.

    Args:
        documents: int64 of shape (strata, buckets).
        tokens: int64 of shape (strata, buckets).
        needed: Tokens needed of each stratum.
        size: Documents after which a group is full.

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
            `plan` (path of a file with `strata` and `groups`).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    plan = store.read_json(payload["plan"])
    choice = store.read_table(store.join(payload["choices"], f"{payload['ordinal']:07d}.parquet"))
    lengths = segments.counts(place, payload["tokenizer"], part.id, part.rows)
    number = {name: n for n, name in enumerate(plan["strata"])}
    stratum = choice.column("stratum").combine_chunks().dictionary_encode()
    numbers = np.array([number.get(name, -1) for name in stratum.dictionary.to_pylist()] or [-1], np.int64)
    strata = numbers[stratum.indices.to_numpy(zero_copy_only=False)]
    priority = choice.column("priority").to_numpy()
    group = _group_of(plan["groups"], len(plan["strata"]))[
        strata, (priority >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    ]
    rows = np.flatnonzero((choice.column("code").to_numpy() == CANDIDATE) & (strata >= 0) & (group >= 0))
    packed = np.empty(len(rows), ORDERED)
    packed["priority"] = priority[rows]
    packed["id"] = keys.id_array(place.column(part, ("document",)))[rows]
    packed["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows]
    packed["key"] = keys.keys(payload["ordinal"], rows)
    packed["tokens"] = lengths[rows]
    yield from keys.split(packed, keys.numbered(payload["number"], group[rows]))


def _group_of(listed: list[dict[str, int]], strata: int) -> NDArray[np.int64]:
    of = np.full((max(strata, 1), BUCKETS), -1, np.int64)
    for n, group in enumerate(listed):
        of[group["stratum"], group["first"] : group["stop"]] = n
    return of


def order_group(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Sort one group, write each document's offset in its stratum, and send the places back to the parts.

    Writes `order/NUMBER.parquet`: `key`, `id`, `offset`, `tokens`, in order; documents that start at or after the
    stratum's needed tokens are left out.
    """
    ladder, number = keys.unnumbered(bucket)
    folder = payload["folders"][ladder]
    plan = store.read_json(store.join(folder, "plan.json"))
    group = Group(**plan["groups"][number])
    packed = keys.joined(values, ORDERED)
    ids = packed["id"]
    packed = packed[np.lexsort((packed["key"], packed["tie"], ids["low"], ids["high"], packed["priority"]))]
    ends = group.base + np.cumsum(packed["tokens"])
    offsets = ends - packed["tokens"]
    packed, offsets = packed[offsets < plan["needed"][group.stratum]], offsets[offsets < plan["needed"][group.stratum]]
    table = pa.table(
        {"key": packed["key"], "id": keys.id_column(packed["id"]), "offset": offsets, "tokens": packed["tokens"]}
    )
    store.write_table(store.join(folder, "order", f"{number:05d}.parquet"), table)
    placed = np.empty(len(packed), PLACED)
    placed["row"] = keys.rows(packed["key"])
    placed["stratum"] = group.stratum
    placed["offset"] = offsets
    placed["tokens"] = packed["tokens"]
    yield from keys.split(placed, keys.numbered(ladder, keys.ordinals(packed["key"])))


def write_places(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The places of one part's documents: `row`, `stratum`, `offset`, `tokens`."""
    ladder, ordinal = keys.unnumbered(bucket)
    placed = keys.joined(values, PLACED)
    placed = placed[np.argsort(placed["row"])]
    table = pa.table({name: placed[name] for name in PLACED.names or ()})
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
