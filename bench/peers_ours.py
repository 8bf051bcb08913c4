"""TokenLadder's Gopher rules over Parquet, and their survivors. Run by peers.py.

python bench/peers_ours.py {unicode,english} DOCUMENTS OUT

Prints the processor seconds from the first byte read to the last written; what comes before takes many times as long.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenladder.filters.rules.gopher import Gopher
from tokenladder.filters.rules.repetition import Repetition

ROWS = 1000


def main() -> None:
    """Score all rows, and write those that pass."""
    words, documents, out = sys.argv[1:]
    scores = Repetition(words=words), Gopher(words=words)
    for score in scores:
        score.score(pa.record_batch({"text": ["A text, to load what there is."]}))
    began = time.process_time()
    for file in sorted(Path(documents, "parquet").glob("*.parquet")):
        opened = pq.ParquetFile(file)
        with pq.ParquetWriter(Path(out, "kept", file.name), opened.schema_arrow) as kept:
            for batch in opened.iter_batches(ROWS):
                repetition, gopher = (pc.equal(score.score(batch)["reason"], "pass") for score in scores)
                kept.write_table(pa.Table.from_batches([batch]).filter(pc.and_(repetition, gopher)))
    print(json.dumps({"cpu": time.process_time() - began}))


if __name__ == "__main__":
    main()
