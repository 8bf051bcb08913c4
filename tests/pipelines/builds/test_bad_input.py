"""Bad input through whole builds: each damage is a counted, named rejection, and everything else is kept."""

from __future__ import annotations

import bz2
import collections
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib

import little
import pytest
import zstandard

LENGTH = little.LENGTH


def rows(prefix="good", count=12, seed=81):
    return little.corpus(seed, count, prefix=prefix, words=(40, 90))


def lines(some):
    return "".join(json.dumps(row) + "\n" for row in some).encode()


def jsonl_with(name, data, good=0):
    """A folder of one good file and one bad one, which holds `good` documents before its damage."""

    def make(folder):
        little.write_jsonl(folder / "in" / "a.jsonl", rows())
        (folder / "in" / name).write_bytes(data)
        return {"format": "jsonl", "path": "in/*"}, 12 + good

    return make


def cut(data, share=0.7):
    return data[: int(len(data) * share)]


def flipped(data):
    """A byte in the middle is another one."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def parquet_with(change):
    def make(folder):
        little.write_parquet(folder / "in" / "a.parquet", rows())
        path = little.write_parquet(folder / "in" / "b.parquet", rows("bad", seed=82))
        path.write_bytes(change(path.read_bytes()))
        return {"format": "parquet", "path": "in/*"}, 12

    return make


def warc_with(*bad, compress=lambda data: gzip.compress(data, mtime=0), tail=b"", kept=0):
    """Good records around bad ones."""

    def make(folder):
        records = [little.warc_record(row) for row in rows()]
        records[6:6] = bad
        (folder / "crawl.warc.gz").write_bytes(b"".join(compress(record) for record in records) + tail)
        return {"format": "warc", "path": "crawl.warc.gz"}, 12 + kept

    return make


def page(body):
    return little.warc_record({"id": "bad", "text": ""}, body)


def tar_bytes(members, mode="w"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def zip_bytes(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def code(count=12):
    return [(f"pkg/{row['id']}.py", row["text"].encode()) for row in rows(count=count)]


def archive_with(kind, *files, kept=12):
    def make(folder):
        (folder / "in").mkdir()
        for n, data in enumerate(files):
            (folder / "in" / f"{n}.{kind}").write_bytes(data)
        return {"format": kind, "path": "in/*"}, kept

    return make


def link(name, target, kind):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return name, member


def tree(folder):
    little.write_tree(folder / "code", rows())
    (folder / "secret.py").write_text("outside = 1\n")
    (folder / "code" / "latin.py").write_bytes("name = 'Bärbel'  # Größe\n".encode("latin-1") * 9)
    (folder / "code" / "empty.py").write_bytes(b"")
    (folder / "code" / "loop").symlink_to(folder / "code")
    (folder / "code" / "out.py").symlink_to(folder / "secret.py")
    (folder / "code" / "broken.py").symlink_to("nowhere")
    (folder / "code" / "nul.bin").write_bytes(bytes(range(256)) * 16)
    with open(os.fsencode(folder / "code") + b"/n\xff.py", "wb") as file:  # noqa: PTH123 not a name in UTF-8
        file.write(b"fine = 'a name that is not UTF-8 is no fault of the text'\n")
    return {"format": "tree", "path": "code"}, 13


def vanished(folder):
    little.write_jsonl(folder / "in" / "a.jsonl", rows())
    (folder / "in" / "gone.jsonl").symlink_to("nowhere")
    return {"format": "jsonl", "path": "in/*"}, 12


def whole(decoder, data):
    """Lines that a damaged stream still holds whole."""
    return decoder.decompress(data).count(b"\n")


SIXTY = lines(rows("more", 60, seed=83))
GZIP_CUT, XZ_CUT = cut(gzip.compress(SIXTY)), cut(lzma.compress(SIXTY))
DEEP = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
OK = b"<html><body><p>A page that is good.</p></body></html>"

CASES = {
    "gzip, cut": (jsonl_with("b.jsonl.gz", GZIP_CUT, whole(zlib.decompressobj(31), GZIP_CUT)), {"truncated gzip": 1}),
    "gzip, damaged": (jsonl_with("b.jsonl.gz", flipped(gzip.compress(SIXTY))), {"corrupt gzip": 1}),
    "zstd, cut": (jsonl_with("b.jsonl.zst", cut(zstandard.compress(SIXTY))), {"truncated zstd": 1}),
    "bzip2, cut": (jsonl_with("b.jsonl.bz2", cut(bz2.compress(SIXTY))), {"truncated bzip2": 1}),
    "xz, cut": (jsonl_with("b.jsonl.xz", XZ_CUT, whole(lzma.LZMADecompressor(), XZ_CUT)), {"truncated xz": 1}),
    "empty file": (jsonl_with("b.jsonl", b""), {"empty file": 1}),
    "not UTF-8": (jsonl_with("b.jsonl", b'{"text": "\xff\xfe"}\n' + lines(rows("x", 2, 84)), 2), {"not UTF-8": 1}),
    "NUL and a lone surrogate are replaced": (jsonl_with("b.jsonl", b'{"text": "a\\u0000b\\ud800c"}\n', 1), {}),
    "NUL between lines": (jsonl_with("b.jsonl", b"\0\0\0\n" + lines(rows("x", 2, 84)), 2), {"not JSON": 1}),
    "deep JSON": (jsonl_with("b.jsonl", b"[" * 10**6 + b"\n" + lines(rows("x", 2, 84)), 2), {"not JSON": 1}),
    "a number of 9,000 digits": (
        jsonl_with("b.jsonl", b'{"text": "fine", "id": ' + b"9" * 9000 + b"}\n"),
        {"not JSON": 1},
    ),
    "vanished": (vanished, {"file vanished": 1}),
    "Parquet, cut": (parquet_with(cut), {"corrupt parquet": 1}),
    "Parquet, empty": (parquet_with(lambda _: b""), {"empty file": 1}),
    "Parquet, other column": (parquet_with(lambda data: data.replace(b"text", b"tixt")), {"no text field": 1}),
    "WARC, cut": (warc_with(tail=cut(gzip.compress(page(OK)))), {"truncated gzip": 1}),
    "WARC, cut and not compressed": (warc_with(compress=bytes, tail=cut(page(OK))), {"truncated record": 1}),
    "WARC, garbage between": (warc_with(b"garbage\r\n" * 9, compress=bytes), {"corrupt record": 1}),
    "WARC, deep HTML": (warc_with(page(DEEP)), {"nested deeper than 1000": 1}),
    "WARC, wrong charset": (warc_with(page("<p>Größe und Bärbel und noch mehr</p>".encode("utf-16")), kept=1), {}),
    "tar, cut": (archive_with("tar", tar_bytes(code()), cut(tar_bytes(code(3)), 0.1), kept=13), {"truncated tar": 1}),
    "tar.gz, cut": (
        archive_with("tar", tar_bytes(code()), cut(tar_bytes(code(3), "w:gz"), 0.2)),
        {"truncated gzip": 2},
    ),
    "tar, hostile members": (
        archive_with(
            "tar",
            tar_bytes(
                [
                    *code(),
                    ("/etc/absolute.py", b"a = 1"),
                    ("../outside.py", b"b = 2"),
                    link("pkg/link.py", "/etc/passwd", tarfile.SYMTYPE),
                    link("pkg/hard.py", "../outside.py", tarfile.LNKTYPE),
                    link("pkg/device", "", tarfile.CHRTYPE),
                ]
            ),
        ),
        {},
    ),
    "zip, cut": (archive_with("zip", zip_bytes(code()), cut(zip_bytes(code(3)))), {"corrupt zip": 1}),
    "zip, hostile members": (
        archive_with("zip", zip_bytes([*code(), ("/etc/absolute.py", b"a = 1"), ("../outside.py", b"b = 2")])),
        {},
    ),
    "tree": (tree, {"not UTF-8": 1}),
}
DROPPED = {
    "tar, hostile members": {"absolute path": 1, "path with ..": 1, "link": 2, "device": 1},
    "zip, hostile members": {"absolute path": 1, "path with ..": 1},
    "tree": {"link": 3, "empty text": 1, "binary": 1},
}


def build(folder, source, **settings):
    study = little.write_study(folder, {"in": source}, **{"max_rejected": 1.0, "budgets": [8 * LENGTH], **settings})
    return little.build(study, folder / "out")


def check_bins(result, good):
    """Every record is in one bin; the good documents are those that may be trained on. Returns the other bins."""
    ledger = result.ledger()
    told = result.manifest["recipes"]["all"]["counts"]["in"]
    outcomes = collections.Counter(row["outcome"] for row in ledger)
    assert {name: one["records"] for name, one in told["outcomes"].items() if one["records"]} == outcomes
    assert told["records"] == len(ledger) == result.manifest["counts"]["in"]["records"]
    assert result.manifest["counts"]["in"]["documents"] == good
    assert outcomes["kept"] + outcomes["over_budget"] + outcomes["duplicate"] == good
    assert all((row["document"] is None) == (row["outcome"] in {"dropped", "rejected"}) for row in ledger)
    reasons = {"dropped": collections.Counter(), "rejected": collections.Counter()}
    for row in ledger:
        if row["outcome"] in reasons:
            reasons[row["outcome"]][row["reason"]] += 1
    return reasons["dropped"], reasons["rejected"]


@pytest.mark.parametrize("case", CASES)
def test_each_damage_is_named_and_everything_else_is_kept(tmp_path, case):
    make, expected = CASES[case]
    source, good = make(tmp_path)
    assert check_bins(build(tmp_path, source), good) == (DROPPED.get(case, {}), expected)


def test_a_decompression_bomb_is_cut_off(tmp_path, monkeypatch):
    from tokenladder.pipelines.formats import streams, zip_files

    for module in (streams, zip_files):
        monkeypatch.setattr(module, "BOMB_BYTES", 2**20)
    bomb = b'{"text": "' + b"0" * 2**23 + b'"}\n'
    good = lines(rows())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(good))
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(good.replace(b"good", b"also") + bomb * 4))
    (tmp_path / "in" / "c.jsonl.zst").write_bytes(zstandard.compress(bomb * 4))
    source = {"format": "jsonl", "path": "in/*"}
    dropped, rejected = check_bins(build(tmp_path, source), 24)
    assert (dropped, rejected) == ({}, {"decompression bomb": 2})
    members = [*code(), ("large.py", b"0" * 2**23), ("bomb.py", b"0" * 2**23)]
    (tmp_path / "zip").mkdir()
    (tmp_path / "zip" / "in.zip").write_bytes(zip_bytes(members))
    result = build(tmp_path / "zip", {"format": "zip", "path": "in.zip"})
    assert check_bins(result, 13) == ({}, {"decompression bomb": 1})  # the first of both could be a document


def test_a_long_line_and_a_long_document_are_rejected_and_the_next_ones_kept(tmp_path):
    long = [{"id": "line", "text": "x" * 5000}, {"id": "document", "text": "y" * 700}]
    some = rows()
    little.write_jsonl(tmp_path / "a.jsonl", [some[0], long[0], *some[1:7], long[1], *some[7:]])
    result = build(tmp_path, {"format": "jsonl", "path": "a.jsonl", "max_document": 600})
    assert check_bins(result, 12) == ({}, {"line over 4800 bytes": 1, "document over 600 bytes": 1})


def test_more_damage_than_the_study_allows_stops_the_build_and_says_which(tmp_path):
    make, _ = CASES["gzip, damaged"]
    source, _ = make(tmp_path)
    with pytest.raises(Exception) as caught:
        build(tmp_path, source, max_rejected=0.01)
    assert type(caught.value).__name__ == "BuildError"
    assert str(caught.value).startswith("1 of 13 records are unreadable (7.7%), more than max_rejected = 0.01.")
    assert "corrupt gzip" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


BREAKS = """
import os, signal, time
from resiliparse.extract import html2text
extract = html2text.extract_plain_text
def breaking(text, *rest, **options):
    if "crash here" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang here" in text:
        time.sleep(600)
    if "raise here" in text:
        raise RuntimeError("as libraries do")
    return extract(text, *rest, **options)
html2text.extract_plain_text = breaking
"""
"""Imported by every interpreter that starts with it on its path: pages that break the extractor, as real ones have."""


def test_pages_that_crash_or_hang_the_extractor_cost_themselves_alone(tmp_path, monkeypatch):
    from tokenladder.pipelines.engines import isolate

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BREAKS)
    paths = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    children = isolate.Pool()
    monkeypatch.setattr(isolate, "POOL", children)
    monkeypatch.setitem(isolate.call.__kwdefaults__, "stall", 2.0)
    bad = [page(f"<p>{what} here, and some more words</p>".encode()) for what in ("crash", "hang", "raise")]
    source, good = warc_with(*bad)(tmp_path)
    study = little.write_study(tmp_path, {"in": source}, max_rejected=1.0, budgets=[8 * LENGTH])
    try:
        result = little.build(study, tmp_path / "out", beam=["--direct_num_workers=2"])
    finally:
        children.close()
    assert check_bins(result, good) == (
        {},
        {
            "extraction crashed (signal 11)": 1,
            "extraction timed out": 1,
            "extraction failed: RuntimeError": 1,
        },
    )
