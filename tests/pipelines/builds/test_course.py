"""Weights that change along the stream: the rule in fractions, the bound in every prefix, and whole builds."""

from __future__ import annotations

import json
from fractions import Fraction

import little
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.recount.mixture import area
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages.course import LONGEST, Course, CourseState
from tokenladder.pipelines.stages.schedule import (
    ONE,
    State,
    at_start,
    integer_weights,
    prefix_counts,
    resumed,
    state_at,
    told_weights,
)
from tokenladder.pipelines.study.file import StudyError, parse
from tokenladder.pipelines.study.weights import Bend, means

import naive

LENGTH = little.LENGTH


def drawn(seed, strata, bends, reach):
    """A course with steps, with weights of zero, and with places beyond what is looked at."""
    rng = np.random.default_rng(seed)
    weights = rng.random((bends, strata)) ** rng.uniform(0.1, 9) * (rng.random((bends, strata)) > 0.3)
    weights[:, 0] += 1e-9
    places = np.sort(rng.integers(0, reach + reach // 4 + 2, bends))
    return Course(places, np.stack([integer_weights(row) for row in weights]))


def pairs(course):
    return [(bend["sequences"], bend["weights"]) for bend in course.to_json()]


COURSES = st.builds(drawn, st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 5), st.just(60))


@given(COURSES, st.integers(0, 90))
def test_what_is_due_is_the_area_below_the_weights_rounded_down_once_in_a_piece(course, position):
    exact = naive.due(pairs(course), position)
    found = course.due(position)
    for one, other in zip(found.tolist(), exact, strict=True):
        assert 0 <= other * ONE - one < len(course.places) + 1
    counted = [float(area(course.places.astype(float), (row / ONE).tolist(), np.array([float(position)]))[0])
               for row in course.weights.T]  # fmt: skip
    assert counted == pytest.approx([float(one) for one in exact], abs=1e-9)


@settings(max_examples=40)
@given(COURSES, st.integers(0, 60))
def test_picks_equal_the_rule_in_fractions(course, count):
    wanted, found = naive.course(pairs(course), count), at_start(course).advance(count)[0].tolist()
    if found != wanted:  # a unit of 2**-32 can decide a tie; then both stay within the bound, and agree before it
        at = next(n for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
        here = naive.due(pairs(course), at + 1)
        slack, had = Fraction(1, 2 * len(here) - 2), [found[:at].count(i) for i in range(len(here))]
        ties = {i for i in (found[at], wanted[at]) if abs(here[i] - had[i] - slack) * ONE < 9}
        assert ties


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 200), st.integers(1, 6), st.integers(10, 3000))
def test_every_prefix_is_within_the_bound_and_any_place_is_found_from_a_checkpoint(seed, strata, bends, count):
    course = drawn(seed, strata, bends, count)
    picks, after = at_start(course).advance(count)
    counts = np.cumsum(picks[:, None] == np.arange(strata), axis=0)
    due = np.stack([course.due(n) for n in range(1, count + 1)])
    error = int(np.abs(counts * ONE - due).max())
    assert error <= ONE * (1 - Fraction(1, 2 * strata - 2)) + bends + 2  # + what rounding down may keep back
    assert after.given.tolist() == counts[-1].tolist()
    rng = np.random.default_rng(seed)
    places = sorted(rng.integers(0, count + 1, 4).tolist())
    checkpoints = [row.tolist() for row in prefix_counts(course, places)]
    position = int(rng.integers(0, count + 1))
    found = state_at(course, position, checkpoints)
    assert found.given.tolist() == (counts[position - 1].tolist() if position else [0] * strata)
    more = found.advance(count - position)[0]
    assert more.tolist() == picks[position:].tolist()


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(0, 500))
def test_a_course_that_does_not_change_is_the_plain_schedule(shares, count):
    weights = integer_weights(shares)
    course = Course(np.array([0, 100]), np.stack([weights, weights]))
    assert at_start(course).advance(count)[0].tolist() == State.start(weights).advance(count)[0].tolist()


def test_far_along_the_longest_stream_nothing_passes_64_bits():
    weights = np.stack([integer_weights(row) for row in ([1, 0, 5], [3, 1, 0], [0, 1, 0])])
    course = Course(np.array([0, LONGEST - 2000, LONGEST]), weights)
    start = LONGEST - 3000
    exact = naive.due(pairs(course), start)
    given_so_far = [round(one) for one in exact]
    given_so_far[0] += start - sum(given_so_far)
    picks, after = resumed(course, given_so_far).advance(3000)
    assert len(picks) == 3000
    end = naive.due(pairs(course), LONGEST)
    assert all(abs(int(n) - one) < 2 for n, one in zip(after.given, end, strict=True))
    with pytest.raises(ValueError, match=r"^Where weights change, a stream has at most 1,073,741,824 sequences\.$"):
        after.advance(1)


