"""Budgets in bytes and documents: how far rungs go, the same documents under two tokenizers, and what verify finds."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import little
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.drivers.amounts import steps
from tokenladder.pipelines.engines.child import ENCODING
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.schedule import ONE, integer_weights, prefix_counts
from tokenladder.pipelines.study.budgets import short, split_unit
from tokenladder.pipelines.study.file import StudyError, parse

sys.path.insert(0, str(Path(__file__).parents[2] / "tokenizers"))
import tokenizer_files

LENGTH = little.LENGTH
COUNTS = (("a", 90), ("b", 60), ("c", 40))


def sources(folder, counts=COUNTS):
    rows = {name: little.corpus(3, count, prefix=name) for name, count in counts}
    return rows, {name: little.write_jsonl(folder / f"{name}.jsonl", rows[name]) for name in rows}


def failed(out):
    return {check.promise: check.found for check in verify(str(out)) if not check.holds}


def reached_by_hand(texts, target, unit, tokens):
    """Tokens up to the document with which a stratum reaches its target, in as many passes as that takes."""
    had = end = 0
    while had < target:
        for one in texts:
            had += len(one.encode()) if unit == "bytes" else 1
            end += tokens(one)
            if had >= target:
                break
    return end


@little.few(4)
@given(
    unit=st.sampled_from(["bytes", "documents"]),
    shares=st.sampled_from([(0.5, 0.3, 0.2), (0.9, 0.1, 0.0), (0.05, 0.05, 0.9), (1.0, 0.0, 0.0)]),
    first=st.integers(1, 9),
)
def test_rungs_go_as_far_as_each_stratum_needs_for_its_share(tmp_path_factory, unit, shares, first):
    folder = tmp_path_factory.mktemp("reach")
    rows, given_sources = sources(folder)
    scale = 300 if unit == "bytes" else 1
    budgets = [first * scale, (first + 7) * scale, 60 * scale]
    weights = {name: share for name, share in zip("abc", shares, strict=True) if share}
    settings = {"budgets": [f"{n} {unit}" for n in budgets], "recipes": {"all": {"weights": weights, "repeat": 3}}}
    result = little.build(little.write_study(folder, given_sources, **settings), folder / "out")
    assert failed(result.out) == {}
    whole = dict(zip(weights, integer_weights(list(weights.values())).tolist(), strict=True))
    ordered = {name: little.ordered([row["text"] for row in rows[name]]) for name in weights}
    for rung, budget in zip(result.manifest["recipes"]["all"]["rungs"], budgets, strict=True):
        ends = {
            name: reached_by_hand(ordered[name], -(-budget * weight // ONE), unit, lambda one: len(one.encode()) + 1)
            for name, weight in whole.items()
        }
        assert rung["name"] == short(budget, unit)
        assert (rung["unit"], rung["requested"], "requested_tokens" in rung) == (unit, budget, False)
        assert rung["sequences"] == max(1, (2 * sum(ends.values()) + LENGTH) // (2 * LENGTH))
        for name, end in ends.items():
            assert abs(rung["strata"][name]["sequences"] - end / LENGTH) < 1.6
        documents = result.documents(rung=[one["name"] for one in result.manifest["recipes"]["all"]["rungs"]].index(
            rung["name"])).to_pylist()  # fmt: skip
        begun = [piece for piece in documents if piece["offset"] == 0]
        texts = {little.document_id(one): one for every in ordered.values() for one in every}
        sizes = [len(texts[piece["document"].hex()].encode()) for piece in begun]
        assert rung["reached"] == (sum(sizes) if unit == "bytes" else len(begun)) >= budget - 2 * LENGTH * scale
        if unit == "bytes":
            assert [piece["text_bytes"] for piece in begun] == sizes
    again = little.build(folder / "study.toml", folder / "out")
    assert again.manifest == result.manifest


@little.few(3)
@given(
    unit=st.sampled_from(["bytes", "documents"]),
    shares=st.sampled_from([(0.2, 0.3, 0.5), (0.1, 0.8, 0.1), (0.35, 0.25, 0.4)]),
    repeat=st.integers(1, 2),
    part=st.sampled_from([0.7, 0.9]),
)
def test_strata_that_run_short_give_what_they_have_and_the_others_the_rest(
    tmp_path_factory, unit, shares, repeat, part
):
    folder = tmp_path_factory.mktemp("rescaled")
    rows, given_sources = sources(folder)
    weights = dict(zip("abc", shares, strict=True))
    size = lambda one: len(one.encode()) if unit == "bytes" else 1  # noqa: E731
    kept = {name: sum(size(row["text"]) for row in rows[name]) for name in rows}
    budget = int(part * repeat * sum(kept.values()))
    recipes = {"all": {"weights": weights, "repeat": repeat, "rescale": True}}
    settings = {
        "budgets": [f"{budget // 3} {unit}", f"{budget} {unit}"],
        "recipes": recipes,
        "dedup": {"threshold": 1.0},
    }
    result = little.build(little.write_study(folder, given_sources, **settings), folder / "out")
    assert failed(result.out) == {}
    told = result.manifest["recipes"]["all"]
    given_weights = {name: one["weight"] for name, one in told["strata"].items()}
    short = {name for name in rows if weights[name] * budget > repeat * kept[name]}
    assert short
    assert short <= set(told["rescaled"])
    assert sum(given_weights.values()) == ONE
    ordered = {name: little.ordered([row["text"] for row in rows[name]]) for name in rows}
    tokens = lambda one: len(one.encode()) + 1  # noqa: E731
    for name in told["rescaled"]:
        had = -(-budget * given_weights[name] // ONE)
        left = sum(tokens(one) for one in ordered[name]) * repeat - reached_by_hand(ordered[name], had, unit, tokens)
        longest = max(map(tokens, ordered[name]))
        assert had <= repeat * kept[name]
        assert 3 * LENGTH <= left <= 3 * LENGTH + 3 * longest  # the bucket that ends there holds few documents
    others = [name for name in rows if name not in told["rescaled"]]
    assert len({round(given_weights[name] / weights[name] / ONE, 6) for name in others}) == 1
    for rung, asked in zip(told["rungs"], (budget // 3, budget), strict=True):
        for name, weight in given_weights.items():
            end = reached_by_hand(ordered[name], -(-asked * weight // ONE), unit, tokens)
            assert abs(rung["strata"][name]["sequences"] - end / LENGTH) < 1.6


@pytest.mark.parametrize("budgets", [["10 documents", "30 documents"], ["2KB", "6KB"]])
def test_a_stratum_of_which_nothing_can_be_encoded_gives_nothing(tmp_path, monkeypatch, budgets):
    _, files = sources(tmp_path, (("a", 60), ("b", 2)))
    run = little.Eager.each

    def each(self, label, target, payloads, **more):  # as after two deaths at each document of `b`
        reject = {str(ENCODING + row): "encoding crashed (signal 11)" for row in range(2)}
        lost = [{"reject": reject} if one.get("part", {}).get("source") == "b" else {} for one in payloads]
        run(self, label, target, [{**one, **two} for one, two in zip(payloads, lost, strict=True)], **more)

    monkeypatch.setattr(little.Eager, "each", each)
    study = little.write_study(tmp_path, files, budgets=budgets, recipes={"all": {"rescale": True, "alpha": 0.0}})
    result = little.build(study, tmp_path / "out")
    recipe = result.manifest["recipes"]["all"]
    assert recipe["rescaled"] == ["b"]
    assert recipe["strata"]["b"]["weight"] == 0
    assert set(result.shards().column("stratum").to_pylist()) == {"a"}
    assert failed(result.out) == {}


def test_two_tokenizers_give_the_same_documents_up_to_the_last_sequence(tmp_path):
    rows, given_sources = sources(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files.byte_level_bpe())
    tokenizers = {"plain": {"type": "bytes"}, "bpe": {"type": "huggingface", "path": str(tmp_path / "tokenizer.json")}}
    settings = {"budgets": ["4KB", "16KB"], "recipes": {"all": {"weights": {"a": 0.6, "b": 0.3, "c": 0.1}}}}
    results = {
        name: little.build(
            little.write_study(tmp_path / name, given_sources, tokenizer=table, **settings),
            tmp_path / name / "out",
            store=tmp_path / "store",
        )
        for name, table in tokenizers.items()
    }
    tokens = {name: [rung["tokens"] for rung in one.rungs().values()] for name, one in results.items()}
    assert all(bpe < plain for bpe, plain in zip(tokens["bpe"], tokens["plain"], strict=True))
    reached = results["bpe"].rungs()["16KB"]["reached"]
    assert f"| all-16KB | 16,000 bytes ({reached:,}) | " in (results["bpe"].out / "README.md").read_text()
    for n, budget in enumerate((4000, 16_000)):
        for stratum, share in {"a": 0.6, "b": 0.3, "c": 0.1}.items():
            found = {}
            for name, one in results.items():
                assert failed(one.out) == {}
                table = one.documents(rung=n).to_pylist()
                strata = one.tokens(rung=n)[1]
                mine = [piece for piece in table if strata[piece["sequence"]] == stratum]
                found[name] = [piece["document"].hex() for piece in mine if piece["offset"] == 0]
            texts = little.ordered([row["text"] for row in rows[stratum]])
            wanted, had = [], 0
            while had < share * budget - 1e-6:
                wanted.append(little.document_id(texts[len(wanted)]))
                had += len(texts[len(wanted) - 1].encode())
            for name, mine in found.items():  # but for the last two sequences of the stratum, what reaches its share
                few = min(len(mine), len(wanted))
                assert mine[:few] == wanted[:few]
                assert abs(len(mine) - len(wanted)) <= (2 if name == "plain" else 5)


def test_bytes_are_those_of_the_text_as_it_is_encoded(tmp_path):
    rows = little.corpus(4, 60, prefix="m")
    for n, row in enumerate(rows):
        row["text"] += f"\nwrite to someone{n}@mailhost.net or ring" if n % 2 else ""
    settings = {"scores": {"personal": {"type": "personal", "masks": ["email"]}}, "budgets": ["2KB", "6KB"]}
    source = little.write_jsonl(tmp_path / "m.jsonl", rows)
    result = little.build(
        little.write_study(tmp_path, {"m": source}, held_out={"bytes": "1000"}, **settings), tmp_path / "out"
    )
    assert failed(result.out) == {}
    pieces = [piece for piece in result.documents().to_pylist() if piece["offset"] == 0]
    texts = result.texts("m")
    assert any("[email" in one for one in texts)
    assert [piece["text_bytes"] for piece in pieces[:-1]] == [len(one.encode()) for one in texts[: len(pieces) - 1]]
    held = result.manifest["held_out"]
    assert (held["unit"], held["requested"]) == ("bytes", 1000)
    assert held["reached"] >= 1000 > held["reached"] - 1200
    assert {row["document"] for row in result.ledger() if row["reason"] == "held out"} == set(result.held_out())


def test_what_is_missing_is_told_in_the_unit(tmp_path):
    _, given_sources = sources(tmp_path, (("a", 30), ("b", 10)))
    settings = {"recipes": {"all": {"weights": {"a": 0.5, "b": 0.5}}}, "dedup": {"threshold": 1.0}}
    with pytest.raises(UserError) as error:
        little.build(
            little.write_study(tmp_path, given_sources, budgets=["50 documents"], **settings), tmp_path / "out"
        )
    lines = str(error.value).splitlines()
    assert lines[0] == "all: the kept documents do not fill its largest rung."
    assert lines[1] == "  b: 15 documents missing; 25 needed, 10 kept"
    assert lines[2] == "Lower the budgets, loosen rules, change weights, or set repeat = 3."
    study = little.write_study(tmp_path, given_sources, budgets=["22 documents"], **settings)
    with pytest.raises(UserError, match=r"\n  b: 1 document missing; 11 needed, 10 kept\n.* or set repeat = 2\.$"):
        little.build(study, tmp_path / "out")
    study = little.write_study(tmp_path, given_sources, held_out={"bytes": "1MB"}, **settings)
    with pytest.raises(
        UserError, match=r"^held_out: .* fill it\.\n.* bytes missing.*\nLower its size, or loosen its rules\.$"
    ):
        little.build(study, tmp_path / "out")
    # all documents of b are enough, but their tokens do not end with a sequence
    text = (tmp_path / "b.jsonl").read_text().splitlines()
    left = sum(len(json.loads(line)["text"].encode()) + 1 for line in text) % LENGTH
    pad = {"id": "pad", "text": "x" * (LENGTH // 2 - left - 1 + (LENGTH if left + 20 > LENGTH // 2 else 0))}
    (tmp_path / "b.jsonl").write_text("\n".join([*text[:10], json.dumps(pad)]) + "\n")
    settings["recipes"] = {"all": {"weights": {"b": 1.0}}}
    study = little.write_study(tmp_path, given_sources, budgets=["11 documents"], **settings)
    with pytest.raises(UserError, match=r"^all: b has the documents that its largest rung needs, but not the tokens"):
        little.build(study, tmp_path / "other")


def test_a_rung_that_does_not_reach_what_it_says_is_found(tmp_path):
    _, given_sources = sources(tmp_path)
    settings = {"budgets": ["3KB", "9KB"], "recipes": {"all": {"weights": {"a": 0.5, "b": 0.3, "c": 0.2}}}}
    out = little.build(little.write_study(tmp_path, given_sources, **settings), tmp_path / "out").out
    text = (out / "manifest.json").read_text()
    first = json.loads(text)["recipes"]["all"]["rungs"][0]
    said = {
        "reached": f"3KB: {first['reached']:,} bytes begin in it, not {first['reached'] + 1:,}",
        "requested": "3KB: stratum 1 has its 500 bytes 2 sequences too early",
    }
    for key, value in (("reached", first["reached"] + 1), ("requested", 1000)):
        manifest = json.loads(text)
        manifest["recipes"]["all"]["rungs"][0][key] = value
        (out / "manifest.json").write_text(json.dumps(manifest))
        assert failed(out)["Exact (all)"].startswith(said[key])
    manifest = json.loads(text)
    manifest["recipes"]["all"]["rungs"][0]["requested"] = 6000
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert failed(out)["Exact (all)"].startswith("3KB: stratum 1 lacks its 3,000 bytes by 2 sequences")
    manifest = json.loads(text)
    del manifest["recipes"]["all"]["rungs"][0]["unit"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert failed(out)["Exact (all)"].startswith("3KB: what was requested is not told")
    (out / "manifest.json").write_text(text)
    path = out / first["shards"][0]["documents"]
    table = pq.read_table(path)
    pq.write_table(table.set_column(5, "text_bytes", pa.array([1] * len(table))), path)
    assert "bytes begin in it" in failed(out)["Exact (all)"]


@given(
    st.lists(st.lists(st.integers(0, 5000), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from([1, 16, 100]),
)
def test_a_course_of_steps_brings_each_stratum_where_its_tokens_end(added, length):
    added[0][0] += 1
    ends = [[sum(row[i] for row in added[: n + 1]) for i in range(3)] for n in range(len(added))]
    sequences, course, bends = steps(ends, length)
    assert bends[1::2] == [n for n, one in enumerate(sequences) if one > max([0, *sequences[:n]])]
    for row, sequence, counts in zip(ends, sequences, prefix_counts(course, sequences), strict=True):
        assert sequence == max(1, (2 * sum(row) + length) // (2 * length))
        exact = [Fraction(one * sequence, sum(row)) for one in row]
        assert all(abs(int(n) - one) < 2 for n, one in zip(counts, exact, strict=True))
    assert steps([[one] for one, *_ in ends], length)[1] is None


# studies

STUDY = """
name = "s"
budgets = BUDGETS
sequence_length = 64
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
sources.code = { format = "jsonl", path = "c.jsonl" }
"""


def study(budgets, rest="recipes.r = {}\n"):
    return parse(STUDY.replace("BUDGETS", budgets) + rest, "/data/study.toml")


@pytest.mark.parametrize(
    ("budgets", "unit", "rungs"),
    [
        ('["1MB", "4GB", "1.5TB"]', "bytes", {"1MB": 10**6, "4GB": 4 * 10**9, "1.5TB": 15 * 10**11}),
        ('["500 bytes", "1B bytes"]', "bytes", {"500-bytes": 500, "1GB": 10**9}),
        ('["999 documents", "20K documents"]', "documents", {"999-documents": 999, "20K-documents": 20_000}),
        ('["1K tokens", "1B"]', "tokens", {"1K": 1000, "1B": 10**9}),
        ('{ from = "1KB", to = "10KB", per_decade = 2 }', "bytes", {"1KB": 1000, "3.16KB": 3160, "10KB": 10_000}),
    ],
)
def test_budgets_say_their_unit(budgets, unit, rungs):
    found = study(budgets)
    assert (found.settings.budget_unit, found.rungs) == (unit, rungs)
    assert [split_unit(name) for name in rungs] == [(split_unit(name)[0], unit) for name in rungs]


@pytest.mark.parametrize("size", ["4MB", "4M", "4000000 bytes", 4_000_000])
def test_the_held_out_set_is_in_bytes_as_budgets_are(size):
    rest = f"recipes.r = {{}}\nheld_out.bytes = {json.dumps(size)}\n"
    assert study('["1M", "2M"]', rest).settings.held_out.size == (4_000_000, "bytes")


def test_rungs_and_simulated_runs_are_in_the_same_unit():
    rest = 'recipes.r = { simulate = "1GB" }\ncurricula.c = { recipe = "r", rung = "4MB", sort = "bytes" }\n'
    found = study('["4MB", "8MB"]', rest)
    assert found.settings.recipes["r"].simulate == 10**9
    assert found.settings.rung_name(found.settings.curricula["c"].rung) == "4MB"


ONE_UNIT = "Give all in one unit: how many of one the other comes to is known after encoding"


@pytest.mark.parametrize(
    ("budgets", "rest", "mistake"),
    [
        ('["1MB", "4M"]', "recipes.r = {}", f"budgets[1]: 4M is in tokens, the budgets are in bytes. {ONE_UNIT}"),
        (
            '["1MB", "4GiB"]',
            "recipes.r = {}",
            'budgets[1]: powers of 1024 are no units here. Write KB, MB, GB or TB, powers of 1000: "4GB", given "4GiB"',
        ),
        (
            '["9KB"]',
            'recipes.r = {}\ncurricula.c = { recipe = "r", rung = "8KB", sort = "bytes" }',
            "curricula.c.rung: 8KB is none of the budgets: 9KB",
        ),
        (
            '["1MB"]',
            "recipes.r = { simulate = 9000000 }",
            f"recipes.r.simulate: 9000000 is in tokens, the budgets are in bytes. {ONE_UNIT}",
        ),
        (
            '["9 documents"]',
            'recipes.r = { weights = [{ at = 0.0, web = 1.0 }, { at = "9KB", code = 1.0 }] }',
            f"recipes.r.weights[1].at: 9KB is in bytes, the budgets are in documents. {ONE_UNIT}",
        ),
        (
            '["9KB"]',
            "recipes.r = { weights = [{ at = 0, web = 1.0 }, { at = 9000, code = 1.0 }] }",
            f"recipes.r.weights[1].at: 9000 is in tokens, the budgets are in bytes. {ONE_UNIT}",
        ),
        (
            '["1MB"]',
            'recipes.r = {}\nheld_out = { tokens = "1K", bytes = "1K" }',
            'held_out: give its size, as tokens = "1M" or as bytes = "4M"',
        ),
        (
            '["1MB"]\nbudget_unit = "documents"',
            "recipes.r = {}",
            "budget_unit: documents, but the budgets are in bytes. Leave it out: it follows from them",
        ),
    ],
)
def test_mistakes_are_named(budgets, rest, mistake):
    with pytest.raises(StudyError) as error:
        study(budgets, rest + "\n")
    assert mistake in error.value.mistakes
