"""Near duplicates in Parquet files, without a study: Parquet in, duplicates removed or marked, Parquet out.

The same signatures, candidates, components and leaders as in a build, on one machine and in one process, with threads:
the kernels run without the interpreter's lock. Signatures stand in a file, so memory is about 0.1 KB a document and
what one batch a thread takes. A build (`[dedup]` of a study) does the same on clusters, can go on where it stopped, and
can prove exactly.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.duplicates import minhash
from ...filters.text.buffers import text_buffers, text_column
from ..files import store
from ..stages import grouping, keys, leaders
from ..stages.dedup_files import (
    DUPLICATES,
    SUMMARY,
    Clusters,
    Input,
    Outcome,
    claim,
    listed,
    open_inputs,
    with_text,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..watch.progress import Reporter

_FOLD = 10_000_000
"""Edges after which they are made stars, 16 bytes each."""
_CHUNK_BYTES = 113 << 20
"""Signatures in memory at a time in each thread, of one component of candidates or of several."""


@dataclass(frozen=True)
class Near:
    """What counts as a near duplicate.

    Attributes:
        text: The column of text.
        unit: What shingles are made of: `words`, `characters`, `code`, or `auto`: the tokens of code where a row has a
            `file_type`, words elsewhere.
        ngram: Units in a shingle; by default as the unit has it.
        bands: Bands of the signature.
        rows: Values in a band.
        threshold: Least Jaccard similarity to the cluster's leader, estimated from the signatures.
    """

    text: str = "text"
    unit: str = "auto"
    ngram: int | None = None
    bands: int = 18
    rows: int = 6
    threshold: float = 0.72

    def __post_init__(self) -> None:
        """Check the threshold; the signature checks the rest.

        Raises:
            UserError: A parameter is out of range.
        """
        if not 0 < self.threshold <= 1:
            raise store.UserError(f"threshold: is a Jaccard similarity above 0, at most 1; {self.threshold} was given.")
        try:
            self.family  # noqa: B018 it checks its parameters
        except ValueError as error:
            raise store.UserError(str(error)) from error

    @property
    def family(self) -> minhash.MinHash:
        """The signature."""
        return minhash.MinHash(unit=self.unit, ngram=self.ngram, bands=self.bands, rows=self.rows)


def deduplicate(
    inputs: Sequence[str], out: str, near: Near, outcome: Outcome, *, workers: int, report: Reporter
) -> dict[str, Any]:
    """Find near duplicates among the rows of Parquet files, and write the files without them.

    Leaders are looked for in the order of content hashes (`leaders`), so that the order of files and rows decides
    nothing; of equal texts the first stays. Rows without text stay.

    Args:
        inputs: Files, folders or globs, local, s3:// or gs://. Each has the column of text.
        out: Folder for the files, under their names below the folder that all share; for DUPLICATES, a row for each
            duplicate; and for SUMMARY.
        near: What counts as a near duplicate.
        outcome: `removed` writes the rows that stay; `marked` all rows, with the columns of MARKS; `listed` only
            DUPLICATES.
        workers: Threads.
        report: Says how far it is.

    Returns:
        What SUMMARY holds: counts and parameters.

    Raises:
        UserError: The input or the output folder is not as it must be.
        OSError: A file cannot be read or written.
    """
    files = open_inputs([store.absolute(one) for one in inputs], near.text)
    out = store.absolute(out)
    claim(out, files, outcome)
    parameters = {**asdict(near), "outcome": outcome}
    store.write_json(store.join(out, SUMMARY), {"finished": False, "parameters": parameters})
    rows = files[-1].rows.stop
    store.sweep(out)
    prefix = store.temporary_name("signatures-")  # so that it is swept if this process dies
    with tempfile.TemporaryDirectory(prefix=prefix, dir=None if store.is_remote(out) else out) as folder:
        signatures = _mapped(folder, rows, near.bands * near.rows)
        ids = np.zeros(rows, keys.ID)
        with ThreadPoolExecutor(workers) as pool:
            groups = [place for file in files for place in _groups(file)]
            sign = functools.partial(_sign, near, ids, signatures)
            size = sum(_run(pool, report, "sign", sign, groups))
            clusters = cluster_rows(pool, report, near, ids, signatures)
            if outcome != "listed":
                _run(pool, report, "write", lambda file: write(file, out, clusters, outcome), files)
        del sign, signatures
    store.write_table(store.join(out, DUPLICATES), listed(files, clusters))
    duplicates = clusters.duplicate(slice(0, rows))
    leads = np.bincount(clusters.leader, minlength=rows)
    summary = {
        "finished": True,
        "files": len(files),
        "documents": rows,
        "without_text": rows - int(with_text(ids).sum()),
        "text_bytes": size,
        "duplicates": int(duplicates.sum()),
        "clusters": int((leads > 1).sum()),
        "largest_cluster": int(leads.max(initial=0)),
        "parameters": parameters,
    }
    store.write_json(store.join(out, SUMMARY), summary)
    return summary


def _run(pool: ThreadPoolExecutor, report: Reporter, label: str, work: Any, tasks: Sequence[Any]) -> list[Any]:
    """Do the tasks in threads, and tell how far they are."""
    done = 0
    lock = threading.Lock()

    def one(task: Any) -> Any:
        nonlocal done
        result = work(task)
        with lock:
            done += 1
        return result

    with report.stage(label, len(tasks), lambda: done):
        return list(pool.map(one, tasks))


def _mapped(folder: str, rows: int, places: int) -> NDArray[np.uint32]:
    """A matrix in a file, uint32 of shape (rows, places).

    Raises:
        OSError: The disk has no room for it.
    """
    path, size = os.path.join(folder, "signatures"), 4 * max(rows, 1) * places
    with open(path, "wb") as file:
        try:
            # A disk that is found full only when a page of the map is written ends the process without a word.
            (os.posix_fallocate if hasattr(os, "posix_fallocate") else _truncate)(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"{folder}: signatures of {rows:,} documents take {size / 1e9:.1f} GB for a while, and there is no "
                f"room for them ({error.strerror}). Make room, or give another disk with --out."
            ) from error
    matrix: NDArray[np.uint32] = np.memmap(path, np.uint32, "r+", shape=(max(rows, 1), places))[:rows]
    return matrix


def _truncate(file: int, _start: int, size: int) -> None:
    os.truncate(file, size)


def _groups(file: Input) -> list[tuple[Input, int, int]]:
    """The row groups of a file: of each its number, and that of its first row among all rows."""
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    firsts = itertools.accumulate(sizes, initial=file.first)
    return [(file, n, first) for n, first in zip(range(len(sizes)), firsts, strict=False)]


def _sign(near: Near, ids: NDArray[Any], signatures: NDArray[np.uint32], place: tuple[Input, int, int]) -> int:
    """Fill in ids and signatures of a row group; its bytes of text."""
    file, group, first = place
    family = near.family
    names = file.metadata.schema.to_arrow_schema().names
    typed = near.unit == "auto" and "file_type" in names and near.text != "file_type"
    columns = [near.text, *(["file_type"] if typed else [])]
    size = 0
    for batch in file.read([group], columns):
        try:
            texts = text_column(_plain(batch), near.text)
            documents = pa.record_batch([texts, *_plain(batch).columns[1:]], ["text", *columns[1:]])
            score = family.score(documents)
        except ValueError as error:
            hint = " Or give --unit words or code." if "'file_type'" in str(error) else ""
            raise store.UserError(f"{file.path}: {error}{hint}") from error
        stop = first + len(batch)
        found = text_buffers(texts)
        data, offsets = found.data.data, found.offsets.tolist()
        hashes = [
            hashlib.blake2b(data[start:end], digest_size=16).digest() if valid else keys.NO_ID
            for start, end, valid in zip(offsets, offsets[1:], found.valid.tolist(), strict=False)
        ]
        ids[first:stop] = np.frombuffer(b"".join(hashes), keys.ID)
        signatures[first:stop] = minhash.signature_matrix(score.column("signature"))
        size += int(texts.nbytes)
        first = stop
    return size


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries and views as what they stand for."""
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    columns = [one.cast(pa.large_string()) if pa.types.is_string_view(one.type) else one for one in columns]
    return pa.record_batch(columns, batch.schema.names)


