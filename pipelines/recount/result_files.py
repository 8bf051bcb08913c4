"""What a result is made of, as verification sees it: its manifest's form, its files, and one check."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from ..files import store

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE = 1 << 32
"""Weights are whole numbers over this."""

SHOWN = 3
"""Faults that one check names; the rest are counted."""

ID = "S16"
READING = (OSError, pa.ArrowException, ValueError, LookupError, TypeError, OverflowError, MemoryError)
"""What Arrow raises for a file that is not what its name says."""


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


def told(faults: list[str]) -> str:
    """The first faults, and how many more there are, on one line."""
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    text = "; ".join(faults[:SHOWN]) + more
    return "".join(sign if sign.isprintable() else " " for sign in text)  # names come from data


def told_check(promise: str, faults: list[str], found: str) -> Check:
    """A check that holds where there are no faults."""
    return Check(promise, not faults, told(faults) if faults else found)


def _inside(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or {"..", "."} & set(path.split("/")):
        raise ValueError(f"{path!r} is not a path inside the result")
    return path


_FORM = ConfigDict(extra="ignore", strict=True)
_Path = Annotated[str, AfterValidator(_inside)]
_Natural = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[int, Field(ge=0, lt=2**63)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]+$")]


@checked(frozen=True, config=_FORM)
class Shard:
    """A shard, and the table of the documents in it."""

    path: _Path
    documents: _Path
    sequences: _Natural
    tokens: _Natural
    bytes: _Natural
    sha256: _Hash
    documents_sha256: _Hash


@checked(frozen=True, config=_FORM)
class Amount:
    """What a rung holds of a stratum."""

    tokens: _Natural
    sequences: _Natural
    unique_tokens: _Natural
    padding_tokens: _Natural = 0


@checked(frozen=True, config=_FORM)
class Rung:
    """A rung; its shards are the first ones of the stream."""

    name: str
    tokens: _Natural
    sequences: _Natural
    shards: list[Shard]
    requested_tokens: _Natural | None = None  # or else in another unit:
    unit: Literal["bytes", "documents"] | None = None
    requested: _Natural = 0
    reached: _Natural = 0
    strata: dict[str, Amount] | None = None  # the held-out set's are not listed, nor its repeats: it has none
    unique_tokens: _Natural = 0
    repeated_tokens: _Natural = 0
    padding_tokens: _Natural = 0


@checked(frozen=True, config=_FORM)
class Weight:
    """The share of a stratum."""

    weight: Annotated[int, Field(ge=0, le=ONE)]
    of: Literal[4294967296]


@checked(frozen=True, config=_FORM)
class Bend:
    """Weights of all strata at one place of the stream; in between they are linear."""

    sequences: _Natural
    weights: dict[str, Annotated[int, Field(ge=0, le=ONE)]]
    at: _Natural | None = None  # the same place in bytes or documents, where weights change along these


@checked(frozen=True, config=_FORM)
class BudgetBend:
    """Shares of bytes or documents at one place in these; in between they are linear."""

    at: _Natural
    weights: dict[str, Annotated[int, Field(ge=0, le=ONE)]]


@checked(frozen=True, config=_FORM)
class LedgerFile:
    """The ledger of one part."""

    path: _Path
    rows: _Natural
    sha256: _Hash
    source: str


@checked(frozen=True, config=_FORM)
class Copy:
    """The copy of a file that a recipe's weights were read from."""

    path: _Path
    sha256: _Hash
    named: str


@checked(frozen=True, config=_FORM)
class Recipe:
    """A recipe: mixture, rungs, and where every record went."""

    strata: dict[str, Weight]
    rungs: Annotated[list[Rung], Field(min_length=1)]
    counts: dict[str, Any]
    ledger: list[LedgerFile]
    checkpoints: list[list[_Natural]] = field(default_factory=list)
    course: list[Bend] = field(default_factory=list)
    budget_course: list[BudgetBend] = field(default_factory=list)
    rescaled: list[str] = field(default_factory=list)
    weights_file: Copy | None = None
    permutation: _Number | None = None


