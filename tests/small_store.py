"""A store made by hand: parts, scores and choices of a few rows, without a build."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import Part, Store
from tokenladder.pipelines.files.schema import PART
from tokenladder.pipelines.stages import segments


def identity(text):
    return None if text is None else hashlib.blake2b(text.encode(), digest_size=16).digest()


def write_part(place, part_id, texts, *, source="web", outcomes=None, reasons=None, names=None):
    """A part of these texts; None is a record without a document."""
    rows = [
        {
            "document": identity(text),
            "text": text,
            "name": names[n] if names else f"{part_id}/{n}",
            "record": f"file.jsonl:{n}",
            "bytes": 100 + n,
            "text_bytes": len((text or "").encode()),
            "outcome": (outcomes or {}).get(n),
            "reason": (reasons or {}).get(n),
        }
        for n, text in enumerate(texts)
    ]
    table = pa.Table.from_pylist(rows, PART)
    store.write_table(place.documents(part_id), table, row_group_size=4)
    documents = [row for row in rows if row["text"] is not None]
    return Part(
        source=source,
        id=part_id,
        rows=len(rows),
        documents=len(documents),
        bytes=sum(row["bytes"] for row in rows),
        text_bytes=sum(row["text_bytes"] for row in documents),
    )


def write_score(place, family, part, columns):
    store.write_table(place.score(family, part.id), pa.table(columns))


def write_signatures(place, family, part, matrix, missing=()):
    """Signatures of shape (rows, places), uint32; rows in `missing` are null."""
    rows = [None if n in missing else row.astype("<u4").tobytes() for n, row in enumerate(matrix)]
    write_score(place, family, part, {"signature": pa.array(rows, pa.binary(4 * matrix.shape[1]))})


def write_choices(folder, ordinal, *, code, priority, stratum, survivor=None, label=None):
    rows = len(code)
    table = pa.table(
        {
            "code": np.array(code, np.int16),
            "label": pa.array(label or [None] * rows, pa.string()),
            "survivor": pa.array(survivor or [None] * rows, pa.binary(16)),
            "stratum": pa.array(stratum, pa.string()),
            "priority": np.array(priority, np.uint64),
        }
    )
    store.write_table(store.join(folder, f"{ordinal:07d}.parquet"), table)


def write_tokens(place, tokenizer, part, documents):
    """Segments of token lists by row, one segment for each list of rows in `documents`."""
    for one in documents:
        rows = np.array(list(one), np.int64)
        offsets = np.r_[0, np.cumsum([len(tokens) for tokens in one.values()])].astype(np.int64)
        ids = np.array([token for tokens in one.values() for token in tokens], np.uint16)
        segments.write(place, tokenizer, part.id, rows, offsets, ids)


def payload(place, part, ordinal, **more):
    return {"store": place.root, "part": part.to_json(), "ordinal": ordinal, "source_ordinal": 0, **more}


def exchange(pairs, reduce, payload):
    """What a reduce yields for all buckets of (bucket, bytes) pairs; groups come and hold their values in reverse."""
    buckets = {}
    for bucket, data in pairs:
        buckets.setdefault(bucket, []).insert(0, data)
    return [pair for bucket, values in reversed(buckets.items()) for pair in reduce(bucket, values, payload)]


__all__ = [
    "Part",
    "Store",
    "exchange",
    "identity",
    "payload",
    "write_choices",
    "write_part",
    "write_score",
    "write_signatures",
    "write_tokens",
]
