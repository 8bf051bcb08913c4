"""Near duplicates in Parquet files without a study: clusters as a build has them, and files that stay whole."""
# ruff: noqa: S311 documents drawn at random are no secrets

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import random

import little
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import minhash
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.drivers import deduplicate
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import dedup_files, keys, leaders
from tokenladder.pipelines.watch.progress import Reporter

import naive

QUIET = Reporter(quiet=True)


def page(seed, words=120):
    """A text of words that no other seed has."""
    return " ".join(f"w{seed}x{random.Random(seed * 1000 + n).randrange(60)}" for n in range(words))


def near_copy(text, seed):
    """The text with two words changed."""
    words = text.split()
    for n in random.Random(seed).sample(range(len(words)), 2):
        words[n] = f"new{seed}"
    return " ".join(words)


def corpus():
    """Thirty pages, near copies of ten of them, exact copies of five, an empty text, two of spaces, and two nulls."""
    pages = [page(n) for n in range(30)]
    return [*pages, *(near_copy(pages[n], n) for n in range(10)), *pages[10:15], "", "  ", "  ", None, None]


def write(folder, texts, cuts=(17, 33), **columns):
    """The texts as files of a folder, with ids; returns the folder."""
    folder.mkdir(parents=True)
    table = pa.table({"id": [f"d{n}" for n in range(len(texts))], "text": pa.array(texts, pa.string()), **columns})
    for n, (start, stop) in enumerate(itertools.pairwise([0, *cuts, len(texts)])):
        pq.write_table(table.slice(start, stop - start), folder / f"{n}.parquet", row_group_size=7)
    return folder


def run(folder, out, near=None, outcome="removed", workers=2):
    return deduplicate.deduplicate(
        [str(folder)], str(out), near or deduplicate.Near(), outcome, workers=workers, report=QUIET
    )


def read(out, column="id"):
    files = sorted(path for path in out.rglob("*.parquet") if path.name != dedup_files.DUPLICATES)
    return [value for path in files for value in pq.read_table(path).column(column).to_pylist()]


def test_near_and_exact_copies_go_and_all_else_stays(tmp_path):
    texts = corpus()
    summary = run(write(tmp_path / "in", texts), tmp_path / "out")
    kept = read(tmp_path / "out")
    assert len(kept) == len(texts) - 16
    for original, copy in [*((n, 30 + n) for n in range(10)), *((10 + n, 40 + n) for n in range(5))]:
        assert (f"d{original}" in kept) + (f"d{copy}" in kept) == 1
    assert {f"d{n}" for n in range(15, 30)} | {"d45", "d48", "d49"} <= set(kept)
    assert (summary["documents"], summary["duplicates"], summary["clusters"]) == (50, 16, 16)
    assert summary["without_text"] == 2
    assert summary == store.read_json(str(tmp_path / "out" / dedup_files.SUMMARY))


def test_the_list_names_each_duplicate_and_its_leader(tmp_path):
    texts = corpus()
    run(write(tmp_path / "in", texts), tmp_path / "out", outcome="listed")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dedup.json", "duplicates.parquet"]
    starts = {"0.parquet": 0, "1.parquet": 17, "2.parquet": 33}
    rows = pq.read_table(tmp_path / "out" / dedup_files.DUPLICATES).to_pylist()
    pairs = {
        (starts[row["file"]] + row["row"], starts[row["leader_file"]] + row["leader_row"]): row["similarity"]
        for row in rows
    }
    assert len(pairs) == 16
    for (one, other), similarity in pairs.items():
        sets = [set(naive.elements(texts[n], "words", 5)) for n in (one, other)]
        expected = 1 if texts[one] == texts[other] else naive.set_jaccard(*sets, None)
        assert similarity == pytest.approx(expected, abs=0.15)
    assert {row["cluster_size"] for row in rows} == {2}


def test_marks_say_what_the_list_says_and_keep_every_row(tmp_path):
    texts = corpus()
    source = write(tmp_path / "in", texts)
    run(source, tmp_path / "marked", outcome="marked")
    run(source, tmp_path / "removed")
    out = tmp_path / "marked"
    assert read(out) == [f"d{n}" for n in range(len(texts))]
    duplicate = dict(zip(read(out), read(out, "duplicate"), strict=True))
    assert [one for one, gone in duplicate.items() if not gone] == read(tmp_path / "removed")
    clusters = read(out, "cluster")
    assert clusters[-2:] == [None, None]
    assert len(set(clusters[:-2])) == 32
    assert clusters[0] == clusters[30]
    assert len(clusters[0]) == 32
    assert read(out, "cluster_size")[-5:] == [1, 2, 2, None, None]


