"""The promises about what a build makes, held on little studies."""
# ruff: noqa: S311 documents drawn at random are no secrets

from __future__ import annotations

import collections
import itertools
import random
from fractions import Fraction

import little
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import minhash
from tokenladder.pipelines.files.schema import OUTCOMES

LENGTH = little.LENGTH


EXTENSIONS = {"Python": "py", "C": "c", "Rust": "rs", "Go": "go", "JavaScript": "js", "Ruby": "rb"}


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A study with four formats, three recipes, planted duplicates and a held-out set; its folder and study file."""
    folder = tmp_path_factory.mktemp("rich")
    near = little.corpus(1, 60, prefix="near", copies=8, neighbours=36)
    lines = little.write_jsonl(folder / "lines.jsonl", near)
    with lines.open("a") as file:
        file.write('{"id": "blank", "text": "  "}\nno JSON at all\n{"id": "no text"}\n')
    across = [{"id": "across", "text": near[0]["text"]}]
    little.write_parquet(folder / "rows" / "a.parquet", little.corpus(2, 50, prefix="row") + across)
    little.write_parquet(folder / "rows" / "b.parquet", little.corpus(3, 40, prefix="more"))
    little.write_warc(folder / "crawl.warc.gz", little.corpus(4, 40, prefix="page", words=(40, 90)))
    little.write_tree(folder / "code", little.corpus(5, 30, prefix="pkg/mod", copies=2))
    sources = {
        "lines": "lines.jsonl",
        "rows": {"format": "parquet", "path": "rows/*.parquet"},
        "web": {"format": "warc", "path": "crawl.warc.gz"},
        "code": {"format": "tree", "path": "code"},
    }
    return little.write_study(
        folder,
        sources,
        budgets=[15 * LENGTH, 31 * LENGTH + 5, 80 * LENGTH],
        held_out={"tokens": 12 * LENGTH},
        scores={"lengths": {"type": "lengths"}},
        max_rejected=0.05,
        recipes={
            "all": {},
            "mixed": {"weights": {"lines": 0.31, "rows": 0.27, "web": 0.3, "code": 0.12}},
            "long": {"base": "mixed", "keep": [{"score": "lengths.words", "top": 0.5}], "repeat": 4},
        },
        curricula={
            "paced": {"recipe": "long", "rung": 80 * LENGTH, "sort": "lengths.words", "pace": "root"},
            "easy": {"recipe": "mixed", "rung": 15 * LENGTH, "sort": "cluster.size", "mixed": True},
        },
    )


@pytest.fixture(scope="module")
def made(rich, tmp_path_factory):
    """The rich study, built without Beam."""
    return little.build(rich, tmp_path_factory.mktemp("made") / "out")


# 1: same bytes everywhere


@pytest.mark.parametrize(
    ("mode", "workers"),
    [
        ("in_memory", 1),
        ("multi_threading", 1),
        ("multi_threading", 2),
        ("multi_threading", 4),
    ],
)
def test_every_runner_and_any_number_of_workers_give_the_same_bytes(rich, made, tmp_path, mode, workers):
    beam = [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
    other = little.build(rich, tmp_path / "out", beam=beam)
    assert little.differing(little.files(other.out), little.files(made.out)) == []


@pytest.mark.slow  # Beam starts two interpreters for each pipeline, some 4 s each
def test_worker_processes_give_the_same_bytes(tmp_path, monkeypatch):
    from tokenladder.pipelines.engines import engine

    beam = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    seen = []

    class Processes(little.Eager):
        """Three pipelines, of each shape, in worker processes; the others without Beam."""

        def __init__(self, folder, arguments=()):
            super().__init__(folder, arguments)
            self._beam = engine.Engine(folder, beam)

        def each(self, label, *rest, **options):
            inner = self._beam if label in {"read and score", "pack"} else super()
            seen.append((label, inner is self._beam))
            inner.each(label, *rest, **options)

        def exchange(self, label, *rest):
            inner = self._beam if label == "compare candidates" else super()
            seen.append((label, inner is self._beam))
            inner.exchange(label, *rest)

    rows = little.corpus(6, 30, copies=3, neighbours=12)
    little.write_jsonl(tmp_path / "in" / "a.jsonl", rows[:20])
    little.write_parquet(tmp_path / "b.parquet", rows[20:])
    sources = {"a": "in/*.jsonl", "b": {"format": "parquet", "path": "b.parquet"}}
    study = little.write_study(tmp_path, sources, budgets=[20 * LENGTH])
    first = little.build(study, tmp_path / "one")
    monkeypatch.setattr(little, "Eager", Processes)
    second = little.build(study, tmp_path / "two")
    assert [label for label, in_processes in seen if in_processes] == ["read and score", "compare candidates", "pack"]
    assert little.differing(little.files(second.out), little.files(first.out)) == []


def test_a_copy_of_the_input_elsewhere_gives_the_same_bytes(rich, made, tmp_path):
    import shutil

    copy = shutil.copytree(rich.parent, tmp_path / "other" / "place")
    other = little.build(copy / "study.toml", tmp_path / "out")
    assert little.differing(little.files(other.out), little.files(made.out)) == []


def stream_files(result):
    """The files that hold the streams."""
    return {
        path: data
        for path, data in little.files(result.out).items()
        if path.split("/")[0] in {"shards", "documents", "held_out"}
    }


RECIPES = {"all": {}, "odd": {"weights": {"a": 0.37, "b": 0.63}, "keep": [{"score": "lengths.words", "top": 0.8}]}}


def split_study(folder, rows, cuts, names, *, write=little.write_jsonl, suffix="jsonl", part_bytes=2**27):
    """A study of source `a`, whose rows are cut into files of the given names, and of source `b`, one file."""
    edges = [0, *sorted(cuts), len(rows)]
    for name, (start, stop) in zip(names, itertools.pairwise(edges), strict=False):
        write(folder / "a" / f"{name}.{suffix}", rows[start:stop])
    little.write_jsonl(folder / "b.jsonl", little.corpus(12, 60, prefix="b"))
    source = {"format": suffix, "path": f"a/*.{suffix}", "part_bytes": part_bytes}
    return little.write_study(
        folder,
        {"a": source, "b": "b.jsonl"},
        scores={"lengths": {"type": "lengths"}},
        recipes=RECIPES,
        held_out={"tokens": 640},
    )


def split_rows():
    return little.corpus(11, 80, prefix="a", copies=6, neighbours=24)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study of `split_study` with all rows in one file, built."""
    folder = tmp_path_factory.mktemp("whole")
    return little.build(split_study(folder, split_rows(), [], ["only"]), folder / "out")


