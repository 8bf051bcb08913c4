from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from builds_for_training import LENGTH, VOCABULARY, make
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.files.store import UserError
from tokenladder.training import Cache, ShardError, Stream, late, list_rungs, open_rung
from tokenladder.training.gather import gather, segments
from tokenladder.training.reference.grid import rungs_of

import naive


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / "cache"))


# a rung


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("binary", [False, True])
def test_both_types_of_shards_give_the_tokens(tmp_path, cache, dtype, binary):
    tokens = make(tmp_path / "out", {"all": [5, 7, 1]}, dtype=dtype, binary=binary)["all"]
    rung = open_rung(tmp_path / "out", "all-3", cache=cache)
    assert (len(rung), rung.dtype, rung.tokens) == (13, np.dtype(dtype), 13 * LENGTH)
    assert np.array_equal(np.stack(list(rung)), tokens)
    order = np.array([12, 0, 5, 4, 5])
    assert np.array_equal(rung.take(order), tokens[order])
    assert np.array_equal(rung.slice(3, 13), tokens[3:])
    assert rung.slice(4, 4).shape == (0, LENGTH)


def test_a_rung_is_its_first_shards(tmp_path, cache):
    tokens = make(tmp_path / "out", {"a-b": [2, 3, 4]}, held_out=[2])
    assert list_rungs(tmp_path / "out") == ["a-b-1", "a-b-2", "a-b-3", "held_out"]
    assert np.array_equal(np.stack(list(open_rung(tmp_path / "out", "a-b-2", cache=cache))), tokens["a-b"][:5])
    assert np.array_equal(np.stack(list(open_rung(tmp_path / "out", "held_out", cache=cache))), tokens["held_out"])


def test_a_curriculum_opens_by_its_name_and_rung(tmp_path, cache):
    tokens = make(tmp_path / "out", {"all": [2, 3]})["all"]
    edit(tmp_path / "out", lambda m: m.update(curricula={"easy": m["recipes"]["all"]["rungs"][1] | {"rung": "2"}}))
    assert list_rungs(tmp_path / "out") == ["all-1", "all-2", "easy-2"]
    assert np.array_equal(np.stack(list(open_rung(tmp_path / "out", "easy-2", cache=cache))), tokens)
    assert rungs_of(str(tmp_path / "out"), ["easy"]) == [("easy", "2")]


def test_sequences_of_one_shard_are_views(tmp_path, cache):
    make(tmp_path / "out")
    rung = open_rung(tmp_path / "out", "all-2", cache=cache)
    for view in (rung[1], rung.slice(0, 5)):
        assert not view.flags.writeable
        assert view.base is not None
    assert np.shares_memory(rung[1], rung.slice(0, 5))


def test_opening_reads_no_shard(tmp_path, cache):
    make(tmp_path / "out")
    for path in (tmp_path / "out" / "shards").rglob("*.parquet"):
        path.unlink()
    assert len(open_rung(tmp_path / "out", "all-2", cache=cache)) == 12


def test_what_cannot_be_opened_says_why(tmp_path, cache):
    make(tmp_path / "out")
    with pytest.raises(UserError, match=r"has no rung 'all-9'. It has: all-1, all-2."):
        open_rung(tmp_path / "out", "all-9", cache=cache)
    with pytest.raises(UserError, match=r"has no rung 2. It has: all-1, all-2."):
        open_rung(tmp_path / "out", 2, cache=cache)
    with pytest.raises(UserError, match=r"It has: all-1, all-2. Did you mean 'all-2'\?"):
        open_rung(tmp_path / "out", "al-2", cache=cache)
    for folder in (tmp_path, tmp_path / "out" / "manifest.json"):
        with pytest.raises(UserError, match=r"holds no manifest.json"):
            open_rung(folder, "all-1", cache=cache)
    edit(tmp_path / "out", lambda m: m.update({"sequence_length": "x"}))
    with pytest.raises(UserError, match="is no manifest of a build: ValueError"):
        open_rung(tmp_path / "out", "all-1", cache=cache)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="is no manifest of a build: KeyError"):
        list_rungs(tmp_path)


