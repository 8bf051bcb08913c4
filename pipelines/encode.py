"""Encode: the tokens of those documents whose priority can fall inside the largest budget, and of no others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from ..tokenizers.loading import load_bytes
from ..tokenizers.sections import TokenizerSection
from . import segments, store
from .parts import Part, Store
from .schema import BUCKET_BITS, CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..tokenizers.protocol import Tokenizer


@functools.lru_cache(maxsize=2)
def tokenizer(section: str, model: str) -> Tokenizer:
    """A tokenizer from its section as JSON and the path of its model, kept in memory by this process."""
    return load_bytes(TypeAdapter(TokenizerSection).validate_json(section), store.read_bytes(model) if model else b"")


def wanted(choice: pa.Table, cutoffs: dict[str, int]) -> NDArray[np.bool_]:
    """Rows that the recipe kept and whose priority's bucket is below their stratum's cutoff."""
    stratum = choice.column("stratum").combine_chunks().dictionary_encode()
    bounds = np.array([cutoffs.get(name, 0) for name in stratum.dictionary.to_pylist()] or [0], np.int64)
    buckets = (choice.column("priority").to_numpy() >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    inside = buckets < bounds[stratum.indices.to_numpy(zero_copy_only=False)]
    return inside & (choice.column("code").to_numpy() == CANDIDATE)  # type: ignore[no-any-return]


def encode_part(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> None:
    """Encode what is wanted of a part and not encoded yet; then count tokens by stratum and bucket of priority.

    Args:
        payload: `store`, `part`, `ordinal`, `tokenizer` (`fingerprint`, `section`, `model`), `choices` (folder, or None
            for all documents), `cutoffs` (bucket by stratum), `counts` (folder of what is counted, or None).
        at: Not called.
    """
    del at
    place, part = Store(payload["store"]), Part(**payload["part"])
    name, spec = f"{payload['ordinal']:07d}.parquet", payload["tokenizer"]
    if payload["choices"] is None:
        rows = place.column(part, ("document",)).is_valid().to_numpy()
        choice = None
    else:
        choice = store.read_table(store.join(payload["choices"], name))
        rows = wanted(choice, payload["cutoffs"])
    lengths = segments.counts(place, spec["fingerprint"], part.id, part.rows)
    new = np.flatnonzero(rows & (lengths == 0))
    if len(new):
        order = (
            np.arange(len(new))
            if choice is None
            else np.argsort(choice.column("priority").to_numpy()[new], kind="stable")
        )
        _encode(place, part, spec, new, order)
        lengths = segments.counts(place, spec["fingerprint"], part.id, part.rows)
    if choice is not None and payload["counts"] is not None:
        buckets = choice.column("priority").to_numpy() >> np.uint64(64 - BUCKET_BITS)
        counted = pa.table(
            {"stratum": choice.column("stratum"), "bucket": buckets.astype(np.uint16), "tokens": lengths}
        )
        groups = counted.filter(pa.array(rows)).group_by(["stratum", "bucket"], use_threads=False)
        table = groups.aggregate([("tokens", "count"), ("tokens", "sum")])
        table = table.rename_columns(["stratum", "bucket", "documents", "tokens"])
        store.write_table(
            store.join(payload["counts"], name), table.sort_by([("stratum", "ascending"), ("bucket", "ascending")])
        )


def _encode(place: Store, part: Part, spec: dict[str, Any], new: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    engine = tokenizer(spec["section"], spec["model"])
    lengths, pieces = [], []
    for texts in _texts(place.documents(part.id), new):
        offsets, ids = engine.encode(texts)
        ends = offsets[1:]
        # one end-of-document token after each document
        pieces.append(np.insert(ids, ends, ids.dtype.type(engine.end_of_document)))
        lengths.append(np.diff(offsets) + 1)
    ids, counts = np.concatenate(pieces), np.concatenate(lengths)
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    sorted_counts = counts[order]
    offsets = np.r_[0, np.cumsum(sorted_counts)]
    # position of each output token in the input: its document's start there plus its place in the document
    gather = np.repeat(starts[order] - offsets[:-1], sorted_counts) + np.arange(offsets[-1])
    segments.write(place, spec["fingerprint"], part.id, new[order], offsets, ids[gather])


def _texts(path: str, rows: NDArray[np.int64]) -> Any:
    """Texts of the given rows, ascending, by row group."""
    with store.open_input(path) as file:
        parquet = pq.ParquetFile(file)
        first = 0
        for n in range(parquet.num_row_groups):
            last = first + parquet.metadata.row_group(n).num_rows
            inside = rows[(rows >= first) & (rows < last)] - first
            if len(inside):
                column = parquet.read_row_group(n, columns=["text"], use_threads=False).column(0).combine_chunks()
                yield column.take(pa.array(inside))
            first = last
