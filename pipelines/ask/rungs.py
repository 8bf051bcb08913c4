"""What stands in a rung, read back from a result alone: its documents whole, their names, and the tokenizer.

Documents are torn over sequences, because strata take turns in the stream. Here they are put together again, shard by
shard: what a shard leaves unfinished waits for the next one, so that memory holds one shard and one document of each
stratum.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from ...tokenizers.loading import FILES, load_bytes
from ...tokenizers.sections import TokenizerSection
from ..files import store
from ..files.schema import HELD_OUT, KEPT
from ..recount.result_files import READING, Manifest, Recipe, Shard
from ..stages import keys
from ..stages.ranges import copy_ranges
from ..study.checks import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...tokenizers.protocol import Tokenizer


@dataclass(frozen=True)
class Rung:
    """One rung, or the held-out set.

    Attributes:
        name: RECIPE-RUNG, CURRICULUM-RUNG, or `held_out`.
        recipe: The recipe's name; for the held-out set that of the first one, whose ledger names its documents.
        tokens: Tokens in it.
        sequences: Sequences in it.
        shards: Its shards, in order.
    """

    name: str
    recipe: str
    tokens: int
    sequences: int
    shards: tuple[Shard, ...]

    @property
    def outcome(self) -> str:
        """What the ledger says of its documents."""
        return HELD_OUT if self.name == HELD_OUT else KEPT


@dataclass(frozen=True)
class Documents:
    """Documents of a rung in the order in which they end in its stream.

    Attributes:
        ids: Of dtype `keys.ID` and shape (n,).
        strata: The stratum of each.
        starts: int64 of shape (n,): the document's token that is its first here; 0 but where a study cuts documents.
            Pieces of such a document come each by itself.
        offsets: int64 of shape (n + 1,).
        tokens: uint16 or uint32 of shape (offsets[-1],), with the end-of-document tokens.
        ends: bool of shape (n,): whether the end-of-document token is reached. Of each stratum, the last document of a
            rung may be cut.
    """

    ids: NDArray[Any]
    strata: list[str]
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    tokens: NDArray[Any]
    ends: NDArray[np.bool_]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Whether each stands here from its first token to its last: bool of shape (n,)."""
        return self.ends & (self.starts == 0)  # type: ignore[no-any-return] # an array


