"""Recount a ledger: every record in one bin, and each kept one where its row says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..files.schema import DUPLICATE, HELD_OUT, KEPT, KNOWN_REASON, LEDGER, OUTCOMES, OVER_BUDGET, REJECTED
from .result_files import ID, READING, Files, LedgerFile, Manifest, holds_all, named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .stream import Stream

KEPT_ROW = np.dtype([("id", ID), ("rung", "<i8"), ("tokens", "<i8"), ("source", "<i8")])


class Ledger:
    """The ledger of one recipe: every record that was read, in one bin."""

    def __init__(self, files: Files, manifest: Manifest, stream: Stream, held: NDArray[Any]) -> None:
        self.files, self.manifest, self.stream, self.held = files, manifest, stream, held
        self.recipe = recipe = stream.recipe
        self.faults = stream.faults["Accounted"]
        self.rungs = pa.array([rung.name for rung in recipe.rungs], pa.string())
        self.sources: dict[str, dict[str, Any]] = {}
        self.read: dict[str, dict[str, Any]] = {}
        self.kept: list[NDArray[Any]] = []
        self.survivors: list[NDArray[Any]] = []
        self.drawn: list[NDArray[Any]] = []
        self.duplicates = False

    def count(self) -> None:
        """Count every file; then compare with the manifest and with the stream."""
        complete = True
        for one in self.recipe.ledger:
            try:
                self._file(one)
            except READING as error:
                self.faults.append(str(error).partition("\n")[0])
                complete = False
        if not complete:
            return  # sums over a part of the ledger would only repeat what is said
        self.faults += _differences("counts", self.recipe.counts, self.sources)
        for source, said in self.manifest.counts.items():
            found = self.read.get(source, {"records": 0, "bytes": 0, "documents": 0, "without_document": []})
            self.faults += _differences(f"counts.{source}", {key: said.get(key) for key in found}, found)
        kept = np.concatenate([np.zeros(0, KEPT_ROW), *self.kept])
        self._compare(kept)
        self._look_up_survivors()
        drawn = np.unique(np.concatenate([np.zeros(0, ID), *self.drawn]))
        self.faults += named(np.setdiff1d(self.held, drawn), "stands in the held-out set, but no row says so")
        records = sum(source["records"] for source in self.sources.values())
        found_kept = f"{len(kept):,} kept, as they stand in the stream"
        self.stream.found["Accounted"] = f"{records:,} records, each in one bin; {found_kept}"

    def _file(self, one: LedgerFile) -> None:
        table = self.files.parquet(one.path, one.sha256).read(use_threads=False)
        table = table.select(LEDGER.names).cast(LEDGER).combine_chunks()
        if table.num_rows != one.rows or not holds_all(pc.equal(table.column("source"), one.source)):
            self.faults.append(f"{one.path}: is not {one.rows:,} rows of {one.source}")
        counts = table.group_by(["source", "outcome", "reason"], use_threads=False)
        counts = counts.aggregate([("bytes", "count"), ("bytes", "sum"), ("tokens", "sum")])
        for row in counts.to_pylist():
            self._add(one.path, row)
        outcome, tokens, rung = (table.column(name).combine_chunks() for name in ("outcome", "tokens", "first_rung"))
        kept = pc.equal(outcome, KEPT)
        self._masks(one, table.column("masks"), kept)
        stands = pc.or_(pc.is_valid(tokens), pc.is_valid(rung))
        number = pc.index_in(rung, self.rungs)
        if not holds_all(pc.equal(kept, stands)) or not holds_all(pc.equal(kept, pc.is_valid(number))):
            self.faults.append(f"{one.path}: tokens and first_rung are not those of the kept rows")
        self._without_document(one, table)
        rows = np.empty(int(pc.sum(kept).as_py() or 0), KEPT_ROW)
        rows["id"] = _hex_ids(one.path, table.column("document").filter(kept))
        rows["tokens"] = tokens.filter(kept).fill_null(-1).to_numpy()
        rows["rung"] = number.filter(kept).fill_null(-1).to_numpy()
        rows["source"] = self.stream.sources.setdefault(one.source, len(self.stream.sources))
        self.kept.append(rows)
        self._bins(one.path, table, outcome)

    def _bins(self, path: str, table: pa.Table, outcome: pa.Array) -> None:
        """What duplicates and held-out rows say of other documents."""
        twins, away = pc.equal(outcome, DUPLICATE), pc.equal(outcome, HELD_OUT)
        told = pc.is_valid(table.column("survivor").combine_chunks())
        if not holds_all(pc.equal(told, pc.or_(twins, away))):
            self.faults.append(f"{path}: survivors are not those of the duplicates and held-out rows")
        known = pc.fill_null(pc.equal(table.column("reason").combine_chunks(), KNOWN_REASON), False)
        if pc.any(known).as_py() and not self.manifest.against:
            self.faults.append(f"{path}: tells of earlier studies, but the build was against none")
        twins = pc.and_(twins, pc.invert(known))
        self.survivors.append(np.unique(_hex_ids(path, table.column("survivor").filter(pc.and_(told, twins)))))
        self.duplicates |= bool(len(self.survivors[-1]))
        near = _hex_ids(path, table.column("survivor").filter(pc.and_(told, away)))
        self.faults += named(np.setdiff1d(near, self.held), "is no held-out document, but rows are held out for it")
        reasons = table.column("reason").filter(away)
        self.drawn.append(_hex_ids(path, table.column("document").filter(away).filter(pc.equal(reasons, "held out"))))
        self.faults += named(np.setdiff1d(self.drawn[-1], self.held), "is said to be held out, but is not in the set")
        others = pc.and_(pc.is_valid(table.column("document")), pc.invert(away))
        ids = _hex_ids(path, table.column("document").filter(others))
        self.stream.faults["Clean"] += named(np.intersect1d(ids, self.held), "is held out, but its row says otherwise")

    def _add(self, path: str, row: dict[str, Any]) -> None:
        """Add one group of rows to the counts, in the manifest's form."""
        if row["outcome"] not in OUTCOMES:
            raise ValueError(f"{path}: {row['outcome']!r} is no outcome")
        empty = {name: {"records": 0, "bytes": 0, "reasons": {}} for name in OUTCOMES}
        source = self.sources.setdefault(row["source"], {"records": 0, "bytes": 0, "outcomes": empty})
        one = source["outcomes"][row["outcome"]]
        for each in (source, one):
            each["records"] += row["bytes_count"]
            each["bytes"] += row["bytes_sum"]
        if row["outcome"] == KEPT:
            one["tokens"] = one.get("tokens", 0) + (row["tokens_sum"] or 0)
        elif row["reason"] is not None:
            one["reasons"][row["reason"]] = one["reasons"].get(row["reason"], 0) + row["bytes_count"]

    def _masks(self, one: LedgerFile, column: pa.ChunkedArray, kept: pa.Array) -> None:
        """Masks in kept documents; no other row tells of any."""
        if not holds_all(pc.or_(kept, pc.is_null(column))):
            self.faults.append(f"{one.path}: rows that are not kept tell of masks")
        pairs = pc.list_flatten(pc.cast(column, pa.list_(pa.struct({"key": pa.string(), "value": pa.int32()}))))
        for name, masks in zip(*(pc.struct_field(pairs, [n]).to_pylist() for n in (0, 1)), strict=True):
            told = self.sources[one.source]["outcomes"][KEPT].setdefault("masks", {})
            told[name] = told.get(name, 0) + masks

    def _without_document(self, one: LedgerFile, table: pa.Table) -> None:
        """Records, bytes and documents as read, and why a record gave none."""
        empty: dict[str, Any] = {"records": 0, "bytes": 0, "documents": 0, "without_document": []}
        read = self.read.setdefault(one.source, empty)
        lost = table.filter(pc.is_null(table.column("document")))
        read["records"] += table.num_rows
        read["bytes"] += pc.sum(table.column("bytes")).as_py() or 0
        read["documents"] += table.num_rows - lost.num_rows
        reasons = {(row["outcome"], row["reason"]): row["records"] for row in read["without_document"]}
        counts = lost.group_by(["outcome", "reason"], use_threads=False).aggregate([("bytes", "count")])
        for row in counts.to_pylist():
            key = row["outcome"], row["reason"]
            reasons[key] = reasons.get(key, 0) + row["bytes_count"]
        listed = sorted(reasons.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        read["without_document"] = [{"outcome": key[0], "reason": key[1], "records": n} for key, n in listed]

    def _compare(self, kept: NDArray[Any]) -> None:
        """Kept rows against the documents that begin in the first pass of each stratum."""
        stream, clean = self.stream, self.stream.faults["Clean"]
        stream.kept = kept
        if stream.damaged:
            self.faults.append("not compared with the stream: a shard is damaged")
            return
        ids, times = np.unique(kept["id"], return_counts=True)
        if self.duplicates:  # near duplicates are left out, so equal documents are, too
            clean += named(ids[times > 1], "is kept {} times", times[times > 1])
        ends = np.array([rung.sequences for rung in self.recipe.rungs])
        found, cut = [np.zeros(0, KEPT_ROW)], [np.zeros(0, bool)]
        for _, every, stop in stream.passes():
            first, index = _documents(every[:stop])
            rows = np.zeros(len(first), KEPT_ROW)
            rows["id"], rows["tokens"] = every["id"][first], np.bincount(index, every["tokens"][:stop], len(first))
            rows["rung"] = np.searchsorted(ends, every["sequence"][first], side="right")
            found.append(rows)
            cut.append(np.bincount(index, np.arange(stop) == len(every) - 1, len(first)) > 0)
        stands, open_ended = np.concatenate(found), np.concatenate(cut)
        clean += named(np.intersect1d(stands["id"], self.held), "is held out, but in the stream")
        self.faults += named(np.setdiff1d(kept["id"], stands["id"]), "is kept, but not in the stream")
        self.faults += named(np.setdiff1d(stands["id"], kept["id"]), "is in the stream, but not kept")
        if stream.fits or stream.piece:  # the stream does not tell which copy has which piece
            stands, open_ended = _together(stands, open_ended)
            kept, _ = _together(kept, np.zeros(len(kept), bool))
        if len(kept) != len(stands):
            self.faults.append(f"{len(kept):,} rows are kept, but {len(stands):,} documents begin in the stream")
            return
        order = np.lexsort((stands["rung"], stands["id"]))
        stands, open_ended = stands[order], open_ended[order]
        kept = kept[np.lexsort((kept["rung"], kept["id"]))]
        # the last document of a stratum may be cut where the stream ends; its row has all of its tokens
        same = (kept["tokens"] == stands["tokens"]) | (open_ended & (kept["tokens"] > stands["tokens"]))
        one = kept["id"] == stands["id"]
        wrong = one & ~same
        self.faults += named(kept["id"][wrong], "has {} tokens in the stream, unlike its row", stands["tokens"][wrong])
        wrong = one & (kept["rung"] != stands["rung"])
        names = np.array([*self.rungs.to_pylist(), "no rung"])
        self.faults += named(kept["id"][wrong], "begins in rung {}, unlike its row", names[stands["rung"][wrong]])

    def _look_up_survivors(self) -> None:
        """Every survivor must itself be kept, over the budget, or one that the tokenizer could not encode."""
        survivors = np.unique(np.concatenate([np.zeros(0, ID), *self.survivors]))
        found = np.zeros(len(survivors), bool)
        for one in self.recipe.ledger if len(survivors) else ():
            table = store.read_table(store.join(self.files.out, one.path), ["document", "outcome"])
            alive = pc.is_in(table.column("outcome"), pa.array([KEPT, OVER_BUDGET, REJECTED]))
            alive = pc.and_(alive, pc.is_valid(table.column("document")))
            found |= np.isin(survivors, _hex_ids(one.path, table.column("document").filter(alive)))
        self.faults += named(survivors[~found], "is a survivor, but neither kept, over the budget nor rejected")


def _documents(stands: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of what begins in one pass, the first of each document, and which document each is of.

    Several of equal place in equal texts are of copies, one of each, in order.
    """
    order = np.lexsort((stands["start"], stands["id"]))
    same = stands[["id", "start"]][order]
    new = np.r_[True, same[1:] != same[:-1]][: len(order)]
    copy = np.empty(len(order), np.int64)
    copy[order] = np.arange(len(order)) - np.flatnonzero(new)[np.cumsum(new) - 1]
    each = np.empty(len(stands), [("id", ID), ("copy", "<i8")])
    each["id"], each["copy"] = stands["id"], copy
    _, first, index = np.unique(each, return_index=True, return_inverse=True)
    return first.astype(np.int64), index.astype(np.int64)


def _together(rows: NDArray[Any], marked: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Rows in which copies of one text are put together: their least rung, all of their tokens, whether any is marked.

    Args:
        rows: `KEPT_ROW` of shape (n,).
        marked: bool of shape (n,).
    """
    order = np.lexsort((rows["rung"], rows["id"]))
    rows, marked = rows[order], marked[order]
    starts = np.flatnonzero(np.r_[True, rows["id"][1:] != rows["id"][:-1]][: len(rows)])
    if not len(starts):
        return rows, marked
    out = rows[starts]  # a copy
    out["tokens"] = np.add.reduceat(rows["tokens"], starts)
    return out, np.logical_or.reduceat(marked, starts)


def _differences(where: str, said: Any, found: Any) -> list[str]:
    """Where two plain values differ, innermost first key."""
    if isinstance(said, dict) and isinstance(found, dict):
        return [
            line for key in sorted(said.keys() | found.keys())
            for line in _differences(f"{where}.{key}", said.get(key), found.get(key))
        ]  # fmt: skip
    return [] if said == found else [f"{where}: the manifest says {said}, the ledger {found}"]


def _hex_ids(path: str, column: pa.ChunkedArray) -> NDArray[Any]:
    """The same from columns of hex digits."""
    texts = pa.concat_arrays([pa.array([], pa.large_string()), *pc.cast(column, pa.large_string()).chunks])
    wrong = texts.null_count or not holds_all(pc.equal(pc.binary_length(texts), 32))
    raw = b"" if wrong else bytes.fromhex("".join(texts.to_pylist()))
    if wrong or len(raw) != 16 * len(texts):
        raise ValueError(f"{path}: not every document is named by 32 hex digits")
    return np.frombuffer(raw, ID)
