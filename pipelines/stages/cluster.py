"""Cluster: near duplicates. Bands of MinHash signatures give candidates; Jaccard similarity decides.

Taking the transitive closure over bands is known to wipe out whole sources, so a band never deletes anything: inside a
component of candidates, documents are walked in the order of their ids, which is a random order that no seed or file
changes (`leaders`). Documents of equal text are always together. Where the study asks for it, similarity is that of the
shingles themselves, and a cluster that stands whole in a longer document joins that one's (`containment`).

Exchanges, of keys alone: (band hash, key) to edges; edges to components (`connect`); (component, signature) to leaders;
leaders back to parts. Documents that an earlier study kept take part under numbers of parts beyond the pool's: they
lead, and nothing is sent back to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.duplicates import minhash
from ...filters.hashing import fmix64
from ...filters.shingles import shingles
from ..files import store
from ..files.parts import Part, Store
from ..files.schema import HELD_OUT, KEPT
from . import connect, containment, grouping, keys, leaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

PAIR = np.dtype([("hash", "<u8"), ("key", "<u8")])
LED = np.dtype(
    [
        ("row", "<u4"),
        ("leader", keys.ID),
        ("leads", "u1"),
        ("similarity", "<f4"),
        ("size", "<u4"),
        ("contained", "u1"),
        ("earlier", "u1"),
        ("source", "<u2"),
    ]
)
MOST_ELEMENTS = 1 << 16
"""Shingles that are compared exactly; of a document with more, those with the least hashes, with an error of 0.2 %."""

_MEMBERS, _SETS = b"m", b"s"


def member(places: int, sketch: int) -> np.dtype[Any]:
    """The packed record of one candidate; of the lengths of a signature and of a sketch, 0 without containment."""
    return np.dtype(
        [
            ("component", "<u8"),
            ("id", keys.ID),
            ("tie", "<u8"),
            ("key", "<u8"),
            ("source", "<u2"),
            ("earlier", "u1"),
            ("elements", "<i8"),
            ("signature", "<u4", (places,)),
            ("sketch", "<u4", (sketch,)),
        ]
    )


def emit_bands(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Pairs of a hash and a document's key, by range of hash: of each band, of the text, and of the sketch.

    Args:
        payload: `store`, `part`, `ordinal`, `family` (fingerprint of the signatures), `bands`, `rows`, `ranges`,
            `sketch` (fingerprint of the sketches, empty without containment), `sketch_size`, `ledgers` (of the
            part, where it is of an earlier study: only what that kept takes part).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    documents = place.column(part, ("document",)).combine_chunks()
    signatures = place.column(part, (payload["family"], "signature")).combine_chunks()
    packed = keys.keys(payload["ordinal"], np.arange(part.rows)) | grouping.ASKS
    exists = documents.is_valid().to_numpy(zero_copy_only=False) & _kept(payload["ledgers"], part.rows)
    signed = exists & signatures.is_valid().to_numpy(zero_copy_only=False)
    matrix = minhash.signature_matrix(signatures)
    bands = minhash.band_hashes(matrix if signed.all() else matrix[signed], payload["bands"], payload["rows"])
    hashes = [keys.id_array(documents)["high"][exists].astype("<u8"), bands.ravel()]
    owners = [packed[exists], np.repeat(packed[signed], payload["bands"])]
    if payload["sketch"]:
        sketches = _sketches(place, part, payload)
        rows, places = np.nonzero((sketches != containment.EMPTY) & signed[:, None])
        hashes.append(fmix64(sketches[rows, places] | np.uint64(1 << 40)))
        owners.append(np.where(places < containment.ASKED, packed[rows], packed[rows] ^ grouping.ASKS))
    pairs = np.empty(sum(map(len, hashes)), PAIR)
    pairs["hash"] = np.concatenate(hashes)
    pairs["key"] = np.concatenate(owners)
    yield from keys.split(pairs, (pairs["hash"] % np.uint64(payload["ranges"])).astype(np.int64))


def _kept(ledgers: Sequence[str], rows: int) -> NDArray[np.bool_]:
    """Rows of a part of an earlier study that it trains on or holds out; all, where there is no ledger."""
    kept = np.full(rows, not ledgers)
    for path in ledgers:
        outcome = store.read_table(path, ["outcome"]).column(0)
        kept |= pc.is_in(outcome, value_set=pa.array([KEPT, HELD_OUT])).to_numpy()
    return kept


def _sketches(place: Store, part: Part, payload: dict[str, Any]) -> NDArray[np.uint32]:
    """The sketches of a part as uint32 of shape (rows, k), padded with EMPTY."""
    column = place.column(part, (payload["sketch"], "sketch")).combine_chunks()
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy() // 4
    out = np.full((part.rows, payload["sketch_size"]), containment.EMPTY, np.uint32)
    out[np.arange(payload["sketch_size"]) < lengths[:, None]] = np.frombuffer(
        b"".join(column.drop_null().to_pylist()), "<u4"
    )
    return out


def link_candidates(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Edges between documents that share a hash, as stars around the least key, written for this range of hashes."""
    pairs = keys.joined(values, PAIR)
    linked = grouping.link(np.ascontiguousarray(pairs["hash"]), np.ascontiguousarray(pairs["key"]))
    if len(linked):
        connect.write_edges(store.join(payload["folder"], "edges", f"{bucket:05d}.parquet"), grouping.stars(linked))
    return
    yield