@dataclass(frozen=True)
class Result:
    """A finished build.

    Attributes:
        out: Its folder.
        manifest: What it says, checked.
    """

    out: str
    manifest: Manifest

    def rungs(self) -> dict[str, Rung]:
        """All rungs and curricula by name, and the held-out set where there is one."""
        found = {
            f"{name}-{rung.name}": Rung(f"{name}-{rung.name}", name, rung.tokens, rung.sequences, tuple(rung.shards))
            for name, recipe in self.manifest.recipes.items()
            for rung in recipe.rungs
        } | {
            f"{name}-{one.rung}": Rung(f"{name}-{one.rung}", one.recipe, one.tokens, one.sequences, tuple(one.shards))
            for name, one in self.manifest.curricula.items()
        }
        held = self.manifest.held_out
        if held is not None:
            first = next(iter(self.manifest.recipes))
            found[HELD_OUT] = Rung(HELD_OUT, first, held.tokens, held.sequences, tuple(held.shards))
        return found

    def rung(self, name: str) -> Rung:
        """A rung by its name, RECIPE-RUNG; a recipe's name alone means its largest rung, a curriculum's its only one.

        Raises:
            UserError: There is no such rung; names those there are.
        """
        rungs = self.rungs()
        recipe: Recipe | None = self.manifest.recipes.get(name)
        curriculum = self.manifest.curricula.get(name)
        rung = recipe.rungs[-1].name if recipe is not None else curriculum.rung if curriculum is not None else None
        found = rungs.get(name if rung is None else f"{name}-{rung}")
        if found is None:
            raise store.UserError(f"{self.out}: has no rung {name!r}{did_you_mean(name, rungs)}")
        return found

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the result was made with.

        Raises:
            UserError: Its file is missing or another one, or its library is not installed.
        """
        try:
            table = tomllib.loads(store.read_bytes(store.join(self.out, "study.toml")).decode())["tokenizer"]
            section: TokenizerSection = TypeAdapter(TokenizerSection).validate_python(table)
            path = store.join(self.out, FILES[section.type]) if section.type in FILES else ""
            named = getattr(section, "encoding", None) is not None  # by a library, which has the file
            tokenizer = load_bytes(section, store.read_bytes(path) if path and not named else b"")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise store.UserError(f"{self.out}: its tokenizer cannot be opened: {error}") from error
        known = self.manifest.tokenizer
        mine = (tokenizer.vocabulary_size, tokenizer.end_of_document, tokenizer.dtype.name)
        if mine != (known.vocabulary_size, known.end_of_document, known.dtype):
            raise store.UserError(
                f"{path or self.out}: is not the tokenizer of this result, whose vocabulary has "
                f"{known.vocabulary_size:,} ids. Build the study again."
            )
        return tokenizer


def open_result(out: str) -> Result:
    """Open a finished build.

    Args:
        out: Its folder, local, s3:// or gs://.

    Raises:
        UserError: It holds no manifest, or one that cannot be read.
    """
    out = store.absolute(out)
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    try:
        manifest = TypeAdapter(Manifest).validate_json(json.dumps(store.read_json(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise store.UserError(
            f"{path}: is not a manifest that this version reads ({where}: {first['msg']}). Build the study again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise store.UserError(f"{path}: is no manifest of a build: {error.__cause__ or error}") from error
    return Result(out, manifest)


def _read(result: Result, path: str, sha256: str) -> pa.Table:
    """A Parquet file of the result, compared with its hash.

    Raises:
        OSError: It is missing, or its bytes are not those that were built.
    """
    data = store.read_bytes(store.join(result.out, path))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise OSError(f"{store.join(result.out, path)}: is not the file that was built. Build the study again")
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).combine_chunks()
    except READING as error:
        raise OSError(f"{store.join(result.out, path)}: cannot be read: {error}") from error


def read_sequences(result: Result, shard: Shard) -> tuple[NDArray[Any], pa.StringArray]:
    """Token ids of a shard, of shape (sequences, length), and the stratum of each sequence.

    Raises:
        OSError: The shard is missing or damaged.
    """
    table = _read(result, shard.path, shard.sha256)
    column, dtype = table.column("input_ids").combine_chunks(), np.dtype(result.manifest.tokenizer.dtype)
    binary = pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type)
    flat = np.frombuffer(b"".join(column.to_pylist()), dtype) if binary else column.flatten().to_numpy()
    return flat.astype(dtype, copy=False).reshape(len(table), -1), table.column("stratum").combine_chunks()


def read_pieces(result: Result, shard: Shard) -> pa.Table:
    """Which document stands where in a shard: `sequence`, `position`, `document`, `offset`, `length`.

    Raises:
        OSError: The table is missing or damaged.
    """
    return _read(result, shard.documents, shard.documents_sha256)


_PIECE = np.dtype(
    [
        ("id", keys.ID),
        ("stratum", "<i8"),
        ("sequence", "<i8"),
        ("position", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("at", "<i8"),  # where its tokens are
    ]
)


def read_documents(result: Result, rung: Rung) -> Iterator[Documents]:
    """All documents of a rung: those that end in each shard, and with the last one those that the rung cuts.

    Every token of the rung stands in exactly one of them; a document comes once for each pass over it.

    Raises:
        OSError: A shard is missing or damaged.
    """
    end = result.manifest.tokenizer.end_of_document
    names: list[str] = []
    left, waiting = np.zeros(0, _PIECE), np.zeros(0, np.dtype(result.manifest.tokenizer.dtype))
    first = 0
    for number, shard in enumerate(rung.shards, start=1):
        matrix, column = read_sequences(result, shard)
        encoded = column.dictionary_encode()
        known = encoded.dictionary.to_pylist()
        names += [name for name in known if name not in names]
        codes = np.array([names.index(name) for name in known], np.int64)[encoded.indices.to_numpy()]
        pieces = _pieces(read_pieces(result, shard), codes, first, matrix.shape[1])
        pieces["at"] += len(waiting)
        source = np.concatenate([waiting, matrix.reshape(-1)])
        pieces, begins, stops = _runs(np.concatenate([left, pieces]), source, end)
        last = np.r_[pieces["stratum"][stops[:-1] - 1] != pieces["stratum"][stops[1:] - 1], True][: len(stops)]
        waits = last & (_last_tokens(pieces, source)[stops - 1] != end) & (number < len(rung.shards))
        yield _documents(pieces, begins[~waits], stops[~waits], source, names, end)
        left, waiting = _wait(pieces, begins[waits], stops[waits], source)
        first += len(matrix)


def _pieces(table: pa.Table, strata: NDArray[np.int64], first: int, length: int) -> NDArray[Any]:
    pieces = np.empty(len(table), _PIECE)
    for name in ("sequence", "position", "offset", "length"):
        pieces[name] = table.column(name).to_numpy()
    pieces["id"] = keys.id_array(table.column("document"))
    local = pieces["sequence"] - first
    pieces["stratum"] = strata[local]
    pieces["at"] = local * length + pieces["position"]
    return pieces


def _last_tokens(pieces: NDArray[Any], source: NDArray[Any]) -> NDArray[Any]:
    return source[pieces["at"] + pieces["length"] - 1]  # type: ignore[no-any-return] # an array


def _runs(
    pieces: NDArray[Any], source: NDArray[Any], end: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Pieces sorted, stratum by stratum, and where each document's pieces begin and stop."""
    pieces = pieces[np.lexsort((pieces["position"], pieces["sequence"], pieces["stratum"]))]
    one, other = pieces[:-1], pieces[1:]
    goes_on = (one["stratum"] == other["stratum"]) & (one["id"] == other["id"])
    goes_on &= (one["offset"] + one["length"] == other["offset"]) & (_last_tokens(one, source) != end)
    begins = np.flatnonzero(np.r_[True, ~goes_on][: len(pieces)])
    return pieces, begins, np.r_[begins[1:], len(pieces)][: len(begins)]


