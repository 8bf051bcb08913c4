"""Draws of documents: permutations, disjoint draws, samples, simulated runs, shares by rule, top by group."""

from __future__ import annotations

import itertools
from fractions import Fraction

import little
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.drivers.shares import tempered
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.ladder import order_seed
from tokenladder.pipelines.study.file import StudyError, parse

LENGTH = little.LENGTH


def build(folder, counts=(("a", 90), ("b", 60)), *, neighbours=0, **settings):
    rows = {name: little.corpus(1, count, prefix=name, neighbours=neighbours) for name, count in counts}
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", rows[name]) for name in rows}
    result = little.build(little.write_study(folder, sources, **settings), folder / "out")
    assert [f"{check.promise}: {check.found}" for check in verify(str(result.out)) if not check.holds] == []
    return rows, result


# permutations and draws


def test_a_permutation_is_another_order_of_the_same_documents(tmp_path):
    recipes = {"all": {}, "again": {"base": "all", "permutation": 1}, "third": {"base": "all", "permutation": 2}}
    rows, result = build(tmp_path, recipes=recipes, seed=7, budgets=[20 * LENGTH, 60 * LENGTH])
    for name, number in (("all", 0), ("again", 1), ("third", 2)):
        for source in "ab":
            wanted = little.ordered([row["text"] for row in rows[source]], order_seed(7, number))
            found = result.texts(source, name)
            assert found[:-1] == wanted[: len(found) - 1]
        assert result.manifest["recipes"][name].get("permutation") == (number or None)
        fates = {row["document"] for row in result.ledger(name) if row["outcome"] in {"kept", "over_budget"}}
        assert len(fates) == 150
    assert len({tuple(result.trained(name)) for name in recipes}) == 3


def test_disjoint_draws_share_no_document_and_no_near_duplicate(tmp_path):
    recipes = {f"draw{n}": {"disjoint": 3, "permutation": n} for n in range(3)}
    recipes["every"] = {"dedup": False}
    _, result = build(tmp_path, neighbours=40, recipes=recipes, budgets=[20 * LENGTH])
    survivors = {}
    for n in range(3):
        name = f"draw{n}"
        for row in result.ledger(name):
            if row["outcome"] == "dropped":
                assert row["reason"] == f"draw.3 is {n}"
            else:  # every document is in one draw, with all that is near to it
                assert row["name"] not in survivors
                survivors[row["name"]] = (n, row["survivor"] or row["document"])
        assert result.manifest["recipes"][name]["rules"] == [f"draw.3 is {n}"]
    assert len(survivors) == 230
    leaders = {leader: n for n, leader in survivors.values()}
    assert all(leaders[leader] == n for n, leader in survivors.values())
    assert min(sum(m == n for m, _ in survivors.values()) for n in range(3)) > 40


def test_a_sample_is_the_beginning_of_the_order(tmp_path):
    recipes = {
        "all": {"weights": {"a": 0.5, "b": 0.5}},
        "some": {"base": "all", "keep": [{"score": "sample", "max": 0.5}]},
    }
    rows, result = build(tmp_path, recipes=recipes, budgets=[30 * LENGTH])
    texts = [row["text"] for name in rows for row in rows[name]]
    inside = {little.document_id(one) for one in texts if little.priority(one) / 2**64 < 0.5}
    kept = {row["document"] for row in result.ledger("some") if row["outcome"] != "dropped"}
    assert kept == inside
    assert result.trained("some") == result.trained("all")  # as both begin alike, and the half is enough


def test_a_simulated_run_repeats_each_stratum_as_often_as_the_run_would(tmp_path):
    counts, target, budget = (("a", 900), ("b", 300)), 1200 * LENGTH, 120 * LENGTH
    weights = {"a": 0.4, "b": 0.6}
    rows, result = build(
        tmp_path,
        counts,
        budgets=[budget],
        recipes={"small": {"weights": weights, "simulate": target, "repeat": 9}},
    )
    rung = result.rungs("small")[next(iter(result.rungs("small")))]
    for name, weight in weights.items():
        tokens = sum(len(row["text"].encode()) + 1 for row in rows[name])
        share = rung["strata"][name]
        # a tenth of 900 and of 300 documents, drawn by chance
        passes = max(1.0, weight * target / tokens)
        assert share["tokens"] / share["unique_tokens"] == pytest.approx(passes, rel=0.25)
    assert {row["reason"] for row in result.ledger("small") if row["outcome"] == "dropped"} == {"sample max 0.1"}
    assert result.manifest["recipes"]["small"]["simulate"] == target


# shares


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1), st.sampled_from([0, 0.3, 0.5, 1]))
def test_tempered_shares_are_powers(shares, alpha):
    found = tempered(shares, alpha)
    total = sum(shares.values())
    for name, share in shares.items():
        assert float(found[name]) == pytest.approx((share / total) ** alpha, rel=1e-12)


def water(weights, most, sequences):
    """Sequences of each stratum, where those that run short give all, and the others share the rest."""
    fixed = {}
    while True:
        left = sequences - sum(fixed.values())
        others = {name: weight for name, weight in weights.items() if name not in fixed}
        shares = {name: Fraction(weight) * left / sum(others.values()) for name, weight in others.items()}
        short = {name: most[name] for name, share in shares.items() if share > most[name]}
        if not short:
            return {**fixed, **shares}
        fixed |= short


