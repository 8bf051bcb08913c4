"""Bursts: phrases that many documents of few hosts have, each time between other words.

Some hundred pages that say the same phrase are enough to poison a model, however large the corpus (Souly et al. 2025,
"Poisoning Attacks on LLMs Require a Near-constant Number of Poison Samples"). Text that is honestly repeated stands out
by its surroundings: of a menu or a template the lines repeat, so that before and after it stands the same word, or the
border of a line in most documents; of an idiom, many hosts say it. What is left is a phrase with other neighbours in
every document.

Two exchanges of hashes, one of 16 bytes for each word, and one of 20 bytes for the few runs of words that are frequent
and of few hosts. Text never travels. Near duplicates count as one document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from ...filters.duplicates.line_hashes import look_up
from ...filters.duplicates.phrases import Phrases, Runs, find_runs, first_of_each, join_runs
from ...filters.hashing import hash_text
from ...filters.provenance.hosts import hosts
from ...filters.text.buffers import text_buffers
from ..files import store
from ..files.parts import Part, Store
from ..files.schema import BURSTS
from . import keys
from .repeated_lines import owners_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

K = TypeVar("K", int, str)

OCCURRENCE = np.dtype([("hash", "<u8"), ("host", "<u4"), ("part", "<u4")])
FREQUENT = np.dtype([("hash", "<u8"), ("documents", "<u4"), ("hosts", "<u4")])
CONTEXT = np.dtype([("hash", "<u8"), ("before", "<u4"), ("after", "<u4"), ("part", "<u4")])
VERDICT = np.dtype([("hash", "<u8"), ("begins", "?"), ("ends", "?")])

SLICE_BYTES = 16 << 20
"""Text whose runs are found at a time: some 2.7 million, of which each takes 40 bytes."""

WORD_BYTES = 5
"""Bytes for each word of a run that a phrase has at least: six letters of Japanese are no phrase."""

MOST = 20
"""Phrases that a summary shows, those of the most documents."""

SAMPLE = 200
"""Characters that it shows of each."""


def emit_runs(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Runs of words of a part's counted documents, each once a document, by range of hash.

    Args:
        payload: `store`, `part`, `ordinal`, `clusters` (folder), `words`, `ranges`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    ids, _, counted = owners_of(payload, place, part)
    names = hosts(place.column(part, ("name",)).combine_chunks())
    known = names.is_valid().to_numpy(zero_copy_only=False)
    host = np.where(known, hash_text(names), ids).astype(np.uint32)  # the low half
    for first, column in _slices(place, part):
        runs = find_runs(column, payload["words"])
        rows = first + _rows(runs)
        kept = first_of_each(runs) & counted[rows]
        packed = np.empty(int(kept.sum()), OCCURRENCE)
        packed["hash"], packed["host"], packed["part"] = runs.hashes[kept], host[rows[kept]], payload["ordinal"]
        yield from keys.split(packed, (packed["hash"] % np.uint64(payload["ranges"])).astype(np.int64))


def count_runs(_bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Runs of one range of hashes that `min_documents` have, of `max_hosts` at most, sent back to their parts."""
    packed = keys.joined(values, OCCURRENCE)
    packed = packed[np.argsort(packed["hash"], kind="stable")]
    starts, times = _groups(packed["hash"])
    packed = packed[np.repeat(times >= payload["min_documents"], times)]
    packed = packed[np.lexsort((packed["part"], packed["host"], packed["hash"]))]
    starts, times = _groups(packed["hash"])
    other = np.r_[False, packed["host"][1:] != packed["host"][:-1]]
    other[starts] = True
    of_hosts = np.add.reduceat(other.astype(np.int64), starts) if len(starts) else starts
    few = np.repeat(of_hosts <= payload["max_hosts"], times)
    found = np.empty(int(few.sum()), FREQUENT)
    found["hash"], found["documents"] = packed["hash"][few], np.repeat(times, times)[few]
    found["hosts"] = np.repeat(of_hosts, times)[few]
    yield from keys.split(found, packed["part"][few].astype(np.int64))