def test_sequences_outside_are_refused(tmp_path, cache):
    make(tmp_path / "out")
    rung = open_rung(tmp_path / "out", "all-2", cache=cache)
    for wrong in (-1, 12, 2**70, -(2**70)):
        with pytest.raises(IndexError, match=f"all-2 has 12 sequences, 0 to 11; {wrong} was asked for"):
            rung[wrong]
        with pytest.raises(IndexError, match="all-2 has 12 sequences, 0 to 11"):
            rung.slice(min(0, wrong), max(0, wrong + 1))
    assert rung.slice(12 - 1, 12).tolist() == [rung[11].tolist()]
    with pytest.raises(ValueError, match="out is float64 of"):
        rung.take(np.array([1]), np.zeros((1, LENGTH)))


def edit(out, change):
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("path", "../x.parquet", "names a shard outside its folder: '../x.parquet'"),
        ("path", "/etc/passwd", "names a shard outside its folder"),
        ("path", "s3://other/x.parquet", "names a shard outside its folder"),
        ("sha256", "../../x", "no SHA-256"),
        ("sequences", 6, "gives all-1 5 sequences of 12 and 60 tokens, but its shards 6 sequences"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path, cache, key, value, message):
    make(tmp_path / "out")
    edit(tmp_path / "out", lambda m: m["recipes"]["all"]["rungs"][0]["shards"][0].update({key: value}))
    with pytest.raises(UserError, match=message):
        open_rung(tmp_path / "out", "all-1", cache=cache)


def test_a_missing_shard_is_named_with_its_hash(tmp_path, cache):
    make(tmp_path / "out")
    path = tmp_path / "out" / "shards" / "all" / "00001.parquet"
    path.unlink()
    rung = open_rung(tmp_path / "out", "all-2", cache=cache)
    assert rung[4].shape == (LENGTH,)
    with pytest.raises(ShardError, match=r"00001\.parquet: is missing. A file with SHA-256 [0-9a-f]{64} is expected"):
        rung[5]


def test_a_damaged_shard_is_named_with_both_hashes(tmp_path, cache):
    make(tmp_path / "out")
    path = tmp_path / "out" / "shards" / "all" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(ShardError, match=r"00000\.parquet: is damaged .* [0-9a-f]{64} is expected, [0-9a-f]{64} was"):
        open_rung(tmp_path / "out", "all-2", cache=cache)[0]
    assert not list((tmp_path / "cache").glob("*.arrow"))


def test_a_damaged_table_of_documents_is_named(tmp_path, cache):
    make(tmp_path / "out")
    path = tmp_path / "out" / "documents" / "all" / "00000.parquet"
    path.write_bytes(b"x")
    with pytest.raises(ShardError, match=r"documents/all/00000\.parquet: is damaged"):
        Stream(open_rung(tmp_path / "out", "all-2", cache=cache)).documents_seen(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 3}, "holds the token 49, but the vocabulary ends before 3"),
        ({"dtype": "uint32"}, "holds uint16 tokens, not uint32"),
        ({"dtype": "int8"}, "the manifest names 'int8' tokens"),
    ],
)
def test_tokens_are_checked_against_the_manifest(tmp_path, cache, change, message):
    make(tmp_path / "out", {"all": [40]})
    edit(tmp_path / "out", lambda m: m["tokenizer"].update(change))
    with pytest.raises((ShardError, UserError), match=message):
        open_rung(tmp_path / "out", "all-1", cache=cache)[0]


def test_a_models_vocabulary_is_checked(tmp_path, cache):
    make(tmp_path / "out")
    rung = open_rung(tmp_path / "out", "all-1", cache=cache)
    rung.check_model(VOCABULARY)
    with pytest.raises(UserError, match="token ids go up to 49, but the model has a vocabulary of 49"):
        rung.check_model(VOCABULARY - 1)


# the cache


def test_the_cache_decodes_once_and_mends_itself(tmp_path, cache):
    tokens = make(tmp_path / "out")["all"]
    assert np.array_equal(open_rung(tmp_path / "out", "all-1", cache=cache)[0], tokens[0])
    (file,) = (tmp_path / "cache").glob("*.arrow")
    written = file.stat().st_ino
    assert np.array_equal(open_rung(tmp_path / "out", "all-1", cache=cache)[0], tokens[0])
    assert file.stat().st_ino == written
    file.write_bytes(b"")  # as after a power cut
    assert np.array_equal(open_rung(tmp_path / "out", "all-1", cache=cache)[0], tokens[0])


