"""Repeated lines: what stands in many documents of the pool, such as menus, licences and cookie notices.

As CCNet does (Wenzek et al. 2020, https://arxiv.org/abs/1911.00359), a line is known by a hash of its folded text
(:mod:`...filters.duplicates.line_hashes`); as for Llama 3 (https://arxiv.org/abs/2407.21783), it is repeated from a
number of documents on. Near duplicates count as one document: lines that a page shares with its own copies alone are no
boilerplate, and one of the copies must survive with its text.

Where lines are removed, the cluster with the least id among those that have a line keeps it, so that nothing that the
pool says is lost: C4 keeps one of each repeated span, too (Raffel et al. 2020, https://arxiv.org/abs/1910.10683), where
CCNet keeps none. Ids are hashes of content, so neither files nor workers decide which document is first.

One exchange: for each part one record of 24 bytes for each of its distinct lines, however many documents have it; back
to the parts go the repeated ones alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...filters.duplicates.line_hashes import Units, count_documents, find_units, look_up
from ...filters.text.buffers import text_buffers
from ..files import store
from ..files.parts import Part, Store, read_clusters
from ..files.schema import REPEATED_LINES
from . import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

FOUND = np.dtype([("hash", "<u8"), ("first", "<u8"), ("documents", "<u4"), ("part", "<u4")])
KNOWN = np.dtype([("hash", "<u8"), ("first", "<u8"), ("documents", "<i8")])

MOST = 20
"""Lines that a summary shows, the most repeated ones."""

SAMPLE = 100
"""Characters that it shows of each."""


def emit_lines(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The distinct lines of a part by range of hash: documents that have each, and the least of these.

    Args:
        payload: `store`, `part`, `ordinal`, `clusters` (folder), `unit`, `min_characters`, `ranges`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    _, owners, counted = owners_of(payload, place, part)
    hashes, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for first, column in texts_of(place.documents(part.id)):
        units = find_units(column, payload["unit"], payload["min_characters"])
        hashes.append(units.hashes)
        rows.append(first + _rows(units))
    found, documents, firsts = count_documents(np.concatenate(hashes), np.concatenate(rows), owners, counted)
    packed = np.empty(len(found), FOUND)
    packed["hash"], packed["first"], packed["documents"], packed["part"] = found, firsts, documents, payload["ordinal"]
    yield from keys.split(packed, (found % np.uint64(payload["ranges"])).astype(np.int64))


def count_lines(_bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Lines of one range of hashes that stand in `payload["min_documents"]` documents, sent back to their parts."""
    packed = keys.joined(values, FOUND)
    packed = packed[np.lexsort((packed["part"], packed["hash"]))]
    starts = np.flatnonzero(np.r_[True, packed["hash"][1:] != packed["hash"][:-1]])
    times = np.diff(np.r_[starts, len(packed)])
    documents = np.repeat(np.add.reduceat(packed["documents"].astype(np.int64), starts), times)
    firsts = np.repeat(np.minimum.reduceat(packed["first"], starts), times)
    many = documents >= payload["min_documents"]
    known = np.empty(int(many.sum()), KNOWN)
    known["hash"], known["first"], known["documents"] = packed["hash"][many], firsts[many], documents[many]
    yield from keys.split(known, packed["part"][many].astype(np.int64))


