"""Read: from one slice of raw input to parts, and to the scores that can be computed while the text is in memory."""

from __future__ import annotations

import collections
import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..engines.care import Care, with_killed
from ..files import store
from ..files.parts import Store
from ..files.schema import PART
from ..formats import Slice, Source, documents
from . import keys
from .families import open_family, score_carefully

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...filters.family import Family


def read_slice(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Write the parts of one slice, their scores, and then the file that says that they are whole.

    Args:
        payload: `store` (root), `source` and `slice` (as JSON), `id` (READ/SLICE), `scores` (type and parameters by
            fingerprint), `reject` (reasons by ordinal of record), `careful` (see `care`; a record at which two
            processes died that scored it has no value of that score).
        at: Called with the ordinal of each record before it is worked on.

    Returns:
        What `slices/READ/SLICE.json` holds: `parts` (rows, documents, bytes, text_bytes), `outcomes` (records and bytes
        by outcome and reason) and `digest` (SHA-256 over the ids and names of all records in order).
    """
    place = Store(payload["store"])
    source = Source(**payload["source"])
    families = {fingerprint: open_family(fingerprint, spec) for fingerprint, spec in payload["scores"].items()}
    care = Care.of(payload, at)
    writer = _PartWriter(place, payload["id"], families)
    first, numbered = 0, list(enumerate(families.values()))
    # Each slice begins with another score: where kernels are not compiled yet, every process compiles other ones.
    turn = int(payload["id"].rpartition("/")[2][:8], 16) % max(1, len(numbered))
    for batch in documents(source, Slice.from_json(payload["slice"]), reject=dict(care.reject or {}), at=at):
        at(-1)
        scored = {n: score_carefully(one, batch, n, first, care) for n, one in numbered[turn:] + numbered[:turn]}
        writer.add(batch, [scored[n] for n, _ in numbered])
        first += batch.num_rows
        if writer.text_bytes >= source.part_bytes:
            writer.finish_part()
    summary = writer.finish()
    store.write_json(place.path("slices", f"{payload['id']}.json"), summary)
    return summary


class _PartWriter:
    """Gathers batches and their scores until a part is full."""

    def __init__(self, place: Store, slice_id: str, families: dict[str, Family]) -> None:
        self._place = place
        self._id = slice_id
        self._families = families
        self._parts: list[dict[str, int]] = []
        self._outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        self._outcome_bytes: collections.Counter[tuple[str, str]] = collections.Counter()
        self._digest = hashlib.sha256()
        self._start()

    def _start(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._scores: dict[str, list[pa.RecordBatch]] = {fingerprint: [] for fingerprint in self._families}
        self._killed: dict[str, dict[int, str]] = {fingerprint: {} for fingerprint in self._families}
        self._rows = 0
        self.text_bytes = 0

    def add(self, batch: pa.RecordBatch, scored: list[tuple[pa.RecordBatch, dict[int, str]]]) -> None:
        lengths = pa.compute.binary_length(batch.column("text")).cast(pa.int64()).fill_null(0)
        self._batches.append(pa.record_batch([*batch.columns, lengths], schema=PART))
        for fingerprint, (columns, killed) in zip(self._families, scored, strict=True):
            self._scores[fingerprint].append(columns)
            self._killed[fingerprint] |= {self._rows + row: reason for row, reason in killed.items()}
        self._rows += batch.num_rows
        self.text_bytes += pa.compute.sum(lengths).as_py() or 0

    def finish_part(self) -> None:
        table = pa.Table.from_batches(self._batches, PART)
        name = f"{self._id}/{len(self._parts):05d}"
        rows = max(batch.num_rows for batch in self._batches)
        store.write_table(self._place.documents(name), table, row_group_size=rows)
        for fingerprint, batches in self._scores.items():
            scored = with_killed(pa.Table.from_batches(batches), self._killed[fingerprint])
            store.write_table(self._place.score(fingerprint, name), scored)
        self._count(table)
        self._parts.append(
            {
                "rows": table.num_rows,
                "documents": table.num_rows - table.column("document").null_count,
                "bytes": pa.compute.sum(table.column("bytes")).as_py() or 0,
                "text_bytes": self.text_bytes,
            }
        )
        self._start()

    def _count(self, table: pa.Table) -> None:
        documents = table.column("document").fill_null(keys.NO_ID).to_pylist()
        self._digest.update(b"".join(documents))
        for column in ("name", "record"):
            self._digest.update("\0".join(table.column(column).to_pylist()).encode())
        lost = table.filter(pa.compute.is_valid(table.column("outcome")))
        counts = lost.group_by(["outcome", "reason"]).aggregate([("bytes", "count"), ("bytes", "sum")])
        for row in counts.to_pylist():
            key = (row["outcome"], row["reason"])
            self._outcomes[key] += row["bytes_count"]
            self._outcome_bytes[key] += row["bytes_sum"]

    def finish(self) -> dict[str, Any]:
        if self._batches:
            self.finish_part()
        outcomes = [
            {"outcome": outcome, "reason": reason, "records": n, "bytes": self._outcome_bytes[outcome, reason]}
            for (outcome, reason), n in sorted(self._outcomes.items())
        ]
        return {"parts": self._parts, "outcomes": outcomes, "digest": self._digest.hexdigest()}
