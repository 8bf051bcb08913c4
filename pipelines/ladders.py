"""The driver's side of a ladder: how many sequences of each stratum, how much to encode, where shards are cut.

What it comes to for ten billion documents, all of one stratum and all within the budget: the driver holds one histogram
of 4,096 buckets for each stratum, 64 KB. The exchange moves 48 bytes a document to the groups, 480 GB, and 22 bytes
back to the parts, 220 GB. A group is a bucket at least: 4,096 groups of 2.4 million documents, of which the largest is
120 MB as it comes and some four times that while it is sorted. A ladder of a hundredth of the pool moves some two
hundredths of that, because documents beyond its needs are neither encoded nor sent.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from . import store
from .course import LONGEST
from .fit import block_buckets
from .ladder import BUCKETS, ORDERED, Group, groups, groups_json
from .parts import read_all
from .plan import FORMAT, whole
from .pool import PIPELINES, numbered
from .schedule import ONE, Course, integer_weights, prefix_counts
from .shares import along, share_left, stratum_weights, tempered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from .pool import Pool
    from .study_weights import Bend

BYTES_PER_TOKEN = 2.0
"""What is assumed before anything was encoded: so little that the first try seldom encodes more than is needed."""

STRATA = 1 << 16
"""A place holds its stratum's number in 16 bits."""

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
        budgets: Requested tokens by rung, ascending.
        weights: As the study has them.
        repeat: Passes over a stratum at most.
        rehydrate: How often the text of a stratum counts, by the last part of its name.
        alpha: Without weights, the power of the shares of the text.
        rescale: Whether a stratum that runs short gives what it has, and the others the rest.
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
    piece: int = 0
    fit: bool = False


