"""Rungs in bytes or documents with pieces and best-fit packing: the same documents as without, exact and nested."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import little
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.drivers import reach
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.recount.whole_rungs import Order, _fault
from tokenladder.pipelines.stages.ladder import ORDERED
from tokenladder.pipelines.stages.schedule import integer_weights
from tokenladder.pipelines.stages.stretches import cut_inside, stretch_of

import naive

sys.path.insert(0, str(Path(__file__).parents[2] / "tokenizers"))
import tokenizer_files

LENGTH = little.LENGTH
RANK = st.tuples(*[st.integers(0, 3)] * 5)
CUTS = {
    "pieces": {"max_document_sequences": 2},
    "fitted": {"packing": "best-fit"},
    "both": {"packing": "best-fit", "max_document_sequences": 3},
}
ROWS = {
    "a": little.corpus(3, 90, prefix="a", words=(3, 150)),
    "b": little.corpus(3, 60, prefix="b", words=(3, 60)),
    "c": little.corpus(3, 40, prefix="c", words=(3, 60)),
}
SHARES = {"a": 0.5, "b": 0.3, "c": 0.2}


@given(st.lists(RANK, min_size=1, max_size=5, unique=True), st.lists(RANK, max_size=20))
def test_stretches_equal_the_slow_twin(bounds, ranks):
    documents = np.zeros(len(ranks), ORDERED)
    for field, n in (("priority", 0), ("tie", 3), ("key", 4)):
        documents[field] = [rank[n] for rank in ranks]
    documents["id"]["high"], documents["id"]["low"] = ([rank[n] for rank in ranks] for n in (1, 2))
    found = stretch_of(sorted(bounds), documents)
    assert found.tolist() == [naive.stretch(bounds, rank) for rank in ranks]


@given(
    st.lists(st.tuples(*[st.integers(0, 2**64 - 1)] * 3, st.integers(1, 1000)), max_size=20),
    st.integers(0, 90),
)
def test_pieces_stay_in_their_stretch_and_equal_the_slow_twin(documents, most):
    every = [(*sorted(row[:3]), row[3]) for row in documents]
    low, own, high = (np.array([row[n] for row in every], np.uint64) for n in range(3))
    found = cut_inside(own, np.array([row[3] for row in every], np.int64), low, high, most)
    expected = [
        (n, *piece)
        for n, (first, at, last, tokens) in enumerate(every)
        for piece in naive.pieces_inside(at, tokens, first, last, most)
    ]
    columns = (found.index, found.start, found.tokens, found.priority)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert (low[found.index] <= found.priority).all()
    assert (found.priority <= high[found.index]).all()


# builds


def failed(out):
    return {check.promise: check.found for check in verify(str(out)) if not check.holds}


def study_of(folder, rows=ROWS, **more):
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", those) for name, those in rows.items()}
    given_settings = {"budgets": ["4KB", "12KB", "24KB"], "recipes": {"all": {"weights": SHARES}}}
    return little.write_study(folder, sources, **{"shard_tokens": 300 * LENGTH, **given_settings, **more})


def held(result, stratum, rung):
    """Ids of the documents of which any piece stands in a rung, with the sequences of the stratum."""
    strata = result.tokens(rung=rung)[1]
    rows = result.documents(rung=rung).to_pylist()
    return {row["document"].hex() for row in rows if strata[row["sequence"]] == stratum}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return little.build(study_of(folder), folder / "out")


def test_pieces_change_the_order_between_two_rungs_and_nothing_else(tmp_path, plain):
    result = little.build(study_of(tmp_path, **CUTS["pieces"]), tmp_path / "out")
    assert failed(result.out) == {}
    mine, theirs = (one.manifest["recipes"]["all"] for one in (result, plain))
    assert [rung["strata"] for rung in mine["rungs"]] == [rung["strata"] for rung in theirs["rungs"]]
    assert mine["course"] == theirs["course"]
    most, before = 2 * LENGTH, 0
    budgets = [
        [-(-n * w // 2**32) for w in integer_weights(list(SHARES.values())).tolist()] for n in (4000, 12_000, 24_000)
    ]
    for at, (stratum, rows) in enumerate(ROWS.items()):
        texts = little.ordered([row["text"] for row in rows])
        ends = [n for _, n in naive.whole_rungs(texts, [row[at] for row in budgets], lambda one: len(one.encode()))]
        expected, first, low = [], 0, 0
        for end in ends:
            every = [
                (place, little.document_id(one), start, size, one.encode() + b"\0")
                for one in texts[first:end]
                for start, size, place in naive.pieces_inside(
                    little.priority(one), len(one.encode()) + 1, low, little.priority(texts[end - 1]), most
                )
            ]
            expected += [data[start : start + size] for _, _, start, size, data in sorted(every)]
            first, low = end, little.priority(texts[end - 1])
        stream = bytes(np.where(result.stream(stratum) == 256, 0, result.stream(stratum)).tolist())
        whole = b"".join(expected)
        few = min(len(stream), len(whole))
        assert stream[:few] == whole[:few]
        assert abs(len(stream) - len(whole)) < 2 * LENGTH
        before += sum(len(data) == most for data in expected)
    assert before > 20  # pieces that were cut


@pytest.mark.parametrize(("unit", "cut"), [("bytes", "fitted"), ("documents", "both")])
def test_fitted_rungs_hold_exactly_the_documents_that_reach_their_shares(tmp_path, unit, cut):
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files.byte_level_bpe())
    tokenizers = {"plain": {"type": "bytes"}, "bpe": {"type": "huggingface", "path": str(tmp_path / "tokenizer.json")}}
    if unit == "bytes":
        weights = [{"at": 0.4, "a": 0.8, "b": 0.2}, {"at": 1.0, "a": 0.1, "b": 0.3, "c": 0.6}]
        budgets = [4000, 12_000, 18_000]
        ends = [integer_weights(row).tolist() for row in ((0.8, 0.2, 0), (0.1, 0.3, 0.6))]
        due = [naive.due([(7200, ends[0]), (18_000, ends[1])], budget) for budget in budgets]
    else:
        weights, budgets = SHARES, [30, 110, 400]  # the last takes more than two passes of each
        due = [naive.due([(0, integer_weights(list(SHARES.values())).tolist())], budget) for budget in budgets]
    size = lambda one: len(one.encode()) if unit == "bytes" else 1  # noqa: E731
    recipes = {"all": {"weights": weights, "repeat": 4}}
    found = {}
    for name, table in tokenizers.items() if cut == "fitted" else [("bpe", tokenizers["bpe"])]:
        more = {"budgets": [f"{n} {unit}" for n in budgets], "recipes": recipes, "tokenizer": table, **CUTS[cut]}
        result = little.build(study_of(tmp_path / name, **more), tmp_path / name / "out")
        assert failed(result.out) == {}
        found[name] = [rung["reached"] for rung in result.manifest["recipes"]["all"]["rungs"]]
        reached = [0, 0, 0]
        for at, (stratum, rows) in enumerate(ROWS.items()):
            texts = little.ordered([row["text"] for row in rows])
            targets = [-int(-row[at] // 1) for row in due]
            for n, (passes, count) in enumerate(naive.whole_rungs(texts, targets, size)):
                wanted = texts if passes else texts[:count]
                reached[n] += passes * sum(map(size, texts)) + sum(map(size, texts[:count]))
                assert held(result, stratum, n) == {little.document_id(one) for one in wanted}
        assert found[name] == reached
        for rung in result.manifest["recipes"]["all"]["rungs"]:
            assert rung["tokens"] == rung["unique_tokens"] + rung["repeated_tokens"] + rung["padding_tokens"]
    again = little.build(tmp_path / name / "study.toml", tmp_path / name / "out")
    assert again.manifest == result.manifest


@pytest.mark.parametrize("cut", ["pieces", "fitted"])
def test_other_parts_give_the_same_bytes_and_curricula_and_exports_have_the_documents(tmp_path, cut):
    orders = {"easy": {"recipe": "all", "rung": "4KB", "sort": "bytes"}}
    orders["mixed"] = {"recipe": "all", "rung": "12KB", "order": "random", "mixed": True}
    more = {"budgets": ["4KB", "12KB"], "curricula": orders, "held_out": {"bytes": "1KB"}, **CUTS[cut]}
    result = little.build(study_of(tmp_path / "one", **more), tmp_path / "one" / "out")
    assert failed(result.out) == {}
    dealt = {}
    for name, rows in ROWS.items():
        for n in range(3):
            little.write_jsonl(tmp_path / f"{name}{n}.jsonl", rows[n::3][::-1])
        dealt[name] = {"format": "jsonl", "path": str(tmp_path / f"{name}*.jsonl")}
    settings = {"recipes": {"all": {"weights": SHARES}}, "shard_tokens": 300 * LENGTH, **more}
    other = little.build(little.write_study(tmp_path, dealt, **settings), tmp_path / "out")
    for folder in ("shards", "documents", "curricula"):
        assert little.differing(little.files(result.out / folder), little.files(other.out / folder)) == []
    said = export(str(result.out), "all", "parquet", str(tmp_path / "texts"))["texts"]
    rung = result.rungs()["12KB"]
    assert said["tokens"] == rung["tokens"] - rung.get("padding_tokens", 0)


def test_a_stratum_that_runs_short_gives_all_its_documents_to_every_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files.byte_level_bpe())
    rows = {"a": ROWS["a"], "c": ROWS["c"][:1]}
    recipes = {"all": {"weights": {"a": 0.5, "c": 0.5}, "rescale": True}}
    more = {"budgets": ["10 documents", "40 documents"], "recipes": recipes, "packing": "best-fit"}
    more["tokenizer"] = {"type": "huggingface", "path": str(tmp_path / "tokenizer.json")}
    result = little.build(study_of(tmp_path, rows, **more), tmp_path / "out")
    assert failed(result.out) == {}
    assert result.manifest["recipes"]["all"]["rescaled"] == ["c"]
    assert [rung["reached"] for rung in result.manifest["recipes"]["all"]["rungs"]] == [11, 41]  # shares are rounded up
    assert held(result, "c", -1) == {little.document_id(rows["c"][0]["text"])}


def test_copies_are_told_apart(tmp_path):
    rows = {"a": little.corpus(1, 3, prefix="a", copies=30), "b": little.corpus(2, 9, prefix="b")}
    more = {"recipes": {"all": {"dedup": False, "weights": {"a": 0.8, "b": 0.2}}}}
    for cut in (CUTS["pieces"], CUTS["fitted"]):
        budgets = [f"{n} documents" for n in (5, 12, 23, 36)]
        result = little.build(study_of(tmp_path, rows, budgets=budgets, **more, **cut), tmp_path / "out")
        assert failed(result.out) == {}


def test_copies_in_pieces_that_the_end_cuts_and_a_place_in_tokens_right_behind_a_share(tmp_path):
    texts = [row["text"] for row in little.corpus(1, 3, prefix="a", words=(20, 40))]
    rows = {"a": [{"id": f"a{n}", "text": texts[n % 3]} for n in range(9)], "b": little.corpus(2, 9, prefix="b")}
    for budget in (20, 27, 38, 49):
        largest = 2 * budget * 16 + 7  # half of it rounds to one sequence more than its own number of tokens
        weights = [{"at": 0.5, "a": 1.0}, {"at": f"{-(-largest // 2)} tokens", "b": 1.0}]
        recipe = {"dedup": False, "repeat": 9, "weights": {"a": 1.0} if budget != 20 else weights}
        more = {"budgets": [largest], "recipes": {"all": recipe}, "sequence_length": 16, "max_document_sequences": 1}
        result = little.build(study_of(tmp_path, rows, **more), tmp_path / "out")
        assert failed(result.out) == {}


@pytest.mark.parametrize("cut", ["pieces", "fitted"])
def test_a_rung_that_holds_other_documents_is_found(tmp_path, cut):
    weights = [{"at": 0.2, "a": 1.0}, {"at": 1.0, "b": 1.0}]
    more = {"budgets": ["4KB", "12KB"], "recipes": {"all": {"weights": weights}}, **CUTS[cut]}
    out = little.build(study_of(tmp_path, **more), tmp_path / "out").out
    assert failed(out) == {}
    text = (out / "manifest.json").read_text()

    def told(change):
        manifest = json.loads(text)
        change(manifest, manifest["recipes"]["all"])
        (out / "manifest.json").write_text(json.dumps(manifest))
        return failed(out)["Exact (all)"]

    assert "4KB: stratum 1 has a document before the one that reaches its" in told(lambda one, _: one.update(seed=8))
    assert "4KB: stratum 1 has" in told(lambda _, all_of: all_of["rungs"][0].update(requested=2500))
    if cut == "pieces":
        found = told(lambda _, all_of: [bend.update(at=bend["at"] // 2) for bend in all_of["course"]])
        assert "sequences from the document that reaches its" in found


def test_sequences_that_a_rung_does_not_fill_alone_are_found():
    sums = (np.array(one) for one in ([5, 9, 12], [8, 14, 20], [1, 2, 3]))
    order = Order(*sums, np.arange(3), np.arange(3), np.array([0, 4, 4]))
    fault = lambda target, had: _fault(order, target, had, 8, again=True, fits=True, ends=True)  # noqa: E731
    assert [fault(5, 1), fault(12, 2), fault(17, 3)] == ["", "", ""]
    assert fault(5, 2) == "has 2 sequences, not the 1 of what reaches"
    assert fault(9, 2) == "shares a sequence with what comes after the document that reaches"


def test_strata_that_weights_cannot_tell_apart_to_the_sequence_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "prefix_counts", lambda _, lengths: [np.array([n, 0, 0]) for n in lengths])
    with pytest.raises(
        UserError, match=r"^all: 3 strata in [0-9]+ sequences are too many for rungs of whole documents"
    ):
        little.build(study_of(tmp_path, **CUTS["fitted"]), tmp_path / "out")
