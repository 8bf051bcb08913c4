"""A run's sequences in order: one rung or a mixture, in the order of the stream or shuffled, for any number of epochs.

Sequence i of a run is a pure function of the manifest, the seed and i. Ranks, workers, batch size and planned length
only say who takes which i, so the state of a run is one integer: how many sequences were used.
"""

from __future__ import annotations

import collections
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..pipelines.files import store
from .batch import Batch, by_rung
from .order import Order, Places
from .rung import Rung

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK = 8192
"""Sequences whose places are worked out at once: 1 ms for shuffled ones, and no cost that a batch would feel."""

SEEN = pa.schema(
    {
        "position": pa.int64(),
        "rung": pa.string(),
        "sequence": pa.int64(),
        "at": pa.int32(),
        "document": pa.string(),
        "offset": pa.int64(),
        "length": pa.int32(),
    }
)
"""Columns of `Stream.documents_seen`."""


class Stream:
    """The sequences of a run, by position.

    Args:
        rungs: One rung, or rungs with their weights in a mixture. All need one tokenizer and one sequence length.
        seed: 0 to 2^64 - 1; by default the study's.
        shuffled: Whether each epoch of each rung is permuted by the seed; else the order is the stream's, which is by a
            hash of each document's content already, or a curriculum's.
        epochs: Passes after which the run ends, over the rung, or of a mixture: so many times its rungs' sequences
            together. None: it never ends.

    Raises:
        UserError: The rungs do not go together, or are none.
        ValueError: The weights are no shares, the seed is out of range, or the epochs are no whole number.
    """

    def __init__(
        self,
        rungs: Rung | Mapping[Rung, float],
        *,
        seed: int | None = None,
        shuffled: bool = False,
        epochs: int | None = None,
    ) -> None:
        given: object = rungs  # a name, or a list of rungs, comes to mind as well
        self.rungs = list(rungs) if isinstance(rungs, Mapping) else [rungs]
        if not all(isinstance(one, Rung) for one in self.rungs):
            raise store.UserError(
                f"A run takes a rung, such as open_rung('built', 'clean-500K'), or a dict of rungs with their weights, "
                f"not {given!r}."
            )
        if not self.rungs:
            raise store.UserError("A run needs at least one rung.")
        first = self.rungs[0]
        for rung in self.rungs:
            own, other = rung.manifest["tokenizer"]["identity"], first.manifest["tokenizer"]["identity"]
            if own != other or rung.length != first.length:
                raise store.UserError(
                    f"{first.name} and {rung.name} cannot be mixed: they have sequences of {first.length:,} and "
                    f"{rung.length:,} tokens and the tokenizers {other} and {own}. Build them with the same."
                )
        self.seed = first.seed if seed is None else seed
        self.length = first.length
        self.dtype = first.dtype
        weights = None if isinstance(rungs, Rung) else [float(rungs[rung]) for rung in self.rungs]
        self.order = Order([len(rung) for rung in self.rungs], weights, self.seed, shuffled=shuffled)
        if epochs is not None and (epochs < 1 or epochs != int(epochs)):
            raise ValueError(f"{epochs} epochs: a run takes 1 or more, or None to go on without end.")
        self.sequences = None if epochs is None else int(epochs) * sum(len(rung) for rung in self.rungs)
        self.identity = store.fingerprint(
            [[rung.digest for rung in self.rungs], self.order.weights.tolist(), self.seed, shuffled]
        )
        self._arguments = (rungs, self.seed, shuffled, epochs)

    def __reduce__(self) -> Any:
        """Workers of a data loader open the rungs anew."""
        return _again, self._arguments

    def __len__(self) -> int:
        """Sequences of the run.

        Raises:
            TypeError: It never ends.
        """
        if self.sequences is None:
            raise TypeError("The run never ends, so it has no length. Give it epochs.")
        return self.sequences

    def __getitem__(self, position: int) -> NDArray[Any]:
        """The tokens at a position of the run, read-only, of shape (length,).

        Raises:
            IndexError: It is outside the run.
            ShardError: Its shard is missing or damaged.
        """
        places = self.order.places(self._checked(np.array([position])))
        return self.rungs[int(places.rungs[0])][int(places.sequences[0])]

    def batch(self, positions: NDArray[np.int64]) -> Batch:
        """The sequences at any positions of the run.

        Args:
            positions: int64[n].

        Raises:
            IndexError: Some are outside the run.
            TypeError: Some are no whole numbers.
            ShardError: A shard is missing or damaged.
        """
        positions = self._checked(positions)
        places = self.order.places(positions)
        return Batch(positions, places, self._tokens(places), self.rungs)

    def batches(self, size: int, *, position: int = 0, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """The run in batches, from a position on.

        Each step of the run takes the next `size × ranks` positions, and each rank `size` of them in a row. What is
        left at the end and does not fill a step is shared as evenly as can be, so that each sequence is given once.

        Args:
            size: Sequences of a batch of one rank.
            position: Sequences of the run that were used before, by all ranks together.
            rank: Which of the ranks this is.
            ranks: How many there are.

        Yields:
            Batches of `size` sequences; the last one may be smaller, and is left out where it would be empty.

        Raises:
            ValueError: The size, position or rank makes no sense.
            ShardError: A shard is missing or damaged.
        """
        if size < 1 or not 0 <= rank < ranks or position < 0:
            raise ValueError(f"Batches of {size}, position {position}, rank {rank} of {ranks}: nothing can be given.")
        together = size * ranks
        block = max(1, BLOCK // size)
        while self.sequences is None or position < self.sequences:
            left = block if self.sequences is None else min(block, (self.sequences - position) // together)
            if not left:  # the last step is not full
                rest = self.step(position, size, rank=rank, ranks=ranks)
                if len(rest):
                    yield self.batch(rest)
                return
            starts = position + rank * size + together * np.arange(left)
            positions = (starts[:, None] + np.arange(size)).reshape(-1)
            yield from self._block(positions, size, self._wanted(position, left * together))
            position += left * together

    def step(self, position: int, size: int, *, rank: int = 0, ranks: int = 1) -> NDArray[np.int64]:
        """The positions that a rank takes in the step that begins at `position`; see `batches`."""
        together = size * ranks
        if self.sequences is None or position + together <= self.sequences:
            return position + rank * size + np.arange(size)
        rest = max(0, self.sequences - position)
        return position + np.arange(rest * rank // ranks, rest * (rank + 1) // ranks)

    def _block(self, positions: NDArray[np.int64], size: int, wanted: list[collections.deque[int]]) -> Iterator[Batch]:
        places = self.order.places(positions)
        for at in range(0, len(positions), size):
            for rung, shards in zip(self.rungs, wanted, strict=True):
                if shards:
                    rung.prefetch(shards)
            mine = Places(places.rungs[at : at + size], places.epochs[at : at + size], places.sequences[at : at + size])
            yield Batch(positions[at : at + size], mine, self._tokens(mine), self.rungs)

    def _wanted(self, position: int, count: int) -> list[collections.deque[int]]:
        """For each rung, the shards to fetch while a block is used: its own, and some that come after it."""
        step = 1
        if not self.order.shuffled:  # four looks at each shard find them all
            step = max(1, min(rung.shard_sequences for rung in self.rungs) // 4)
            count += max(rung.read_ahead * rung.shard_sequences for rung in self.rungs)
        stop = position + count if self.sequences is None else min(position + count, self.sequences)
        places = self.order.places(np.arange(position, stop, step))
        return [rung.wanted(places.sequences[places.rungs == number]) for number, rung in enumerate(self.rungs)]

    def _tokens(self, places: Places) -> NDArray[Any]:
        sequences = places.sequences
        if len(self.rungs) == 1:
            start, count = int(sequences[0]) if len(sequences) else 0, len(sequences)
            if count and sequences[-1] == start + count - 1 and not self.order.shuffled:
                return self.rungs[0].slice(start, start + count)
            return self.rungs[0].take(sequences)
        out = np.empty((len(sequences), self.length), self.dtype)
        for rung, mine in by_rung(self.rungs, places):
            out[mine] = rung.take(sequences[mine])
        return out

    def state(self, position: int) -> dict[str, Any]:
        """What to keep in a checkpoint after `position` sequences: two integers and the name of the run's data.

        Raises:
            TypeError: That is no whole number.
            ValueError: It is negative.
        """
        try:
            used = operator.index(position)
        except TypeError as error:
            raise TypeError(f"{position!r} sequences: a state has how many were used, a whole number.") from error
        if used < 0:
            raise ValueError(f"{used} sequences: a state has how many were used, 0 or more.")
        return {"position": used, "seed": self.seed, "data": self.identity}

    def resume(self, state: Mapping[str, Any]) -> int:
        """The position in a state, after a check that it is of this run.

        Raises:
            UserError: It is of another run: other shards, weights, seed or order.
        """
        given: object = state  # what was read from a checkpoint may be anything
        known = given if isinstance(given, Mapping) else {}
        position, data = known.get("position"), known.get("data")
        if not isinstance(position, int) or position < 0 or not isinstance(data, str):
            raise store.UserError(f"{state!r} is no state of a run: it needs 'position', 'seed' and 'data'.")
        if data != self.identity:
            raise store.UserError(
                f"The state is of other data or another order ({data}, seed {state.get('seed')}) than this run "
                f"({self.identity}, seed {self.seed}). Open the rungs, weights, seed and order that it was saved with."
            )
        return position

    def documents_seen(self, stop: int, start: int = 0) -> pa.Table:
        """Which documents stand at positions [start, stop) of the run: after a step, what a model has seen.

        Returns:
            A table with a row for each piece of a document, in order: `position` (of the run), `rung`, `sequence`, `at`
            (its first token's place in the sequence), `document` (hex id), `offset` (tokens of the document before) and
            `length` (tokens).

        Raises:
            IndexError: Some positions are outside the run.
            ShardError: A table of documents is missing or damaged.
        """
        positions = np.arange(start, stop)
        return self._documents(positions, self.order.places(self._checked(positions)))

    def audit(self, batch: Batch) -> pa.Table:
        """Which documents stand in a batch, after a check that its tokens are those of the shards.

        Returns:
            As `documents_seen`, with `position` of the run for each row of the batch.

        Raises:
            ValueError: The batch's tokens are not what stands at its positions.
            ShardError: A table of documents is missing or damaged.
        """
        expected = self.batch(batch.positions)
        wrong = np.flatnonzero((expected.tokens != batch.tokens).any(axis=1))
        if len(wrong):
            raise ValueError(
                f"Rows {wrong[:10].tolist()} of the batch are not what stands at positions "
                f"{batch.positions[wrong[:10]].tolist()} of the run; {len(wrong)} of {len(batch)} rows differ."
            )
        return self._documents(batch.positions, expected.places)

    def _documents(self, positions: NDArray[np.int64], places: Places) -> pa.Table:
        pieces = [SEEN.empty_table()]  # of no position, as before the first step
        for rung, mine in by_rung(self.rungs, places):
            table = rung.documents(places.sequences[mine])
            rows = table.column("row").to_numpy()
            names = ("sequence", "position", "document", "offset", "length")
            columns = [positions[mine][rows], [rung.name] * len(table), *(table.column(name) for name in names)]
            pieces.append(pa.table(columns, schema=SEEN))
        return pa.concat_tables(pieces).sort_by([("position", "ascending"), ("at", "ascending")])

    def _checked(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        given = np.asarray(positions)
        too_large = given.dtype == object and all(isinstance(one, int) for one in given.flat)  # for 64 bits
        if given.size and given.dtype.kind not in "iu" and not too_large:
            raise TypeError(f"Positions of a run are whole numbers; {positions} was asked for.")
        if given.size:
            low, high = int(given.min()), int(given.max())
            if low < 0 or high >= (2**63 if self.sequences is None else self.sequences):
                length = "no end" if self.sequences is None else f"{self.sequences:,} sequences"
                raise IndexError(f"The run has {length}; positions {low} to {high} were asked for.")
        return given.astype(np.int64, copy=False)


def _again(rungs: Rung | Mapping[Rung, float], seed: int, shuffled: bool, epochs: int | None) -> Stream:  # noqa: FBT001
    return Stream(rungs, seed=seed, shuffled=shuffled, epochs=epochs)
