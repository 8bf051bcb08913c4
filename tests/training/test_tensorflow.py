"""TensorFlow is tested alone: in a process that holds PyTorch and JAX, too, its import ends the interpreter.

pip install tensorflow, then: python -m pytest tests/training/test_tensorflow.py
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from builds_for_training import make

from tokenladder.training import Cache, Stream, open_rung
from tokenladder.training.tensorflow_data import tensorflow_dataset


@pytest.fixture
def rung(tmp_path):
    make(tmp_path / "out", {"all": [9, 20, 8]})
    return open_rung(tmp_path / "out", "all-3", cache=Cache(str(tmp_path / "cache")))


@pytest.mark.skipif("torch" in sys.modules or "jax" in sys.modules, reason="PyTorch or JAX is loaded; run it alone")
def test_tensorflow_reads_the_run(rung):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install tensorflow")
    stream = Stream(rung, shuffled=True, epochs=1)
    batches = list(tensorflow_dataset(stream, 8).as_numpy_iterator())
    rows = [row for batch in batches for row in batch.tolist()]
    assert rows == stream.batch(np.arange(37)).tokens.tolist()