@little.few(8)
@given(
    cuts=st.lists(st.integers(1, 109), max_size=20, unique=True),
    seed=st.integers(0, 2**32),
    suffix=st.sampled_from(["jsonl", "parquet"]),
    part_bytes=st.sampled_from([3000, 2**27]),
)
def test_files_cut_and_named_otherwise_hold_the_same_stream(whole, tmp_path_factory, *, cuts, seed, suffix, part_bytes):
    rng = random.Random(seed)
    names = rng.sample([f"f{n:02}" for n in range(len(cuts) + 1)], len(cuts) + 1)
    folder = tmp_path_factory.mktemp("many")
    rows = split_rows()
    shuffled = rng.sample(rows, len(rows))
    writer = {"jsonl": little.write_jsonl, "parquet": little.write_parquet}[suffix]
    study = split_study(folder, shuffled, cuts, names, write=writer, suffix=suffix, part_bytes=part_bytes)
    other = little.build(study, folder / "out")
    assert little.differing(stream_files(other), stream_files(whole)) == []
    for recipe in RECIPES:
        assert other.bins(recipe) == whole.bins(recipe)


# 2: exact · 3: nested


@little.few(12)
@given(
    length=st.integers(8, 150),
    budgets=st.lists(st.integers(150, 6000), min_size=1, max_size=4, unique=True),
    shard_tokens=st.integers(100, 3000),
    seed=st.integers(0, 2**63 - 1),
)
def test_rungs_are_exact_prefixes_of_the_documents_by_priority(tmp_path_factory, length, budgets, shard_tokens, seed):
    folder = tmp_path_factory.mktemp("exact")
    rows = {name: little.corpus(21, 60, prefix=name) for name in "ab"}
    paths = {name: little.write_jsonl(folder / f"{name}.jsonl", rows[name]) for name in rows}
    weights = {"a": 0.41, "b": 0.59}
    result = little.build(
        little.write_study(
            folder,
            paths,
            seed=seed,
            budgets=sorted(budgets),
            sequence_length=length,
            shard_tokens=shard_tokens,
            recipes={"all": {"weights": weights}},
        ),
        folder / "out",
    )
    end = result.manifest["tokenizer"]["end_of_document"]
    whole = {name: little.joined(little.ordered([row["text"] for row in rows[name]], seed), end) for name in rows}
    for n, (budget, rung) in enumerate(zip(sorted(budgets), result.rungs().values(), strict=True)):
        sequences = max(1, int(Fraction(budget, length) + Fraction(1, 2)))
        assert (rung["requested_tokens"], rung["sequences"], rung["tokens"]) == (budget, sequences, sequences * length)
        assert sum(shard["sequences"] for shard in rung["shards"]) == sequences
        ids, _ = result.tokens(rung=n)
        assert ids.shape == (sequences, length)
        for name in rows:
            stream = result.stream(name, rung=n).tolist()
            assert stream == whole[name][: len(stream)]
            assert len(stream) == rung["strata"].get(name, {"tokens": 0})["tokens"]
    for small, large in itertools.pairwise(range(len(budgets))):
        below = [shard["path"] for shard in list(result.rungs().values())[small]["shards"]]
        assert [shard["path"] for shard in list(result.rungs().values())[large]["shards"]][: len(below)] == below
        assert (result.tokens(rung=large)[0][: len(result.tokens(rung=small)[0])] == result.tokens(rung=small)[0]).all()


