"""Hold out: which documents may not be trained on, once the held-out set is drawn.

These are the members of its documents' clusters, and every document whose estimated Jaccard similarity to one of them
reaches the threshold. The second search misses none: two signatures of K values that agree on at least t·K of them
differ in at most m = K - ⌈t·K⌉, so of m + 1 bands one must be equal. (LSH bands as for clusters would miss one pair in
four at a similarity of 0.7–0.8.)
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.duplicates import minhash
from ...filters.kernels import kernel
from ..files import store
from ..files.parts import Part, Store, read_clusters
from . import keys
from .pieces import wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sure_bands(places: int, threshold: float) -> tuple[int, int, int]:
    """Bands, rows of a band and least equal values, such that no similar pair shares no band.

    >>> sure_bands(112, 0.7)
    (34, 3, 79)
    """
    needed = max(1, math.ceil(threshold * places - 1e-9))
    bands = places - needed + 1
    return bands, places // bands, needed


def reserve_part(payload: dict[str, Any], **_: Any) -> None:
    """Write the rows of a part that the held-out set could draw, before it is known how many tokens they have.

    Args:
        payload: `ordinal`, `choices` (folder, of the held-out set), `cutoffs` (bucket by stratum), `folder`.
    """
    name = f"{payload['ordinal']:07d}.parquet"
    inside = wanted(store.read_table(store.join(payload["choices"], name)), payload["cutoffs"])
    store.write_table(
        store.join(payload["folder"], "places", name), pa.table({"row": np.flatnonzero(inside).astype(np.uint32)})
    )


def gather_part(payload: dict[str, Any], **_: Any) -> None:
    """Write a part's held-out documents: `document`, `cluster` and `signature`.

    Args:
        payload: `store`, `part`, `ordinal`, `family`, `clusters`, `places` (folder: which rows stand in the set),
            `folder`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    name = f"{payload['ordinal']:07d}.parquet"
    rows = store.read_table(store.join(payload["places"], name)).column("row")
    ids = place.column(part, ("document",)).combine_chunks()
    table = pa.table(
        {
            "document": ids.take(rows),
            "cluster": keys.id_column(_cluster_ids(payload, ids)).take(rows),
            "signature": place.column(part, (payload["family"], "signature")).take(rows),
        }
    )
    store.write_table(store.join(payload["folder"], "set", name), table)


def exclude_part(payload: dict[str, Any], **_: Any) -> None:
    """Write the rows of a part that may not be trained on: `row`, and `near`, the held-out document it is or is near.

    Args:
        payload: As for `gather_part`, and `threshold`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    held = _held_out(store.join(payload["folder"], "set"))
    ids = place.column(part, ("document",)).combine_chunks()
    clusters = _cluster_ids(payload, ids)
    exists = ids.is_valid().to_numpy(zero_copy_only=False)
    at = np.searchsorted(held.clusters, clusters)
    at[at == len(held.clusters)] = 0
    nearest = np.full(part.rows, -1, np.int64)
    if len(held.clusters):
        inside = exists & (held.clusters[at] == clusters)
        nearest[inside] = at[inside]
        signatures = minhash.signature_matrix(place.column(part, (payload["family"], "signature")).combine_chunks())
        bands, rows, needed = sure_bands(signatures.shape[1], payload["threshold"])
        wordless = signatures[:, 0] == minhash.EMPTY
        hashes = minhash.band_hashes(signatures, bands, rows)
        hashes_held, order = held.bands(bands, rows)
        _find_near(
            signatures, hashes, exists & ~wordless & (nearest < 0), held.signatures, hashes_held, order, needed, nearest
        )
    found = np.flatnonzero(nearest >= 0)
    table = pa.table({"row": found.astype(np.uint32), "near": keys.id_column(held.ids[nearest[found]])})
    store.write_table(store.join(payload["folder"], "excluded", f"{payload['ordinal']:07d}.parquet"), table)


def _cluster_ids(payload: dict[str, Any], documents: pa.Array) -> NDArray[Any]:
    ids = keys.id_array(documents).copy()
    clusters = read_clusters(payload["clusters"], payload["ordinal"])
    ids[clusters.column("row").to_numpy()] = keys.id_array(clusters.column("cluster"))
    return ids


class _HeldOut:
    """The held-out documents, sorted by cluster."""

    def __init__(self, folder: str) -> None:
        tables = [store.read_table(store.join(folder, name)) for name in sorted(store.names(folder))]
        table = pa.concat_tables(tables).combine_chunks()
        clusters = keys.id_array(table.column("cluster"))
        order = np.lexsort((clusters["low"], clusters["high"]))
        self.clusters = clusters[order]
        self.ids = keys.id_array(table.column("document"))[order]
        self.signatures = minhash.signature_matrix(table.column("signature").combine_chunks().take(pa.array(order)))

    def bands(self, bands: int, rows: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Hashes of each band in ascending order, uint64 of shape (bands, n), and whose each is."""
        hashes = np.ascontiguousarray(minhash.band_hashes(self.signatures, bands, rows).T)
        order = np.argsort(hashes, axis=1, kind="stable")
        return np.take_along_axis(hashes, order, axis=1), order


@functools.lru_cache(maxsize=1)
def _held_out(folder: str) -> _HeldOut:
    return _HeldOut(folder)


@kernel
def _find_near(  # noqa: PLR0917 a kernel takes columns
    signatures: Any,
    hashes: Any,
    search: Any,
    held: Any,
    held_hashes: Any,
    held_order: Any,
    needed: int,
    nearest: Any,
) -> None:
    bands = hashes.shape[1]
    places = signatures.shape[1]
    seen = np.full(len(held), -1, np.int64)
    for d in range(len(signatures)):
        if not search[d]:
            continue
        for b in range(bands):
            at = np.searchsorted(held_hashes[b], hashes[d, b])
            while at < len(held) and held_hashes[b, at] == hashes[d, b]:
                other = held_order[b, at]
                at += 1
                if seen[other] == d:
                    continue
                seen[other] = d
                equal = 0
                for p in range(places):
                    equal += signatures[d, p] == held[other, p]
                # the least index wins, so that no order of bands shows
                if equal >= needed and (nearest[d] < 0 or other < nearest[d]):
                    nearest[d] = other
