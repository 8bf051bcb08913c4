"""A batch of a run: tokens, labels that leave out padding, and where documents begin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .gather import segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .order import Places
    from .rung import Rung


def by_rung(rungs: Sequence[Rung], places: Places) -> Iterator[tuple[Rung, NDArray[np.intp]]]:
    """The rungs of which there are any places, and which places those are."""
    for number, rung in enumerate(rungs):
        mine = np.flatnonzero(places.rungs == number)
        if len(mine):
            yield rung, mine


@dataclass(frozen=True, eq=False)
class Batch:
    """Some sequences of a run.

    Attributes:
        positions: int64[n]; place of each sequence in the run.
        places: Rung, epoch and sequence of each.
        tokens: Shape (n, length), of the rungs' dtype; read-only where it is a view of a shard.
        rungs: The run's rungs.
    """

    positions: NDArray[np.int64]
    places: Places
    tokens: NDArray[Any]
    rungs: Sequence[Rung]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def _segments(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        length = self.tokens.shape[1]
        bits = np.empty((len(self), -(-length // 8)), np.uint8)  # one a token, set where a document begins
        for rung, mine in by_rung(self.rungs, self.places):
            bits[mine] = rung.start_bits(self.places.sequences[mine])
        return segments(bits, length)

    @property
    def document_numbers(self) -> NDArray[np.int32]:
        """Which document of its sequence each token is of, from 0; int32 of shape (n, length)."""
        return self._segments[0]

    @property
    def position_ids(self) -> NDArray[np.int32]:
        """Place of each token since the last start of a document; int32 of shape (n, length).

        The rest of a document that began in an earlier sequence counts from 0, too.
        """
        return self._segments[1]

    def boundaries(self) -> NDArray[np.int32]:
        """Where documents begin in the batch laid out flat, and its end: `cu_seqlens` of variable-length attention."""
        begins = np.flatnonzero(self.position_ids.reshape(-1) == 0)
        return np.append(begins, self.tokens.size).astype(np.int32)

    def attention_mask(self) -> NDArray[np.bool_]:
        """Whether a token sees another: the same document, and not later; bool of shape (n, length, length).

        It takes n × length² bytes; give kernels for long sequences `boundaries()` or `document_numbers`.
        """
        numbers = self.document_numbers
        same = numbers[:, :, None] == numbers[:, None, :]
        return np.asarray(np.tril(same))

    def inputs_and_labels(self, *, across: bool = True) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and the labels that follow them, shifted by one; int64 of shape (n, length - 1).

        Models that shift inside, as Hugging Face's do, take `tokens` as inputs and `labels()` as labels. Padding is
        -100 in either, which losses leave out.

        Args:
            across: Whether the first token of a document is predicted from the end of the one before; else its label is
                -100, which losses leave out.
        """
        labels = self.labels()[:, 1:]
        inputs = self.tokens[:, :-1].astype(np.int64)
        return inputs, labels if across else np.where(self.position_ids[:, 1:] == 0, -100, labels)

    @cached_property
    def padding(self) -> NDArray[np.int64]:
        """Tokens at the end of each sequence that are padding; int64[n], all 0 where a study concatenates documents."""
        out = np.zeros(len(self), np.int64)
        for rung, mine in by_rung(self.rungs, self.places):
            if rung.padded:
                out[mine] = rung.padding(self.places.sequences[mine])
        return out

    def labels(self) -> NDArray[np.int64]:
        """The tokens, with -100 for padding: labels of models that shift inside; int64 of shape (n, length)."""
        labels = self.tokens.astype(np.int64)
        if self.padding.any():
            labels[np.arange(labels.shape[1]) >= labels.shape[1] - self.padding[:, None]] = -100
        return labels

    def strata(self) -> list[str]:
        """The stratum of each sequence."""
        out = np.empty(len(self), object)
        for rung, mine in by_rung(self.rungs, self.places):
            out[mine] = rung.strata_of(self.places.sequences[mine])
        return out.tolist()
