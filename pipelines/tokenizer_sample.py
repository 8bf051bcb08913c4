"""The study's own text to train a tokenizer on: documents by priority, until there is enough of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..filters.hashing import mix64
from . import keys, store
from .edits import Editor
from .parts import Part, Store
from .repeated_lines import emptied

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 0
"""Not the study's, so that studies of several seeds over one input share their tokenizer."""


def sample_part(payload: dict[str, Any], **_: Any) -> None:
    """Write `document`, `priority` and `text` of a part's documents whose priority is below `payload["below"]`."""
    place, part = Store(payload["store"]), Part(**payload["part"])
    documents = place.column(part, ("document",)).combine_chunks()
    ids = keys.id_array(documents)
    priority = mix64(SEED, ids["high"].astype("<u8"), ids["low"].astype("<u8"))
    inside = documents.is_valid().to_numpy(zero_copy_only=False) & (priority <= np.uint64(payload["below"]))
    editor = Editor(place, part, payload["edits"])
    inside &= ~emptied(place, part, payload["edits"].get("cut", ""))
    texts = []
    with store.open_input(place.documents(part.id)) as file:
        parquet, first = pq.ParquetFile(file), 0
        for n in range(parquet.num_row_groups):
            column = parquet.read_row_group(n, columns=["text"], use_threads=False).column(0).combine_chunks()
            rows = np.flatnonzero(inside[first : first + len(column)])
            texts.append(editor.edit(column.take(pa.array(rows)), first + rows))
            first += len(column)
    table = pa.table(
        {
            "document": documents.filter(pa.array(inside)),
            "priority": priority[inside],
            "text": pa.chunked_array(texts, pa.string()),
        }
    )
    store.write_table(store.join(payload["folder"], f"{payload['ordinal']:07d}.parquet"), table)


def share_below(sample: int, text_bytes: int) -> int:
    """The priority below which about one and a quarter times `sample` bytes of text lie."""
    return min(2**64 - 1, int(2**64 * 1.25 * sample / max(text_bytes, 1)))


def sampled_texts(folder: str) -> Iterator[str]:
    """All sampled texts by priority, each text once."""
    tables = [store.read_table(store.join(folder, name)) for name in sorted(store.names(folder))]
    table = pa.concat_tables(tables).combine_chunks()
    ids = keys.id_array(table.column("document"))
    order = np.lexsort((ids["low"], ids["high"], table.column("priority").to_numpy()))
    fresh = np.r_[True, ids[order][1:] != ids[order][:-1]]
    text = table.column("text").combine_chunks()
    for n in order[fresh]:
        yield text[int(n)].as_py()
