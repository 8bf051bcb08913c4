"""Encode: the tokens of those documents whose priority can fall inside the largest budget, and of no others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from ...tokenizers.loading import load_bytes
from ...tokenizers.protocol import joined
from ...tokenizers.sections import TokenizerSection
from ..engines.care import Care
from ..engines.child import ENCODING
from ..files import store
from ..files.parts import Part, Store
from . import segments
from .edits import Editor, encoded_bytes
from .pieces import bounds, buckets_of, cut, earliest
from .ranges import copy_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ...tokenizers.protocol import Tokenizer


@functools.lru_cache(maxsize=2)
def tokenizer(section: str, model: str) -> Tokenizer:
    """A tokenizer from its section as JSON and the path of its model, kept in memory by this process."""
    return load_bytes(TypeAdapter(TokenizerSection).validate_json(section), store.read_bytes(model) if model else b"")


def encode_part(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> None:
    """Encode what any of some recipes wants of a part and is not encoded yet; then count each one's tokens.

    Writes `NUMBER.parquet` in each recipe's folder of counts: `stratum`, `bucket` (of priority), `documents`, `tokens`.
    Documents that the tokenizer cannot encode, because its process dies, count for nothing (`segments.refused`).

    Args:
        payload: `store`, `part`, `ordinal`, `tokenizer` (`fingerprint`, `section`, `model`), and `recipes`: for each
            `choices` (folder), `cutoffs` (bucket by stratum), `counts` (folder), where documents are cut into pieces,
            `piece` (tokens), and where budgets are in bytes, `bytes`; without any, all documents are encoded. Of
            `care`, `careful` and `reject`.
        at: Told what is encoded.
    """
    care = Care.of(payload, at)
    place, part = Store(payload["store"]), Part(**payload["part"])
    name, spec = f"{payload['ordinal']:07d}.parquet", payload["tokenizer"]
    choices = [store.read_table(store.join(recipe["choices"], name)) for recipe in payload["recipes"]]
    text_bytes = place.column(part, ("text_bytes",)).to_numpy()
    asked = list(zip(choices, payload["recipes"], strict=True))
    masks = [
        buckets_of(earliest(choice.column("priority").to_numpy(), text_bytes, recipe.get("piece", 0)))
        < bounds(choice, recipe["cutoffs"])
        for choice, recipe in asked
    ]
    if choices:
        rows, priority = np.logical_or.reduce(masks), choices[0].column("priority").to_numpy()
    else:
        rows, priority = place.column(part, ("document",)).is_valid().to_numpy(), np.arange(part.rows)
    known = segments.refused(place, spec["fingerprint"], part.id)
    rows &= segments.counts(place, spec["fingerprint"], part.id, part.rows) == 0
    refused = care.killed(ENCODING, np.flatnonzero(rows).tolist())
    if refused:
        segments.refuse(place, spec["fingerprint"], part.id, refused)
    lost = np.array([*known, *refused], np.int64)
    rows[lost] = False
    for mask in masks:
        mask[lost] = False
    new = np.flatnonzero(rows)
    if len(new):
        _encode(place, part, spec, new, np.argsort(priority[new], kind="stable"), care)
    lengths = segments.counts(place, spec["fingerprint"], part.id, part.rows)
    for (choice, recipe), mask in zip(asked, masks, strict=True):
        sizes = encoded_bytes(place, part, spec.get("edits", {})) if recipe.get("bytes") else None
        table = _count(choice, recipe, mask, text_bytes, lengths, sizes)
        store.write_table(store.join(recipe["counts"], name), table)


def _count(  # noqa: PLR0917 each is a column or says what of it
    choice: pa.Table,
    recipe: dict[str, Any],
    mask: NDArray[np.bool_],
    text_bytes: NDArray[np.int64],
    lengths: NDArray[np.int64],
    sizes: NDArray[np.int64] | None,
) -> pa.Table:
    rows = np.flatnonzero(mask)
    priority = choice.column("priority").to_numpy()[rows]
    pieces = cut(priority, text_bytes[rows], lengths[rows], recipe.get("piece", 0))
    rows, buckets = rows[pieces.index], buckets_of(pieces.priority)
    table = pa.table(
        {
            "stratum": choice.column("stratum").combine_chunks().take(pa.array(rows)),
            "bucket": buckets.astype(np.uint16),
            "tokens": pieces.tokens,
        }
    )
    if sizes is not None:
        table = table.append_column("text_bytes", pa.array(sizes[rows]))
    groups = table.filter(pa.array(buckets < bounds(choice, recipe["cutoffs"])[rows]))
    groups = groups.group_by(["stratum", "bucket"], use_threads=False)
    sums = ["tokens"] if sizes is None else ["tokens", "text_bytes"]
    counted = groups.aggregate([("tokens", "count"), *((name, "sum") for name in sums)])
    counted = counted.rename_columns(["stratum", "bucket", "documents", *sums])
    return counted.sort_by([("stratum", "ascending"), ("bucket", "ascending")])


def _encode(  # noqa: PLR0917 what is encoded, by what, and how
    place: Store, part: Part, spec: dict[str, Any], new: NDArray[np.int64], order: NDArray[np.int64], care: Care
) -> None:
    engine = tokenizer(spec["section"], spec["model"])
    lengths: list[NDArray[np.int64]] = []
    pieces: list[NDArray[Any]] = []
    for rows, texts in _texts(place.documents(part.id), new, Editor(place, part, spec.get("edits", {}))):
        encoded = care.run(engine.encode, texts, ENCODING, rows.tolist())
        borders, ids = encoded[0] if len(encoded) == 1 else joined(encoded, engine.dtype)
        pieces.append(ids)
        lengths.append(np.diff(borders))
    tokens, counts = np.concatenate(pieces), np.concatenate(lengths)
    del pieces
    starts = np.cumsum(counts) - counts
    offsets = np.r_[0, np.cumsum(counts[order] + 1)]
    out = np.empty(offsets[-1], tokens.dtype)
    copy_ranges(tokens, starts[order], offsets[:-1], counts[order], out)
    out[offsets[1:] - 1] = engine.end_of_document  # one after each document
    segments.write(place, spec["fingerprint"], part.id, new[order], offsets, out)


def _texts(path: str, rows: NDArray[np.int64], editor: Editor) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """The given rows, ascending, and their texts as they are encoded, by row group."""
    with store.open_input(path) as file:
        parquet = pq.ParquetFile(file)
        first = 0
        for n in range(parquet.num_row_groups):
            last = first + parquet.metadata.row_group(n).num_rows
            inside = rows[(rows >= first) & (rows < last)] - first
            if len(inside):
                column = parquet.read_row_group(n, columns=["text"], use_threads=False).column(0).combine_chunks()
                yield first + inside, editor.edit(column.take(pa.array(inside)), first + inside)
            first = last
