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
from . import keys, order_files, segments
from .edits import encoded_bytes
from .fit import fit
from .pieces import buckets_of, cut, earliest, within
from .stretches import cut_inside, stretch_of

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

STRETCH = ("stretch", "<u4")
"""Where pieces stay inside stretches of the order (`stretches`), the number of the stretch."""


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
            `piece`, where they are fitted to sequences `fit`, the buckets of a block of each stratum, where that
            happens inside stretches of the order, `bounds` of each stratum, and where strata run short `exhausted`,
            their numbers); `edits` (`Pool.edits`) where budgets are in bytes.
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
    documents = np.empty(len(rows), _form(plan))
    documents["priority"] = choice.column("priority").to_numpy()[rows]
    documents["id"] = keys.id_array(place.column(part, ("document",)))[rows]
    documents["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows]
    documents["key"] = keys.keys(payload["ordinal"], rows)
    documents["tokens"] = lengths[rows]
    if plan.get("text_bytes"):
        documents["text_bytes"] = encoded_bytes(place, part, payload["edits"])[rows]
    stretch = np.zeros(len(rows), np.int64)
    if "bounds" in plan:
        documents, own, stretch, low, high = _inside(documents, strata[rows], plan["bounds"])
        pieces = cut_inside(documents["priority"], documents["tokens"], low, high, most)
    else:
        own = strata[rows]
        pieces = cut(documents["priority"], text_bytes, documents["tokens"], most)
    if "fit" in plan:
        pieces = within(pieces, plan["sequence_length"])
    ends = np.zeros(len(plan["strata"]), np.int64)  # of each stratum, as far as it is needed
    for one in plan["groups"]:
        ends[one["stratum"]] = max(ends[one["stratum"]], one["stop"])
    ends[plan.get("exhausted", [])] = BUCKETS  # each of its documents had its turn, also where none can stand
    _tell_refused(payload, place, part, choice, strata, ends, 0 if "bounds" in plan else most)
    group = groups_of(plan["groups"], own[pieces.index], buckets_of(pieces.priority))
    inside = np.flatnonzero(group >= 0)
    index, group = pieces.index[inside], group[inside]
    packed = np.empty(len(index), _dtype(_form(plan), plan))
    for name in documents.dtype.names or ():
        packed[name] = documents[name][index]
    packed["priority"], packed["tokens"] = pieces.priority[inside], pieces.tokens[inside]
    if _cuts(plan):
        packed["start"] = pieces.start[inside]
    if "bounds" in plan:
        packed["stretch"] = stretch[index]
    yield from keys.split(packed, keys.numbered(payload["number"], group))


def _inside(
    documents: NDArray[Any], strata: NDArray[np.int64], bounds: list[list[list[int]]]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Documents up to the last bound of their stratum, with their strata, stretches, and where these begin and end."""
    stretch, low, high = np.zeros(len(documents), np.int64), *np.zeros((2, len(documents)), np.uint64)
    kept = np.zeros(len(documents), np.bool_)
    for n in np.unique(strata).tolist():
        mine = np.flatnonzero(strata == n)
        found = stretch_of(bounds[n], documents[mine])
        mine, found = mine[found < len(bounds[n])], found[found < len(bounds[n])]
        borders = np.array([0, *(bound[0] for bound in bounds[n])], np.uint64)
        stretch[mine], low[mine], high[mine], kept[mine] = found, borders[found], borders[found + 1], True
    return documents[kept], strata[kept], stretch[kept], low[kept], high[kept]


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


def _dtype(whole: np.dtype[Any], plan: dict[str, Any]) -> np.dtype[Any]:
    """The dtype of documents, or that of their pieces."""
    return np.dtype([*whole.descr, *([START] if _cuts(plan) else []), *([STRETCH] if "bounds" in plan else [])])


def _places(*, cut: bool) -> np.dtype[Any]:
    """The dtype of places of documents, or of their pieces."""
    return np.dtype([*PLACED.descr, START]) if cut else PLACED


def _ordered(values: Iterable[bytes], plan: dict[str, Any]) -> NDArray[Any]:
    """The documents of one group in order."""
    packed = keys.joined(values, _dtype(_form(plan), plan))
    ids = packed["id"]
    rank = [packed["key"], packed["tie"], ids["low"], ids["high"], packed["priority"]]
    rank += [packed["stretch"]] if "bounds" in plan else []
    return packed[np.lexsort((packed["start"], *rank) if _cuts(plan) else rank)]


def _offsets(packed: NDArray[Any], plan: dict[str, Any], stratum: int) -> tuple[NDArray[np.int64], int]:
    """Where one group's documents stand in it, and how many tokens it has; where they are fitted, with its padding."""
    if "fit" not in plan:
        return np.cumsum(packed["tokens"]) - packed["tokens"], int(packed["tokens"].sum())
    blocks = buckets_of(packed["priority"]) // plan["fit"][stratum]
    if "bounds" in plan:
        blocks += packed["stretch"].astype(np.int64) * BUCKETS
    sequences, places, count = fit(packed["tokens"], blocks, plan["sequence_length"])
    return sequences * plan["sequence_length"] + places, count * plan["sequence_length"]


def count_fitted(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Write how many tokens a group's documents make: `fitted/NUMBER.json`.

    `tokens`; and where pieces stay inside stretches, `at`, the tokens up to each bound, and `held`, the bytes or number
    of the documents.
    """
    ladder, number = keys.unnumbered(bucket)
    plan = store.read_json(payload["plans"][ladder])
    stratum, packed = plan["groups"][number]["stratum"], _ordered(values, plan)
    offsets, tokens = _offsets(packed, plan, stratum)
    told: dict[str, Any] = {"tokens": tokens}
    if "bounds" in plan:
        after = np.searchsorted(packed["stretch"], np.arange(len(plan["bounds"][stratum])), "right")
        if "fit" in plan:  # the highest place so far, and the rest of its sequence
            length, ends = plan["sequence_length"], np.maximum.accumulate(np.r_[0, offsets + packed["tokens"]])
            told["at"] = (-(-ends[after] // length) * length).tolist()
        else:
            told["at"] = np.r_[offsets, tokens][after].tolist()
        first = packed["start"] == 0
        told["held"] = int(packed["text_bytes"][first].sum() if plan.get("text_bytes") else first.sum())
    store.write_json(store.join(payload["folders"][ladder], "fitted", f"{number:05d}.json"), told)
    return
    yield


def groups_of(
    listed: Sequence[dict[str, int]], strata: NDArray[np.int64], buckets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The group of each document, found by bisection: a table of all buckets of 1,500 strata took 0.2 s for each part.

    Args:
        listed: Groups as plain values, none of which share a bucket.
        strata: int64 of shape (n,).
        buckets: int64 of shape (n,).

    Returns:
        int64 of shape (n,); -1 where there is none.

    >>> groups_of([{"stratum": 1, "first": 3, "stop": 5}], np.array([1, 1, 0]), np.array([4, 5, 4])).tolist()
    [0, -1, -1]
    """
    spans = np.array([(one["stratum"], one["first"], one["stop"]) for one in listed], np.int64).reshape(-1, 3)
    begins, stops = spans[:, 0] * BUCKETS + spans[:, 1], spans[:, 0] * BUCKETS + spans[:, 2]
    order, places = np.argsort(begins), strata * BUCKETS + buckets
    at = np.searchsorted(begins[order], places, "right") - 1
    found = np.append(order, -1)[at]  # before the first stands none
    return np.where((found >= 0) & (places < np.append(stops, 0)[found]), found, -1)


def order_group(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Sort one group, write each document's offset in its stratum, and send the places back to the parts.

    Writes `order/NUMBER.parquet`: `key`, `id`, `offset`, `tokens`, and `start` of pieces, in order; documents that
    start at or after the stratum's needed tokens are left out. With `ranked` in the plan also `priority` and `tie`.
    """
    ladder, number = keys.unnumbered(bucket)
    folder = payload["folders"][ladder]
    plan = store.read_json(store.join(folder, "plan.json"))
    group = Group(**plan["groups"][number])
    packed = _ordered(values, plan)
    offsets = group.base + _offsets(packed, plan, group.stratum)[0]
    if "fit" in plan:
        order = np.argsort(offsets)
        packed, offsets = packed[order], offsets[order]
    packed, offsets = packed[offsets < plan["needed"][group.stratum]], offsets[offsets < plan["needed"][group.stratum]]
    columns = {"key": packed["key"], "id": keys.id_column(packed["id"]), "offset": offsets, "tokens": packed["tokens"]}
    placed = np.empty(len(packed), _places(cut=_cuts(plan)))
    if _cuts(plan):
        columns["start"] = placed["start"] = packed["start"]
    if plan.get("text_bytes"):
        columns["text_bytes"] = packed["text_bytes"]
    if plan.get("ranked"):
        columns |= {name: packed[name] for name in ("priority", "tie")}
    order_files.write(order_files.path_of(folder, f"{number:05d}"), columns)
    placed["row"] = keys.rows(packed["key"])
    placed["stratum"] = group.stratum
    placed["offset"] = offsets
    placed["tokens"] = packed["tokens"]
    yield from keys.split(placed, keys.numbered(ladder, keys.ordinals(packed["key"])))


def write_places(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The places of one part's documents, or of their pieces: `row`, `stratum`, `offset`, `tokens`, and `start`."""
    ladder, ordinal = keys.unnumbered(bucket)
    placed = keys.joined(values, _places(cut=bool(payload["pieces"][ladder])))
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