def write_known(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The repeated lines of one part: `hash`, `first`, `documents`."""
    known = keys.joined(values, KNOWN)
    known = known[np.argsort(known["hash"])]
    table = pa.table({name: known[name] for name in KNOWN.names or ()})
    store.write_table(store.join(payload["folder"], "known", f"{ordinal:07d}.parquet"), table)
    return
    yield


def mark_part(payload: dict[str, Any], **_: Any) -> None:
    """Write what of a part's documents is repeated, as columns in `REPEATED_LINES`, and then the part's summary.

    Args:
        payload: As for `emit_lines`, and `lines` (fingerprint of the columns), `folder`, `summary` (path).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    ids, owners = owners_of(payload, place, part)[:2]
    known = _known(store.join(payload["folder"], "known", f"{payload['ordinal']:07d}.parquet"))
    tables: list[pa.Table] = [REPEATED_LINES.empty_table()]
    samples: dict[int, tuple[int, str]] = {}
    for first, column in texts_of(place.documents(part.id)):
        units = find_units(column, payload["unit"], payload["min_characters"])
        stop = first + len(column)
        found = look_up(units.hashes, known["hash"][:-1])
        lines, repeated, rows = known[found], found >= 0, _rows(units)
        tables.append(_columns(column, units, repeated, lines["first"] != owners[first:stop][rows]))
        leads = repeated & (lines["first"] == ids[first:stop][rows])
        samples = _most(samples | _samples(column, units, leads, lines))
    table = pa.concat_tables(tables)
    store.write_table(place.score(payload["lines"], part.id), table)
    summary = {"source": part.source, **_sums(table)}
    listed = [{"hash": f"{one:016x}", "documents": n, "sample": text} for one, (n, text) in samples.items()]
    store.write_json(payload["summary"], {**summary, "most": listed})


def emptied(place: Store, part: Part, lines: str) -> NDArray[np.bool_]:
    """For each row of a part whether it is a text of which the cut leaves nothing.

    Args:
        place: The store.
        part: The part.
        lines: Fingerprint of the columns, empty where nothing is cut.
    """
    if not lines:
        return np.zeros(part.rows, bool)
    column = store.read_table(place.score(lines, part.id), ["emptied"]).column(0).combine_chunks().fill_null(False)
    return np.asarray(column.to_numpy(zero_copy_only=False), bool)


def texts_of(path: str) -> Iterator[tuple[int, pa.StringArray]]:
    """The first row of each row group, and its texts."""
    with store.open_input(path) as file:
        parquet, first = pq.ParquetFile(file), 0
        for n in range(parquet.num_row_groups):
            column = parquet.read_row_group(n, columns=["text"], use_threads=False).column(0).combine_chunks()
            yield first, column
            first += len(column)


def owners_of(
    payload: dict[str, Any], place: Store, part: Part
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """The first half of each document's id and of its cluster's, and whether it is counted: one of a cluster is."""
    documents = place.column(part, ("document",)).combine_chunks()
    ids = keys.id_array(documents)["high"].astype(np.uint64)
    owners, counted = ids.copy(), np.array(documents.is_valid())
    clusters = read_clusters(payload["clusters"], payload["ordinal"])
    rows = clusters.column("row").to_numpy()
    owners[rows] = keys.id_array(clusters.column("cluster"))["high"]
    counted[rows] = clusters.column("leads").to_numpy()
    return ids, owners, counted


def _known(path: str) -> NDArray[Any]:
    """The repeated lines of a part; a last one of zeros stands at -1, for lines that are not repeated."""
    if not store.exists(path):
        return np.zeros(1, KNOWN)
    table = store.read_table(path)
    known = np.zeros(table.num_rows + 1, KNOWN)
    for name in KNOWN.names or ():
        known[name][:-1] = table.column(name).to_numpy()
    return known


def _rows(units: Units) -> NDArray[np.int64]:
    """The document of each unit."""
    return np.repeat(np.arange(len(units.offsets) - 1), np.diff(units.offsets))


def _columns(column: pa.StringArray, units: Units, repeated: NDArray[np.bool_], others: NDArray[np.bool_]) -> pa.Table:
    """`REPEATED_LINES` of some documents; `others` says of each unit whether another document keeps it.

    A span goes from the beginning of a unit to that of the next. Where the last unit is cut, what ends the line before
    it is cut as well: a text without its footer does not end in an empty line.
    """
    offsets, cut = units.offsets, repeated & others
    head, tail = np.zeros(len(cut) + 1, bool), np.zeros(len(cut) + 1, bool)
    head[offsets[:-1]] = True  # of a document without units: the mark falls on the next one's first
    tail[offsets[1:] - 1] = True  # likewise on the last one's before
    begins = np.flatnonzero(cut & (head[:-1] | ~np.r_[False, cut[:-1]]))
    ends = np.flatnonzero(cut & (tail[:-1] | ~np.r_[cut[1:], False]))
    starts, stops = units.starts[begins], (units.starts + units.sizes)[ends]
    last = tail[ends] & ~head[begins]
    starts[last] = units.stops[begins[last] - 1]
    spans = np.searchsorted(begins, offsets)

    def sums(values: NDArray[Any], borders: NDArray[np.int64] = offsets) -> NDArray[np.int64]:
        return np.diff(np.r_[0, np.cumsum(values, dtype=np.int64)][borders])  # type: ignore[no-any-return] # int64

    lines, repeated_bytes, cut_lines = np.diff(offsets), sums(np.where(repeated, units.sizes, 0)), sums(cut)
    share = repeated_bytes / np.maximum(sums(units.sizes), 1)
    numbers = [lines, sums(repeated), repeated_bytes, share, cut_lines, sums(stops - starts, spans)]
    missing = column.is_null().to_numpy(zero_copy_only=False)
    arrays = [*numbers, (lines > 0) & (cut_lines == lines)]
    fields = [pa.array(one, mask=missing).cast(REPEATED_LINES.field(n).type) for n, one in enumerate(arrays)]
    borders = pa.array(spans.astype(np.int32))
    fields += [pa.ListArray.from_arrays(borders, pa.array(one.astype(np.int32))) for one in (starts, stops)]
    return pa.table(fields, schema=REPEATED_LINES)


def _samples(
    column: pa.StringArray, units: Units, leads: NDArray[np.bool_], known: NDArray[Any]
) -> dict[int, tuple[int, str]]:
    """Documents and beginning of the most repeated lines, by hash, of those whose first document is among these."""
    text, rows = text_buffers(column), _rows(units)
    hashes, at = np.unique(known["hash"][leads], return_index=True)
    at = np.flatnonzero(leads)[at]
    out: dict[int, tuple[int, str]] = {}
    for n in np.lexsort((hashes, -known["documents"][at]))[:MOST]:
        start = text.offsets[rows[at[n]]] + units.starts[at[n]]
        stop = text.offsets[rows[at[n]]] + units.stops[at[n]]
        said = bytes(text.data[start : min(stop, start + 4 * SAMPLE)]).decode(errors="replace")
        out[int(hashes[n])] = int(known["documents"][at[n]]), said.strip()[:SAMPLE]
    return out


def _most(samples: dict[int, tuple[int, str]]) -> dict[int, tuple[int, str]]:
    return dict(sorted(samples.items(), key=lambda item: (-item[1][0], item[0]))[:MOST])


def _sums(table: pa.Table) -> dict[str, int]:
    """Documents, lines and bytes that are repeated, and of these what another document keeps."""
    out: dict[str, int] = {}
    for prefix, name in (("", "repeated"), ("cut_", "cut")):
        lines, size = (table.column(f"{name}_{what}").drop_null().to_numpy() for what in ("lines", "bytes"))
        out |= {f"{prefix}documents": int(np.count_nonzero(lines)), f"{prefix}lines": int(lines.sum(dtype=np.int64))}
        out[f"{prefix}bytes"] = int(size.sum())
    return out