def test_the_cache_keeps_its_limit_and_serves_all_the_same(tmp_path):
    tokens = make(tmp_path / "out", {"all": [50] * 8})["all"]
    small = Cache(str(tmp_path / "cache"), limit=10_000)
    rung = open_rung(tmp_path / "out", "all-8", cache=small)
    order = np.random.default_rng(0).permutation(400)
    for at in range(0, 400, 25):
        assert np.array_equal(rung.take(order[at : at + 25]), tokens[order[at : at + 25]])
        sizes = [file.stat().st_size for file in (tmp_path / "cache").glob("*.arrow")]
        assert sum(sizes) <= 10_000


FILL = """
import sys
from tokenladder.training.cache import Cache
from tokenladder.training.shard_file import ShardFile

for line in sys.stdin:
    path, sha256 = line.split()
    shard = Cache(sys.argv[1], limit=10_000).open(ShardFile(path, sha256, 50, 12, "uint16", 50))
    print(int(shard.tokens.sum()))
"""


def test_processes_share_a_cache_that_is_too_small_for_both(tmp_path):
    tokens = make(tmp_path / "out", {"all": [50] * 8})["all"].reshape(8, -1).sum(axis=1)
    shards = json.loads((tmp_path / "out" / "manifest.json").read_text())["recipes"]["all"]["rungs"][-1]["shards"]
    several = []
    for seed in (1, 2):
        order = np.random.default_rng(seed).integers(0, 8, 40).tolist()
        asked = "".join(f"{tmp_path / 'out' / shards[n]['path']} {shards[n]['sha256']}\n" for n in order)
        command = [sys.executable, "-c", FILL, str(tmp_path / "cache")]
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        several.append((order, asked, running))
    for _, asked, running in several:
        running.stdin.write(asked)
        running.stdin.close()
    for order, _, running in several:
        assert [int(line) for line in running.stdout] == [tokens[n] for n in order]
        assert running.wait() == 0
        running.stdout.close()


def test_read_ahead_is_bounded_and_comes_before_use(tmp_path, cache):
    make(tmp_path / "out", {"all": [4] * 10})
    rung = open_rung(tmp_path / "out", "all-10", cache=cache, read_ahead=2)
    first = next(Stream(rung).batches(4))
    rung._pool.shutdown(wait=True)
    assert first.positions.tolist() == [0, 1, 2, 3]
    held = [shard for shard in rung._shards if cache.holds(shard)]
    assert len(held) in {2, 3}  # two ahead, and the first if the reader was quicker
    none = open_rung(tmp_path / "out", "all-10", cache=Cache(str(tmp_path / "other")), read_ahead=0)
    next(Stream(none).batches(4))
    assert none._pool is None


# kernels


@given(st.integers(1, 70), st.lists(st.sets(st.integers(0, 69)), min_size=1, max_size=4))
def test_segments_equal_their_twin(length, starts):
    starts = [{start for start in one if start < length} for one in starts]
    dense = np.array([[at in one for at in range(length)] for one in starts])
    for enough in (late.ENOUGH << 40, 0):  # by numpy, by the kernel
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(late, "ENOUGH", enough)
            numbers, positions = segments(np.packbits(dense, axis=1), length)
        for row, one in enumerate(starts):
            assert (numbers[row].tolist(), positions[row].tolist()) == naive.segments(sorted(one), length)


@given(st.integers(1, 40), st.lists(st.integers(0, 8), max_size=20), st.sampled_from([np.uint8, np.uint16, np.uint32]))
def test_gather_copies_rows(width, rows, dtype):
    tables = [np.arange(n, n + 9 * width).astype(dtype).reshape(9, width) for n in range(3)]
    which = [n % 3 for n in range(len(rows))]
    out = np.zeros((len(rows), width), dtype)
    addresses = np.array([tables[n].ctypes.data for n in which], np.uint64)
    for enough in (late.ENOUGH << 40, 0):  # by memmove, by the kernel
        out[:] = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(late, "ENOUGH", enough)
            gather(addresses, np.array(rows, np.int64), out)
        assert out.tolist() == [tables[n][row].tolist() for n, row in zip(which, rows, strict=True)]


