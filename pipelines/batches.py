"""What the PTransforms for anyone's pipeline do, on Arrow record batches and packed arrays. Without Beam.

A batch has `schema.DOCUMENTS`, or at least `text` and `name`; scores and clusters add columns `NAME.column` to it. For
near duplicates only keys travel: of each document its id, what decides between equal texts, and its signature.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..filters.duplicates import minhash
from ..filters.hashing import fmix64, hash_text
from ..filters.text.buffers import text_column
from .drivers.deduplicate import Near
from .engines import isolate
from .files import store
from .files.parts import Store
from .formats import Slice, Source
from .stages import grouping, keys, leaders
from .stages.encode import tokenizer
from .stages.families import score_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..filters.family import Family

RANGES = 256
"""Ranges of hashes, and of components, that are grouped apart."""

EDGE = np.dtype([("least", "<u8"), ("other", "<u8")])
LABEL = np.dtype([("node", "<u8"), ("component", "<u8")])
LED = np.dtype(
    [("id", keys.ID), ("tie", "<u8"), ("leader", keys.ID), ("leads", "u1"), ("similarity", "<f4"), ("size", "<i4")]
)
"""A document of a cluster of two or more: the cluster's leader, and whether it is this one."""


def located(source: Source) -> str:
    """A source as JSON, with absolute paths, so that every worker finds its files."""
    return json.dumps(asdict(source.located()))


def list_slices(source: str) -> Iterator[str]:
    """The slices of a source, both as JSON: what one worker reads at a time.

    Raises:
        UserError: A path names nothing.
        OSError: The storage cannot be read.
    """
    opened = Source(**json.loads(source))
    files = opened.list_files()
    for piece in opened.slices(files, opened.root(files)):
        yield piece.to_json()


def read_slice(source: str, piece: str) -> Iterator[pa.RecordBatch]:
    """The documents of a slice, in `schema.PART`: read in a child process, as in a build, and handed over by files.

    A record that crashes or hangs its child twice is a row without text that says so.

    Raises:
        OSError: A file cannot be read now.
        RuntimeError: The child died outside any record.
    """
    Slice.from_json(piece)  # a mistake shows here
    with tempfile.TemporaryDirectory(prefix="tokenladder-read-") as folder:
        name = store.fingerprint(json.loads(piece))
        payload = {"store": folder, "id": f"read/{name}", "source": json.loads(source), "slice": piece, "scores": {}}
        summary = isolate.call("tokenladder.pipelines.stages.read:read_slice", payload)
        for n in range(len(summary["parts"])):
            with store.open_input(Store(folder).documents(f"read/{name}/{n:05d}")) as file:
                parquet = pq.ParquetFile(file)
                for group in range(parquet.num_row_groups):
                    yield from parquet.read_row_group(group, use_threads=False).combine_chunks().to_batches()


def add_scores(batch: pa.RecordBatch, families: Mapping[str, Family]) -> pa.RecordBatch:
    """The batch with each score's columns, as `NAME.column`."""
    columns, names = list(batch.columns), list(batch.schema.names)
    plain = decoded(batch)
    for name, family in families.items():
        scored = score_batch(family, plain)
        columns += scored.columns
        names += [f"{name}.{column}" for column in scored.schema.names]
    return pa.record_batch(columns, names)


def decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with columns of dictionaries, as readers of Parquet and Arrow may give them, as plain ones.

    >>> decoded(pa.record_batch({"text": pa.array(["a", "a"]).dictionary_encode()})).schema.field("text").type
    DataType(string)
    """
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    return pa.record_batch(columns, batch.schema.names)


def add_tokens(batch: pa.RecordBatch, section: str, model: str) -> pa.RecordBatch:
    """The batch with `input_ids`: each text's ids, without an end-of-document token; null where text is.

    Args:
        batch: With a column `text`.
        section: The study's section `[tokenizer]` as JSON.
        model: Path of its model, empty for one that has none.
    """
    engine = tokenizer(section, model)
    text = text_column(decoded(batch))
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    borders, ids = engine.encode(text.drop_null())
    offsets = np.zeros(len(batch) + 1, np.int64)
    offsets[1:][valid] = np.diff(borders)
    lists = pa.LargeListArray.from_arrays(np.cumsum(offsets), pa.array(ids), mask=pa.array(~valid))
    return pa.record_batch([*batch.columns, lists], [*batch.schema.names, "input_ids"])


def member(near: Near) -> np.dtype[Any]:
    """The packed record of one document."""
    return np.dtype([("id", keys.ID), ("tie", "<u8"), ("signature", "<u4", (near.bands * near.rows,))])


def _identify(batch: pa.RecordBatch, column: str) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[np.uint64]]:
    """Which rows have text; the id of each; and what tells rows of equal text apart: `name`, `record` or both."""
    text = text_column(batch, column)
    valid = text.is_valid().to_numpy(zero_copy_only=False)
    if "document" in batch.schema.names and batch.column("document").type == pa.binary(16):
        ids = keys.id_array(batch.column("document"))
    else:
        digests = (hashlib.blake2b(one.as_buffer(), digest_size=16).digest() if one.is_valid else None for one in text)
        ids = keys.id_array(pa.array(digests, pa.binary(16)))
    if not {"name", "record"} & set(batch.schema.names):
        have = ", ".join(batch.schema.names)
        raise ValueError(
            "ClusterDuplicates tells documents of equal text apart by a column 'name' (an address, a path, an id) or "
            f"'record', but the batch holds these columns: {have}."
        )
    ties = np.zeros(len(batch), np.uint64)
    if "name" in batch.schema.names:
        ties = hash_text(text_column(batch, "name").fill_null(""))
    if "record" in batch.schema.names:
        ties ^= fmix64(hash_text(text_column(batch, "record").fill_null("")))
    return valid, ids, ties


def sign(batch: pa.RecordBatch, near: Near) -> bytes:
    """The packed members of a batch: its documents with text.

    Raises:
        ValueError: There is no such column, or it holds no strings, or nothing tells equal texts apart.
    """
    batch = decoded(batch)
    valid, ids, ties = _identify(batch, near.text)
    typed = near.unit == "auto" and "file_type" in batch.schema.names
    columns = {"text": text_column(batch, near.text), **({"file_type": batch.column("file_type")} if typed else {})}
    signatures = minhash.signature_matrix(near.family.score(pa.record_batch(columns)).column("signature"))
    packed = np.empty(int(valid.sum()), member(near))
    packed["id"], packed["tie"], packed["signature"] = ids[valid], ties[valid], signatures[valid]
    return packed.tobytes()


def _nodes(members: NDArray[Any]) -> NDArray[np.uint64]:
    """A number below 2^63 for each row. Two that share one by chance only become candidates."""
    return (members["id"]["high"].astype(np.uint64) ^ fmix64(members["tie"])) & ~grouping.ASKS


def bands(signed: bytes, near: Near) -> Iterator[tuple[int, bytes]]:
    """Pairs of a hash and a node, by range of hash: of each band, and of the text."""
    members = np.frombuffer(signed, member(near))
    nodes = _nodes(members) | grouping.ASKS
    words = members["signature"][:, 0] != minhash.EMPTY
    hashes = minhash.band_hashes(np.ascontiguousarray(members["signature"][words]), near.bands, near.rows)
    pairs = np.empty(len(members) + hashes.size, LABEL)
    pairs["component"] = np.concatenate([members["id"]["high"].astype(np.uint64), hashes.ravel()])
    pairs["node"] = np.concatenate([nodes, np.repeat(nodes[words], near.bands)])
    yield from keys.split(pairs, (pairs["component"] % np.uint64(RANGES)).astype(np.int64))


def link(values: Iterable[bytes]) -> bytes:
    """Edges between nodes that share a hash of one range, as stars around the least node; sorted."""
    pairs = keys.joined(values, LABEL)
    found = grouping.link(np.ascontiguousarray(pairs["component"]), np.ascontiguousarray(pairs["node"]))
    return np.ascontiguousarray(grouping.stars(found)).tobytes()


def connect(values: Iterable[bytes]) -> bytes:
    """The component of every node that has an edge, in order of nodes."""
    nodes, components = grouping.components(keys.joined(values, np.uint64).reshape(-1, 2))
    out = np.empty(len(nodes), LABEL)
    out["node"], out["component"] = nodes, components
    return out.tobytes()


def candidates(signed: bytes, near: Near, labels: bytes) -> Iterator[tuple[int, bytes]]:
    """Members that have an edge, with their component in front, by range of components."""
    members = np.frombuffer(signed, member(near))
    known = np.frombuffer(labels, LABEL)
    nodes = _nodes(members)
    place = np.searchsorted(known["node"], nodes)
    inside = place < len(known)
    inside[inside] = known["node"][place[inside]] == nodes[inside]
    packed = np.empty(int(inside.sum()), [("component", "<u8"), ("member", member(near))])
    packed["component"], packed["member"] = known["component"][place[inside]], members[inside]
    yield from keys.split(packed, (fmix64(packed["component"]) % np.uint64(RANGES)).astype(np.int64))


def lead(values: Iterable[bytes], near: Near) -> bytes:
    """The leader of every candidate of a range of components, where it is not alone: `LED`."""
    packed = keys.joined(values, [("component", "<u8"), ("member", member(near))])
    ids = packed["member"]["id"]
    packed = packed[np.lexsort((packed["member"]["tie"], ids["low"], ids["high"], packed["component"]))]
    members = packed["member"]
    found, similarity = leaders.leader_clusters(
        np.ascontiguousarray(packed["component"]),
        np.ascontiguousarray(members["id"]),
        np.zeros(len(packed), bool),
        np.ascontiguousarray(members["signature"]),
        near.bands,
        near.rows,
        near.threshold,
    )
    sizes = np.bincount(found, minlength=len(packed))[found]
    out = np.empty(len(packed), LED)
    out["id"], out["tie"], out["leader"] = members["id"], members["tie"], members["id"][found]
    out["leads"], out["similarity"], out["size"] = found == np.arange(len(packed)), similarity, sizes
    return out[sizes > 1].tobytes()


def gather(values: Iterable[bytes]) -> bytes:
    """All of `LED` in order of ids and ties."""
    led = keys.joined(values, LED)
    return led[np.lexsort((led["tie"], led["id"]["low"], led["id"]["high"]))].tobytes()


def add_clusters(batch: pa.RecordBatch, text: str, led: bytes) -> pa.RecordBatch:
    """The batch with `cluster.leader`, `cluster.leads`, `cluster.similarity` and `cluster.size`; null without text.

    Args:
        batch: With `text`, and `name`, `record` or both.
        text: The column of text.
        led: What `gather` gives.
    """
    valid, ids, ties = _identify(decoded(batch), text)
    known = np.frombuffer(led, LED)
    leader, leads = ids.astype(keys.ID), np.ones(len(batch), bool)
    similarity, size = np.ones(len(batch), np.float32), np.ones(len(batch), np.int32)
    asked = np.empty(len(batch), [("id", keys.ID), ("tie", "<u8")])
    asked["id"], asked["tie"] = ids, ties
    place = _find(known, asked)
    found = valid & (place >= 0)
    for name, column in (("leader", leader), ("leads", leads), ("similarity", similarity), ("size", size)):
        column[found] = known[name][place[found]]
    columns = [
        keys.id_column(leader, ~valid),
        *(pa.array(column, mask=~valid) for column in (leads, similarity, size)),
    ]
    names = ["cluster.leader", "cluster.leads", "cluster.similarity", "cluster.size"]
    return pa.record_batch([*batch.columns, *columns], [*batch.schema.names, *names])


def _find(known: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.int64]:
    """The row of `known`, sorted by id and tie, for each that is asked for; -1 where there is none."""
    both = np.concatenate([known[["id", "tie"]].astype(asked.dtype), asked])
    order = np.lexsort((np.arange(len(both)), both["tie"], both["id"]["low"], both["id"]["high"]))
    ordered = both[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]][: len(both)]
    first = order[np.maximum.accumulate(np.where(new, np.arange(len(both)), 0))] if len(both) else order
    out = np.empty(len(both), np.int64)
    out[order] = np.where(first < len(known), first, -1)
    return out[len(known) :]


def survivors(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The documents of a batch that lead their cluster: one of each. Rows without text go, too."""
    return batch.filter(batch.column("cluster.leads").fill_null(False))
