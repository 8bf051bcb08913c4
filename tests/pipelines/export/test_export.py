"""Exports read again: texts exact to the token, and tokens as other tools' own readers would see them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import types
from pathlib import Path

import little
import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.export.export import FORMATS, export
from tokenladder.pipelines.export.text import cut_text
from tokenladder.pipelines.files import store
from tokenladder.tokenizers.raw_bytes import ByteTokenizer

import naive

END = 256
RUNGS = ["all-1.28K", "all-4096"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two strata; what the largest rung cuts of the code ends inside a character."""
    folder = tmp_path_factory.mktemp("export")
    web = little.corpus(1, 60, prefix="w")
    code = [{"id": f"c{n}", "text": "x" + "é" * (200 + 7 * n)} for n in range(12)]
    sources = {
        name: little.write_jsonl(folder / f"{name}.jsonl", rows) for name, rows in (("web", web), ("code", code))
    }
    more = {
        "budgets": [20 * little.LENGTH, 64 * little.LENGTH],
        "shard_tokens": 11 * little.LENGTH,
        "held_out": {"tokens": 4 * little.LENGTH},
        "recipes": {"all": {"weights": {"web": 0.5, "code": 0.5}, "dedup": False}},
    }
    built = little.build(little.write_study(folder, sources, **more), folder / "out")
    built.originals = {little.document_id(row["text"]): row for row in [*web, *code]}
    return built


def rows(folder, said):
    """All rows of an export of texts."""
    found = []
    for one in said["files"]:
        data = (folder / one["path"]).read_bytes()
        if one["path"].endswith(".parquet"):
            found += pq.read_table(io.BytesIO(data)).to_pylist()
        else:
            found += [json.loads(line) for line in zstandard.ZstdDecompressor().decompress(data).splitlines()]
    return found


@pytest.mark.parametrize("form", ["jsonl.zst", "parquet"])
@pytest.mark.parametrize("rung", [0, 1])
def test_texts_are_exact_to_the_token(result, tmp_path, form, rung):
    said = export(str(result.out), RUNGS[rung], form, str(tmp_path / "to"))
    found = rows(tmp_path / "to", said)
    counts = said["texts"]
    left = cut = 0
    for stratum in ("code", "web"):
        mine = [row for row in found if row["stratum"] == stratum]
        expected = naive.documents_of(result.stream(stratum, rung=rung).tolist(), END)
        for row, tokens in zip(mine, expected, strict=True):
            original = result.originals[row["id"]]
            assert (row["source"], row["name"]) == (stratum, f"{stratum}.jsonl#{original['id']}"[-len(row["name"]) :])
            assert row["whole"] == (tokens[-1] == END)
            if row["whole"]:
                assert (row["text"], row["tokens"]) == (original["text"], len(tokens))
            else:
                # all of the tokens but those of a character that the cut goes through
                assert original["text"].startswith(row["text"])
                assert bytes(tokens).decode(errors="ignore") == row["text"]
                assert row["tokens"] == len(row["text"].encode())
                left, cut = left + len(tokens) - row["tokens"], cut + 1
    total = sum(row["tokens"] for row in found)
    assert counts == {
        "documents": len(found),
        "tokens": total,
        "left_out": left,
        "cut": cut,
        "as_read": len(found) - cut,
    }
    assert total + left == said["tokens"] == result.rungs()[RUNGS[rung].removeprefix("all-")]["tokens"]


def test_some_cut_goes_through_a_character(result, tmp_path):
    left = [
        export(str(result.out), rung, "parquet", str(tmp_path / rung))["texts"]["left_out"]
        for rung in [*RUNGS, "held_out"]
    ]
    assert any(left)


@pytest.mark.parametrize(
    ("text", "bytes_cut", "expected"),
    [
        ("ab", 0, ("ab", 2)),
        ("aé", 1, ("a", 1)),
        ("a日", 1, ("a", 1)),
        ("a😀", 1, ("a", 1)),
        ("a😀", 3, ("a", 1)),
        ("a\ufffd", 0, ("a\ufffd", 4)),  # the document's own
        ("a\ufffd", 1, ("a", 1)),
        ("a\ufffdé", 1, ("a\ufffd", 4)),
        ("", 0, ("", 0)),
    ],
)
def test_a_cut_text_ends_with_a_whole_character(text, bytes_cut, expected):
    data = text.encode()
    assert cut_text(ByteTokenizer(), np.frombuffer(data[: len(data) - bytes_cut], np.uint8)) == expected


