"""Long documents cut into pieces with places of their own, so that none fills more than so many sequences in a row."""

from __future__ import annotations

import json

import little
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.ask.decode import decode
from tokenladder.pipelines.ask.rungs import open_result, read_documents
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.models.tokenizer_texts import of_rung
from tokenladder.pipelines.models.train_tokenizer import count_tokens
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages import pieces
from tokenladder.pipelines.study.file import StudyError, load

import naive

MOST = 2 * little.LENGTH


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 400), st.integers(1, 1000)), max_size=20),
    st.integers(0, 90),
)
def test_pieces_equal_the_slow_twin_and_none_comes_before_the_earliest(documents, most):
    priority, text_bytes, tokens = (np.array([row[n] for row in documents], np.uint64) for n in range(3))
    text_bytes, tokens = text_bytes.astype(np.int64), tokens.astype(np.int64)
    found = pieces.cut(priority, text_bytes, tokens, most)
    expected = [
        (n, start, length, at)
        for n, (own, size, count) in enumerate(documents)
        for start, length, at in naive.pieces(own, size, count, most)
    ]
    columns = (found.index, found.start, found.tokens, found.priority)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    least = pieces.earliest(priority, text_bytes, most)
    assert (least[found.index] <= found.priority).all()
    if most:
        assert least.tolist() == [
            min(at for _, _, at in naive.pieces(own, size, size + 2, most)) for own, size, _ in documents
        ]


@pytest.fixture(scope="module")
def rows():
    return {
        "web": little.corpus(1, 40, prefix="w", words=(5, 500), copies=4),
        "code": little.corpus(2, 40, prefix="c", words=(5, 60)),
    }


def study_of(folder, rows, **more):
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", those) for name, those in rows.items()}
    settings = {"budgets": [10 * little.LENGTH, 150 * little.LENGTH], "max_document_sequences": 2}
    return little.write_study(folder, sources, **{**settings, **more})


def pieces_of(texts):
    """(text, start) of the pieces of some texts in the order of the stream."""
    every = [
        (at, little.document_id(text), start, text.encode() + b"\0")
        for text in texts
        for start, _, at in naive.pieces(little.priority(text), len(text.encode()), len(text.encode()) + 1, MOST)
    ]
    return [(data[start : start + MOST], start) for _, _, start, data in sorted(every)]


