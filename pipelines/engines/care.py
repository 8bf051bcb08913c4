"""How carefully a child process works, told by its parent: at once, each record first, or each record alone.

A task begins with whole batches, which is fastest. Where a process died in one, outside any record, the next tries each
record by itself before the batch, so that its parent sees which record kills. Where a process died again in a whole
batch, of which no record kills on its own, the next never works on more than one record at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..files import store
from .child import of_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

EACH_FIRST, ALONE = 1, 2
"""Levels of care; 0 is none."""

KILLED = b"killed"
"""Key of a score file's metadata: the rows that have no values because computing them ended a process, and how."""


def _nowhere(_: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Care:
    """What a task was told of the processes that died at it.

    Attributes:
        level: 0, `EACH_FIRST` or `ALONE`.
        reject: Reasons by ordinal: records that killed two processes.
        at: Told the ordinal of what is worked on.
    """

    level: int = 0
    reject: Mapping[int, str] | None = None
    at: Callable[[int], object] = _nowhere

    @classmethod
    def of(cls, payload: Mapping[str, Any], at: Callable[[int], object]) -> Care:
        """That of a task, by its payload's `careful` and `reject`."""
        reject = {int(ordinal): reason for ordinal, reason in payload.get("reject", {}).items()}
        return cls(int(payload.get("careful", 0)), reject, at)

    def killed(self, base: int, rows: Sequence[int]) -> dict[int, str]:
        """Of some rows those that kill, and how; `base` is added to a row for its ordinal."""
        known = self.reject or {}
        return {row: known[base + row] for row in rows if base + row in known} if known else {}

    def run(
        self, work: Callable[[pa.Array], Any], values: pa.Array, base: int, rows: Sequence[int], number: int = 0
    ) -> list[Any]:
        """Do work on some values with care: on all at once, or on each alone.

        Args:
            work: What is done with a slice of them.
            values: An Arrow array or batch without the rows that kill.
            base: `SCORING` or `ENCODING` and what else is added to a row for its ordinal.
            rows: The row of each value.
            number: Of the score, for the message of one that dies in every way.

        Returns:
            What the work gave: one value for all, or one for each.
        """
        if self.level:
            alone = []
            for n, row in enumerate(rows):
                self.at(base + row)
                alone.append(work(values.slice(n, 1)))
            self.at(-1)
            if self.level >= ALONE and alone:
                return alone
        self.at(of_batch(rows[0] if len(rows) else 0, number))
        found = [work(values)]
        self.at(-1)
        return found


def with_killed(table: pa.Table, killed: Mapping[int, str]) -> pa.Table:
    """A score's columns with the rows that have none; without any, the table as it is."""
    if not killed:
        return table
    text = json.dumps({str(row): killed[row] for row in sorted(killed)})
    return table.replace_schema_metadata({**(table.schema.metadata or {}), KILLED: text.encode()})


def killed_rows(path: str) -> dict[int, str]:
    """The rows of a score's file that have no values because computing them ended a process, and how; often none."""
    with store.open_parquet(path) as file:
        told = (file.schema_arrow.metadata or {}).get(KILLED)
    return {int(row): reason for row, reason in json.loads(told).items()} if told else {}


def how_killed(path: str, rows: NDArray[np.bool_]) -> pa.Array:
    """Of some rows of a score's file, bool of shape (n,), how they killed, n strings; null for others."""
    found = killed_rows(path) if rows.any() and store.exists(path) else {}
    if not found:
        return pa.nulls(len(rows), pa.string())
    return pa.array([found.get(row) if asked else None for row, asked in enumerate(rows)], pa.string())