def test_a_rungs_texts_are_the_beginning_of_the_nexts_but_for_what_is_cut(result, tmp_path):
    small, large = (
        [row["text"] for row in rows(tmp_path / rung, export(str(result.out), rung, "parquet", str(tmp_path / rung)))]
        for rung in RUNGS
    )
    whole = small[: len(small) - 2]
    assert [text for text in large[: len(whole)] if text in whole] == whole


def test_nanogpt_is_the_stream(result, tmp_path):
    said = export(str(result.out), RUNGS[1], "nanogpt", str(tmp_path / "to"))
    assert [one["path"] for one in said["files"]] == ["train.bin", "val.bin"]
    train = np.memmap(tmp_path / "to" / "train.bin", dtype=said["tokenizer"]["dtype"], mode="r")
    np.testing.assert_array_equal(train.reshape(-1, said["sequence_length"]), result.tokens()[0])
    held = np.fromfile(tmp_path / "to" / "val.bin", "<u2")
    assert len(held) == result.manifest["held_out"]["tokens"]
    texts = little.decoded(held[:-1], result.manifest)  # the last one may be cut inside a character
    assert {little.document_id(text) for text in texts[:-1]} <= set(result.held_out())


def read_megatron(folder, name):
    """Documents of an indexed dataset, read as Megatron-LM's `_IndexReader` and `_MMapBinReader` read one."""
    index = (folder / f"{name}.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, count, borders = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    lengths = np.frombuffer(index, np.int32, count, 34)
    pointers = np.frombuffer(index, np.int64, count, 34 + 4 * count)
    documents = np.frombuffer(index, np.int64, borders, 34 + 12 * count)
    assert len(index) == 34 + 12 * count + 8 * borders
    assert documents.tolist() == list(range(count + 1))
    data, dtype = (folder / f"{name}.bin").read_bytes(), {8: np.uint16, 4: np.int32}[code]
    return [np.frombuffer(data, dtype, n, at).tolist() for n, at in zip(lengths, pointers, strict=True)]


def test_megatron_has_a_sequence_for_each_document(result, tmp_path):
    said = export(str(result.out), RUNGS[1], "megatron", str(tmp_path / "to"))
    assert [one["path"] for one in said["files"]] == ["train.bin", "train.idx", "valid.bin", "valid.idx"]
    found = read_megatron(tmp_path / "to", "train")
    expected = [one for stratum in ("code", "web") for one in naive.documents_of(result.stream(stratum).tolist(), END)]
    assert sorted(found) == sorted(expected)
    assert sum(map(len, read_megatron(tmp_path / "to", "valid"))) == result.manifest["held_out"]["tokens"]


def test_megatron_has_wide_ids_as_int32(result, tmp_path, monkeypatch):
    wide = [np.array([70_000, 5, END], np.uint32), np.array([2**31 - 1], np.uint32)]
    from tokenladder.pipelines.ask.rungs import open_result
    from tokenladder.pipelines.export import tokens as export_tokens

    class Batch:
        offsets, tokens = np.array([0, 3, 4]), np.concatenate(wide)

    opened = open_result(str(result.out))
    object.__setattr__(opened.manifest.tokenizer, "dtype", "uint32")
    monkeypatch.setattr(export_tokens, "read_documents", lambda *_: iter([Batch()]))
    export_tokens.write_megatron(opened, opened.rung("held_out"), str(tmp_path))
    assert read_megatron(tmp_path, "train") == [one.tolist() for one in wide]
    monkeypatch.setattr(export_tokens, "LONGEST", 2)
    with pytest.raises(store.UserError, match="a document has 3 tokens; Megatron's files hold 2"):
        export_tokens.write_megatron(opened, opened.rung("held_out"), str(tmp_path))


class Written:
    """A streaming library that remembers what it was given, by folder."""

    def __init__(self):
        self.samples, self.forms, self.merged = {}, {}, []

    def mosaic(self):
        outer = self

        class MDSWriter:
            def __init__(self, out, columns):
                self.rows = outer.samples.setdefault(Path(out).name, [])
                outer.forms[Path(out).name] = columns
                self.out = Path(out)
                self.out.mkdir(parents=True)  # it must not be there

            def __enter__(self):
                return self

            def write(self, sample):
                self.rows.append(sample["tokens"].tolist())

            def __exit__(self, *_):
                (self.out / "index.json").write_text("{}")

        return types.SimpleNamespace(MDSWriter=MDSWriter)

    def litdata(self):
        outer = self

        class Cache:
            def __init__(self, folder, chunk_bytes, item_loader):
                self.folder, self.rows = Path(folder), outer.samples.setdefault(Path(folder).name, [])
                outer.forms[self.folder.name] = (chunk_bytes, item_loader)

            def __setitem__(self, number, tensor):
                assert number == len(self.rows)
                assert tensor.dtype == np.int32
                self.rows.append(tensor.tolist())

            def done(self):
                (self.folder / "chunk-0-0.bin").write_text("")

            def merge(self):
                (self.folder / "index.json").write_text("{}")

        return Cache


@pytest.mark.parametrize("form", ["mds", "litdata"])
def test_streaming_libraries_are_given_the_sequences_of_the_stream(result, tmp_path, monkeypatch, form):
    written = Written()
    monkeypatch.setitem(sys.modules, "streaming", written.mosaic())
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(from_numpy=lambda ids: ids))
    monkeypatch.setitem(sys.modules, "litdata", types.SimpleNamespace(TokensLoader=lambda block_size: block_size))
    monkeypatch.setitem(sys.modules, "litdata.streaming", types.SimpleNamespace(Cache=written.litdata()))
    said = export(str(result.out), RUNGS[1], form, str(tmp_path / "to"))
    assert written.samples["train"] == result.tokens()[0].tolist()
    assert len(written.samples["val"]) == result.manifest["held_out"]["sequences"]
    expected = {"mds": {"tokens": "ndarray:uint16:64"}, "litdata": ("64MB", 64)}[form]
    assert written.forms == {"train": expected, "val": expected}
    chunks = [] if form == "mds" else ["train/chunk-0-0.bin"]
    assert [one["path"] for one in said["files"]][: len(chunks) + 1] == [*chunks, "train/index.json"]


