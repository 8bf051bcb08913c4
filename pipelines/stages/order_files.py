"""Files of a ladder's order: which document stands where in a stratum's stream, read by range of its tokens.

A file holds up to a million documents, a shard some ten thousand of them. So it is written in row groups, and a shard
reads those that it needs: what a shard costs does not depend on how long the file is that holds its documents.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ..files import store

ROW_GROUP = 1 << 14


def path_of(folder: str, name: str) -> str:
    """A file of the order that stands in a ladder's folder."""
    return store.join(folder, "order", f"{name}.parquet")


def write(path: str, columns: dict[str, Any]) -> None:
    """Write a file; `offset` is among the columns and ascends, and no document reaches into the next.

    Args:
        path: What `path_of` gave.
        columns: Arrays of one length.
    """
    # ids are random and numbers rise: a dictionary of them would be as long as they are
    store.write_table(path, pa.table(columns), row_group_size=ROW_GROUP, use_dictionary=False)


def read(path: str, begin: int, stop: int) -> pa.Table:
    """The documents that hold tokens [begin, stop) of the stratum, and others before and behind them.

    Args:
        path: What `path_of` gave.
        begin: First token.
        stop: Token after the last.
    """
    with store.open_parquet(path) as file:
        column = file.schema_arrow.names.index("offset")
        groups = range(file.metadata.num_row_groups if file.metadata.num_rows else 0)  # of no rows there is one group
        firsts = [file.metadata.row_group(n).column(column).statistics.min for n in groups]
        ends = [*firsts[1:], stop]
        held = [n for n in groups if firsts[n] < stop and ends[n] > begin]
        return file.read_row_groups(held, use_threads=False)
