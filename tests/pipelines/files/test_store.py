"""Files: what a pattern names, whole writes or none, temporaries of dead processes, stable fingerprints."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tokenladder.pipelines.files import remote, store

TREE = ["a/one.txt", "a/b/two.txt", "a/b/two.md", "a/.git/config", "c/[x].txt", "three.txt", "odd\nname.txt"]


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def tree(tmp_path):
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("three.txt", ["three.txt"]),
        ("*.txt", ["odd\nname.txt", "three.txt"]),
        ("**/*.txt", ["a/b/two.txt", "a/one.txt", "c/[x].txt", "odd\nname.txt", "three.txt"]),
        ("a/**", ["a/.git/config", "a/b/two.md", "a/b/two.txt", "a/one.txt"]),
        ("a/*/two.*", ["a/b/two.md", "a/b/two.txt"]),
        ("a/b", ["a/b/two.md", "a/b/two.txt"]),
        ("?/one.txt", ["a/one.txt"]),
        ("[b-z]*.txt", ["odd\nname.txt", "three.txt"]),
        ("[!t]*.txt", ["odd\nname.txt"]),
        ("c/[[]x].txt", ["c/[x].txt"]),
        ("c/[\\]x.txt", []),
        ("**", sorted(TREE)),
        ("none/*.txt", []),
        ("none", []),
        ("three.txt/*", []),
    ],
)
def test_what_a_pattern_names(tree, pattern, expected):
    found = store.list_files(str(tree / pattern))
    assert [os.path.relpath(file.path, tree) for file in found] == expected
    assert [file.size for file in found] == [len(name) for name in expected]


def test_a_pattern_that_is_no_glob(tree):
    with pytest.raises(store.UserError, match=r"\[z-a\]\.txt: is no glob: .*\. Write \*, \?, \*\* or \[a-z\]"):
        store.list_files(str(tree / "[z-a].txt"))


def test_folders_that_are_not_entered(tree):
    found = store.list_files(str(tree), skip_folders={".git", "c"})
    left = [name for name in sorted(TREE) if ".git" not in name and not name.startswith("c/")]
    assert [os.path.relpath(file.path, tree) for file in found] == left


def test_links_are_listed_and_folders_behind_them_are_not_entered(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("12345")
    (tmp_path / "to_file").symlink_to(tmp_path / "real" / "file")
    (tmp_path / "to_folder").symlink_to(tmp_path / "real")
    (tmp_path / "to_nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "real" / "round").symlink_to(tmp_path)
    found = [(os.path.relpath(file.path, tmp_path), file.size, file.link) for file in store.list_files(str(tmp_path))]
    expected = [("real/file", 5, False), ("real/round", 0, True), ("to_file", 5, True), ("to_folder", 0, True)]
    assert found == [*expected, ("to_nothing", 0, True)]


def test_sockets_and_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert store.list_files(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("a/b", "/data", "/data/a/b"),
        ("../b", "/data/x", "/data/b"),
        ("/a", "s3://bucket", "/a"),
        ("a", "s3://bucket/in", "s3://bucket/in/a"),
        ("gs://bucket/a/", "/data", "gs://bucket/a"),
        ("file:///a/b", "", "/a/b"),
        ("~/a", "/data", str(Path.home() / "a")),
    ],
)
def test_absolute_paths(path, folder, expected):
    assert store.absolute(path, folder) == expected


@pytest.mark.parametrize("call", [store.place, store.read_bytes, store.exists, store.list_files, store.names])
def test_a_storage_that_is_not_known(call):
    with pytest.raises(
        store.UserError, match=r"ftp://a/b: storage 'ftp://' is not known. Use a local path, s3:// or gs"
    ):
        call("ftp://a/b")


@pytest.mark.parametrize("address", ["s3://b?foo=1", "gs://", "s3:///a", "s3://b%20c/a"])
def test_an_address_that_is_none(address):
    with pytest.raises(
        store.UserError, match=r": cannot be opened as storage: '.*' is no bucket\. Write (s3|gs)://BUCK"
    ):
        store.place(address)


def test_an_address_with_a_secret_is_refused_and_the_secret_not_repeated():
    with pytest.raises(store.UserError) as caught:
        store.list_files("s3://KEY:SECRET@corpora/crawl/*.gz")
    assert str(caught.value) == (
        "s3://…@corpora/crawl: holds a name or a secret, which would be written into logs and results. "
        "Use the environment or a profile, as the cloud's own tools do."
    )


def test_a_storage_that_cannot_be_reached_is_no_mistake_of_the_user(monkeypatch):
    def unreachable(_bucket):
        raise OSError("no route to host")

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(remote.fs, "resolve_s3_region", unreachable)
    with pytest.raises(OSError, match="s3://b/a: cannot be reached: no route to host"):
        store.place("s3://b/a")


def test_a_bucket_is_opened_once(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    remote._open.cache_clear()
    one, other = store.place("s3://bucket/a/b c"), store.place("s3://bucket/d/")
    remote._open.cache_clear()
    assert one.system is other.system
    assert (one.path, other.path, one.system.region) == ("bucket/a/b c", "bucket/d", "eu-north-1")


def test_a_write_replaces_the_whole_file(tmp_path):
    path = str(tmp_path / "deep" / "er" / "file")
    store.write_bytes(path, b"first, which is longer")
    store.write_bytes(path, pa.py_buffer(b"second"))
    assert store.read_bytes(path) == b"second"
    assert store.names(str(tmp_path / "deep" / "er")) == {"file"}
    assert listed(tmp_path / "deep" / "er") == ["file"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing):
    path = str(tmp_path / "file")
    store.write_bytes(path, b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    for name in ("file", "new"):
        with pytest.raises(OSError, match="No space left on device"):
            store.write_bytes(str(tmp_path / name), b"after")
    assert listed(tmp_path) == ["file"]
    assert store.read_bytes(path) == b"before"


def test_an_interrupt_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write_bytes(str(tmp_path / "file"), b"after")
    assert listed(tmp_path) == []


def test_sweep_takes_the_temporaries_of_dead_processes_alone(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    (tmp_path / "below").mkdir()
    stays = [f".tmp-{host}@{os.getpid()}-1-0-a", f".tmp-{host}@1-1-0-a", f".tmp-{host}-5@5-1-0-a", "file", ".tmp-x"]
    goes = [f".tmp-{host}@{dead.pid}-1-0-a", f"below/.tmp-{host}@{dead.pid}-1-7-b"]
    for name in stays + goes:
        (tmp_path / name).write_text("")
    (tmp_path / f"below/.tmp-{host}@{dead.pid}-1-8-c").mkdir()
    (tmp_path / f"below/.tmp-{host}@{dead.pid}-1-8-c" / "file").write_text("")
    assert store.sweep(str(tmp_path)) == 3
    assert listed(tmp_path) == sorted([*stays, "below"])
    assert listed(tmp_path / "below") == []
    assert store.names(str(tmp_path)) == {"file", "below"}
    assert store.sweep(str(tmp_path / "none")) == 0


def test_json_and_tables_have_one_form(tmp_path):
    path = str(tmp_path / "a.json")
    store.write_json(path, {"b": 1, "a": ["é", None]})
    assert store.read_bytes(path).decode() == '{\n  "a": [\n    "é",\n    null\n  ],\n  "b": 1\n}\n'
    assert store.read_json(path) == {"a": ["é", None], "b": 1}
    table = pa.table({"x": [1, 2], "y": ["a", None]})
    store.write_table(str(tmp_path / "a.parquet"), table)
    written = store.write_hashed_table(str(tmp_path / "b.parquet"), table)
    data = (tmp_path / "a.parquet").read_bytes()
    assert data == (tmp_path / "b.parquet").read_bytes()
    assert written == store.Written(hashlib.sha256(data).hexdigest(), len(data))
    assert store.read_table(str(tmp_path / "a.parquet"), ["y"]).to_pydict() == {"y": ["a", None]}


def test_remove_and_exists(tmp_path):
    path = str(tmp_path / "a")
    store.remove(path)
    assert not store.exists(path)
    store.write_bytes(path, b"0123456789")
    assert store.exists(path)
    with store.open_input(path, offset=7) as file:
        assert file.read() == b"789"
    store.remove(path)
    assert not store.exists(path)
    assert store.names(str(tmp_path / "none")) == set()


@dataclasses.dataclass
class Point:
    x: float


@dataclasses.dataclass
class Place:
    x: float


def test_fingerprints_tell_values_apart():
    values = [
        None,
        True,
        1,
        1.0,
        "1",
        b"1",
        [1],
        [[1]],
        {"1": 1},
        Point(1.0),
        Place(1.0),
        Point(1),
        {"x": 1.0},
        -0.0,
        0.0,
    ]
    prints = [store.fingerprint(value) for value in values]
    assert len(set(prints)) == len(values)
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in prints)
    assert store.fingerprint((1, "a")) == store.fingerprint([1, "a"])


def test_a_fingerprint_is_the_same_in_another_process():
    code = (
        "from tokenladder.pipelines.files.store import fingerprint; print(fingerprint({'b': [1.5, None], 'a': b'x'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == store.fingerprint({"a": b"x", "b": [1.5, None]})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2}]}, r"value\.a\[1\] is set, which has no stable form to fingerprint\. Use numbers, strings"),
        (Point(object()), r"value\.x is object, which"),
        ({1: 2}, r"value is dict, which .* dicts with string keys"),
        (Point, r"value is type, which"),
    ],
)
def test_values_without_a_stable_form(value, message):
    with pytest.raises(TypeError, match=message):
        store.fingerprint(value)