def test_kernels_are_loaded_after_enough_work(monkeypatch):
    monkeypatch.setattr(late, "_done", 0)
    assert not late.pays(late.ENOUGH - 1)
    assert late.pays(1)
    assert late.pays()


def test_gather_and_segments_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="1 addresses, 2 rows and 2 places"):
        gather(np.zeros(1, np.uint64), np.zeros(2, np.int64), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"shape \(1, 1\) do not hold 9 tokens"):
        segments(np.zeros((1, 1), np.uint8), 9)


# a run


def run_of(stream, sizes):
    """All positions and tokens of a run, by ranks whose number and batch change on the way."""
    positions, tokens, position = [], [], 0
    for ranks, size, steps in sizes:
        iterators = [stream.batches(size, position=position, rank=rank, ranks=ranks) for rank in range(ranks)]
        for _ in range(steps):
            for iterator in iterators:
                batch = next(iterator, None)
                if batch is not None:
                    positions += batch.positions.tolist()
                    tokens += batch.tokens.tolist()
        position = stream.resume(stream.state(min(position + ranks * size * steps, len(stream))))
    return positions, tokens


@settings(max_examples=25)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(1, 3)), max_size=4),
)
def test_ranks_and_batches_may_change_and_each_sequence_comes_once(elastic_build, shuffled, sizes):
    rung, _ = elastic_build
    stream = Stream(rung, shuffled=shuffled, epochs=3)
    expected = [stream[n].tolist() for n in range(len(stream))]
    positions, tokens = run_of(stream, [*sizes, (3, 4, 200)])
    assert positions == list(range(len(stream)))
    assert tokens == expected


@pytest.fixture(scope="module")
def elastic_build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elastic")
    tokens = make(folder / "out", {"all": [9, 20, 8]})["all"]
    return open_rung(folder / "out", "all-3", cache=Cache(str(folder / "cache"))), tokens


def test_one_to_eight_to_three_ranks(elastic_build):
    rung, tokens = elastic_build
    stream = Stream(rung, shuffled=True, epochs=4)
    positions, rows = run_of(stream, [(1, 4, 5), (8, 2, 3), (3, 5, 100)])
    assert positions == list(range(148))
    epochs = np.array(rows).reshape(4, 37, LENGTH)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(tokens.tolist())


def test_stream_order_is_the_rung(elastic_build):
    rung, tokens = elastic_build
    batches = list(Stream(rung, epochs=2).batches(10))
    assert np.array_equal(np.concatenate([batch.tokens for batch in batches]), np.concatenate([tokens, tokens]))
    assert [len(batch) for batch in batches] == [10] * 7 + [4]


def test_a_run_without_end_goes_on(elastic_build):
    rung, tokens = elastic_build
    stream = Stream(rung)
    start = 37 * 10**9 + 5
    batch = next(stream.batches(3, position=start))
    assert np.array_equal(batch.tokens, tokens[5:8])
    assert batch.places.epochs.tolist() == [10**9] * 3
    with pytest.raises(TypeError, match="never ends"):
        len(stream)


def test_a_mixture_takes_from_its_rungs_by_weight(tmp_path, cache):
    tokens = make(tmp_path / "out", {"a": [30], "b": [20]})
    rungs = {open_rung(tmp_path / "out", f"{name}-1", cache=cache): w for name, w in (("a", 0.75), ("b", 0.25))}
    stream = Stream(rungs, shuffled=True, epochs=2)
    rows = np.concatenate([batch.tokens for batch in stream.batches(7)])
    places = stream.order.places(np.arange(100))
    assert np.bincount(places.rungs).tolist() == [75, 25]
    expected = [tokens["ab"[rung]][sequence] for rung, sequence in zip(places.rungs, places.sequences, strict=True)]
    assert np.array_equal(rows, expected)
    assert stream.batch(np.arange(4)).strata() == [
        ("code", "web")[sequence % 2] for sequence in places.sequences[:4].tolist()
    ]


