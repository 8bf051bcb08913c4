"""Clustering against breadth-first search, plain loops and the promise that equal texts are together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import Store, exchange, identity, payload, write_part, write_signatures

from tokenladder.filters import minhash
from tokenladder.pipelines import cluster, keys, store
from tokenladder.pipelines.parts import read_clusters

import naive

BANDS, ROWS = 4, 2


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_edges_between_documents_that_share_a_hash(tmp_path_factory, pairs, random):
    folder = tmp_path_factory.mktemp("edges")
    packed = [np.array([(hash_, key)], cluster.PAIR).tobytes() for hash_, key in pairs]
    random.shuffle(packed)
    assert list(cluster.link_candidates(3, packed, {"folder": str(folder)})) == []
    table = store.read_table(f"{folder}/edges/00003.parquet")
    assert list(zip(*(table.column(name).to_pylist() for name in "ab"), strict=True)) == naive.candidate_edges(pairs)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60))
def test_components_equal_breadth_first_search(edges):
    members, labels = cluster.components(np.array(edges, np.uint64).reshape(-1, 2))
    assert dict(zip(members.tolist(), labels.tolist(), strict=True)) == naive.components(edges)


def test_a_long_chain_is_one_component():
    path = np.stack([np.arange(50_000), np.arange(1, 50_001)], axis=1).astype(np.uint64)
    for edges in (path, path[::-1], path[:, ::-1]):
        assert set(cluster.components(edges)[1].tolist()) == {0}


@st.composite
def candidates(draw):
    """Documents sorted by component and id, with signatures of few different values, so that many agree."""
    count = draw(st.integers(0, 25))
    rows = sorted((draw(st.integers(0, 2)), draw(st.integers(0, 8))) for _ in range(count))
    texts = {}
    signatures = []
    for row in rows:
        if row[1] not in texts:  # equal ids are equal texts
            places = st.lists(st.integers(0, 2), min_size=BANDS * ROWS, max_size=BANDS * ROWS)
            wordless = [minhash.EMPTY] * (BANDS * ROWS)
            texts[row[1]] = draw(st.just(wordless) | places if row[1] == 0 else places)
        signatures.append(texts[row[1]])
    return rows, signatures


@settings(max_examples=300)
@given(candidates(), st.sampled_from([0.3, 0.5, 0.7, 0.75, 1.0]), st.sampled_from([1, 2, 64]))
def test_leaders_equal_plain_loops(given_candidates, threshold, cap):
    rows, signatures = given_candidates
    component = np.array([row[0] for row in rows], np.uint64)
    ids = np.zeros(len(rows), keys.ID)
    ids["low"] = [row[1] for row in rows]
    matrix = np.array(signatures, np.uint32).reshape(-1, BANDS * ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "LEADERS_PER_BAND", cap)
        leaders, similarity = cluster.leader_clusters(component, ids, matrix, BANDS, ROWS, threshold)
    needed = -(-int(threshold * 100) * BANDS * ROWS // 100)
    numbers = [row[1] for row in rows]
    expected, equal = naive.leader_clusters(
        component.tolist(), numbers, signatures, BANDS, ROWS, needed=needed, cap=cap, empty=minhash.EMPTY
    )
    assert leaders.tolist() == expected
    assert similarity.tolist() == pytest.approx([n / (BANDS * ROWS) for n in equal])


def test_many_leaders_in_one_component():
    """A table of band hashes that fills to half: every document is a leader of its own, until copies come."""
    rng = np.random.default_rng(5)
    matrix = rng.integers(0, 2**32, (2000, BANDS * ROWS), np.uint32)
    ids = np.zeros(4000, keys.ID)
    ids["low"] = np.arange(4000)
    leaders, similarity = cluster.leader_clusters(
        np.zeros(4000, np.uint64), ids, np.concatenate([matrix, matrix]), BANDS, ROWS, 0.9
    )
    assert leaders.tolist() == [*range(2000), *range(2000)]
    assert set(similarity.tolist()) == {1.0}


def test_from_parts_to_clusters(tmp_path):
    """Equal texts are together without words, without a signature and across parts; unlike ones stay alone."""
    place = Store(str(tmp_path / "store"))
    texts = [["one", "two", None, "!!"], ["three", "one", "!!", "four"]]
    like = np.arange(8, dtype=np.uint32)
    near = like.copy()
    near[-1] = 99  # 7 of 8 equal
    empty = np.full(8, minhash.EMPTY, np.uint32)
    other = like + 1000
    matrices = [[like, other, empty, empty], [near, like, empty, other + 1000]]
    parts = [write_part(place, f"s/{n}", rows) for n, rows in enumerate(texts)]
    for part, matrix, missing in zip(parts, matrices, ({2, 3}, {2}), strict=True):
        write_signatures(place, "family", part, np.array(matrix), missing)
    folder = str(tmp_path / "clusters")
    common = {"family": "family", "bands": BANDS, "rows": ROWS, "ranges": 3, "folder": folder, "threshold": 0.8}
    tasks = [payload(place, part, n, **common) for n, part in enumerate(parts)]
    exchange([pair for task in tasks for pair in cluster.emit_bands(task)], cluster.link_candidates, common)
    edges = [store.read_table(f"{folder}/edges/{name}") for name in sorted(store.names(f"{folder}/edges"))]
    pairs = np.concatenate([np.stack([table["a"].to_numpy(), table["b"].to_numpy()], axis=1) for table in edges])
    assert cluster.write_components(folder, pairs) == [0, 1]
    led = exchange([pair for task in tasks for pair in cluster.emit_members(task)], cluster.lead, common)
    exchange(led, cluster.write_clusters, common)
    found = {}
    for n in range(2):
        for row in read_clusters(folder, n).to_pylist():
            found[texts[n][row["row"]], n] = (row["cluster"], row["leads"], row["size"])
    first = min(identity("one"), identity("three"))
    assert {key: value[0] for key, value in found.items()} == {
        ("one", 0): first,
        ("one", 1): first,
        ("three", 1): first,
        ("!!", 0): identity("!!"),
        ("!!", 1): identity("!!"),
    }
    assert sorted(value[1:] for value in found.values()) == [(False, 2), (False, 3), (False, 3), (True, 2), (True, 3)]
    assert read_clusters(folder, 7) == read_clusters(folder, 8)  # a part without candidates
    assert pa.types.is_uint32(read_clusters(folder, 7).schema.field("row").type)
