"""Clustering of hand-made parts: equal texts are together, earlier studies lead, containers take what they contain."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from small_store import Store, exchange, identity, payload, write_part, write_score, write_signatures

from tokenladder.filters.duplicates import minhash
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import read_clusters
from tokenladder.pipelines.stages import cluster, connect, grouping, keys

BANDS, ROWS = 4, 2


def common(folder, **more):
    """What every task of a clustering is told."""
    return {
        "family": "family",
        "sketch": "",
        "sketch_size": 0,
        "bands": BANDS,
        "rows": ROWS,
        "ranges": 3,
        "folder": folder,
        "parts": 9,
        "ledgers": [],
        "shingles": None,
        "threshold": 0.8,
        "containment": None,
        **more,
    }


def run(folder, tasks, told):
    """All steps, group by group."""
    exchange([pair for task in tasks for pair in cluster.emit_bands(task)], cluster.link_candidates, told)
    edges = [connect.read_edges(f"{folder}/edges/{name}") for name in sorted(store.names(f"{folder}/edges"))]
    members, labels = grouping.components(np.concatenate(edges))
    for n in np.unique(keys.ordinals(members)):
        mine = keys.ordinals(members) == n
        packed = np.empty(mine.sum(), connect.LABEL)
        packed["row"], packed["component"] = keys.rows(members[mine]), labels[mine]
        list(connect.write_labels(int(n), [packed.tobytes()], {"folder": f"{folder}/components"}))
    inside = [task for task in tasks if store.exists(f"{folder}/components/{task['ordinal']:07d}.parquet")]
    led = exchange([pair for task in inside for pair in cluster.emit_members(task)], cluster.lead, told)
    exchange(led, cluster.write_clusters, told)


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
    told = common(folder)
    run(folder, [payload(place, part, n, **told) for n, part in enumerate(parts)], told)
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


def ranked(count):
    """So many texts in the order of their ids."""
    return sorted((f"text {n}" for n in range(count)), key=identity)


def test_what_an_earlier_study_kept_leads_whatever_its_id(tmp_path):
    place = Store(str(tmp_path / "store"))
    low, middle, high, other = ranked(4)
    like = np.arange(8, dtype=np.uint32)
    mine = write_part(place, "s/0", [low, middle, other])
    theirs = write_part(place, "s/1", [high, other])
    write_signatures(place, "family", mine, np.array([like, like, like + 100]))
    write_signatures(place, "family", theirs, np.array([like, like + 100]))
    ledger = str(tmp_path / "ledger.parquet")
    store.write_table(ledger, pa.table({"outcome": ["held_out", "dropped"]}))
    folder = str(tmp_path / "clusters")
    told = common(folder, parts=1)
    tasks = [payload(place, mine, 0, **told), {**payload(place, theirs, 1, **told), "ledgers": [ledger]}]
    tasks[1]["source_ordinal"] = 5
    run(folder, tasks, told)
    found = read_clusters(folder, 0).to_pylist()
    assert [(row["row"], row["cluster"], row["leads"], row["earlier"], row["size"]) for row in found] == [
        (0, identity(high), False, True, 2),
        (1, identity(high), False, True, 2),
    ]
    assert {row["leader_source"] for row in found} == {5}
    assert not store.exists(f"{folder}/members/0000001.parquet")


def test_a_cluster_joins_the_document_that_contains_all_of_it(tmp_path):
    place = Store(str(tmp_path / "store"))
    names = ["whole", "page", "page again", "part of the page"]
    part = write_part(place, "s/0", names)
    rng = np.random.default_rng(1)
    matrix = rng.integers(0, 2**31, (4, 8), np.uint32)
    matrix[2] = matrix[1]
    write_signatures(place, "family", part, matrix)
    every = np.sort(rng.choice(2**31, 120, replace=False)).astype("<u4")
    sketches = [every[:64], every[:40], every[:40], every[20:40]]
    columns = {"sketch": [one.tobytes() for one in sketches], "elements": np.array([64, 40, 40, 20], np.int32)}
    write_score(place, "sketches", part, columns)
    folder = str(tmp_path / "clusters")
    told = common(folder, sketch="sketches", sketch_size=64, containment=0.9)
    run(folder, [payload(place, part, 0, **told)], told)
    found = {names[row["row"]]: row for row in read_clusters(folder, 0).to_pylist()}
    assert {row["cluster"] for row in found.values()} == {identity("whole")}
    assert {name: row["contained"] for name, row in found.items()} == {
        "whole": False,
        "page": True,
        "page again": True,
        "part of the page": True,
    }
    assert found["whole"]["leads"]
    assert found["page"]["size"] == 4
    assert found["page"]["similarity"] == 1.0