def test_the_documents_table_and_the_starts_say_what_stands_in_each_sequence(made):
    by_id = {}
    for row in little.corpus(1, 60, prefix="near", copies=8, neighbours=36):
        by_id[little.document_id(row["text"])] = row["text"].encode()
    end = made.manifest["tokenizer"]["end_of_document"]
    for recipe in ("all", "mixed", "long"):
        shards, (ids, strata) = made.shards(recipe), made.tokens(recipe)
        starts = [[] for _ in range(len(ids))]
        covered = np.zeros(ids.shape, int)
        for row in made.documents(recipe).to_pylist():
            covered[row["sequence"], row["position"] : row["position"] + row["length"]] += 1
            if row["offset"] == 0:
                starts[row["sequence"]].append(row["position"])
            if strata[row["sequence"]] == "lines":
                tokens = [*by_id[row["document"].hex()], end][row["offset"] :][: row["length"]]
                found = ids[row["sequence"], row["position"] : row["position"] + row["length"]]
                assert found.tolist() == tokens
        assert (covered == 1).all()
        assert shards.column("document_starts").to_pylist() == starts


# 4: mixed in every prefix


@little.few(10)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=6), st.integers(0, 2))
def test_every_prefix_holds_each_stratum_within_one_sequence_of_its_weight(tmp_path_factory, odd, first):
    folder = tmp_path_factory.mktemp("mixed")
    kinds = list(EXTENSIONS)[: len(odd)]
    for n, kind in enumerate(kinds):
        for row in little.corpus(30 + n, 25, prefix=f"file{n}-", words=(30, 90)):
            path = folder / "code" / f"{row['id']}.{EXTENSIONS[kind]}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(row["text"])
    total = sum(odd)
    weights = {f"code/{kind}": weight / total for kind, weight in zip(kinds, odd, strict=True)}
    result = little.build(
        little.write_study(
            folder,
            {"code": {"format": "tree", "path": "code"}},
            strata=["source", "file_type"],
            budgets=[(20 + first) * LENGTH, 75 * LENGTH],
            recipes={"all": {"weights": weights, "repeat": 8}},
        ),
        folder / "out",
    )
    _, strata = result.tokens()
    for name, weight in weights.items():
        given_ = np.cumsum(strata == name)
        assert np.abs(given_ - weight * np.arange(1, len(strata) + 1)).max() < 1
    counted = collections.Counter(strata[: 20 + first].tolist())
    rung = next(iter(result.rungs().values()))
    assert {name: one["sequences"] for name, one in rung["strata"].items() if one["sequences"]} == counted


