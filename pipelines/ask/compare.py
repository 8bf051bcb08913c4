"""Compare: which documents two recipes share, what parts them, and how their mixtures differ; from their ledgers.

The recipes may be of one build or of two. Documents are the same where their ids are, whatever they are called, so that
copies of one text count once. Ids are joined range by range, so that memory holds a few million rows whatever the size.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..files.schema import KEPT, OUTCOMES
from ..stages import keys
from ..study.checks import did_you_mean
from .explain import read_manifest
from .texts import ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAMPLES = 10
"""Documents that are told of each group: those with the least ids, which are hashes of their texts."""

ROWS_AT_ONCE = 4_000_000
"""Rows of each side in memory at a time, 50 bytes each and as much again while they are sorted."""

ABSENT = "not in its input"
"""Why a document is not in a recipe of another build whose ledger does not have it."""

ROW = np.dtype([("id", keys.ID), ("reason", "<u4"), ("kept", "?"), ("rung", "<u2"), ("tokens", "<i8"), ("key", "<u8")])


@dataclass(frozen=True)
class Side:
    """A recipe of a build.

    Attributes:
        out: Folder of the build.
        manifest: Its manifest.
        recipe: The recipe's name.
    """

    out: str
    manifest: dict[str, Any]
    recipe: str

    @property
    def told(self) -> dict[str, Any]:
        """What the manifest says of the recipe."""
        return self.manifest["recipes"][self.recipe]  # type: ignore[no-any-return] # of JSON

    @property
    def rungs(self) -> list[str]:
        """Names of the rungs, smallest first."""
        return [rung["name"] for rung in self.told["rungs"]]

    @property
    def rows(self) -> int:
        """Rows of all ledgers."""
        return sum(ledger["rows"] for ledger in self.told["ledger"])

    def ledger(self, ordinal: int) -> str:
        """Path of the ledger of a part."""
        return store.join(self.out, self.told["ledger"][ordinal]["path"])


@dataclass(frozen=True)
class Sample:
    """A document of a group.

    Attributes:
        document: Hex of its id.
        source: Its source.
        name: Its name.
        tokens: Its tokens.
    """

    document: str
    source: str
    name: str
    tokens: int


@dataclass(frozen=True)
class Group:
    """Documents of one side that the other does not have for one reason.

    Attributes:
        outcome: What the other side's ledger says, or ABSENT.
        reason: Its reason: the first rule that parts them.
        documents: How many.
        tokens: Their tokens, where they are in.
        samples: Some of them.
    """

    outcome: str
    reason: str | None
    documents: int
    tokens: int
    samples: list[Sample]


@dataclass(frozen=True)
class Overlap:
    """Documents and tokens that a pair of rungs has together and apart. Of a document its whole length counts, once.

    Attributes:
        rung: The rungs' name; None for the largest ones.
        both: Documents in both.
        only_a: In the first alone.
        only_b: In the second alone.
        tokens_both_a: Tokens of what is in both, by the first one's tokenizer.
        tokens_both_b: By the second one's.
        tokens_only_a: Tokens in the first alone.
        tokens_only_b: In the second alone.
    """

    rung: str | None
    both: int
    only_a: int
    only_b: int
    tokens_both_a: int
    tokens_both_b: int
    tokens_only_a: int
    tokens_only_b: int


@dataclass(frozen=True)
class Shift:
    """A stratum's share of the largest rungs.

    Attributes:
        stratum: Its name.
        a: Share of the first's tokens.
        b: Of the second's.
    """

    stratum: str
    a: float
    b: float


@dataclass(frozen=True)
class Comparison:
    """Two recipes side by side.

    Attributes:
        a: The first, as OUT:RECIPE.
        b: The second.
        all: Of their largest rungs.
        rungs: Of each pair of rungs of one name.
        strata: The mixture, the largest shift first.
        only_a: Why what only the first has is not in the second; the most tokens first.
        only_b: The other way round.
    """

    a: str
    b: str
    all: Overlap
    rungs: list[Overlap]
    strata: list[Shift]
    only_a: list[Group]
    only_b: list[Group]


def open_side(given: str) -> Side:
    """A recipe as a person names it: OUT:RECIPE, or OUT where a build has but one.

    Raises:
        UserError: There is no such build or recipe.
    """
    out, colon, recipe = given.rpartition(":")
    if not colon or "/" in recipe:  # s3://… and a plain folder
        out, recipe = given, ""
    manifest = read_manifest(store.absolute(out))
    names = list(manifest["recipes"])
    if not recipe and len(names) == 1:
        recipe = names[0]
    if recipe not in names:
        hint = f"Write {out}:RECIPE. Its recipes: {', '.join(names)}."
        what = f"has no recipe {recipe!r}{did_you_mean(recipe, names)}" if recipe else "has several recipes."
        raise store.UserError(f"{out}: {what if what.endswith(('.', '?')) else f'{what}.'} {hint}")
    return Side(store.absolute(out), manifest, recipe)


@dataclass
class _Reasons:
    """Outcomes and reasons by number."""

    numbers: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def codes(self, outcome: pa.ChunkedArray, reason: pa.ChunkedArray) -> NDArray[np.uint32]:
        """The number of each row's pair."""
        pairs = pa.table({"outcome": outcome, "reason": reason, "row": pa.array(np.arange(len(outcome)))})
        groups = pairs.group_by(["outcome", "reason"], use_threads=False).aggregate([("row", "list")])
        out = np.zeros(len(outcome), np.uint32)
        for one in range(len(groups)):
            pair = (groups.column("outcome")[one].as_py(), groups.column("reason")[one].as_py())
            rows = groups.column("row_list")[one].values.to_numpy()
            out[rows] = self.numbers.setdefault(pair, len(self.numbers))
        return out


