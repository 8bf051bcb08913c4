"""Candidates, components and what is moved over files, against sets, breadth-first search and dictionaries."""

from __future__ import annotations

import little
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.drivers import duplicates
from tokenladder.pipelines.drivers.pool import BuildError
from tokenladder.pipelines.engines import engine, spill
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import connect, grouping, keys

import naive

RECORDS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30), st.booleans()), max_size=60)
EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60)


@given(RECORDS, st.randoms(use_true_random=False))
def test_documents_that_share_a_hash_one_of_which_asks_are_connected(records, random):
    random.shuffle(records)
    hashes = np.array([hash_ for hash_, _, _ in records], np.uint64) * np.uint64(0x123456789ABCDEF)
    owners = np.array([key | (asks << 63) for _, key, asks in records], np.uint64)
    found = grouping.link(hashes, owners)
    asked = {hash_ for hash_, _, asks in records if asks}
    expected = naive.candidate_edges([(hash_, key) for hash_, key, _ in records if hash_ in asked])
    assert naive.components(found.tolist()) == naive.components(expected)


def test_many_records_are_cut_into_pieces_that_fit_the_cache():
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**63, 60_000, np.uint64)
    hashes[1::3] = hashes[::3]
    found = grouping.link(hashes, np.arange(60_000, dtype=np.uint64) | grouping.ASKS)
    first = np.arange(0, 60_000, 3)
    assert sorted(map(tuple, found.tolist())) == [(n, n + 1) for n in first.tolist()]


@given(EDGES)
def test_components_and_stars_equal_breadth_first_search(edges):
    array = np.array(edges, np.uint64).reshape(-1, 2)
    members, labels = grouping.components(array)
    expected = naive.components(edges)
    assert dict(zip(members.tolist(), labels.tolist(), strict=True)) == expected
    assert grouping.stars(array).tolist() == [[label, key] for key, label in sorted(expected.items()) if key != label]


def test_a_long_chain_is_one_component():
    path = np.stack([np.arange(50_000), np.arange(1, 50_001)], axis=1).astype(np.uint64)
    for edges in (path, path[::-1], path[:, ::-1]):
        assert set(grouping.components(edges)[1].tolist()) == {0}


class _Pool:
    """As much of a pool as finding components needs."""

    def __init__(self, folder, ranges):
        self.engine = little.Eager(folder)
        self.ranges = ranges


def _connected(folder, edges, ranges):
    """Component of each key, as files of edges in any number come to rest."""
    for n, some in enumerate(np.array_split(edges, 3)):
        if len(some):
            connect.write_edges(f"{folder}/edges/{n:05d}.parquet", some)
    listed = duplicates._connect(_Pool(folder, ranges), str(folder))
    found = {}
    for ordinal in listed:
        table = store.read_table(f"{folder}/components/{ordinal:07d}.parquet")
        packed = keys.keys(ordinal, table.column("row").to_numpy())
        found |= dict(zip(packed.tolist(), table.column("component").to_pylist(), strict=True))
    return found


@little.few(25)
@given(EDGES, st.sampled_from([1, 3, 7]))
def test_components_by_exchanges_equal_those_in_memory(tmp_path_factory, edges, ranges):
    array = np.unique(np.array(edges, np.uint64).reshape(-1, 2), axis=0)
    array[:, 1] |= np.uint64(1 << 32)  # keys of two parts
    array[: len(array) // 2, 0] |= np.uint64(1 << 32)
    array = array[array[:, 0] != array[:, 1]]
    memory = _connected(tmp_path_factory.mktemp("memory"), array, ranges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "IN_MEMORY_EDGES", -1)
        exchanged = _connected(tmp_path_factory.mktemp("exchanged"), array, ranges)
    assert exchanged == memory == naive.components(array.tolist())


def test_a_path_of_documents_comes_to_rest_in_few_rounds(tmp_path, monkeypatch):
    order = np.random.default_rng(1).permutation(400).astype(np.uint64)
    path = np.stack([order[:-1], order[1:]], axis=1)
    monkeypatch.setattr(duplicates, "IN_MEMORY_EDGES", 0)
    assert set(_connected(tmp_path, path, 4).values()) == {0}
    assert len(store.names(f"{tmp_path}/rounds")) <= 10  # its binary logarithm and one


def test_components_that_do_not_come_to_rest_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "IN_MEMORY_EDGES", 0)
    monkeypatch.setattr(duplicates, "MOST_ROUNDS", 1)
    path = np.stack([np.arange(20), np.arange(1, 21)], axis=1).astype(np.uint64)
    with pytest.raises(BuildError, match=r"did not come to rest in 1 rounds.*build again with another --store"):
        _connected(tmp_path, path, 2)


# exchanges over files


def emit_numbers(payload):
    """Numbers of a task by their remainder."""
    numbers = np.array(payload["numbers"], np.int64)
    yield from keys.split(numbers, numbers % payload["of"])


def double(bucket, values, payload):
    """The second exchange gets every number twice."""
    numbers = np.sort(keys.joined(values, np.int64))
    assert (numbers % payload["of"] == bucket).all()
    yield from keys.split(np.repeat(numbers, 2), np.repeat(numbers // 10, 2))


def write_sum(bucket, values, payload):
    """One file for each bucket."""
    numbers = keys.joined(values, np.int64)
    store.write_json(f"{payload['folder']}/{bucket}.json", {"sum": int(numbers.sum()), "count": len(numbers)})
    return
    yield


@pytest.mark.parametrize("spilled", [False, True])
def test_an_exchange_over_files_gives_what_one_in_memory_gives(tmp_path, monkeypatch, spilled):
    monkeypatch.setattr(spill, "CHUNK_BYTES", 200)
    monkeypatch.setattr(engine, "SPILL_BYTES", 1000)
    numbers = [int(n) for n in np.random.default_rng(2).integers(0, 60, 300)]
    tasks = [{"numbers": numbers[n::3], "of": 7} for n in range(3)]
    out = str(tmp_path / "out")
    reduces = [(f"{__name__}:double", {"of": 7}), (f"{__name__}:write_sum", {"folder": out})]
    runner = engine.Engine(str(tmp_path / "store"), ["--direct_num_workers=1"])
    runner.exchange("sum", f"{__name__}:emit_numbers", reduces, tasks, 8 * len(numbers) if spilled else 0)
    found = {int(name.partition(".")[0]): store.read_json(f"{out}/{name}") for name in store.names(out)}
    expected = {n: [number for number in numbers if number // 10 == n] for n in range(6)}
    assert found == {n: {"sum": 2 * sum(every), "count": 2 * len(every)} for n, every in expected.items() if every}
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_last_function_that_yields_is_a_mistake(tmp_path):
    spill.emit(
        {
            "path": f"{tmp_path}/0",
            "chunks": 1,
            "target": f"{__name__}:emit_numbers",
            "payload": {"numbers": [3], "of": 7},
        }
    )
    payload = {"folder": str(tmp_path), "chunk": 0, "path": None, "target": f"{__name__}:double", "payload": {"of": 7}}
    with pytest.raises(TypeError, match="double is the last of its exchange, yet it yields pairs"):
        spill.reduce(payload)