def test_rows_metadata_and_compression_stay(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    table = pa.table({"text": ["a b c"] * 3, "n": pa.array([[1], None, [2, 3]], pa.list_(pa.int8()))})
    table = table.replace_schema_metadata({"huggingface": "{}", "kept": "yes"})
    pq.write_table(table, folder / "a.parquet", compression="zstd")
    run(folder, tmp_path / "out")
    found = pq.ParquetFile(tmp_path / "out" / "a.parquet")
    assert found.read().equals(table.slice(0, 1))
    assert found.schema_arrow.metadata == table.schema.metadata
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    run(folder, tmp_path / "marked", outcome="marked")
    assert pq.read_schema(tmp_path / "marked" / "a.parquet").metadata == {b"kept": b"yes"}


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_text_may_have_any_type_of_strings(tmp_path, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [page(1), page(2), page(1), None]
    pq.write_table(pa.table({"body": pa.array(texts).cast(kind)}), folder / "a.parquet")
    summary = run(folder, tmp_path / "out", deduplicate.Near(text="body"))
    assert summary["duplicates"] == 1
    assert pq.read_table(tmp_path / "out" / "a.parquet").num_rows == 3


@little.few(12)
@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_neither_order_nor_files_nor_threads_decide_who_stays(tmp_path_factory, order, workers):
    folder = tmp_path_factory.mktemp("orders")
    texts = corpus()[:45]
    order.shuffle(texts)
    cuts = sorted(order.sample(range(1, 45), 3))
    run(write(folder / "in", texts, cuts), folder / "out", workers=workers)
    assert sorted(read(folder / "out", "text")) == sorted(_survivors())


def _survivors():
    """Of the fixed corpus, by the leaders that a build has."""
    texts = sorted(set(corpus()[:45]))
    score = minhash.MinHash()
    batch = pa.record_batch({"text": texts})
    signatures = minhash.signature_matrix(score.score(batch).column("signature"))
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    order = np.argsort(np.array(digests, "S16"))
    ids = keys.id_array(pa.array(digests, pa.binary(16)))[order]
    component = np.zeros(len(ids), np.uint64)
    nobody = np.zeros(len(ids), bool)
    found, _ = leaders.leader_clusters(component, ids, nobody, signatures[order], score.bands, score.rows, 0.7)
    return [texts[order[n]] for n in range(len(ids)) if found[n] == n]


def test_large_components_are_compared_in_slices(tmp_path, monkeypatch):
    source = write(tmp_path / "in", corpus())
    run(source, tmp_path / "whole", outcome="marked")
    monkeypatch.setattr(deduplicate, "_CHUNK_BYTES", 3 * 4 * 108)
    monkeypatch.setattr(deduplicate, "_FOLD", 2)
    monkeypatch.setattr(dedup_files, "_GROUP_BYTES", 1)
    run(source, tmp_path / "sliced", outcome="marked")
    for name in ("0.parquet", "1.parquet", "2.parquet"):
        assert pq.read_table(tmp_path / "whole" / name).equals(pq.read_table(tmp_path / "sliced" / name))


def test_an_empty_file_gives_an_empty_file(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "a.parquet")
    assert run(folder, tmp_path / "out")["documents"] == 0
    assert pq.read_table(tmp_path / "out" / "a.parquet").schema.names == ["text"]


def test_a_second_run_writes_its_own_folder_anew_and_no_other(tmp_path):
    source = write(tmp_path / "in", corpus())
    run(source, tmp_path / "out")
    assert run(source, tmp_path / "out")["duplicates"] == 16
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(store.UserError, match=r"mine: holds files of something else\. Give a new folder with --out"):
        run(source, tmp_path / "mine")


def test_what_is_wrong_with_the_input_is_said(tmp_path):
    source = write(tmp_path / "in", ["a", "b"], cuts=(1,))
    with pytest.raises(store.UserError, match=r"nothing: no Parquet files are there\. Give files \*\.parquet, folders"):
        run(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(
        store.UserError, match=r"0\.parquet: has no column 'body', but id, text\. Name the text's with --text"
    ):
        run(source, tmp_path / "out", deduplicate.Near(text="body"))
    with pytest.raises(store.UserError, match=r"0\.parquet: is below the folder of the output"):
        run(source, tmp_path / "in")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(store.UserError, match=r"a\.parquet: is no Parquet file, or a damaged one"):
        run(tmp_path / "bad", tmp_path / "out")
    numbers = write(tmp_path / "numbers", ["a", "b"], cuts=(1,), n=[1, 2])
    with pytest.raises(store.UserError, match=r"0\.parquet: .*'n' as text, but it holds int64"):
        run(numbers, tmp_path / "out2", deduplicate.Near(text="n"))
    taken = write(tmp_path / "taken", ["a", "b"], cuts=(1,), cluster=[1, 2])
    with pytest.raises(store.UserError, match=r"has a column 'cluster', as the marks would\. Rename it first"):
        run(taken, tmp_path / "out3", outcome="marked")
    (tmp_path / "named").mkdir()
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "named" / "duplicates.parquet")
    with pytest.raises(store.UserError, match=r"the list of duplicates would have this name"):
        run(tmp_path / "named", tmp_path / "out4")


def test_parameters_are_checked():
    with pytest.raises(store.UserError, match=r"threshold: is a Jaccard similarity above 0, at most 1; 1\.5 was given"):
        deduplicate.Near(threshold=1.5)
    with pytest.raises(store.UserError, match="bands must be from 1"):
        deduplicate.Near(bands=0)


def test_the_command_says_what_it_found(tmp_path):
    source = write(tmp_path / "in", corpus())
    out = tmp_path / "out"
    found = CliRunner().invoke(cli, ["dedup", str(source), "--out", str(out), "--mark", "--quiet", "--workers", "1"])
    assert found.exit_code == 0, found.output
    line = "50 documents in 3 files: 16 near duplicates (32.0 %) in 16 clusters, the largest of 2"
    assert found.output.splitlines() == [f"{line}; 2 rows without text stay", str(out)]
    found = CliRunner().invoke(cli, ["dedup", str(source), "--out", f"{out}2", "--json", "--quiet", "--list"])
    assert json.loads(found.stdout)["duplicates"] == 16
    found = CliRunner().invoke(cli, ["dedup", str(source), "--out", str(out), "--mark", "--list"])
    assert found.exit_code == 2
    assert "--mark and --list exclude each other" in found.output


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["s3://b/crawl/1.parquet", "s3://b/crawl/2.parquet"], ["1.parquet", "2.parquet"]),
        (["s3://b/x/1.parquet", "s3://c/x/1.parquet"], ["b/x/1.parquet", "c/x/1.parquet"]),
        (["/in/a b/1%20.parquet", "/in/a/1.parquet"], ["a b/1%20.parquet", "a/1.parquet"]),
        (["/in/a/1.parquet"], ["1.parquet"]),
    ],
)
def test_names_in_the_output(tmp_path, monkeypatch, paths, expected):
    file = str(write(tmp_path / "in", ["a"], cuts=()) / "0.parquet")
    opened = store.open_input
    monkeypatch.setattr(store, "list_files", lambda pattern: [store.File(pattern, 1, 0)])
    monkeypatch.setattr(store, "open_input", lambda _: opened(file))
    assert [one.name for one in dedup_files.open_inputs(paths, "text")] == expected