def cluster_rows(
    pool: ThreadPoolExecutor, report: Reporter, near: Near, ids: NDArray[Any], signatures: NDArray[np.uint32]
) -> Clusters:
    """Find candidates band by band, their components, and the leaders of these.

    Args:
        pool: Threads.
        report: Says how far it is.
        near: What counts as a near duplicate.
        ids: `keys.ID` of shape (n,), content hashes; zero where there is no text.
        signatures: uint32 of shape (n, bands * rows), perhaps of a mapped file; rows without words are all EMPTY.
    """
    rows = len(ids)
    numbers = np.arange(rows, dtype=np.uint64)
    exist = with_text(ids)
    signed = np.flatnonzero(exist & (signatures[:, 0] != minhash.EMPTY))

    def link(band: int) -> NDArray[np.uint64]:
        if band < 0:  # equal texts, those without words too
            hashes, owners = ids["high"][exist].astype(np.uint64), numbers[exist]
        else:
            hashes, owners = _band(signatures, signed, band, near.rows), numbers[signed]
        return grouping.stars(grouping.link(hashes, owners | grouping.ASKS))

    edges = np.zeros((0, 2), np.uint64)
    for found in _run(pool, report, "find candidates", link, range(-1, near.bands)):
        edges = np.concatenate([edges, found])
        if len(edges) > _FOLD:
            edges = grouping.stars(edges)
    members, component = grouping.components(edges)
    del edges
    numbered = members.astype(np.int64)
    order = np.lexsort((numbered, ids["low"][numbered], ids["high"][numbered], component))
    numbered, component = numbered[order], component[order]

    def lead(part: slice) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        some = numbered[part]
        found, similarity = leaders.leader_clusters(
            component[part],
            ids[some],
            np.zeros(len(some), bool),
            signatures[some],
            near.bands,
            near.rows,
            near.threshold,
        )
        return some[found], similarity

    parts = _chunks(component, _chunk(signatures))
    leader, similarity = np.arange(rows), np.ones(rows, np.float32)
    for part, (heads, close) in zip(parts, _run(pool, report, "compare candidates", lead, parts), strict=True):
        leader[numbered[part]], similarity[numbered[part]] = heads, close
    size = np.bincount(leader, minlength=rows).astype(np.int32)[leader]
    return Clusters(ids, leader, similarity, size)


