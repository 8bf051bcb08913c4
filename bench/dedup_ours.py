"""TokenLadder's functions on a folder of Parquet files, in plain loops. Run by dedup.py, as peer_dedup.py is for peers.

    python bench/dedup_ours.py dedup DOCUMENTS OUT       Parquet in, kept rows out; OUT/verdict.json says the rest
    python bench/dedup_ours.py sign DOCUMENTS            prints the CPU seconds of signatures alone

Signatures, bands, candidates, components and leaders are those of a build, with its defaults; the rows are read once
for signatures and once more to be written. Memory is that of the signatures and of one batch.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenladder.filters import minhash
from tokenladder.pipelines import grouping, keys, leaders

BATCH = 8192
THRESHOLD = 0.7


def batches(file: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A file's rows."""
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(BATCH, columns=columns, use_threads=False)


def sign(score: minhash.MinHash, documents: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids and signatures of all rows, `keys.ID` and uint32[n, permutations]."""
    ids: list[bytes] = []
    signatures = []
    for file in sorted(documents.glob("*.parquet")):
        for batch in batches(file, ["text", "file_type"]):
            ids += [hashlib.blake2b(text.as_buffer(), digest_size=16).digest() for text in batch.column("text")]
            signatures.append(minhash.signature_matrix(score.score(batch).column("signature")))
    return keys.id_array(pa.array(ids, pa.binary(16))), np.concatenate(signatures)


def cluster(ids: np.ndarray, signatures: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """The leader of each document, int64[n]; its own for one that is kept."""
    documents = np.arange(len(ids), dtype=np.uint64)
    signed = signatures[:, 0] != minhash.EMPTY
    hashes = minhash.band_hashes(signatures[signed], bands, rows).ravel()
    linked = grouping.link(
        np.concatenate([ids["high"].astype("<u8"), hashes]),
        np.concatenate([documents, np.repeat(documents[signed], bands)]) | grouping.ASKS,
    )
    members, component = grouping.components(linked)
    members = members.astype(np.int64)
    order = np.lexsort((members, ids["low"][members], ids["high"][members], component))
    members = members[order]
    led, _ = leaders.leader_clusters(
        component[order], ids[members], np.zeros(len(members), bool), signatures[members], bands, rows, THRESHOLD
    )
    leader = np.arange(len(ids))
    leader[members] = members[led]
    return leader


def dedup(documents: Path, out: Path) -> list[int]:
    """Write the rows that are kept; every row's leader."""
    score = minhash.MinHash()
    ids, signatures = sign(score, documents)
    leader = cluster(ids, signatures, score.bands, score.rows)
    kept = pa.array(leader == np.arange(len(leader)))
    first = 0
    (out / "kept").mkdir(parents=True)
    for file in sorted(documents.glob("*.parquet")):
        with pq.ParquetWriter(out / "kept" / file.name, pq.read_schema(file)) as writer:
            for batch in batches(file):
                writer.write_batch(batch.filter(kept.slice(first, len(batch))))
                first += len(batch)
    found: list[int] = leader.tolist()
    return found


def main() -> None:
    """Run what the arguments name."""
    what, documents, *rest = sys.argv[1:]
    if what == "dedup":
        out = Path(rest[0])
        roots = dedup(Path(documents), out)
        (out / "verdict.json").write_text(json.dumps(roots))
        return
    score = minhash.MinHash()
    columns = [batch for file in sorted(Path(documents).glob("*.parquet")) for batch in batches(file)]
    score.score(columns[0].slice(0, 20))
    began = time.process_time()
    for batch in columns:
        score.score(batch)
    print(json.dumps({"cpu": time.process_time() - began}))


if __name__ == "__main__":
    main()
