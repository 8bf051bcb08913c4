"""Drafts of ladders: which strata, in which shares, how much of each is needed, and whether enough of it is encoded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..files import store
from ..files.parts import read_all
from ..stages.course import LONGEST
from ..stages.fit import block_buckets
from ..stages.ladder import BUCKETS, ORDERED, Group, groups, groups_json
from ..stages.schedule import ONE, Course, integer_weights, prefix_counts
from ..study.weights import Bend
from . import shortage
from .plan import FORMAT, whole
from .shares import along, places, refilled, stratum_weights, tempered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from ..study.budgets import Unit
    from .pool import Pool

BYTES_PER_TOKEN = 2.0
"""What is assumed before anything was encoded: so little that the first try seldom encodes more than is needed."""

STRATA = 1 << 16
"""A place holds its stratum's number in 16 bits."""

EXHAUSTED = 2
"""Raised where what stands of strata that run short is told otherwise."""

MOST_PER_BYTE = 8
"""More tokens than this for a byte of text no tokenizer makes."""

SCHEDULED_AT_ONCE = 1_000_000
"""Sequences whose schedule takes less than a second among two hundred strata."""

MARGIN = 1.03
"""What is encoded beyond the estimate from the measured bytes per token."""


@dataclass(frozen=True)
class Ladder:
    """One ladder, planned and its documents placed.

    Attributes:
        name: The recipe's name.
        identity: Fingerprint of everything that its shards depend on.
        folder: Where its plan and places are.
        strata: Names, sorted; the schedule's order.
        weights: Whole numbers over 2**32; where they change along the stream, their means over the largest rung.
        available: Tokens of each stratum as far as they were counted; all of them where the ladder repeats any.
        rungs: Sequences of each rung by name, ascending.
        counts: For each rung, sequences of each stratum.
        rescaled: Strata that have less than their weight, because they run short.
        course: How weights change, as `Course.to_json` has it; empty where they do not.
        reached: For each rung, the bytes or documents that begin in it, where budgets are in these; weights are then
            shares of them, and the course has the shares of tokens.
        along: Weights in shares of bytes or documents, where these change: `at` and `weights` of each bend.
        unpadded: Of `available`, tokens without padding; empty where there is none.
    """

    name: str
    identity: str
    folder: str
    strata: list[str]
    weights: list[int]
    available: list[int]
    rungs: dict[str, int]
    counts: list[list[int]]
    rescaled: list[str] = field(default_factory=list)
    course: list[dict[str, Any]] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    along: list[dict[str, Any]] = field(default_factory=list)
    unpadded: list[int] = field(default_factory=list)

    @property
    def schedule(self) -> NDArray[np.int64] | Course:
        """What the schedule goes by."""
        return Course.from_json(self.course) if self.course else np.array(self.weights, np.int64)

    def ends(self, length: int) -> list[list[int]]:
        """For each rung, tokens of each stratum."""
        return [[int(n) * length for n in row] for row in self.counts]


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks of its ladder.

    Attributes:
        name: The recipe's name.
        choices: Folder of what it chose.
        identity: Fingerprint of the choices.
        budgets: Requested tokens, bytes or documents by rung, ascending.
        weights: As the study has them.
        repeat: Passes over a stratum at most.
        rehydrate: How often the text of a stratum counts, by the last part of its name.
        alpha: Without weights, the power of the shares of the text.
        rescale: Whether a stratum that runs short gives what it has, and the others the rest.
        unit: What budgets and weights count.
        piece: Tokens that stand in a row of one document at most; 0 cuts none.
        fit: Whether documents are fitted to sequences, with padding.
    """

    name: str
    choices: str
    identity: str
    budgets: dict[str, int]
    weights: dict[str, float] | tuple[Bend, ...] | None = None
    repeat: int = 1
    rehydrate: dict[str, float] | None = None
    alpha: float = 1.0
    rescale: bool = False
    unit: Unit = "tokens"
    piece: int = 0
    fit: bool = False


@dataclass
class Draft:
    """A ladder in the making: what is needed, and what is encoded of it, by stratum and bucket of priority."""

    wanted: Wanted
    ladder: Ladder
    length: int
    text_bytes: dict[str, NDArray[np.int64]]
    needed: dict[str, int]
    goal: dict[str, float]
    documents: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    tokens: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    complete: dict[str, bool] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    fitted: list[Group] = field(default_factory=list)

    @property
    def cutoffs(self) -> dict[str, int]:
        """By stratum, the bucket before which everything is to be encoded; whole blocks of them."""
        out = {}
        for stratum, sizes in self.text_bytes.items():
            bucket, block = int(np.searchsorted(np.cumsum(sizes), self.goal[stratum])), self.blocks.get(stratum, 1)
            out[stratum] = min(BUCKETS, (bucket // block + 1) * block)
        return out

    @property
    def available(self) -> dict[str, int]:
        """Tokens of each stratum in one pass, its padding among them."""
        if not self.fitted:
            return {stratum: int(tokens.sum()) for stratum, tokens in self.tokens.items()}
        out = dict.fromkeys(self.tokens, 0)
        for group in self.fitted:
            out[self.ladder.strata[group.stratum]] += group.tokens
        return out

    @property
    def volume(self) -> int:
        """Bytes that an exchange of its documents moves."""
        return ORDERED.itemsize * sum(int(self.documents[s].sum()) for s in self.ladder.strata)

    def groups(self) -> list[Group]:
        """The buckets that are sorted together; sequences fill their tokens, or where documents are fitted hold them.

        There are at least as many sequences as the tokens would fill, so that what is needed is always reached.
        """
        strata = self.ladder.strata
        return groups(
            np.stack([self.documents[s] for s in strata]),
            np.stack([self.tokens[s] for s in strata]),
            [self.needed[s] for s in strata],
            blocks=[self.blocks[s] for s in strata] if self.blocks else None,
        )

    @property
    def piece(self) -> int:
        """Tokens of a piece, as documents are counted and placed; 0 where they are not cut."""
        return self.wanted.piece

    @property
    def cuts(self) -> bool:
        """Whether pieces of documents have places of their own."""
        return bool(self.wanted.piece or self.wanted.fit)

    def count(self, number: int, told: Mapping[str, Any]) -> int:  # noqa: ARG002 a draft of tokens needs no number
        """Take what `count_fitted` tells of a group; the tokens that it makes."""
        return int(told["tokens"])

    @property
    def in_bytes(self) -> bool:
        """Whether bytes of text are counted beside tokens."""
        return self.wanted.unit == "bytes"

    def plan(self, listed: list[Group], pool: Pool) -> dict[str, Any]:
        """What workers are told."""
        ladder = self.ladder
        plan = {
            "strata": ladder.strata,
            "weights": ladder.weights,
            "course": ladder.course,
            "available": ladder.available,
            "needed": [self.needed[s] for s in ladder.strata],
            "groups": groups_json(listed),
            "sequence_length": self.length,
            "dtype": pool.dtype,
        }
        if self.piece:
            plan["piece"] = self.piece
        if ladder.rescaled:
            plan["exhausted"] = [ladder.strata.index(s) for s in ladder.rescaled]
        if self.in_bytes:
            plan["text_bytes"] = True
        if self.blocks:
            plan |= {"fit": [self.blocks[s] for s in ladder.strata], "padding": pool.tokenizer["end"]}
        return plan

    def falls_short(self) -> bool:
        """Whether more must be encoded; then the goal is raised."""
        cutoffs = self.cutoffs
        short = [s for s, need in self.needed.items() if self.tokens[s].sum() < need and not self.complete[s]]
        for stratum in short:
            done = int(self.text_bytes[stratum][: cutoffs[stratum]].sum())
            ratio = done / max(1, int(self.tokens[stratum].sum()))
            # each round at least a quarter more, so that the number of rounds is bounded whatever the text is like
            self.goal[stratum] = max(self.needed[stratum] * ratio * MARGIN, done * 1.25, 1.0)
        return bool(short)

    def rescale(self, length: int) -> bool:
        """Give strata that run short what they have, and the others the rest; whether that changed anything."""
        if not self.wanted.rescale:
            return False
        ladder, whole_stream = self.ladder, max(self.ladder.rungs.values())
        counts = dict(zip(ladder.strata, ladder.counts[-1], strict=True))
        most = {s: self.wanted.repeat * int(self.tokens[s].sum()) // length for s in ladder.strata}
        short = {s: most[s] for s in ladder.strata if counts[s] > most[s]}
        if not short:
            return False
        fixed = {s: most[s] for s in ladder.rescaled} | short
        weights = refilled(ladder.strata, ladder.weights, fixed, whole_stream)
        if weights is None:
            return False  # all strata run short: `shortage` says of what
        rows = [row.tolist() for row in prefix_counts(np.array(weights, np.int64), list(ladder.rungs.values()))]
        rescaled = sorted(fixed)
        self.ladder = dataclasses.replace(ladder, weights=weights, counts=rows, rescaled=rescaled)
        self.needed = {s: n * length for s, n in zip(ladder.strata, rows[-1], strict=True)}
        self.goal = {s: max(self.goal[s], BYTES_PER_TOKEN * need) for s, need in self.needed.items()}
        return True

    def shortage(self) -> list[str]:
        """What is missing, one line for each stratum; and what would help."""
        repeat, available = self.wanted.repeat, self.available
        short = shortage.missing(self.needed, available, repeat)
        if self.wanted.rescale:  # as far as `rescale` goes: whole sequences of each stratum, padding not counted
            most = sum(repeat * int(tokens.sum()) // self.length for tokens in self.tokens.values()) * self.length
        elif any(isinstance(bend.at, int) for bend in self.wanted.weights or () if isinstance(bend, Bend)):
            most = 0  # some places do not move with the budget: what is missing may be needed all the same
        else:
            most = min((sum(self.needed.values()) * repeat * available[s] // self.needed[s] for s in short), default=0)
        most -= most % 10 ** max(0, len(str(most)) - 3)  # strata are rounded to sequences: three digits are enough
        most = most if most >= self.length else 0  # a study has no budget below one sequence
        return shortage.told(self.wanted.name, "tokens", self.needed, available, repeat, most)


def make_draft(pool: Pool, wanted: Wanted, length: int) -> Draft:
    """What a recipe's ladder needs, where its budgets are in tokens.

    Raises:
        UserError: A source with a weight is empty, or the ladder is beyond what can be.
    """
    documents, text_bytes = histogram(store.join(wanted.choices, "histograms"), "text_bytes")
    kept = {stratum: int(row.sum()) for stratum, row in text_bytes.items()}
    counted = {stratum: size * factor(wanted.rehydrate, stratum) for stratum, size in kept.items()}
    rungs = {rung: whole(tokens, length) for rung, tokens in wanted.budgets.items()}
    strata, rows = mixture(wanted, counted)
    course = _course(wanted, rows, max(rungs.values()), length)
    weights = rows[0] if course is None else integer_weights(course.due(max(rungs.values())).tolist())
    if max(rungs.values()) > SCHEDULED_AT_ONCE and not wanted.rescale:
        _check_size(wanted, dict(zip(strata, weights.tolist(), strict=True)), kept, max(rungs.values()) * length)
    counts = prefix_counts(weights if course is None else course, list(rungs.values()))
    needed = {stratum: int(n) * length for stratum, n in zip(strata, counts[-1], strict=True)}
    depends = [wanted.name, wanted.identity, pool.tokenizer["fingerprint"], strata, weights.tolist(), rungs, length]
    more: list[object] = (["rescale", EXHAUSTED] if wanted.rescale else []) + ([course.to_json()] if course else [])
    more += [{"piece": wanted.piece}] if wanted.piece else []
    blocks = {s: block_buckets(int(documents[s].sum())) for s in strata} if wanted.fit else {}
    more += [{"fit": blocks}] if wanted.fit else []
    identity = store.fingerprint([FORMAT, *depends, wanted.repeat, *more])
    ladder = Ladder(
        name=wanted.name,
        identity=identity,
        folder=pool.store.path("ladders", identity),
        strata=strata,
        weights=weights.tolist(),
        available=[],
        rungs=rungs,
        counts=[row.tolist() for row in counts],
        course=course.to_json() if course else [],
    )
    goal = {stratum: BYTES_PER_TOKEN * need for stratum, need in needed.items()}
    return Draft(
        wanted, ladder, length, {stratum: text_bytes[stratum] for stratum in strata}, needed, goal, blocks=blocks
    )


def mixture(wanted: Wanted, kept: Mapping[str, int | Fraction]) -> tuple[list[str], list[NDArray[np.int64]]]:
    """Strata, and their weights, whole numbers that sum to 2**32: once, or for each place at which the study has them.

    Args:
        wanted: What the recipe asks.
        kept: Text of each stratum, as it counts.

    Raises:
        UserError: A source with a weight is empty, there are too many strata, or weights change that `rescale` fills.
    """
    rows: list[NDArray[np.int64]] = []
    shares: dict[str, Fraction | float] = {}
    if isinstance(wanted.weights, tuple):
        strata, rows, empty = along(wanted.weights, kept)
    else:
        shares, empty = stratum_weights(wanted.weights, kept)
        strata = sorted(shares)
    for source in empty:
        own = sorted(s for s, size in kept.items() if size and s != source and s.split("/")[0] == source)
        if own:
            raise store.UserError(
                f"{wanted.name}: weights name {source} and each of its strata that is kept, {', '.join(own)}: nothing "
                f"is left for the share of {source}. Give the shares to its strata alone, or to {source} alone."
            )
    if empty or not strata:
        of = ", ".join(sorted(empty)) or "any source"
        raise store.UserError(f"{wanted.name}: no document of {of} is kept. Loosen its rules or change its weights.")
    if len(strata) > STRATA:
        raise store.UserError(
            f"{wanted.name}: {len(strata):,} strata; {STRATA:,} are the most. Make strata of a score with fewer labels."
        )
    if rows and wanted.rescale:
        raise store.UserError(f"{wanted.name}: weights that change along the stream do not go with rescale.")
    if not rows:
        if wanted.weights is None and wanted.alpha != 1:
            shares = tempered(shares, wanted.alpha)
        rows = [integer_weights([shares[stratum] for stratum in strata])]
    return strata, rows


def _course(wanted: Wanted, rows: Sequence[NDArray[np.int64]], sequences: int, length: int) -> Course | None:
    """How weights change along a stream of so many sequences, if they do.

    Raises:
        UserError: The stream is too long.
    """
    if not isinstance(wanted.weights, tuple):
        return None
    if sequences > LONGEST:
        what = f"a rung of more than {LONGEST:,} sequences"
        raise store.UserError(f"{wanted.name}: weights that change along the stream do not go with {what}.")
    # a share of the rung in whole sequences may pass a place in tokens that follows it
    at = np.maximum.accumulate(np.minimum(places(wanted.weights, sequences * length, length), LONGEST))
    return Course(at.astype(np.int64), np.stack(rows))


def factor(rehydrate: Mapping[str, float] | None, stratum: str) -> Fraction:
    """How often a stratum's text counts: by its class of clusters, the last part of its name."""
    from fractions import Fraction

    factors = rehydrate or {}
    return Fraction(str(factors.get(stratum.rpartition("/")[2], 1)))


