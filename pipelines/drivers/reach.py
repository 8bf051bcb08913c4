"""Rungs in bytes or documents: how far each stratum's stream must go until it has its share of the budget.

Weights are shares of the same unit, so that a rung holds the same documents whatever the tokenizer: of each stratum
those at the beginning of its order, up to the one that reaches its share (`amounts`). Their tokens are counted, their
sum over strata is rounded to whole sequences, and between two rungs the schedule mixes strata by the tokens that each
has to give there: a course with a step at every rung, and where weights change along the stream, some between. So in
every prefix each stratum is within one sequence of its weight in tokens, and at the end of every rung and step within
two sequences of the document that reaches its share.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..files import store
from ..stages.course import LONGEST
from ..stages.schedule import ONE, integer_weights, prefix_counts
from . import shortage
from .amounts import STEPS, Amounts, steps
from .drafts import EXHAUSTED, MARGIN, Draft, Ladder, factor, histogram, mixture
from .orders import Orders
from .plan import FORMAT
from .shares import places, refilled

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """

    amounts: Amounts = field(default_factory=lambda: Amounts.constant([ONE]))
    measured: dict[str, NDArray[np.int64]] = field(default_factory=dict)

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
        most = {s: self._most(s, SPARE * length) for s in ladder.strata if self.complete[s]}
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
        left = np.cumsum(self.tokens[stratum][::-1])[::-1]  # from the beginning of each bucket to the end
        last = self.measured[stratum][: int(np.count_nonzero(left >= spare)) - 1] if left[0] >= spare else ()
        return (self.wanted.repeat - 1) * int(self.measured[stratum].sum()) + int(np.sum(last))

    def shortage(self) -> list[str]:
        """What is missing, one line for each stratum; and what would help."""
        kept = {stratum: int(measured.sum()) for stratum, measured in self.measured.items()}
        return shortage.told(self.wanted.name, self.wanted.unit, self.wants, kept, self.wanted.repeat)

    def finish(self, listed: Sequence[Group]) -> None:
        """Say how many sequences the rungs have, once the documents are in order.

        Raises:
            UserError: What is left of a stratum does not fill its last sequence, or the stream is too long.
        """
        orders, ladder = self._orders(listed), self.ladder
        places = self.amounts.grid(self.budgets)
        ends = [[orders.end(n, target) for n, target in enumerate(self.amounts.targets(place))] for place in places]
        sequences, course, bends = steps(ends, self.length, places, self.amounts, self.budgets)
        if sequences[-1] > LONGEST:
            raise store.UserError(f"{self.wanted.name}: its largest rung has more than {LONGEST:,} sequences.")
        rungs = dict(zip(places, sequences, strict=True))
        sequences = [rungs[budget] for budget in self.budgets]
        counts = prefix_counts(course or np.array(ladder.weights, np.int64), sequences)
        for stratum, count, available in zip(ladder.strata, counts[-1].tolist(), ladder.available, strict=True):
            if count * self.length > available * self.wanted.repeat:
                more = 0 if self.wanted.name == "held_out" else self.wanted.repeat + 1
                raise store.UserError(
                    f"{self.wanted.name}: {stratum} has the {self.wanted.unit} that its largest rung needs, but not "
                    f"the tokens for its last sequence of {self.length:,}. {shortage.hint(passes=more)}"
                )
        self.needed = {s: int(n) * self.length for s, n in zip(ladder.strata, counts[-1], strict=True)}
        told = course.to_json() if course else []
        if ladder.along:  # what verifies finds the places by
            told = [{**bend, "at": places[n] if n >= 0 else 0} for bend, n in zip(told, bends, strict=True)]
        self.ladder = dataclasses.replace(
            ladder,
            rungs=dict(zip(ladder.rungs, sequences, strict=True)),
            counts=[row.tolist() for row in counts],
            course=told,
            reached=[sum(orders.measure(n, int(c) * self.length) for n, c in enumerate(row)) for row in counts],
        )

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
    depends = [wanted.name, wanted.identity, pool.tokenizer["fingerprint"], strata, weights.tolist(), length]
    identity = store.fingerprint(
        [FORMAT, *depends, wanted.unit, list(wanted.budgets.items()), wanted.repeat, pool.edits]
        + (["rescale", EXHAUSTED] if wanted.rescale else [])
        + ([{"along": [STEPS, along]}] if along else [])
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
    return ReachingDraft(wanted, ladder, length, inside, dict.fromkeys(strata, 0), goal, amounts=amounts)
