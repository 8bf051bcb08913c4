"""Recipes through whole builds: exact shares, repeats, weights, and the errors that say what a study lacks."""
# ruff: noqa: S311 documents drawn at random are no secrets

from __future__ import annotations

import collections
import itertools
import random
from fractions import Fraction

import little
import pytest
from hypothesis import given
from hypothesis import strategies as st

LENGTH = little.LENGTH


@little.few(15)
@given(
    share=st.one_of(st.sampled_from([0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 1.0]), st.floats(0.001, 1)),
    by=st.sampled_from(["documents", "tokens"]),
    sizes=st.lists(st.integers(5, 9), min_size=5, max_size=40),
    least=st.sampled_from([None, 7]),
)
def test_top_keeps_exactly_the_greatest_share_with_ties_by_priority(tmp_path_factory, share, by, sizes, least):
    folder = tmp_path_factory.mktemp("top")
    rng = random.Random(len(sizes))
    texts = [" ".join(f"{rng.randrange(10**9):09}" for _ in range(size)) for size in sizes]
    rows = [{"id": str(n), "text": one} for n, one in enumerate(texts)]
    rules = [{"score": "lengths.words", "min": least}] if least else []
    rules.append({"score": "lengths.words", "top": share, "by": by})
    study = little.write_study(
        folder,
        {"a": little.write_jsonl(folder / "a.jsonl", rows)},
        scores={"lengths": {"type": "lengths"}},
        budgets=[LENGTH],
        recipes={"all": {"keep": rules, "repeat": 8, "dedup": False}},
    )
    passed = [one for one in texts if len(one.split()) >= (least or 0)]
    if not passed:
        with pytest.raises(Exception, match="no document of any source is kept"):
            little.build(study, folder / "out")
        return
    greatest = sorted(passed, key=lambda one: (-len(one.split()), little.priority(one)))
    weights = [len(one.encode()) + 1 if by == "tokens" else 1 for one in greatest]
    allowed = Fraction(str(share)) * sum(weights)
    fits = sum(1 for total in itertools.accumulate(weights) if total <= allowed)
    expected = {little.document_id(one) for one in greatest[: max(fits, 1)]}
    ledger = little.build(study, folder / "out").ledger()
    assert {row["document"] for row in ledger if row["outcome"] != "dropped"} == expected
    shown = f"{share:g}" if float(f"{share:g}") == share else repr(share)
    assert {row["reason"] for row in ledger if row["outcome"] == "dropped"} <= {
        "lengths.words min 7",
        f"lengths.words top {shown} by {by}",
    }


@pytest.mark.parametrize("passes", [1.3, 2.0, 3.7])
def test_a_stratum_that_repeats_begins_again_and_is_counted(tmp_path, passes):
    few, many = little.corpus(50, 6, prefix="few"), little.corpus(51, 100, prefix="many")
    end = 256
    whole = little.joined(little.ordered([row["text"] for row in few]), end)
    need = round(passes * len(whole) / LENGTH)
    study = little.write_study(
        tmp_path,
        {
            "few": little.write_jsonl(tmp_path / "few.jsonl", few),
            "many": little.write_jsonl(tmp_path / "many.jsonl", many),
        },
        budgets=[2 * LENGTH, 2 * need * LENGTH],
        recipes={"all": {"weights": {"few": 0.5, "many": 0.5}, "repeat": 4}},
    )
    result = little.build(study, tmp_path / "out")
    assert result.manifest["tokenizer"]["end_of_document"] == end
    assert result.stream("few").tolist() == (whole * 5)[: need * LENGTH]
    rung = list(result.rungs().values())[-1]
    repeated = max(0, need * LENGTH - len(whole))
    assert rung["strata"]["few"] == {
        "tokens": need * LENGTH,
        "sequences": need,
        "unique_tokens": need * LENGTH - repeated,
    }
    assert (rung["unique_tokens"], rung["repeated_tokens"]) == (rung["tokens"] - repeated, repeated)
    assert all(row["outcome"] == "kept" for row in result.ledger() if row["source"] == "few")


def tokens(rows):
    return sum(len(row["text"].encode()) + 1 for row in rows)