def emit_members(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Candidates of a part with their signatures, by component.

    Args:
        payload: As for `emit_bands`, and `folder`, `source_ordinal`, `parts` (those of the pool itself), `shingles`
            (`unit` and `ngram`, where similarity is to be exact, else None).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    table = store.read_table(store.join(payload["folder"], "components", f"{payload['ordinal']:07d}.parquet"))
    rows = table.column("row").to_numpy()
    signatures = place.column(part, (payload["family"], "signature")).combine_chunks().take(pa.array(rows))
    matrix = minhash.signature_matrix(signatures)
    sketches = _sketches(place, part, payload)[rows] if payload["sketch"] else np.zeros((len(rows), 0))
    packed = np.empty(len(rows), member(matrix.shape[1], sketches.shape[1]))
    packed["component"] = table.column("component").to_numpy()
    packed["id"] = keys.id_array(place.column(part, ("document",)))[rows]
    packed["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows]
    packed["key"] = keys.keys(payload["ordinal"], rows)
    packed["source"] = payload["source_ordinal"]
    packed["earlier"] = payload["ordinal"] >= payload["parts"]
    packed["signature"] = matrix
    packed["sketch"] = sketches
    packed["elements"] = 0
    if payload["sketch"]:
        elements = place.column(part, (payload["sketch"], "elements"))
        packed["elements"] = pc.fill_null(elements, 0).to_numpy()[rows]
    buckets = (fmix64(packed["component"]) % np.uint64(payload["ranges"])).astype(np.int64)
    for bucket, data in keys.split(packed, buckets):
        yield bucket, _MEMBERS + data
    if payload["shingles"] is not None:
        yield from _emit_sets(place, part, payload, rows, buckets)


def _emit_sets(
    place: Store, part: Part, payload: dict[str, Any], rows: NDArray[np.uint32], buckets: NDArray[np.int64]
) -> Iterator[tuple[int, bytes]]:
    """The shingles of candidates: for each bucket how many documents, then key and length of each, then the sets."""
    table = store.read_table(place.documents(part.id), ["text", "file_type"]).take(pa.array(rows))
    batch = table.combine_chunks().to_batches()[0]
    offsets, values = shingles.element_sets(batch, **payload["shingles"], most=MOST_ELEMENTS)
    packed = keys.keys(payload["ordinal"], rows)
    order = np.argsort(buckets, kind="stable")
    for bucket in np.unique(buckets):
        inside = order[np.searchsorted(buckets[order], bucket) : np.searchsorted(buckets[order], bucket, "right")]
        head = np.stack([packed[inside], (offsets[inside + 1] - offsets[inside]).astype(np.uint64)], axis=1)
        sets = [values[offsets[n] : offsets[n + 1]].tobytes() for n in inside]
        yield int(bucket), b"".join([_SETS, np.uint64(len(inside)).tobytes(), head.tobytes(), *sets])


def lead(_bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Leaders of all components of a bucket, sent back to the parts of their members.

    Args:
        values: What `emit_members` yields.
        payload: As for `emit_members`, and `threshold`, `containment` (least share of a document, or None).
    """
    values = list(values)
    dtype = member(payload["bands"] * payload["rows"], payload["sketch_size"])
    packed = np.frombuffer(b"".join(value[1:] for value in values if value[:1] == _MEMBERS), dtype)
    ids = packed["id"]
    first = packed["earlier"] ^ 1
    packed = packed[np.lexsort((packed["key"], packed["tie"], ids["low"], ids["high"], first, packed["component"]))]
    earlier = packed["earlier"] == 1
    sets = _gather(values, packed["key"]) if payload["shingles"] is not None else None
    heads, similarity = leaders.leader_clusters(
        packed["component"],
        packed["id"],
        earlier,
        packed["signature"],
        payload["bands"],
        payload["rows"],
        payload["threshold"],
        sets,
    )
    inside = np.full(len(packed), -1, np.int64)
    if payload["containment"] is not None:
        inside, shares = containment.contained(
            packed["component"], heads, earlier, packed["sketch"], packed["elements"], payload["containment"]
        )
        similarity = np.where(inside >= 0, shares, similarity).astype(np.float32)
        heads = np.where(inside >= 0, inside, heads)
    led = np.empty(len(packed), LED)
    led["row"] = keys.rows(packed["key"])
    led["leader"] = packed["id"][heads]
    led["leads"] = heads == np.arange(len(heads))
    led["similarity"] = similarity
    led["size"] = np.bincount(heads[~earlier], minlength=len(heads))[heads]
    led["contained"] = inside >= 0
    led["earlier"] = earlier[heads]
    led["source"] = packed["source"][heads]
    yield from keys.split(led[~earlier], keys.ordinals(packed["key"][~earlier]))


def _gather(values: Sequence[bytes], wanted: NDArray[np.uint64]) -> leaders.Sets:
    """The sets of a bucket in the order of its documents."""
    owners, lengths, data = [], [], []
    for value in values:
        if value[:1] == _SETS:
            count = int(np.frombuffer(value, "<u8", 1, 1)[0])
            head = np.frombuffer(value, "<u8", 2 * count, 9).reshape(-1, 2)
            owners.append(head[:, 0])
            lengths.append(head[:, 1].astype(np.int64))
            data.append(np.frombuffer(value, "<u4", offset=9 + 16 * count))
    owner, length, every = np.concatenate(owners), np.concatenate(lengths), np.concatenate(data)
    start = np.r_[0, np.cumsum(length)]
    rank = np.argsort(owner)
    order = rank[np.searchsorted(owner[rank], wanted)]
    offsets = np.r_[0, np.cumsum(length[order])]
    take = np.repeat(start[order] - offsets[:-1], length[order]) + np.arange(offsets[-1])
    return leaders.Sets(offsets, every[take], MOST_ELEMENTS)


def write_clusters(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The clusters of one part's candidates; documents that are not listed are alone in theirs."""
    led = keys.joined(values, LED)
    led = led[np.argsort(led["row"])]
    table = pa.table(
        {
            "row": led["row"],
            "cluster": keys.id_column(led["leader"]),
            "leads": led["leads"].astype(bool),
            "similarity": led["similarity"],
            "size": led["size"],
            "contained": led["contained"].astype(bool),
            "earlier": led["earlier"].astype(bool),
            "leader_source": led["source"],
        }
    )
    store.write_table(store.join(payload["folder"], "members", f"{ordinal:07d}.parquet"), table)
    return
    yield
