"""What more workers bring: wall and processor time of the same build with one worker and with several, in turns.

    python bench/workers.py --corpus bench-data [--workers 2] [--rounds 3]

The corpus is that of corpus.py. Builds start from nothing and count all processes, start-up included. Wall time says
something on a machine alone that has nothing else to do. Reading and scoring part well; starting Python and Beam and
the dozen short stages after it, some seven seconds, hardly do, so that what a second worker brings grows with the
corpus.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import builds
import measure


def main() -> int:
    """Print a table and how many times as fast more workers are; exit status 1 if a root hash differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of corpus.py")
    parser.add_argument("--out", type=Path, default=Path("bench-workers"), help="folder to fill")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="besides one (default 2)")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    warc = asked.corpus.resolve() / "warc"
    values = {"warc": f"{warc}/*.warc.gz", "extractor": "resiliparse", "dedup": True, "rules": builds.RULES}
    values |= {"tokenizer": str(builds.tokenizer(asked.corpus).resolve()), "budgets": [250_000, 1_000_000]}
    study = builds.study(asked.out / "study.toml", **values)
    used: dict[int, list[measure.Usage]] = {workers: [] for workers in (1, *asked.workers)}
    roots = set()
    for n in range(asked.rounds + 1):  # the first compiles kernels and fills the cache of files
        for workers in list(used)[:: 1 if n % 2 else -1]:
            built = builds.build(study, asked.out / "built", beam=[f"--direct_num_workers={workers}"])
            roots.add(json.loads((asked.out / "built" / "manifest.json").read_text())["root_hash"])
            if n:
                used[workers].append(built.usage)
    print(f"{sum(file.stat().st_size for file in warc.iterdir()) / 1e6:.0f} MB of WARC; {measure.machine()}\n")
    print("| workers | wall s | CPU s | times one worker |\n| ---: | ---: | ---: | ---: |")
    wall = {workers: statistics.median(one.wall for one in found) for workers, found in used.items()}
    for workers, found in used.items():
        cpu = statistics.median(one.cpu for one in found)
        print(f"| {workers} | {wall[workers]:.1f} | {cpu:.1f} | {wall[1] / wall[workers]:.2f} |")
    return len(roots) - 1


if __name__ == "__main__":
    sys.exit(min(1, main()))