def test_without_weights_the_kept_text_decides(made):
    kept = collections.Counter()
    for row in made.ledger():
        if row["outcome"] in {"kept", "over_budget"}:
            kept[row["source"]] += 1
    assert set(made.manifest["recipes"]["all"]["strata"]) == set(kept)
    for one in made.manifest["recipes"]["all"]["rungs"][-1]["strata"].values():
        assert one["sequences"] > 0


# 5: stable


def common(first, second):
    """Two orders, each without what the other lacks."""
    return [one for one in first if one in set(second)], [one for one in second if one in set(first)]


@little.few(8)
@given(st.integers(0, 10**6), st.sampled_from(["a", "zz"]))
def test_another_source_changes_no_document_s_order(whole, tmp_path_factory, seed, name):
    folder = tmp_path_factory.mktemp("added")
    study = split_study(folder, split_rows(), [], ["only"])
    extra = little.write_jsonl(folder / "extra.jsonl", little.corpus(seed, 70, prefix=f"{name}x", words=(95, 120)))
    text = study.read_text().replace(
        "sources = {", f'sources = {{"{name}0" = {{"format" = "jsonl", "path" = "{extra}"}}, '
    )
    study.write_text(
        text.replace('"weights" = {"a" = 0.37, "b" = 0.63}', f'"weights" = {{"a" = 0.2, "b" = 0.3, "{name}0" = 0.5}}')
    )
    other = little.build(study, folder / "out")
    for recipe, source in itertools.product(RECIPES, "ab"):
        before, after = whole.texts(source, recipe), other.texts(source, recipe)
        before, after = common(before[:-1], after[:-1])
        assert before == after
        assert before


@little.few(8)
@given(st.sampled_from([150, 200, 250, 300]), st.sampled_from([0.3, 0.5, 0.9]))
def test_a_tighter_rule_keeps_order_and_recipes_share_what_they_can(tmp_path_factory, least, top):
    folder = tmp_path_factory.mktemp("tight")
    little.write_jsonl(folder / "a.jsonl", split_rows())
    recipes = {
        "all": {},
        "long": {"keep": [{"score": "bytes", "min": least}]},
        "top": {"base": "long", "keep": [{"score": "bytes", "top": top}]},
    }
    result = little.build(
        little.write_study(folder, {"a": "a.jsonl"}, recipes=recipes, budgets=[30 * LENGTH]), folder / "out"
    )
    for loose, tight in itertools.combinations(recipes, 2):
        before, after = common(result.trained(loose), result.trained(tight))
        assert before == after
        kept = {row["document"] for row in result.ledger(tight) if row["outcome"] in {"kept", "over_budget"}}
        # whatever the loose recipe trains on and the tight one allows comes first in the tight one, too
        shared = [one for one in result.trained(loose) if one in kept]
        assert shared == result.trained(tight)[: len(shared)]
        assert shared


# 6: clean


def signatures_of(texts, dedup):
    family = minhash.MinHash(ngram=dedup["ngram"], bands=dedup["bands"], rows=dedup["rows"])
    batch = pa.record_batch({"text": texts})
    return minhash.signature_matrix(family.score(batch).column("signature"))


