"""Recount curricula: each holds its rung's documents, token for token, in an order that goes with the difficulty.

The documents of two streams are compared by sums that no order changes: of each, all of its tokens, each times a hash
of its place in the document, modulo 2**64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.hashing import fmix64
from ..files import store
from .result_files import (
    ID,
    ONE,
    READING,
    Check,
    Curriculum,
    Files,
    Manifest,
    Recipe,
    Rung,
    Shard,
    Weight,
    begins_at,
    named,
)
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUM = np.dtype([("id", ID), ("tokens", "<i8"), ("sum", "<u8")])
UNMIXED = {"all": Weight(ONE, 4294967296)}
BATCH_TOKENS = 1 << 20


class Order(Stream):
    """The stream of one curriculum."""

    def __init__(self, files: Files, manifest: Manifest, name: str) -> None:
        """Count its shards; what the counts are compared with comes in `check`."""
        self.told: Curriculum = manifest.curricula[name]
        self.difficulties: list[NDArray[np.float64]] = []
        self.of_stratum: list[NDArray[np.int64]] = []
        self.means: list[NDArray[np.float64]] = []  # of sequences, where documents are fitted to them
        self.codes: list[NDArray[np.int64]] = []  # and their strata
        of = manifest.recipes.get(self.told.recipe)
        self.rung = next((rung for rung in of.rungs if rung.name == self.told.rung), None) if of else None
        strata, course = (of.strata, of.course) if of and self.told.mixed else (UNMIXED, [])
        rung = Rung(self.told.rung, self.told.tokens, self.told.sequences, self.told.shards, self.told.tokens)
        super().__init__(files, manifest, Recipe(strata, [rung], {}, [], course=course), f"curriculum {name}", cut=True)
        self.labels = ["Exact", "Mixed", "Documents", "Same documents", "Ordered"]

    def _pieces(self, shard: Shard, first: int) -> None:
        super()._pieces(shard, first)
        table = store.read_table(
            store.join(self.files.out, shard.documents), ["sequence", "offset", "length", "difficulty"]
        )
        offsets = pc.cast(table["offset"], "int64").to_numpy()
        begins = table.filter(pa.chunked_array([begins_at(offsets, self.piece)]))
        difficulty = pc.cast(begins["difficulty"], "float64").fill_null(np.nan)
        self.difficulties.append(difficulty.to_numpy())
        self.of_stratum.append(self._codes[begins["sequence"].to_numpy() - first])
        if self.fits:  # each row is a piece
            inside, tokens = table["sequence"].to_numpy() - first, pc.cast(table["length"], "int64").to_numpy()
            self.means.append(_means(self.difficulties[-1], tokens, inside, len(self._codes)))
            self.codes.append(self._codes)

    def check(self) -> list[Check]:
        """All checks of the curriculum."""
        if not self.damaged:
            self._check_same()
            self._check_order()
        return super().check()

    def _check_clean(self) -> None:
        """A document may come again, as often as in the rung: `_check_same` counts that."""
        self.faults["Exact"] += self.faults["Nested"]

    def _check_strata(self) -> None:
        """Of strata nothing is told but what `_check_order` compares."""

    def _check_same(self) -> None:
        faults = self.faults["Same documents"]
        if self.rung is None:
            faults.append(f"the manifest has no rung {self.told.rung} of {self.told.recipe}")
            return
        try:
            mine, theirs = (
                _sums(self.files.out, shards, self.length) for shards in (self.told.shards, self.rung.shards)
            )
        except READING as error:
            faults.append(str(error).partition("\n")[0])
            return
        where = f"{self.told.recipe}-{self.told.rung}"
        faults += named(np.setdiff1d(mine["id"], theirs["id"]), f"is not in {where}")
        faults += named(np.setdiff1d(theirs["id"], mine["id"]), f"of {where} is missing")
        if not faults:
            wrong = mine["tokens"] != theirs["tokens"]
            faults += named(mine["id"][wrong], "has {} tokens, other than in " + where, mine["tokens"][wrong])
            wrong = ~wrong & (mine["sum"] != theirs["sum"])
            faults += named(mine["id"][wrong], f"has other tokens than in {where}")
        if not faults and self.told.sequences != self.rung.sequences:
            faults.append(f"{self.told.sequences:,} sequences, {where} has {self.rung.sequences:,}")
        self.found["Same documents"] = f"{len(mine):,} documents, each with its tokens of {where}"

    def _check_order(self) -> None:
        """The correlations, and where difficulty alone decides, that it never turns."""
        faults, told = self.faults["Ordered"], self.told
        difficulty = np.concatenate([np.zeros(0), *self.difficulties])
        stratum = np.concatenate([np.zeros(0, np.int64), *self.of_stratum])
        found = (len(difficulty), int(np.isnan(difficulty).sum()))
        if found != (told.documents, told.without_difficulty):
            said = f"{told.documents:,} and {told.without_difficulty:,}"
            faults.append(f"{found[0]:,} documents, {found[1]:,} of them without a difficulty, not {said}")
        every = {"the whole": (told.spearman, difficulty)}
        for name, n in self.numbers.items():
            mine = difficulty[stratum == n]
            one = told.strata.get(name)
            counted = (self.counts[n], self.counts[n] * self.length, len(mine))
            if one is None or counted != (one.sequences, one.tokens, one.documents):
                faults.append(f"{name} has {counted[0]:,} sequences and {counted[2]:,} documents, other than is told")
            every[name] = (one.spearman if one else None, mine)
            ordered = np.concatenate(self.means)[np.concatenate(self.codes) == n] if self.means else mine
            if told.is_sorted and not _is_sorted(ordered, down=told.order == "descending"):
                faults.append(f"{name} is not in {told.order} order of {told.sort}")
        if self.fits:
            every["all sequences"] = (told.sequence_spearman, np.concatenate([np.zeros(0), *self.means]))
            if int(self.padding.sum()) != told.padding_tokens:
                faults.append(f"{int(self.padding.sum()):,} tokens of padding, not {told.padding_tokens:,}")
        for name, (said_rank, values) in every.items():
            rank = _rank_correlation(values)
            if (rank is None) != (said_rank is None) or abs((rank or 0.0) - (said_rank or 0.0)) > 1e-6:
                faults.append(f"the rank correlation of {name} is {rank}, not {said_rank}")
        shown = "no rank correlation" if told.spearman is None else f"rank correlation {told.spearman:+.4f}"
        if told.sequence_spearman is not None:
            shown += f" (of their sequences {told.sequence_spearman:+.4f})"
        self.found["Ordered"] = f"{told.documents:,} documents, {shown} with {told.sort or 'nothing'}"


def _is_sorted(values: NDArray[np.float64], *, down: bool) -> bool:
    """Whether numbers never turn, and what has none comes last."""
    known = values[~np.isnan(values)]
    turns = known[1:] > known[:-1] if down else known[1:] < known[:-1]
    return not turns.any() and not np.isnan(values[: len(known)]).any()


def _means(
    difficulty: NDArray[np.float64], tokens: NDArray[np.int64], sequence: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """The mean difficulty of the tokens of each sequence, summed in their order; NaN where no document has one."""
    sums, weights = np.zeros(count), np.zeros(count)
    known = ~np.isnan(difficulty)
    np.add.at(sums, sequence[known], difficulty[known] * tokens[known])
    np.add.at(weights, sequence[known], tokens[known])
    with np.errstate(invalid="ignore"):  # none at all, or infinities of both signs
        return sums / weights


def _rank_correlation(values: NDArray[np.float64]) -> float | None:
    """Spearman's, by Pearson's formula on mean ranks."""
    values = values[~np.isnan(values)]
    order = np.argsort(values, kind="stable")
    first = np.flatnonzero(np.r_[True, values[order][1:] != values[order][:-1]])[: len(values)]
    if len(first) < 2:
        return None
    stops = np.r_[first[1:], len(values)]
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + stops - 1) / 2, stops - first)
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])


def _sums(out: str, shards: Sequence[Shard], length: int) -> NDArray[Any]:
    """Tokens of every document of some shards, counted and summed, by id."""
    pieces = [_shard_sums(out, shard, length) for shard in shards]
    every = np.concatenate([np.zeros(0, SUM), *pieces])
    every = every[np.argsort(every["id"], kind="stable")]
    first = np.flatnonzero(np.r_[True, every["id"][1:] != every["id"][:-1]])[: len(every)]
    found = np.empty(len(first), SUM)
    found["id"] = every["id"][first]
    for field in ("tokens", "sum"):
        found[field] = np.add.reduceat(every[field], first) if len(first) else 0
    return found


def _shard_sums(out: str, shard: Shard, length: int) -> NDArray[Any]:
    table = store.read_table(store.join(out, shard.documents)).combine_chunks()
    offset, pieces = (table.column(name).to_numpy().astype(np.int64) for name in ("offset", "length"))
    sums = np.empty(len(table), SUM)
    ids = table.column("document").combine_chunks()
    sums["id"] = np.frombuffer(ids.buffers()[1], ID, len(ids), ids.offset * 16)
    sums["tokens"] = pieces
    starts = np.cumsum(pieces) - pieces
    file = store.read_table(store.join(out, shard.path))
    column = file.column("input_ids").combine_chunks()
    tokens = column.flatten().to_numpy(zero_copy_only=False) if hasattr(column.type, "value_type") else None
    if tokens is None:
        tokens = np.frombuffer(b"".join(column.to_pylist()), f"<u{column.type.byte_width // length}")
    if "padding" in file.column_names:
        filled = length - file.column("padding").to_numpy().astype(np.int64)
        tokens = tokens.reshape(-1, length)[np.arange(length) < filled[:, None]]
    at = 0
    while at < len(pieces):  # some million tokens at a time: 24 bytes each
        stop = max(at + 1, int(np.searchsorted(starts, starts[at] + BATCH_TOKENS)))
        low, high = starts[at], starts[stop - 1] + pieces[stop - 1]
        places = np.arange(low, high) + np.repeat(offset[at:stop] - starts[at:stop], pieces[at:stop])
        weighted = (tokens[low:high].astype(np.uint64) + np.uint64(1)) * fmix64((places + 1).astype(np.uint64))
        sums["sum"][at:stop] = np.add.reduceat(weighted, starts[at:stop] - low)
        at = stop
    return sums
