"""What best-fit packing pads is left out of losses by every adapter, and no token of a document sees it."""

from __future__ import annotations

import numpy as np
import pytest
from builds_for_training import END, LENGTH, VOCABULARY, make

from tokenladder.training import Cache, Stream, open_rung
from tokenladder.training.numpy_data import Examples

WITHOUT = "pip install torch grain jax transformers accelerate, then run tests/training again"
COUNT = 37
PADDING = [n % 5 for n in range(COUNT)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("padded")
    tokens = make(folder / "out", {"all": [9, 20, 8]}, padded=True)["all"]
    return open_rung(folder / "out", "all-3", cache=Cache(str(folder / "cache"))), tokens


@pytest.fixture
def stream(built):
    return Stream(built[0], epochs=1)


@pytest.fixture
def expected(built):
    """The tokens, with -100 for padding."""
    labels = built[1].astype(np.int64)
    for row, count in zip(labels, PADDING, strict=True):
        row[LENGTH - count :] = -100
    return labels


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=WITHOUT)


def test_batches_leave_padding_out_of_labels_and_give_it_documents_of_its_own(stream, built, expected):
    rung, tokens = built
    batch = stream.batch(np.arange(COUNT))
    assert rung.padded
    assert batch.padding.tolist() == PADDING
    assert np.array_equal(batch.tokens, tokens)
    assert np.array_equal(batch.labels(), expected)
    assert np.array_equal(batch.inputs_and_labels()[1], expected[:, 1:])
    mask = batch.attention_mask()
    for n, count in enumerate(PADDING):
        assert not mask[n, LENGTH - count :, : LENGTH - count].any()
        assert not mask[n, : LENGTH - count, LENGTH - count :].any()
        assert set(tokens[n, LENGTH - count :].tolist()) <= {END}


def test_documents_of_a_padded_run_are_not_the_padding(stream):
    seen = stream.documents_seen(COUNT).to_pydict()
    inside = [length - PADDING[n] for n, length in enumerate([LENGTH] * COUNT)]
    held = [0] * COUNT
    for position, length in zip(seen["position"], seen["length"], strict=True):
        held[position] += length
    assert held == inside


def test_examples_by_number_leave_padding_out_of_labels(stream, built, expected):
    every = [Examples(stream)[n] for n in range(len(Examples(stream)))]
    assert np.array_equal([one["input_ids"] for one in every], built[1])
    assert np.array_equal([one["labels"] for one in every], expected)
    assert {one["labels"].dtype for one in every} == {np.dtype(np.int32)}


def test_grain_leaves_padding_out_of_labels(stream, expected):
    grain = pytest.importorskip("grain.python", reason=WITHOUT)
    assert isinstance(Examples(stream), grain.RandomAccessDataSource)
    loaded = grain.MapDataset.source(Examples(stream)).batch(COUNT)
    assert np.array_equal(loaded[0]["labels"], expected)


def test_jax_takes_labels(stream, expected):
    jax = pytest.importorskip("jax", reason=WITHOUT)
    labels = jax.numpy.asarray(stream.batch(np.arange(COUNT)).labels())
    assert np.array_equal(labels, expected)


def test_torch_leaves_padding_out_of_labels_by_step_and_by_number(torch, stream, expected):
    from tokenladder.training.torch_data import Batches, Sequences, masked

    by_step = torch.cat([batch["labels"] for batch in Batches(stream, 8)])
    assert np.array_equal(by_step.numpy(), expected)
    by_number = Sequences(stream).__getitems__(list(range(COUNT)))
    assert np.array_equal(torch.stack([one["labels"] for one in by_number]).numpy(), expected)
    with_masks = next(iter(Batches(stream, COUNT, make=masked)))
    assert np.array_equal(with_masks["labels"].numpy(), expected)
    assert np.array_equal(with_masks["attention_mask"].numpy()[:, 0], stream.batch(np.arange(COUNT)).attention_mask())


def test_a_model_of_hugging_face_has_no_loss_at_padding(torch, stream, expected):
    transformers = pytest.importorskip("transformers", reason=WITHOUT, exc_type=ImportError)
    from tokenladder.training.torch_data import Batches

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    batch = next(iter(Batches(stream, COUNT)))
    with torch.no_grad():
        done = model(**batch)
        logits, labels = done.logits[:, :-1].reshape(-1, VOCABULARY), torch.from_numpy(expected[:, 1:]).reshape(-1)
        kept = labels != -100
        by_hand = torch.nn.functional.cross_entropy(logits[kept], labels[kept])
    assert float(done.loss) == pytest.approx(float(by_hand), rel=1e-5)


def test_shards_read_without_the_loader_say_what_is_padding(built, tmp_path):
    datasets = pytest.importorskip("datasets", reason="pip install 'tokenladder[hf]'")
    paths = [shard.path for shard in built[0]._shards]
    rows = datasets.load_dataset("parquet", data_files=paths, split="train", cache_dir=str(tmp_path))
    assert list(rows["padding"]) == PADDING
