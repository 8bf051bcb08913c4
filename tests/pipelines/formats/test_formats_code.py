"""Source code: trees, tar and zip archives."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections import Counter

import pytest
import zstandard

from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.formats import Source, documents
from tokenladder.pipelines.formats import streams as streams_module
from tokenladder.pipelines.formats import zip_files as zip_module
from tokenladder.pipelines.formats.code_files import LicenceFiles, kind
from tokenladder.pipelines.formats.file_types import file_type

FILES = {
    "LICENSE": b"Do what you like.",
    "src/a.py": b"x = 1\n",
    "src/lib/COPYING.txt": b"Copy.",
    "src/lib/b.rs": b"fn main() {}\n",
    "node_modules/m/index.js": b"y = 2\n",
    "run": b"#!/usr/bin/env python3\nz = 3\n",
    "image.bin": b"\x89PNG\r\n\x1a\n\0\0",
    "empty.py": b"",
    "latin.c": "/* Grüße */".encode("latin-1"),
    "bom.cs": b"\xef\xbb\xbfclass A {}",
    "wide.txt": "Breit ä".encode("utf-16"),
    "notes": b"Just text.",
}
EXPECTED = {
    "LICENSE": ("Do what you like.", None, "plain", "LICENSE"),
    "src/a.py": ("x = 1\n", "Python", "plain", "LICENSE"),
    "src/lib/COPYING.txt": ("Copy.", "Text", "plain", "src/lib/COPYING.txt"),
    "src/lib/b.rs": ("fn main() {}\n", "Rust", "plain", "src/lib/COPYING.txt"),
    "node_modules/m/index.js": ("y = 2\n", "JavaScript", "vendored", "LICENSE"),
    "run": ("#!/usr/bin/env python3\nz = 3\n", "Python", "plain", "LICENSE"),
    "image.bin": ("binary", None, None, "LICENSE"),
    "empty.py": ("empty text", None, None, "LICENSE"),
    "latin.c": ("not UTF-8", None, None, "LICENSE"),
    "bom.cs": ("class A {}", "C#", "plain", "LICENSE"),
    "wide.txt": ("Breit ä", "Text", "plain", "LICENSE"),
    "notes": ("Just text.", None, "plain", "LICENSE"),
}


def read(path, fmt, **options):
    source = Source(fmt, str(path), **options)
    files = source.list_files()
    pieces = source.slices(files, source.root(files))
    return [row for one in pieces for batch in documents(source, one) for row in batch.to_pylist()]


def seen(rows):
    return {r["name"]: (r["text"] or r["reason"], r["file_type"], r["kind"], r["licence"]) for r in rows}


def outcomes(rows):
    return [(row["outcome"], row["reason"]) if row["outcome"] else row["text"] for row in rows]


def plant(folder):
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def tar(members):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zipped(members):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def test_tree(tmp_path):
    rows = read(plant(tmp_path), "tree")
    assert seen(rows) == EXPECTED
    assert [row["name"] for row in rows] == sorted(FILES)
    assert {row["name"]: row["bytes"] for row in rows} == {name: len(data) for name, data in FILES.items()}


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_tar_reads_as_the_tree_does(tmp_path, compress):
    (tmp_path / "a.tar").write_bytes(compress(tar(dict(reversed(FILES.items())))))
    rows = read(tmp_path / "a.tar", "tar")
    assert seen(rows) == EXPECTED
    assert rows[-1]["record"] == "a.tar!LICENSE"


def test_zip_reads_as_the_tree_does(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(FILES))
    assert seen(read(tmp_path / "a.zip", "zip")) == EXPECTED


@pytest.mark.parametrize(("fmt", "pack"), [("tar", tar), ("zip", zipped)])
def test_archives_of_pages(tmp_path, fmt, pack):
    (tmp_path / "a").write_bytes(pack({"x/index.html": b"<p>Hello.</p>"}))
    (row,) = read(tmp_path / "a", fmt, inner="html")
    assert (row["text"], row["kind"], row["name"]) == ("Hello.", "page", "x/index.html")


def test_version_control_and_links_stay_out(tmp_path):
    (tmp_path / "outside").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / ".git").mkdir(parents=True)
    (root / ".git" / "config").write_bytes(b"[core]")
    (root / "a.py").write_bytes(b"x = 1")
    (root / "leaves").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "broken").symlink_to("nowhere")
    (root / "again.py").symlink_to("a.py")
    rows = read(root, "tree")
    assert [(row["name"], row["reason"]) for row in rows] == [
        ("a.py", None), ("again.py", "link"), ("broken", "link"), ("leaves", "link"), ("loop", "link"),
    ]  # fmt: skip
    assert {row["outcome"] for row in rows[1:]} == {"dropped"}


def test_what_is_excluded_is_not_listed(tmp_path):
    for name in ("a/x.py", "a/b/y.py", "a/b/z.js", "c.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def left(*exclude):
        source = Source("tree", str(tmp_path), exclude=tuple(f"{tmp_path}/{one}" for one in exclude))
        return [file.path.removeprefix(f"{tmp_path}/") for file in source.list_files()]

    assert left() == ["a/b/y.py", "a/b/z.js", "a/x.py", "c.js"]
    assert left("a/b", "gone") == ["a/x.py", "c.js"]
    assert left("**/*.js", "a/x.py") == ["a/b/y.py"]
    assert left("**/b") == left("*/b/") == ["a/x.py", "c.js"]  # a folder by its name alone
    assert left("a/*") == ["a/b/y.py", "a/b/z.js", "c.js"]
    idle = []
    both = tuple(f"{tmp_path}/{one}" for one in ("**/*.js", "c.js", "gone", "../*", "**/none"))
    Source("tree", str(tmp_path), exclude=both).list_files(idle)
    assert idle == [f"{tmp_path}/{one}" for one in ("gone", "../*", "**/none")]  # c.js is named, if twice
    with pytest.raises(UserError, match=f"{tmp_path}: exclude leaves no file of it. Exclude less."):
        left("**")
    with pytest.raises(ValueError, match="exclude has an empty path"):
        Source("tree", "a", exclude=("",))
    located = Source("tree", "a", exclude=("a/b", "/c")).located("/data")
    assert (located.paths, located.exclude) == (("/data/a",), ("/data/a/b", "/c"))
    assert Source("tree", "a", exclude="b").located("/data").exclude == ("/data/b",)


def test_the_nearest_licence_is_found_across_slices(tmp_path):
    (tmp_path / "LICENSE.md").write_bytes(b"Yes.")
    for n in range(5000):
        (tmp_path / f"f{n:04}.py").write_bytes(b"x")
    source = Source("tree", str(tmp_path))
    files = source.list_files()
    pieces = source.slices(files, source.root(files))
    assert [len(piece.files) for piece in pieces] == [4096, 905]
    (batch,) = documents(source, pieces[1])
    assert set(batch["licence"].to_pylist()) == {"LICENSE.md"}


def test_what_licence_files_say_goes_to_the_files_under_them(tmp_path):
    apache = b"Licensed under the Apache License, Version 2.0; see http://www.apache.org/licenses/LICENSE-2.0\n"
    files = {"LICENSE": apache, "a.py": b"x", "b/COPYING": b"All rights reserved.", "b/c.py": b"y"}
    wanted = {"LICENSE": "Apache-2.0", "a.py": "Apache-2.0", "b/COPYING": None, "b/c.py": None}
    for name, data in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    (tmp_path / "a.tar").write_bytes(tar(files))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    for path, fmt in (("tree", "tree"), ("a.tar", "tar"), ("a.zip", "zip")):
        assert {row["name"]: row["licence_id"] for row in read(tmp_path / path, fmt)} == wanted


def test_large_files_of_a_tree(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 5000)
    (tmp_path / "b.txt").write_bytes(b"x" * 9000)
    rows = read(tmp_path, "tree", max_document=1000)
    assert outcomes(rows) == [("rejected", "document over 1000 bytes")] * 2


def test_a_file_that_vanished_has_a_row(tmp_path):
    (tmp_path / "a.py").write_bytes(b"x")
    source = Source("tree", str(tmp_path))
    files = source.list_files()
    (piece,) = source.slices(files, source.root(files))
    (tmp_path / "a.py").unlink()
    (batch,) = documents(source, piece)
    assert batch["reason"].to_pylist() == ["file vanished"]


def hostile_tar():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, type_, link in [
            ("/etc/passwd", tarfile.REGTYPE, ""),
            ("../up.py", tarfile.REGTYPE, ""),
            ("a/../../b.py", tarfile.REGTYPE, ""),
            ("soft", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard", tarfile.LNKTYPE, "ok.py"),
            ("pipe", tarfile.FIFOTYPE, ""),
            ("disk", tarfile.BLKTYPE, ""),
            (".git/config", tarfile.REGTYPE, ""),
            ("folder", tarfile.DIRTYPE, ""),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, link
            archive.addfile(info)
        info = tarfile.TarInfo("ok.py")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"x = 1"))
    return sink.getvalue()


def test_hostile_members_of_a_tar(tmp_path):
    (tmp_path / "a.tar").write_bytes(hostile_tar())
    assert outcomes(read(tmp_path / "a.tar", "tar")) == [
        ("dropped", "absolute path"),
        ("dropped", "path with .."),
        ("dropped", "path with .."),
        ("dropped", "link"),
        ("dropped", "link"),
        ("dropped", "device"),
        ("dropped", "device"),
        "x = 1",
    ]


def test_hostile_members_of_a_zip(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    device = zipfile.ZipInfo("device")
    device.external_attr = (stat.S_IFCHR | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for member in ("/abs.py", "../up.py", "C:/x.py", link, device, "ok.py", "folder/"):
            archive.writestr(member, b"x = 1")
    assert outcomes(read(tmp_path / "a.zip", "zip")) == [
        ("dropped", "absolute path"),
        ("dropped", "path with .."),
        ("dropped", "absolute path"),
        ("dropped", "link"),
        ("dropped", "device"),
        "x = 1",
    ]


@pytest.mark.parametrize("packed", [True, False])
def test_a_tar_cut_anywhere_keeps_its_whole_members(tmp_path, packed):
    members = {f"{n}.py": f"x = {n}\n".encode() * (n * 40 + 1) for n in range(6)}
    whole = tar(members)
    data = gzip.compress(whole) if packed else whole
    for cut in range(0, len(data) - (8 if packed else 10_240), 13 if packed else 199):
        (tmp_path / "a.tar").write_bytes(data[:cut])
        rows = read(tmp_path / "a.tar", "tar")
        kept = [row for row in rows if row["text"]]
        assert {row["name"]: row["text"].encode() for row in kept} == dict(list(members.items())[: len(kept)])
        assert {row["reason"] for row in rows if not row["text"]} <= {
            "empty file", "corrupt tar", "truncated tar", "truncated gzip"
        }  # fmt: skip
        assert any(row["outcome"] == "rejected" for row in rows)


def test_damage_within_a_tar_is_not_taken_for_its_end(tmp_path):
    data = bytearray(tar({"a.py": b"x = 1", "b.py": b"y = 2", "c.py": b"z = 3"}))
    data[1024 : 1024 + 100] = b"?" * 100
    (tmp_path / "a.tar").write_bytes(data)
    assert outcomes(read(tmp_path / "a.tar", "tar")) == ["x = 1", ("rejected", "corrupt tar")]
    (tmp_path / "a.tar").write_bytes(tar({"a.py": b"x = 1"}) + tar({"b.py": b"y = 2"}))
    assert outcomes(read(tmp_path / "a.tar", "tar")) == ["x = 1", ("rejected", "data after the end of the archive")]


def test_a_tar_header_that_claims_a_huge_size_takes_no_memory(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "a.tar").write_bytes(tar({"a.py": b"x"})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert outcomes(read(tmp_path / "a.tar", "tar"))[0] == "x"
    assert outcomes(read(tmp_path / "a.tar", "tar"))[1][0] == "rejected"


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(streams_module, "BOMB_BYTES", 2**20)
    monkeypatch.setattr(zip_module, "BOMB_BYTES", 2**20)
    big = b"x\n" * 2**20
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar({"a.txt": b"a", "big.txt": big})))
    assert outcomes(read(tmp_path / "a.tar.gz", "tar"))[:1] == ["a"]
    assert outcomes(read(tmp_path / "a.tar.gz", "tar"))[-1] == ("rejected", "decompression bomb")
    (tmp_path / "a.zip").write_bytes(zipped({"a.txt": big, "b.txt": big, "c.txt": b"c"}))
    assert Counter(outcomes(read(tmp_path / "a.zip", "zip", max_document=2**17))) == {
        ("rejected", "document over 131072 bytes"): 2,
        "c": 1,
    }
    assert outcomes(read(tmp_path / "a.zip", "zip"))[-1] == ("rejected", "decompression bomb")


def test_damaged_zips(tmp_path):
    data = zipped({"a.py": b"x = 1\n" * 50, "b.py": b"y = 2"})
    for bad, expected in [
        (b"", [("rejected", "empty file")]),
        (data[:-30], [("rejected", "corrupt zip")]),
        (b"PK\x03\x04 no zip", [("rejected", "corrupt zip")]),
        (data.replace(b"a.py", b"c.py", 1), [("rejected", "corrupt zip member"), "y = 2"]),
    ]:
        (tmp_path / "a.zip").write_bytes(bad)
        assert outcomes(read(tmp_path / "a.zip", "zip")) == expected


def test_an_encrypted_member_is_named(tmp_path):
    data = bytearray(zipped({"a.py": b"x = 1"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    assert outcomes(read(tmp_path / "a.zip", "zip")) == [("rejected", "encrypted")]


@pytest.mark.parametrize(
    ("name", "text", "language"),
    [
        ("a/b.PY", "", "Python"),
        ("Makefile", "", "Makefile"),
        ("CMakeLists.txt", "", "CMake"),
        (".gitignore", "", "Ignore List"),
        (".py", "", None),
        ("x", "#!/bin/sh\n", "Shell"),
        ("x", "#! /usr/bin/env -S FOO=1 node --x", "JavaScript"),
        ("x", "#!/usr/bin/perl5.36 -w\n", "Perl"),
        ("x", "#!\n", None),
        ("lib.h", "", "C"),
        ("go.sum", "", "Go Checksums"),
        ("a.unknown", "", None),
    ],
)
def test_languages(name, text, language):
    assert file_type(name, text) == language


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("third_party/x.c", "", "vendored"),
        ("a/vendor/x.go", "", "vendored"),
        ("vendor", "", "plain"),
        ("a.go", "// Code generated by protoc. DO NOT EDIT.\n", "generated"),
        ("a.py", "# This file was automatically generated.\n", "generated"),
        ("a.py", "x" + "\n" * 2000 + "# do not edit", "plain"),
        ("Cargo.lock", "", "generated"),
        ("a.js", "var a=1;" * 500, "minified"),
        ("a.js", "var a = 1;\n" * 500, "plain"),
        ("a.md", "word " * 500, "plain"),
    ],
)
def test_kinds(path, text, expected):
    assert kind(path, text, file_type(path, text)) == expected


def test_licences():
    licences = LicenceFiles(["a/LICENSE-MIT", "a/LICENSE-APACHE", "a/b/x.py", "c/UNLICENSE", "c/licensing.md"])
    assert licences.nearest("a/b/x.py") == "a/LICENSE-APACHE"
    assert licences.nearest("c/d/e/f") == "c/UNLICENSE"
    assert licences.nearest("top.py") is None
    assert licences.among(["a/x", "c/y", "z"]) == ("a/LICENSE-APACHE", "c/UNLICENSE")
