"""Near duplicates in Parquet files, without a study: Parquet in, duplicates removed or marked, Parquet out.

The same signatures, candidates, components and leaders as in a build, on one machine and in one process, with threads:
the kernels run without the interpreter's lock. Signatures stand in a file, so memory is about 0.1 KB a document and
what one batch a thread takes. A build (`[dedup]` of a study) does the same on clusters, can go on where it stopped, and
can prove exactly.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..filters import minhash
from ..filters.kernels import text_column
from . import grouping, keys, leaders, store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .progress import Reporter

Outcome = Literal["removed", "marked", "listed"]

MARKS = pa.schema(
    [
        pa.field("cluster", pa.string()),
        pa.field("duplicate", pa.bool_()),
        pa.field("similarity", pa.float32()),
        pa.field("cluster_size", pa.int32()),
    ]
)
"""Columns that `marked` adds."""

SUMMARY = "dedup.json"
DUPLICATES = "duplicates.parquet"

_ROWS = 8192
_GROUP_BYTES = 64 << 20
"""Of a row group that is written, before compression."""
_FOLD = 10_000_000
"""Edges after which they are made stars, 16 bytes each."""
_CHUNK = 1 << 18
"""Candidates whose signatures are in memory at a time, of one component or of several: 113 MB."""


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
    threshold: float = 0.7

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


@dataclass(frozen=True)
class _Input:
    """One file of the input.

    Attributes:
        path: Where it stands.
        name: Its name in the output.
        first: Number of its first row among all rows.
        metadata: Its Parquet footer.
    """

    path: str
    name: str
    first: int
    metadata: pq.FileMetaData

    @property
    def rows(self) -> slice:
        """Its rows among all rows."""
        return slice(self.first, self.first + self.metadata.num_rows)

    @contextlib.contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """The file, open."""
        with store.open_input(self.path) as file:
            yield pq.ParquetFile(file, metadata=self.metadata)


@dataclass(frozen=True)
class _Clusters:
    """Which row leads each row, and how it compares.

    Attributes:
        ids: `keys.ID` of shape (n,), zero for a row without text.
        leader: int64 of shape (n,), a row's own number where it leads.
        similarity: float32 of shape (n,), to the leader.
        size: int32 of shape (n,), rows of the cluster.
    """

    ids: NDArray[Any]
    leader: NDArray[np.int64]
    similarity: NDArray[np.float32]
    size: NDArray[np.int32]

    def duplicate(self, rows: slice) -> NDArray[np.bool_]:
        """Which of these rows are led by another."""
        found: NDArray[np.bool_] = self.leader[rows] != np.arange(rows.start, rows.stop)
        return found


def deduplicate(
    inputs: Sequence[str], out: str, near: Near, outcome: Outcome, *, workers: int, report: Reporter
) -> dict[str, Any]:
    """Find near duplicates among the rows of Parquet files, and write the files without them.

    Of documents that are near each other, the one whose content hash is least stays, so that the order of files and
    rows decides nothing; of equal texts the first. Rows without text stay.

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
    files = _inputs([store.absolute(one) for one in inputs], near.text)
    out = store.absolute(out)
    _claim(out, files, outcome)
    parameters = {**asdict(near), "outcome": outcome}
    store.write_json(store.join(out, SUMMARY), {"finished": False, "parameters": parameters})
    rows = files[-1].rows.stop
    with tempfile.TemporaryDirectory(prefix="tokenladder-", dir=None if store.is_remote(out) else out) as folder:
        shape = (max(rows, 1), near.bands * near.rows)
        signatures = np.memmap(os.path.join(folder, "signatures"), np.uint32, "w+", shape=shape)[:rows]
        ids = np.zeros(rows, keys.ID)
        with ThreadPoolExecutor(workers) as pool:
            groups = [(file, group) for file in files for group in range(file.metadata.num_row_groups)]
            sign = functools.partial(_sign, near, ids, signatures)
            size = sum(_run(pool, report, "sign", sign, groups))
            clusters = _cluster(pool, report, near, ids, signatures)
            if outcome != "listed":
                _run(pool, report, "write", lambda file: _write(file, out, clusters, outcome), files)
        del sign, signatures
    store.write_table(store.join(out, DUPLICATES), _listed(files, clusters))
    duplicates = clusters.duplicate(slice(0, rows))
    leads = np.bincount(clusters.leader, minlength=rows)
    summary = {
        "finished": True,
        "files": len(files),
        "documents": rows,
        "without_text": rows - int(_exist(ids).sum()),
        "text_bytes": size,
        "duplicates": int(duplicates.sum()),
        "clusters": int((leads > 1).sum()),
        "largest_cluster": int(leads.max(initial=0)),
        "parameters": parameters,
    }
    store.write_json(store.join(out, SUMMARY), summary)
    return summary