def test_rungs_of_other_builds_do_not_mix(tmp_path, cache):
    make(tmp_path / "one")
    make(tmp_path / "two", length=16)
    one, two = (open_rung(tmp_path / name, "all-1", cache=cache) for name in ("one", "two"))
    with pytest.raises(UserError, match="all-1 and all-1 cannot be mixed: they have sequences of 12 and 16 tokens"):
        Stream({one: 1, two: 1})
    with pytest.raises(UserError, match="at least one rung"):
        Stream({})


def test_a_state_is_readable_and_refuses_another_run(elastic_build):
    rung, _ = elastic_build
    stream = Stream(rung, shuffled=True)
    state = json.loads(json.dumps(stream.state(12)))
    assert state == {"position": 12, "seed": 7, "data": stream.identity}
    assert stream.resume(state) == 12
    for other in (Stream(rung, shuffled=False), Stream(rung, shuffled=True, seed=8)):
        with pytest.raises(UserError, match="is of other data or another order"):
            other.resume(state)
    with pytest.raises(UserError, match="is no state of a run"):
        stream.resume({"position": -1})
    with pytest.raises(ValueError, match="-2 sequences: a state has how many were used, 0 or more"):
        stream.state(-2)
    with pytest.raises(TypeError, match=r"1\.5 sequences: a state has how many were used, a whole number"):
        stream.state(1.5)
    for wrong in (None, {"position": 3}):
        with pytest.raises(UserError, match="is no state of a run: it needs 'position', 'seed' and 'data'"):
            stream.resume(wrong)


def test_what_a_run_cannot_give_is_refused(elastic_build):
    rung, _ = elastic_build
    stream = Stream(rung, epochs=1)
    with pytest.raises(IndexError, match="The run has 37 sequences; positions 37 to 37 were asked for"):
        stream[37]
    for wrong in (2**63, 2**70, -(2**70)):
        with pytest.raises(IndexError, match=f"The run has 37 sequences; positions {wrong} to"):
            stream[wrong]
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match=f"{wrong} epochs: a run takes 1 or more"):
            Stream(rung, epochs=wrong)
    for wrong in ("all-37", [rung], {"all-37": 1.0}):
        with pytest.raises(UserError, match="A run takes a rung, such as open_rung"):
            Stream(wrong)
    for wrong in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="are not shares"):
            Stream({rung: wrong})
    for wrong in (1.5, "1", slice(0, 2)):
        with pytest.raises(TypeError, match="Positions of a run are whole numbers"):
            stream[wrong]
    with pytest.raises(TypeError, match="Positions of a run are whole numbers"):
        stream.batch(np.array([0.5]))
    assert stream.audit(stream.batch([3, 5])).equals(stream.audit(stream.batch(np.array([3, 5]))))
    with pytest.raises(ValueError, match="Batches of 0, position 0, rank 0 of 1"):
        next(stream.batches(0))


def test_runs_travel_to_other_processes(elastic_build):
    rung, _ = elastic_build
    stream = Stream({rung: 1.0}, shuffled=True, epochs=2)
    again = pickle.loads(pickle.dumps(stream))  # noqa: S301 our own bytes, as a data loader's workers get them
    assert again.identity == stream.identity
    assert np.array_equal(again.batch(np.arange(74)).tokens, stream.batch(np.arange(74)).tokens)


# masks and labels


def test_masks_and_positions_restart_where_documents_begin(elastic_build):
    rung, tokens = elastic_build
    batch = Stream(rung, shuffled=True, epochs=2).batch(np.arange(5, 25))
    flat = []
    for row, ids in enumerate(tokens[batch.places.sequences]):
        starts = [at + 1 for at in np.flatnonzero(ids == 0).tolist() if at + 1 < LENGTH]
        numbers, positions = naive.segments(starts, LENGTH)
        assert batch.document_numbers[row].tolist() == numbers
        assert batch.position_ids[row].tolist() == positions
        flat += [row * LENGTH + at for at in sorted({0, *starts})]
        seen = [[numbers[i] == numbers[j] and j <= i for j in range(LENGTH)] for i in range(LENGTH)]
        assert batch.attention_mask()[row].tolist() == seen
    assert batch.boundaries().tolist() == [*flat, 20 * LENGTH]


