"""Pack: write one shard, a contiguous range of the stream's sequences, from just the tokens that it needs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..files import store
from ..files.parts import Store
from . import keys, order_files, segments
from .schedule import Course, resumed

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE = np.dtype(
    [
        ("key", "<u8"),
        ("id", keys.ID),
        ("start", "<i8"),
        ("length", "<i8"),
        ("at", "<i8"),
        ("difficulty", "<f8"),
        ("text_bytes", "<i8"),
    ]
)
"""Tokens [start, start + length) of a document, at place `at` of a stratum's tokens in this shard."""


@functools.lru_cache(maxsize=4)
def _plan(path: str) -> dict[str, Any]:
    return store.read_json(path)  # type: ignore[no-any-return] # the plan is a table


def write_shard(payload: dict[str, Any], **_: Any) -> None:
    """Write a shard, the table of documents that stand in it, and then the file that says that both are whole.

    Args:
        payload: `store`, `plan` (path), `parts` (path of the list of parts), `folder` (of the ladder), `tokenizer`
            (fingerprint), `input_ids` (list or binary), `first` and `count` (sequences), `given` (the schedule's
            state), `shard`, `documents` and `marker` (paths of what is written), `identity` (of the ladder).
    """
    plan = _plan(payload["plan"])
    length = plan["sequence_length"]
    given = np.array(payload["given"], np.int64)
    weights = Course.from_json(plan["course"]) if plan.get("course") else np.array(plan["weights"], np.int64)
    picks = resumed(weights, payload["given"]).advance(payload["count"])[0]
    tokens = _empty(payload["count"] * length, plan)
    rows = []
    for stratum in np.unique(picks):
        sequences = np.flatnonzero(picks == stratum)
        start, count = int(given[stratum]) * length, len(sequences) * length
        rows.append(_cut(_pieces(payload["folder"], plan, int(stratum), start, count), sequences, length))
    documents = np.concatenate(rows)
    places = documents["sequence"] * length + documents["position"]
    if (places[1:] < places[:-1]).any():  # not of a single stratum, whose documents come in order
        order = np.argsort(places, kind="stable")
        documents, places = documents[order], places[order]
    _fill(payload, documents, places, tokens)
    starting = documents[begins_at(documents["offset"], plan)]
    strata = pa.array(plan["strata"], pa.string()).take(pa.array(picks))
    padding = None
    if "padding" in plan:
        padding = length - np.bincount(documents["sequence"], documents["length"], payload["count"]).astype(np.int32)
    binary = payload["input_ids"] == "binary"
    # first the marker goes, so that none stands beside files of another ladder
    store.remove(payload["marker"])
    shard = store.write_hashed_table(
        payload["shard"],
        _shard(tokens.reshape(-1, length), strata, starting, padding, binary=binary),
        **_layout(length, binary=binary),
    )
    table = _documents(documents, payload["first"], plan)
    listed = store.write_hashed_table(payload["documents"], table, use_dictionary=False)  # ids are random, numbers rise
    store.write_json(
        payload["marker"],
        {"identity": payload["identity"], "sha256": shard.sha256, "bytes": shard.size}
        | {"documents_sha256": listed.sha256, "written": {"shard": shard.size, "documents": listed.size}}
        | {"sequences": payload["count"], "tokens": payload["count"] * length}
        | ({} if padding is None else {"padding": np.bincount(picks, padding, len(given)).astype(int).tolist()}),
    )


def _empty(count: int, plan: dict[str, Any]) -> NDArray[Any]:
    """Room for tokens: of nothing where documents fill it all, else of padding."""
    return np.full(count, plan["padding"], plan["dtype"]) if "padding" in plan else np.empty(count, plan["dtype"])


def begins_at(offsets: NDArray[np.int64], plan: dict[str, Any]) -> NDArray[np.bool_]:
    """Where a document begins, or a piece of one."""
    piece = plan["sequence_length"] if "fit" in plan else plan.get("piece", 0)
    found: NDArray[np.bool_] = (offsets % piece if piece else offsets) == 0
    return found


def _pieces(folder: str, plan: dict[str, Any], stratum: int, start: int, length: int) -> NDArray[Any]:
    """Documents that hold tokens [start, start + length) of a stratum; past its end it begins again."""
    total = plan["available"][stratum]
    out, at = [], 0
    while at < length:
        begin = (start + at) % total
        stop = min(begin + length - at, total)
        for number, group in enumerate(plan["groups"]):
            if group["stratum"] != stratum or group["base"] >= stop or group["base"] + group["tokens"] <= begin:
                continue
            name = group.get("name", f"{number:05d}")
            table = order_files.read(order_files.path_of(folder, name), begin, stop)
            offsets, tokens = table.column("offset").to_numpy(), table.column("tokens").to_numpy()
            inside = np.flatnonzero((offsets < stop) & (offsets + tokens > begin))
            piece = np.empty(len(inside), PIECE)
            piece["key"] = table.column("key").to_numpy()[inside]
            piece["id"] = keys.id_array(table.column("id"))[inside]
            piece["start"] = np.maximum(begin - offsets[inside], 0)
            piece["length"] = np.minimum(stop - offsets[inside], tokens[inside]) - piece["start"]
            piece["at"] = at + offsets[inside] + piece["start"] - begin
            if "start" in table.column_names:
                piece["start"] += table.column("start").to_numpy()[inside]
            for name in {"difficulty", "text_bytes"} & set(table.column_names):
                piece[name] = table.column(name).to_numpy()[inside]
            out.append(piece)
        at += stop - begin
    return np.concatenate(out)


