from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.scaling.designs.supply import Stratum, needs, strata_of_manifest, strata_of_plan, worth_of_repeats

MANIFEST = {
    "recipes": {
        "clean": {
            "strata": {"web": {"of": 4, "weight": 3}, "code": {"of": 4, "weight": 1}},
            "counts": {
                "web": {"outcomes": {"kept": {"bytes": 4000, "tokens": 900}, "over_budget": {"bytes": 2000}}},
                "code": {"outcomes": {"kept": {"bytes": 800, "tokens": 150}, "over_budget": {"bytes": 0}}},
            },
            "rungs": [
                {"strata": {"web": {"tokens": 1, "unique_tokens": 1}, "code": {"tokens": 1, "unique_tokens": 1}}},
                {
                    "strata": {
                        "web": {"tokens": 750, "unique_tokens": 750},
                        "code": {"tokens": 250, "unique_tokens": 150},
                    }
                },
            ],
        }
    }
}
PLAN = {
    "sources": {"web": {"bytes": 3000}, "code": {"bytes": 1000}},
    "recipes": {
        "mixed": {"weights": {"web": 0.5, "code": 0.5}},
        "free": {"weights": None},
        "fine": {"weights": {"en": 1}},
    },
}


def test_a_manifest_tells_what_there_is():
    assert strata_of_manifest(MANIFEST, "clean") == [
        Stratum("web", 0.75, 1350.0, "estimated"),  # 900 tokens in 4,000 bytes, 2,000 bytes more
        Stratum("code", 0.25, 150.0, "counted"),  # repeated, so all of it is used
    ]


def test_strata_that_are_no_sources_have_at_least_what_was_used():
    recipe = MANIFEST["recipes"]["clean"]
    finer = {"recipes": {"clean": {**recipe, "counts": {"all": recipe["counts"]["web"]}}}}
    assert strata_of_manifest(finer, "clean")[0] == Stratum("web", 0.75, 750.0, "at least")


def test_a_plan_tells_the_most_there_can_be():
    assert strata_of_plan(PLAN, "mixed") == [
        Stratum("web", 0.5, 750.0, "at most"),
        Stratum("code", 0.5, 250.0, "at most"),
    ]
    assert [stratum.weight for stratum in strata_of_plan(PLAN, "free", bytes_per_token=2)] == [0.75, 0.25]
    assert [stratum.unique for stratum in strata_of_plan(PLAN, "free", bytes_per_token=2)] == [1500, 500]


def test_needs_by_hand():
    web, code = Stratum("web", 0.75, 3e6, "counted"), Stratum("code", 0.25, 5e5, "counted")
    found = {(need.budget, need.stratum): need for need in needs([web, code], [10**6, 4 * 10**6], passes=1.5)}
    assert [found[key].epochs for key in found] == [1.0, 1.0, 1.0, 2.0]
    assert found[10**6, "web"].unique == 7.5e5
    assert found[4 * 10**6, "code"].missing == pytest.approx(1e6 / 1.5 - 5e5)
    assert found[4 * 10**6, "web"].missing == 0
    assert found[4 * 10**6, "code"].worth == worth_of_repeats(5e5, 2.0)


@given(st.floats(1, 1e12), st.floats(1, 100), st.floats(1, 100))
def test_repeats_are_worth_less_and_less(unique, epochs, more):
    worth = worth_of_repeats(unique, epochs)
    assert unique * (1 - 1e-12) <= worth <= unique * epochs * (1 + 1e-12)
    assert worth <= worth_of_repeats(unique, epochs + more) <= unique * 16.39


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=4), st.integers(1, 10**12), st.floats(1, 10))
def test_nothing_is_missing_exactly_where_the_passes_do(uniques, budget, passes):
    strata = [Stratum(str(n), 1 / len(uniques), unique, "counted") for n, unique in enumerate(uniques)]
    for need in needs(strata, [budget], passes):
        assert need.epochs * need.unique == pytest.approx(need.tokens)
        assert (need.missing > 1e-9 * need.tokens) == (need.epochs > passes * (1 + 1e-9)) or math.isclose(
            need.epochs, passes, rel_tol=1e-6
        )


def test_an_empty_stratum_cannot_be_read():
    (need,) = needs([Stratum("none", 1.0, 0.0, "counted")], [100])
    assert (need.epochs, need.missing) == (math.inf, 100.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: strata_of_manifest(MANIFEST, "raw"), "The build has no recipe 'raw'. It has: clean."),
        (lambda: strata_of_manifest({}, "raw"), "This is no manifest of a build: KeyError('recipes') is missing"),
        (lambda: strata_of_plan(PLAN, "raw"), "The plan has no recipe 'raw'. It has: fine, free, mixed."),
        (lambda: strata_of_plan(PLAN, "fine"), "The recipe 'fine' weighs 'en', which is no source"),
        (lambda: strata_of_plan([], "raw"), "This is no plan of a study: TypeError("),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)
