"""A rung of a build: its sequences by number, from any of its shards, in O(1)."""

from __future__ import annotations

import collections
import difflib
import operator
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..data_cards import notebook
from ..pipelines.files import store
from .cache import Cache
from .gather import gather
from .shard_file import DTYPES, Shard, ShardFile, checked_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

HELD_OUT = "held_out"
OPEN_SHARDS = 16_384
"""Maps that a process holds; Linux allows 65,530."""

LOOKS = 32
"""Files that are looked for in the cache before one batch: 0.2 ms."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def _entries(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the manifest says of each thing that can be opened, by the name that the data card gives it."""
    out = {f"{name}-{rung['name']}": rung for name, recipe in manifest["recipes"].items() for rung in recipe["rungs"]}
    out |= {f"{name}-{one['rung']}": one for name, one in manifest.get("curricula", {}).items()}
    return out | ({HELD_OUT: manifest["held_out"]} if manifest["held_out"] else {})


def read_manifest(out: str) -> dict[str, Any]:
    """The manifest of a build.

    Raises:
        UserError: The folder holds no build.
    """
    path = store.join(store.absolute(out), "manifest.json")
    try:
        value = store.read_json(path)
        _entries(value)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise store.UserError(f"{path}: is no manifest of a build: {error!r}.") from error
    return value  # type: ignore[no-any-return] # the entries that are used were looked up above


def list_rungs(out: str | os.PathLike[str]) -> list[str]:
    """Names that `open_rung` knows: `RECIPE-RUNG`, `CURRICULUM-RUNG`, and `held_out` where there is one.

    Raises:
        UserError: The folder holds no build.
    """
    return list(_entries(read_manifest(os.fspath(out))))