def _inputs(patterns: Sequence[str], text: str) -> list[_Input]:
    """The files that patterns name, in the order of their paths."""
    paths = sorted({file.path for one in patterns for file in store.list_files(one) if _is_parquet(file.path)})
    if not paths:
        given = ", ".join(patterns)
        raise store.UserError(
            f"{given}: no Parquet files are there. Give files *.parquet, folders that hold some, or globs."
        )
    folder = os.path.dirname(paths[0]) if len(paths) == 1 else os.path.commonpath(paths)
    files, first = [], 0
    for path in paths:
        try:
            with store.open_input(path) as file:
                metadata = pq.read_metadata(file)
        except pa.ArrowInvalid as error:
            raise store.UserError(f"{path}: is no Parquet file, or a damaged one ({error}).") from error
        schema = metadata.schema.to_arrow_schema()
        if text not in schema.names:
            have = ", ".join(schema.names)
            raise store.UserError(f"{path}: has no column {text!r}, but {have}. Name the text's with --text.")
        files.append(_Input(path, path[len(folder) :].lstrip("/"), first, metadata))
        first += metadata.num_rows
    return files


def _is_parquet(path: str) -> bool:
    return path.endswith((".parquet", ".pq")) and not os.path.basename(path).startswith((".", "_"))


def _claim(out: str, files: Sequence[_Input], outcome: Outcome) -> None:
    """See that nothing of others stands in the output's folder, and that the output can be told from the input."""
    for file in files:
        if store.join(out, file.name) == file.path or file.path.startswith(f"{out}/"):
            raise store.UserError(f"{file.path}: is below the folder of the output, {out}. Give another with --out.")
        taken = set(file.metadata.schema.to_arrow_schema().names) & set(MARKS.names)
        if outcome == "marked" and taken:
            raise store.UserError(f"{file.path}: has a column {min(taken)!r}, as the marks would. Rename it first.")
        if outcome != "listed" and file.name == DUPLICATES:
            raise store.UserError(f"{file.path}: the list of duplicates would have this name. Rename it first.")
    if store.names(out) and SUMMARY not in store.names(out):
        raise store.UserError(f"{out}: holds files of something else. Give a new folder with --out.")


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


def _sign(near: Near, ids: NDArray[Any], signatures: NDArray[np.uint32], place: tuple[_Input, int]) -> int:
    """Fill in ids and signatures of a row group; its bytes of text."""
    file, group = place
    family = near.family
    names = file.metadata.schema.to_arrow_schema().names
    columns = [near.text, *(["file_type"] if near.unit == "auto" and "file_type" in names else [])]
    first = file.first + sum(file.metadata.row_group(n).num_rows for n in range(group))
    size = 0
    with file.open() as parquet:
        for batch in parquet.iter_batches(_ROWS, [group], columns, use_threads=False):
            try:
                texts = text_column(_plain(batch), near.text)
            except ValueError as error:
                raise store.UserError(f"{file.path}: {error}") from error
            documents = pa.record_batch([texts, *_plain(batch).columns[1:]], ["text", *columns[1:]])
            stop = first + len(batch)
            hashes = [
                keys.NO_ID if text is None else hashlib.blake2b(text, digest_size=16).digest()
                for text in texts.cast(pa.binary()).to_pylist()
            ]
            ids[first:stop] = np.frombuffer(b"".join(hashes), keys.ID)
            signatures[first:stop] = minhash.signature_matrix(family.score(documents).column("signature"))
            size += int(texts.nbytes)
            first = stop
    return size


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionary columns as what they stand for."""
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    return pa.record_batch(columns, batch.schema.names)


def _exist(ids: NDArray[Any]) -> NDArray[np.bool_]:
    exist: NDArray[np.bool_] = (ids["high"] != 0) | (ids["low"] != 0)
    return exist


def _cluster(
    pool: ThreadPoolExecutor, report: Reporter, near: Near, ids: NDArray[Any], signatures: NDArray[np.uint32]
) -> _Clusters:
    """Candidates band by band, their components, and the leaders of these."""
    rows = len(ids)
    numbers = np.arange(rows, dtype=np.uint64)
    exist = _exist(ids)
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

    parts = _chunks(component)
    leader, similarity = np.arange(rows), np.ones(rows, np.float32)
    for part, (heads, close) in zip(parts, _run(pool, report, "compare candidates", lead, parts), strict=True):
        leader[numbered[part]], similarity[numbered[part]] = heads, close
    size = np.bincount(leader, minlength=rows).astype(np.int32)[leader]
    return _Clusters(ids, leader, similarity, size)


def _band(signatures: NDArray[np.uint32], signed: NDArray[np.int64], band: int, rows: int) -> NDArray[np.uint64]:
    """The hashes of one band, uint64[len(signed)]."""
    out = np.empty(len(signed), np.uint64)
    for start in range(0, len(signed), _CHUNK):
        some = signed[start : start + _CHUNK]
        values = signatures[some, band * rows : (band + 1) * rows]
        out[start : start + _CHUNK] = minhash.band_hashes(values, 1, rows)[:, 0]
    return out


def _chunks(component: NDArray[np.uint64]) -> list[slice]:
    """Slices of whole components, of _CHUNK documents or of one component each."""
    ends = np.flatnonzero(np.r_[component[1:] != component[:-1], True]) + 1 if len(component) else np.zeros(0, np.int64)
    found, start = [], 0
    for end in np.r_[ends[np.flatnonzero(np.diff(ends // _CHUNK))], ends[-1:]].tolist():
        if end > start:
            found.append(slice(start, end))
            start = end
    return found


def _write(file: _Input, out: str, clusters: _Clusters, outcome: Outcome) -> None:
    """Write one file of the output."""
    duplicate = clusters.duplicate(file.rows)
    with file.open() as parquet, store.output_file(store.join(out, file.name)) as path:
        schema = parquet.schema_arrow
        marked = outcome == "marked"
        if marked:
            # What other libraries noted about the columns is no longer true.
            schema = pa.schema([*schema, *MARKS], _without(schema.metadata, b"huggingface"))
        held: list[pa.RecordBatch] = []
        size, first = 0, 0
        with pq.ParquetWriter(path, schema, **_options(file.metadata)) as writer:
            for batch in parquet.iter_batches(_ROWS, use_threads=False):
                rows = slice(first, first + len(batch))
                first = rows.stop
                if marked:
                    columns = _marks(clusters, slice(file.first + rows.start, file.first + rows.stop))
                    held.append(pa.record_batch([*batch.columns, *columns], schema=schema))
                else:
                    held.append(_filtered(batch, ~duplicate[rows]))
                size += held[-1].nbytes
                if size >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held, size = [], 0
            if held:
                writer.write_table(pa.Table.from_batches(held, schema))


def _filtered(batch: pa.RecordBatch, kept: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows that stay. Arrow filters no views of strings, so these take a way round."""
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    plain = pa.schema([field.with_type(views.get(field.type, field.type)) for field in batch.schema])
    return batch.cast(plain).filter(pa.array(kept)).cast(batch.schema)