@pytest.fixture(scope="module")
def built(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("pieces")
    more = {"recipes": {"all": {"weights": {"web": 0.75, "code": 0.25}}}}
    more["curricula"] = {"short": {"recipe": "all", "rung": 150 * little.LENGTH, "sort": "bytes"}}
    more["curricula"]["mixed"] = {"recipe": "all", "rung": 150 * little.LENGTH, "order": "random", "mixed": True}
    return more, little.build(study_of(folder, rows, **more), folder / "out")


def test_the_stream_of_a_stratum_is_its_pieces_by_their_own_priorities(rows, built):
    result = built[1]
    stream = bytes(np.where(result.stream("web") == 256, 0, result.stream("web")).tolist())
    texts = {row["text"] for row in rows["web"]}
    expected = pieces_of(texts)
    assert stream == b"".join(data for data, _ in expected)[: len(stream)]
    started = [start for _, start in expected[: len(expected) // 2]]
    assert max(started) > 2 * MOST  # a later piece before most documents
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []
    assert result.manifest["max_document_sequences"] == 2


def test_no_document_fills_more_than_so_many_sequences_in_a_row(built):
    table = built[1].documents()
    offsets, lengths = table.column("offset").to_numpy(), table.column("length").to_numpy()
    assert ((offsets % MOST) + lengths <= MOST).all()
    assert (offsets >= MOST).any()
    starts = built[1].shards().column("document_starts").to_pylist()
    assert sum(len(one) for one in starts) == (offsets % MOST == 0).sum()


def test_other_parts_and_workers_give_the_same_bytes(rows, built, tmp_path):
    more, result = built
    dealt = {
        "code": {"format": "jsonl", "path": str(tmp_path / "code*.jsonl")},
        "web": {"format": "jsonl", "path": str(tmp_path / "web*.jsonl")},
    }
    for name, those in rows.items():
        for n in range(3):
            little.write_jsonl(tmp_path / f"{name}{n}.jsonl", those[n::3][::-1])
    study = little.write_study(
        tmp_path, dealt, budgets=[10 * little.LENGTH, 150 * little.LENGTH], max_document_sequences=2, **more
    )
    other = little.build(study, tmp_path / "out")
    for folder in ("shards", "documents", "curricula"):
        assert little.differing(little.files(result.out / folder), little.files(other.out / folder)) == []


def test_a_smaller_ladder_encodes_less_and_is_the_beginning_of_the_larger_one(rows, built, tmp_path):
    more = {"recipes": built[0]["recipes"], "budgets": [10 * little.LENGTH]}
    small = little.build(study_of(tmp_path, rows, **more), tmp_path / "out")
    assert np.array_equal(small.tokens()[0], built[1].tokens(rung=0)[0])


def test_the_ledger_stays_by_document_with_the_tokens_of_its_pieces(built):
    result = built[1]
    table = result.documents()
    tokens = {}
    for one, offset, length in zip(
        *(table.column(n).to_pylist() for n in ("document", "offset", "length")), strict=True
    ):
        tokens.setdefault(one.hex(), {}).setdefault(offset // MOST, []).append(length)
    kept = {row["document"]: row for row in result.ledger() if row["outcome"] == "kept"}
    assert kept.keys() == tokens.keys()
    cut = [one for one, row in kept.items() if row["tokens"] != sum(map(sum, tokens[one].values()))]
    assert len(cut) <= 2  # of each stratum, the last piece
    first = set(result.documents(rung=0).column("document").to_pylist())
    assert {one for one, row in kept.items() if row["first_rung"] == "640"} == {one.hex() for one in first}


def test_copies_and_passes_are_counted_again(rows, tmp_path):
    recipes = {"all": {"dedup": False, "repeat": 3, "weights": {"web": 0.9, "code": 0.1}}}
    result = little.build(
        study_of(tmp_path, rows, recipes=recipes, budgets=[64 * little.LENGTH, 1500 * little.LENGTH]), tmp_path / "out"
    )
    assert result.rungs()["96K"]["repeated_tokens"] > 0
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


def test_pieces_are_exported_as_text_and_decoded(rows, built, tmp_path):
    result = built[1]
    rung = open_result(str(result.out)).rung("all")
    texts = [row["text"] for those in rows.values() for row in those]
    said = export(str(result.out), "all", "parquet", str(tmp_path / "texts"))["texts"]
    assert said["tokens"] == rung.tokens
    parts = list(of_rung(open_result(str(result.out)), rung))
    assert all(any(part.text in text for text in texts) for part in parts)
    assert {part.whole for part in parts} == {True, False}
    assert sum(part.ends and not part.whole for part in parts) > 3
    batches = list(read_documents(open_result(str(result.out)), rung))
    assert sum(int(batch.starts.astype(bool).sum()) for batch in batches) > 10
    counted = count_tokens(str(result.out), "all", ["bytes"])["tokenizers"]
    assert counted["bytes"]["tokens"] == counted["little"]["tokens"] == rung.tokens
    shown = [piece for one in decode(str(result.out), "all", "0:40") for piece in one.pieces]
    assert any(piece.offset >= MOST for piece in shown)
    assert all(any(piece.text in text for text in texts) for piece in shown if not piece.ends)


@pytest.mark.parametrize("given", [0, -1, 1.5, "2"])
def test_a_cap_that_is_no_whole_number_is_refused(tmp_path, given):
    study = little.write_study(tmp_path, {"web": tmp_path}, max_document_sequences=given)
    with pytest.raises(StudyError, match=f"max_document_sequences: .*given {json.dumps(given)}"):
        load(str(study))


def test_a_study_without_the_key_is_packed_as_ever(rows, tmp_path):
    result = little.build(study_of(tmp_path, rows, max_document_sequences=2**20), tmp_path / "one")
    plain = json.loads(json.dumps(result.manifest))
    texts = little.ordered({row["text"] for row in rows["web"]})
    stream = result.stream("web").tolist()
    assert stream == little.joined(texts, 256)[: len(stream)]
    assert plain["max_document_sequences"] == 2**20
