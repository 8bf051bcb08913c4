"""Score: one family's columns for one part that was read before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..engines.care import Care, with_killed
from ..files import store
from ..files.parts import Store
from .families import open_family, score_carefully

if TYPE_CHECKING:
    from collections.abc import Callable


def score_part(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> None:
    """Compute one score for one part and write its file.

    Args:
        payload: `store` (root), `part` (id), `fingerprint`, `type` and `parameters` of the score, `careful` and
            `reject` as for `read.read_slice`; ordinals are rows of the part.
        at: Told what is worked on.
    """
    care = Care.of(payload, at)
    place = Store(payload["store"])
    family = open_family(payload["fingerprint"], payload)
    with store.open_input(place.documents(payload["part"])) as file:
        parquet = pq.ParquetFile(file)
        groups = (parquet.read_row_group(n, use_threads=False).combine_chunks() for n in range(parquet.num_row_groups))
        batches, first, killed = [], 0, dict[int, str]()
        for batch in (batch for group in groups for batch in group.to_batches()):
            scored, lost = score_carefully(family, batch, 0, first, care)
            batches.append(scored)
            killed |= {first + row: reason for row, reason in lost.items()}
            first += batch.num_rows
    table = with_killed(pa.Table.from_batches(batches), killed)
    store.write_table(place.score(payload["fingerprint"], payload["part"]), table)
