"""The files of `deduplicate`: Parquet as it comes, and as it goes, without duplicates or with marks.

Other columns, the schema's metadata and the compression stay as they are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..files import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

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

ROWS = 2048
"""Rows that are read at a time: what is decoded stays in the cache of the processor for what follows."""

_GROUP_BYTES = 64 << 20
"""Of a row group that is written, before compression."""


@dataclass(frozen=True)
class Input:
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

    def read(self, groups: Sequence[int] | None = None, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows, at most ROWS at a time.

        Args:
            groups: Row groups, all by default.
            columns: By default all.

        Raises:
            OSError: The file cannot be read, or is damaged.
        """
        with store.open_input(self.path) as file:
            try:
                parquet = pq.ParquetFile(file, metadata=self.metadata)
                yield from parquet.iter_batches(ROWS, groups, columns, use_threads=False)
            except (OSError, pa.ArrowException) as error:  # Arrow names no file
                raise OSError(f"{self.path}: is damaged, or cannot be read: {error}") from error


@dataclass(frozen=True)
class Clusters:
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


def with_text(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a text; an id of zero stands for none."""
    found: NDArray[np.bool_] = (ids["high"] != 0) | (ids["low"] != 0)
    return found


def open_inputs(patterns: Sequence[str], text: str) -> list[Input]:
    """The files that patterns name, in the order of their paths."""
    paths = sorted({file.path for one in patterns for file in store.list_files(one) if _is_parquet(file.path)})
    if not paths:
        given = ", ".join(patterns)
        raise store.UserError(
            f"{given}: no Parquet files are there. Give files *.parquet, folders that hold some, or globs."
        )
    folders = [path.split("/")[:-1] for path in paths]
    folder = "/".join(os.path.commonprefix(folders))  # noqa: RUF071 of names; commonpath makes s3:/ of s3://
    files, first = [], 0
    for path in paths:
        try:
            with store.open_input(path) as file:
                metadata = pq.read_metadata(file)
        except pa.ArrowInvalid as error:
            raise store.UserError(f"{path}: is no Parquet file, or a damaged one ({error}).") from error
        except OSError as error:
            raise OSError(f"{path}: is damaged, or cannot be read: {error}") from error
        schema = metadata.schema.to_arrow_schema()
        if text not in schema.names:
            have = ", ".join(schema.names)
            raise store.UserError(f"{path}: has no column {text!r}, but {have}. Name the text's with --text.")
        if schema.names.count(text) > 1:
            raise store.UserError(f"{path}: has several columns {text!r}. Rename all but the text's.")
        files.append(Input(path, path[len(folder) :].lstrip("/"), first, metadata))
        first += metadata.num_rows
    return files


def _is_parquet(path: str) -> bool:
    return path.endswith((".parquet", ".pq")) and not os.path.basename(path).startswith((".", "_"))


def claim(out: str, files: Sequence[Input], outcome: Outcome) -> None:
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
    written = {store.join(out, name) for name in [DUPLICATES, *(file.name for file in files if outcome != "listed")]}
    for found in store.list_files(out):
        if _is_parquet(found.path) and found.path not in written:
            raise store.UserError(
                f"{found.path}: is of an earlier run, and would stay beside what this one writes. Give a new folder "
                "with --out, or delete that one."
            )


def write(file: Input, out: str, clusters: Clusters, outcome: Outcome) -> None:
    """Write one file of the output."""
    duplicate = clusters.duplicate(file.rows)
    with store.output_file(store.join(out, file.name)) as path:
        schema = file.metadata.schema.to_arrow_schema()
        marked = outcome == "marked"
        if marked:
            # What other libraries noted about the columns is no longer true.
            schema = pa.schema([*schema, *MARKS], _without(schema.metadata, b"huggingface"))
        held: list[pa.RecordBatch] = []
        size, first = 0, 0
        with pq.ParquetWriter(path, schema, **_options(file.metadata)) as writer:
            for batch in file.read():
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
    """The rows that stay."""
    plain = pa.schema([field.with_type(_without_views(field.type)) for field in batch.schema])
    return batch.cast(plain).filter(pa.array(kept)).cast(batch.schema)


def _without_views(kind: pa.DataType) -> pa.DataType:
    """A type whose values Arrow can filter; views of strings are not."""
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_views(field.type)) for field in kind])
    if pa.types.is_map(kind):
        key, item = kind.key_field, kind.item_field
        return pa.map_(key.with_type(_without_views(key.type)), item.with_type(_without_views(item.type)))
    lists = ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list))
    for is_such, such in lists:
        if is_such(kind):
            return such(kind.value_field.with_type(_without_views(kind.value_type)))
    return views.get(kind, kind)


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


def _marks(clusters: Clusters, rows: slice) -> list[pa.Array]:
    """The columns of MARKS for these rows; a row without text is in no cluster."""
    missing = ~with_text(clusters.ids[rows])
    digits = clusters.ids[clusters.leader[rows]].tobytes().hex().encode()
    offsets = np.arange(0, len(digits) + 1, 32, dtype=np.int32)
    bits = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    names = pa.StringArray.from_buffers(len(missing), pa.py_buffer(offsets), pa.py_buffer(digits), bits)
    size = pa.array(clusters.size[rows], mask=missing)
    return [names, pa.array(clusters.duplicate(rows)), pa.array(clusters.similarity[rows], mask=missing), size]


def listed(files: Sequence[Input], clusters: Clusters) -> pa.Table:
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