@pytest.mark.parametrize("value", [["x"], {"a": "x"}])
def test_views_inside_other_columns_are_filtered(tmp_path, value):
    folder = tmp_path / "in"
    folder.mkdir()

    def viewed(kind):
        if pa.types.is_list(kind):
            return pa.list_(viewed(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([field.with_type(viewed(field.type)) for field in kind])
        return pa.string_view()

    column = pa.array([value, None, value])
    table = pa.table({"text": ["a b", "a b", "c d"], "v": column.cast(viewed(column.type))})
    pq.write_table(table, folder / "a.parquet")
    run(folder, tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "a.parquet")
    assert found.schema.equals(table.schema)
    assert found.to_pylist() == [table.to_pylist()[0], table.to_pylist()[2]]


def test_a_column_of_types_that_names_no_languages(tmp_path):
    views = pa.array(["Text", "Text"], pa.string_view())
    assert run(write(tmp_path / "views", ["a b", "a b"], cuts=(), file_type=views), tmp_path / "out")["duplicates"] == 1
    numbers = write(tmp_path / "numbers", ["a b", "a b"], cuts=(), file_type=[1, 2])
    with pytest.raises(store.UserError, match=r"0\.parquet: .*'file_type'.* but it holds int64.* give --unit words"):
        run(numbers, tmp_path / "out2")
    assert run(numbers, tmp_path / "out2", deduplicate.Near(unit="words"))["duplicates"] == 1


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    source = write(tmp_path / "in", [page(n) for n in range(40)], cuts=())
    path = source / "0.parquet"
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = bytes(len(data) // 2 - 100)
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"in/0\.parquet: is damaged, or cannot be read: "):
        run(source, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".tmp-*"))


def test_two_columns_of_the_texts_name(tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.Table.from_arrays([["a"], ["b"]], ["text", "text"]), tmp_path / "in" / "a.parquet")
    with pytest.raises(store.UserError, match=r"a\.parquet: has several columns 'text'\. Rename all but the text's"):
        run(tmp_path / "in", tmp_path / "out")


def test_files_of_an_earlier_run_on_other_input_do_not_stay_beside_the_new_ones(tmp_path):
    source = write(tmp_path / "in", corpus())
    run(source, tmp_path / "out")
    with pytest.raises(store.UserError, match=r"out/0\.parquet: is of an earlier run, and would stay beside"):
        run(source / "1.parquet", tmp_path / "out")
    with pytest.raises(store.UserError, match="is of an earlier run"):
        run(source, tmp_path / "out", outcome="listed")


def test_what_a_run_that_was_killed_left_is_swept(tmp_path):
    source = write(tmp_path / "in", corpus())
    left = tmp_path / "out" / store.temporary_name("signatures-").replace(f"@{os.getpid()}-", f"@{2**22 + 1}-")
    left.mkdir(parents=True)
    (left / "signatures").write_bytes(b"x")
    run(source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "0.parquet",
        "1.parquet",
        "2.parquet",
        "dedup.json",
        "duplicates.parquet",
    ]


def test_a_disk_without_room_for_the_signatures(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    source = write(tmp_path / "in", ["a"], cuts=())
    with pytest.raises(OSError, match=r"signatures of 1 documents take 0\.0 GB .* no room for them \(No space left"):
        run(source, tmp_path / "out")
