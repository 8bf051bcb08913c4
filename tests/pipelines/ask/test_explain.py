"""Explain: every rule, score, near duplicate and place of a document, found by an index, with the store and without."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import little
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.duplicates import minhash
from tokenladder.filters.hashing import hash_text
from tokenladder.filters.shingles.shingles import element_sets
from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.drivers import index
from tokenladder.pipelines.drivers.pool import Pool
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import lookup
from tokenladder.pipelines.stages.evidence import open_evidence
from tokenladder.pipelines.watch.progress import Reporter

LENGTH = little.LENGTH


def rows_of(prefix, **more):
    rows = little.corpus(1, 80, prefix=prefix, copies=5, neighbours=20, **more)
    return [{**row, "id": f"https://{prefix}.example/{n % 7}/{row['id']}/"} for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    web = little.write_jsonl(folder / "web.jsonl", rows_of("w"))
    code = little.write_jsonl(folder / "code.jsonl", rows_of("c", words=(5, 60)))
    study = little.write_study(
        folder,
        {"web": web, "code": code},
        scores={"lengths": {"type": "lengths"}, "gopher": {"type": "gopher"}},
        held_out={"tokens": 640},
        recipes={
            "all": {"weights": {"web": 0.75, "code": 0.25}},
            "best": {
                "base": "all",
                "keep": [
                    {"score": "lengths.words", "min": 20, "sources": ["code"]},
                    {"score": "lengths.words", "top": 0.5},
                ],
            },
        },
        budgets=[20 * LENGTH, 100 * LENGTH],
    )
    return little.build(study, folder / "out")


def texts_of():
    return {little.document_id(row["text"]): row["text"] for row in [*rows_of("w"), *rows_of("c", words=(5, 60))]}


def test_each_record_is_found_by_id_name_and_the_end_of_its_name(built):
    ledger = built.ledger()
    for row in ledger[::23]:
        bare = row["name"].rstrip("/")
        last = bare.rpartition("/")[2]
        for wanted in (row["name"], bare, last, "/".join(bare.split("/")[-2:]), "/".join(bare.split("/")[-3:])):
            assert row["name"] in {one.name for one in explain(str(built.out), wanted)}
        same = [one["name"] for one in ledger if one["document"] == row["document"]]
        assert sorted(one.name for one in explain(str(built.out), row["document"])) == sorted(same)


def test_without_its_store_the_ledger_alone_is_told(built, tmp_path):
    bare = tmp_path / "out"
    shutil.copytree(built.out, bare, ignore=shutil.ignore_patterns(".store"))
    said = json.loads((bare / ".build" / "evidence.json").read_text())
    (bare / ".build" / "evidence.json").write_text(json.dumps({**said, "store": str(tmp_path / "gone")}))
    row = built.ledger()[3]
    for wanted in (row["document"], row["name"]):
        with_store = {one.name: one for one in explain(str(built.out), wanted)}
        found = explain(str(bare), wanted)
        assert [one.fates for one in found] == [with_store[one.name].fates for one in found]
        assert all(one.text is None and not one.scores and one.cluster is None for one in found)


def test_a_moved_result_has_its_store_inside(built, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(built.out, moved)
    row = built.ledger()[0]
    assert explain(str(moved), row["document"]) == explain(str(built.out), row["document"])


def test_rules_tell_what_they_found(built):
    texts, best = texts_of(), {row["name"]: row for row in built.ledger("best")}
    words = {name: len(texts[row["document"]].split()) for name, row in best.items()}
    passed = {name for name, row in best.items() if row["source"] == "web" or words[name] >= 20}
    seen = set()
    for name, row in list(best.items())[::9]:
        (one,) = [found for found in explain(str(built.out), name) if found.name == name]
        verdict = one.verdicts["best"]
        first, second = verdict.rules
        assert (first.rule, second.rule) == ("lengths.words min 20 (code)", "lengths.words top 0.5 by documents")
        assert second.value == words[name] == one.scores["lengths"]["words"]
        if row["source"] == "web":
            assert first.outcome == "another source"
        else:
            assert first.outcome == ("met" if words[name] >= 20 else "failed")
        if row["outcome"] != "held_out":
            wanted = "not ranked" if name not in passed else "failed" if row["reason"] == second.rule else "met"
            assert second.outcome == wanted
            seen.add(wanted)
            assert (words[name] >= second.cut) or wanted != "met"
        assert verdict.priority == little.priority(texts[row["document"]])
        assert one.text.startswith(texts[row["document"]].splitlines()[0])
    assert seen == {"met", "failed", "not ranked"}


def test_a_duplicate_is_told_with_its_survivor_and_both_similarities(built):
    texts, ledger = texts_of(), built.ledger()
    family = minhash.MinHash(unit="auto", bands=18, rows=6)
    lost = [row for row in ledger if row["outcome"] == "duplicate" and row["survivor"] != row["document"]]
    assert lost
    for row in lost[:3]:
        (one,) = [found for found in explain(str(built.out), row["name"]) if found.name == row["name"]]
        survivor = one.verdicts["all"].survivor
        kept = next(other for other in ledger if other["document"] == row["survivor"])
        assert (survivor.document, survivor.source, survivor.name) == (row["survivor"], kept["source"], kept["name"])
        pair = pa.record_batch({"text": [texts[row["document"]], texts[row["survivor"]]]})
        matrix = minhash.signature_matrix(family.score(pair)["signature"])
        assert survivor.similar.estimated == float((matrix[0] == matrix[1]).mean())
        offsets, values = element_sets(pair, "words", 5)
        left, right = set(values[: offsets[1]].tolist()), set(values[offsets[1] :].tolist())
        assert survivor.similar.exact == pytest.approx(len(left & right) / len(left | right))
        assert one.cluster.size > 1


def test_a_kept_document_stands_where_it_is_told(built):
    documents = built.documents("all").to_pylist()
    shards = built.manifest["recipes"]["all"]["rungs"][-1]["shards"]
    kept = [row for row in built.ledger() if row["outcome"] == "kept"]
    for row in kept[::9]:
        (one,) = [found for found in explain(str(built.out), row["name"]) if found.name == row["name"]]
        place = one.verdicts["all"].place
        (first,) = [at for at in documents if at["document"].hex() == row["document"] and at["offset"] == 0]
        assert (place.sequence, place.position) == (first["sequence"], first["position"])
        assert place.tokens == row["tokens"]
        before = 0
        for shard in shards:
            if before <= place.sequence < before + shard["sequences"]:
                assert place.shard == shard["path"]
            before += shard["sequences"]


def test_words_of_a_text_find_it(built):
    name, text = next((row["id"], row["text"]) for row in rows_of("w") if len(row["text"].split()) > 30)
    words = text.split()[12:18]  # over the end of a line
    assert name in {one.name for one in explain(str(built.out), "  ".join(words))}
    with pytest.raises(store.UserError, match="no record has the id or the name 'none of it'"):
        explain(str(built.out), "none of it")


def test_a_files_own_path_is_understood(built):
    row = built.ledger()[5]
    found = explain(str(built.out), "/home/me/" + row["name"])
    assert [one.name for one in found] == [row["name"]]


def test_an_exchange_gives_the_index_that_the_driver_gives(built, tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "DOCUMENTS_PER_FILE", 50)
    evidence = open_evidence(str(built.out), built.manifest)
    engine, report = little.Eager(str(tmp_path)), Reporter(quiet=True)
    pool = Pool(evidence.place, evidence.parts, "other", ["web", "code"], engine, report)
    monkeypatch.setattr(index, "IN_DRIVER", 0)
    folder = index.index_pool(pool)
    assert len(list(Path(folder).glob("*.parquet"))) == 5
    for row in built.ledger():
        for hashed in (int(row["document"][:16], 16), lookup.hash_name(row["name"]), lookup.hash_end(row["name"])):
            there = lookup.find(evidence.place.path(evidence.said["index"]), hashed).tolist()
            assert lookup.find(folder, hashed).tolist() == there != []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=200), st.integers(0, 45))
def test_every_key_of_a_hash_is_found_over_row_groups(hashes, wanted):
    scale = 2**64 // 41
    packed = np.zeros(len(hashes), lookup.ENTRY)
    packed["hash"], packed["key"] = [one * scale for one in hashes], np.arange(len(hashes))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "ROW_GROUP", 3)
        list(lookup.sort_entries(0, [packed.tobytes()], {"folder": folder}))
        store.write_json(f"{folder}/done.json", {"files": 1})
        found = lookup.find(folder, min(wanted * scale, 2**64 - 1))
    assert found.tolist() == [n for n, one in enumerate(hashes) if one == wanted]


@given(st.text(alphabet="ab/?é", max_size=9))
def test_one_name_hashes_as_a_column_does(name):
    column = lookup.stripped(pa.array([name]))
    assert lookup.hash_name(name) == hash_text(column)[0]
    assert lookup.hash_end(name) == hash_text(lookup.ends(column, 2))[0]


def test_it_is_shown_and_printed_as_json(built):
    row = next(row for row in built.ledger() if row["outcome"] == "duplicate")
    shown = CliRunner().invoke(cli, ["explain", str(built.out), row["document"]], env={"COLUMNS": "60"})
    assert shown.exit_code == 0, shown.output
    for text in ("Jaccard similarity", "lengths.words top 0.5 by documents", "scores", "cluster", "priority"):
        assert text in shown.output
    printed = CliRunner().invoke(cli, ["explain", str(built.out), row["document"], "--json"])
    assert json.loads(printed.output)[0]["verdicts"]["all"]["outcome"] == row["outcome"]


@pytest.mark.parametrize("wanted", ["", " ", "\udcff.py"])
def test_what_can_be_no_name_is_refused(built, wanted):
    with pytest.raises(store.UserError, match=r"is no name\. Give an id, a URL or path, the end of one, or words"):
        explain(str(built.out), wanted)


def test_a_damaged_file_is_named(built, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(built.out, out)
    for path in out.glob(".store/**/*.parquet"):
        path.write_bytes(path.read_bytes()[:40])
    done = CliRunner().invoke(cli, ["explain", str(out), "c7/"])
    assert done.exit_code == 1
    assert f"{out}/.store/" in done.output
    assert "is damaged" in done.output
