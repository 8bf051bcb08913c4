"""The text that a study trains its tokenizer on: of each stratum of a recipe, the first documents of its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...tokenizers.training import first_bytes
from ..files import store
from ..files.parts import Part, Store
from ..files.schema import BUCKET_BITS
from . import keys
from .edits import Editor
from .pieces import wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction

    from numpy.typing import NDArray


def quotas(sample: int, shares: Mapping[str, Fraction | float]) -> dict[str, int]:
    """Bytes of each stratum in a sample of so many, rounded down.

    >>> quotas(100, {"web": 3, "code": 1})
    {'web': 75, 'code': 25}
    """
    total = sum(shares.values())
    return {stratum: int(sample * share / total) for stratum, share in shares.items()}


def cutoffs(needed: Mapping[str, int], text_bytes: Mapping[str, NDArray[np.int64]]) -> dict[str, int]:
    """By stratum, the bucket of priority before which at least the needed bytes of text stand, or all there are.

    Args:
        needed: Bytes by stratum.
        text_bytes: Of each stratum, int64 over the buckets of priority.

    >>> cutoffs({"web": 5}, {"web": np.array([3, 3, 3])})
    {'web': 2}
    """
    return {
        stratum: min(1 << BUCKET_BITS, int(np.searchsorted(np.cumsum(text_bytes[stratum]), size)) + 1)
        for stratum, size in needed.items()
        if size
    }


def sample_part(payload: dict[str, Any], **_: Any) -> None:
    """Write `document`, `stratum`, `priority` and `text`, as it is encoded, of a part's documents before the cutoffs.

    Args:
        payload: `store`, `part`, `ordinal`, `choices` (folder), `cutoffs` (bucket by stratum), `edits` (`Pool.edits`),
            `folder`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    name = f"{payload['ordinal']:07d}.parquet"
    choice = store.read_table(store.join(payload["choices"], name))
    inside = wanted(choice, payload["cutoffs"])
    editor = Editor(place, part, payload["edits"])
    texts = []
    with store.open_input(place.documents(part.id)) as file:
        parquet, first = pq.ParquetFile(file), 0
        for n in range(parquet.num_row_groups):
            last = first + parquet.metadata.row_group(n).num_rows
            rows = np.flatnonzero(inside[first:last])
            if len(rows):
                column = parquet.read_row_group(n, columns=["text"], use_threads=False).column(0).combine_chunks()
                texts.append(editor.edit(column.take(pa.array(rows)), first + rows))
            first = last
    table = pa.table(
        {
            "document": place.column(part, ("document",)).filter(pa.array(inside)),
            "stratum": choice.column("stratum").filter(pa.array(inside)),
            "priority": choice.column("priority").filter(pa.array(inside)),
            "text": pa.chunked_array(texts, pa.string()),
        }
    )
    store.write_table(store.join(payload["folder"], name), table)


def sampled_texts(folder: str, needed: Mapping[str, int]) -> Iterator[str]:
    """Texts of each stratum by priority until they hold the needed bytes, the last one cut; each text once.

    Args:
        folder: What `sample_part` wrote.
        needed: Bytes by stratum.
    """
    tables = [store.read_table(store.join(folder, name)) for name in sorted(store.names(folder))]
    table = pa.concat_tables(tables).combine_chunks()
    ids = keys.id_array(table.column("document"))
    strata = table.column("stratum").combine_chunks().dictionary_encode()
    numbers = strata.indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((ids["low"], ids["high"], table.column("priority").to_numpy()))
    order = order[np.r_[True, ids[order][1:] != ids[order][:-1]][: len(order)]]
    text = table.column("text").combine_chunks()
    for number, stratum in sorted(enumerate(strata.dictionary.to_pylist()), key=lambda item: str(item[1])):
        mine = order[numbers[order] == number]
        yield from first_bytes((text[int(n)].as_py() for n in mine), needed[stratum])
