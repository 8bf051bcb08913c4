"""Verify: count again, from a result alone, everything that its manifest says.

Nothing here comes from the modules that packed the shards or wrote the ledger: both sides know the files' form and no
more. Shards and ledgers are read once, one at a time, hashed and counted; what stays in memory between them is the id
and the place of each document in the stream.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from . import store
from .schema import DUPLICATE, HELD_OUT, KEPT, LEDGER, OUTCOMES, OVER_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ONE = 1 << 32
"""Weights are whole numbers over this."""

SHOWN = 3
"""Faults that one check names; the rest are counted."""

BATCH_TOKENS = 1 << 21
ID = "S16"
READING = (OSError, pa.ArrowException, ValueError, LookupError, TypeError, OverflowError, MemoryError)
"""What Arrow raises for a file that is not what its name says."""

STANDS = np.dtype([("id", ID), ("sequence", "<i8"), ("tokens", "<i8")])
"""A document that begins in a stratum's stream: the sequence in which it does, and its tokens as far as they stand."""

PIECE = np.dtype([("id", ID), ("sequence", "<i8"), ("offset", "<i8"), ("length", "<i8"), ("last", "<i8")])
"""A row of a documents table: so many tokens of a document, from an offset in it, and the last of them."""

KEPT_ROW = np.dtype([("id", ID), ("rung", "<i8"), ("tokens", "<i8")])


@dataclass(frozen=True)
class Check:
    """One promise, checked.

    Attributes:
        promise: Which, and in round brackets of which recipe.
        holds: Whether it does.
        found: What was counted, or what is wrong and where.
    """

    promise: str
    holds: bool
    found: str


def verify(out: str) -> list[Check]:
    """Check every promise that can be checked from a result.

    Args:
        out: Folder of the result, local, s3:// or gs://.

    Returns:
        The checks: of the manifest, of the files, of the held-out set and of each recipe. A file that is missing or
        damaged is a check that does not hold, never an error.

    Raises:
        UserError: The folder holds no result.
    """
    out = store.absolute(out)
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    try:
        raw = store.read_json(path)
    except (ValueError, RecursionError, OSError) as error:
        return [Check("Manifest", holds=False, found=f"manifest.json: cannot be read: {error}")]
    if not isinstance(raw, dict) or not {"recipes", "root_hash"} & raw.keys():
        raise store.UserError(f"{path}: is no manifest of a study. Give the folder of a finished build.")
    try:
        manifest = TypeAdapter(_Manifest).validate_json(json.dumps(raw))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return [Check("Manifest", holds=False, found="manifest.json: " + _told(found))]
    faults, files = collections.defaultdict[str, list[str]](list), _Files(out)
    if _root_hash(raw) != manifest.root_hash:
        faults["Manifest"].append(f"the root hash is {_root_hash(raw)}, not {manifest.root_hash}")
    checks: list[Check] = []
    held = np.zeros(0, ID)
    if manifest.held_out is not None:
        stream = _Stream(files, manifest, manifest.held_out.as_recipe(), "held out")
        checks += stream.check()
        held = np.sort(stream.documents()["id"])
    for name, recipe in manifest.recipes.items():
        stream = _Stream(files, manifest, recipe, name)
        _Ledger(files, manifest, stream, held).count()
        checks += stream.check()
    faults["Files"] += files.faults
    faults["Files"] += [f"{one}: no manifest lists it" for one in files.unlisted()]
    return [
        _check("Manifest", faults["Manifest"], f"root hash {manifest.root_hash}"),
        _check("Files", faults["Files"], f"{len(files.listed):,} as listed, {files.bytes / 1e6:,.1f} MB; no other"),
        *checks,
    ]


def _told(faults: list[str]) -> str:
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    text = "; ".join(faults[:SHOWN]) + more
    return "".join(sign if sign.isprintable() else " " for sign in text)  # names come from data


def _check(promise: str, faults: list[str], found: str) -> Check:
    return Check(promise, not faults, _told(faults) if faults else found)