def _band(signatures: NDArray[np.uint32], signed: NDArray[np.int64], band: int, rows: int) -> NDArray[np.uint64]:
    """The hashes of one band, uint64[len(signed)]."""
    out = np.empty(len(signed), np.uint64)
    step = _chunk(signatures)
    for start in range(0, len(signed), step):
        some = signed[start : start + step]
        values = signatures[some, band * rows : (band + 1) * rows]
        out[start : start + step] = minhash.band_hashes(values, 1, rows)[:, 0]
    return out


def _chunk(signatures: NDArray[np.uint32]) -> int:
    """Documents whose signatures take _CHUNK_BYTES."""
    return max(1, _CHUNK_BYTES // (4 * int(signatures.shape[1])))


def _chunks(component: NDArray[np.uint64], most: int) -> list[slice]:
    """Slices of whole components, of so many documents or of one component each."""
    ends = np.flatnonzero(np.r_[component[1:] != component[:-1], True]) + 1 if len(component) else np.zeros(0, np.int64)
    found, start = [], 0
    for end in np.r_[ends[np.flatnonzero(np.diff(ends // most))], ends[-1:]].tolist():
        if end > start:
            found.append(slice(start, end))
            start = end
    return found


def show(summary: dict[str, Any]) -> str:
    """What was found, for people.

    >>> show({"documents": 3, "duplicates": 1, "clusters": 1, "largest_cluster": 2, "without_text": 0, "files": 1})
    '3 documents in 1 file: 1 near duplicate (33.3 %) in 1 cluster, the largest of 2'
    """

    def count(number: int, word: str) -> str:
        return f"{number:,} {word}" + ("" if number == 1 else "s")

    share = summary["duplicates"] / max(1, summary["documents"])
    line = f"{count(summary['documents'], 'document')} in {count(summary['files'], 'file')}: "
    line += f"{count(summary['duplicates'], 'near duplicate')} ({share:.1%})".replace("%", " %")
    line += f" in {count(summary['clusters'], 'cluster')}"
    if summary["clusters"]:
        line += f", the largest of {summary['largest_cluster']:,}"
    if summary["without_text"]:
        line += f"; {count(summary['without_text'], 'row')} without text stay"
    return line


def to_json(summary: dict[str, Any]) -> str:
    """The summary as one JSON document."""
    return json.dumps(summary, indent=2, sort_keys=True)