def _fill(payload: dict[str, Any], documents: NDArray[Any], places: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Copy all tokens to their places: part by part, so that one is open at a time, and in each from its start on."""
    parts, root = _plan(payload["parts"])["parts"], Store(payload["store"])
    order = np.argsort(documents["key"], kind="stable")
    key, start, length = (documents[name][order] for name in ("key", "offset", "length"))
    at = places[order]
    ordinals, firsts = np.unique(keys.ordinals(key), return_index=True)
    for ordinal, first, stop in zip(ordinals, firsts, [*firsts[1:], len(key)], strict=True):
        mine = slice(first, stop)
        reader = segments.Reader(root, payload["tokenizer"], parts[ordinal]["id"])
        reader.copy(keys.rows(key[mine]), start[mine], length[mine], at[mine], out)


STANDS = np.dtype(
    [
        ("key", "<u8"),
        ("sequence", "<i8"),
        ("position", "<i4"),
        ("id", keys.ID),
        ("offset", "<i8"),
        ("length", "<i4"),
        ("difficulty", "<f8"),
        ("text_bytes", "<i8"),
    ]
)


def _cut(pieces: NDArray[Any], sequences: NDArray[np.int64], length: int) -> NDArray[Any]:
    """Pieces cut at the borders of sequences: which document, from which offset, stands where."""
    first = pieces["at"] // length
    last = (pieces["at"] + pieces["length"] - 1) // length
    times = last - first + 1
    index = np.repeat(np.arange(len(pieces)), times)
    sequence = np.repeat(first, times) + np.arange(len(index)) - np.repeat(np.cumsum(times) - times, times)
    begin = np.maximum(pieces["at"][index], sequence * length)
    stop = np.minimum((pieces["at"] + pieces["length"])[index], (sequence + 1) * length)
    out = np.empty(len(index), STANDS)
    out["key"] = pieces["key"][index]
    out["sequence"] = sequences[sequence]
    out["position"] = begin - sequence * length
    out["id"] = pieces["id"][index]
    out["offset"] = pieces["start"][index] + begin - pieces["at"][index]
    out["length"] = stop - begin
    out["difficulty"] = pieces["difficulty"][index]
    out["text_bytes"] = pieces["text_bytes"][index]
    return out


def _shard(
    tokens: NDArray[Any], strata: pa.Array, starting: NDArray[Any], padding: NDArray[np.int32] | None, *, binary: bool
) -> pa.Table:
    """A shard's table, of which nothing is null: what may be null takes a quarter longer to read.

    Columns: `input_ids`, `stratum`, and `document_starts`: the positions at which a new document begins, or a piece of
    one (`starting`). Position 0 is among them only where one begins there; before the first one stands the rest of an
    earlier document. Where documents are fitted to sequences, `padding` is how many places of a sequence are left.
    """
    count, length = tokens.shape
    little = np.ascontiguousarray(tokens, tokens.dtype.newbyteorder("<"))
    if binary:
        ids = pa.Array.from_buffers(pa.binary(length * tokens.dtype.itemsize), count, [None, pa.py_buffer(little)])
    else:
        flat = pa.array(little.reshape(-1))
        ids = pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(_whole("element", flat.type), length))
    counts = np.bincount(starting["sequence"], minlength=count)
    offsets = pa.array(np.r_[0, np.cumsum(counts)].astype(np.int32))
    places = pa.array(starting["position"])
    starts = pa.ListArray.from_arrays(offsets, places, type=pa.list_(_whole("element", places.type)))
    columns = {"input_ids": ids, "stratum": strata, "document_starts": starts}
    if padding is not None:
        columns["padding"] = pa.array(padding)
    return pa.table(list(columns.values()), pa.schema([_whole(name, one.type) for name, one in columns.items()]))


def _whole(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _layout(length: int, *, binary: bool) -> dict[str, Any]:
    """How Parquet keeps a shard.

    It keeps a list of uint16 as 32-bit integers. Written as four streams of bytes, of which two are zeros, and
    compressed by LZ4, they take 1.7 bytes a token; Zstandard takes 1.4, and half as long again to write and to read.
    As binary, a sequence is its ids' little-endian bytes, which are copied: in two bytes a token, many times as fast.
    """
    return {
        "compression": {"input_ids": "none", "stratum": "zstd"} if binary else "lz4",
        "compression_level": None,
        "use_dictionary": ["stratum"],
        "column_encoding": None if binary else {"input_ids.list.element": "BYTE_STREAM_SPLIT"},
        "row_group_size": max(1, (1 << 21) // length),  # some 2 million tokens: what a reader holds at once
        "write_statistics": False,
    }


def _documents(documents: NDArray[Any], first: int, plan: dict[str, Any]) -> pa.Table:
    """Which document stands where.

    In a curriculum also how difficult it is, null where nothing says; and where budgets are in bytes, the bytes of its
    whole text as encoded.
    """
    columns = {
        "sequence": documents["sequence"] + first,
        "position": documents["position"],
        "document": keys.id_column(documents["id"]),
        "offset": documents["offset"],
        "length": documents["length"],
    }
    if "difficulty" in plan:
        columns["difficulty"] = pa.array(documents["difficulty"], from_pandas=True)  # NaN becomes null
    if plan.get("text_bytes"):
        columns["text_bytes"] = documents["text_bytes"]
    return pa.table(columns)