@little.few(8)
@given(
    counts=st.tuples(st.integers(4, 30), st.integers(4, 60), st.integers(150, 200)),
    alpha=st.sampled_from([0.0, 0.5]),
    repeat=st.integers(1, 3),
    sequences=st.integers(60, 140),
)
def test_rescaled_shares_are_filled_up_as_unimax_has_it(tmp_path_factory, counts, alpha, repeat, sequences):
    folder = tmp_path_factory.mktemp("unimax")
    listed = tuple(zip("abc", counts, strict=True))
    recipes = {"all": {"alpha": alpha, "repeat": repeat, "rescale": True}}
    rows, result = build(folder, listed, recipes=recipes, budgets=[20 * LENGTH, sequences * LENGTH])
    sizes = {name: sum(len(row["text"].encode()) for row in rows[name]) for name in rows}
    most = {name: repeat * (sizes[name] + len(rows[name])) // LENGTH for name in rows}
    expected = water({name: (size / sum(sizes.values())) ** alpha for name, size in sizes.items()}, most, sequences)
    recipe = result.manifest["recipes"]["all"]
    found = {name: one["sequences"] for name, one in recipe["rungs"][-1]["strata"].items()}
    assert all(abs(found[name] - float(expected[name])) < 1.01 for name in rows)
    assert all(found[name] <= most[name] for name in rows)
    assert recipe["rescaled"] == sorted(name for name in rows if expected[name] == most[name])
    again = little.build(folder / "study.toml", folder / "out")
    assert again.manifest == result.manifest


def test_a_pool_that_runs_short_as_a_whole_is_an_error_even_if_rescaled(tmp_path):
    with pytest.raises(
        UserError, match=r"^all: the kept documents do not fill its largest rung\.\n  a: .* tokens missing"
    ):
        build(tmp_path, recipes={"all": {"rescale": True}}, budgets=[5000 * LENGTH])


# top by group, near a number


def by_words(rows, share, near=None):
    """Ids of the documents with the greatest number of words, or those nearest to a number."""
    texts = {row["text"] for row in rows}
    rank = (lambda one: abs(len(one.split()) - near)) if near is not None else (lambda one: -len(one.split()))
    ranked = sorted(texts, key=lambda one: (rank(one), little.priority(one)))
    return {little.document_id(one) for one in ranked[: max(1, int(Fraction(str(share)) * len(ranked)))]}


@little.few(6)
@given(st.sampled_from([0.1, 0.25, 1 / 3]), st.none() | st.integers(5, 95))
def test_top_within_groups_takes_its_share_of_each(tmp_path_factory, share, near):
    folder = tmp_path_factory.mktemp("within")
    rule = {"score": "lengths.words", "top": share} | ({} if near is None else {"near": float(near)})
    recipes = {
        "strata": {"keep": [{**rule, "within": "strata"}], "repeat": 9},
        "label": {"keep": [{**rule, "within": "source"}], "repeat": 9},
        "whole": {"keep": [rule], "repeat": 9},
    }
    rows, result = build(folder, recipes=recipes, budgets=[LENGTH], scores={"lengths": {"type": "lengths"}})
    kept = {name: {row["document"] for row in result.ledger(name) if row["outcome"] != "dropped"} for name in recipes}
    each = by_words(rows["a"], share, near) | by_words(rows["b"], share, near)
    assert kept["strata"] == kept["label"] == each
    assert kept["whole"] == by_words(rows["a"] + rows["b"], share, near)
    told = " near" in next(row["reason"] for row in result.ledger("label") if row["outcome"] == "dropped")
    assert told == (near is not None)


# mistakes

STUDY = """
name = "s"
budgets = ["1K", "2K"]
sequence_length = 64
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
scores.gopher = { type = "gopher" }
"""


@pytest.mark.parametrize(
    ("recipe", "mistake"),
    [
        ("weights = { web = 1.0 }, alpha = 0.5", ": has weights and alpha. Give one of them"),
        ("disjoint = 3, permutation = 3", ".permutation: 3 is none of 3 disjoint draws. Write 0 to 2"),
        ('simulate = "1K"', ".simulate: 1K is less than the largest rung, 2K. Name a larger run"),
        (
            'keep = [{ score = "gopher.words", min = 1, near = 0.5 }]',
            ".keep[0].near: says how top takes its share. Give top, too",
        ),
        (
            'keep = [{ score = "gopher.words", top = 0.5, within = "gopher.words" }]',
            ".keep[0].within: gopher.words holds a value. Test it with min, max, top",
        ),
        ('keep = [{ score = "draw.3", min = 1 }]', ".keep[0].score: 'draw.3' holds a label. Test it with is, in"),
        (
            'keep = [{ score = "sample", is = "1" }]',
            ".keep[0].score: 'sample' holds a value. Test it with min, max, top",
        ),
    ],
)
def test_mistakes_are_named(recipe, mistake):
    with pytest.raises(StudyError) as error:
        parse(STUDY + f"recipes.r = {{ {recipe} }}\n", "/data/study.toml")
    assert error.value.mistakes == [f"recipes.r{mistake}"]


def test_of_weights_and_alpha_the_last_one_said_counts():
    recipes = 'recipes.a = { weights = { web = 1.0 } }\nrecipes.b = { base = "a", alpha = 0.5 }\n'
    recipes += 'recipes.c = { base = "b", weights = { web = 1.0 } }\n'
    study = parse(STUDY + recipes, "/data/study.toml")
    found = [(study.recipe(name).weights, study.recipe(name).alpha) for name in "abc"]
    assert found == [({"web": 1.0}, None), (None, 0.5), ({"web": 1.0}, None)]


def test_seeds_of_permutations_differ_and_the_first_is_the_studys_own():
    seeds = [order_seed(3, n) for n in range(50)]
    assert seeds[0] == 3
    assert len(set(seeds)) == 50
    assert all(a != b for a, b in itertools.pairwise(seeds))