def _read(side: Side, ordinal: int) -> pa.Table:
    return store.read_table(side.ledger(ordinal), ["document", "outcome", "reason", "tokens", "first_rung"])


def _rows(side: Side, reasons: _Reasons, piece: int, pieces: int) -> NDArray[Any]:
    """The documents of one range of ids, sorted, each once: as kept where any of its records is."""
    found = [np.zeros(0, ROW)]
    parts = range(len(side.told["ledger"]))
    for ordinal, table in enumerate(ahead(lambda one: _read(side, one), parts)):
        ids = id_array(table.column("document"))
        rows = np.flatnonzero(table.column("document").is_valid().to_numpy())
        inside = (ids["high"] >> np.uint64(32)) * np.uint64(pieces) >> np.uint64(32) == piece
        rows, ids = rows[inside], ids[inside]
        here = table.take(pa.array(rows))
        packed = np.empty(len(rows), ROW)
        packed["id"], packed["key"] = ids, keys.keys(ordinal, rows)
        packed["reason"] = reasons.codes(here.column("outcome"), here.column("reason"))
        packed["kept"] = pc.equal(here.column("outcome"), KEPT).to_numpy()
        packed["tokens"] = here.column("tokens").fill_null(0).to_numpy()
        first = pc.index_in(here.column("first_rung"), value_set=pa.array(side.rungs, pa.string()))
        packed["rung"] = first.fill_null(len(side.rungs)).to_numpy()
        found.append(packed)
    every = np.concatenate(found)
    order = (every["key"], every["rung"], ~every["kept"], every["id"]["low"], every["id"]["high"])
    every = every[np.lexsort(order)]
    new: NDArray[np.bool_] = np.r_[True, every["id"][1:] != every["id"][:-1]]
    return every[new[: len(every)]]


def id_array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Ids of a column of hex digits, those that are not null.

    >>> id_array(pa.chunked_array([["00" * 16, None]])).tolist()
    [(0, 0)]
    """
    text = column.drop_null().combine_chunks()
    if not len(text):
        return np.zeros(0, keys.ID)
    offsets = np.frombuffer(text.buffers()[1], np.int32, len(text) + 1, text.offset * 4)
    digits = memoryview(text.buffers()[2])[offsets[0] : offsets[-1]]
    return np.frombuffer(bytes.fromhex(digits.tobytes().decode()), keys.ID)


@dataclass
class _Gathered:
    """What only one side has, by what the other says of it."""

    documents: dict[int, int] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)
    least: dict[int, NDArray[Any]] = field(default_factory=dict)

    def add(self, rows: NDArray[Any], reasons: NDArray[np.int64]) -> None:
        for reason in np.unique(reasons).tolist():
            some = rows[reasons == reason]
            self.documents[reason] = self.documents.get(reason, 0) + len(some)
            self.tokens[reason] = self.tokens.get(reason, 0) + int(some["tokens"].sum())
            before = self.least.get(reason, some[:0])
            self.least[reason] = np.concatenate([before, some])[:SAMPLES]  # ranges come in the order of ids


def compare(a: str, b: str) -> Comparison:
    """Compare two recipes.

    Args:
        a: The first, as OUT:RECIPE.
        b: The second.

    Raises:
        UserError: There is no such build or recipe.
        OSError: A ledger is missing or damaged.
    """
    sides = open_side(a), open_side(b)
    reasons = _Reasons(), _Reasons()
    pieces = 1 + max(side.rows for side in sides) // ROWS_AT_ONCE
    shape = tuple(len(side.rungs) + 1 for side in sides)
    counts, tokens = np.zeros(shape, np.int64), (np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    gathered = _Gathered(), _Gathered()
    for piece in range(pieces):
        rows = [_rows(side, reason, piece, pieces) for side, reason in zip(sides, reasons, strict=True)]
        _count(rows, counts, tokens)
        for mine, other in ((0, 1), (1, 0)):
            told, there = _other(rows[mine], rows[other])
            away = rows[mine]["kept"] & ~there["kept"]
            known = np.where(told, there["reason"].astype(np.int64), -1)
            gathered[mine].add(rows[mine][away], known[away])
    named = [rung for rung in sides[0].rungs if rung in sides[1].rungs]
    at: list[tuple[str | None, int, int]] = [(None, len(sides[0].rungs) - 1, len(sides[1].rungs) - 1)]
    at += [(rung, sides[0].rungs.index(rung), sides[1].rungs.index(rung)) for rung in named]
    overlaps = [_overlap(counts, tokens, *one) for one in at]
    return Comparison(
        f"{sides[0].out}:{sides[0].recipe}",
        f"{sides[1].out}:{sides[1].recipe}",
        overlaps[0],
        overlaps[1:],
        _shifts(*sides),
        _groups(sides[0], gathered[0], reasons[1]),
        _groups(sides[1], gathered[1], reasons[0]),
    )


def _other(rows: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Whether each row has its like on the other side, and that."""
    if not len(others):
        return np.zeros(len(rows), bool), np.zeros(len(rows), ROW)
    wanted, known = (_sortable(one["id"]) for one in (rows, others))
    at = np.minimum(np.searchsorted(known, wanted), len(others) - 1)
    told = known[at] == wanted
    there = others[at].copy()
    there["kept"] &= told
    return told, there