def test_labels_are_the_next_tokens(elastic_build):
    rung, tokens = elastic_build
    batch = Stream(rung).batch(np.arange(4))
    inputs, labels = batch.inputs_and_labels()
    assert inputs.dtype == labels.dtype == np.int64
    assert np.array_equal(inputs, tokens[:4, :-1])
    assert np.array_equal(labels, tokens[:4, 1:])
    _, inside = batch.inputs_and_labels(across=False)
    assert np.array_equal(inside, np.where(tokens[:4, :-1] == 0, -100, labels))


# provenance


def test_documents_seen_say_what_stands_where(elastic_build):
    rung, tokens = elastic_build
    stream = Stream(rung, shuffled=True, epochs=2)
    seen = stream.documents_seen(74).to_pylist()
    assert sum(row["length"] for row in seen) == 74 * LENGTH
    assert stream.documents_seen(0).schema == stream.documents_seen(74).schema  # and no error before the first step
    assert stream.documents_seen(9, 9).num_rows == 0
    order = stream.order.places(np.arange(74)).sequences
    by_document = {}
    for row in seen:
        assert order[row["position"]] == row["sequence"]
        piece = tokens[row["sequence"], row["at"] : row["at"] + row["length"]].tolist()
        by_document.setdefault(row["document"], {})[row["offset"]] = piece
    for pieces in by_document.values():  # each document's pieces join without a gap, and only its last token ends it
        whole = [token for offset in sorted(pieces) for token in pieces[offset]]
        assert [sum(map(len, [pieces[o] for o in pieces if o < offset])) for offset in pieces] == list(pieces)
        assert 0 not in whole[:-1]


def test_audit_finds_a_batch_that_was_changed(elastic_build):
    rung, _ = elastic_build
    stream = Stream(rung, shuffled=True)
    batch = stream.batch(np.arange(40, 48))
    assert stream.audit(batch).equals(stream.documents_seen(48, 40))
    batch.tokens[3, 1] ^= 1
    with pytest.raises(ValueError, match=r"Rows \[3\] of the batch are not what stands at positions \[43\]"):
        stream.audit(batch)


def test_a_first_batch_imports_nothing_that_takes_long(elastic_build):
    rung, _ = elastic_build
    out, name, cache, _ = rung._arguments
    Stream(rung).batch(np.arange(len(rung)))  # shards are decoded
    script = (
        "import sys\n"
        "from tokenladder.training import Cache, Stream, open_rung\n"
        f"stream = Stream(open_rung({out!r}, {name!r}, cache=Cache({cache.folder!r})), shuffled=True)\n"
        "batch = next(stream.batches(4))\n"
        "print(batch.position_ids.shape, batch.padding.sum())\n"
        "heavy = 'apache_beam', 'torch', 'jax', 'tensorflow', 'datasets', 'numba', 'pandas', 'scipy'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"(4, {rung.length}) 0", "[]"]


# object stores


def test_rungs_on_object_stores_are_fetched_once(tmp_path, cache, monkeypatch):
    from pyarrow import fs

    from tokenladder.pipelines.files import remote, store

    tokens = make(tmp_path / "bucket" / "out", {"all": [4] * 10})["all"]
    read, real = [], store.read_bytes

    def counted(path):
        read.append(path)
        return real(path)

    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(remote, "place", lambda path: remote.Place(bucket, path.removeprefix("s3://")))
    monkeypatch.setattr(store, "read_bytes", counted)
    for _ in range(2):
        stream = Stream(open_rung("s3://bucket/out", "all-10", cache=cache, read_ahead=3), shuffled=True, epochs=2)
        rows = np.concatenate([batch.tokens for batch in stream.batches(7)])
        assert sorted(rows.tolist()) == sorted([*tokens.tolist()] * 2)
    assert sorted(path for path in read if path.endswith(".parquet")) == [
        f"s3://bucket/out/shards/all/{n:05d}.parquet" for n in range(10)
    ]
