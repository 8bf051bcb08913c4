"""Ledger: for every record that was read, the one bin that it is in and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..files.parts import Part, Store
from ..files.schema import (
    CANDIDATE,
    DROPPED,
    DUPLICATE,
    DUPLICATED,
    EMPTIED,
    EMPTIED_REASON,
    EXCLUDED,
    HELD_OUT,
    KEPT,
    KNOWN,
    KNOWN_REASON,
    LEDGER,
    OVER_BUDGET,
    REJECTED,
)
from . import keys
from .edits import Editor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_ledger(payload: dict[str, Any], **_: Any) -> None:
    """Write one part's ledger, its counts, and then the file that says that they are whole.

    Args:
        payload: `store`, `part`, `ordinal`, `choices`, `places` and `refused` (folders), `held_out` (folder of the
            places of the held-out set, or None), `rules` (texts), `rungs` (names), `ends` (for each rung, tokens of
            each stratum), `edits` (`Pool.edits`), `ledger` and `marker` (paths of what is written), `identity`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    name = f"{payload['ordinal']:07d}.parquet"
    columns = ["document", "name", "record", "bytes", "outcome", "reason"]
    documents = store.read_table(place.documents(part.id), columns).combine_chunks()
    choice = store.read_table(store.join(payload["choices"], name)).combine_chunks()
    codes = choice.column("code").to_numpy()
    tokens, rung = _placed(payload, name, part.rows)
    outcome, reason = _outcomes(payload, documents, choice, codes, rung, _rows(payload["held_out"], name))
    outcome, reason = _refused(store.join(payload["refused"], name), outcome, reason)
    survivors = choice.column("survivor").combine_chunks()
    told = np.isin(codes, (DUPLICATED, KNOWN, EXCLUDED))
    rungs = pa.array([*payload["rungs"], None], pa.string())
    editor = Editor(place, part, payload["edits"])
    masked = np.where((tokens > 0)[:, None], editor.counts(part.rows), 0)
    masks = _masks(masked, editor.names)
    table = pa.table(
        [
            hexadecimal(documents.column("document")),
            pa.repeat(pa.scalar(part.source), part.rows),
            documents.column("name"),
            documents.column("record"),
            documents.column("bytes"),
            outcome,
            reason,
            pc.if_else(pa.array(told), hexadecimal(survivors), pa.scalar(None, pa.string())),
            pa.array(tokens, mask=tokens == 0),
            rungs.take(pa.array(rung)),
            masks,
        ],
        schema=LEDGER,
    )
    store.remove(payload["marker"])
    written = store.write_hashed_table(payload["ledger"], table)
    counts = table.group_by(["outcome", "reason"], use_threads=False)
    counted = counts.aggregate([("bytes", "count"), ("bytes", "sum"), ("tokens", "sum")])
    counted = counted.rename_columns(["outcome", "reason", "records", "bytes", "tokens"])
    counted = counted.sort_by([("outcome", "ascending"), ("reason", "ascending")])
    store.write_json(
        payload["marker"],
        {
            "identity": payload["identity"],
            "sha256": written.sha256,
            "written": {"ledger": written.size},
            "source": part.source,
            "rows": part.rows,
            "first_rungs": np.bincount(rung, minlength=len(payload["rungs"]))[: len(payload["rungs"])].tolist(),
            "counts": counted.to_pylist(),
            "masks": dict(zip(editor.names, masked.sum(axis=0).tolist(), strict=True)),
        },
    )