def open_rung(out: str | os.PathLike[str], name: str, *, cache: Cache | None = None, read_ahead: int = 4) -> Rung:
    """Open a rung of a build. Nothing but the manifest is read until a sequence is asked for.

    Args:
        out: Folder of the build: a local path, s3:// or gs://.
        name: `RECIPE-RUNG`, `CURRICULUM-RUNG` or `held_out`, as on the data card.
        cache: Where decoded shards stand; by default `$TOKENLADDER_CACHE` or the user's folder for caches.
        read_ahead: Shards that are fetched at most before they are needed.

    Raises:
        UserError: The folder holds no build, or the build no such rung.
    """
    manifest = read_manifest(os.fspath(out))
    entries = _entries(manifest)
    if name not in entries:
        near = difflib.get_close_matches(str(name), entries, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise store.UserError(f"{out}: has no rung {name!r}. It has: {', '.join(entries) or 'none'}.{hint}")
    try:
        return Rung(os.fspath(out), name, manifest, entries[name], cache or Cache(), read_ahead)
    except (KeyError, TypeError, ValueError) as error:
        raise store.UserError(f"{out}/manifest.json: is no manifest of a build: {error!r}.") from error


class Rung:
    """A rung's sequences. Made by `open_rung`.

    Attributes:
        name: `RECIPE-RUNG`, or `held_out`.
        length: Tokens in a sequence.
        dtype: uint16 or uint32.
        vocabulary_size: Every token is below it.
        end_of_document: The token after each document.
        tokens: Tokens of the rung.
        strata: Names of its strata; none for the held-out set.
        padded: Whether sequences may end with padding: the study packs by best fit.
        seed: The study's.
        digest: SHA-256 over the shards' hashes: what the rung holds.
        manifest: The whole manifest.
        entry: What it says of this rung.
    """

    def __init__(  # noqa: PLR0917 made by `open_rung` alone
        self, out: str, name: str, manifest: dict[str, Any], entry: dict[str, Any], cache: Cache, read_ahead: int
    ) -> None:
        tokenizer = manifest["tokenizer"]
        self._arguments = (out, name, cache, read_ahead)
        self._root = store.absolute(out)
        self.name = name
        self.manifest = manifest
        self.entry = entry
        self.length: int = manifest["sequence_length"]
        self.vocabulary_size: int = tokenizer["vocabulary_size"]
        self.end_of_document: int = tokenizer["end_of_document"]
        if tokenizer["dtype"] not in DTYPES:
            raise store.UserError(f"{out}: the manifest names {tokenizer['dtype']!r} tokens; {DTYPES} can be read.")
        self.dtype = np.dtype(tokenizer["dtype"])
        self.tokens: int = entry["tokens"]
        self.strata: list[str] = sorted(entry.get("strata", {}))
        self.padded: bool = manifest.get("packing") == "best-fit" and name != HELD_OUT
        self.seed: int = manifest["seed"]
        self._shards = [self._shard_file(shard) for shard in entry["shards"]]
        self._documents = [(shard["documents"], shard["documents_sha256"]) for shard in entry["shards"]]
        counts = [shard.sequences for shard in self._shards]
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if self._first[-1] != entry["sequences"] or entry["tokens"] != entry["sequences"] * self.length:
            raise store.UserError(
                f"{out}: the manifest gives {name} {entry['sequences']:,} sequences of {self.length:,} and "
                f"{entry['tokens']:,} tokens, but its shards {int(self._first[-1]):,} sequences."
            )
        self.digest: str = store.fingerprint([shard.sha256 for shard in self._shards])
        self._cache = cache
        self._open: collections.OrderedDict[int, Shard] = collections.OrderedDict()
        self._open_bytes = 0
        self._addresses = np.zeros((2, len(self._shards)), np.uint64)
        self._read_ahead = max(0, read_ahead)
        self._coming: list[Future[None]] = []
        self._pool: ThreadPoolExecutor | None = None

    def _shard_file(self, shard: dict[str, Any]) -> ShardFile:
        path = shard["path"]
        if path[:1] == "/" or "://" in path or ".." in path.split("/"):
            raise store.UserError(f"The manifest names a shard outside its folder: {path!r}.")
        if not _SHA256.fullmatch(shard["sha256"]):
            raise store.UserError(f"The manifest gives the shard {path!r} no SHA-256, but {shard['sha256']!r}.")
        return ShardFile(
            f"{self._root}/{path}",
            shard["sha256"],
            shard["sequences"],
            self.length,
            self.manifest["tokenizer"]["dtype"],
            self.vocabulary_size,
        )

    def __reduce__(self) -> Any:
        """Workers of a data loader open the rung anew: memory maps do not travel."""
        return _reopen, self._arguments

    def __len__(self) -> int:
        return int(self._first[-1])

    def __repr__(self) -> str:
        return f"<rung {self.name}: {len(self):,} sequences of {self.length:,} {self.dtype} tokens>"

    def _repr_html_(self) -> str:
        return notebook.show_rung(self.name, self.length, str(self.dtype), self.entry)

    def __getitem__(self, sequence: int) -> NDArray[Any]:
        """The tokens of a sequence: a read-only view of shape (length,), not a copy.

        Raises:
            IndexError: There is no such sequence.
            TypeError: That is no whole number.
            ShardError: Its shard is missing or damaged.
        """
        try:
            number = operator.index(sequence)
        except TypeError as error:
            asked = (
                f"{sequence!r} was asked for. Give the number of a sequence, such as rung[0]; rung.slice has several."
            )
            raise TypeError(f"{self.name}: {asked}") from error
        if not 0 <= number < len(self):  # said here, because it may not fit into 64 bits
            raise self._outside(number)
        shards, rows = self._locate(np.array([number], np.int64))
        return self._ready(int(shards[0])).tokens[rows[0]]  # type: ignore[no-any-return] # a row of a matrix

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[n] for n in range(len(self)))

    def check_model(self, vocabulary_size: int) -> None:
        """Say so before training if a model's table of embeddings has no row for some token.

        Raises:
            UserError: It is too small.
        """
        if vocabulary_size < self.vocabulary_size:
            raise store.UserError(
                f"{self.name}: token ids go up to {self.vocabulary_size - 1:,}, but the model has a vocabulary of "
                f"{vocabulary_size:,}. Give it {self.vocabulary_size:,} or more."
            )

    def slice(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences [start, stop): a read-only view where one shard holds them all, else a copy.

        Raises:
            IndexError: Some are outside the rung.
        """
        if max(abs(start), abs(stop)) > len(self):  # said here, because it may not fit into 64 bits
            raise self._outside(start if abs(start) > len(self) else stop - 1)
        shards, rows = self._locate(np.array([start, max(start, stop - 1)], np.int64))
        if shards[0] == shards[1] and stop > start:
            return self._ready(int(shards[0])).tokens[rows[0] : rows[0] + stop - start]
        return self.take(np.arange(start, stop))

    def take(self, sequences: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Copy sequences, in any order.

        Args:
            sequences: int64[n].
            out: Where to, of shape (n, length) and the rung's dtype; a new array by default.

        Returns:
            Tokens of shape (n, length).

        Raises:
            IndexError: Some are outside the rung.
            ValueError: `out` has another shape or dtype.
            ShardError: A shard is missing or damaged.
        """
        if out is None:
            out = np.empty((len(sequences), self.length), self.dtype)
        elif out.shape != (len(sequences), self.length) or out.dtype != self.dtype:
            raise ValueError(
                f"out is {out.dtype} of {out.shape}; {self.dtype} of {(len(sequences), self.length)} fits."
            )
        self._gather(0, sequences, out)
        return out

    def start_bits(self, sequences: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A bit for each token of the sequences, set where a document begins; see :func:`.gather.segments`."""
        out = np.empty((len(sequences), -(-self.length // 8)), np.uint8)
        self._gather(1, sequences, out)
        return out

    def strata_of(self, sequences: NDArray[np.int64]) -> list[str]:
        """The stratum of each sequence."""
        shards, rows = self._locate(sequences)
        out = np.empty(len(sequences), object)
        for shard in np.unique(shards):
            mine = np.flatnonzero(shards == shard)
            out[mine] = self._ready(int(shard)).strata.take(pa.array(rows[mine])).to_pylist()
        return out.tolist()

    def padding(self, sequences: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens at the end of each sequence that are padding: the end-of-document token, to be left out of losses."""
        out = np.zeros(len(sequences), np.int64)
        shards, rows = self._locate(sequences)
        for shard in np.unique(shards) if self.padded else ():
            found, mine = self._ready(int(shard)).padding, np.flatnonzero(shards == shard)
            if found is not None:
                out[mine] = found[rows[mine]]
        return out

    def documents(self, sequences: NDArray[np.int64]) -> pa.Table:
        """Which documents stand in sequences.

        Args:
            sequences: int64[n], in any order, repeated ones too.

        Returns:
            A table with a row for each piece of a document, in the order of `sequences`: `row` (place in `sequences`),
            `sequence`, `position` (of its first token in the sequence), `document` (hex id), `offset` (tokens of the
            document before) and `length` (tokens).

        Raises:
            ShardError: A table of documents is missing or damaged.
        """
        shards, _ = self._locate(sequences)
        pieces = []
        for shard in np.unique(shards):
            mine = np.flatnonzero(shards == shard)
            path, sha256 = self._documents[shard]
            data = checked_bytes(store.join(self._root, path), sha256)
            table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            column = table.column("sequence").to_numpy()
            first = np.searchsorted(column, sequences[mine], "left")
            counts = np.searchsorted(column, sequences[mine], "right") - first
            offsets = np.repeat(first - np.cumsum(counts) + counts, counts)
            rows = offsets + np.arange(len(offsets))
            chosen = table.take(pa.array(rows))
            ids = pa.array([one.hex() for one in chosen.column("document").to_pylist()], pa.string())
            columns = {name: chosen.column(name) for name in ("sequence", "position", "offset", "length")}
            pieces.append(pa.table({"row": np.repeat(mine, counts), "document": ids, **columns}))
        table = pa.concat_tables(pieces).select(["row", "sequence", "position", "document", "offset", "length"])
        return table.sort_by([("row", "ascending"), ("position", "ascending")])

    def wanted(self, sequences: NDArray[np.int64]) -> collections.deque[int]:
        """Numbers of the shards of these sequences that are not open yet, in the order of first use."""
        if not self._read_ahead or self._addresses[0].all():
            return collections.deque()
        shards, first = np.unique(self._locate(sequences)[0], return_index=True)
        missing = shards[np.argsort(first)]
        return collections.deque(missing[self._addresses[0][missing] == 0].tolist())

    def prefetch(self, wanted: collections.deque[int]) -> None:
        """Take shards off the front of `wanted` and fetch them in threads, `read_ahead` at most at a time."""
        self._coming = [future for future in self._coming if not future.done()]
        for _ in range(min(len(wanted), LOOKS)):
            if len(self._coming) >= self._read_ahead:
                return
            shard = self._shards[wanted.popleft()]
            if not self._cache.holds(shard):
                self._pool = self._pool or ThreadPoolExecutor(self._read_ahead, "read-ahead")
                self._coming.append(self._pool.submit(self._cache.fetch, shard))

    @property
    def shard_sequences(self) -> int:
        """Sequences of a shard, on average."""
        return -(-len(self) // len(self._shards))

    @property
    def read_ahead(self) -> int:
        """Shards that are fetched at most before they are needed."""
        return self._read_ahead

    def _locate(self, sequences: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shard of each sequence, and its row there."""
        if len(sequences) and not 0 <= sequences.min() <= sequences.max() < len(self):
            worst = sequences[(sequences < 0) | (sequences >= len(self))][0]
            raise self._outside(worst)
        shards = np.searchsorted(self._first, sequences, "right") - 1
        return shards, sequences - self._first[shards]

    def _outside(self, sequence: int) -> IndexError:
        return IndexError(f"{self.name} has {len(self):,} sequences, 0 to {len(self) - 1:,}; {sequence} was asked for.")

    def _gather(self, which: int, sequences: NDArray[np.int64], out: NDArray[Any]) -> None:
        shards, rows = self._locate(sequences)
        addresses = self._addresses[which][shards]
        if not addresses.all():
            needed = np.unique(shards)
            kept = [self._ready(int(shard)) for shard in needed]  # alive until the rows are copied
            column = np.array([(one.tokens, one.bits)[which].ctypes.data for one in kept], np.uint64)
            addresses = column[np.searchsorted(needed, shards)]
        gather(addresses, rows, out)

    def _ready(self, number: int) -> Shard:
        """An open shard. Those opened longest ago are closed where the open ones pass the cache's limit."""
        found = self._open.get(number)
        if found is None:
            found = self._cache.open(self._shards[number])
            self._open[number] = found
            self._open_bytes += found.nbytes
            self._addresses[:, number] = found.tokens.ctypes.data, found.bits.ctypes.data
            while len(self._open) > 1 and (self._open_bytes > self._cache.limit or len(self._open) > OPEN_SHARDS):
                oldest, closed = self._open.popitem(last=False)
                self._open_bytes -= closed.nbytes
                self._addresses[:, oldest] = 0
        return found


def _reopen(out: str, name: str, cache: Cache, read_ahead: int) -> Rung:
    return open_rung(out, name, cache=cache, read_ahead=read_ahead)
