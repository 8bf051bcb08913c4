"""Recount rungs in bytes or documents: what begins in each, and whether each stratum goes as far as its share asks."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .result_files import ID, ONE, begins_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from .result_files import Recipe, Rung

NEAR = 2
"""Sequences of a stratum between a rung's end and the document that reaches its share: rounding, and the mixture."""

BEGINS = np.dtype([("at", "<i8"), ("size", "<i8"), ("id", ID), ("first", "?")])
"""Where in its stratum's stream a document begins, in tokens, its bytes, or 1, its id, and whether it is no later piece
of one."""


class Reached:
    """Documents of a stream, by stratum, in order.

    Attributes:
        faults: One line for each rung or place that is not what its budget asks.
        rungs: The stream's.
        length: Tokens in a sequence.
        unit: What budgets count.
    """

    def __init__(self, recipe: Recipe, length: int, piece: int = 0) -> None:
        """Take what the manifest says.

        Args:
            recipe: Whose stream; its rungs are in one unit.
            length: Tokens in a sequence.
            piece: Tokens of a piece; 0 where documents are not cut.
        """
        self.faults: list[str] = []
        self.rungs, self.length, self.unit = recipe.rungs, length, recipe.rungs[-1].unit
        self._piece = piece
        self._strata = sorted(recipe.strata)
        self._weights = [recipe.strata[name].weight for name in self._strata] or [ONE]
        self._changing = recipe.budget_course
        # (sequences, bytes or documents) of places at which weights are looked at, beside the rungs
        self._places = sorted({(bend.sequences, bend.at) for bend in recipe.course if bend.at})
        self._begins: list[list[NDArray[Any]]] = [[] for _ in self._weights]
        self._given = np.zeros(len(self._weights), np.int64)
        self._at_places: dict[int, list[int]] = {}

    def count(self, table: pa.Table, ids: NDArray[Any], sequence: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
        """Go on by a shard.

        Args:
            table: Its table of documents.
            ids: Their ids, of dtype `ID`.
            sequence: int64 of shape (rows of the table,): the sequence of each, counted from 0 in the shard.
            codes: int64 of shape (sequences,): the stratum of each.

        Raises:
            LookupError: The table does not tell bytes.
        """
        first = int(self._given.sum())
        for place, _ in self._places:
            if first < place <= first + len(codes):
                inside = np.bincount(codes[: place - first], minlength=len(self._given))
                self._at_places[place] = (self._given + inside).tolist()
        before = np.zeros(len(codes), np.int64)  # sequences of the same stratum before each
        for n in range(len(self._begins)):
            mine = codes == n
            before[mine] = self._given[n] + np.arange(mine.sum())
            self._given[n] += mine.sum()
        offset = table.column("offset").to_numpy()
        begins = begins_at(offset, self._piece)
        found = np.empty(int(begins.sum()), BEGINS)
        found["first"] = offset[begins] == 0
        found["id"] = ids[begins]
        sequence = sequence[begins]
        found["at"] = before[sequence] * self.length + table.column("position").to_numpy()[begins]
        found["size"] = table.column("text_bytes").to_numpy()[begins] if self.unit == "bytes" else 1
        for n, kept in enumerate(self._begins):
            kept.append(found[codes[sequence] == n])

    def check(self, counts: dict[int, list[int]]) -> None:
        """Compare each rung with what was counted.

        Args:
            counts: Sequences of each stratum, by the rung's sequences.
        """
        every = [one[one["first"]] for one in self.documents()]
        for rung in self.rungs:
            given = counts.get(rung.sequences)
            if given is None or rung.unit is None:
                continue
            reached = sum(_begun(one, n * self.length) for one, n in zip(every, given, strict=True))
            if reached != rung.reached:
                self.faults.append(f"{rung.name}: {reached:,} {rung.unit} begin in it, not {rung.reached:,}")
            if not self._piece:  # else see `whole_rungs`
                self._check_shares(rung.name, rung, rung.requested, every, given)
        for place, given, at in self.places() if not self._piece else ():
            self._check_shares(f"sequence {place:,}", self.rungs[-1], at, every, given)

    def documents(self) -> list[NDArray[Any]]:
        """For each stratum, what begins in it (`BEGINS`), in order."""
        return [np.concatenate(one) if one else np.zeros(0, BEGINS) for one in self._begins]

    def places(self) -> list[tuple[int, list[int], int]]:
        """Places beside the rungs: sequences, those of each stratum before it, and bytes or documents."""
        return [(place, self._at_places[place], at) for place, at in self._places if place in self._at_places]

    def targets(self, place: int) -> list[int]:
        """What each stratum is to have reached at a place, in bytes or documents."""
        if not self._changing:
            return [-(-place * weight // ONE) for weight in self._weights]
        bends = [bend.at for bend in self._changing]
        areas = (
            exact_area(bends, [bend.weights.get(name, 0) for bend in self._changing], place) for name in self._strata
        )
        return [-(-area.numerator // (area.denominator * ONE)) for area in areas]

    def _check_shares(
        self, name: str, rung: Rung, place: int, every: Sequence[NDArray[Any]], given: Sequence[int]
    ) -> None:
        """Whether at a place each stratum is near the document that reaches its share."""
        for n, (begins, had, target) in enumerate(zip(every, given, self.targets(place), strict=True)):
            early, late = (had - NEAR) * self.length, (had + NEAR) * self.length
            ended = int(begins["size"][:-1][begins["at"][1:] <= early].sum())
            if target and ended >= target:
                self.faults.append(f"{name}: stratum {n + 1} has its {target:,} {rung.unit} {NEAR} sequences too early")
            if int(self._given[n]) >= had + NEAR and _begun(begins, late) < target:
                self.faults.append(f"{name}: stratum {n + 1} lacks its {target:,} {rung.unit} by {NEAR} sequences")


def exact_area(places: Sequence[int], heights: Sequence[int], end: int) -> Fraction:
    """The area below a line of straight pieces from 0 to an end; before and after its bends it is level.

    >>> exact_area([2, 4], [3, 0], 3)
    Fraction(33, 4)
    """
    corners = [(0, heights[0]), *zip(places, heights, strict=True), (max(places[-1], end), heights[-1])]
    total = Fraction(0)
    for (left, low), (right, high) in itertools.pairwise(corners):
        stop = min(right, end)
        if stop > left:
            at_stop = low + Fraction((high - low) * (stop - left), right - left)
            total += (stop - left) * (low + at_stop) / 2
    return total


def _begun(begins: NDArray[Any], end: int) -> int:
    return int(begins["size"][begins["at"] < end].sum())