def _options(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Compression as the input has it; no dictionary of a column whose values do not fit one, such as the text."""
    if not metadata.num_row_groups:
        return {}
    group = metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    compression = {one.path_in_schema: one.compression.replace("UNCOMPRESSED", "NONE") for one in columns}
    few = [one.path_in_schema for one in columns if one.total_uncompressed_size < max(1 << 20, 16 * one.num_values)]
    return {"compression": compression, "use_dictionary": few, "write_statistics": few}


def _without(metadata: dict[bytes, bytes] | None, name: bytes) -> dict[bytes, bytes] | None:
    return {key: value for key, value in metadata.items() if key != name} if metadata else None


def _marks(clusters: _Clusters, rows: slice) -> list[pa.Array]:
    """The columns of MARKS for these rows; a row without text is in no cluster."""
    missing = ~_exist(clusters.ids[rows])
    digits = clusters.ids[clusters.leader[rows]].tobytes().hex().encode()
    offsets = np.arange(0, len(digits) + 1, 32, dtype=np.int32)
    bits = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    names = pa.StringArray.from_buffers(len(missing), pa.py_buffer(offsets), pa.py_buffer(digits), bits)
    size = pa.array(clusters.size[rows], mask=missing)
    return [names, pa.array(clusters.duplicate(rows)), pa.array(clusters.similarity[rows], mask=missing), size]


def _listed(files: Sequence[_Input], clusters: _Clusters) -> pa.Table:
    """A row for each duplicate: where it stood, and its leader."""
    duplicate = np.flatnonzero(clusters.duplicate(slice(0, len(clusters.leader))))
    leader = clusters.leader[duplicate]
    starts = np.array([file.first for file in files])
    names = pa.array([file.name for file in files], pa.string())

    def place(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        which = np.searchsorted(starts, rows, "right") - 1
        return pa.DictionaryArray.from_arrays(which.astype(np.int32), names), pa.array(rows - starts[which])

    file, row = place(duplicate)
    leader_file, leader_row = place(leader)
    columns = {
        "file": file,
        "row": row,
        "leader_file": leader_file,
        "leader_row": leader_row,
        "similarity": pa.array(clusters.similarity[duplicate]),
        "cluster_size": pa.array(clusters.size[duplicate]),
    }
    return pa.table(columns)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
