"""Near-duplicate removal by another tool. Run by dedup.py, with the Python of the tool's own environment.

    python bench/peer_dedup.py TOOL dedup DOCUMENTS OUT       Parquet in, kept rows out; OUT/verdict.json says the rest
    python bench/peer_dedup.py TOOL sign DOCUMENTS            prints the CPU seconds of signatures alone

All tools get shingles of 5 words, 18 bands of 6 values and a threshold of .72, and otherwise their own defaults. Those
that take tokens get the lower-cased runs of word characters of a text, joined by fives, the shortest Python for it.
Where a tool gives candidates and a similarity, its own estimate decides; clusters are the connected components.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

NGRAM, BANDS, ROWS, THRESHOLD = 5, 18, 6, 0.72
WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    """The shingles of a text, for tools that take tokens. A repeated one costs less than to find that it is one."""
    words = WORD.findall(text.lower())
    return [" ".join(words[n : n + NGRAM]) for n in range(max(1, len(words) - NGRAM + 1))]


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The least document of each document's connected component."""
    parent = list(range(count))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for pair in pairs:
        low, high = sorted(map(root, pair))
        parent[high] = low
    return [root(n) for n in range(count)]


# --- signatures: texts in, whatever the tool makes of them out ----------------------------------------------------


def sign_datasketch(texts: Sequence[str]) -> list[Any]:
    """Signatures by datasketch, in bulk and with xxHash: the fastest way that it has."""
    import xxhash
    from datasketch import MinHash

    sets = ([shingle.encode() for shingle in shingles(text)] for text in texts)
    return list(MinHash.bulk(sets, num_perm=BANDS * ROWS, hashfunc=xxhash.xxh32_intdigest))


def sign_rensa(texts: Sequence[str]) -> list[Any]:
    """Signatures by rensa's full-set R-MinHash."""
    from rensa import RMinHash

    made: list[Any] = RMinHash.from_token_sets([shingles(text) for text in texts], num_perm=BANDS * ROWS, seed=1)
    return made


def sign_gaoya(texts: Sequence[str]) -> Any:
    """An index of gaoya with all texts: it does not give signatures alone."""
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(32, THRESHOLD, BANDS, ROWS, None, "word", True, (NGRAM, NGRAM))
    index.par_bulk_insert_docs(list(range(len(texts))), list(texts))
    return index


def sign_datatrove(texts: Sequence[str]) -> list[Any]:
    """Signatures by datatrove's first stage."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    step = MinhashDedupSignature("memory://signatures", MinhashConfig())
    found = (step.get_shingles(text) for text in texts)
    return [step.get_signature(each) for each in found if each.size]


def sign_text_dedup(texts: Sequence[str]) -> list[Any]:
    """Signatures by text-dedup's embed_func with xxHash, its faster choice."""
    import numpy as np
    from text_dedup import minhash
    from text_dedup.utils import xxh3_32hash

    prime, count = np.uint64((1 << 61) - 1), BANDS * ROWS
    options = {
        "num_perm": count,
        "ngram_size": NGRAM,
        "min_length": 1,
        "hashranges": [(n * ROWS, (n + 1) * ROWS) for n in range(BANDS)],
        "permutations": tuple(minhash.RNG.randint(low, prime, size=count, dtype=np.uint64) for low in (1, 0)),
        "hash_func": xxh3_32hash,
        "dtype": np.uint64,
        "max_hash": np.uint32((1 << 32) - 1),
        "modulo_prime": prime,
    }
    return [minhash.embed_func(text, n, **options) for n, text in enumerate(texts)]


# --- removal: a folder of Parquet in, kept rows and a verdict out -------------------------------------------------


def of_texts(cluster: Callable[[list[str]], list[int]]) -> Callable[[Path, Path], list[int]]:
    """A removal around a function that gives each text the number of the one that it is kept or removed with."""

    def run(documents: Path, out: Path) -> list[int]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(documents)
        roots = cluster(table.column("text").to_pylist())
        pq.write_table(table.filter(pa.array([n == root for n, root in enumerate(roots)])), out / "kept.parquet")
        return roots

    return run


@of_texts
def dedup_datasketch(texts: list[str]) -> list[int]:
    """MinHashLSH and union-find over those of its candidates whose estimate reaches the threshold."""
    from datasketch import MinHashLSH

    signatures = sign_datasketch(texts)
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    pairs = []
    for n, signature in enumerate(signatures):
        pairs += [(other, n) for other in index.query(signature) if signature.jaccard(signatures[other]) >= THRESHOLD]
        index.insert(n, signature, check_duplication=False)
    return components(len(texts), pairs)


@of_texts
def dedup_rensa(texts: list[str]) -> list[int]:
    """RMinHashDeduplicator: a document is removed if an earlier kept one is similar; it is in that one's cluster."""
    from rensa import RMinHashDeduplicator

    signatures = sign_rensa(texts)
    index = RMinHashDeduplicator(THRESHOLD, BANDS * ROWS, use_lsh=True, num_bands=BANDS, seed=1)
    kept = index.add_pairs([(str(n), signature) for n, signature in enumerate(signatures)])
    roots = list(range(len(texts)))
    for n, keep in enumerate(kept):
        if not keep:
            roots[n] = min(map(int, index.get_duplicates(signatures[n])))
    return roots


