"""The loader against peers on the same tokens in the same run: million tokens a CPU-second of one process.

    python bench/loader.py --out bench-loader [--tokens 32_000_000]

Shards are made of tokens drawn by Zipf's law, 2,048 to a sequence. Every side reads from a warm page cache, copies each
token once, and counts user and system time of its process, start-up left out. Peers that are not installed are named
and left out: pip install datasets grain litdata mosaicml-streaming
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenladder.training import Cache, Stream, open_rung

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LENGTH = 2048
SHARD = 2048
BATCH = 16


def make(folder: Path, tokens: np.ndarray, *, binary: bool, listed: int | None = None) -> None:
    """A build of these tokens; `listed` repeats its shards in the manifest so many times in all."""
    shards = []
    for n, start in enumerate(range(0, len(tokens), SHARD)):
        part = tokens[start : start + SHARD]
        flat = pa.array(part.reshape(-1))
        ids = pa.FixedSizeListArray.from_arrays(flat, LENGTH)
        if binary:
            data = pa.py_buffer(part.tobytes())
            ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * LENGTH), len(part), [None, data])
        starts = pa.array([[0]] * len(part), pa.list_(pa.int32()))
        table = pa.table({"input_ids": ids, "stratum": ["web"] * len(part), "document_starts": starts})
        path = folder / "shards" / f"{n:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=["stratum"])
        shards.append(
            {
                "path": f"shards/{path.name}",
                "sequences": len(part),
                "tokens": part.size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "documents": "",
                "documents_sha256": "",
                "bytes": path.stat().st_size,
            }
        )
    shards = (shards * (listed or len(shards)))[: listed or len(shards)]
    sequences = sum(shard["sequences"] for shard in shards)
    rung = {"name": "1", "sequences": sequences, "tokens": sequences * LENGTH, "strata": {"web": {}}, "shards": shards}
    tokenizer = {"identity": {}, "vocabulary_size": 32_000, "end_of_document": 0, "dtype": "uint16"}
    manifest = {"seed": 1, "sequence_length": LENGTH, "tokenizer": tokenizer, "held_out": None}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"recipes": {"all": {"rungs": [rung]}}}))


def rate(batches: Callable[[], Iterator[Any]]) -> tuple[float, int]:
    """Million tokens a CPU-second, and their sum modulo 2^32, so that sides can be seen to give the same."""
    target = np.empty((BATCH, LENGTH), np.int32)
    checked = sum(int(np.asarray(batch).astype(np.int64).sum()) for batch in batches())
    began, tokens = time.process_time(), 0
    for batch in batches():
        array = np.asarray(batch)
        np.copyto(target[: len(array)], array)
        tokens += array.size
    return tokens / (time.process_time() - began) / 1e6, checked % (1 << 32)


def ours(folder: Path, cache: Cache, *, shuffled: bool) -> Callable[[], Iterator[Any]]:
    """Batches of the loader."""
    stream = Stream(open_rung(folder, "all-1", cache=cache), shuffled=shuffled, epochs=1)
    return lambda: (batch.tokens for batch in stream.batches(BATCH))


def huggingface(folder: Path) -> Callable[[], Iterator[Any]]:
    """`datasets`, streaming the Parquet shards as numpy."""
    import datasets

    paths = sorted(map(str, (folder / "shards").glob("*.parquet")))
    loaded = datasets.load_dataset("parquet", data_files=paths, split="train", streaming=True).with_format("numpy")
    return lambda: (np.asarray(batch["input_ids"]) for batch in loaded.iter(BATCH))


def grain(tokens: np.ndarray, *, shuffled: bool) -> Callable[[], Iterator[Any]]:
    """Grain's MapDataset over the tokens in memory: what is measured is Grain alone."""
    from grain import MapDataset

    source = MapDataset.source(tokens)
    source = source.shuffle(seed=1) if shuffled else source
    return lambda: iter(source.batch(BATCH))


