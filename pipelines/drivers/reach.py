"""Rungs in bytes or documents: how far each stratum's stream must go until it has its share of the budget.

Weights are shares of the same unit, so that a rung holds the same documents whatever the tokenizer: of each stratum
those at the beginning of its order, up to the one that reaches its share. Their tokens are counted, their sum over
strata is rounded to whole sequences, and between two rungs the schedule mixes strata by the tokens that each has to
give there: a course with a step at every rung. So in every prefix each stratum is within one sequence of its weight in
tokens, and at the end of every rung within two sequences of the document that reaches its share.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..files import store
from ..stages.course import LONGEST, Course
from ..stages.schedule import ONE, integer_weights, prefix_counts
from . import shortage
from .drafts import MARGIN, Draft, Ladder, factor, histogram, mixture
from .plan import FORMAT, whole
from .shares import refilled

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
        targets: For each rung, what each stratum is to reach.
        measured: Of what is encoded, bytes as encoded or documents, by stratum and bucket of priority.
    """

    targets: list[list[int]] = field(default_factory=list)
    measured: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def wants(self) -> dict[str, int]:
        """What each stratum is to reach in the largest rung."""
        return dict(zip(self.ladder.strata, self.targets[-1], strict=True))

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
        ladder, budget = self.ladder, list(self.wanted.budgets.values())
        most = {s: self._most(s, SPARE * length) for s in ladder.strata if self.complete[s]}
        short = {s: most[s] for s in most if self.wants[s] > most[s]}
        if not short:
            return False
        fixed = {s: most[s] for s in ladder.rescaled} | short
        weights = refilled(ladder.strata, ladder.weights, fixed, budget[-1])
        if weights is None:
            return False  # all strata run short: `shortage` says of what
        self.ladder = dataclasses.replace(ladder, weights=weights, rescaled=sorted(fixed))
        self.targets = _targets(budget, weights)
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
        orders = _Orders(self, listed)
        ends = [[orders.reach(n, target) for n, target in enumerate(row)] for row in self.targets]
        sequences, course = steps(ends, self.length)
        if sequences[-1] > LONGEST:
            raise store.UserError(f"{self.wanted.name}: its largest rung has more than {LONGEST:,} sequences.")
        ladder = self.ladder
        counts = prefix_counts(course or np.array(ladder.weights, np.int64), sequences)
        for stratum, count, available in zip(ladder.strata, counts[-1].tolist(), ladder.available, strict=True):
            if count * self.length > available * self.wanted.repeat:
                more = 0 if self.wanted.name == "held_out" else self.wanted.repeat + 1
                raise store.UserError(
                    f"{self.wanted.name}: {stratum} has the {self.wanted.unit} that its largest rung needs, but not "
                    f"the tokens for its last sequence of {self.length:,}. {shortage.hint(passes=more)}"
                )
        self.needed = {s: int(n) * self.length for s, n in zip(ladder.strata, counts[-1], strict=True)}
        self.ladder = dataclasses.replace(
            ladder,
            rungs=dict(zip(ladder.rungs, sequences, strict=True)),
            counts=[row.tolist() for row in counts],
            course=course.to_json() if course else [],
            reached=[sum(orders.measure(n, int(c) * self.length) for n, c in enumerate(row)) for row in counts],
        )


def make_reaching_draft(pool: Pool, wanted: Wanted, length: int) -> ReachingDraft:
    """What a recipe's ladder needs, where its budgets are in bytes or documents.

    Raises:
        UserError: A source with a weight is empty, or there are too many strata.
    """
    documents, text_bytes = histogram(store.join(wanted.choices, "histograms"), "text_bytes")
    sizes = documents if wanted.unit == "documents" else text_bytes
    kept = {stratum: int(row.sum()) * factor(wanted.rehydrate, stratum) for stratum, row in sizes.items()}
    strata, weights, _ = mixture(wanted, kept, 1, length)
    targets = _targets(list(wanted.budgets.values()), weights.tolist())
    depends = [wanted.name, wanted.identity, pool.tokenizer["fingerprint"], strata, weights.tolist(), length]
    identity = store.fingerprint(
        [FORMAT, *depends, wanted.unit, list(wanted.budgets.items()), wanted.repeat, pool.edits]
        + (["rescale"] if wanted.rescale else [])
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
    )
    goal = {stratum: MARGIN * want for stratum, want in zip(strata, targets[-1], strict=True)}
    inside = {stratum: sizes[stratum] for stratum in strata}
    return ReachingDraft(wanted, ladder, length, inside, dict.fromkeys(strata, 0), goal, targets=targets)


