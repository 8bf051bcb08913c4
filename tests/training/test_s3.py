"""Shards on a real S3 server on this machine: moto's, where it is installed.

pip install 'moto[server]' && pytest tests/training/test_s3.py
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from builds_for_training import make

from tokenladder.training import Cache, ShardError, Stream, open_rung

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server that is empty."""
    pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                assert process.poll() is None, "moto's server ended"
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """A bucket `corpora` with a build of ten shards in `out`: the bucket's file system, and the build's tokens."""
    from pyarrow import fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    tokens = make(tmp_path / "out", {"all": [4] * 10})["all"]
    system = fs.S3FileSystem(endpoint_override=server, region="us-east-1", allow_bucket_creation=True)
    system.create_dir("corpora")
    fs.copy_files(str(tmp_path / "out"), "corpora/out", destination_filesystem=system)
    return system, tokens


def read_all(folder, seed):
    """Two shuffled epochs, as another process reads them."""
    stream = Stream(open_rung("s3://corpora/out", "all-10", cache=Cache(folder)), seed=seed, shuffled=True, epochs=2)
    return np.concatenate([batch.tokens for batch in stream.batches(7)]).tolist()


def test_processes_share_what_they_fetch(bucket, tmp_path):
    system, tokens = bucket
    twice = sorted([*tokens.tolist()] * 2)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for rows in pool.map(read_all, [str(tmp_path / "cache")] * 2, (1, 2)):
            assert sorted(rows) == twice
    system.delete_dir("corpora/out/shards")  # from now on, only the cache holds them
    assert sorted(read_all(str(tmp_path / "cache"), 3)) == twice
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 10


def test_a_small_cache_stays_small(bucket, tmp_path):
    _, tokens = bucket
    folder = tmp_path / "cache"
    one = Cache(str(folder))
    rung = open_rung("s3://corpora/out", "all-10", cache=one)
    size = len(rung[0]) and next(folder.glob("*.arrow")).stat().st_size
    rung = open_rung("s3://corpora/out", "all-10", cache=Cache(str(folder), 3 * size), read_ahead=0)
    assert [row.tolist() for row in rung] == tokens.tolist()
    assert sum(path.stat().st_size for path in folder.glob("*.arrow")) <= 3 * size


def test_damaged_and_missing_shards_are_named(bucket, tmp_path):
    system, _ = bucket
    rung = open_rung("s3://corpora/out", "all-10", cache=Cache(str(tmp_path / "cache")))
    expected = [shard["sha256"] for shard in rung.entry["shards"]]
    with system.open_output_stream("corpora/out/shards/all/00001.parquet") as file:
        file.write(b"damaged")
    system.delete_file("corpora/out/shards/all/00002.parquet")
    with pytest.raises(ShardError, match=rf"s3://corpora/out/shards/all/00001.parquet: is damaged.*{expected[1]}"):
        _ = rung[4]
    with pytest.raises(ShardError, match=rf"s3://corpora/out/shards/all/00002.parquet: is missing.*{expected[2]}"):
        _ = rung[8]