@of_texts
def dedup_gaoya(texts: list[str]) -> list[int]:
    """The index with all documents, asked for all documents; its similarity decides."""
    index = sign_gaoya(texts)
    found = index.par_bulk_query(texts)
    return components(len(texts), ((n, other) for n, others in enumerate(found) for other in others))


def dedup_datatrove(documents: Path, out: Path) -> list[int]:
    """The four stages of datatrove's example, each in one task."""
    import struct

    import pyarrow.parquet as pq
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)
    reader = ParquetReader(str(documents), glob_pattern="*.parquet")
    signatures, buckets, remove = (str(out / name) for name in ("signatures", "buckets", "remove"))
    stages: list[tuple[int, list[Any]]] = [
        (1, [reader, MinhashDedupSignature(signatures, config)]),
        (BANDS, [MinhashDedupBuckets(signatures, buckets, config=config)]),
        (1, [MinhashDedupCluster(buckets, remove, config=config, save_cluster_id=True)]),
        (1, [reader, MinhashDedupFilter(remove), ParquetWriter(str(out / "kept"))]),
    ]
    for number, (tasks, steps) in enumerate(stages):
        LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(out / f"logs{number}")).run()
    count = sum(pq.read_metadata(file).num_rows for file in documents.glob("*.parquet"))
    roots = list(range(count))
    removed = {n for (n,) in struct.iter_unpack("<I", read(Path(remove) / "000000.remove"))}
    members = list(struct.iter_unpack("<II", read(Path(remove) / "000000.clusters")))
    survivor = {cluster: n for n, cluster in members if n not in removed}
    for n, cluster in members:
        roots[n] = survivor[cluster]
    return roots


def read(file: Path) -> bytes:
    """The bytes of a file, none if nothing wrote it."""
    return file.read_bytes() if file.exists() else b""


def dedup_text_dedup(documents: Path, out: Path) -> list[int]:
    """text-dedup's command, in this process; it writes an Arrow dataset, not Parquet."""
    import pyarrow.parquet as pq
    from text_dedup import minhash

    options = {
        "path": "parquet",
        "data_files": str(documents / "*.parquet"),
        "split": "train",
        "cache_dir": str(out / "cache"),
        "output": str(out / "kept"),
        "column": "text",
        "num_proc": "1",
        "ngram": str(NGRAM),
        "min_length": "1",
        "num_perm": str(BANDS * ROWS),
        "b": str(BANDS),
        "r": str(ROWS),
        "hash_func": "xxh3",
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    minhash.main(words, standalone_mode=False)
    count = sum(pq.read_metadata(file).num_rows for file in documents.glob("*.parquet"))
    return [minhash.uf.find(n) for n in range(count)]


def dedup_data_juicer(documents: Path, out: Path) -> list[int]:
    """Its executor with one operator, in this process: what shares a band is a duplicate, without a threshold."""
    import pyarrow.parquet as pq
    from data_juicer.config import init_configs
    from data_juicer.core import DefaultExecutor
    from data_juicer.ops.deduplicator import document_minhash_deduplicator as module

    made = []

    class Kept(module.UnionFind):  # type: ignore[misc] # only the executor holds it otherwise
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    module.UnionFind = Kept
    options = {"window_size": NGRAM, "num_permutations": BANDS * ROWS, "num_bands": BANDS, "num_rows_per_band": ROWS}
    recipe = {
        "dataset_path": str(documents),
        "export_path": str(out / "kept.jsonl"),
        "np": 1,
        "use_cache": False,
        "process": [{"document_minhash_deduplicator": options}],
    }
    config = out / "recipe.json"
    config.write_text(json.dumps(recipe))
    DefaultExecutor(init_configs(["--config", str(config)])).run()
    count = sum(pq.read_metadata(file).num_rows for file in documents.glob("*.parquet"))
    roots = [made[0].find(n) for n in range(count)]
    kept = [int(json.loads(line)["id"]) for line in (out / "kept.jsonl").read_text().splitlines()]
    if kept != [n for n, root in enumerate(roots) if n == root]:
        raise SystemExit("Error: Data-Juicer has read the documents in another order")
    return roots


SIGN: dict[str, Callable[[Sequence[str]], Any]] = {
    "datasketch": sign_datasketch,
    "rensa": sign_rensa,
    "gaoya": sign_gaoya,
    "datatrove": sign_datatrove,
    "text-dedup": sign_text_dedup,
}
DEDUP: dict[str, Callable[[Path, Path], list[int]]] = {
    "datasketch": dedup_datasketch,
    "rensa": dedup_rensa,
    "gaoya": dedup_gaoya,
    "datatrove": dedup_datatrove,
    "text-dedup": dedup_text_dedup,
    "data-juicer": dedup_data_juicer,
}


def main() -> None:
    """Run what the arguments name."""
    tool, what, documents, *rest = sys.argv[1:]
    if what == "dedup":
        out = Path(rest[0])
        roots = DEDUP[tool](Path(documents), out)
        (out / "verdict.json").write_text(json.dumps(roots))
        return
    import pyarrow.parquet as pq

    texts = pq.read_table(documents).column("text").to_pylist()
    SIGN[tool](texts[:20])  # imports, tables, language models
    began = time.process_time()
    SIGN[tool](texts)
    print(json.dumps({"cpu": time.process_time() - began}))


if __name__ == "__main__":
    main()
