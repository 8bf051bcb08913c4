"""A run as PyTorch's datasets: by number, for samplers and Hugging Face's Trainer, or in batches by step.

Tensors are int64, as embeddings want them. Labels are the inputs themselves (models of Hugging Face shift inside);
`Batch.inputs_and_labels` gives shifted ones.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

try:
    import torch
    from torch.utils.data import Dataset, IterableDataset, get_worker_info
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("Datasets of PyTorch need PyTorch: pip install 'tokenladder[torch]'") from missing

from .batch import Batch
from .stream import Stream


def tensors(batch: Batch) -> dict[str, Any]:
    """Tokens as `input_ids` and `labels`, int64, which share their memory but where padding is left out of labels."""
    ids = torch.from_numpy(batch.tokens.astype(np.int64))
    return {"input_ids": ids, "labels": torch.from_numpy(batch.labels()) if batch.padding.any() else ids}


class Sequences(Dataset[dict[str, Any]]):
    """A run by position: item i is its sequence i, whoever asks.

    Args:
        stream: A run that ends.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.length = len(stream)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Any]:
        """The tensors of one sequence, of shape (length,)."""
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Several at once: PyTorch's loaders ask so, and shards are looked up once."""
        numbers = [operator.index(position) for position in positions]  # of 1.5 and of slices there is no sequence
        every = tensors(self.stream.batch(np.array(numbers, np.int64)))
        return [{name: column[n] for name, column in every.items()} for n in range(len(positions))]


class Batches(IterableDataset[Any]):
    """A run in batches, for a DataLoader with `batch_size=None`; any number of workers gives the same batches in order.

    It keeps the protocol of torchdata's StatefulDataLoader. That state is of one number of workers; to go on with
    another, or with other ranks, keep `stream.state(sequences used)` and give its position here.

    Args:
        stream: The run.
        size: Sequences of a batch of one rank.
        position: Sequences of the run that were used before.
        rank: Which of the ranks this is.
        ranks: How many there are.
        make: From a batch to what is given; `input_ids` and `labels` by default.
    """

    def __init__(
        self,
        stream: Stream,
        size: int,
        *,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        make: Any = None,
    ) -> None:
        self.stream, self.size, self.position, self.rank, self.ranks = stream, size, position, rank, ranks
        self.make = make
        self._given = 0
        self._resumed = 0

    def __iter__(self) -> Iterator[Any]:
        """Every batch of this worker: of w workers, each gives one step in w."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        self._given, self._resumed = self._resumed, 0
        while True:
            start = self.position + (worker + self._given * workers) * self.size * self.ranks
            positions = self.stream.step(start, self.size, rank=self.rank, ranks=self.ranks)
            if not len(positions):
                return
            self._given += 1
            batch = self.stream.batch(positions)
            yield tensors(batch) if self.make is None else self.make(batch)

    def state_dict(self) -> dict[str, int]:
        """Batches that this worker gave."""
        return {"given": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after so many batches of this worker."""
        self._resumed = int(state["given"])


def masked(batch: Batch) -> dict[str, Any]:
    """A batch with `position_ids` that restart at documents, and a mask of shape (n, 1, length, length) between them.

    For `Batches(make=masked)`; models of Hugging Face take these names.
    """
    mask = torch.from_numpy(batch.attention_mask())[:, None]
    positions = torch.from_numpy(batch.position_ids.astype(np.int64))
    return {**tensors(batch), "position_ids": positions, "attention_mask": mask}
