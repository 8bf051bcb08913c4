"""Builds made by hand for tests of training: shards, tables of documents and a manifest, without a pipeline."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LENGTH = 12
VOCABULARY = 50
END = 0


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def input_ids(tokens, binary):
    if binary:
        width = tokens.shape[1] * tokens.itemsize
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), len(tokens), [None, pa.py_buffer(tokens.astype(tokens.dtype.newbyteorder("<")).tobytes())]
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), tokens.shape[1])


def documents_of(tokens, seed):
    """(sequence, position, id, offset, length) of each piece: a document ends with each END, one stream in a row."""
    pieces, number, offset = [], 0, 0
    for sequence, row in enumerate(tokens):
        position = 0
        while position < len(row):
            ends = np.flatnonzero(row[position:] == END)
            length = int(ends[0]) + 1 if len(ends) else len(row) - position
            one = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=16).digest()
            pieces.append((sequence, position, one, offset, length))
            position, offset = position + length, offset + length
            if len(ends):
                number, offset = number + 1, 0
    return pieces


def pad(tokens):
    """Make the last 0 to 4 tokens of each row padding, after a document's end; how many, a row each."""
    padding = np.arange(len(tokens)) % 5
    for row, count in zip(tokens, padding, strict=True):
        row[len(row) - count - 1 :] = END
    return padding


def make(
    folder,
    recipes=None,
    *,
    dtype="uint16",
    binary=False,
    length=LENGTH,
    held_out=None,
    vocabulary=VOCABULARY,
    padded=False,
):
    """A build; `recipes` gives for each recipe the sequences of its shards. Its rungs hold 1, 2, … shards.

    Padded, it is as packed by best fit: sequence i ends with i % 5 tokens of padding.

    Returns the tokens of each recipe, shape (sequences, length).
    """
    recipes = {"all": [5, 7]} if recipes is None else recipes
    folder.mkdir(parents=True, exist_ok=True)
    every, entries = {}, {}
    for name, counts in {**recipes, **({"held_out": held_out} if held_out else {})}.items():
        rng = np.random.default_rng([len(name), *name.encode()])
        tokens = rng.integers(0, vocabulary, (sum(counts), length)).astype(dtype)
        tokens[rng.random(tokens.shape) < 0.15] = END
        padding = pad(tokens) if padded and name != "held_out" else np.zeros(len(tokens), np.int64)
        pieces = [piece for piece in documents_of(tokens, name) if piece[1] < length - padding[piece[0]]]
        shards, first = [], 0
        for n, count in enumerate(counts):
            mine = [piece for piece in pieces if first <= piece[0] < first + count]
            starts = [[p[1] for p in mine if p[0] == s and p[3] == 0] for s in range(first, first + count)]
            table = pa.table(
                {
                    "input_ids": input_ids(tokens[first : first + count], binary),
                    "stratum": pa.array([("code", "web")[s % 2] for s in range(first, first + count)]),
                    "document_starts": pa.array(starts, pa.list_(pa.int32())),
                }
            )
            if padded and name != "held_out":
                table = table.append_column("padding", pa.array(padding[first : first + count], pa.int32()))
            stands = pa.table(
                {
                    "sequence": pa.array([p[0] for p in mine], pa.int64()),
                    "position": pa.array([p[1] for p in mine], pa.int32()),
                    "document": pa.array([p[2] for p in mine], pa.binary(16)),
                    "offset": pa.array([p[3] for p in mine], pa.int64()),
                    "length": pa.array([p[4] for p in mine], pa.int32()),
                }
            )
            shard = {"path": f"shards/{name}/{n:05d}.parquet", "documents": f"documents/{name}/{n:05d}.parquet"}
            shard |= {"sequences": count, "tokens": count * length, "bytes": 0}
            shard["sha256"] = write(folder / shard["path"], table)
            shard["documents_sha256"] = write(folder / shard["documents"], stands)
            shards.append(shard)
            first += count
        every[name], entries[name] = tokens, shards

    def rung(name, shards):
        sequences = sum(shard["sequences"] for shard in shards)
        return {"name": name, "sequences": sequences, "tokens": sequences * length, "shards": shards} | {
            "strata": {"code": {}, "web": {}}
        }

    manifest = {
        "name": "by-hand",
        "seed": 7,
        **({"packing": "best-fit"} if padded else {}),
        "sequence_length": length,
        "tokenizer": {
            "identity": {"type": "bytes"},
            "vocabulary_size": vocabulary,
            "end_of_document": END,
            "dtype": dtype,
        },
        "held_out": rung("held_out", entries["held_out"]) if held_out else None,
        "recipes": {
            name: {"rungs": [rung(f"{n + 1}", entries[name][: n + 1]) for n in range(len(entries[name]))]}
            for name in recipes
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return every