@checked(frozen=True, config=_FORM)
class HeldOut:
    """The held-out set."""

    tokens: _Natural
    sequences: _Natural
    shards: list[Shard]
    requested_tokens: _Natural | None = None
    unit: Literal["bytes", "documents"] | None = None
    requested: _Natural = 0
    reached: _Natural = 0

    def as_recipe(self) -> Recipe:
        """The set as a recipe of one rung, without mixture and ledger."""
        asked = (self.requested_tokens, self.unit, self.requested, self.reached)
        rung = Rung("held out", self.tokens, self.sequences, self.shards, *asked)
        return Recipe({}, [rung], {}, [])


@checked(frozen=True, config=_FORM)
class OrderedStratum:
    """A stratum of a curriculum."""

    sequences: _Natural
    tokens: _Natural
    documents: _Natural
    spearman: float | None


@checked(frozen=True, config=_FORM)
class Curriculum:
    """A rung's documents in another order."""

    recipe: str
    rung: str
    sort: str | None
    order: Literal["ascending", "descending", "random"]
    mixed: bool
    tokens: _Natural
    sequences: _Natural
    documents: _Natural
    without_difficulty: _Natural
    spearman: float | None
    strata: dict[str, OrderedStratum]
    shards: list[Shard]
    pace: str | None = None
    buckets: Any = None
    sweeps: int | None = None
    phases: Any = None
    padding_tokens: _Natural = 0
    sequence_spearman: float | None = None

    @property
    def is_sorted(self) -> bool:
        """Whether nothing but the difficulty decides."""
        chance = (self.pace, self.buckets, self.sweeps, self.phases)
        return self.order != "random" and all(one is None for one in chance)


@checked(frozen=True, config=_FORM)
class Tokenizer:
    """What the ids are."""

    vocabulary_size: _Natural
    end_of_document: _Natural
    dtype: Literal["uint16", "uint32"]


@checked(frozen=True, config=_FORM)
class Manifest:
    """The manifest, as far as it is checked."""

    name: str
    root_hash: str
    sequence_length: Annotated[int, Field(ge=1, le=2**31)]
    tokenizer: Tokenizer
    counts: dict[str, dict[str, Any]]
    held_out: HeldOut | None
    recipes: Annotated[dict[str, Recipe], Field(min_length=1)]
    curricula: dict[str, Curriculum] = field(default_factory=dict)
    seed: _Number = 0
    dedup: dict[str, Any] | None = None
    max_document_sequences: Annotated[int, Field(ge=1)] | None = None
    packing: Literal["concatenate", "best-fit"] = "concatenate"

    @property
    def fits(self) -> bool:
        """Whether documents are fitted to sequences, with padding."""
        return self.packing == "best-fit"

    @property
    def piece_tokens(self) -> int:
        """Tokens after which the documents of recipes are cut; 0 where they are not."""
        if self.fits:
            return self.sequence_length
        return (self.max_document_sequences or 0) * self.sequence_length

    @property
    def against(self) -> bool:
        """Whether near duplicates of what earlier studies keep were left out."""
        return bool((self.dedup or {}).get("against"))


class Files:
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
        folders = ("shards", "documents", "ledger", "held_out", "curricula", "weights")
        found = [file.path for folder in folders for file in store.list_files(store.join(self.out, folder))]
        start = len(self.out.rstrip("/")) + 1
        names = [path[start:] for path in found if not path.rpartition("/")[2].startswith(store.TEMPORARY)]
        return [name for name in names if name not in self.listed]


def begins_at(offsets: NDArray[np.int64], piece: int) -> NDArray[np.bool_]:
    """Where a document begins, or a piece of one.

    Args:
        offsets: int64[n], tokens of the document before each place.
        piece: Tokens of a piece; 0 where documents are not cut.
    """
    found: NDArray[np.bool_] = (offsets % piece if piece else offsets) == 0
    return found


def holds_all(column: pa.Array) -> bool:
    """Whether every value is true, also where there is none."""
    return bool(pc.all(column, min_count=0).as_py())


def named(ids: NDArray[Any], text: str, values: NDArray[Any] | None = None) -> list[str]:
    """What is wrong with the first of some documents, and how many more there are."""
    if not len(ids):
        return []
    more = f" (and {len(ids) - 1:,} more)" if len(ids) > 1 else ""
    said = text.format("" if values is None else values[0])
    return [f"document {bytes(ids[0]).ljust(16, bytes(1)).hex()} {said}{more}"]
