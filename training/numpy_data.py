"""A run by position with its labels, in numpy: a data source for Grain and whatever else asks by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .batch import Batch
    from .stream import Stream


def arrays(batch: Batch) -> dict[str, NDArray[np.int32]]:
    """Tokens as `input_ids` and `labels`, int32 of shape (n, length); labels are -100 at padding.

    Labels are not shifted: label i + 1 belongs to the output at i. Losses are to leave out -100.
    """
    return {"input_ids": batch.tokens.astype(np.int32), "labels": batch.labels().astype(np.int32)}


class Examples:
    """A run by position: item i is its sequence i, whoever asks. A `RandomAccessDataSource` of Grain.

    Args:
        stream: A run that ends.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.length = len(stream)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: SupportsIndex) -> dict[str, NDArray[Any]]:
        """`input_ids` and `labels` of one sequence, int32 of shape (length,)."""
        every = arrays(self.stream.batch(np.array([position.__index__()], np.int64)))
        return {name: column[0] for name, column in every.items()}
