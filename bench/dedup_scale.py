"""Near duplicates at scale, without text: grouping of many band records, and the published wipe-out.

    python bench/dedup_scale.py grouping MILLIONS FOLDER
    python bench/dedup_scale.py wipe-out DOCUMENTS

Each prints a line of JSON. Run by dedup.py, which looks at the memory of the process.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tokenladder.filters.hashing import fmix64
from tokenladder.pipelines.drivers import deduplicate
from tokenladder.pipelines.engines import spill
from tokenladder.pipelines.stages import cluster as clustering
from tokenladder.pipelines.stages import connect, grouping, keys
from tokenladder.pipelines.watch.progress import Reporter

BANDS, ROWS = 18, 6
DOCUMENTS = 1_000_000
"""Documents whose records one task emits."""
RANGES = 1024
FOLDED = 20_000_000
"""Edges that are held as they come: 0.3 GB, and four times that while components are found."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured.

    Attributes:
        cpu: Processor seconds, without start-up and without the making of the input where that is apart.
        records: Band records, or documents.
        found: Documents that share a component with another, or that were removed.
    """

    cpu: float
    records: int
    found: int


def emit_records(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Band records of DOCUMENTS synthetic documents, by range of hash, as `clustering.emit_bands` gives them.

    Every fifth document shares about half of its bands with the document before it.
    """
    numbers = np.arange(DOCUMENTS, dtype=np.uint64)
    like = np.where(numbers % np.uint64(5) == 1, numbers - np.uint64(1), numbers)
    first = np.uint64(payload["ordinal"] * DOCUMENTS * BANDS)
    pairs = np.empty((BANDS, DOCUMENTS), clustering.PAIR)
    for band in range(BANDS):
        shares = fmix64(numbers * np.uint64(BANDS) + np.uint64(band)) & np.uint64(1) == 1
        pairs["hash"][band] = fmix64(first + np.where(shares, like, numbers) * np.uint64(BANDS) + np.uint64(band + 1))
        pairs["key"][band] = keys.keys(payload["ordinal"], numbers.astype(np.int64)) | grouping.ASKS
    flat = pairs.ravel()
    yield from keys.split(flat, (flat["hash"] % np.uint64(RANGES)).astype(np.int64))


def grouping_of(millions: int, folder: Path) -> Result:
    """Group the records of so many million signatures through files, as a build does, and find the components.

    Args:
        millions: Documents, 10⁶; each has 18 records of 16 bytes.
        folder: Where the records stand meanwhile.
    """
    began = time.process_time()
    records = millions * DOCUMENTS * BANDS
    chunks = spill.chunks_of(records * clustering.PAIR.itemsize)
    for ordinal in range(millions):
        path = str(folder / "records" / f"{ordinal:05d}")
        task = {"path": path, "chunks": chunks, "target": "dedup_scale:emit_records", "payload": {"ordinal": ordinal}}
        spill.emit(task)
    for chunk in range(chunks):
        spill.reduce(
            {
                "folder": str(folder / "records"),
                "chunk": chunk,
                "chunks": chunks,
                "path": None,
                "target": "tokenladder.pipelines.stages.cluster:link_candidates",
                "payload": {"folder": str(folder)},
            }
        )
    members, _ = grouping.components(folded(folder / "edges"))
    return Result(time.process_time() - began, records, len(members))


def folded(folder: Path) -> np.ndarray:
    """The edges of all files as stars, uint64[e, 2]; whenever FOLDED have come, they are made stars."""
    edges, held = [np.zeros((0, 2), np.uint64)], 0
    for file in sorted(folder.glob("*.parquet")):
        edges.append(connect.read_edges(str(file)))
        held += len(edges[-1])
        if held >= FOLDED:
            edges, held = [grouping.stars(np.concatenate(edges))], 0
    return np.concatenate(edges)


def cluster(ids: np.ndarray, signatures: np.ndarray) -> np.ndarray:
    """The leader of each document, int64[n], by the functions of the command `dedup` in one thread."""
    with ThreadPoolExecutor(1) as pool:
        return deduplicate.cluster_rows(
            pool, Reporter(quiet=True), deduplicate.Near(bands=BANDS, rows=ROWS), ids, signatures
        ).leader


def wipe_out(documents: int) -> Result:
    """Cluster documents that all share one band and are otherwise different; none may be removed."""
    places = BANDS * ROWS
    signatures = np.empty((documents, places), np.uint32)
    numbers = np.arange(documents, dtype=np.uint64)
    for place in range(places):
        hashes = fmix64(numbers * np.uint64(places) + np.uint64(place))
        signatures[:, place] = 7 if place < ROWS else hashes >> np.uint64(33)
    ids = np.empty(documents, keys.ID)
    ids["high"], ids["low"] = fmix64(numbers + np.uint64(1)), numbers
    cluster(ids[:100], signatures[:100])
    began = time.process_time()
    leader = cluster(ids, signatures)
    return Result(time.process_time() - began, documents, int((leader != np.arange(documents)).sum()))


def main() -> None:
    """Run what the arguments name."""
    what, size, *folder = sys.argv[1:]
    result = wipe_out(int(size)) if what == "wipe-out" else grouping_of(int(size), Path(folder[0]))
    print(json.dumps(dataclasses.asdict(result)))


if __name__ == "__main__":
    main()