def litdata(folder: Path, tokens: np.ndarray) -> Callable[[], Iterator[Any]]:
    """Litdata's own format with its TokensLoader."""
    import torch
    from litdata.streaming import StreamingDataset, TokensLoader
    from litdata.streaming.cache import Cache as Writer

    if not (folder / "index.json").exists():
        folder.mkdir(parents=True)
        writer = Writer(str(folder), chunk_bytes="32MB", item_loader=TokensLoader(LENGTH))
        for n, row in enumerate(tokens):
            writer[n] = torch.from_numpy(row.astype(np.int32))
        writer.done()
        writer.merge()
    dataset = StreamingDataset(str(folder), item_loader=TokensLoader(LENGTH))
    return lambda: (row.numpy()[None] for row in dataset)


def mosaic(folder: Path, tokens: np.ndarray) -> Callable[[], Iterator[Any]]:
    """MDS shards with streaming's LocalDataset."""
    from streaming import LocalDataset, MDSWriter

    if not folder.exists():
        with MDSWriter(out=str(folder), columns={"input_ids": f"ndarray:uint16:{LENGTH}"}) as writer:
            for row in tokens:
                writer.write({"input_ids": row})
    dataset = LocalDataset(str(folder))
    return lambda: (dataset[n]["input_ids"][None] for n in range(len(dataset)))


def opening(folder: Path, cache: Cache) -> None:
    """Time to the first batch of a rung of 10,000 shards, and to resume in the middle of it."""
    began = time.perf_counter()
    rung = open_rung(folder, "all-1", cache=cache)
    next(Stream(rung).batches(BATCH))
    print(f"open {rung!r} and give a first batch: {1e3 * (time.perf_counter() - began):.0f} ms")
    for shuffled in (False, True):
        stream = Stream(rung, shuffled=shuffled)
        position = 3 * len(rung) + len(rung) // 3
        began = time.perf_counter()
        next(stream.batches(BATCH, position=stream.resume(stream.state(position))))
        print(f"resume at {position:,}, shuffled {shuffled}: {1e3 * (time.perf_counter() - began):.0f} ms")


def main() -> None:
    """Make the shards, measure every side, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--tokens", type=int, default=32_000_000)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    drawn = np.random.default_rng(0).zipf(1.3, given.tokens // LENGTH * LENGTH) % 32_000
    tokens = drawn.astype(np.uint16).reshape(-1, LENGTH)
    cache = Cache(str(given.out / "cache"))
    for name in ("list", "binary"):
        make(given.out / name, tokens, binary=name == "binary")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {tokens.size:,} tokens")
    for name in ("list", "binary"):
        rung = open_rung(given.out / name, "all-1", cache=cache)
        began = time.process_time()
        for n in range(0, len(rung), SHARD):
            _ = rung[n]
        print(f"{name} shards, first use (hash, decode, write): "
              f"{tokens.size / (time.process_time() - began) / 1e6:,.0f} M tokens/s")  # fmt: skip
    sides: dict[str, Callable[[], Callable[[], Iterator[Any]]]] = {
        "tokenladder, list shards, stream order": lambda: ours(given.out / "list", cache, shuffled=False),
        "tokenladder, list shards, shuffled": lambda: ours(given.out / "list", cache, shuffled=True),
        "tokenladder, binary shards, stream order": lambda: ours(given.out / "binary", cache, shuffled=False),
        "tokenladder, binary shards, shuffled": lambda: ours(given.out / "binary", cache, shuffled=True),
        "datasets, streaming": lambda: huggingface(given.out / "list"),
        "grain, from memory": lambda: grain(tokens, shuffled=False),
        "grain, from memory, shuffled": lambda: grain(tokens, shuffled=True),
        "litdata": lambda: litdata(given.out / "litdata", tokens),
        "mosaicml-streaming": lambda: mosaic(given.out / "mds", tokens),
    }
    for name, side in sides.items():
        try:
            speed, checked = rate(side())
        except ImportError as error:
            print(f"{name:45} left out: {error}")
        else:
            print(f"{name:45} {speed:9,.0f} M tokens/s   sum {checked}")
    make(given.out / "many", tokens[:SHARD], binary=False, listed=10_000)
    opening(given.out / "many", cache)


if __name__ == "__main__":
    main()