def test_a_shortage_names_each_stratum_and_what_is_missing(tmp_path):
    a, b, c = (little.corpus(60, 10, prefix=name) for name in "abc")
    study = little.write_study(
        tmp_path,
        {
            name: little.write_jsonl(tmp_path / f"{name}.jsonl", rows)
            for name, rows in zip("abc", (a, b, c), strict=True)
        },
        budgets=["200K"],
        sequence_length=100,
        recipes={"all": {"weights": {"a": 0.5, "b": 0.49, "c": 0.01}, "repeat": 3}},
    )
    with pytest.raises(Exception) as caught:
        little.build(study, tmp_path / "out")
    assert type(caught.value).__name__ == "UserError"
    lines = str(caught.value).splitlines()
    assert lines[0] == "all: the kept documents do not fill its largest rung."
    for line, rows, name, need in ((lines[1], a, "a", 100_000), (lines[2], b, "b", 98_000)):
        missing = need - 3 * tokens(rows)
        assert line == f"  {name}: {missing:,} tokens missing; {need:,} needed, {tokens(rows):,} kept × 3 passes"
    assert len(lines) == 4
    passes = max(-(-100_000 // tokens(a)), -(-98_000 // tokens(b)))
    most = min(2 * 3 * tokens(a), int(3 * tokens(b) / 0.49)) // 100 * 100
    hint = f"Lower the budgets to {most:,} tokens, loosen rules, change weights, or set repeat = {passes}."
    assert (lines[3], 10_000 <= most < 100_000) == (hint, True)


def test_a_weighted_source_of_which_nothing_is_kept_is_named(tmp_path):
    study = little.write_study(
        tmp_path,
        {
            "a": little.write_jsonl(tmp_path / "a.jsonl", little.corpus(61, 40)),
            "b": little.write_jsonl(tmp_path / "b.jsonl", little.corpus(62, 40)),
        },
        recipes={
            "all": {"weights": {"a": 0.5, "b": 0.5}},
            "one": {"base": "all", "keep": [{"score": "source", "is": "a"}]},
        },
    )
    with pytest.raises(Exception, match=r"one: no document of b is kept\. Loosen its rules or change its weights\."):
        little.build(study, tmp_path / "out")


def test_a_recipe_without_dedup_keeps_duplicates(tmp_path):
    rows = little.corpus(63, 30, copies=10, neighbours=10)
    study = little.write_study(
        tmp_path,
        {"a": little.write_jsonl(tmp_path / "a.jsonl", rows)},
        recipes={"all": {}, "every": {"dedup": False}},
        budgets=[LENGTH * (tokens(rows[:25]) // LENGTH)],
    )
    result = little.build(study, tmp_path / "out")
    every = collections.Counter(row["outcome"] for row in result.ledger("every"))
    assert set(every) == {"kept", "over_budget"}
    assert collections.Counter(row["outcome"] for row in result.ledger())["duplicate"] >= 10
    whole = little.joined(little.ordered([row["text"] for row in rows]), 256)
    stream = result.stream("a", "every").tolist()
    assert stream == whole[: len(stream)]


def test_a_filter_never_loses_a_whole_cluster(tmp_path):
    rng = random.Random(64)
    rows = little.corpus(64, 20, words=(50, 50))
    rows += [{"id": f"n{n}", "text": little.near(rng, row["text"], 1) + "x" * (n % 7)} for n, row in enumerate(rows)]
    limit = sorted(len(row["text"]) for row in rows)[20]
    study = little.write_study(
        tmp_path,
        {"a": little.write_jsonl(tmp_path / "a.jsonl", rows)},
        recipes={"all": {}, "short": {"keep": [{"score": "bytes", "max": limit + 30}]}},
        budgets=[LENGTH],
    )
    result = little.build(study, tmp_path / "out")
    for row in result.ledger("short"):
        if row["outcome"] == "duplicate":
            survivor = [one for one in result.ledger("short") if one["document"] == row["survivor"]]
            assert any(one["outcome"] in {"kept", "over_budget"} for one in survivor)
    for first, second in zip(rows[:20], rows[20:], strict=True):
        bins = [result.bins("short")[row["id"]][0] for row in (first, second)]
        assert "duplicate" not in bins or {"kept", "over_budget"} & set(bins)


def test_a_source_that_loses_nearly_all_to_duplicates_stops_the_build(tmp_path):
    rows = [{"id": str(n), "text": "one and the same text stands in each of these rows"} for n in range(40)]
    study = little.write_study(
        tmp_path,
        {
            "good": little.write_jsonl(tmp_path / "good.jsonl", little.corpus(65, 40)),
            "bad": little.write_jsonl(tmp_path / "bad.jsonl", rows),
        },
    )
    with pytest.raises(Exception) as caught:
        little.build(study, tmp_path / "out")
    assert type(caught.value).__name__ == "BuildError"
    assert str(caught.value).split("\n") == [
        (
            "sources.bad: 39 of 40 documents (97.5%) are duplicates, more than dedup.on_wipe_out = 0.9. Its largest "
            "clusters:"
        ),
        "  40 documents",
        "    0: 'one and the same text stands in each of these rows'",
        "    1: 'one and the same text stands in each of these rows'",
        (
            "If these are no duplicates, raise dedup.threshold or set dedup.proof to exact; if they are, raise "
            "dedup.on_wipe_out."
        ),
    ]


def test_too_many_unreadable_records_stop_the_build_with_their_reasons(tmp_path):
    path = little.write_jsonl(tmp_path / "a.jsonl", little.corpus(66, 90))
    with path.open("a") as file:
        file.write("no JSON\n" * 8 + "[]\n" * 2)
    study = little.write_study(tmp_path, {"a": path}, max_rejected=0.09)
    with pytest.raises(Exception) as caught:
        little.build(study, tmp_path / "out")
    assert type(caught.value).__name__ == "BuildError"
    assert str(caught.value) == (
        "10 of 100 records are unreadable (10.0%), more than max_rejected = 0.09. "
        "Most often: 8 × not JSON; 2 × not a JSON object"
    )
    study.write_text(study.read_text().replace("max_rejected = 0.09", "max_rejected = 0.1"))
    assert little.build(study, tmp_path / "out").manifest["counts"]["a"]["documents"] == 90


def test_one_document_is_enough(tmp_path):
    one = little.corpus(67, 1, words=(60, 60))
    study = little.write_study(
        tmp_path, {"a": little.write_jsonl(tmp_path / "a.jsonl", one)}, budgets=[LENGTH, 3 * LENGTH]
    )
    result = little.build(study, tmp_path / "out")
    whole = little.joined([one[0]["text"]], 256)
    assert result.stream("a").tolist() == whole[: 3 * LENGTH]
    assert [row["outcome"] for row in result.ledger()] == ["kept"]


def test_no_document_at_all_is_an_error(tmp_path):
    path = little.write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": " "}])
    with pytest.raises(Exception, match=r"The sources hold no document\. Records were dropped as: empty text \(1\)\."):
        little.build(little.write_study(tmp_path, {"a": path}), tmp_path / "out")


def test_a_weight_of_a_source_is_shared_by_its_strata_as_their_text_has_it(tmp_path):
    texts = {"py": 3000, "c": 1000}
    for suffix, size in texts.items():
        for n, row in enumerate(little.corpus(40, size // 100, prefix=suffix, words=(20, 20))):
            (tmp_path / "code").mkdir(exist_ok=True)
            (tmp_path / "code" / f"{suffix}{n}.{suffix}").write_text(row["text"][:99].ljust(100, "x"))
    little.write_jsonl(tmp_path / "web.jsonl", little.corpus(41, 60, prefix="w"))
    study = little.write_study(
        tmp_path,
        {"code": {"format": "tree", "path": "code"}, "web": "web.jsonl"},
        strata=["source", "file_type"],
        recipes={"all": {"weights": {"code": 0.5, "web/none": 0.5}, "dedup": False}},
        budgets=[16 * LENGTH],
    )
    strata = little.build(study, tmp_path / "out").manifest["recipes"]["all"]["strata"]
    assert {name: one["weight"] / one["of"] for name, one in strata.items()} == {
        "code/C": 0.125,
        "code/Python": 0.375,
        "web/none": 0.5,
    }