@dataclass
class _Draft:
    """A ladder in the making: what is needed, and what is encoded of it, by stratum and bucket of priority."""

    wanted: Wanted
    ladder: Ladder
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

    def plan(self, listed: list[Group], length: int, pool: Pool) -> dict[str, Any]:
        """What workers are told."""
        ladder = self.ladder
        plan = {
            "strata": ladder.strata,
            "weights": ladder.weights,
            "course": ladder.course,
            "available": ladder.available,
            "needed": [self.needed[s] for s in ladder.strata],
            "groups": groups_json(listed),
            "sequence_length": length,
            "dtype": pool.dtype,
        }
        if self.wanted.piece:
            plan["piece"] = self.wanted.piece
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
        left = whole_stream - sum(fixed.values())
        others = {s: w for s, w in zip(ladder.strata, ladder.weights, strict=True) if s not in fixed and w}
        if left > 0 and not others:
            return False  # all strata run short: `_shortage` says of what
        shares = [share_left(s, fixed, others, left) for s in ladder.strata]
        # a capped stratum is rounded down, so that no schedule gives it a sequence more than it has
        weights = [share.numerator * ONE // share.denominator for share in shares]
        weights[max(range(len(weights)), key=lambda n: (ladder.strata[n] in others, weights[n]))] += ONE - sum(weights)
        rows = [row.tolist() for row in prefix_counts(np.array(weights, np.int64), list(ladder.rungs.values()))]
        rescaled = sorted(fixed)
        self.ladder = dataclasses.replace(ladder, weights=weights, counts=rows, rescaled=rescaled)
        self.needed = {s: n * length for s, n in zip(ladder.strata, rows[-1], strict=True)}
        self.goal = {s: max(self.goal[s], BYTES_PER_TOKEN * need) for s, need in self.needed.items()}
        return True


def plan_ladders(pool: Pool, wanted: Sequence[Wanted], length: int) -> dict[str, Ladder]:
    """Encode as much as is needed, place every document, and say what each rung holds; for all recipes together.

    Args:
        pool: What all stages share.
        wanted: One for each recipe.
        length: Tokens in a sequence.

    Returns:
        Ladders by the recipes' names.

    Raises:
        UserError: A stratum is empty or runs short; all of them are named with what is missing.
    """
    drafts = [_draft(pool, one, length) for one in wanted]
    todo = [draft for draft in drafts if not store.exists(store.join(draft.ladder.folder, "done.json"))]
    short = todo
    while short:
        with pool.report.about("further") if short is not todo else contextlib.nullcontext():
            _encode(pool, short)
        short = [draft for draft in short if draft.falls_short() or draft.rescale(length)]
    _fit(pool, [draft for draft in todo if draft.wanted.fit], length)
    mistakes = [line for draft in todo for line in _shortage(draft)]
    if mistakes:
        raise store.UserError("\n".join(mistakes))
    for draft in todo:
        available, strata = draft.available, draft.ladder.strata
        unpadded = [int(draft.tokens[stratum].sum()) for stratum in strata] if draft.fitted else []
        draft.ladder = dataclasses.replace(draft.ladder, available=[available[s] for s in strata], unpadded=unpadded)
    _place(pool, todo, length)
    return {draft.wanted.name: _done(draft.ladder) for draft in drafts}


def _done(ladder: Ladder) -> Ladder:
    return dataclasses.replace(ladder, **store.read_json(store.join(ladder.folder, "done.json")))


def _draft(pool: Pool, wanted: Wanted, length: int) -> _Draft:
    documents, text_bytes = histogram(store.join(wanted.choices, "histograms"), "text_bytes")
    kept = {stratum: int(row.sum()) for stratum, row in text_bytes.items()}
    counted = {stratum: size * _factor(wanted, stratum) for stratum, size in kept.items()}
    rungs = {rung: whole(tokens, length) for rung, tokens in wanted.budgets.items()}
    strata, weights, course = _mixture(wanted, counted, max(rungs.values()), length)
    if max(rungs.values()) > SCHEDULED_AT_ONCE and not wanted.rescale:
        _check_size(wanted, dict(zip(strata, weights.tolist(), strict=True)), kept, max(rungs.values()) * length)
    counts = prefix_counts(weights if course is None else course, list(rungs.values()))
    needed = {stratum: int(n) * length for stratum, n in zip(strata, counts[-1], strict=True)}
    depends = [wanted.name, wanted.identity, pool.tokenizer["fingerprint"], strata, weights.tolist(), rungs, length]
    more: list[object] = (["rescale"] if wanted.rescale else []) + ([course.to_json()] if course else [])
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
    return _Draft(wanted, ladder, {stratum: text_bytes[stratum] for stratum in strata}, needed, goal, blocks=blocks)


def _mixture(
    wanted: Wanted, kept: Mapping[str, int | Fraction], sequences: int, length: int
) -> tuple[list[str], NDArray[np.int64], Course | None]:
    """Strata, their weights, and how these change, where they do.

    Args:
        wanted: What the recipe asks.
        kept: Text of each stratum, as it counts.
        sequences: Of the largest rung.
        length: Tokens in a sequence.

    Raises:
        UserError: A source with a weight is empty, there are too many strata, or the stream is too long for a course.
    """
    course = None
    if isinstance(wanted.weights, tuple):
        strata, course, empty = along(wanted.weights, kept, sequences, length)
        shares: dict[str, Fraction | float] = dict.fromkeys(strata, 1)
    else:
        shares, empty = stratum_weights(wanted.weights, kept)
        strata = sorted(shares)
    if empty or not strata:
        of = ", ".join(sorted(empty)) or "any source"
        raise store.UserError(f"{wanted.name}: no document of {of} is kept. Loosen its rules or change its weights.")
    if len(strata) > STRATA:
        raise store.UserError(
            f"{wanted.name}: {len(strata):,} strata; {STRATA:,} are the most. Make strata of a score with fewer labels."
        )
    if course is None:
        if wanted.weights is None and wanted.alpha != 1:
            shares = tempered(shares, wanted.alpha)
        return strata, integer_weights([shares[stratum] for stratum in strata]), None
    if sequences > LONGEST or wanted.rescale:
        what = "rescale" if wanted.rescale else f"a rung of more than {LONGEST:,} sequences"
        raise store.UserError(f"{wanted.name}: weights that change along the stream do not go with {what}.")
    return strata, integer_weights(course.due(sequences).tolist()), course


def _factor(wanted: Wanted, stratum: str) -> Fraction:
    """How often a stratum's text counts: by its class of clusters, the last part of its name."""
    from fractions import Fraction

    factors = wanted.rehydrate or {}
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


def _encode(pool: Pool, drafts: Sequence[_Draft]) -> None:
    """Encode up to the cutoffs of all drafts, each document once, and count what that gave."""
    depends = [
        [draft.wanted.identity, draft.cutoffs, *([draft.wanted.piece] if draft.wanted.piece else [])]
        for draft in drafts
    ]
    folder = pool.store.path("counts", store.fingerprint([pool.tokenizer["fingerprint"], depends]))
    recipes = [
        {
            "choices": store.join(draft.wanted.choices, "choices"),
            "cutoffs": draft.cutoffs,
            "counts": store.join(folder, str(n)),
            "piece": draft.wanted.piece,
        }
        for n, draft in enumerate(drafts)
    ]
    last = store.join(folder, str(len(drafts) - 1))  # a task writes there after all others
    listed = [(numbered(last, task["ordinal"]), task) for task in pool.tasks(tokenizer=pool.tokenizer, recipes=recipes)]
    pool.run_missing("encode", f"{PIPELINES}.encode:encode_part", listed, isolated=True)
    empty = np.zeros(BUCKETS, np.int64)
    for draft, recipe in zip(drafts, recipes, strict=True):
        documents, tokens = histogram(str(recipe["counts"]), "tokens")
        draft.documents = {stratum: documents.get(stratum, empty) for stratum in draft.text_bytes}
        draft.tokens = {stratum: tokens.get(stratum, empty) for stratum in draft.text_bytes}
        draft.complete = {stratum: bucket == BUCKETS for stratum, bucket in draft.cutoffs.items()}


def _shortage(draft: _Draft) -> list[str]:
    repeat = draft.wanted.repeat
    available = draft.available
    short = {s: need - repeat * available[s] for s, need in draft.needed.items() if need > repeat * available[s]}
    if not short:
        return []
    lines = [
        f"  {s}: {missing:,} tokens missing; {draft.needed[s]:,} needed, {available[s]:,} kept"
        + (f" × {repeat} passes" if repeat > 1 else "")
        for s, missing in sorted(short.items())
    ]
    most = (
        repeat * sum(available.values())
        if draft.wanted.rescale
        else min(sum(draft.needed.values()) * repeat * available[s] // draft.needed[s] for s in short)
    )
    most -= most % 10 ** max(0, len(str(most)) - 3)  # strata are rounded to whole sequences: three digits are enough
    passes = max(-(-draft.needed[s] // available[s]) if available[s] else 0 for s in short)
    hint = f", or set repeat = {passes}" if passes and draft.wanted.name != "held_out" else ""
    return [
        f"{draft.wanted.name}: the kept documents do not fill its largest rung.",
        *lines,
        f"Lower the budgets{f' to {most:,} tokens' if most else ''}, loosen rules, change weights{hint}.",
    ]


def _fit(pool: Pool, drafts: Sequence[_Draft], length: int) -> None:
    """Count the sequences that each group of documents makes: where a group begins depends on all groups before it."""
    if not drafts:
        return
    tasks, plans, volume = [], [], 0
    for number, draft in enumerate(drafts):
        plans.append(store.join(draft.ladder.folder, "fit.json"))
        draft.fitted = draft.groups()
        store.write_json(plans[-1], draft.plan(draft.fitted, length, pool))
        tasks += _tasks(pool, draft, plans[-1], number)
        volume += draft.volume
    module, folders = f"{PIPELINES}.ladder", [draft.ladder.folder for draft in drafts]
    done = lambda: sum(len(store.names(store.join(folder, "fitted"))) for folder in folders)  # noqa: E731
    with pool.report.stage("fit", sum(len(draft.fitted) for draft in drafts), done):
        reduces = [(f"{module}:count_fitted", {"folders": folders, "plans": plans})]
        pool.engine.exchange("fit", f"{module}:emit_order", reduces, tasks, volume)
    for draft in drafts:
        folder, bases = store.join(draft.ladder.folder, "fitted"), [0] * len(draft.ladder.strata)
        for n, group in enumerate(draft.fitted):
            tokens = store.read_json(store.join(folder, f"{n:05d}.json")) * length
            draft.fitted[n] = dataclasses.replace(group, base=bases[group.stratum], tokens=tokens)
            bases[group.stratum] += tokens


def _tasks(pool: Pool, draft: _Draft, plan: str, number: int) -> list[dict[str, Any]]:
    choices = store.join(draft.wanted.choices, "choices")
    return pool.tasks(choices=choices, tokenizer=pool.tokenizer["fingerprint"], plan=plan, number=number)


def _place(pool: Pool, drafts: Sequence[_Draft], length: int) -> None:
    """Order the documents of all drafts in one exchange, and write each ladder's plan."""
    tasks, total, volume = [], 0, 0
    for number, draft in enumerate(drafts):
        volume += draft.volume
        listed = draft.fitted or draft.groups()
        total += len(listed)
        path = store.join(draft.ladder.folder, "plan.json")
        store.write_json(path, draft.plan(listed, length, pool))
        tasks += _tasks(pool, draft, path, number)
    cuts = [bool(draft.wanted.piece or draft.wanted.fit) for draft in drafts]
    folders = {"folders": [draft.ladder.folder for draft in drafts], "pieces": cuts}
    module = f"{PIPELINES}.ladder"
    reduces = [(f"{module}:order_group", folders), (f"{module}:write_places", folders)]
    done = lambda: sum(len(store.names(store.join(draft.ladder.folder, "order"))) for draft in drafts)  # noqa: E731
    with pool.report.stage("place", total, done):
        pool.engine.exchange("place", f"{module}:emit_order", reduces, tasks, volume)
    for draft in drafts:
        known = ("available", "weights", "counts", "rescaled", *(["unpadded"] if draft.fitted else []))
        done_with = {key: getattr(draft.ladder, key) for key in known}
        store.write_json(store.join(draft.ladder.folder, "done.json"), done_with)