@little.few(10)
@given(
    seed=st.integers(0, 10**6),
    threshold=st.sampled_from([0.5, 0.7, 0.8, 0.95]),
    held=st.integers(5, 25),
    dedup=st.booleans(),
)
def test_no_near_duplicate_of_a_held_out_document_is_trained_on(tmp_path_factory, seed, threshold, held, dedup):
    folder = tmp_path_factory.mktemp("clean")
    rng = random.Random(seed)
    rows = little.corpus(seed, 50, copies=5)
    # of every third document a family with 1 to 10 changed words, so that all similarities occur
    family = [(row, changes) for row in rows[:50:3] for changes in range(1, 11, 2)]
    rows += [{"id": f"n{n}", "text": little.near(rng, row["text"], changes)} for n, (row, changes) in enumerate(family)]
    study = little.write_study(
        folder,
        {
            "a": little.write_jsonl(folder / "a.jsonl", rows[::2]),
            "b": little.write_jsonl(folder / "b.jsonl", rows[1::2]),
        },
        seed=seed,
        dedup={"threshold": threshold},
        held_out={"tokens": held * LENGTH},
        recipes={
            "all": {"dedup": dedup},
            "long": {"keep": [{"score": "bytes", "min": 100}], "dedup": dedup},
        },
        budgets=[20 * LENGTH],
    )
    result = little.build(study, folder / "out")
    by_id = {little.document_id(row["text"]): row["text"] for row in rows}
    held_out = result.held_out()
    first = signatures_of([by_id[one] for one in held_out], result.manifest["dedup"])
    for recipe in ("all", "long"):
        allowed = [row["document"] for row in result.ledger(recipe) if row["outcome"] in {"kept", "over_budget"}]
        assert set(result.trained(recipe)) <= set(allowed)
        assert not set(allowed) & set(held_out)
        second = signatures_of([by_id[one] for one in allowed], result.manifest["dedup"])
        similar = (first[:, None, :] == second[None, :, :]).mean(axis=2)
        assert similar.max() < threshold
        if dedup:
            pairs = [row for row in result.ledger(recipe) if row["outcome"] == "duplicate"]
            assert all(row["survivor"] in allowed for row in pairs)
    near = [row for row in result.ledger() if row["reason"] == "near duplicate of a held-out document"]
    assert all(row["survivor"] in held_out for row in near)


def test_the_held_out_set_is_one_for_all_recipes_and_stays_when_they_change(whole, tmp_path):
    study = split_study(tmp_path, split_rows(), [], ["only"])
    study.write_text(
        study.read_text().replace('"top" = 0.8', '"top" = 0.4').replace('"all" = {}', '"new" = {"dedup" = false}')
    )
    other = little.build(study, tmp_path / "out")
    assert list(other.manifest["recipes"]) == ["new", "odd"]
    assert other.manifest["held_out"] == whole.manifest["held_out"]
    held = [row["document"] for row in whole.ledger("odd") if row["reason"] == "held out"]
    assert sorted(held) == sorted(whole.held_out())
    for result, recipe in ((whole, "all"), (whole, "odd"), (other, "new"), (other, "odd")):
        outside = {row["name"] for row in result.ledger(recipe) if row["outcome"] == "held_out"}
        assert outside == {row["name"] for row in whole.ledger("all") if row["outcome"] == "held_out"}


# 7: accounted


