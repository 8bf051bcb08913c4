# ruff: noqa: ARG001 fixtures that skip
from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from builds_for_training import LENGTH, VOCABULARY, make

from tokenladder.training import Cache, Stream, open_rung

WITHOUT = "pip install torch torchdata grain jax transformers accelerate, then run tests/training again"


@pytest.fixture(scope="module")
def rung(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    make(folder / "out", {"all": [9, 20, 8]})
    return open_rung(folder / "out", "all-3", cache=Cache(str(folder / "cache")))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=WITHOUT)


def expected(stream, count):
    return stream.batch(np.arange(count)).tokens.tolist()


def test_a_run_is_a_data_source_by_itself(rung):
    stream = Stream(rung, shuffled=True, epochs=2)
    assert len(stream) == 74
    assert [stream[n].tolist() for n in range(74)] == expected(stream, 74)


def test_without_torch_its_datasets_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tokenladder.training.torch_data", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"need PyTorch: pip install 'tokenladder\[torch\]'"):
        importlib.import_module("tokenladder.training.torch_data")


def test_steps_are_what_batches_take(rung):
    stream = Stream(rung, epochs=1)
    for rank in range(3):
        taken = [batch.positions.tolist() for batch in stream.batches(4, position=2, rank=rank, ranks=3)]
        steps = [stream.step(start, 4, rank=rank, ranks=3).tolist() for start in range(2, 37, 12)]
        assert taken == [step for step in steps if step]
    assert stream.step(40, 4).tolist() == []


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # where a test before this one has loaded JAX
@pytest.mark.parametrize("workers", [0, 2])
def test_torch_batches_come_in_order_with_any_workers(torch, rung, workers):
    from torch.utils.data import DataLoader

    from tokenladder.training.torch_data import Batches

    stream = Stream(rung, shuffled=True, epochs=2)
    rows = []
    for batch in DataLoader(Batches(stream, 5), batch_size=None, num_workers=workers):
        assert batch["input_ids"].dtype == torch.int64
        rows += batch["input_ids"].tolist()
    assert rows == expected(stream, 74)


def test_torch_ranks_share_the_run(torch, rung):
    from tokenladder.training.torch_data import Batches

    stream = Stream(rung, shuffled=True, epochs=1)
    ranks = [list(Batches(stream, 4, position=3, rank=rank, ranks=2)) for rank in range(2)]
    rows = [row for step in zip(*ranks, strict=True) for batch in step for row in batch["input_ids"].tolist()]
    assert rows == expected(stream, 37)[3:]


def test_torch_takes_sequences_by_number(torch, rung):
    from torch.utils.data import DataLoader

    from tokenladder.training.torch_data import Sequences

    stream = Stream(rung, epochs=1)
    batches = list(DataLoader(Sequences(stream), batch_size=8))
    assert [row for batch in batches for row in batch["labels"].tolist()] == expected(stream, 37)
    assert Sequences(stream)[3]["input_ids"].tolist() == stream[3].tolist()


def test_torch_masks_have_the_names_that_models_take(torch, rung):
    from tokenladder.training.torch_data import Batches, masked

    stream = Stream(rung)
    given = next(iter(Batches(stream, 3, make=masked)))
    batch = stream.batch(np.arange(3))
    assert np.array_equal(given["position_ids"].numpy(), batch.position_ids)
    assert np.array_equal(given["attention_mask"].numpy()[:, 0], batch.attention_mask())


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # as above
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # torchdata 0.11 with PyTorch 2.15
@pytest.mark.parametrize("workers", [0, 2])
def test_torchdata_keeps_the_state(torch, rung, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason=WITHOUT)
    from tokenladder.training.torch_data import Batches

    def loader():
        return stateful.StatefulDataLoader(Batches(stream, 5), batch_size=None, num_workers=workers)

    stream = Stream(rung, shuffled=True, epochs=2)
    first, rows = loader(), []
    for n, batch in enumerate(first):
        rows += batch["input_ids"].tolist()
        if n == 5:
            state = first.state_dict()
            break
    again = loader()
    again.load_state_dict(state)
    for batch in again:
        rows += batch["input_ids"].tolist()
    assert rows == expected(stream, 74)


def test_grain_reads_the_run(rung):
    grain = pytest.importorskip("grain.python", reason=WITHOUT)
    stream = Stream(rung, shuffled=True, epochs=1)
    sampler = grain.IndexSampler(37, shard_options=grain.NoSharding(), shuffle=False, num_epochs=1, seed=0)
    loader = grain.DataLoader(data_source=stream, sampler=sampler, operations=[grain.Batch(5)], worker_count=0)
    rows = [row for batch in loader for row in batch.tolist()]
    assert rows == expected(stream, 37)
    assert isinstance(stream, grain.RandomAccessDataSource)


def test_jax_takes_a_batch(rung):
    jax = pytest.importorskip("jax", reason=WITHOUT)
    batch = Stream(rung).batch(np.arange(4))
    assert np.array_equal(jax.numpy.asarray(batch.tokens), batch.tokens)


def test_without_tensorflow_its_dataset_says_what_to_install(rung, monkeypatch):
    from tokenladder.training.tensorflow_data import tensorflow_dataset

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModuleNotFoundError, match="needs TensorFlow: pip install tensorflow"):
        tensorflow_dataset(Stream(rung), 1)


@pytest.mark.filterwarnings("ignore")
def test_hugging_faces_trainer_trains_on_a_run(torch, rung, tmp_path):
    transformers = pytest.importorskip("transformers", reason=WITHOUT, exc_type=ImportError)
    pytest.importorskip("accelerate", reason=WITHOUT, exc_type=ImportError)
    from tokenladder.training.torch_data import Sequences

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=LENGTH,
    )
    arguments = transformers.TrainingArguments(
        str(tmp_path), per_device_train_batch_size=8, num_train_epochs=1, report_to=[], use_cpu=True, save_strategy="no"
    )
    stream = Stream(rung, shuffled=True, epochs=1)
    model = transformers.LlamaForCausalLM(config)
    done = transformers.Trainer(model=model, args=arguments, train_dataset=Sequences(stream)).train()
    assert done.global_step == 5
    assert np.isfinite(done.training_loss)


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_faces_datasets_read_the_shards(rung, tmp_path, streaming):
    datasets = pytest.importorskip("datasets", reason=WITHOUT)
    paths = [shard.path for shard in rung._shards]
    loaded = datasets.load_dataset(
        "parquet", data_files={"train": paths}, split="train", streaming=streaming, cache_dir=str(tmp_path)
    )
    assert [row["input_ids"] for row in loaded] == expected(Stream(rung, epochs=1), 37)