def _inside(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or {"..", "."} & set(path.split("/")):
        raise ValueError(f"{path!r} is not a path inside the result")
    return path


_FORM = ConfigDict(extra="ignore", strict=True)
_Path = Annotated[str, AfterValidator(_inside)]
_Natural = Annotated[int, Field(ge=0, lt=2**53)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]+$")]


@checked(frozen=True, config=_FORM)
class _Shard:
    path: _Path
    documents: _Path
    sequences: _Natural
    tokens: _Natural
    bytes: _Natural
    sha256: _Hash


@checked(frozen=True, config=_FORM)
class _Amount:
    tokens: _Natural
    sequences: _Natural
    unique_tokens: _Natural


@checked(frozen=True, config=_FORM)
class _Rung:
    name: str
    requested_tokens: _Natural
    tokens: _Natural
    sequences: _Natural
    shards: list[_Shard]
    strata: dict[str, _Amount] | None = None  # the held-out set's are not listed, nor its repeats: it has none
    unique_tokens: _Natural = 0
    repeated_tokens: _Natural = 0


@checked(frozen=True, config=_FORM)
class _Weight:
    weight: Annotated[int, Field(ge=0, le=ONE)]
    of: Literal[4294967296]


@checked(frozen=True, config=_FORM)
class _LedgerFile:
    path: _Path
    rows: _Natural
    sha256: _Hash
    source: str


@checked(frozen=True, config=_FORM)
class _Recipe:
    strata: dict[str, _Weight]
    rungs: Annotated[list[_Rung], Field(min_length=1)]
    counts: dict[str, Any]
    ledger: list[_LedgerFile]


@checked(frozen=True, config=_FORM)
class _HeldOut:
    requested_tokens: _Natural
    tokens: _Natural
    sequences: _Natural
    shards: list[_Shard]

    def as_recipe(self) -> _Recipe:
        rung = _Rung("held out", self.requested_tokens, self.tokens, self.sequences, self.shards)
        return _Recipe({}, [rung], {}, [])


@checked(frozen=True, config=_FORM)
class _Tokenizer:
    vocabulary_size: _Natural
    end_of_document: _Natural
    dtype: Literal["uint16", "uint32"]


@checked(frozen=True, config=_FORM)
class _Manifest:
    name: str
    root_hash: str
    sequence_length: Annotated[int, Field(ge=1, le=2**31)]
    tokenizer: _Tokenizer
    counts: dict[str, dict[str, Any]]
    held_out: _HeldOut | None
    recipes: Annotated[dict[str, _Recipe], Field(min_length=1)]


def _root_hash(raw: dict[str, Any]) -> str:
    """SHA-256 over the hashes of all shards and ledgers and all counts, as the manifest lists them."""
    held = raw["held_out"] or {"shards": []}
    recipes = {
        name: [
            [shard["sha256"] for shard in one["rungs"][-1]["shards"]],
            [ledger["sha256"] for ledger in one["ledger"]],
            one["counts"],
        ]
        for name, one in raw["recipes"].items()
    }
    return store.fingerprint([raw["counts"], [shard["sha256"] for shard in held["shards"]], recipes])


class _Files:
    """The files of a result: each is read whole, once, and remembered by name."""

    def __init__(self, out: str) -> None:
        self.out = out
        self.listed: set[str] = set()
        self.bytes = 0
        self.faults: list[str] = []

    def parquet(self, path: str, sha256: str | None = None, size: int | None = None) -> pq.ParquetFile:
        """Read a file, compare it with what the manifest says of it, and open it.

        Raises:
            OSError: It is missing, or not Parquet; said among the faults, too.
        """
        self.listed.add(path)
        try:
            data = store.read_bytes(store.join(self.out, path))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            self.faults.append(f"{path}: {'is missing' if missing else f'cannot be read: {error}'}")
            raise OSError(self.faults[-1]) from error
        self.bytes += len(data)
        if size is not None and len(data) != size:
            self.faults.append(f"{path}: has {len(data):,} bytes, not {size:,}")
        elif sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            self.faults.append(f"{path}: its SHA-256 is not the manifest's")
        try:
            return pq.ParquetFile(pa.BufferReader(data))
        except READING as error:
            self.faults.append(f"{path}: is not Parquet: {error}")
            raise OSError(self.faults[-1]) from error

    def unlisted(self) -> list[str]:
        """Files beside the listed ones; a running build's temporary files are none yet."""
        folders = ("shards", "documents", "ledger", "held_out")
        found = [file.path for folder in folders for file in store.list_files(store.join(self.out, folder))]
        start = len(self.out.rstrip("/")) + 1
        names = [path[start:] for path in found if not path.rpartition("/")[2].startswith(store.TEMPORARY)]
        return [name for name in names if name not in self.listed]


class _Stream:
    """The stream of one recipe, or of the held-out set: its shards, one after the other."""

    def __init__(self, files: _Files, manifest: _Manifest, recipe: _Recipe, name: str) -> None:
        self.files, self.recipe, self.name = files, recipe, name
        self.length, self.tokenizer = manifest.sequence_length, manifest.tokenizer
        self.held_out = not recipe.strata
        self.labels = ["Exact", "Documents", "Clean"]
        if not self.held_out:
            self.labels = ["Exact", "Nested", "Mixed", "Documents", "Clean", "Accounted"]
        self.faults = collections.defaultdict[str, list[str]](list)
        self.found: dict[str, str] = {}
        self.numbers = {stratum: n for n, stratum in enumerate(sorted(recipe.strata))}
        self.weights = [recipe.strata[stratum].weight for stratum in self.numbers]
        self.counts = [0] * len(self.numbers)
        self.off = [0] * len(self.numbers)  # sequences beyond weight x length, in units of 2**-32
        self.furthest = 0
        self.stands: list[list[NDArray[Any]]] = [[] for _ in self.numbers]
        self.last: list[tuple[bytes, int, int] | None] = [None] * len(self.numbers)  # id, next offset, last token
        self.sequences = 0
        self.borders = {0}  # sequences at which a shard ends
        self.rung_counts: dict[int, list[int]] = {}
        self.kept: NDArray[Any] | None = None
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
        if self.damaged:
            for label in self.labels:
                self.faults[label] = self.faults[label] or ["not counted to the end: a shard is damaged"]
        for shard in self.recipe.rungs[-1].shards:
            for path in (shard.path, shard.documents):
                if path not in self.files.listed:  # behind a damaged one
                    with contextlib.suppress(OSError):
                        self.files.parquet(path, *((shard.sha256, shard.bytes) if path == shard.path else ()))

    def _shard(self, shard: _Shard, first: int) -> None:
        """Count a shard's sequences by stratum; look at the form of each."""
        file = self.files.parquet(shard.path, shard.sha256, shard.bytes)
        rows = file.metadata.num_rows
        if rows != shard.sequences or shard.tokens != shard.sequences * self.length:
            said = f"{shard.sequences:,} sequences, {shard.tokens:,} tokens"
            self.faults["Exact"].append(f"{shard.path}: holds {rows:,} sequences of {self.length}, not {said}")
        columns = file.read(columns=["stratum", "document_starts"], use_threads=False).combine_chunks()
        self._codes = self._strata(shard.path, columns.column("stratum"))
        self._starts = columns.column("document_starts").combine_chunks()
        for rung in self.recipe.rungs:
            if first <= rung.sequences <= first + rows:
                inside = np.bincount(self._codes[: rung.sequences - first], minlength=len(self.numbers))
                self.rung_counts[rung.sequences] = [a + int(b) for a, b in zip(self.counts, inside, strict=True)]
        for n in range(len(self.numbers)):
            picks = self._codes == n
            self.counts[n] += int(picks.sum())
            if not self.held_out and rows:
                off = self.off[n] + np.cumsum(picks * ONE - self.weights[n])
                self.off[n] = int(off[-1])
                far = int(np.abs(off).argmax())
                self.furthest = max(self.furthest, abs(int(off[far])))
                if abs(int(off[far])) > ONE:
                    stratum = list(self.numbers)[n]
                    by = f"{int(off[far]) / ONE:+.2f} sequences off its weight"
                    self.faults["Mixed"].append(f"after {first + far + 1:,} sequences, {stratum} is {by}")
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
        return numbers[encoded.indices.to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return]

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
            if column.null_count or kind != self.tokenizer.dtype or not _all(pc.equal(sizes, wanted)):
                wanted_form = f"{self.length} ids of type {self.tokenizer.dtype}"
                self.faults["Exact"].append(f"{path}: not every sequence has {wanted_form}")
                raise ValueError(f"{path}: not compared with its documents, for want of {wanted_form}")
            if binary:
                flat = np.frombuffer(b"".join(column.to_pylist()), np.dtype(kind).newbyteorder("<"))
            else:
                flat = column.flatten().to_numpy(zero_copy_only=False)
            yield flat.reshape(-1, self.length)

    def _pieces(self, shard: _Shard, first: int) -> None:
        """Compare a shard with its documents table, and follow every document from sequence to sequence."""
        table = self.files.parquet(shard.documents).read(use_threads=False).combine_chunks()
        if any(column.null_count for column in table.columns):
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
        wrong = (position != follows) | (length <= 0) | (whole & (ends != self.length)) | (offset < 0)
        if wrong.any() or not np.array_equal(sequence[new], np.arange(rows)):
            at = int(sequence[wrong.argmax()]) + first if wrong.any() else "?"
            raise ValueError(f"{shard.documents}: does not cover every position once (at sequence {at})")
        begins = offset == 0
        counts = pc.list_value_length(self._starts).to_numpy(zero_copy_only=False)
        same = np.array_equal(counts, np.bincount(sequence[begins], minlength=rows))
        if not same or not np.array_equal(self._starts.flatten().to_numpy(), position[begins]):
            self.faults["Documents"].append(f"{shard.path}: document_starts are not those of {shard.documents}")
        last, at, most = np.empty(len(ids), np.int64), 0, 0
        for matrix in self._tokens(shard.path):
            low, high = np.searchsorted(sequence, (at, at + len(matrix)))
            last[low:high] = matrix[sequence[low:high] - at, ends[low:high] - 1]
            at, most = at + len(matrix), max(most, int(matrix.max(initial=0)))
        if most >= self.tokenizer.vocabulary_size:
            self.faults["Exact"].append(f"{shard.path}: id {most} is not below {self.tokenizer.vocabulary_size}")
        codes = self._codes[sequence]
        pieces = np.empty(len(ids), PIECE)
        for field, column in zip(PIECE.names or (), (ids, sequence + first, offset, length, last), strict=True):
            pieces[field] = column
        for n in np.unique(codes):
            self._follow(int(n), pieces[codes == n])

    def _follow(self, n: int, pieces: NDArray[Any]) -> None:
        """Pieces of documents of one stratum, in order: each goes on, or begins where another ended."""
        ids, sequence, offset, length, last = (pieces[field] for field in PIECE.names or ())
        begins = offset == 0
        before = self.last[n] or (b"", 0, self.tokenizer.end_of_document)
        earlier = np.concatenate([np.array([before[0]], ID), ids[:-1]])
        reached = np.r_[before[1], (offset + length)[:-1]]
        torn = ~begins & ((earlier != ids) | (reached != offset))
        open_ended = begins & (np.r_[before[2], last[:-1]] != self.tokenizer.end_of_document)
        self.faults["Documents"] += _named(ids[torn], "goes on without what precedes, at sequence {}", sequence[torn])
        text = "ends without the end-of-document token, by sequence {}"
        self.faults["Documents"] += _named(earlier[open_ended], text, sequence[open_ended])
        first = np.flatnonzero(begins)
        rest = int(length[: first[0] if len(first) else None].sum())
        if rest and self.stands[n]:
            self.stands[n][-1]["tokens"][-1] += rest
        if len(first):
            stands = np.empty(len(first), STANDS)
            stands["id"], stands["sequence"] = ids[first], sequence[first]
            stands["tokens"] = np.add.reduceat(length, first)
            self.stands[n].append(stands)
        self.last[n] = (bytes(ids[-1]), int(offset[-1] + length[-1]), int(last[-1]))

    def documents(self) -> NDArray[Any]:
        """Every document that begins in the stream, stratum by stratum."""
        every = [one for stratum in self.stands for one in stratum]
        return np.concatenate(every) if every else np.zeros(0, STANDS)

    def passes(self) -> Iterator[tuple[int, NDArray[Any], int]]:
        """For each stratum: its number, its documents in order, and how many of them make the first pass.

        Documents stand in one order in every pass, copies of one text side by side. So a pass is over where the first
        document comes again after another one.
        """
        for n, one in enumerate(self.stands):
            every = np.concatenate(one) if one else np.zeros(0, STANDS)
            ids = every["id"]
            again = np.flatnonzero((ids[1:] == ids[:1]) & (ids[1:] != ids[:-1])) + 1
            stop = int(again[0]) if len(again) else len(ids)
            if self.kept is not None and stop and (ids == ids[0]).all():
                stop = min(stop, max(1, int((self.kept["id"] == ids[0]).sum())))
            yield n, every, stop

    def check(self) -> list[Check]:
        """All checks of the stream."""
        self._check_rungs()
        self._check_clean()
        rungs, documents = self.recipe.rungs, sum(len(one) for stratum in self.stands for one in stratum)
        shards = f"{self.sequences:,} sequences of {self.length:,} tokens in {len(rungs[-1].shards):,} shards"
        self.found |= {
            "Exact": f"{shards}; {len(rungs)} budgets to half a sequence",
            "Nested": f"{len(rungs)} rungs, each the beginning of the next",
            "Mixed": f"{len(self.numbers)} strata, in every prefix within {self.furthest / ONE:.2f} of a sequence",
            "Documents": f"{documents:,} fill every position, each ended by its token",
            "Clean": "no document twice" if self.held_out else "nothing held out, no document twice in a pass",
        }
        return [
            _check(f"{label} ({self.name})", self.faults[label], self.found.get(label, "")) for label in self.labels
        ]

    def _check_rungs(self) -> None:
        """What the manifest says of each rung against the shards' own counts."""
        exact, nested = self.faults["Exact"], self.faults["Nested"]
        if not self.held_out and sum(self.weights) != ONE:
            self.faults["Mixed"].append(f"the weights sum to {sum(self.weights)}, not to {ONE}")
        for smaller, rung in zip([None, *self.recipe.rungs], self.recipe.rungs, strict=False):
            if rung.tokens != rung.sequences * self.length:
                exact.append(f"{rung.name}: {rung.sequences:,} sequences are not {rung.tokens:,} tokens")
            if 2 * abs(rung.tokens - rung.requested_tokens) > self.length:
                exact.append(f"{rung.name}: {rung.tokens:,} tokens are not the nearest to {rung.requested_tokens:,}")
            if smaller and (rung.shards[: len(smaller.shards)] != smaller.shards or rung.sequences < smaller.sequences):
                nested.append(f"{rung.name} does not begin with the shards of {smaller.name}")
            if not self.damaged and rung.sequences not in self.borders:
                nested.append(f"{rung.name}: no shard ends after its {rung.sequences:,} sequences")
            listed = sum(shard.sequences for shard in rung.shards)
            if listed != rung.sequences:
                exact.append(f"{rung.name}: its shards hold {listed:,} sequences, not {rung.sequences:,}")
        if not self.damaged and self.sequences != self.recipe.rungs[-1].sequences:
            exact.append(f"the shards hold {self.sequences:,} sequences, not {self.recipe.rungs[-1].sequences:,}")
        if not self.damaged:
            self._check_strata()

    def _check_strata(self) -> None:
        """Sequences, unique and repeated tokens of each stratum in each rung."""
        exact = self.faults["Exact"]
        available = [int(every["tokens"][:stop].sum()) for _, every, stop in self.passes()]
        for rung in self.recipe.rungs:
            counted = self.rung_counts.get(rung.sequences)
            if rung.strata is None or counted is None:
                continue
            amounts = {}
            for stratum, sequences, most in zip(self.numbers, counted, available, strict=True):
                tokens = sequences * self.length
                amounts[stratum] = _Amount(tokens, sequences, min(tokens, most))
            unique = sum(amount.unique_tokens for amount in amounts.values())
            for stratum in sorted(amounts.keys() | rung.strata.keys()):
                mine, listed_amount = amounts.get(stratum), rung.strata.get(stratum)
                if mine != listed_amount:
                    exact.append(f"{rung.name}: {stratum} has {_amount(mine)}, not {_amount(listed_amount)}")
            if (unique, rung.tokens - unique) != (rung.unique_tokens, rung.repeated_tokens):
                said = f"{rung.unique_tokens:,} and {rung.repeated_tokens:,}"
                exact.append(f"{rung.name}: {unique:,} unique and {rung.tokens - unique:,} repeated tokens, not {said}")

    def _check_clean(self) -> None:
        first = []
        for n, every, stop in self.passes():
            first.append(every["id"][:stop])
            wrong = every["id"][stop:] != every["id"][: len(every) - stop]
            if wrong.any():
                at = every[stop:][wrong.argmax()]
                stratum = list(self.numbers)[n]
                self.faults["Clean"].append(f"sequence {at['sequence']:,}: a new pass of {stratum} has another order")
        ids, times = np.unique(np.concatenate([np.zeros(0, ID), *first]), return_counts=True)
        allowed = np.ones(len(ids), np.int64)
        if self.kept is not None and len(self.kept):
            known, copies = np.unique(self.kept["id"], return_counts=True)
            at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            allowed = np.where(known[at] == ids, copies[at], 1)
        over = times > allowed
        self.faults["Clean"] += _named(ids[over], "stands {} times in one pass", times[over])


class _Ledger:
    """The ledger of one recipe: every record that was read, in one bin."""

    def __init__(self, files: _Files, manifest: _Manifest, stream: _Stream, held: NDArray[Any]) -> None:
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
        self.faults += _named(np.setdiff1d(self.held, drawn), "stands in the held-out set, but no row says so")
        records = sum(source["records"] for source in self.sources.values())
        found_kept = f"{len(kept):,} kept, as they stand in the stream"
        self.stream.found["Accounted"] = f"{records:,} records, each in one bin; {found_kept}"

    def _file(self, one: _LedgerFile) -> None:
        table = self.files.parquet(one.path, one.sha256).read(use_threads=False)
        table = table.select(LEDGER.names).cast(LEDGER).combine_chunks()
        if table.num_rows != one.rows or not _all(pc.equal(table.column("source"), one.source)):
            self.faults.append(f"{one.path}: is not {one.rows:,} rows of {one.source}")
        counts = table.group_by(["source", "outcome", "reason"], use_threads=False)
        counts = counts.aggregate([("bytes", "count"), ("bytes", "sum"), ("tokens", "sum")])
        for row in counts.to_pylist():
            self._add(one.path, row)
        outcome, tokens, rung = (table.column(name).combine_chunks() for name in ("outcome", "tokens", "first_rung"))
        kept = pc.equal(outcome, KEPT)
        stands = pc.or_(pc.is_valid(tokens), pc.is_valid(rung))
        number = pc.index_in(rung, self.rungs)
        if not _all(pc.equal(kept, stands)) or not _all(pc.equal(kept, pc.is_valid(number))):
            self.faults.append(f"{one.path}: tokens and first_rung are not those of the kept rows")
        self._without_document(one, table)
        rows = np.empty(int(pc.sum(kept).as_py() or 0), KEPT_ROW)
        rows["id"] = _hex_ids(one.path, table.column("document").filter(kept))
        rows["tokens"] = tokens.filter(kept).fill_null(-1).to_numpy()
        rows["rung"] = number.filter(kept).fill_null(-1).to_numpy()
        self.kept.append(rows)
        self._bins(one.path, table, outcome)

    def _bins(self, path: str, table: pa.Table, outcome: pa.Array) -> None:
        """What duplicates and held-out rows say of other documents."""
        twins, away = pc.equal(outcome, DUPLICATE), pc.equal(outcome, HELD_OUT)
        told = pc.is_valid(table.column("survivor").combine_chunks())
        if not _all(pc.equal(told, pc.or_(twins, away))):
            self.faults.append(f"{path}: survivors are not those of the duplicates and held-out rows")
        self.survivors.append(np.unique(_hex_ids(path, table.column("survivor").filter(pc.and_(told, twins)))))
        self.duplicates |= bool(len(self.survivors[-1]))
        near = _hex_ids(path, table.column("survivor").filter(pc.and_(told, away)))
        self.faults += _named(np.setdiff1d(near, self.held), "is no held-out document, but rows are held out for it")
        reasons = table.column("reason").filter(away)
        self.drawn.append(_hex_ids(path, table.column("document").filter(away).filter(pc.equal(reasons, "held out"))))
        self.faults += _named(np.setdiff1d(self.drawn[-1], self.held), "is said to be held out, but is not in the set")
        others = pc.and_(pc.is_valid(table.column("document")), pc.invert(away))
        ids = _hex_ids(path, table.column("document").filter(others))
        self.stream.faults["Clean"] += _named(np.intersect1d(ids, self.held), "is held out, but its row says otherwise")

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
        elif row["outcome"] != DUPLICATE and row["reason"] is not None:
            one["reasons"][row["reason"]] = one["reasons"].get(row["reason"], 0) + row["bytes_count"]

    def _without_document(self, one: _LedgerFile, table: pa.Table) -> None:
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
            clean += _named(ids[times > 1], "is kept {} times", times[times > 1])
        ends = np.array([rung.sequences for rung in self.recipe.rungs])
        found, cut = [np.zeros(0, KEPT_ROW)], [np.zeros(0, bool)]
        for _, every, stop in stream.passes():
            rows = np.empty(stop, KEPT_ROW)
            rows["id"], rows["tokens"] = every["id"][:stop], every["tokens"][:stop]
            rows["rung"] = np.searchsorted(ends, every["sequence"][:stop], side="right")
            found.append(rows)
            cut.append(np.arange(stop) == len(every) - 1)
        stands, open_ended = np.concatenate(found), np.concatenate(cut)
        clean += _named(np.intersect1d(stands["id"], self.held), "is held out, but in the stream")
        self.faults += _named(np.setdiff1d(kept["id"], stands["id"]), "is kept, but not in the stream")
        self.faults += _named(np.setdiff1d(stands["id"], kept["id"]), "is in the stream, but not kept")
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
        self.faults += _named(kept["id"][wrong], "has {} tokens in the stream, unlike its row", stands["tokens"][wrong])
        wrong = one & (kept["rung"] != stands["rung"])
        names = np.array([*self.rungs.to_pylist(), "no rung"])
        self.faults += _named(kept["id"][wrong], "begins in rung {}, unlike its row", names[stands["rung"][wrong]])

    def _look_up_survivors(self) -> None:
        """Every survivor must itself be kept, or over the budget."""
        survivors = np.unique(np.concatenate([np.zeros(0, ID), *self.survivors]))
        found = np.zeros(len(survivors), bool)
        for one in self.recipe.ledger if len(survivors) else ():
            table = store.read_table(store.join(self.files.out, one.path), ["document", "outcome"])
            alive = pc.is_in(table.column("outcome"), pa.array([KEPT, OVER_BUDGET]))
            found |= np.isin(survivors, _hex_ids(one.path, table.column("document").filter(alive)))
        self.faults += _named(survivors[~found], "is a survivor, but neither kept nor over the budget")


def _amount(amount: _Amount | None) -> str:
    if amount is None:
        return "nothing"
    return f"{amount.sequences:,} sequences, {amount.tokens:,} tokens, {amount.unique_tokens:,} unique"


def _differences(where: str, said: Any, found: Any) -> list[str]:
    """Where two plain values differ, innermost first key."""
    if isinstance(said, dict) and isinstance(found, dict):
        return [
            line for key in sorted(said.keys() | found.keys())
            for line in _differences(f"{where}.{key}", said.get(key), found.get(key))
        ]  # fmt: skip
    return [] if said == found else [f"{where}: the manifest says {said}, the ledger {found}"]


def _ids(column: pa.Array) -> NDArray[Any]:
    """Ids of 16 bytes, without nulls, as fixed strings."""
    if column.type != pa.binary(16):
        raise ValueError(f"document is {column.type}, not 16 bytes")
    return np.frombuffer(column.buffers()[1], ID, len(column), column.offset * 16) if len(column) else np.zeros(0, ID)


def _hex_ids(path: str, column: pa.ChunkedArray) -> NDArray[Any]:
    """The same from columns of hex digits."""
    texts = pa.concat_arrays([pa.array([], pa.large_string()), *pc.cast(column, pa.large_string()).chunks])
    wrong = texts.null_count or not _all(pc.equal(pc.binary_length(texts), 32))
    raw = b"" if wrong else bytes.fromhex("".join(texts.to_pylist()))
    if wrong or len(raw) != 16 * len(texts):
        raise ValueError(f"{path}: not every document is named by 32 hex digits")
    return np.frombuffer(raw, ID)


def _all(column: pa.Array) -> bool:
    return bool(pc.all(column, min_count=0).as_py())


def _named(ids: NDArray[Any], text: str, values: NDArray[Any] | None = None) -> list[str]:
    """What is wrong with the first of some documents, and how many more there are."""
    if not len(ids):
        return []
    more = f" (and {len(ids) - 1:,} more)" if len(ids) > 1 else ""
    said = text.format("" if values is None else values[0])
    return [f"document {bytes(ids[0]).ljust(16, bytes(1)).hex()} {said}{more}"]