def _targets(budgets: Sequence[int], weights: Sequence[int]) -> list[list[int]]:
    """For each rung, what each stratum is to reach, rounded up."""
    return [[-(-budget * weight // ONE) for weight in weights] for budget in budgets]


def steps(ends: Sequence[Sequence[int]], length: int) -> tuple[list[int], Course | None]:
    """Sequences of each rung, and the weights that mix strata up to each.

    Args:
        ends: For each rung, tokens of each stratum, none of which falls.
        length: Tokens in a sequence.

    Returns:
        Sequences, ascending; and a course, none for a single stratum.

    >>> steps([[300, 100], [300, 900]], 100)[1].to_json()[2]
    {'sequences': 4, 'weights': [0, 4294967296]}
    """
    sequences = [whole(sum(row), length) for row in ends]
    places: list[int] = []
    weights: list[NDArray[np.int64]] = []
    before = 0
    due = [Fraction(0)] * len(ends[0])
    for row, sequence in zip(ends, sequences, strict=True):
        if sequence == before or sum(row) == 0:
            continue
        # what is due at the end of the rung is in proportion to its tokens; rounding of earlier rungs is made up for
        left = [max(Fraction(0), Fraction(sequence * one, sum(row)) - had) for one, had in zip(row, due, strict=True)]
        share = integer_weights(left)
        due = [had + Fraction(int(w) * (sequence - before), ONE) for had, w in zip(due, share, strict=True)]
        places += [before, sequence]
        weights += [share, share]
        before = sequence
    return sequences, Course(np.array(places, np.int64), np.stack(weights)) if len(ends[0]) > 1 else None


class _Orders:
    """The documents of each stratum in order, of which one group at a time is read."""

    def __init__(self, draft: ReachingDraft, listed: Sequence[Group]) -> None:
        self._draft, self._folder = draft, draft.ladder.folder
        self._groups = list(enumerate(listed))
        self._measured = [draft.measured[stratum] for stratum in draft.ladder.strata]
        self._tokens = [int(draft.tokens[stratum].sum()) for stratum in draft.ladder.strata]

    def reach(self, stratum: int, target: int) -> int:
        """Tokens up to the end of the document with which a stratum reaches so many bytes or documents."""
        measured = self._measured[stratum]
        if not target:  # as of a stratum of which no document could be encoded
            return 0
        passes, rest = divmod(target, int(measured.sum()))
        if not rest:
            return passes * self._tokens[stratum]
        for number, group in self._groups:
            before, inside = int(measured[: group.first].sum()), int(measured[group.first : group.stop].sum())
            if group.stratum == stratum and before < rest <= before + inside:
                offsets, tokens, sizes = self._read(number)
                at = int(np.searchsorted(before + np.cumsum(sizes), rest))
                return passes * self._tokens[stratum] + int(offsets[at] + tokens[at])
        raise AssertionError(f"no document of stratum {stratum} reaches {target}")  # pragma: no cover

    def measure(self, stratum: int, end: int) -> int:
        """Bytes or documents that begin before a place in a stratum's stream, each in every pass."""
        measured = self._measured[stratum]
        if not end:
            return 0
        passes, rest = divmod(end, self._tokens[stratum])
        total = passes * int(measured.sum())
        for number, group in self._groups:
            if group.stratum == stratum and group.base < rest <= group.base + group.tokens:
                offsets, _, sizes = self._read(number)
                return total + int(measured[: group.first].sum()) + int(sizes[offsets < rest].sum())
        return total

    def _read(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Offsets, tokens, and bytes or ones, of a group's documents."""
        table = store.read_table(store.join(self._folder, "order", f"{number:05d}.parquet"))
        offsets, tokens = table.column("offset").to_numpy(), table.column("tokens").to_numpy()
        in_bytes = self._draft.wanted.unit == "bytes"
        return offsets, tokens, table.column("text_bytes").to_numpy() if in_bytes else np.ones(len(table), np.int64)