def test_a_course_goes_through_json():
    course = drawn(1, 3, 4, 50)
    again = Course.from_json(json.loads(json.dumps(course.to_json())))
    assert again.to_json() == course.to_json()
    assert CourseState(again, np.zeros(3, np.int64)).advance(50)[0].tolist() == at_start(course).advance(50)[0].tolist()


# builds

ANNEALED = [{"at": 0.5, "a": 0.7, "b": 0.3}, {"at": 1.0, "a": 0.1, "c": 0.9}]


def sources(folder, counts=(("a", 90), ("b", 60), ("c", 20))):
    return {name: little.write_jsonl(folder / f"{name}.jsonl", little.corpus(2, n, prefix=name)) for name, n in counts}


def failed(out):
    return {check.promise: check.found for check in verify(str(out)) if not check.holds}


def test_an_annealed_recipe_is_within_one_sequence_of_its_course_and_its_rungs_are_prefixes(tmp_path):
    orders = {"easy": {"recipe": "all", "rung": 40 * LENGTH, "sort": "bytes", "mixed": True}}
    study = little.write_study(
        tmp_path,
        sources(tmp_path),
        budgets=[20 * LENGTH, 40 * LENGTH, 60 * LENGTH],
        recipes={"all": {"weights": ANNEALED}},
        curricula=orders,
    )
    result = little.build(study, tmp_path / "out")
    assert failed(result.out) == {}
    recipe = result.manifest["recipes"]["all"]
    half = [integer_weights(row).tolist() for row in ([0.7, 0.3, 0], [0.1, 0, 0.9])]
    bends = [(30, half[0]), (60, half[1])]
    assert recipe["course"] == [
        {"sequences": place, "weights": dict(zip("abc", weights, strict=True))} for place, weights in bends
    ]
    _, strata = result.tokens()
    assert strata.tolist() == ["abc"[n] for n in naive.course(bends, 60)]
    for n in range(1, 61):
        due = naive.due(bends, n)
        assert all(abs(strata[:n].tolist().count(name) - one) < 1 for name, one in zip("abc", due, strict=True))
    assert [rung["strata"]["c"]["sequences"] for rung in recipe["rungs"]] == [0, 2, 14]
    weights = {name: one["weight"] / one["of"] for name, one in recipe["strata"].items()}
    assert weights == pytest.approx({"a": 0.55, "b": 0.225, "c": 0.225}, abs=1e-9)
    found = state_at(told_weights(recipe, "abc"), 41, recipe["checkpoints"]).given.tolist()
    assert found == [strata[:41].tolist().count(name) for name in "abc"]
    card = (result.out / "README.md").read_text()
    assert "Weights of all change along the stream, linearly between these places" in card
    assert "| 30 | 70.000 % | 30.000 % | 0.000 % |" in card
    again = little.build(study, tmp_path / "out")
    assert again.manifest == result.manifest


def test_places_in_tokens_steps_repeats_and_what_is_short(tmp_path):
    bends = [{"at": 10 * LENGTH, "a": 1.0}, {"at": 10 * LENGTH, "c": 1.0}]
    settings = {"budgets": [40 * LENGTH], "recipes": {"all": {"weights": bends, "repeat": 9}}}
    given_sources = sources(tmp_path, (("a", 30), ("c", 5)))
    result = little.build(little.write_study(tmp_path, given_sources, **settings), tmp_path / "out")
    assert failed(result.out) == {}
    assert result.tokens()[1].tolist() == ["a"] * 10 + ["c"] * 30
    stratum = result.rungs()[next(iter(result.rungs()))]["strata"]["c"]
    assert stratum["unique_tokens"] < stratum["tokens"] == 30 * LENGTH
    missing = 30 * LENGTH - stratum["unique_tokens"]
    settings["recipes"] = {"all": {"weights": bends}}
    with pytest.raises(UserError, match=rf"c: {missing:,} tokens missing; {30 * LENGTH:,} needed"):
        little.build(little.write_study(tmp_path, given_sources, **settings), tmp_path / "short")