def _sortable(ids: NDArray[Any]) -> NDArray[Any]:
    """Ids as bytes, which numpy searches; an id may end with a zero, so each gets a byte more."""
    raw = ids.astype(keys.ID).view(np.uint8).reshape(len(ids), 16)
    return np.ascontiguousarray(np.c_[raw, np.ones(len(ids), np.uint8)]).view("S17").reshape(-1)


def _count(rows: Sequence[NDArray[Any]], counts: NDArray[np.int64], tokens: Sequence[NDArray[np.int64]]) -> None:
    """Count documents, and their tokens on both sides, by their first rungs on both."""
    none = [size - 1 for size in counts.shape]
    first = np.where(rows[0]["kept"], rows[0]["rung"], none[0])
    there = _other(rows[0], rows[1])[1]
    second = np.where(there["kept"], there["rung"], none[1])
    np.add.at(counts, (first, second), 1)
    np.add.at(tokens[0], (first, second), rows[0]["tokens"])
    np.add.at(tokens[1], (first, second), np.where(there["kept"], there["tokens"], 0))
    alone = rows[1][~_other(rows[1], rows[0])[0]]
    second = np.where(alone["kept"], alone["rung"], none[1])
    np.add.at(counts, (none[0], second), 1)
    np.add.at(tokens[1], (none[0], second), alone["tokens"])


def _overlap(
    counts: NDArray[np.int64], tokens: Sequence[NDArray[np.int64]], rung: str | None, a: int, b: int
) -> Overlap:
    inside, outside = slice(0, a + 1), slice(a + 1, None)
    within, without = slice(0, b + 1), slice(b + 1, None)
    return Overlap(
        rung,
        int(counts[inside, within].sum()),
        int(counts[inside, without].sum()),
        int(counts[outside, within].sum()),
        int(tokens[0][inside, within].sum()),
        int(tokens[1][inside, within].sum()),
        int(tokens[0][inside, without].sum()),
        int(tokens[1][outside, within].sum()),
    )


def _shifts(a: Side, b: Side) -> list[Shift]:
    shares = []
    for side in (a, b):
        largest = side.told["rungs"][-1]
        shares.append({name: one["tokens"] / largest["tokens"] for name, one in largest["strata"].items()})
    found = [Shift(name, *(one.get(name, 0.0) for one in shares)) for name in sorted({*shares[0], *shares[1]})]
    return sorted(found, key=lambda one: (-abs(one.a - one.b), one.stratum))


def _groups(side: Side, gathered: _Gathered, reasons: _Reasons) -> list[Group]:
    """Groups with the names of their samples, each ledger read once."""
    pairs: dict[int, tuple[str, str | None]] = {-1: (ABSENT, None)}
    pairs |= {number: pair for pair, number in reasons.numbers.items()}
    drawn = np.concatenate([np.zeros(0, ROW), *gathered.least.values()])
    told: dict[int, Sample] = {}
    numbers, rows = keys.ordinals(drawn["key"]), keys.rows(drawn["key"])
    for ordinal in np.unique(numbers).tolist():
        here = rows[numbers == ordinal]
        table = store.read_table(side.ledger(ordinal), ["document", "source", "name", "tokens"])
        values = table.take(pa.array(here)).to_pylist()
        told |= {key: Sample(**one) for key, one in zip(keys.keys(ordinal, here).tolist(), values, strict=True)}
    found = [
        Group(
            *pairs[reason],
            count,
            gathered.tokens[reason],
            [told[key] for key in gathered.least[reason]["key"].tolist()],
        )
        for reason, count in gathered.documents.items()
    ]
    order = {name: n for n, name in enumerate(itertools.chain(OUTCOMES, [ABSENT]))}
    return sorted(found, key=lambda one: (-one.tokens, order[one.outcome], one.reason or ""))
