"""Recount a stream: sequences, strata, documents and passes, from the shards and their documents tables."""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .mixture import Mixture
from .passes import STANDS, check_passes, first_pass, fitted_pass
from .reach import Reached
from .result_files import (
    ID,
    READING,
    Check,
    Files,
    Manifest,
    Recipe,
    Shard,
    begins_at,
    holds_all,
    named,
    told_check,
)
from .rungs import check_amounts, check_forms
from .whole_rungs import check_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized

    from numpy.typing import NDArray

BATCH_TOKENS = 1 << 21

PIECE = np.dtype([("id", ID), ("sequence", "<i8"), ("offset", "<i8"), ("length", "<i8"), ("last", "<i8")])
"""A row of a documents table: so many tokens of a document, from an offset in it, and the last of them."""


class Stream:
    """The stream of one recipe, or of the held-out set: its shards, one after the other."""

    def __init__(self, files: Files, manifest: Manifest, recipe: Recipe, name: str, *, cut: bool = False) -> None:
        """Count all shards.

        Args:
            files: Of the result.
            manifest: As far as it is checked.
            recipe: Whose stream.
            name: What checks call it.
            cut: Whether documents may stand in it without their end, as those do that a rung's end cuts.
        """
        self.may_cut = cut
        self.files, self.recipe, self.name = files, recipe, name
        self.length, self.tokenizer = manifest.sequence_length, manifest.tokenizer
        self.held_out, self.seed = not recipe.strata, manifest.seed
        self.piece = 0 if self.held_out else manifest.piece_tokens
        self.fits = manifest.fits and not self.held_out
        self.labels = ["Exact", "Documents", "Clean"]
        if not self.held_out:
            self.labels = ["Exact", "Nested", "Mixed", "Documents", "Clean", "Accounted"]
        self.faults = collections.defaultdict[str, list[str]](list)
        self.found: dict[str, str] = {}
        self.numbers = {stratum: n for n, stratum in enumerate(sorted(recipe.strata))}
        self.mixture = Mixture(recipe) if recipe.strata else None
        self.reached = Reached(recipe, self.length, self.piece) if recipe.rungs[-1].unit else None
        self.counts = [0] * len(self.numbers)
        self.stands: list[list[NDArray[Any]]] = [[] for _ in self.numbers]
        self.last: list[tuple[bytes, int, int] | None] = [None] * len(self.numbers)  # id, next offset, last token
        self.sequences = 0
        self.borders = {0}  # sequences at which a shard ends
        self.border_counts: dict[int, list[int]] = {}
        self.padding = np.zeros(len(self.numbers), np.int64)
        self.border_padding: dict[int, list[int]] = {}
        self.rung_counts: dict[int, list[int]] = {}
        self.kept: NDArray[Any] | None = None
        self.sources: dict[str, int] = {}  # numbers of sources in `kept`
        self.damaged = False
        self._walk()

    def _walk(self) -> None:
        for shard in self.recipe.rungs[-1].shards:
            before = self.sequences
            for label, count in (("Exact", self._shard), ("Documents", self._pieces)):
                try:
                    count(shard, before)
                except READING as error:
                    self.faults[label].append(str(error).partition("\n")[0])
                    self.damaged = True
                    break
            if self.damaged:
                break  # what follows has no place to stand
            self.borders.add(self.sequences)
            self.border_counts[self.sequences] = list(self.counts)
            self.border_padding[self.sequences] = self.padding.tolist()
        if self.damaged:
            for label in self.labels:
                self.faults[label] = self.faults[label] or ["not counted to the end: a shard is damaged"]
        for shard in self.recipe.rungs[-1].shards:
            for path, *said in ((shard.path, shard.sha256, shard.bytes), (shard.documents, shard.documents_sha256)):
                if path not in self.files.listed:  # behind a damaged one
                    with contextlib.suppress(OSError):
                        self.files.parquet(path, *said)

    def _shard(self, shard: Shard, first: int) -> None:
        """Count a shard's sequences by stratum; look at the form of each."""
        file = self.files.parquet(shard.path, shard.sha256, shard.bytes)
        rows = file.metadata.num_rows
        if rows != shard.sequences or shard.tokens != shard.sequences * self.length:
            said = f"{shard.sequences:,} sequences, {shard.tokens:,} tokens"
            self.faults["Exact"].append(f"{shard.path}: holds {rows:,} sequences of {self.length}, not {said}")
        names = ["stratum", "document_starts", *(["padding"] if self.fits else [])]
        columns = file.read(columns=names, use_threads=False).combine_chunks()
        self._padded = (
            pc.cast(columns.column("padding"), pa.int64()).to_numpy() if self.fits else np.zeros(rows, np.int64)
        )
        self._codes = self._strata(shard.path, columns.column("stratum"))
        self._starts = columns.column("document_starts").combine_chunks()
        for rung in self.recipe.rungs:
            if first <= rung.sequences <= first + rows:
                inside = np.bincount(self._codes[: rung.sequences - first], minlength=len(self.numbers))
                self.rung_counts[rung.sequences] = [a + int(b) for a, b in zip(self.counts, inside, strict=True)]
        for n, count in enumerate(np.bincount(self._codes, minlength=len(self.numbers))):
            self.counts[n] += int(count)
        if self.mixture is not None:
            self.mixture.count(self._codes, first)
        self._file = file
        self.sequences += rows

    def _strata(self, path: str, column: pa.ChunkedArray) -> NDArray[np.int64]:
        encoded = pc.dictionary_encode(column).combine_chunks()
        known = [str(name) for name in encoded.dictionary.to_pylist()]
        if encoded.null_count:
            raise ValueError(f"{path}: {encoded.null_count:,} sequences have no stratum")
        for name in known:
            if name not in self.numbers:
                if not self.held_out:
                    raise ValueError(f"{path}: stratum {name!r} is none of {', '.join(self.numbers)}")
                self.numbers[name] = len(self.numbers)
                self.counts.append(0)
                self.stands.append([])
                self.last.append(None)
        numbers = np.array([self.numbers[name] for name in known] or [0], np.int64)
        return numbers[encoded.indices.to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return] # of int64

    def _tokens(self, path: str) -> Iterator[NDArray[Any]]:
        """The sequences of the open shard, some two million tokens at a time."""
        width = np.dtype(self.tokenizer.dtype).itemsize
        rows = max(1, BATCH_TOKENS // self.length)
        for batch in self._file.iter_batches(rows, columns=["input_ids"], use_threads=False):
            column = batch.column(0)
            binary = pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type)
            if binary:
                sizes, kind = pc.binary_length(column), str(self.tokenizer.dtype)
            else:
                sizes, kind = pc.list_value_length(column), str(column.type.value_type)
            wanted = self.length * (width if binary else 1)
            if column.null_count or kind != self.tokenizer.dtype or not holds_all(pc.equal(sizes, wanted)):
                wanted_form = f"{self.length} ids of type {self.tokenizer.dtype}"
                self.faults["Exact"].append(f"{path}: not every sequence has {wanted_form}")
                raise ValueError(f"{path}: not compared with its documents, for want of {wanted_form}")
            if binary:
                flat = np.frombuffer(b"".join(column.to_pylist()), np.dtype(kind).newbyteorder("<"))
            else:
                flat = column.flatten().to_numpy(zero_copy_only=False)
            yield flat.reshape(-1, self.length)

    def _pieces(self, shard: Shard, first: int) -> None:
        """Compare a shard with its documents table, and follow every document from sequence to sequence."""
        table = self.files.parquet(shard.documents, shard.documents_sha256).read(use_threads=False).combine_chunks()
        needed = ("sequence", "position", "document", "offset", "length")
        if any(table.column(name).null_count for name in needed):
            raise ValueError(f"{shard.documents}: a value is missing")
        sequence, position, offset, length = (
            pc.cast(table.column(name), pa.int64()).to_numpy() for name in ("sequence", "position", "offset", "length")
        )
        ids = _ids(table.column("document").combine_chunks())
        sequence = sequence - first
        rows = len(self._codes)
        new = np.r_[True, sequence[1:] != sequence[:-1]][: len(sequence)]
        ends = position + length
        follows = np.where(new, 0, np.r_[0, ends[:-1]][: len(ends)])
        whole = np.r_[new[1:], True][: len(new)]
        filled = np.full(rows, self.length)
        if self.fits:
            filled[sequence[whole]] = ends[whole]
            self._check_fit(shard.path, sequence, offset, length, filled)
        wrong = (position != follows) | (length <= 0) | (whole & (ends != filled[sequence])) | (offset < 0)
        if wrong.any() or not np.array_equal(sequence[new], np.arange(rows)):
            at = int(sequence[wrong.argmax()]) + first if wrong.any() else "?"
            raise ValueError(f"{shard.documents}: does not cover every position once (at sequence {at})")
        self._count_reached(table, ids, sequence)
        begins = begins_at(offset, self.piece)
        counts = pc.list_value_length(self._starts).to_numpy(zero_copy_only=False)
        same = np.array_equal(counts, np.bincount(sequence[begins], minlength=rows))
        if not same or not np.array_equal(self._starts.flatten().to_numpy(), position[begins]):
            self.faults["Documents"].append(f"{shard.path}: document_starts are not those of {shard.documents}")
        last, at, most = np.empty(len(ids), np.int64), 0, 0
        for matrix in self._tokens(shard.path):
            low, high = np.searchsorted(sequence, (at, at + len(matrix)))
            last[low:high] = matrix[sequence[low:high] - at, ends[low:high] - 1]
            beyond = np.arange(self.length) >= filled[at : at + len(matrix), None] if self.fits else None
            if beyond is not None and (matrix[beyond] != self.tokenizer.end_of_document).any():
                self.faults["Documents"].append(f"{shard.path}: padding is not the end-of-document token")
            at, most = at + len(matrix), max(most, int(matrix.max(initial=0)))
        if most >= self.tokenizer.vocabulary_size:
            self.faults["Exact"].append(f"{shard.path}: id {most} is not below {self.tokenizer.vocabulary_size}")
        codes = self._codes[sequence]
        pieces = np.empty(len(ids), PIECE)
        for field, column in zip(PIECE.names or (), (ids, sequence + first, offset, length, last), strict=True):
            pieces[field] = column
        for n in np.unique(codes):
            self._follow(int(n), pieces[codes == n])

    def _check_fit(
        self,
        path: str,
        sequence: NDArray[np.int64],
        offset: NDArray[np.int64],
        length: NDArray[np.int64],
        filled: NDArray[np.int64],
    ) -> None:
        """No document that fits a sequence is cut, and the rest of each sequence is told as padding."""
        cut = (offset % self.length != 0) | ((length > self.length) | (filled[sequence] > self.length))
        if cut.any():
            where = int(sequence[cut.argmax()])
            self.faults["Documents"].append(f"{path}: a document is cut, though it would fit (sequence {where})")
        if not np.array_equal(self._padded, self.length - filled):
            self.faults["Exact"].append(f"{path}: padding is not what documents leave of the sequences")
        np.add.at(self.padding, self._codes, self.length - filled)

    def _count_reached(self, table: pa.Table, ids: NDArray[Any], sequence: NDArray[np.int64]) -> None:
        if self.reached is not None:
            self.reached.count(table, ids, sequence, self._codes)

    def _follow(self, n: int, pieces: NDArray[Any]) -> None:
        """Pieces of documents of one stratum, in order: each goes on, or begins where another ended."""
        ids, sequence, offset, length, last = (pieces[field] for field in PIECE.names or ())
        begins = begins_at(offset, self.piece)
        before = self.last[n] or (b"", 0, self.tokenizer.end_of_document)
        earlier = np.concatenate([np.array([before[0]], ID), ids[:-1]])
        reached = np.r_[before[1], (offset + length)[:-1]]
        torn = ~begins & ((earlier != ids) | (reached != offset))
        open_ended = begins & (not self.may_cut) & (np.r_[before[2], last[:-1]] != self.tokenizer.end_of_document)
        if self.piece:
            open_ended &= ~begins_at(reached, self.piece)  # a whole piece needs no end
        self.faults["Documents"] += named(ids[torn], "goes on without what precedes, at sequence {}", sequence[torn])
        text = "ends without the end-of-document token, by sequence {}"
        self.faults["Documents"] += named(earlier[open_ended], text, sequence[open_ended])
        first = np.flatnonzero(begins)
        rest = int(length[: first[0] if len(first) else None].sum())
        if rest and self.stands[n]:
            self.stands[n][-1]["tokens"][-1] += rest
        if len(first):
            stands = np.empty(len(first), STANDS)
            stands["id"], stands["start"], stands["sequence"] = ids[first], offset[first], sequence[first]
            stands["tokens"] = np.add.reduceat(length, first)
            self.stands[n].append(stands)
        self.last[n] = (bytes(ids[-1]), int(offset[-1] + length[-1]), int(last[-1]))

    def documents(self) -> NDArray[Any]:
        """Every document that begins in the stream, stratum by stratum."""
        every = [one for stratum in self.stands for one in stratum]
        return np.concatenate(every) if every else np.zeros(0, STANDS)

    def passes(self) -> Iterator[tuple[int, NDArray[Any], int]]:
        """For each stratum: its number, its documents in order, and how many of them make the first pass."""
        names = list(self.numbers)
        for n, one in enumerate(self.stands):
            every = np.concatenate(one) if one else np.zeros(0, STANDS)
            kept = None if self.kept is None else self.kept["id"]
            if self.kept is not None and len(self.kept) and (self.fits or (self.piece and self.reached)):
                source = self.sources.get(names[n].partition("/")[0], -1)  # what every stratum begins with
                kept = self.kept["id"][self.kept["source"] == source]
                yield n, every, fitted_pass(every[["id", "start"]], np.sort(kept))
            else:
                yield n, every, first_pass(every[["id", "start"]], kept)

    def check(self) -> list[Check]:
        """All checks of the stream."""
        self._check_rungs()
        self._check_clean()
        rungs, documents = self.recipe.rungs, sum(len(one) for stratum in self.stands for one in stratum)
        shards = (
            f"{self.sequences:,} sequences of {self.length:,} tokens in {_count(rungs[-1].shards, 'shard', 'shards')}"
        )
        strata = _count(self.numbers, "stratum", "strata")
        furthest = self.mixture.furthest if self.mixture is not None else 0.0
        self.found |= {
            "Exact": f"{shards}; {_count(rungs, 'budget', 'budgets')} {self._exactness()}",
            "Nested": f"{_count(rungs, 'rung', 'rungs')}, each the beginning of the next",
            "Mixed": f"{strata}, in every prefix within {furthest:.2f} of a sequence",
            "Documents": f"{documents:,} fill every position, each ended by its token"
            if not self.fits
            else f"{documents:,}, none cut that fits a sequence; {int(self.padding.sum()):,} tokens of padding",
            "Clean": "no document twice" if self.held_out else "no held-out document, none twice in a pass",
        }
        return [
            told_check(f"{label} ({self.name})", self.faults[label], self.found.get(label, "")) for label in self.labels
        ]

    def _exactness(self) -> str:
        last = self.recipe.rungs[-1]
        if last.unit is None:
            return "to half a sequence"
        return f"in {last.unit}: {last.reached:,} for {last.requested:,} in {last.name}"

    def _check_rungs(self) -> None:
        """What the manifest says of each rung against the shards' own counts."""
        exact = self.faults["Exact"]
        if self.mixture is not None:
            self.faults["Mixed"] += self.mixture.faults
        faults, nested = check_forms(self.recipe.rungs, self.length)
        exact += faults
        self.faults["Nested"] += nested
        if self.damaged:
            return
        for rung in self.recipe.rungs:
            if rung.sequences not in self.borders:
                self.faults["Nested"].append(f"{rung.name}: no shard ends after its {rung.sequences:,} sequences")
        if self.sequences != self.recipe.rungs[-1].sequences:
            exact.append(f"the shards hold {self.sequences:,} sequences, not {self.recipe.rungs[-1].sequences:,}")
        self._check_strata()
        if self.reached is not None:
            self.reached.check(self.rung_counts)
            exact += self.reached.faults
            if self.piece:
                draw = {"seed": self.seed, "permutation": self.recipe.permutation or 0}
                exact += check_whole(self.reached, self.passes(), self.rung_counts, fits=self.fits, **draw)
        self.faults["Mixed"] += [
            f"the checkpoint of {sum(given):,} sequences gives the strata {given}, the shards {counted}"
            for given in self.recipe.checkpoints
            if (counted := self.border_counts.get(sum(given))) != given
        ]

    def _check_strata(self) -> None:
        """Sequences, unique and repeated tokens of each stratum in each rung."""
        if self.held_out:
            return  # of which nothing is told by stratum
        available = [int(every["tokens"][:stop].sum()) for _, every, stop in self.passes()]
        for rung in self.recipe.rungs:
            counted = self.rung_counts.get(rung.sequences)
            if counted is not None:
                padding = self.border_padding.get(rung.sequences, [0] * len(counted))
                every = zip(counted, available, padding, strict=True)
                amounts = dict(zip(self.numbers, every, strict=True))
                self.faults["Exact"] += check_amounts(rung, self.length, amounts)

    def _check_clean(self) -> None:
        kept = None if self.kept is None else self.kept["id"]
        self.faults["Clean"] += check_passes(self.passes(), list(self.numbers), kept)


def _count(things: Sized, one: str, several: str) -> str:
    return f"{len(things):,} {one if len(things) == 1 else several}"


def _ids(column: pa.Array) -> NDArray[Any]:
    """Ids of 16 bytes, without nulls, as fixed strings."""
    if column.type != pa.binary(16):
        raise ValueError(f"document is {column.type}, not 16 bytes")
    return np.frombuffer(column.buffers()[1], ID, len(column), column.offset * 16) if len(column) else np.zeros(0, ID)