def _refused(path: str, outcome: pa.Array, reason: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The same, with documents rejected that had their turn, but that the tokenizer could not encode."""
    if not store.exists(path):
        return outcome, reason
    table = store.read_table(path)
    outcomes, reasons = np.array(outcome.to_pylist(), object), np.array(reason.to_pylist(), object)
    outcomes[table.column("row").to_numpy()] = REJECTED
    reasons[table.column("row").to_numpy()] = table.column("reason").to_pylist()
    return pa.array(outcomes, pa.string()), pa.array(reasons, pa.string())


def _masks(counts: NDArray[np.int32], names: list[str]) -> pa.Array:
    """Counts of each name in each row as maps without zeros; a row without any is null."""
    rows, at = np.nonzero(counts)
    sizes = np.bincount(rows, minlength=len(counts))
    offsets = pa.array(np.r_[0, np.cumsum(sizes)].astype(np.int32), mask=np.r_[sizes == 0, False])
    return pa.MapArray.from_arrays(offsets, pa.array(names, pa.string()).take(pa.array(at)), pa.array(counts[rows, at]))


def _rows(folder: str | None, name: str) -> NDArray[np.int64]:
    if folder is None or not store.exists(store.join(folder, name)):
        return np.zeros(0, np.int64)
    return store.read_table(store.join(folder, name), ["row"]).column(0).to_numpy()  # type: ignore[no-any-return]  # untyped pyarrow


def _placed(payload: dict[str, Any], name: str, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens of each row that stands in the stream, else 0; and the number of its first rung, else that of none."""
    tokens = np.zeros(rows, np.int64)
    rung = np.full(rows, len(payload["rungs"]), np.int64)
    path = store.join(payload["places"], name)
    if store.exists(path):
        places = store.read_table(path)
        ends = np.array(payload["ends"], np.int64)  # (rungs, strata)
        starts_before = places.column("offset").to_numpy()[None, :] < ends[:, places.column("stratum").to_numpy()]
        at = places.column("row").to_numpy()
        inside = starts_before.any(axis=0)
        np.add.at(tokens, at[inside], places.column("tokens").to_numpy()[inside])  # of all pieces of a document
        np.minimum.at(rung, at[inside], starts_before.argmax(axis=0)[inside])
    return tokens, rung


def _outcomes(  # noqa: PLR0917 each is a column
    payload: dict[str, Any],
    documents: pa.Table,
    choice: pa.Table,
    codes: NDArray[np.int16],
    rung: NDArray[np.int64],
    held: NDArray[np.int64],
) -> tuple[pa.Array, pa.Array]:
    bins = np.full(len(codes), 4, np.int64)
    bins[(codes > 0) | (codes == EMPTIED)] = 1
    bins[np.isin(codes, (DUPLICATED, KNOWN))] = 2
    bins[codes == EXCLUDED] = 3
    bins[(codes == CANDIDATE) & (rung < len(payload["rungs"]))] = 0
    outcome = pa.array([KEPT, DROPPED, DUPLICATE, HELD_OUT, OVER_BUDGET]).take(pa.array(bins))
    outcome = pc.coalesce(documents.column("outcome").combine_chunks(), outcome)
    texts = [None, *payload["rules"], KNOWN_REASON, EMPTIED_REASON, "held out", "near duplicate of a held-out document"]
    why = np.maximum(codes, 0).astype(np.int64)
    why[codes == EXCLUDED] = len(texts) - 1
    why[codes == EMPTIED] = len(texts) - 3
    why[codes == KNOWN] = len(texts) - 4
    why[held] = len(texts) - 2
    reason = pa.array(texts, pa.string()).take(pa.array(why))
    label = choice.column("label").combine_chunks()
    names = [None if text is None else re.sub(r" is pass( \(.*\))?$", "", text) for text in texts]
    told = pc.binary_join_element_wise(pa.array(names, pa.string()).take(pa.array(why)), label, ": ")
    reason = pc.coalesce(told, reason)  # where there is a label
    return outcome, pc.coalesce(documents.column("reason").combine_chunks(), reason)


def hexadecimal(ids: pa.Array) -> pa.Array:
    """Ids as 32 hex digits each; null stays null."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    raw = keys.id_array(ids)
    digits = np.frombuffer(np.ascontiguousarray(raw).tobytes().hex().encode(), np.uint8)
    offsets = np.arange(len(raw) + 1, dtype=np.int32) * 32
    texts = pa.StringArray.from_buffers(len(raw), pa.py_buffer(offsets), pa.py_buffer(digits))
    return pc.if_else(pc.is_valid(ids), texts, pa.scalar(None, pa.string()))
