"""Rules, exact shares, survivors: what a recipe says of each row."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import Store, exchange, identity, payload, write_part, write_score

from tokenladder.filters.hashing import mix64
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import CLUSTERS
from tokenladder.pipelines.files.schema import CANDIDATE, DUPLICATED, EXCLUDED, NO_DOCUMENT
from tokenladder.pipelines.stages import choose, keys, view

import naive

numbers = st.lists(st.floats() | st.integers(-3, 3).map(float), max_size=40)


@given(numbers)
def test_descending_numbers_are_ascending_integers(values):
    codes = view.descending(np.array(values, np.float64)).tolist()
    for a, x in zip(values, codes, strict=True):
        for b, y in zip(values, codes, strict=True):
            if math.isnan(a) or math.isnan(b):
                assert (x < y) == (math.isnan(b) and not math.isnan(a))
            else:
                assert (x < y) == (a > b)
                assert (x == y) == (a == b)  # 0.0 and -0.0 too


@settings(max_examples=100)
@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 2, st.integers(1, 9), st.integers(0, 2)), max_size=30),
    st.sampled_from(["0.01", "0.1", "0.25", "0.333", "0.5", "1"]),
)
def test_a_cut_takes_the_most_that_fit(tmp_path_factory, rows, share):
    folder = tmp_path_factory.mktemp("top")
    packed = np.zeros(len(rows), choose.TOP)
    for n, (value, priority, weight, group) in enumerate(rows):
        packed[n] = (value << 44, priority, 0, n, weight, group)
    pairs = keys.split(packed, (packed["value"] >> np.uint64(44)).astype(np.int64))
    exchange(pairs, choose.rank_top, {"folders": [str(folder)]})
    cuts = choose.find_cuts(str(folder), float(share))
    every = [tuple(int(x) for x in row) for row in packed.tolist()]
    expected = {
        str(group): list(naive.top_cut([row[:-1] for row in every if row[-1] == group], share))
        for group in {row[-1] for row in every}
    }
    assert cuts == expected


def recipe(place, **more):
    base = {"rules": [], "cuts": {}, "seed": 5, "strata": [["source"]], "dedup": True, "draw": "document"}
    return {**base, "clusters": place.path("clusters"), "excluded": None, "one_stratum": False, **more}


def rule(**more):
    empty = {"label": None, "value": None, "labels": None, "min": None, "max": None, "top": None, "by": "documents"}
    empty |= {"near": None, "within": None}
    return {**empty, "sources": None, "text": "", **more}


def run(place, part, settings, folder="chosen"):
    task = payload(
        place, part, 0, recipe=settings, folder=place.path(folder), ranges=2, number=0, rule=0, bits=3, tokens=None
    )
    for n, one in enumerate(settings["rules"]):
        if one["top"] is not None:
            top = place.path(folder, "tops", str(n))
            exchange(choose.emit_top({**task, "rule": n}), choose.rank_top, {"folders": [top]})
            settings["cuts"][str(n)] = choose.find_cuts(top, one["top"])
    if settings["dedup"]:
        losers = exchange(choose.emit_rivals(task), choose.eliminate, {})
        exchange(losers, choose.write_losers, {"folders": [place.path(folder)]})
    choose.choose_part(task)
    return store.read_table(place.path(folder, "choices", "0000000.parquet"))


def test_the_first_failed_rule_is_the_reason(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", "b", "c", "d", None, "e"])
    label = pa.array(["en", "de", "en", None, "en", "fr"])
    value = pa.array([0.9, 0.9, 0.1, 0.9, 0.9, None], pa.float32())
    write_score(place, "language", part, {"label": label, "probability": value})
    where = {"label": ["language", "label"], "value": ["language", "probability"]}
    rules = [rule(**where, labels=["en", "fr"]), rule(**where, min=0.5, max=0.95)]
    table = run(place, part, recipe(place, rules=rules))
    assert table.column("code").to_pylist() == [CANDIDATE, 1, 2, 1, NO_DOCUMENT, 2]
    assert table.column("stratum").to_pylist() == ["web"] * 6
    ids = keys.id_array(pa.array([identity(text) for text in "abcd"], pa.binary(16)))
    priorities = mix64(5, ids["high"].astype("<u8"), ids["low"].astype("<u8")).tolist()
    assert table.column("priority").to_pylist()[:4] == priorities
    other = [rule(**where, labels=["de"], sources=["code"]), rule(**where, labels=["de"], sources=["web", "code"])]
    assert run(place, part, recipe(place, rules=other), "other").column("code").to_pylist() == [2, 0, 2, 2, -1, 2]


def test_labels_of_a_pass_or_reason_score(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", "b", "c"])
    write_score(place, "gopher", part, {"reason": pa.array(["pass", "short_doc", None])})
    rules = [rule(label=["gopher", "reason"], labels=["pass"], text="gopher is pass")]
    table = run(place, part, recipe(place, rules=rules))
    assert table.column("code").to_pylist() == [0, 1, 1]
    assert table.column("label").to_pylist() == [None, "short_doc", None]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([1.0, 2.0, -0.0, 0.0, None]), st.booleans()), min_size=1, max_size=25),
    st.sampled_from([0.05, 0.2, 0.5, 1.0]),
)
def test_top_is_exact_among_those_that_passed(tmp_path_factory, rows, share):
    place = Store(str(tmp_path_factory.mktemp("store")))
    part = write_part(place, "s/0", [f"text {n}" for n in range(len(rows))])
    values = pa.array([value for value, _ in rows], pa.float64())
    labels = pa.array(["yes" if passes else "no" for _, passes in rows])
    write_score(place, "score", part, {"value": values, "label": labels})
    where = {"label": ["score", "label"], "value": ["score", "value"]}
    table = run(place, part, recipe(place, rules=[rule(**where, labels=["yes"]), rule(**where, top=share)]))
    codes, priority = table.column("code").to_pylist(), table.column("priority").to_pylist()
    competing = [n for n, (value, passes) in enumerate(rows) if passes and value is not None]
    count = max(int(Fraction(str(share)) * len(competing)), min(len(competing), 1))
    kept = sorted(competing, key=lambda n: (-rows[n][0], priority[n]))[:count]
    assert codes == [1 if not passes else 0 if n in kept else 2 for n, (_, passes) in enumerate(rows)]


@pytest.mark.parametrize("dedup", [True, False])
def test_the_survivor_is_chosen_among_those_that_the_rules_keep(tmp_path, dedup):
    place = Store(str(tmp_path))
    texts = ["a", "b", "c", "d", "d"]
    part = write_part(place, "s/0", texts)
    write_score(place, "score", part, {"value": pa.array([1.0, 0.0, 1.0, 1.0, 1.0])})
    clusters = [identity("b")] * 3 + [identity("d")] * 2
    leads, like, sizes = [False, True, False, True, False], [1.0] * 5, [3, 3, 3, 2, 2]
    rows = {"row": range(5), "cluster": clusters, "leads": leads, "similarity": like, "size": sizes}
    rows |= {"contained": [False] * 5, "earlier": [False] * 5, "leader_source": [0] * 5}
    table = pa.table({name: pa.array(list(value), CLUSTERS.field(name).type) for name, value in rows.items()})
    store.write_table(place.path("clusters", "members", "0000000.parquet"), table)
    rules = [rule(value=["score", "value"], min=0.5)]
    chosen = run(place, part, recipe(place, rules=rules, dedup=dedup))
    codes, survivors = chosen.column("code").to_pylist(), chosen.column("survivor").to_pylist()
    assert codes[1] == 1  # the leader itself is dropped, and its cluster goes on without it
    if not dedup:
        assert (codes, survivors) == ([0, 1, 0, 0, 0], [None] * 5)
        return
    priority = chosen.column("priority").to_pylist()
    first, second = sorted([0, 2], key=lambda n: priority[n])
    assert (codes[first], codes[second], survivors[second]) == (CANDIDATE, DUPLICATED, identity(texts[first]))
    assert sorted(codes[3:]) == [DUPLICATED, CANDIDATE]
    assert [one for one in survivors[3:] if one] == [identity("d")]


def test_what_is_held_out_is_no_candidate(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", "b", None])
    near = pa.table({"row": pa.array([1], pa.uint32()), "near": pa.array([identity("x")], pa.binary(16))})
    store.write_table(place.path("excluded", "0000000.parquet"), near)
    rules = [rule(value=["bytes"], min=1000)]
    chosen = run(place, part, recipe(place, rules=rules, excluded=place.path("excluded")))
    assert chosen.column("code").to_pylist() == [1, EXCLUDED, NO_DOCUMENT]
    assert chosen.column("survivor").to_pylist() == [None, identity("x"), None]


def test_histograms_count_candidates_by_stratum_and_bucket(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["aa", "bbb", "c", None])
    write_score(place, "language", part, {"label": pa.array(["en", None, "en", "en"])})
    chosen = run(place, part, recipe(place, strata=[["source"], ["language", "label"]]))
    assert chosen.column("stratum").to_pylist() == ["web/en", "web/none", "web/en", "web/en"]
    table = store.read_table(place.path("chosen", "histograms", "0000000.parquet"))
    rows = sorted(
        zip(chosen.column("stratum").to_pylist(), chosen.column("priority").to_pylist(), [2, 3, 1], strict=False)
    )
    expected = [{"stratum": s, "bucket": p >> 52, "documents": 1, "text_bytes": size} for s, p, size in rows]
    assert table.to_pylist() == expected
