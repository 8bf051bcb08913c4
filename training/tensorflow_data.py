"""A run as a `tf.data.Dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .numpy_data import arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .stream import Stream


def tensorflow_dataset(stream: Stream, size: int, *, position: int = 0, rank: int = 0, ranks: int = 1) -> Any:
    """The run in batches: `input_ids` and `labels`, int32 tensors of shape (n, length), in order.

    Labels are -100 at padding and not shifted. Keras takes pairs and a loss that leaves these out:
    `dataset.map(lambda batch: (batch["input_ids"][:, :-1], batch["labels"][:, 1:]))` and
    `SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)`.

    Args:
        stream: The run.
        size: Sequences of a batch of one rank.
        position: Sequences of the run that were used before.
        rank: Which of the ranks this is.
        ranks: How many there are.

    Raises:
        ModuleNotFoundError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("A tf.data.Dataset needs TensorFlow: pip install tensorflow") from error

    def batches() -> Iterator[Any]:
        for batch in stream.batches(size, position=position, rank=rank, ranks=ranks):
            yield arrays(batch)

    form = tf.TensorSpec((None, stream.length), tf.int32)
    return tf.data.Dataset.from_generator(batches, output_signature={"input_ids": form, "labels": form})
