"""What fails for a reason that passes is tried again, and ranges of an object are read as from one file."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.files import patience, remote, remote_file
from tokenladder.pipelines.files.patience import passes, patiently

DATA = bytes(n % 251 for n in range(5000))


class Failing:
    """Raises the given errors, one a call, then gives 7."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(patience.time, "sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("When uploading object: AWS Error SLOW_DOWN during PutObject operation: injected", True),
        (
            "AWS Error INTERNAL_FAILURE during GetObject operation: Failed to flush response stream (eof: 0, bad: 1)",
            True,
        ),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 56, Recv failure", True),
        ("AWS Error UNKNOWN (HTTP status 429) during ListObjectsV2 operation", True),
        ("google::cloud::Status(UNAVAILABLE: Permanent error in ListObjects()", True),
        ("AWS Error ACCESS_DENIED during PutObject operation", False),
        ("AWS Error UNKNOWN (HTTP status 400) during CreateBucket operation", False),
        ("AWS Error NO_SUCH_BUCKET during PutObject operation", False),
        ("No space left on device", False),
    ],
)
def test_what_passes(message, expected):
    assert passes(OSError(message)) is expected


def test_a_missing_key_is_told_at_once(pauses):
    operation = Failing(FileNotFoundError("AWS Error INTERNAL_FAILURE: s3://a/b"))
    with pytest.raises(FileNotFoundError):
        patiently(operation)
    assert (operation.calls, pauses) == (1, [])


def test_tries_come_after_growing_pauses_and_end(pauses):
    slow = [OSError(f"SLOW_DOWN {n}") for n in range(20)]
    assert patiently(Failing(*slow[: len(patience.PAUSES)])) == 7
    assert len(pauses) == len(patience.PAUSES)
    assert all(0.5 * most <= pause <= most for pause, most in zip(pauses, patience.PAUSES, strict=True))
    operation = Failing(*slow)
    with pytest.raises(OSError, match=r"^The object store failed 9 times in 0 s, at last so: SLOW_DOWN 8$"):
        patiently(operation)
    assert operation.calls == len(patience.PAUSES) + 1
    with pytest.raises(PermissionError, match=r"^not yours$"):
        patiently(Failing(*slow[: len(patience.PAUSES)], PermissionError("not yours")))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6000)), max_size=30), st.integers(1, 900), st.booleans())
def test_reads_and_seeks_are_those_of_a_file(steps, ahead, wrapped):
    before, remote_file.AHEAD_BYTES = remote_file.AHEAD_BYTES, ahead
    try:
        ours = remote_file.RemoteFile(pa.BufferReader(DATA))
        read = pa.PythonFile(ours, mode="r") if wrapped else ours
        plain = io.BytesIO(DATA)
        for seek, number in steps:
            if seek:
                read.seek(number)
                plain.seek(number)
            else:
                assert read.read(number) == plain.read(number)
            assert read.tell() == plain.tell()
    finally:
        remote_file.AHEAD_BYTES = before


def test_reading_along_asks_seldom():
    class Counted:
        def __init__(self):
            self.asked = []

        def size(self):
            return len(DATA)

        def read_at(self, size, offset):
            self.asked.append((offset, size))
            return DATA[offset : offset + size]

        def close(self):
            pass

    file = Counted()
    with remote_file.RemoteFile(file) as ours:
        assert b"".join(iter(lambda: ours.read(10), b"")) == DATA
        assert ours.seek(-4, io.SEEK_END) == 4996
        assert bytearray(ours.readall()) == DATA[-4:]
    assert file.asked == [(0, 10), (10, 4990)]


REFUSED = "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Couldn't connect to server"


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in pauses; nobody has answered, and nothing was told."""
    now = [0.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(patience, "ANSWERED", patience.threading.Event())
    monkeypatch.setattr(patience, "_told", [float("-inf")])
    return now


def test_a_host_that_never_answered_is_told_soon_and_given_up(clock, caplog):
    operation = Failing(*[OSError(REFUSED)] * 20)
    with pytest.raises(OSError, match=r"^The object store has not answered for \d+ s: AWS Error .*Look at its address"):
        patiently(operation)
    assert 15 < clock[0] < 15 + 20  # the pause that it ends in
    assert [one.getMessage() for one in caplog.records] == [
        f"The object store is away; trying again for a minute or so: {REFUSED}"
    ]


def test_a_store_that_was_opened_has_not_answered_yet(clock, monkeypatch):
    monkeypatch.setattr(remote, "S3_ATTEMPTS", 1)
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the port of a service that is nowhere any more
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    remote.place("gs://that-is-nowhere/a")
    with pytest.raises(OSError, match=r"^The object store has not answered for \d+ s: .*onnect"):
        remote.info("s3://that-is-nowhere/a")
    assert 15 < clock[0] < 15 + 20  # the pause that it ends in


def test_a_host_that_answered_once_is_waited_for(clock, caplog):
    with pytest.raises(FileNotFoundError):
        patiently(Failing(FileNotFoundError("no such key")))
    assert patiently(Failing(*[OSError(REFUSED)] * len(patience.PAUSES))) == 7
    assert clock[0] > 30
    assert len(caplog.records) == 1


def test_what_passes_at_once_is_not_told(clock, caplog):
    assert patiently(Failing(OSError("SLOW_DOWN"), OSError(REFUSED))) == 7
    assert (clock[0] < 1, caplog.records) == (True, [])
