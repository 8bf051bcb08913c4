"""Cluster: near duplicates. Bands of MinHash signatures give candidates; estimated Jaccard similarity decides.

Taking the transitive closure over bands is known to wipe out whole sources, so a band never deletes anything: inside a
component of candidates, documents are walked in the order of their ids, which is a random order that no seed or file
changes. One joins the first leader whose similarity reaches the threshold, or becomes a leader itself. Documents of
equal text are always together.

Three exchanges, of keys alone: (band hash, key) to edges; (component, signature) to leaders; leaders back to parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..filters import minhash
from ..filters.hashing import fmix64
from ..filters.kernels import kernel
from . import keys, store
from .parts import Part, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

PAIR = np.dtype([("hash", "<u8"), ("key", "<u8")])
LED = np.dtype([("row", "<u4"), ("leader", keys.ID), ("own", "u1"), ("similarity", "<f4"), ("size", "<u4")])
LEADERS_PER_BAND = 64
"""A document is compared with so many leaders for each band that it shares with them, the earliest ones. Only bands
that more leaders share, such as those of a common template, are cut; their members meet through other bands."""


def member(places: int) -> np.dtype[Any]:
    """The packed record of one candidate; `places` is the length of a signature."""
    return np.dtype(
        [("component", "<u8"), ("id", keys.ID), ("tie", "<u8"), ("key", "<u8"), ("signature", "<u4", (places,))]
    )


def emit_bands(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Pairs of a band's hash and a document's key, by range of hash; equal text counts as one more band.

    Args:
        payload: `store`, `part`, `ordinal`, `family` (fingerprint of the signatures), `bands`, `rows`, `ranges`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    documents = place.column(part, ("document",)).combine_chunks()
    signatures = place.column(part, (payload["family"], "signature")).combine_chunks()
    ids = keys.id_array(documents)
    packed = keys.keys(payload["ordinal"], np.arange(part.rows))
    exists = documents.is_valid().to_numpy(zero_copy_only=False)
    signed = signatures.is_valid().to_numpy(zero_copy_only=False)
    bands = minhash.band_hashes(minhash.signature_matrix(signatures)[signed], payload["bands"], payload["rows"])
    hashes = np.concatenate([ids["high"][exists].astype("<u8"), bands.ravel()])
    pairs = np.empty(len(hashes), PAIR)
    pairs["hash"] = hashes
    pairs["key"] = np.concatenate([packed[exists], np.repeat(packed[signed], payload["bands"])])
    yield from keys.split(pairs, (hashes % np.uint64(payload["ranges"])).astype(np.int64))


def link_candidates(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Edges between the first document of each band and its others, written for this range of hashes."""
    pairs = keys.joined(values, PAIR)
    pairs = pairs[np.lexsort((pairs["key"], pairs["hash"]))]
    same = np.r_[False, pairs["hash"][1:] == pairs["hash"][:-1]]
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(pairs))))
    edges = np.unique(np.stack([pairs["key"][first[same]], pairs["key"][same]], axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    table = pa.table({"a": edges[:, 0], "b": edges[:, 1]})
    store.write_table(store.join(payload["folder"], "edges", f"{bucket:05d}.parquet"), table)
    return
    yield


def components(edges: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Connected components in memory, by union-find.

    Args:
        edges: uint64 of shape (e, 2), pairs of keys.

    Returns:
        Keys that have an edge, ascending (uint64), and for each the least key of its component (uint64).

    >>> components(np.array([[1, 2], [2, 5], [7, 9]], np.uint64))[1].tolist()
    [1, 1, 1, 7, 7]
    """
    members, flat = np.unique(edges.ravel(), return_inverse=True)
    roots = _union(len(members), flat.reshape(-1, 2).astype(np.int64))
    return members, members[roots]


@kernel
def _union(count: int, edges: Any) -> Any:
    parent = np.arange(count)
    for n in range(len(edges)):
        a, b = edges[n, 0], edges[n, 1]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b
    for n in range(count):  # a parent is never greater than its child, so one pass flattens all
        parent[n] = parent[parent[n]]
    return parent


def write_components(folder: str, edges: NDArray[np.uint64]) -> list[int]:
    """Write, for each part with candidates, their rows and components; return those parts' numbers."""
    members, labels = components(edges)
    numbers = keys.ordinals(members)
    found = []
    for ordinal in np.unique(numbers):
        low, high = np.searchsorted(numbers, [ordinal, ordinal + 1])
        table = pa.table({"row": keys.rows(members[low:high]).astype(np.uint32), "component": labels[low:high]})
        store.write_table(store.join(folder, "components", f"{ordinal:07d}.parquet"), table)
        found.append(int(ordinal))
    return found


def emit_members(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Candidates of a part with their signatures, by component.

    Args:
        payload: As for `emit_bands`, and `folder`, `source_ordinal`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    table = store.read_table(store.join(payload["folder"], "components", f"{payload['ordinal']:07d}.parquet"))
    rows = table.column("row").to_numpy()
    signatures = place.column(part, (payload["family"], "signature")).combine_chunks().take(pa.array(rows))
    matrix = minhash.signature_matrix(signatures)
    packed = np.empty(len(rows), member(matrix.shape[1]))
    packed["component"] = table.column("component").to_numpy()
    packed["id"] = keys.id_array(place.column(part, ("document",)))[rows]
    packed["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows]
    packed["key"] = keys.keys(payload["ordinal"], rows)
    packed["signature"] = matrix
    yield from keys.split(packed, (fmix64(packed["component"]) % np.uint64(payload["ranges"])).astype(np.int64))


def lead(_bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Leaders of all components of a bucket, sent back to the parts of their members."""
    packed = keys.joined(values, member(payload["bands"] * payload["rows"]))
    ids = packed["id"]
    packed = packed[np.lexsort((packed["key"], packed["tie"], ids["low"], ids["high"], packed["component"]))]
    leaders, similarity = leader_clusters(
        packed["component"], packed["id"], packed["signature"], payload["bands"], payload["rows"], payload["threshold"]
    )
    led = np.empty(len(packed), LED)
    led["row"] = keys.rows(packed["key"])
    led["leader"] = packed["id"][leaders]
    led["own"] = leaders == np.arange(len(leaders))
    led["similarity"] = similarity
    led["size"] = np.bincount(leaders, minlength=len(leaders))[leaders]
    yield from keys.split(led, keys.ordinals(packed["key"]))


def leader_clusters(  # noqa: PLR0917 a kernel takes columns
    component: NDArray[np.uint64],
    ids: NDArray[Any],
    signatures: NDArray[np.uint32],
    bands: int,
    rows: int,
    threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Leader clustering inside components, of documents that are sorted by component and then by rank.

    Args:
        component: uint64 of shape (n,), ascending.
        ids: `keys.ID` of shape (n,), ascending inside a component.
        signatures: uint32 of shape (n, bands * rows); all EMPTY where a document has no words.
        bands: Bands of the signature.
        rows: Values in a band.
        threshold: Least share of equal values.

    Returns:
        For each document the index of its leader (int64, its own for a leader) and the estimated Jaccard similarity
        to it (float32, 1 for itself).
    """
    hashes = minhash.band_hashes(np.ascontiguousarray(signatures), bands, rows)
    needed = int(np.ceil(threshold * bands * rows - 1e-9))
    wordless = signatures[:, 0] == minhash.EMPTY
    same = np.r_[False, (ids[1:] == ids[:-1]) & (component[1:] == component[:-1])] if len(ids) else np.zeros(0, bool)
    return _lead(component, same, wordless, np.ascontiguousarray(signatures), hashes, needed, LEADERS_PER_BAND)


@kernel
def _lead(  # noqa: PLR0917 a kernel takes columns
    component: Any, same: Any, wordless: Any, signatures: Any, hashes: Any, needed: int, cap: int
) -> tuple[Any, Any]:
    count = len(component)
    leaders = np.arange(count)
    similarity = np.ones(count, np.float32)
    seen = np.full(count, -1, np.int64)
    low = 0
    while low < count:
        high = low + 1
        while high < count and component[high] == component[low]:
            high += 1
        _lead_component(low, high, same, wordless, signatures, hashes, needed, cap, seen, leaders, similarity)
        low = high
    return leaders, similarity


@kernel
def _lead_component(  # noqa: PLR0917 a kernel takes columns
    low: int,
    high: int,
    same: Any,
    wordless: Any,
    signatures: Any,
    hashes: Any,
    needed: int,
    cap: int,
    seen: Any,
    leaders: Any,
    similarity: Any,
) -> None:
    """Give each document in [low, high), one component, its leader and the similarity to it."""
    bands, places = hashes.shape[1], signatures.shape[1]
    most = bands * (high - low)
    size = 16
    while size < 2 * most:
        size *= 2
    # leaders by band hash: an open table of slots, each naming a list of at most `cap` leaders
    table = np.full(size, -1, np.int64)
    slot_hash = np.zeros(size, np.uint64)
    lists = np.full((most, 3), -1, np.int64)  # first entry, last entry, length
    entries = np.full((most, 2), -1, np.int64)  # leader, next entry
    used_lists, used_entries = 0, 0
    for d in range(low, high):
        if same[d]:
            leaders[d] = leaders[d - 1]
            similarity[d] = similarity[d - 1]
            continue
        if wordless[d]:
            continue
        leader, equal = _first_leader(d, signatures, hashes, needed, table, slot_hash, lists, entries, seen)
        if leader >= 0:
            leaders[d] = leader
            similarity[d] = equal / places
            continue
        for b in range(bands):
            slot = _slot(table, slot_hash, hashes[d, b])
            if table[slot] < 0:
                table[slot] = used_lists
                slot_hash[slot] = hashes[d, b]
                lists[used_lists, 2] = 0
                used_lists += 1
            one = table[slot]
            if lists[one, 2] >= cap:
                continue
            entries[used_entries, 0] = d
            if lists[one, 2] == 0:
                lists[one, 0] = used_entries
            else:
                entries[lists[one, 1], 1] = used_entries
            lists[one, 1] = used_entries
            lists[one, 2] += 1
            used_entries += 1


@kernel
def _first_leader(  # noqa: PLR0917 a kernel takes columns
    d: int,
    signatures: Any,
    hashes: Any,
    needed: int,
    table: Any,
    slot_hash: Any,
    lists: Any,
    entries: Any,
    seen: Any,
) -> tuple[int, int]:
    """The first of the leaders that share a band with a document and are similar, or -1; and the equal values."""
    best, best_equal = -1, 0
    for b in range(hashes.shape[1]):
        one = table[_slot(table, slot_hash, hashes[d, b])]
        if one < 0:
            continue
        entry = lists[one, 0]
        while entry >= 0:
            leader = entries[entry, 0]
            entry = entries[entry, 1]
            if seen[leader] == d or 0 <= best < leader:
                continue
            seen[leader] = d
            equal = 0
            for p in range(signatures.shape[1]):
                equal += signatures[d, p] == signatures[leader, p]
            if equal >= needed:
                best, best_equal = leader, equal
    return best, best_equal


@kernel
def _slot(table: Any, slot_hash: Any, wanted: Any) -> int:
    """The slot of a band's hash, or the free one where it belongs."""
    slot = np.int64(wanted & np.uint64(len(table) - 1))
    while table[slot] >= 0 and slot_hash[slot] != wanted:
        slot = (slot + 1) & (len(table) - 1)
    return slot  # type: ignore[return-value] # numba's int64 is its int


def write_clusters(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The clusters of one part's candidates; documents that are not listed are alone in theirs."""
    led = keys.joined(values, LED)
    led = led[np.argsort(led["row"])]
    table = pa.table(
        {
            "row": led["row"],
            "cluster": keys.id_column(led["leader"]),
            "leads": led["own"].astype(bool),
            "similarity": led["similarity"],
            "size": led["size"],
        }
    )
    store.write_table(store.join(payload["folder"], "members", f"{ordinal:07d}.parquet"), table)
    return
    yield
