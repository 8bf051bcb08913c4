"""The loader's memory over many batches: anonymous memory, which is the process's own, and mapped pages of shards.

    python bench/loader_memory.py --out bench-loader-memory [--batches 200_000]

1,024 shards of 32 sequences of 2,048 tokens, in batches of 16: in order and shuffled, with starts of documents, over as
many epochs as the batches take. Mapped pages are the page cache's, which the system takes back when it needs room.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import loader
import numpy as np

from tokenladder.training import Cache, Stream, open_rung

SHARD = 32
SHARDS = 1024
LOOKS = 8


def resident() -> dict[str, float]:
    """MB of anonymous memory and of mapped files that are resident (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssFile")}


def main() -> None:
    """Make the shards, go through them, look now and then."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--batches", type=int, default=200_000)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    drawn = np.random.default_rng(0).zipf(1.3, SHARDS * SHARD * loader.LENGTH) % 32_000
    loader.SHARD = SHARD
    loader.make(given.out, drawn.astype(np.uint16).reshape(-1, loader.LENGTH), binary=True)
    del drawn
    rung = open_rung(given.out, "all-1", cache=Cache(str(given.out / "cache")))
    for shuffled in (False, True):
        step = given.batches // LOOKS
        for n, batch in enumerate(Stream(rung, shuffled=shuffled).batches(loader.BATCH)):
            _ = batch.position_ids
            if n % step == 0:
                now = resident()
                epochs = n * loader.BATCH / len(rung)
                print(
                    f"shuffled {shuffled!s:5}  {n:9,} batches, {epochs:6.1f} epochs: "
                    f"{now['RssAnon']:7.1f} MB own, {now['RssFile']:7.1f} MB mapped"
                )
            if n == step * LOOKS:
                break


if __name__ == "__main__":
    main()
