"""Spread: what near duplicates do to the mixture, counted over the pool and over each rung."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.hashing import fmix64
from ..files import store
from ..files.parts import Part, Store, read_clusters
from . import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

PLACED = np.dtype([("cluster", keys.ID), ("rung", "<u2")])


def count_part(payload: dict[str, Any], **_: Any) -> None:
    """Count a part's documents and those of them that near duplicates cost it.

    Args:
        payload: `store`, `part`, `ordinal`, `clusters` (folder), `labels` (places of the columns by which documents are
            counted, by name), `path` of what is written: `documents`, `bytes`, `duplicates`, `duplicate_bytes`,
            `contained`, `earlier`, `clusters` (of more than one document), `leaders` (duplicates by their leader's
            source) and `labels` (documents, bytes, duplicates and their bytes by each label).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    clusters = read_clusters(payload["clusters"], payload["ordinal"])
    exists = place.column(part, ("document",)).combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    sizes = place.column(part, ("text_bytes",)).to_numpy()
    rows, leads = clusters.column("row").to_numpy(), clusters.column("leads").to_numpy()
    lost = np.zeros(part.rows, bool)
    lost[rows[~leads]] = True
    led_by = pc.value_counts(clusters.column("leader_source").filter(pa.array(~leads)))
    value = {
        "documents": int(exists.sum()),
        "bytes": int(sizes[exists].sum()),
        "duplicates": int(lost.sum()),
        "duplicate_bytes": int(sizes[lost].sum()),
        "contained": int(np.count_nonzero(clusters.column("contained").to_numpy())),
        "earlier": int(np.count_nonzero(clusters.column("earlier").to_numpy())),
        "clusters": int((leads & (clusters.column("size").to_numpy() > 1)).sum()),
        "leaders": {str(one["values"]): one["counts"] for one in led_by.to_pylist()},
        "labels": {name: _count(place.column(part, where), exists, sizes, lost) for name, where in payload["labels"]},
    }
    store.write_json(payload["path"], value)


def _count(
    column: pa.ChunkedArray, exists: NDArray[np.bool_], sizes: NDArray[np.int64], lost: NDArray[np.bool_]
) -> dict[str, list[int]]:
    labels = pc.dictionary_encode(pc.fill_null(pc.cast(column, pa.string()), "none")).combine_chunks()
    numbers, names = labels.indices.to_numpy(), labels.dictionary.to_pylist()
    counts = [np.bincount(numbers[which], minlength=len(names)) for which in (exists, lost)]
    totals = [np.bincount(numbers, np.where(which, sizes, 0), len(names)) for which in (exists, lost)]
    columns = (counts[0], totals[0].astype(np.int64), counts[1], totals[1].astype(np.int64))
    return {
        name: [int(column[n]) for column in columns] for n, name in sorted(enumerate(names), key=lambda item: item[1])
    }


def emit_placed(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Documents of a part that stand in the stream of a recipe and are not alone, by cluster.

    Args:
        payload: `ordinal`, `clusters`, `places` (folders), `ends` (for each rung, tokens of each stratum), `number` of
            the recipe, `ranges`.
    """
    path = store.join(payload["places"], f"{payload['ordinal']:07d}.parquet")
    clusters = read_clusters(payload["clusters"], payload["ordinal"])
    if not store.exists(path) or not clusters.num_rows:
        return
    places = store.read_table(path, ["row", "stratum", "offset"])
    starts_before = (
        places.column("offset").to_numpy()[None, :]
        < np.array(payload["ends"], np.int64)[:, places.column("stratum").to_numpy()]
    )
    placed = starts_before.any(axis=0)
    placed &= np.r_[True, np.diff(places.column("row").to_numpy()) > 0]  # of the pieces of a document the first
    known = clusters.column("row").to_numpy()
    rows = places.column("row").to_numpy()[placed]
    at = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    inside = known[at] == rows
    packed = np.empty(int(inside.sum()), PLACED)
    packed["cluster"] = keys.id_array(clusters.column("cluster"))[at[inside]]
    packed["rung"] = starts_before.argmax(axis=0)[placed][inside]
    buckets = (fmix64(packed["cluster"]["low"].astype("<u8")) % np.uint64(payload["ranges"])).astype(np.int64)
    yield from keys.split(packed, keys.numbered(payload["number"], buckets))


def count_rungs(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """For each rung, documents of a bucket that have a near duplicate before them in it.

    Args:
        bucket: Of clusters, and the recipe's number.
        values: What `emit_placed` yields.
        payload: `folders` (of each recipe) and `rungs` (how many).
    """
    packed = np.sort(keys.joined(values, PLACED))  # the first of a cluster is the first to come
    number, inside = keys.unnumbered(bucket)
    repeats = packed["rung"][1:][packed["cluster"][1:] == packed["cluster"][:-1]]
    counts = np.cumsum(np.bincount(repeats, minlength=payload["rungs"]))
    store.write_json(store.join(payload["folders"][number], f"{inside:05d}.json"), counts.tolist())
    return
    yield
