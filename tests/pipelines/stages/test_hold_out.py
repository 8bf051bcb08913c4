"""What may not be trained on: every member of a held-out cluster, and every document that is similar, none missed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import Store, identity, payload, write_part, write_signatures

from tokenladder.filters.duplicates import minhash
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import CLUSTERS
from tokenladder.pipelines.stages import hold_out, keys

import naive

PLACES = 12


@given(st.integers(1, 512), st.floats(0.01, 1))
def test_no_similar_pair_shares_no_band(places, threshold):
    bands, rows, needed = hold_out.sure_bands(places, threshold)
    assert needed == min(n for n in range(1, places + 1) if n / places >= threshold - 1e-9)
    assert rows >= 1
    assert bands * rows <= places
    assert bands > places - needed  # more bands than places that may differ: one band is whole


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=PLACES, max_size=PLACES), min_size=1, max_size=14),
    st.lists(st.integers(0, 13), min_size=1, max_size=5, unique=True),
    st.sampled_from([0.5, 0.7, 0.75, 0.9, 1.0]),
)
def test_exclude_finds_exactly_what_is_near(tmp_path_factory, matrix, drawn, threshold):
    place = Store(str(tmp_path_factory.mktemp("store")))
    matrix = np.array(matrix, np.uint32)
    texts = [f"text {n}" for n in range(len(matrix))]
    part = write_part(place, "s/0", texts)
    write_signatures(place, "family", part, matrix)
    drawn = sorted(n for n in drawn if n < len(texts)) or [0]
    folder = place.path("held_out")
    store.write_table(store.join(folder, "places", "0000000.parquet"), pa.table({"row": pa.array(drawn, pa.uint32())}))
    task = payload(
        place, part, 0, family="family", clusters=place.path("none"), places=store.join(folder, "places"),
        folder=folder, threshold=threshold,
    )  # fmt: skip
    hold_out.gather_part(task)
    hold_out.exclude_part(task)
    table = store.read_table(store.join(folder, "excluded", "0000000.parquet"))
    held = sorted(drawn, key=lambda n: identity(texts[n]))  # the first by cluster, which is the id here, is told
    needed = hold_out.sure_bands(PLACES, threshold)[2]
    near = naive.nearest_held_out(matrix.tolist(), matrix[held].tolist(), needed)
    expected = {n: n if n in drawn else held[near[n]] for n in range(len(texts)) if n in drawn or near[n] >= 0}
    found = zip(table.column("row").to_pylist(), table.column("near").to_pylist(), strict=True)
    assert dict(found) == {row: identity(texts[other]) for row, other in expected.items()}


def test_members_of_a_held_out_cluster_and_documents_without_words(tmp_path):
    place = Store(str(tmp_path))
    texts = ["held", "member", "elsewhere", "", None, "!!"]
    part = write_part(place, "s/0", texts)
    empty = np.full(PLACES, minhash.EMPTY, np.uint32)
    spread = [np.arange(PLACES, dtype=np.uint32) + 100 * n for n in range(3)]
    write_signatures(place, "family", part, np.array([*spread, empty, empty, empty]), {3, 4})
    clusters, folder = place.path("clusters"), place.path("held_out")
    leader = identity("member")
    rows = {"row": [0, 1], "cluster": [leader] * 2, "leads": [False, True], "similarity": [0.8, 1.0], "size": [2, 2]}
    rows |= {"contained": [False] * 2, "earlier": [False] * 2, "leader_source": [0] * 2}
    store.write_table(store.join(clusters, "members", "0000000.parquet"), pa.table(rows, CLUSTERS))
    drawn = pa.table({"row": pa.array([0, 5], pa.uint32())})
    store.write_table(store.join(folder, "places", "0000000.parquet"), drawn)
    task = payload(
        place, part, 0, family="family", clusters=clusters, places=store.join(folder, "places"), folder=folder,
        threshold=0.9,
    )  # fmt: skip
    hold_out.gather_part(task)
    hold_out.exclude_part(task)
    table = store.read_table(store.join(folder, "excluded", "0000000.parquet"))
    near = [identity("held"), identity("held"), identity("!!")]
    assert table.column("row").to_pylist() == [0, 1, 5]  # not the empty text: nothing without words is near another
    assert table.column("near").to_pylist() == near


def test_a_mistake_in_the_bands_would_show():
    """The search itself, on signatures that agree in just enough places, scattered as badly as can be."""
    places, threshold = 112, 0.7
    bands, rows, needed = hold_out.sure_bands(places, threshold)
    held = np.zeros((1, places), np.uint32)
    near = np.zeros((2, places), np.uint32)
    differing = np.round(np.linspace(0, places - 1, places - needed)).astype(int)
    near[0, differing] = 1
    near[1, [*differing, 1]] = 1
    assert (near == 0).sum(axis=1).tolist() == [needed, needed - 1]
    order = np.zeros((bands, 1), np.int64)
    hashes = np.ascontiguousarray(minhash.band_hashes(held, bands, rows).T)
    nearest = np.full(2, -1, np.int64)
    search = np.ones(2, bool)
    hold_out._find_near(near, minhash.band_hashes(near, bands, rows), search, held, hashes, order, needed, nearest)
    assert nearest.tolist() == [0, -1]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_the_first_of_several_is_told_whatever_the_order_of_files(tmp_path, order):
    texts = ["a", "b", "c"]
    for number, n in enumerate(order):
        table = pa.table(
            {
                "document": pa.array([identity(texts[n])], pa.binary(16)),
                "cluster": pa.array([identity(texts[n])], pa.binary(16)),
                "signature": pa.array([bytes(4 * PLACES)], pa.binary(4 * PLACES)),
            }
        )
        store.write_table(str(tmp_path / f"{number:07d}.parquet"), table)
    held = hold_out._HeldOut(str(tmp_path))
    assert keys.id_column(held.ids).to_pylist() == sorted(map(identity, texts))