def test_every_record_is_in_exactly_one_bin_and_bins_sum_per_source(made, rich):
    names = [row["id"] for row in little.corpus(1, 60, prefix="near", copies=8, neighbours=36)]
    sizes = {
        "lines": (rich.parent / "lines.jsonl").stat().st_size,
        "code": sum(path.stat().st_size for path in (rich.parent / "code").rglob("*.py")),
    }
    records = {"lines": 107, "rows": 91, "web": 40, "code": 32}
    for recipe, told in made.manifest["recipes"].items():
        rows = made.ledger(recipe)
        by_source = collections.Counter(row["source"] for row in rows)
        assert by_source == records
        assert len({(row["source"], row["record"]) for row in rows}) == len(rows)
        assert {row["outcome"] for row in rows} <= set(OUTCOMES)
        named = [row["name"] for row in rows if row["source"] == "lines"]
        assert sorted(set(named) & set(names)) == sorted(names)
        for source, counts in told["counts"].items():
            own = [row for row in rows if row["source"] == source]
            assert counts["records"] == sum(one["records"] for one in counts["outcomes"].values()) == len(own)
            assert counts["bytes"] == sum(one["bytes"] for one in counts["outcomes"].values())
            assert counts["bytes"] == sum(row["bytes"] for row in own) == made.manifest["counts"][source]["bytes"]
            if source in sizes:
                assert counts["bytes"] == sizes[source]
            for outcome, one in counts["outcomes"].items():
                assert one["records"] == sum(row["outcome"] == outcome for row in own)
                assert one["bytes"] == sum(row["bytes"] for row in own if row["outcome"] == outcome)


def test_reasons_survivors_tokens_and_rungs_in_the_ledger_are_those_of_the_stream(made):
    for recipe in ("all", "mixed", "long"):
        rows = made.ledger(recipe)
        outcome = {row["document"]: row["outcome"] for row in rows if row["outcome"] in {"kept", "over_budget"}}
        for row in rows:
            if row["outcome"] == "duplicate":
                assert row["survivor"] in outcome
            assert (row["tokens"] is None) == (row["first_rung"] is None) == (row["outcome"] != "kept")
            assert (row["reason"] is not None) == (row["outcome"] in {"dropped", "rejected", "held_out"})
        first_rung = {}
        for n, rung in enumerate(made.rungs(recipe)):
            for one in made.trained(recipe, n):
                first_rung.setdefault(one, rung)
        assert {row["document"]: row["first_rung"] for row in rows if row["outcome"] == "kept"} == first_rung
    bins = made.bins()
    assert bins["blank"] == ("dropped", "empty text")
    assert bins["no text"] == ("rejected", "no text field") if "no text" in bins else True
    assert collections.Counter(reason for outcome, reason in bins.values() if outcome == "rejected") == {
        "not JSON": 1,
        "no text field": 1,
    }


def test_an_exact_copy_names_the_document_that_stands_for_it(made):
    rows = {row["name"]: row for row in made.ledger("all") if row["source"] in {"lines", "rows"}}
    text = little.document_id(little.corpus(1, 60, prefix="near", copies=8, neighbours=36)[0]["text"])
    copies = [row for row in rows.values() if row["document"] == text]
    assert len(copies) >= 2
    assert sum(row["outcome"] in {"kept", "over_budget"} for row in copies) <= 1


def test_what_an_earlier_study_of_the_same_name_left_is_taken_away(whole, tmp_path):
    study = split_study(tmp_path, split_rows(), [], ["only"])
    text = study.read_text()
    more = text.replace('"all" = {}', '"all" = {}, "third" = {"keep" = [{"score" = "lengths.words", "min" = 20}]}')
    study.write_text(more.replace("shard_tokens = 1600", "shard_tokens = 640"))
    little.build(study, tmp_path / "out")
    study.write_text(text)
    again = little.build(study, tmp_path / "out")
    assert little.differing(little.files(again.out), little.files(whole.out)) == []


def test_shards_are_plain_tables(made):
    shard = made.manifest["recipes"]["all"]["rungs"][0]["shards"][0]
    schema = pq.read_schema(made.out / shard["path"])
    assert schema.names == ["input_ids", "stratum", "document_starts"]
    assert schema.field("input_ids").type == pa.list_(pa.field("element", pa.uint16(), nullable=False), LENGTH)
    assert not any(field.nullable for field in schema)
