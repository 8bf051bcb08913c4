"""Parts of one Parquet file: ranges of its row groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from .record import CorruptError
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input

PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError)
"""What pyarrow raises at a file that is damaged."""


def row_group_ranges(file: Input, target: int) -> Iterator[tuple[int, int]]:
    """Half-open ranges of row groups of about `target` compressed bytes; (0, -1) for a file that cannot be read.

    Raises:
        ReadError: The file cannot be read now.
    """
    try:
        with Raw(file) as raw:
            try:
                sizes = _group_sizes(pq.ParquetFile(pa.PythonFile(raw, mode="r")).metadata)
            except PARQUET_ERRORS as error:
                if raw.failed is not None:
                    raise raw.failed from error
                raise CorruptError("corrupt parquet") from error
    except CorruptError:
        yield 0, -1  # reading it gives the rejected row
        return
    start = size = 0
    for group, one in enumerate(sizes):
        if size and size + one > target:
            yield start, group
            start, size = group, 0
        size += one
    yield start, len(sizes)


def _group_sizes(metadata: pq.FileMetaData) -> list[int]:
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    return [sum(group.column(n).total_compressed_size for n in range(group.num_columns)) for group in groups]
