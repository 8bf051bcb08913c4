"""Orders: which tokens of a stratum's stream a document ends at, read back from the documents in order.

And where rungs cut these, so that pieces of documents stay between the same two rungs as the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..files import store
from ..stages import order_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from ..stages.ladder import Group


@dataclass(frozen=True)
class Found:
    """A document with which a stratum reaches so much.

    Attributes:
        passes: How often all documents come before.
        end: Tokens of the pass up to the end of the document; 0 where nothing is left to reach.
        rank: What orders it among the documents: priority, both halves of its id, tie and key; empty where the order
            does not tell it, or nothing is left to reach.
    """

    passes: int
    end: int
    rank: tuple[int, ...] = ()


class Orders:
    """The documents of each stratum in order, of which one group at a time is read."""

    def __init__(
        self,
        folder: str,
        listed: Sequence[Group],
        held: Sequence[int],
        totals: Sequence[tuple[int, int]],
        *,
        in_bytes: bool,
    ) -> None:
        """Take what is known.

        Args:
            folder: Of the ladder.
            listed: Groups that are sorted together.
            held: Bytes or documents in each.
            totals: For each stratum, tokens, and bytes or documents, of a pass.
            in_bytes: Whether bytes are counted, else documents.
        """
        self._folder, self._totals, self._in_bytes = folder, totals, in_bytes
        self._groups = [[n for n, group in enumerate(listed) if group.stratum == s] for s in range(len(totals))]
        self._listed = listed
        self._before = [np.cumsum([0, *(held[n] for n in mine)]) for mine in self._groups]
        self._open: tuple[int, pa.Table] | None = None

    def reach(self, stratum: int, target: int) -> Found:
        """The document with which a stratum reaches so many bytes or documents."""
        total = self._totals[stratum][1]
        if not target:  # as of a stratum of which no document could be encoded
            return Found(0, 0)
        passes, rest = divmod(target, total)
        if not rest:
            return Found(passes, 0)
        n = int(np.searchsorted(self._before[stratum], rest)) - 1
        offsets, lengths, sizes, table = self._read(self._groups[stratum][n])
        at = int(np.searchsorted(self._before[stratum][n] + np.cumsum(sizes), rest))
        return Found(passes, int(offsets[at] + lengths[at]), _rank(table, at))

    def holding(self, stratum: int, end: int) -> Found:
        """The document that holds the token before a place of a pass."""
        bases = [self._listed[n].base for n in self._groups[stratum]]
        n = int(np.searchsorted(bases, end)) - 1
        offsets, lengths, _, table = self._read(self._groups[stratum][n])
        at = int(np.searchsorted(offsets, end)) - 1  # the last that begins before it
        return Found(0, int(offsets[at] + lengths[at]), _rank(table, at))

    def measure(self, stratum: int, end: int) -> int:
        """Bytes or documents that begin before a place in a stratum's stream, each in every pass."""
        if not end:
            return 0
        tokens, held = self._totals[stratum]
        passes, rest = divmod(end, tokens)
        total = passes * held
        for n, number in enumerate(self._groups[stratum]):
            group = self._listed[number]
            if group.base < rest <= group.base + group.tokens:
                offsets, _, sizes, _ = self._read(number)
                return total + int(self._before[stratum][n]) + int(sizes[offsets < rest].sum())
        return total

    def _read(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], pa.Table]:
        """Offsets, tokens, and bytes or ones, of a group's documents; of a later piece of one nothing."""
        if self._open is None or self._open[0] != number:
            self._open = number, store.read_table(order_files.path_of(self._folder, f"{number:05d}"))
        table = self._open[1]
        offsets, tokens = table.column("offset").to_numpy(), table.column("tokens").to_numpy()
        sizes = table.column("text_bytes").to_numpy() if self._in_bytes else np.ones(len(table), np.int64)
        if "start" in table.column_names:
            sizes = np.where(table.column("start").to_numpy() == 0, sizes, 0)
        return offsets, tokens, sizes, table


def _rank(table: pa.Table, row: int) -> tuple[int, ...]:
    if "priority" not in table.column_names:
        return ()
    document = table.column("id")[row].as_py()
    halves = int.from_bytes(document[:8], "big"), int.from_bytes(document[8:], "big")
    return (
        table.column("priority")[row].as_py(),
        *halves,
        table.column("tie")[row].as_py(),
        table.column("key")[row].as_py(),
    )


@dataclass
class Stretches:
    """What of a stratum's order stands between the last documents of rungs.

    Attributes:
        bounds: Ranks of these documents, in order.
        tokens: Tokens of the pass up to each, after a zero.
        fitted: The same in sequences as they are fitted, with padding; the same where they are not.
    """

    bounds: list[list[int]]
    tokens: list[int]
    fitted: list[int]

    @classmethod
    def between(cls, rungs: Sequence[Found], orders: Orders, stratum: int, total: int, slack: int) -> Stretches:
        """The stretches of a stratum.

        Args:
            rungs: Where each rung ends, in any pass: all passes have one order, so that each is cut at all of them.
            orders: The documents in order.
            stratum: The stratum's number.
            total: Tokens of a pass.
            slack: Tokens behind the last rung that the schedule may take of it.
        """
        found = {one.end: one for one in rungs if one.end}
        last = rungs[-1]
        if last.passes or last.end:
            end = total if last.passes else min(total, last.end + slack)
            tail = orders.holding(stratum, end)
            found[tail.end] = tail
        ends = sorted(found)
        return cls([list(found[end].rank) for end in ends], [0, *ends], [0] * (len(ends) + 1))

    def take(self, at: Sequence[int]) -> None:
        """Count the tokens of one more group up to each bound."""
        self.fitted = [0, *(had + more for had, more in zip(self.fitted[1:], at, strict=True))]

    def end(self, found: Found) -> int:
        """Where a document ends in the stratum's stream; inside a stretch, as far as the documents up to it fill it."""
        n = int(np.searchsorted(self.tokens, found.end))
        low, high = self.fitted[max(0, n - 1)], self.fitted[n]
        if self.tokens[n] != found.end:
            first = self.tokens[n - 1]
            high = low + (found.end - first) * (high - low) // (self.tokens[n] - first)
        return found.passes * self.fitted[-1] + high