@pytest.mark.parametrize(("form", "module"), [("mds", "streaming"), ("litdata", "litdata")])
def test_a_streaming_library_that_is_not_installed(result, tmp_path, monkeypatch, form, module):
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(store.UserError, match=rf"--format {form}: needs a library .* 'tokenladder\[{form}\]'"):
        export(str(result.out), RUNGS[0], form, str(tmp_path / "to"))


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"mds", "litdata"}))
def test_an_export_is_the_same_bytes_again_and_done_once(result, tmp_path, form):
    first, second = (export(str(result.out), RUNGS[0], form, str(tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert little.differing(little.files(tmp_path / "one"), little.files(tmp_path / "two")) == []
    before = little.stamps(tmp_path / "one")
    assert export(str(result.out), RUNGS[0], form, str(tmp_path / "one")) == first
    assert little.stamps(tmp_path / "one") == before
    for one in first["files"]:
        data = (tmp_path / "one" / one["path"]).read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_an_interrupted_export_goes_on_and_another_is_refused(result, tmp_path, monkeypatch):
    from tokenladder.pipelines.export import export as module

    def fail(*_):
        raise OSError(28, "No space left on device")

    to = str(tmp_path / "to")
    monkeypatch.setitem(module.TOKENS, "nanogpt", fail)
    with pytest.raises(OSError, match="No space left"):
        export(str(result.out), RUNGS[0], "nanogpt", to)
    monkeypatch.undo()
    with pytest.raises(store.UserError, match=r"holds files of something else \(\.export\.json\)"):
        export(str(result.out), RUNGS[1], "nanogpt", to)
    export(str(result.out), RUNGS[0], "nanogpt", to)
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["export.json", "train.bin", "val.bin"]
    with pytest.raises(store.UserError, match=r"Name an empty or new folder for this export\."):
        export(str(result.out), RUNGS[0], "megatron", to)
    with pytest.raises(store.UserError, match="nanogpt is written to local disks only"):
        export(str(result.out), RUNGS[0], "nanogpt", "s3://bucket/x")


def test_the_command_says_what_was_written(result, tmp_path):
    call = ["export", str(result.out), RUNGS[1], "--out", str(tmp_path / "to"), "--format"]
    shown = CliRunner().invoke(cli, [*call, "jsonl.zst"])
    assert shown.exit_code == 0, shown.output
    assert "all-4096 as jsonl.zst: 6 files, " in shown.output
    assert "cut by the rung" in shown.output
    again = CliRunner().invoke(cli, [*call, "parquet"])
    assert (again.exit_code, "something else" in again.output) == (2, True)
    other = CliRunner().invoke(cli, [*call[:-2], str(tmp_path / "n"), "--format", "nanogpt"])
    assert "nanogpt: 2 files, " in other.output
    assert "4,096 tokens, ids below 257" in other.output
    held = ["export", str(result.out), "held_out", "--out", str(tmp_path / "h"), "--format", "nanogpt"]
    assert "held_out as nanogpt: 1 file, " in CliRunner().invoke(cli, held).output
    wrong = CliRunner().invoke(cli, [*call, "csv"])
    assert (wrong.exit_code, "'csv' is not one of" in wrong.output) == (2, True)