def _wait(
    pieces: NDArray[Any], begins: NDArray[np.int64], stops: NDArray[np.int64], source: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Unfinished documents as one piece each, and their tokens, in the order in which they were last seen."""
    order = np.lexsort((pieces["position"][stops - 1], pieces["sequence"][stops - 1]))
    begins, stops = begins[order], stops[order]
    tokens, borders = _gather(pieces, begins, stops, source)
    left = pieces[stops - 1]  # a copy
    left["offset"], left["length"], left["at"] = pieces["offset"][begins], np.diff(borders), borders[:-1]
    return left, tokens


def _gather(
    pieces: NDArray[Any], begins: NDArray[np.int64], stops: NDArray[np.int64], source: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The tokens of some documents, one after the other, and the offsets of each."""
    counts = stops - begins
    before = np.cumsum(counts) - counts
    chosen = pieces[np.repeat(begins - before, counts) + np.arange(counts.sum())]
    offsets = np.r_[0, np.cumsum(chosen["length"])]
    out = np.empty(offsets[-1], source.dtype)
    copy_ranges(source, chosen["at"], offsets[:-1], chosen["length"], out)
    return out, offsets[np.r_[before, len(chosen)]]


def _documents(  # noqa: PLR0917 what makes documents
    pieces: NDArray[Any],
    begins: NDArray[np.int64],
    stops: NDArray[np.int64],
    source: NDArray[Any],
    names: list[str],
    end: int,
) -> Documents:
    """The documents that these pieces make, in the order in which they end."""
    order = np.lexsort((pieces["position"][stops - 1], pieces["sequence"][stops - 1]))
    begins, stops = begins[order], stops[order]
    tokens, offsets = _gather(pieces, begins, stops, source)
    return Documents(
        ids=pieces["id"][begins],
        strata=[names[n] for n in pieces["stratum"][begins]],
        starts=pieces["offset"][begins].astype(np.int64),
        offsets=offsets,
        tokens=tokens,
        ends=tokens[offsets[1:] - 1] == end,
    )


class Names:
    """Sources and names of a rung's documents, from the ledger: some hundred bytes of memory for each."""

    def __init__(self, result: Result, rung: Rung) -> None:
        """Read the ledgers of the rung's recipe.

        Raises:
            OSError: A ledger is missing or damaged.
        """
        tables = []
        for ledger in result.manifest.recipes[rung.recipe].ledger:
            table = _read(result, ledger.path, ledger.sha256).select(["document", "source", "name", "outcome"])
            tables.append(table.filter(pc.equal(table.column("outcome"), rung.outcome)).drop_columns(["outcome"]))
        table = pa.concat_tables(tables).combine_chunks()
        ids = np.array(table.column("document").to_pylist(), "S32")
        order = np.argsort(ids, kind="stable")
        self._ids, self._table = ids[order], table.take(pa.array(order))

    def of(self, ids: NDArray[Any]) -> list[tuple[str, str]]:
        """Source and name of each document; empty where the ledger has none."""
        wanted = np.array([keys.hexadecimal(one) for one in ids], "S32")
        if not len(self._ids):
            return [("", "")] * len(ids)
        at = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        rows = self._table.take(pa.array(at)).to_pylist()
        found = self._ids[at] == wanted
        return [(row["source"], row["name"]) if ok else ("", "") for row, ok in zip(rows, found, strict=True)]
