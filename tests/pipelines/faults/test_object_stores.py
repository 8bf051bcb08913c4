"""Builds on object stores: the same bytes as on a local disk, whatever the store answers on the way.

pip install 'moto[server]' && go install github.com/fsouza/fake-gcs-server@latest && pytest -m cluster \
    tests/pipelines/faults/test_object_stores.py
"""

# ruff: noqa: ARG001 fixtures that start servers
from __future__ import annotations

import gc
import io
import random
import re
import subprocess
import sys

import little
import object_stores
import pytest

from tokenladder.pipelines.files import lock, remote, store
from tokenladder.pipelines.files.store import UserError

pytestmark = pytest.mark.cluster

KEYS = 100_000


@pytest.fixture(scope="module")
def server():
    with object_stores.s3_server(KEYS) as address:
        yield address


@pytest.fixture
def front(server, monkeypatch):
    with object_stores.Front(server) as one:
        for name, value in {
            "AWS_ENDPOINT_URL": one.address,
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        remote._open.cache_clear()
        yield one
        remote._open.cache_clear()


@pytest.fixture
def hasty(monkeypatch):
    """The same tries, after shorter pauses."""
    monkeypatch.setattr("tokenladder.pipelines.files.patience.PAUSES", (0.01,) * 8)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = little.corpus(81, 60, copies=5, neighbours=15)
    for n in range(3):
        little.write_jsonl(folder / "a" / f"{n}.jsonl", rows[n::3])
    little.write_warc(folder / "b.warc.gz", little.corpus(82, 40, prefix="b", words=(30, 90)))
    return little.write_study(
        folder,
        {"a": "a/*.jsonl", "b": {"format": "warc", "path": "b.warc.gz"}},
        scores={"lengths": {"type": "lengths"}},
        held_out={"tokens": 10 * little.LENGTH},
        recipes={"all": {"keep": [{"score": "lengths.words", "top": 0.9}]}},
    )


@pytest.fixture(scope="module")
def local(study, tmp_path_factory):
    """The same study built on a local disk: its root hash and files."""
    made = little.build(study, tmp_path_factory.mktemp("local") / "out")
    return made.manifest["root_hash"], little.files(made.out)


def uploaded(study, base):
    """The study with its sources on an object store; the study itself stays here."""
    for path in sorted(study.parent.rglob("*")):
        if path.is_file() and path != study:
            store.write_bytes(f"{base}/{path.relative_to(study.parent)}", path.read_bytes())
    copy = study.with_name(f"{re.sub('[^a-z0-9]', '-', base)}.toml")
    copy.write_text(study.read_text().replace('"a/*', f'"{base}/a/*').replace('"b.warc', f'"{base}/b.warc'))
    return copy


def remote_files(out):
    """Bytes of the files of a result by relative path, without the store and marks; none has a temporary name."""
    names = [file.path.removeprefix(f"{out}/") for file in store.list_files(out)]
    assert not any(".tmp-" in name for name in names if not name.startswith(".store/tasks"))
    return {name: store.read_bytes(f"{out}/{name}") for name in names if name.split("/")[0] not in {".store", ".build"}}


def built(study, out):
    from tokenladder.pipelines.drivers import build as module
    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.study.file import load
    from tokenladder.pipelines.watch.progress import Reporter

    real, module.Engine = module.Engine, little.Eager
    try:
        return module.build(make_plan(load(str(study)), out, None), Reporter(quiet=True))
    finally:
        module.Engine = real


def assert_as_local(manifest, out, local):
    root_hash, files = local
    assert manifest["root_hash"] == root_hash
    left = {"manifest.json", "README.md", "study.toml"}  # they name the sources
    assert [name for name in little.differing(remote_files(out), files) if name not in left] == []


def test_a_study_on_s3_is_the_same_as_on_a_disk_through_beam_and_children(study, local, front):
    copy = uploaded(study, "s3://corpora/in")
    command = [sys.executable, "-m", "tokenladder", "build", str(copy), "--out", "s3://corpora/built"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_as_local(store.read_json("s3://corpora/built/manifest.json"), "s3://corpora/built", local)
    said = done.stdout + done.stderr
    assert "a-secret" not in said
    assert "a-key" not in said
    verified = subprocess.run([*command[:3], "verify", "s3://corpora/built"], check=False, capture_output=True)
    assert verified.returncode == 0, verified.stdout


def test_a_study_on_gs_is_the_same_as_on_a_disk(study, local, tmp_path, monkeypatch):
    (tmp_path / "corpora").mkdir()
    with object_stores.gs_server(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{address}")
        remote._open.cache_clear()
        manifest = built(uploaded(study, "gs://corpora/in"), "gs://corpora/built")
        assert_as_local(manifest, "gs://corpora/built", local)
    remote._open.cache_clear()


def test_throttling_errors_and_cut_answers_change_nothing(study, local, front, hasty):
    copy = uploaded(study, "s3://corpora/bad-days")
    front.share = 0.2
    manifest = built(copy, "s3://corpora/bad-days/built")
    front.share = 0.0
    assert front.faults() > 100
    assert_as_local(manifest, "s3://corpora/bad-days/built", local)
    counts = manifest["counts"]
    assert sum(one["records"] for one in counts.values()) == 120


def test_a_store_that_stays_away_ends_the_build_and_the_next_goes_on(study, local, front, hasty):
    copy = uploaded(study, "s3://corpora/away")
    out = "s3://corpora/away/built"
    rng = random.Random(83)  # noqa: S311 moments, not secrets
    draw = front._draw
    for _ in range(2):
        end = sum(front.requests.values()) + rng.randrange(30, 200)
        front._draw = lambda method, end=end: "503" if sum(front.requests.values()) > end else draw(method)
        with pytest.raises(OSError, match=r"The object store failed 9 times|cannot be reached"):
            built(copy, out)
        front._draw = draw
        assert not store.exists(f"{out}/manifest.json")
    store.remove_folder(f"{out}/.build/builds")  # of this very process, which could not reach the store to remove it
    assert_as_local(built(copy, out), out, local)


def test_many_keys_are_listed_by_pages(front):
    found = store.list_files("s3://corpora/many/**/*.jsonl")
    assert len(found) == KEYS
    assert [file.path for file in found[:2]] == [
        "s3://corpora/many/00/000000.jsonl",
        "s3://corpora/many/00/000100.jsonl",
    ]
    assert {file.size for file in found} == {1}
    assert sum(front.requests.values()) <= KEYS // 1000 + 3


def test_ranges_are_read_and_not_the_whole(front):
    data = random.Random(84).randbytes(12 << 20)  # noqa: S311 as above
    store.write_bytes("s3://corpora/large", data)
    assert front.requests["POST", "ok"] == 2  # an upload in parts: begun, and completed as the last request
    front.requests.clear()
    with store.open_input("s3://corpora/large") as file:
        assert file.read_at(1000, 7 << 20) == data[7 << 20 :][:1000]
        assert file.size() == len(data)
    assert front.requests == {("HEAD", "ok"): 1, ("GET", "ok"): 1}
    with store.open_input("s3://corpora/large", offset=5) as file:
        pieces = list(iter(lambda: file.read(64 << 10), b""))
    assert b"".join(pieces) == data[5:]
    assert front.requests["GET", "ok"] <= 6  # not one for each of 192 reads
    with store.open_input("s3://corpora/large") as file:
        file.seek(-10, io.SEEK_END)
        assert file.read() == data[-10:]


def test_an_upload_that_is_not_completed_shows_nothing(front, hasty):
    front._draw = lambda method: "500" if method == "POST" else "ok"
    with pytest.raises(OSError, match="INTERNAL_FAILURE"):
        store.write_bytes("s3://corpora/half/large", bytes(12 << 20))
    front._draw = lambda method: "500" if method == "PUT" else "ok"
    for size in (3, 12 << 20):
        with pytest.raises(OSError, match="INTERNAL_FAILURE"):
            store.write_bytes("s3://corpora/half/other", bytes(size))
    del front._draw
    gc.collect()  # nor when clients are let go
    assert store.names("s3://corpora/half") == set()

    class Interrupted:
        def __init__(self, stream):
            self.write, self.close = self._write, stream.close

        def _write(self, _data):
            raise KeyboardInterrupt

    class Opened:
        def __init__(self, system):
            self.delete_file, self._system = system.delete_file, system

        def open_output_stream(self, path, **options):
            assert options["compression"] is None  # by default pyarrow compresses what is named .gz or .zst
            return Interrupted(self._system.open_output_stream(path, **options))

    where = remote.place("s3://corpora/half/small")
    with pytest.raises(KeyboardInterrupt):
        remote._put(Opened(where.system), where.path, b"abc")
    assert store.names("s3://corpora/half") == set()


def test_two_builds_in_one_folder_of_an_object_store(front, monkeypatch):
    out = "s3://corpora/shared"
    with lock.lock(out):
        monkeypatch.setattr(lock.socket, "gethostname", lambda: "another")
        with (
            pytest.raises(UserError, match=rf"^{out}: another build is running in this folder \(.*, process \d+, "),
            lock.lock(out),
        ):
            pass
    monkeypatch.undo()
    assert store.list_files(f"{out}/.build/builds") == []


def test_marks_of_builds_that_are_gone_are_taken_away(front, monkeypatch):
    out = "s3://corpora/gone"
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    store.write_bytes(f"{out}/.build/builds/{lock.socket.gethostname()}@{dead.pid}", b"")
    with lock.lock(out):
        assert len(store.names(f"{out}/.build/builds")) == 1
    store.write_bytes(f"{out}/.build/builds/another@{dead.pid}", b"")
    monkeypatch.setattr(lock, "LEASE_SECONDS", -1)
    with lock.lock(out):
        assert len(store.names(f"{out}/.build/builds")) == 1
