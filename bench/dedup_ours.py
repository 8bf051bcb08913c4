"""TokenLadder's signatures alone, of texts in memory. Run by dedup.py, as peer_dedup.py is for peers.

python bench/dedup_ours.py sign DOCUMENTS            prints the CPU seconds
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from tokenladder.filters.duplicates import minhash

BATCH = 8192


def main() -> None:
    """Sign all rows of a folder of Parquet files."""
    _, folder = sys.argv[1:]
    score = minhash.MinHash()
    batches = [
        batch for file in sorted(Path(folder).glob("*.parquet")) for batch in pq.ParquetFile(file).iter_batches(BATCH)
    ]
    score.score(batches[0].slice(0, 20))
    began = time.process_time()
    for batch in batches:
        score.score(batch)
    print(json.dumps({"cpu": time.process_time() - began}))


if __name__ == "__main__":
    main()
