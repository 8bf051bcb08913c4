"""JSON Lines, Parquet, HTML files, and how sources are cut into slices."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import itertools
import json
import lzma
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.files.schema import DOCUMENTS
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.formats import FORMATS, Input, ReadError, Slice, Source, documents
from tokenladder.pipelines.formats import source as source_module
from tokenladder.pipelines.formats import streams as streams_module


def slices(source):
    files = source.list_files()
    return source.slices(files, source.root(files))


def read(path, fmt, **options):
    source = Source(fmt, path if isinstance(path, tuple) else str(path), **options)
    return [row for one in slices(source) for batch in documents(source, one) for row in batch.to_pylist()]


def lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def outcomes(rows):
    return [(row["outcome"], row["reason"]) if row["outcome"] else row["text"] for row in rows]


COMPRESSIONS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_jsonl(tmp_path, compress):
    rows = [{"text": "one", "id": 7, "date": "2024"}, {"text": "two"}]
    (tmp_path / "a.jsonl").write_bytes(compress(lines(rows[:1])) + compress(lines(rows[1:])))
    first, second = read(tmp_path / "a.jsonl", "jsonl")
    assert (first["text"], first["name"], first["date"], first["record"]) == ("one", "7", "2024", "a.jsonl:0")
    length = len(lines(rows[:1]))
    assert (second["text"], second["name"], second["record"]) == ("two", f"a.jsonl:{length}", f"a.jsonl:{length}")
    assert (first["bytes"], first["kind"]) == (length, None)


def test_jsonl_fields_can_be_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines([{"body": "x", "url": "u", "when": 2024}]))
    (row,) = read(tmp_path / "a.jsonl", "jsonl", text="body", id="url", date="when")
    assert (row["text"], row["name"], row["date"]) == ("x", "u", "2024")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", ("rejected", "not JSON")),
        (b"[" * 100_000, ("rejected", "not JSON")),
        (b"1" * 10_000, ("rejected", "not JSON")),
        (b"[1]", ("rejected", "not a JSON object")),
        (b'{"txt": "a"}', ("rejected", "no text field")),
        (b'{"text": 3}', ("rejected", "no text field")),
        (b'{"text": "\xff"}', ("rejected", "not UTF-8")),
        (b'{"text": "\\ud800a\\u0000b\\ud83d\\ude00"}', "\ufffda\ufffdb\U0001f600"),
        (b'{"text": "a", "id": "\\udfff"}', "a"),
        (b'{"text": " \\n"}', ("dropped", "empty text")),
        (b'\xef\xbb\xbf{"text": "a"}\r', "a"),
        (b'{"text": "' + b"x" * 900 + b'"}', ("rejected", "document over 800 bytes")),
        (b'{"text": "' + b"x" * 200_000 + b'"}', ("rejected", "line over 6400 bytes")),
    ],
)
def test_bad_lines_are_named_and_the_next_is_read(tmp_path, line, expected):
    (tmp_path / "a.jsonl").write_bytes(line + b'\n\n  \n{"text": "last"}')
    limit = {} if line[:1] in b"[1" else {"max_document": 800}
    assert outcomes(read(tmp_path / "a.jsonl", "jsonl", **limit)) == [expected, "last"]


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_a_truncated_stream_keeps_its_whole_lines(tmp_path, name):
    rows = [{"text": f"document {n} " + "".join(chr(97 + n * k % 26) for k in range(300))} for n in range(2000)]
    data = COMPRESSIONS[name](lines(rows))
    (tmp_path / "a.jsonl").write_bytes(data[: len(data) * 2 // 3])
    got = read(tmp_path / "a.jsonl", "jsonl")
    assert [row["text"] for row in got[:-1]] == [row["text"] for row in rows[: len(got) - 1]]
    assert outcomes(got[-1:]) == [("rejected", f"truncated {name}")]


def test_a_corrupt_stream_is_rejected_from_there(tmp_path):
    first, second = gzip.compress(lines([{"text": "a"}])), bytearray(gzip.compress(lines([{"text": "b"}])))
    second[-8:-4] = b"\0\0\0\0"  # the checksum
    (tmp_path / "a.jsonl.gz").write_bytes(first + bytes(second))
    assert outcomes(read(tmp_path / "a.jsonl.gz", "jsonl")) == ["a", ("rejected", "corrupt gzip")]


def test_one_long_line_does_not_fill_the_memory(tmp_path):
    import tracemalloc

    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"x" * 2**26 + b"\n" + lines([{"text": "b"}]), 1))
    tracemalloc.start()
    rows = read(tmp_path / "a.jsonl.gz", "jsonl", max_document=2**17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes(rows) == [("rejected", f"line over {2**20} bytes"), "b"]
    assert rows[0]["bytes"] == 2**26 + 1
    assert peak < 2**24


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text), max_size=20), st.data())
def test_jsonl_round_trip_in_any_pieces(tmp_path_factory, texts, data):
    folder = tmp_path_factory.mktemp("jsonl")
    content = b"".join(
        json.dumps({"text": text, "id": n}, ensure_ascii=data.draw(st.booleans())).encode() + b"\n"
        for n, text in enumerate(texts)
    )
    path = folder / "a.jsonl"
    path.write_bytes(content)
    source = Source("jsonl", str(path))
    whole = Input("a.jsonl", str(path), len(content), 0)
    cuts = sorted({0, len(content), *data.draw(st.lists(st.integers(0, len(content)), max_size=5))})
    pieces = [Slice((whole,), start, stop) for start, stop in itertools.pairwise(cuts)]
    rows = [row for piece in pieces for batch in documents(source, piece) for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == texts
    assert [row["name"] for row in rows] == [str(n) for n in range(len(texts))]


def test_sharding_changes_no_document(tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "SPLIT_BYTES", 4000)
    rows = [{"text": f"Document {n}. " * (n % 7 + 1)} for n in range(500)]
    (tmp_path / "big.jsonl").write_bytes(lines(rows))
    small = tmp_path / "small"
    for n in range(50):
        folder = small / str(n % 3)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.jsonl").write_bytes(lines(rows[n::50]))
    big = Source("jsonl", str(tmp_path / "big.jsonl"))
    assert len(slices(big)) == (tmp_path / "big.jsonl").stat().st_size // 4000
    assert len(slices(Source("jsonl", str(small)))) == 1
    ids = Counter(row["document"] for row in read(tmp_path / "big.jsonl", "jsonl"))
    assert ids == Counter(row["document"] for row in read(small, "jsonl"))
    assert sum(ids.values()) == 500


def table(kind):
    return pa.table({"text": pa.array(["one", None, "thrée", " "], pa.string()).cast(kind), "id": [1, 2, 3, 4]})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_parquet(tmp_path, kind):
    pq.write_table(table(kind), tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet", "parquet")
    assert outcomes(rows) == ["one", ("rejected", "no text field"), "thrée", ("dropped", "empty text")]
    assert [row["name"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["record"] for row in rows] == [f"a.parquet:{n}" for n in range(4)]
    assert [row["bytes"] for row in rows] == [3, 0, 6, 1]


def test_parquet_dictionary_dates_and_bad_bytes(tmp_path):
    data = pa.table(
        {
            "text": pa.array([b"a", b"\xff", b"a"]).dictionary_encode(),
            "date": pa.array([dt.datetime(2024, 1, 2, 3, 4), None, None]),  # noqa: DTZ001 as such files have them
        }
    )
    pq.write_table(data, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet", "parquet")
    assert outcomes(rows) == ["a", ("rejected", "not UTF-8"), "a"]
    assert [row["date"] for row in rows] == ["2024-01-02T03:04:00", None, None]


def test_parquet_is_split_by_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "SPLIT_BYTES", 2000)
    texts = [f"{n:05} " * 20 for n in range(1000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=100, compression=None)
    pieces = slices(Source("parquet", str(tmp_path / "a.parquet")))
    assert len(pieces) > 2
    assert [piece.start for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]
    rows = read(tmp_path / "a.parquet", "parquet")
    assert [row["text"] for row in rows] == texts
    assert [row["record"] for row in rows] == [f"a.parquet:{n}" for n in range(1000)]


def test_corrupt_parquet_gives_one_row(tmp_path, monkeypatch):
    pq.write_table(pa.table({"text": ["a" * 50] * 500}), tmp_path / "a.parquet")
    good = (tmp_path / "a.parquet").read_bytes()
    for bad, reason in [
        (b"", "empty file"),
        (good[:-7], "corrupt parquet"),
        (b"PAR1" + good, "corrupt parquet"),
        (good[:4] + b"\xff" * 30 + good[34:], "corrupt parquet"),
    ]:
        (tmp_path / "a.parquet").write_bytes(bad)
        assert outcomes(read(tmp_path / "a.parquet", "parquet")) == [("rejected", reason)]
    monkeypatch.setattr(source_module, "SPLIT_BYTES", 10)
    (tmp_path / "a.parquet").write_bytes(good[:-7])
    assert outcomes(read(tmp_path / "a.parquet", "parquet")) == [("rejected", "corrupt parquet")]
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    assert outcomes(read(tmp_path / "a.parquet", "parquet")) == [("rejected", "no text field")]


def test_html_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.html").write_bytes("<meta charset=latin1><p>Grüße.</p>".encode("latin-1"))
    (tmp_path / "a.html").write_bytes(b"")
    rows = read(tmp_path, "html")
    assert [(row["name"], row["kind"]) for row in rows] == [("a.html", "page"), ("b/x.html", "page")]
    assert outcomes(rows) == [("dropped", "empty text"), "Grüße."]
    assert read(tmp_path / "b" / "*.html", "html", extract="none")[0]["text"] == "<meta charset=latin1><p>Grüße.</p>"


def test_what_lies_beside_pages_is_no_page(tmp_path):
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
    files = {
        "a.CSS": (b"p { margin: 0 }", ("dropped", "not html")),
        "a.png": (picture, ("dropped", "binary")),
        "a.svg": (b"<svg><text>Red</text></svg>", ("dropped", "not html")),
        "b.html": (picture, ("dropped", "binary")),
        "c.html": (b"<html><p>A stray \0 NUL", "A stray NUL"),
        "d.html": ("<p>Wide".encode("utf-16"), "Wide"),
        "e.xml": (b"<?xml version='1.0'?><html><p>XHTML</p></html>", "XHTML"),
        "f": (b"<p>No suffix", "No suffix"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    assert outcomes(read(tmp_path, "html")) == [told for _, told in files.values()]


def test_names_that_are_not_utf8(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.html")).write_bytes(b"<p>Hello</p>")
    source = Source("html", str(tmp_path))
    (piece,) = slices(source)
    (batch,) = documents(source, Slice.from_json(piece.to_json()))
    assert (batch["name"].to_pylist(), batch["text"].to_pylist()) == (["caf\\xe9.html"], ["Hello"])


def test_two_copies_of_the_input_give_the_same_rows(tmp_path):
    for copy in ("x", "deep/er/y"):
        for part in ("p", "q"):
            folder = tmp_path / copy / part
            folder.mkdir(parents=True)
            (folder / "a.jsonl").write_bytes(lines([{"text": part}]))
    patterns = ["{}", "{}/**/*.jsonl", "{}/p/*|{}/q/*", "{}/q/a.jsonl|{}/p/a.jsonl"]
    for pattern in patterns:
        one, two = (
            read(tuple(pattern.replace("{}", str(tmp_path / copy)).split("|")), "jsonl") for copy in ("x", "deep/er/y")
        )
        assert one == two
        assert [row["record"] for row in one] == ["p/a.jsonl:0", "q/a.jsonl:0"]


def test_batches_are_bounded_and_in_the_schema(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": "a"}] * 9000))
    source = Source("jsonl", str(tmp_path / "a.jsonl"))
    (piece,) = slices(source)
    batches = list(documents(source, piece))
    assert [batch.num_rows for batch in batches] == [8192, 808]
    assert {batch.schema for batch in batches} == {DOCUMENTS}
    for batch in batches:
        batch.validate(full=True)


def test_a_lost_connection_stops_the_run(tmp_path, monkeypatch):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")

    class Lost:
        closed = False

        def __init__(self, inner):
            self.inner = inner

        def read(self, *_size):
            raise OSError(5, "connection lost")

        def __getattr__(self, name):
            return getattr(self.inner, name)

    opened = streams_module._open
    monkeypatch.setattr(streams_module, "_open", lambda path: Lost(opened(path)))
    with pytest.raises(ReadError, match=r"a\.parquet: reading failed: .*connection lost"):
        read(tmp_path / "a.parquet", "parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ()}, "path is empty. Give a file, a folder, a glob, or a list of them"),
        ({"max_document": 0}, "max_document is 0. Give bytes from 1 to 536870912"),
        ({"part_bytes": 0}, "part_bytes is 0. Give bytes from 1 to 2147483648"),
        ({"text": ""}, "text is empty. Name the field that holds the text"),
    ],
)
def test_settings_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=r"^" + message.replace(".", r"\.") + "$"):
        Source(**{"format": "jsonl", "path": "a.jsonl", **options})


def test_a_path_that_names_nothing(tmp_path):
    with pytest.raises(UserError, match=r"none\*: no such file\. Check the path, or write a glob of files such as"):
        Source("html", str(tmp_path / "none*")).list_files()


def test_identity_holds_what_changes_rows_and_not_the_path():
    assert Source("jsonl", "a").identity() == Source("jsonl", "b", extract="none").identity()
    assert Source("jsonl", "a").identity() != Source("jsonl", "a", text="body").identity()
    assert Source("warc", "a").identity() != Source("warc", "a", extract="none").identity()
    assert "resiliparse" in Source("tar", "a", inner="html").identity()
    assert json.loads(json.dumps(Source("warc", "a", extract="trafilatura").identity()))["trafilatura"]


def test_every_format_has_a_module():
    import importlib

    for module in FORMATS.values():
        assert callable(importlib.import_module(f"tokenladder.pipelines.formats.{module}").records)
