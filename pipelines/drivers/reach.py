"""Rungs in bytes or documents: how far each stratum's stream must go until it has its share of the budget.

Weights are shares of the same unit, so that a rung holds the same documents whatever the tokenizer: of each stratum
those at the beginning of its order, up to the one that reaches its share (`amounts`). Their tokens are counted, their
sum over strata is rounded to whole sequences, and between two rungs the schedule mixes strata by the tokens that each
has to give there: a course with a step at every rung, and where weights change along the stream, some between. So in
every prefix each stratum is within one sequence of its weight in tokens, and at the end of every rung and step within
two sequences of the document that reaches its share.

Where documents are cut into pieces or fitted to sequences, that is done between the last documents of one rung and the
next (`stretches`). Pieces so change nothing but the order inside; fitted documents of a stretch make whole sequences,
so that a rung ends with no sequence begun, and holds exactly the documents that reach its strata's shares.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import store
from ..stages.course import LONGEST
from ..stages.fit import block_buckets
from ..stages.ladder import groups
from ..stages.schedule import ONE, integer_weights, prefix_counts
from . import shortage
from .amounts import STEPS, Amounts, steps
from .drafts import EXHAUSTED, MARGIN, Draft, Ladder, factor, histogram, mixture
from .orders import Found, Orders, Stretches
from .plan import FORMAT
from .shares import places, refilled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..stages.ladder import Group
    from .drafts import Wanted
    from .pool import Pool

SLACK = 2
"""Sequences of a stratum beyond the document that reaches its share: the schedule is less than one off, sums half."""

SPARE = 3
"""Sequences that a stratum which gives what it has keeps back: as many as rounding and the schedule may take."""


@dataclass
class ReachingDraft(Draft):
    """A draft whose budgets are in bytes or documents; `text_bytes` and `goal` are in that unit, too.

    Attributes:
        amounts: What each stratum is to reach at any place.
        measured: Of what is encoded, bytes as encoded or documents, by stratum and bucket of priority.
        later_blocks: By stratum, buckets of a block in which documents are fitted, once they are in order.
        found: At each place, for each stratum, the document with which it reaches its share.
        orders: The documents in order, where they are not cut.
        stretches: For each stratum, inside what its pieces stay; empty where documents are not cut, or not yet.
        held: Bytes or documents in each group of pieces.
    """

    amounts: Amounts = field(default_factory=lambda: Amounts.constant([ONE]))
    measured: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    later_blocks: dict[str, int] = field(default_factory=dict)
    found: dict[int, list[Found]] = field(default_factory=dict)
    orders: Orders | None = None
    stretches: list[Stretches] = field(default_factory=list)
    held: list[int] = field(default_factory=list)

    @property
    def budgets(self) -> list[int]:
        """Requested bytes or documents of each rung, ascending."""
        return list(self.wanted.budgets.values())

    @property
    def wants(self) -> dict[str, int]:
        """What each stratum is to reach in the largest rung."""
        return dict(zip(self.ladder.strata, self.amounts.targets(self.budgets[-1]), strict=True))

    def falls_short(self) -> bool:
        """Whether more must be encoded; then the goal is raised."""
        cutoffs, short = self.cutoffs, False
        for stratum, want in self.wants.items():
            measured, tokens = self.measured[stratum], self.tokens[stratum]
            at = int(np.searchsorted(np.cumsum(measured), want))
            self.needed[stratum] = int(tokens[: at + 1].sum()) + SLACK * self.length
            if self.complete[stratum]:
                self.needed[stratum] = min(self.needed[stratum], int(tokens.sum()))
            elif tokens.sum() < self.needed[stratum] or measured.sum() < want:
                short = True
                done = int(self.text_bytes[stratum][: cutoffs[stratum]].sum())
                ratio = done / max(1, int(measured.sum()))  # what masks and cuts leave of a text
                self.goal[stratum] = max(want * ratio * MARGIN, done * 1.25, 1.0)
        return short

    def rescale(self, length: int) -> bool:
        """Give strata that run short what they have, and the others the rest; whether that changed anything."""
        if not self.wanted.rescale:
            return False
        ladder = self.ladder
        spare = 0 if self.wanted.fit else SPARE * length  # what is fitted is neither rounded nor scheduled in part
        most = {s: self._most(s, spare) for s in ladder.strata if self.complete[s]}
        wants = self.wants
        short = {s: most[s] for s in most if wants[s] > most[s]}
        if not short:
            return False
        fixed = {s: most[s] for s in ladder.rescaled} | short
        weights = refilled(ladder.strata, ladder.weights, fixed, self.budgets[-1])
        if weights is None:
            return False  # all strata run short: `shortage` says of what
        self.ladder = dataclasses.replace(ladder, weights=weights, rescaled=sorted(fixed))
        self.amounts = Amounts.constant(weights)
        self.goal = {s: max(self.goal[s], MARGIN * want) for s, want in self.wants.items()}
        return True

    def _most(self, stratum: str, spare: int) -> int:
        """What a stratum can give, in all passes, so that so many tokens are left: up to the end of a bucket."""
        if not spare:
            return self.wanted.repeat * int(self.measured[stratum].sum())
        left = np.cumsum(self.tokens[stratum][::-1])[::-1]  # from the beginning of each bucket to the end
        last = self.measured[stratum][: int(np.count_nonzero(left >= spare)) - 1] if left[0] >= spare else ()
        return (self.wanted.repeat - 1) * int(self.measured[stratum].sum()) + int(np.sum(last))

    def shortage(self) -> list[str]:
        """What is missing, one line for each stratum; and what would help."""
        kept = {stratum: int(measured.sum()) for stratum, measured in self.measured.items()}
        return shortage.told(self.wanted.name, self.wanted.unit, self.wants, kept, self.wanted.repeat)

    def find(self, listed: Sequence[Group]) -> None:
        """See with which documents strata reach their shares, once the documents are in order."""
        orders, strata = self._orders(listed), range(len(self.ladder.strata))
        every = [list(map(orders.reach, strata, self.amounts.targets(place))) for place in self.places]
        self.found = dict(zip(self.places, every, strict=True))
        totals = [int(self.tokens[s].sum()) for s in self.ladder.strata]
        if self.wanted.piece or self.wanted.fit:
            self.stretches = [Stretches.between([self.found[b][n] for b in self.budgets], orders, n, totals[n],
                                                SLACK * self.length) for n in strata]  # fmt: skip
            self.blocks = self.later_blocks
        else:
            self.orders = orders

    def groups(self) -> list[Group]:
        """The buckets that are sorted together; where pieces stay inside stretches, up to the last of these."""
        if not self.stretches:
            return super().groups()
        strata, most = self.ladder.strata, self.wanted.piece or self.length
        found = groups(
            np.stack([self.documents[s] + self.tokens[s] // most for s in strata]),
            np.stack([self.tokens[s] for s in strata]),
            [one.tokens[-1] for one in self.stretches],
            blocks=[self.blocks[s] for s in strata] if self.blocks else None,
        )
        return [group for group in found if self.stretches[group.stratum].bounds]

    def count(self, number: int, told: Mapping[str, Any]) -> int:
        """Take what `count_fitted` tells of a group; the tokens that it makes."""
        self.stretches[self.fitted[number].stratum].take(told["at"])
        self.held.append(told["held"])
        return int(told["tokens"])

    def finish(self) -> None:
        """Say how many sequences the rungs have.

        Raises:
            UserError: What is left of a stratum does not fill its last sequence, or the stream is too long.
        """
        ladder, name = self.ladder, self.wanted.name
        if self.stretches:
            passes = [one.fitted[-1] for one in self.stretches]
            ladder = dataclasses.replace(
                ladder,
                available=passes,
                unpadded=[one.tokens[-1] for one in self.stretches] if self.wanted.fit else [],
            )
            ends = [
                [one.end(found) for one, found in zip(self.stretches, row, strict=True)] for row in self.found.values()
            ]
        else:
            passes = [int(self.tokens[s].sum()) for s in ladder.strata]
            ends = [[f.passes * n + f.end for f, n in zip(row, passes, strict=True)] for row in self.found.values()]
        sequences, course, bends = steps(ends, self.length, self.places, self.amounts, self.budgets)
        if sequences[-1] > LONGEST:
            raise store.UserError(f"{name}: its largest rung has more than {LONGEST:,} sequences.")
        rungs = dict(zip(self.places, sequences, strict=True))
        sequences = [rungs[budget] for budget in self.budgets]
        counts = prefix_counts(course or np.array(ladder.weights, np.int64), sequences)
        if self.wanted.fit and any((np.array(ends[self.places.index(budget)]) != row * self.length).any()
                                   for budget, row in zip(self.budgets, counts, strict=True)):  # fmt: skip
            raise store.UserError(
                f"{name}: {len(ladder.strata):,} strata in {sequences[-1]:,} sequences are too many for rungs of whole "
                'documents. Make fewer strata, or write packing = "concatenate".'
            )
        for stratum, count, available in zip(ladder.strata, counts[-1].tolist(), ladder.available, strict=True):
            if count * self.length > available * self.wanted.repeat:
                more = 0 if name == "held_out" else self.wanted.repeat + 1
                raise store.UserError(
                    f"{name}: {stratum} has the {self.wanted.unit} that its largest rung needs, but not "
                    f"the tokens for its last sequence of {self.length:,}. {shortage.hint(passes=more)}"
                )
        self.needed = {s: int(n) * self.length for s, n in zip(ladder.strata, counts[-1], strict=True)}
        told = course.to_json() if course else []
        if ladder.along:  # what verifies finds the places by
            told = [{**bend, "at": self.places[n] if n >= 0 else 0} for bend, n in zip(told, bends, strict=True)]
        self.ladder = dataclasses.replace(
            ladder,
            rungs=dict(zip(ladder.rungs, sequences, strict=True)),
            counts=[row.tolist() for row in counts],
            course=told,
        )

    def measure(self) -> None:
        """Say what begins in each rung, once everything is placed."""
        orders = self.orders
        if orders is None:
            sums = np.zeros(len(self.ladder.strata), np.int64)
            np.add.at(sums, [group.stratum for group in self.fitted], self.held)
            totals = list(zip(self.ladder.available, sums.tolist(), strict=True))
            orders = Orders(self.ladder.folder, self.fitted, self.held, totals, in_bytes=self.in_bytes)
        reached = [
            sum(orders.measure(n, count * self.length) for n, count in enumerate(row)) for row in self.ladder.counts
        ]
        self.ladder = dataclasses.replace(self.ladder, reached=reached)

    def plan(self, listed: list[Group], pool: Pool) -> dict[str, Any]:
        """What workers are told."""
        plan = super().plan(listed, pool)
        if self.stretches:
            plan["bounds"] = [one.bounds for one in self.stretches]
        elif self.wanted.piece or self.wanted.fit:
            plan["ranked"] = True
        return plan

    @property
    def piece(self) -> int:
        """Tokens of a piece, once it is known in which stretch each stays; before that no document is cut."""
        return self.wanted.piece if self.stretches else 0

    @property
    def cuts(self) -> bool:
        """Whether pieces of documents have places of their own."""
        return bool(self.stretches)

    @property
    def places(self) -> list[int]:
        """Bytes or documents at which tokens are counted: rungs, and what is between where weights change.

        Sequences that are fitted end where a rung ends. Weights are rounded to 2**-32, which a thousand million
        sequences add up to a quarter of one: so shortly before a rung, weights make up for it, and no sequence of a
        stratum is late.
        """
        found = self.amounts.grid(self.budgets)
        if self.wanted.fit:
            pairs = itertools.pairwise([0, *self.budgets])
            found = sorted({*found, *(high - (high - low) // 4096 for low, high in pairs)})
        return found

    def _orders(self, listed: Sequence[Group]) -> Orders:
        strata = self.ladder.strata
        held = [int(self.measured[strata[one.stratum]][one.first : one.stop].sum()) for one in listed]
        totals = [(int(self.tokens[s].sum()), int(self.measured[s].sum())) for s in strata]
        return Orders(self.ladder.folder, listed, held, totals, in_bytes=self.in_bytes)


def make_reaching_draft(pool: Pool, wanted: Wanted, length: int) -> ReachingDraft:
    """What a recipe's ladder needs, where its budgets are in bytes or documents.

    Raises:
        UserError: A source with a weight is empty, or there are too many strata.
    """
    documents, text_bytes = histogram(store.join(wanted.choices, "histograms"), "text_bytes")
    sizes = documents if wanted.unit == "documents" else text_bytes
    kept = {stratum: int(row.sum()) * factor(wanted.rehydrate, stratum) for stratum, row in sizes.items()}
    strata, rows = mixture(wanted, kept)
    largest, amounts = max(wanted.budgets.values()), Amounts.constant(rows[0].tolist())
    if isinstance(wanted.weights, tuple):
        amounts = Amounts(tuple(places(wanted.weights, largest)), tuple(tuple(row.tolist()) for row in rows))
    weights = rows[0] if len(rows) == 1 else integer_weights(amounts.due(largest))
    along = [{"at": at, "weights": list(row)} for at, row in zip(amounts.places, amounts.weights, strict=True)]
    along = along if len(rows) > 1 else []
    blocks = {s: block_buckets(int(documents[s].sum())) for s in strata} if wanted.fit else {}
    depends = [wanted.name, wanted.identity, pool.tokenizer["fingerprint"], strata, weights.tolist(), length]
    identity = store.fingerprint(
        [FORMAT, *depends, wanted.unit, list(wanted.budgets.items()), wanted.repeat, pool.edits]
        + (["rescale", EXHAUSTED] if wanted.rescale else [])
        + ([{"along": [STEPS, along]}] if along else [])
        + ([{"piece": wanted.piece}] if wanted.piece else [])
        + ([{"fit": blocks}] if wanted.fit else [])
    )
    ladder = Ladder(
        name=wanted.name,
        identity=identity,
        folder=pool.store.path("ladders", identity),
        strata=strata,
        weights=weights.tolist(),
        available=[],
        rungs=dict.fromkeys(wanted.budgets, 0),
        counts=[],
        along=along,
    )
    goal = {stratum: MARGIN * want for stratum, want in zip(strata, amounts.targets(largest), strict=True)}
    inside = {stratum: sizes[stratum] for stratum in strata}
    need = dict.fromkeys(strata, 0)
    return ReachingDraft(wanted, ladder, length, inside, need, goal, amounts=amounts, later_blocks=blocks)