def write_frequent(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The frequent runs of few hosts of one part."""
    _write(payload, "frequent", ordinal, np.unique(keys.joined(values, FREQUENT)))
    return
    yield


def emit_contexts(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The neighbours of a part's frequent runs, of the first of each in each counted document, by range of hash.

    Args:
        payload: As for `emit_runs`, and `folder`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    counted = owners_of(payload, place, part)[2]
    frequent = _read(payload, "frequent", FREQUENT)
    for first, column in _slices(place, part) if len(frequent) else ():
        runs = find_runs(column, payload["words"])
        kept = first_of_each(runs) & counted[first + _rows(runs)] & (look_up(runs.hashes, frequent["hash"]) >= 0)
        packed = np.empty(int(kept.sum()), CONTEXT)
        packed["hash"], packed["before"], packed["after"] = runs.hashes[kept], runs.before[kept], runs.after[kept]
        packed["part"] = payload["ordinal"]
        yield from keys.split(packed, (packed["hash"] % np.uint64(payload["ranges"])).astype(np.int64))


def judge_runs(_bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Whether runs of one range of hashes may begin or end a phrase, sent back to their parts."""
    packed = keys.joined(values, CONTEXT)
    packed = packed[np.lexsort((packed["part"], packed["hash"]))]
    starts, times = _groups(packed["hash"])
    verdict = np.empty(len(starts), VERDICT)
    verdict["hash"] = packed["hash"][starts]
    for side, name in (("before", "begins"), ("after", "ends")):
        alike, beside = _alike(packed["hash"], packed[side], starts)
        few = alike <= payload["max_alike"] * (beside * (beside - 1)).astype(np.float64)
        verdict[name] = few & (2 * beside >= np.maximum(times, 2))
    useful = verdict["begins"] | verdict["ends"]
    for_parts = np.repeat(useful, times)
    yield from keys.split(np.repeat(verdict, times)[for_parts], packed["part"][for_parts].astype(np.int64))


def write_verdicts(ordinal: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The runs of one part that may begin or end a phrase."""
    _write(payload, "verdicts", ordinal, np.unique(keys.joined(values, VERDICT)))
    return
    yield


def mark_part(payload: dict[str, Any], **_: Any) -> None:
    """Write the phrases of a part's documents, as columns in `BURSTS`, and then the part's summary.

    Args:
        payload: As for `emit_contexts`, and `bursts` (fingerprint of the columns), `summary` (path).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    frequent, verdicts = _read(payload, "frequent", FREQUENT), _read(payload, "verdicts", VERDICT)
    begins, ends = np.zeros(len(frequent), bool), np.zeros(len(frequent), bool)
    at = look_up(verdicts["hash"], frequent["hash"])
    begins[at], ends[at] = verdicts["begins"], verdicts["ends"]
    tables: list[pa.Table] = [BURSTS.empty_table()]
    most: dict[int, tuple[int, int, str]] = {}
    for _first, column in _slices(place, part) if begins.any() and ends.any() else ():
        runs = find_runs(column, payload["words"])
        found = look_up(runs.hashes, frequent["hash"])
        known = found >= 0
        phrases = _long(runs, join_runs(runs.offsets, known, known & begins[found], known & ends[found]), payload)
        those = frequent[found[phrases.first]]
        tables.append(_columns(column, runs, phrases, those))
        most = most_frequent([most, _samples(column, runs, phrases, those)])
    table = pa.concat_tables(tables)
    if table.num_rows < part.rows:  # nothing begins a phrase, or nothing ends one
        missing = place.column(part, ("document",)).is_null().to_numpy()
        zeros = [pa.array(np.zeros(part.rows), mask=missing).cast(field.type) for field in BURSTS]
        table = pa.table(zeros, schema=BURSTS)
    store.write_table(place.score(payload["bursts"], part.id), table)
    counts = table.column("phrases").drop_null().to_numpy()
    summary = {
        "source": part.source,
        "documents": int(np.count_nonzero(counts)),
        "phrases": int(counts.sum(dtype=np.int64)),
        "bytes": int(table.column("bytes").drop_null().to_numpy().sum()),
    }
    listed = [{"hash": f"{one:016x}", "found": found} for one, found in most.items()]
    store.write_json(payload["summary"], {**summary, "most": listed})


def _slices(place: Store, part: Part) -> Iterator[tuple[int, pa.StringArray]]:
    """The first row of some documents, and their texts: one, or as many as are no longer than `SLICE_BYTES`."""
    for start, column in texts_of(place.documents(part.id)):
        offsets, first = text_buffers(column).offsets, 0
        while first < len(column):
            stop = int(np.searchsorted(offsets, offsets[first] + SLICE_BYTES, side="right")) - 1
            stop = min(max(stop, first + 1), len(column))
            yield start + first, column.slice(first, stop - first)
            first = stop


def _rows(runs: Runs) -> NDArray[np.int64]:
    """The document of each run."""
    return np.repeat(np.arange(len(runs.offsets) - 1), np.diff(runs.offsets))


def _long(runs: Runs, phrases: Phrases, payload: dict[str, Any]) -> Phrases:
    """Phrases without those of too few bytes."""
    kept = runs.stops[phrases.last] - runs.starts[phrases.first] >= WORD_BYTES * payload["words"]
    return Phrases(np.r_[0, np.cumsum(kept)][phrases.offsets], phrases.first[kept], phrases.last[kept])


def _groups(values: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each of the values that are sorted starts, and how often it comes."""
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)
    return starts, np.diff(np.r_[starts, len(values)])


def _alike(
    hashes: NDArray[np.uint64], neighbours: NDArray[np.uint32], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each run: ordered pairs of documents with the same word beside it, and documents with any."""
    order = np.lexsort((neighbours, hashes))
    hashes, neighbours = hashes[order], neighbours[order]
    same = np.flatnonzero(np.r_[True, (hashes[1:] != hashes[:-1]) | (neighbours[1:] != neighbours[:-1])])
    times = np.diff(np.r_[same, len(hashes)])
    pairs = np.zeros(len(hashes), np.int64)
    pairs[same] = np.where(neighbours[same] > 0, times * (times - 1), 0)
    if not len(starts):
        return starts, starts
    return np.add.reduceat(pairs, starts), np.add.reduceat((neighbours > 0).astype(np.int64), starts)


def _write(payload: dict[str, Any], name: str, ordinal: int, rows: NDArray[Any]) -> None:
    table = pa.table({field: rows[field] for field in rows.dtype.names or ()})
    store.write_table(store.join(payload["folder"], name, f"{ordinal:07d}.parquet"), table)


def _read(payload: dict[str, Any], name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    path = store.join(payload["folder"], name, f"{payload['ordinal']:07d}.parquet")
    if not store.exists(path):
        return np.zeros(0, dtype)
    table = store.read_table(path)
    rows = np.zeros(table.num_rows, dtype)
    for field in dtype.names or ():
        rows[field] = table.column(field).to_numpy()
    return rows


def _columns(column: pa.StringArray, runs: Runs, phrases: Phrases, those: NDArray[Any]) -> pa.Table:
    """`BURSTS` of some documents; `those` are the runs in `FREQUENT` with which the phrases begin."""
    counts = np.diff(phrases.offsets)
    rows = np.repeat(np.arange(len(counts)), counts)
    starts, stops = runs.starts[phrases.first], runs.stops[phrases.last]
    again = np.r_[False, rows[1:] == rows[:-1]]
    starts = np.where(again, np.maximum(starts, np.r_[0, stops[:-1]]), starts)  # words that two phrases share
    size, documents = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    np.add.at(size, rows, stops - starts)
    np.maximum.at(documents, rows, those["documents"].astype(np.int64))
    whole = np.diff(text_buffers(column).offsets)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    values = (counts, size, size / np.maximum(whole, 1), documents)
    arrays = [pa.array(one, mask=missing).cast(field.type) for one, field in zip(values, BURSTS, strict=True)]
    return pa.table(arrays, schema=BURSTS)


def _samples(
    column: pa.StringArray, runs: Runs, phrases: Phrases, those: NDArray[Any]
) -> dict[int, tuple[int, int, str]]:
    """Documents, hosts and text of the phrases that most documents have, by the hash of the run that begins them."""
    text = text_buffers(column)
    rows = np.repeat(np.arange(len(column)), np.diff(phrases.offsets))
    hashes, at = np.unique(those["hash"], return_index=True)
    out: dict[int, tuple[int, int, str]] = {}
    for n in at[np.lexsort((hashes, -those["documents"][at].astype(np.int64)))[:MOST]].tolist():
        first = text.offsets[rows[n]] + runs.starts[phrases.first[n]]
        stop = text.offsets[rows[n]] + runs.stops[phrases.last[n]]
        said = bytes(text.data[first : min(stop, first + 4 * SAMPLE)]).decode(errors="replace")
        found = int(those["documents"][n]), int(those["hosts"][n]), " ".join(said.split())[:SAMPLE]
        out[int(those["hash"][n])] = found
    return out


def most_frequent(several: Iterable[dict[K, tuple[int, int, str]]]) -> dict[K, tuple[int, int, str]]:
    """The phrases of the most documents; of several texts of one, the least."""
    out: dict[K, tuple[int, int, str]] = {}
    for those in several:
        for one, found in those.items():
            out[one] = min(found, out.get(one, found))
    return dict(sorted(out.items(), key=lambda item: (-item[1][0], item[0]))[:MOST])
