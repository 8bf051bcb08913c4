"""Shards on object stores of this machine: moto's S3 server and fake-gcs-server, where they are installed.

pip install 'moto[server]' && go install github.com/fsouza/fake-gcs-server@latest && pytest -m cluster \
    tests/training/test_remote_shards.py
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import object_stores
import pytest
from builds_for_training import make

from tokenladder.pipelines.files import remote, store
from tokenladder.training import Cache, ShardError, Stream, open_rung

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", params=["s3", "gs"])
def server(request, tmp_path_factory):
    """A store that is empty: its scheme, and the environment in which clients find it."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "corpora").mkdir()
    start = object_stores.s3_server() if request.param == "s3" else object_stores.gs_server(folder)
    with start as address:
        yield (
            request.param,
            {
                "AWS_ENDPOINT_URL": f"http://{address}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "STORAGE_EMULATOR_HOST": f"http://{address}",
            },
        )


@pytest.fixture
def remote_build(server, tmp_path, monkeypatch):
    """A build of ten shards on the store: its address, and its tokens."""
    scheme, environment = server
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    remote._open.cache_clear()
    tokens = make(tmp_path / "out", {"all": [4] * 10})["all"]
    out = f"{scheme}://corpora/out"
    for path in sorted(Path(tmp_path / "out").rglob("*")):
        if path.is_file():
            store.write_bytes(f"{out}/{path.relative_to(tmp_path / 'out')}", path.read_bytes())
    yield out, tokens
    remote._open.cache_clear()


def read_all(out, folder, seed):
    """Two shuffled epochs, as another process reads them."""
    stream = Stream(open_rung(out, "all-10", cache=Cache(folder)), seed=seed, shuffled=True, epochs=2)
    return np.concatenate([batch.tokens for batch in stream.batches(7)]).tolist()


def test_processes_share_what_they_fetch(remote_build, tmp_path):
    out, tokens = remote_build
    twice = sorted([*tokens.tolist()] * 2)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for rows in pool.map(read_all, [out] * 2, [str(tmp_path / "cache")] * 2, (1, 2)):
            assert sorted(rows) == twice
    for file in store.list_files(f"{out}/shards"):  # from now on, only the cache holds them
        store.remove(file.path)
    assert sorted(read_all(out, str(tmp_path / "cache"), 3)) == twice
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 10


def test_a_small_cache_stays_small(remote_build, tmp_path):
    out, tokens = remote_build
    folder = tmp_path / "cache"
    one = Cache(str(folder))
    rung = open_rung(out, "all-10", cache=one)
    size = len(rung[0]) and next(folder.glob("*.arrow")).stat().st_size
    rung = open_rung(out, "all-10", cache=Cache(str(folder), 3 * size), read_ahead=0)
    assert [row.tolist() for row in rung] == tokens.tolist()
    assert sum(path.stat().st_size for path in folder.glob("*.arrow")) <= 3 * size


def test_damaged_and_missing_shards_are_named(remote_build, tmp_path):
    out, _ = remote_build
    rung = open_rung(out, "all-10", cache=Cache(str(tmp_path / "cache")))
    expected = [shard["sha256"] for shard in rung.entry["shards"]]
    store.write_bytes(f"{out}/shards/all/00001.parquet", b"damaged")
    store.remove(f"{out}/shards/all/00002.parquet")
    with pytest.raises(ShardError, match=rf"{out}/shards/all/00001.parquet: is damaged.*{expected[1]}"):
        _ = rung[4]
    with pytest.raises(ShardError, match=rf"{out}/shards/all/00002.parquet: is missing.*{expected[2]}"):
        _ = rung[8]
