"""Farthest: for a rule that takes the most diverse share, how far each document is from those chosen before it.

Documents are compared in groups of at most `COMPARED`, so that the cost grows as their number does: some 12 µs of one
core a document, 12 s a million. A group is made of neighbours by the first place of their signatures, where documents
that are alike tend to agree, and then by id; so groups depend on no worker, part or name. In a group the order is
farthest-first. The rule's share goes by the distances of all groups together: a group of copies gives little of it.

One exchange of 24 bytes and a signature (432 bytes of 108 places) for each document that the rules before it keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.duplicates.farthest import distances_when_chosen
from ...filters.duplicates.minhash import signature_matrix
from ...filters.hashing import fmix64
from ..files import store
from ..files.schema import CANDIDATE
from . import keys
from .view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

COMPARED = 2048
"""Documents that are compared with each other, at most: half as many take half of the time."""

FAR = np.dtype([("row", "<u4"), ("value", "<f8")])


def _dtype(places: int) -> np.dtype[Any]:
    return np.dtype([("id", keys.ID), ("key", "<u8"), ("signature", "<u4", (places,))])


def emit_signatures(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Signatures of what the rules before `payload["rule"]` keep, by the first place of each.

    Args:
        payload: `store`, `part`, `ordinal`, `source_ordinal`, `recipe`, `rule`, `number`, `ranges` and `family`.
    """
    view = View(payload)
    rule = view.recipe["rules"][payload["rule"]]
    if rule["sources"] is not None and view.part.source not in rule["sources"]:
        return
    rows = np.flatnonzero(view.codes(payload["rule"]) == CANDIDATE)
    signatures = signature_matrix(view.place.column(view.part, (payload["family"], "signature")).combine_chunks())
    packed = np.empty(len(rows), _dtype(signatures.shape[1]))
    packed["id"], packed["key"], packed["signature"] = view.ids[rows], view.keys[rows], signatures[rows]
    group = (fmix64(packed["signature"][:, 0].astype(np.uint64)) % np.uint64(payload["ranges"])).astype(np.int64)
    yield from keys.split(packed, keys.numbered(payload["number"], group))


def measure_group(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The distance of each document of one range of hashes, sent back to its part."""
    packed = keys.joined(values, _dtype(payload["places"]))
    packed = packed[np.lexsort((packed["key"], packed["id"]["low"], packed["id"]["high"], packed["signature"][:, 0]))]
    values_of = measured(packed["signature"], packed["id"])
    far = np.empty(len(packed), FAR)
    far["row"], far["value"] = keys.rows(packed["key"]), values_of
    yield from keys.split(far, keys.numbered(keys.unnumbered(bucket)[0], keys.ordinals(packed["key"])))


def measured(signatures: NDArray[np.uint32], ids: NDArray[Any], most: int = COMPARED) -> NDArray[np.float64]:
    """Distances of documents, `most` neighbours at a time; in each, the least id comes first, and before its equals.

    Args:
        signatures: uint32 of shape (n, K), neighbours together.
        ids: Of dtype `keys.ID` and shape (n,).
        most: Documents that are compared with each other.
    """
    out = np.empty(len(signatures))
    for low in range(0, len(signatures), most):
        order = low + np.lexsort((ids["low"][low : low + most], ids["high"][low : low + most]))
        out[order] = distances_when_chosen(signatures[order])
    return out


def write_distances(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The distances of one part's documents: `row` and `value`."""
    number, ordinal = keys.unnumbered(bucket)
    far = keys.joined(values, FAR)
    far = far[np.argsort(far["row"])]
    table = pa.table({name: far[name] for name in FAR.names or ()})
    store.write_table(store.join(payload["folders"][number], f"{ordinal:07d}.parquet"), table)
    return
    yield
