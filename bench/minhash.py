"""Signatures alone: MB of text per CPU-second of the score `minhash`, for each unit and scheme.

    python bench/minhash.py [--documents DIR | --corpus DIR [--megabytes 100]] [--rounds 5] [--peers DIR]

DIR of --documents holds Parquet files with the column `text`, and perhaps `file_type`; --corpus names what corpus.py
wrote, and half pages, half installed code are taken from it, as dedup.py does. Times are processor time, the best of
the rounds, for texts that stand in memory; peers get the same files, each in an environment of its own, made once below
the folder of --peers, and one round. AVX2 on a machine that has more: NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenladder.filters.duplicates.minhash import MinHash

import dedup_corpus
import dedup_peers
import measure

BATCH = 8192
SCORES = {
    "auto": MinHash(),
    "words": MinHash(unit="words"),
    "code": MinHash(unit="code"),
    "characters": MinHash(unit="characters"),
    "auto, legacy": MinHash(scheme="legacy"),
}
PEERS = ("datasketch", "rensa", "gaoya")


def best(score: MinHash, batches: list[pa.RecordBatch], rounds: int) -> float:
    """Processor seconds for all batches, the least of the rounds, after one that compiles."""
    score.score(batches[0].slice(0, 20))
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        for batch in batches:
            score.score(batch)
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--documents", type=Path, metavar="DIR", help="folder of Parquet files with the column text")
    where.add_argument("--corpus", type=Path, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=100, help="text to take from --corpus (default 100)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is measured (default 5)")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="measure datasketch, rensa and gaoya, too")
    arguments = parser.parse_args()
    dedup_peers.one_core()
    corpus = arguments.corpus and dedup_corpus.make(arguments.corpus, arguments.megabytes)
    documents = corpus / "documents" if corpus else arguments.documents
    tables = [pq.read_table(file) for file in sorted(documents.glob("*.parquet"))]
    if not tables:
        raise SystemExit(f"there is no Parquet file in {documents}")
    batches = [batch for table in tables for batch in table.to_batches(max_chunksize=BATCH)]
    megabytes = sum(len(text.as_py().encode()) for batch in batches for text in batch["text"] if text.is_valid) / 1e6
    print(f"{sum(map(len, batches)):,} documents, {megabytes:.1f} MB of text; {measure.machine()}")
    print("\n| 108 permutations | MB per CPU-second |\n| --- | ---: |", flush=True)
    for name, score in SCORES.items():
        print(f"| TokenLadder, {name} | {megabytes / best(score, batches, arguments.rounds):.0f} |", flush=True)
    for name in PEERS if arguments.peers else ():
        try:
            program = dedup_peers.install(name, arguments.peers / name)
            taken = dedup_peers.signing_seconds(name, program, documents)
        except dedup_peers.UnavailableError as error:
            print(f"{name}: {error}", flush=True)
        else:
            print(f"| {name}, words | {megabytes / taken:.1f} |", flush=True)


if __name__ == "__main__":
    main()
