"""WARC and WET files: whole, cut anywhere, damaged, hostile."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter, GzipWriter
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.formats import ReadError, Source, documents, records
from tokenladder.pipelines.formats import streams as streams_module


def page(words):
    return f"<html><body><p>{words} and a sentence after it.</p></body></html>".encode()


def record(number, body=None, *, kind="response", http="HTTP/1.1 200 OK", headers=None, warc=""):
    body = page(f"Page {number}") if body is None else body
    fields = {"Content-Type": "text/html; charset=utf-8", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    block = f"{http}\r\n{lines}\r\n".encode() + body if http else body
    media = "application/http; msgtype=response" if http else fields["Content-Type"]
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: 2024-01-0{number % 9 + 1}T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012}>\r\n"
        f"WARC-Target-URI: http://example.org/{number}\r\nContent-Type: {media}\r\n{warc}"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def read(path, fmt="warc", **options):
    source = Source(fmt, str(path), **options)
    files = source.list_files()
    slices = source.slices(files, source.root(files))
    return [row for one in slices for batch in documents(source, one) for row in batch.to_pylist()]


def write(folder, data, name="crawl.warc.gz"):
    path = folder / name
    path.write_bytes(data)
    return path


def one(folder, raw, **options):
    (row,) = read(write(folder, raw, "one.warc"), **options)
    return row


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress])
def test_every_record_has_the_offset_of_its_own_member(tmp_path, compress):
    members = [compress(record(n)) for n in range(2000)]  # several times what is decoded at once
    offsets = itertools.accumulate(map(len, members), initial=0)
    rows = read(write(tmp_path, b"".join(members), "a.warc"))
    assert [row["record"] for row in rows] == [f"a.warc:{at}" for at, _ in zip(offsets, members, strict=False)]


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress, zstandard.ZstdCompressor().compress])
def test_records_and_their_columns(tmp_path, compress):
    members = [compress(record(n)) for n in range(3)]
    offsets = [0, *itertools.accumulate(map(len, members))]
    rows = read(write(tmp_path, b"".join(members), "a.warc"))
    assert [row["text"] for row in rows] == [f"Page {n} and a sentence after it." for n in range(3)]
    assert [row["name"] for row in rows] == [f"http://example.org/{n}" for n in range(3)]
    assert [row["record"] for row in rows] == [f"a.warc:{offset}" for offset in offsets[:3]]
    assert {row["kind"] for row in rows} == {"page"}
    assert rows[1]["date"] == "2024-01-02T00:00:00Z"
    assert rows[0]["outcome"] is None


def test_what_fastwarc_writes_is_read(tmp_path):
    sink = io.BytesIO()
    writer = GzipWriter(sink)
    for number in range(20):
        made = WarcRecord()
        made.init_headers(WarcRecordType.resource, b"<urn:uuid:%036d>" % number)
        made.headers["WARC-Target-URI"] = f"http://example.org/{number}"
        made.headers["Content-Type"] = "text/html"
        made.set_bytes_content(page(f"Page {number}"))
        made.write(writer)
    writer.close()
    theirs = [(r.headers["WARC-Target-URI"], r.content_length) for r in ArchiveIterator(io.BytesIO(sink.getvalue()))]
    assert [(row["name"], row["bytes"]) for row in read(write(tmp_path, sink.getvalue()))] == theirs
    assert len(theirs) == 20


def test_one_gzip_member_for_the_whole_file(tmp_path):
    rows = read(write(tmp_path, gzip.compress(b"".join(map(record, range(5))))))
    assert [row["name"][-1] for row in rows] == list("01234")


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_cut_anywhere_gives_every_whole_record_before_the_cut(tmp_path, packed):
    members = [gzip.compress(record(n)) if packed else record(n) for n in range(3)]
    data = b"".join(members)
    ends = list(itertools.accumulate(map(len, members)))
    for cut in range(0, len(data), 7):
        rows = read(write(tmp_path, data[:cut]))
        whole = sum(end <= cut for end in ends)
        kept = [row["name"] for row in rows if row["text"]]
        lost = [row for row in rows if not row["text"]]
        assert kept[:whole] == [f"http://example.org/{n}" for n in range(whole)]
        assert len(kept) <= whole + 1  # a record that lacks only what follows its content is whole, too
        assert {row["outcome"] for row in lost} <= {"rejected"}
        assert {row["reason"] for row in lost} <= {
            "empty file", "corrupt record", "truncated record", "truncated gzip"
        }  # fmt: skip
        assert lost or len(kept) > whole or cut in ends or not packed


@pytest.mark.parametrize("packed", [True, False])
def test_reading_goes_on_behind_damage(tmp_path, packed):
    members = [gzip.compress(record(n), mtime=0) if packed else record(n) for n in range(5)]
    broken = bytearray(members[2])
    middle = len(broken) // 2 if packed else 3
    broken[middle : middle + 8] = b"\0" * 8
    rows = read(write(tmp_path, b"".join([*members[:2], bytes(broken), *members[3:]])))
    assert [row["name"][-1] for row in rows if row["text"]] == list("0134")
    (lost,) = [row for row in rows if not row["text"]]
    assert (lost["outcome"], lost["reason"]) == ("rejected", "corrupt gzip" if packed else "corrupt record")
    assert lost["record"] == f"crawl.warc.gz:{len(members[0]) + len(members[1])}"
    assert lost["bytes"] == len(broken)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_raises(tmp_path_factory, data):
    whole = b"".join(record(n) if data.draw(st.booleans()) else gzip.compress(record(n)) for n in range(3))
    start = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=40))
    rows = read(write(tmp_path_factory.mktemp("noise"), whole[:start] + noise + whole[start + len(noise) // 2 :]))
    assert all((row["text"] is None) == (row["outcome"] is not None) for row in rows)


@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        (record(1, http="HTTP/1.1 404 Not Found"), "dropped", "http status 404"),
        (record(1, kind="revisit"), "dropped", "revisit"),
        (record(1, kind="request"), "dropped", "warc request"),
        (record(1, b"a: b", kind="warcinfo", http="", headers={"Content-Type": "application/warc-fields"}),
         "dropped", "warc warcinfo"),
        (record(1, kind="metadata"), "dropped", "warc metadata"),
        (record(1, b"%PDF-1.4", headers={"Content-Type": "application/pdf"}), "dropped", "not html"),
        (record(1, warc="WARC-Identified-Payload-Type: image/png\r\n"), "dropped", "not html"),
        (record(1, b"\x89PNG\r\n\x1a\n\0\0", headers={"Content-Type": "application/octet-stream"}), "dropped",
         "not html"),
        (record(1, b" \n ", headers={"Content-Type": "text/plain"}), "dropped", "empty text"),
        (record(1, b"<html><body></body></html>"), "dropped", "empty text"),
        (record(1, http="no status line"), "rejected", "corrupt HTTP headers"),
        (record(1, headers={"Content-Encoding": "rot13"}), "rejected", "unknown content encoding"),
        (record(1, gzip.compress(page("x"))[:-9], headers={"Content-Encoding": "gzip"}), "rejected",
         "truncated gzip content"),
        (record(1, b"\x1f\x8b\x08nonsense" * 9, headers={"Content-Encoding": "gzip"}), "rejected",
         "corrupt gzip content"),
        (record(1, b"<div>" * 100_000), "rejected", "nested deeper than 1000"),
    ],
)  # fmt: skip
def test_records_without_a_document_are_named(tmp_path, raw, outcome, reason):
    row = one(tmp_path, raw)
    assert (row["text"], row["document"], row["outcome"], row["reason"]) == (None, None, outcome, reason)


def _brotli(data):
    sink = io.BytesIO()
    writer = BrotliWriter(sink)
    writer.write(data)
    writer.close()
    return sink.getvalue()


def _chunked(data):
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in (data[:7], data[7:])) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("encode", "headers"),
    [
        (gzip.compress, {"Content-Encoding": "gzip"}),
        (gzip.compress, {"Content-Encoding": "x-gzip"}),
        (zlib.compress, {"Content-Encoding": "deflate"}),
        (lambda data: zlib.compress(data, wbits=-15), {"Content-Encoding": "deflate"}),
        (_brotli, {"Content-Encoding": "br"}),
        (zstandard.ZstdCompressor().compress, {"Content-Encoding": "zstd"}),
        (_chunked, {"Transfer-Encoding": "chunked"}),
        (lambda data: _chunked(gzip.compress(data)), {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}),
        (bytes, {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}),  # decoded by the crawler already
    ],
)
def test_bodies_are_decoded(tmp_path, encode, headers):
    assert one(tmp_path, record(1, encode(page("Hello")), headers=headers))["text"] == "Hello and a sentence after it."


@pytest.mark.parametrize(
    ("encode", "name"),
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (_brotli, "br"), (zstandard.compress, "zstd")],
)
def test_a_bomb_in_the_content_encoding_is_cut_off(tmp_path, encode, name):
    row = one(tmp_path, record(1, encode(bytes(2**24)), headers={"Content-Encoding": name}), max_document=2**18)
    assert (row["outcome"], row["reason"]) == ("rejected", f"document over {2**21} bytes")


def test_a_bomb_as_the_file_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(streams_module, "BOMB_BYTES", 2**22)
    rows = read(write(tmp_path, gzip.compress(record(0)) + gzip.compress(record(1, bytes(2**24)))))
    assert [row["reason"] for row in rows] == [None, "decompression bomb"]


def test_records_over_the_limit_are_skipped_and_the_next_is_read(tmp_path):
    rows = read(write(tmp_path, record(0, b"x" * 9000) + record(1)), max_document=1000)
    assert [row["reason"] for row in rows] == ["record over 8000 bytes", None]
    assert rows[0]["bytes"] > 9000


def test_text_over_the_limit_is_rejected(tmp_path):
    row = one(tmp_path, record(0, page("word " * 300)), max_document=1000)
    assert (row["outcome"], row["reason"]) == ("rejected", "document over 1000 bytes")


def test_plain_text_is_kept_as_it_is(tmp_path):
    raw = record(1, "Grüße\n\nZwei".encode("latin-1"), headers={"Content-Type": "text/plain; charset=ISO-8859-1"})
    assert one(tmp_path, raw)["text"] == "Grüße\n\nZwei"


def test_wet(tmp_path):
    raw = record(7, b"Nur Text.", kind="conversion", http="", headers={"Content-Type": "text/plain"})
    (row,) = read(write(tmp_path, gzip.compress(raw), "a.warc.wet.gz"), "wet")
    assert (row["text"], row["name"], row["bytes"]) == ("Nur Text.", "http://example.org/7", 9)


def test_empty_and_vanished_files_have_a_row(tmp_path):
    assert read(write(tmp_path, b""))[0]["reason"] == "empty file"
    source = Source("warc", str(write(tmp_path, record(0), "b.warc")))
    files = source.list_files()
    (piece,) = source.slices(files, source.root(files))
    (tmp_path / "b.warc").write_bytes(record(0) * 2)
    assert [r.reason for r in records(piece, source)] == ["file changed since it was listed"]
    (tmp_path / "b.warc").unlink()
    assert [r.reason for r in records(piece, source)] == ["file vanished"]
    (tmp_path / "b.warc").mkdir()
    assert [r.reason for r in records(piece, source)] == ["a folder, not a file"]


class Lost:
    """A file whose connection breaks."""

    def __init__(self, inner, good):
        self.inner, self.good = inner, good

    def read(self, size=None):
        if self.inner.tell() >= self.good:
            raise OSError(5, "connection lost")
        return self.inner.read(size)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize("packed", [True, False])
def test_a_lost_connection_stops_the_run_and_names_the_file(tmp_path, monkeypatch, packed):
    raw = b"".join(record(n, bytes(range(256)) * 800) for n in range(5))
    path = write(tmp_path, gzip.compress(raw, 0) if packed else raw)
    opened = streams_module._open
    monkeypatch.setattr(streams_module, "_open", lambda path: Lost(opened(path), 200_000))
    with pytest.raises(ReadError, match=r"crawl\.warc\.gz: reading failed: .*connection lost"):
        read(path)


def test_a_permission_error_stops_the_run_and_names_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, record(0))

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(streams_module.store, "open_input", refuse)
    with pytest.raises(OSError, match=r"crawl\.warc\.gz: cannot be opened: .*Permission denied"):
        read(path)


def test_rejected_ordinals_are_not_extracted_and_progress_is_told(tmp_path):
    source = Source("warc", str(write(tmp_path, b"".join(map(record, range(3))))))
    files = source.list_files()
    (piece,) = source.slices(files, source.root(files))
    told = []
    (batch,) = documents(source, piece, reject={1: "crashed"}, at=told.append)
    assert batch["reason"].to_pylist() == [None, "crashed", None]
    assert batch["outcome"].to_pylist() == [None, "rejected", None]
    assert told == [0, 1, 2, 3]


def test_an_extractor_that_raises_rejects_its_record_alone(tmp_path, monkeypatch):
    import tokenladder.pipelines.formats.extract as extract_module

    def fails(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(extract_module, "extract_plain_text", fails)
    assert one(tmp_path, record(0))["reason"] == "extraction failed: MemoryError"
