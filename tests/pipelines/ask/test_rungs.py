"""Documents put together again from a result alone, against a stream cut by hand; and what is refused."""

from __future__ import annotations

import shutil

import little
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.ask.rungs import Names, open_result, read_documents
from tokenladder.pipelines.files import store
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages import keys
from tokenladder.pipelines.stages.ranges import copy_ranges

import naive

RANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 5)), max_size=6)


@given(st.lists(st.integers(0, 65535), min_size=15, max_size=20), RANGES)
def test_ranges_are_copied_as_by_hand(tokens, ranges):
    source = np.array(tokens, np.uint16)
    starts, places, lengths = np.array(ranges, np.int64).reshape(-1, 3).T
    out, expected = np.zeros(20, np.uint16), [0] * 20
    copy_ranges(source, starts, places, lengths, out)
    naive.copy_ranges(tokens, starts.tolist(), places.tolist(), lengths.tolist(), expected)
    assert out.tolist() == expected


@pytest.mark.parametrize(("start", "place", "length"), [(3, 0, 3), (0, 6, 3), (-1, 0, 1), (0, -1, 1), (0, 0, -1)])
def test_ranges_outside_are_refused(start, place, length):
    one = [np.array([value]) for value in (start, place, length)]
    with pytest.raises(ValueError, match="A range to copy lies outside 5 tokens or the 8 places for them"):
        copy_ranges(np.zeros(5, np.uint16), *one, np.zeros(8, np.uint16))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two strata, one of them repeated, documents longer than a shard, a held-out set."""
    folder = tmp_path_factory.mktemp("rungs")
    web = [*little.corpus(1, 60, prefix="w"), {"id": "long", "text": "größer " * 400}]
    code = [{"id": f"c{n}", "text": "é" * (20 + 7 * n)} for n in range(12)]
    sources = {
        name: little.write_jsonl(folder / f"{name}.jsonl", rows) for name, rows in (("web", web), ("code", code))
    }
    study = little.write_study(
        folder,
        sources,
        budgets=[20 * little.LENGTH, 121 * little.LENGTH],
        shard_tokens=11 * little.LENGTH,
        held_out={"tokens": 4 * little.LENGTH},
        recipes={"all": {"weights": {"web": 0.75, "code": 0.25}, "repeat": 9, "dedup": False}},
    )
    return little.build(study, folder / "out")


@pytest.mark.parametrize("rung", [0, 1])
def test_documents_are_the_streams_pieces(result, rung):
    opened = open_result(str(result.out))
    name = f"all-{list(result.rungs())[rung]}"
    batches = list(read_documents(opened, opened.rung(name)))
    assert len(batches) == len(opened.rung(name).shards)
    for stratum in ("code", "web"):
        found = [
            (keys.hexadecimal(batch.ids[n]), batch.tokens[batch.offsets[n] : batch.offsets[n + 1]].tolist())
            for batch in batches
            for n in range(len(batch.ids))
            if batch.strata[n] == stratum
        ]
        expected = naive.documents_of(result.stream(stratum, rung=rung).tolist(), 256)
        assert [tokens for _, tokens in found] == expected
        whole = [(one, bytes(tokens[:-1]).decode()) for one, tokens in found if tokens[-1] == 256]
        assert whole == [(little.document_id(text), text) for _, text in whole]
    assert sum(len(batch.tokens) for batch in batches) == opened.rung(name).tokens
    starts = [bool(start) for batch in batches for start in batch.starts]
    assert not any(starts)
    cut = [n for batch in batches for n in np.flatnonzero(~batch.whole)]
    assert len(cut) <= 2  # at most one for each stratum, all with the last shard
    assert all(batch.whole.all() for batch in batches[:-1])


def test_documents_come_in_the_order_in_which_they_end(result):
    opened = open_result(str(result.out))
    rung = opened.rung("all")
    ends = {}  # of each document's last piece, for each pass
    rows = result.documents().to_pylist()
    tokens = result.tokens()[0]
    for row in rows:
        if tokens[row["sequence"]][row["position"] + row["length"] - 1] == 256:
            ends.setdefault(row["document"].hex(), []).append((row["sequence"], row["position"]))
    found = [
        keys.hexadecimal(batch.ids[n]) for batch in read_documents(opened, rung) for n in np.flatnonzero(batch.whole)
    ]
    assert found == [one for _, one in sorted((at, one) for one, places in ends.items() for at in places)]


def test_binary_sequences_hold_the_same_documents(result, tmp_path):
    study = (result.out / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(f'input_ids = "binary"\n{study}')
    built = little.build(tmp_path / "study.toml", tmp_path / "out", store=result.out / ".store")
    assert [check for check in verify(str(built.out)) if not check.holds] == []
    opened = [open_result(str(one.out)) for one in (result, built)]
    for one, other in zip(*(read_documents(each, each.rung("all")) for each in opened), strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        assert (one.ids.tolist(), one.strata) == (other.ids.tolist(), other.strata)
    assert pq.read_schema(built.out / "shards/all/00000.parquet").field("input_ids").type == pa.binary(128)


def test_names_are_the_ledgers(result):
    opened = open_result(str(result.out))
    by_id = {row["document"]: (row["source"], row["name"]) for row in result.ledger()}
    for name in ("all", "held_out"):
        rung = opened.rung(name)
        names = Names(opened, rung)
        ids = np.concatenate([batch.ids for batch in read_documents(opened, rung)])
        assert names.of(ids) == [by_id[keys.hexadecimal(one)] for one in ids]
        assert names.of(np.zeros(1, keys.ID)) == [("", "")]


def test_rungs_by_name(result):
    opened = open_result(str(result.out))
    assert list(opened.rungs()) == ["all-1.28K", "all-7744", "held_out"]
    assert opened.rung("all") == opened.rung("all-7744")
    with pytest.raises(store.UserError, match=r"has no rung 'all-1.29K', did you mean 'all-1.28K'\?"):
        opened.rung("all-1.29K")


def test_what_is_no_result(tmp_path):
    with pytest.raises(store.UserError, match=r"holds no manifest\.json\. Give the folder of a finished build\."):
        open_result(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(store.UserError, match=r"manifest\.json: is no manifest of a build: Expecting"):
        open_result(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(store.UserError, match=r"not a manifest that this version reads \(name: Field required\)"):
        open_result(str(tmp_path))


def test_a_damaged_file_is_no_document(result, tmp_path):
    shutil.copytree(result.out, tmp_path / "out", ignore=shutil.ignore_patterns(".store"))
    opened = open_result(str(tmp_path / "out"))
    shard = tmp_path / "out" / opened.rung("all").shards[0].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(OSError, match=r"00000\.parquet: is not the file that was built\. Build the study again"):
        next(read_documents(opened, opened.rung("all")))


def test_another_tokenizer_is_refused(result, tmp_path):
    shutil.copytree(result.out, tmp_path / "out", ignore=shutil.ignore_patterns(".store"))
    study = tmp_path / "out" / "study.toml"
    study.write_text(study.read_text().replace('"bytes"', '"huggingface", "path" = "tokenizer.json"'))
    with pytest.raises(store.UserError, match=r"its tokenizer cannot be opened: .*tokenizer\.json"):
        open_result(str(tmp_path / "out")).tokenizer()
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"vocabulary_size": 257', '"vocabulary_size": 300'))
    study.write_text((result.out / "study.toml").read_text())
    with pytest.raises(store.UserError, match="not the tokenizer of this result, whose vocabulary has 300 ids"):
        open_result(str(tmp_path / "out")).tokenizer()
