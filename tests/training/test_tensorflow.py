"""TensorFlow is tested alone: in a process that holds PyTorch and JAX, too, its import ends the interpreter.

pip install tensorflow, then: python -m pytest tests/training/test_tensorflow.py
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from builds_for_training import VOCABULARY, make

from tokenladder.training import Cache, Stream, open_rung
from tokenladder.training.tensorflow_data import tensorflow_dataset

ALONE = pytest.mark.skipif(
    "torch" in sys.modules or "jax" in sys.modules, reason="PyTorch or JAX is loaded; run it alone"
)
WITHOUT = "TensorFlow is not installed: pip install tensorflow"


def opened(folder, **options):
    make(folder / "out", {"all": [9, 20, 8]}, **options)
    return open_rung(folder / "out", "all-3", cache=Cache(str(folder / "cache")))


@ALONE
def test_tensorflow_reads_the_run(tmp_path):
    pytest.importorskip("tensorflow", reason=WITHOUT)
    stream = Stream(opened(tmp_path), shuffled=True, epochs=1)
    batches = list(tensorflow_dataset(stream, 8).as_numpy_iterator())
    for name in ("input_ids", "labels"):
        rows = [row for batch in batches for row in batch[name].tolist()]
        assert rows == stream.batch(np.arange(37)).tokens.tolist()


@ALONE
def test_tensorflows_loss_leaves_out_padding(tmp_path):
    tf = pytest.importorskip("tensorflow", reason=WITHOUT)
    stream = Stream(opened(tmp_path, padded=True), epochs=1)
    pairs = tensorflow_dataset(stream, 37).map(lambda batch: (batch["input_ids"][:, :-1], batch["labels"][:, 1:]))
    inputs, labels = next(pairs.as_numpy_iterator())
    assert (labels == -100).sum(axis=1).tolist() == [n % 5 for n in range(37)]
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100, reduction=None)
    each = loss(labels, tf.zeros((*inputs.shape, VOCABULARY))).numpy()
    assert np.array_equal(each == 0, labels == -100)