def _check_size(wanted: Wanted, weights: dict[str, int], kept: dict[str, int], tokens: int) -> None:
    """Stop at a budget beyond all measure before its schedule is worked out, which takes time in proportion to it.

    Raises:
        UserError: Some stratum would need more tokens than its text has bytes, many times over.
    """
    for stratum, weight in weights.items():
        needed, most = tokens * weight // ONE, MOST_PER_BYTE * wanted.repeat * kept[stratum]
        if needed > most + BUCKETS * wanted.repeat:
            raise store.UserError(
                f"{wanted.name}: its largest rung needs some {needed:,} tokens of {stratum}, of which "
                f"{kept[stratum]:,} bytes of text are kept. Lower the budgets, loosen rules, or change weights."
            )


def histogram(folder: str, value: str) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Documents and `value` by stratum, each an int64 array over the buckets, summed over all parts."""
    tables = read_all(store.read_table, [store.join(folder, name) for name in sorted(store.names(folder))])
    table = pa.concat_tables(tables).combine_chunks()
    stratum = table.column("stratum").combine_chunks().dictionary_encode()
    documents: dict[str, NDArray[np.int64]] = {}
    values: dict[str, NDArray[np.int64]] = {}
    codes, buckets = stratum.indices.to_numpy(), table.column("bucket").to_numpy()
    for n, name in enumerate(stratum.dictionary.to_pylist()):
        for out, column in ((documents, "documents"), (values, value)):
            out[name] = np.zeros(BUCKETS, np.int64)
            np.add.at(out[name], buckets[codes == n], table.column(column).to_numpy()[codes == n])
    return documents, values