def test_a_course_that_the_shards_do_not_follow_is_found(tmp_path):
    study = little.write_study(tmp_path, sources(tmp_path), recipes={"all": {"weights": ANNEALED}})
    out = little.build(study, tmp_path / "out").out
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["recipes"]["all"]["course"][1]["weights"] = {"a": ONE // 2, "b": ONE // 2, "c": 0}
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert failed(out)["Mixed (all)"].startswith("after ")
    assert "sequences, c is +" in failed(out)["Mixed (all)"]
    manifest["recipes"]["all"]["course"][1]["weights"]["c"] = 1
    manifest["recipes"]["all"]["course"][0]["sequences"] = 90
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert failed(out)["Mixed (all)"].startswith(
        f"the weights sum to {ONE + 1}, not to {ONE}; the places at which weights change do not ascend"
    )


# studies

STUDY = """
name = "s"
budgets = ["10K", "20K"]
sequence_length = 64
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
sources.code = { format = "jsonl", path = "c.jsonl" }
"""


def test_weights_at_places():
    text = STUDY + 'recipes.r = { weights = [{ at = 0, web = 1 }, { at = "15K", web = 0.5, code = 0.5 }] }\n'
    found = parse(text, "/data/study.toml").recipe("r").weights
    assert found == (Bend(0.0, {"web": 1}), Bend(15_000, {"web": 0.5, "code": 0.5}))
    based = text + "recipes.of_it = { base = 'r', repeat = 2 }\n"
    assert parse(based, "/data/study.toml").recipe("of_it").weights == found
    assert means(found, 20_000) == pytest.approx({"web": (11.25 + 2.5) / 20, "code": (3.75 + 2.5) / 20})
    assert means(found, 15_000) == pytest.approx({"web": 0.75, "code": 0.25})
    assert means(found, 7_500) == pytest.approx({"web": 0.875, "code": 0.125})


@pytest.mark.parametrize(
    ("weights", "mistake"),
    [
        ("[{ web = 1.0 }, { at = 1.0, code = 1.0 }]", ": a place is missing. Write `at` in each table: at = 0.9, or"),
        ("[{ at = 1.5, web = 1.0 }, { at = 1.0, code = 1.0 }]", ": at = 1.5 is no place. Write a share of the largest"),
        ('[{ at = "x", web = 1.0 }, { at = 1.0, code = 1.0 }]', ": not a positive whole number of tokens"),
        ("[{ at = 0.5, web = 1.0 }]", ": not weights. Write { web = 0.8, code = 0.2 }, a list of such tables with"),
        ("3", ": not weights. Write { web = 0.8, code = 0.2 }, a list of such tables with `at`"),
        ("[{ at = 0.5, wob = 1.0 }, { at = 1.0, code = 1.0 }]", "[0].wob: there is no such source, did you mean 'web'"),
        ("[{ at = 0.5, web = 1.0 }, { at = 1.0, code = 0.9 }]", "[1]: shares sum to 0.9. They must sum to 1"),
        (
            '[{ at = 0.6, web = 1.0 }, { at = "10K", code = 1.0 }]',
            "[1].at: 10000 comes before 0.6. List places in the order of the stream",
        ),
    ],
)
def test_mistakes_in_weights_are_named(weights, mistake):
    with pytest.raises(StudyError) as error:
        parse(STUDY + f"recipes.r = {{ weights = {weights} }}\n", "/data/study.toml")
    assert len(error.value.mistakes) == 1
    assert error.value.mistakes[0].startswith(f"recipes.r.weights{mistake}")


def test_what_does_not_go_with_a_course():
    bends = "weights = [{ at = 0.5, web = 1.0 }, { at = 1.0, code = 1.0 }]"
    with pytest.raises(StudyError) as error:
        parse(STUDY + f"recipes.r = {{ {bends}, rescale = true }}\n", "/data/study.toml")
    said = "recipes.r.rescale: fills up weights that do not change. Leave it out, or set repeat"
    assert error.value.mistakes == [said]
    text = STUDY.replace("sources.code", "sources.at") + f"recipes.r = {{ {bends.replace('code', 'web')} }}\n"
    with pytest.raises(StudyError) as error:
        parse(text, "/data/study.toml")
    assert error.value.mistakes == ["recipes.r.weights: `at` is a place here. Give the source 'at' another name"]


@pytest.mark.parametrize(
    ("base", "own", "mistake"),
    [
        (
            "weights = [{ at = 0.5, web = 1.0 }, { at = 1.0, code = 1.0 }]",
            "rescale = true",
            "rescale: fills up weights that do not change. Leave it out, or set repeat",
        ),
        ("disjoint = 2", "permutation = 5", "permutation: 5 is none of 2 disjoint draws. Write 0 to 1"),
        ("permutation = 5", "disjoint = 2", "permutation: 5 is none of 2 disjoint draws. Write 0 to 1"),
    ],
)
def test_what_a_recipe_takes_from_its_base_must_go_with_its_own(base, own, mistake):
    text = STUDY + f"recipes.r = {{ {base} }}\nrecipes.of_it = {{ base = 'r', {own} }}\n"
    with pytest.raises(StudyError) as error:
        parse(text, "/data/study.toml")
    assert error.value.mistakes == [f"recipes.of_it.{mistake}"]


def test_no_budget_is_advised_where_places_do_not_move_with_it(tmp_path):
    source = {"web": little.write_jsonl(tmp_path / "w.jsonl", little.corpus(1, 20))}
    source["code"] = little.write_jsonl(tmp_path / "c.jsonl", little.corpus(2, 20))
    for place, advice in (("64K", r"Lower the budgets, loosen"), (0.5, r"Lower the budgets to [0-9,]+ tokens, loosen")):
        weights = [{"at": place, "web": 1.0}, {"at": place, "code": 1.0}]
        study = little.write_study(tmp_path, source, budgets=[128_000], recipes={"all": {"weights": weights}})
        with pytest.raises(UserError, match=advice):
            little.build(study, tmp_path / "out")
