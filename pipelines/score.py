"""Score: one family's columns for one part that was read before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import store
from .families import open_family, score_batch, score_carefully
from .parts import Store

if TYPE_CHECKING:
    from collections.abc import Callable


def score_part(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> None:
    """Compute one score for one part and write its file.

    Args:
        payload: `store` (root), `part` (id), `fingerprint`, `type` and `parameters` of the score, `careful` and
            `reject` as for `read.read_slice`; ordinals are rows of the part.
        at: Told the row that is tried on its own, if the task is careful.
    """
    reject = {int(ordinal): reason for ordinal, reason in payload.get("reject", {}).items()}
    place = Store(payload["store"])
    family = open_family(payload["fingerprint"], payload)
    with store.open_input(place.documents(payload["part"])) as file:
        parquet = pq.ParquetFile(file)
        groups = (parquet.read_row_group(n, use_threads=False).combine_chunks() for n in range(parquet.num_row_groups))
        batches, first = [], 0
        for batch in (batch for group in groups for batch in group.to_batches()):
            careful = payload.get("careful")
            batches.append(
                score_carefully(family, batch, 0, first, reject, at) if careful else score_batch(family, batch)
            )
            first += batch.num_rows
    store.write_table(place.score(payload["fingerprint"], payload["part"]), pa.Table.from_batches(batches))
