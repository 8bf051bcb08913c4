"""The numbers behind the report: counted again from a build's own files, one document after the other."""

from __future__ import annotations

import collections
import json
import math

import hypothesis.strategies as st
import little
import numpy as np
import pytest
from hypothesis import given

from tokenladder.pipelines.drivers.report import NUMBERS, PAGE, write_report
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import bins, survey
from tokenladder.pipelines.stages.view import descending

LEAST, MOST = 30, 70
NAMES = "all", "best", "each", "some"
RULES = [{"score": "lengths.words", "min": LEAST, "max": MOST}, {"score": "kind", "in": ["page", "plain"]}]


@pytest.fixture(scope="module")
def rows():
    web = little.corpus(3, 90, prefix="w", copies=6, neighbours=6)
    return {"web": web, "notes": little.corpus(4, 50, prefix="n")}


@pytest.fixture(scope="module")
def built(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("findings")
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", some) for name, some in rows.items()}
    study = little.write_study(
        folder,
        sources,
        budgets=[10 * little.LENGTH, 30 * little.LENGTH],
        scores={"lengths": {"type": "lengths"}, "gopher": {"type": "gopher"}},
        recipes={
            "all": {},
            "some": {"keep": RULES[:1]},
            "best": {"keep": [{"score": "lengths.words", "top": 0.5}]},
            "each": {"keep": [{"score": "lengths.words", "top": 0.5, "within": "strata"}]},
        },
        curricula={"easy": {"recipe": "all", "rung": 30 * little.LENGTH, "sort": "lengths.words"}},
    )
    return little.build(study, folder / "out")


@pytest.fixture(scope="module")
def found(built):
    return json.loads((built.out / NUMBERS).read_text())


def words(text):
    return len(text.split())


def test_what_a_rule_sees(found, rows):
    every = [row["text"] for some in rows.values() for row in some]
    rule = found["rules"]["some"][0]
    segments = rule["segments"]
    assert (rule["text"], rule["min"], rule["max"]) == ("lengths.words min 30 and max 70", LEAST, MOST)
    counts = np.array(segments["counts"])
    first, last = segments["min_at"], segments["max_at"]
    assert segments["low"][first] == LEAST
    for part, inside in (
        (slice(None, first), [t for t in every if words(t) < LEAST]),
        (slice(first, last), [t for t in every if LEAST <= words(t) <= MOST]),
        (slice(last, None), [t for t in every if words(t) > MOST]),
    ):
        size = sum(len(text.encode()) for text in inside)
        assert counts[part].sum(axis=0).tolist() == [len(inside), size, len(inside), size]


def test_a_top_rule_cuts_where_the_ledger_says(found, built):
    rule = found["rules"]["best"][0]
    counts, first = np.array(rule["segments"]["counts"]), rule["segments"]["min_at"]
    lost = [row for row in built.ledger("best") if row["outcome"] == "dropped"]
    assert counts[:first, 0].sum() == len(lost) > 0
    assert rule["segments"]["low"][first] == rule["min"]
    assert rule["cuts"] == [rule["min"]]


def test_a_top_rule_cuts_each_stratum(found, built, rows):
    sizes = {row["id"]: words(row["text"]) for some in rows.values() for row in some}
    least = dict.fromkeys(rows, math.inf)
    for row in built.ledger("each"):
        if row["outcome"] in {"kept", "duplicate", "over_budget"}:
            least[row["source"]] = min(least[row["source"]], sizes[row["name"]])
    assert found["rules"]["each"][0]["cuts"] == sorted(least.values())
    assert "Cut at {:g} to {:g}, by stratum".format(*sorted(least.values())) in (built.out / PAGE).read_text()


def test_histograms_hold_every_document_and_every_kept_one(found, built, rows):
    for one in (found["values"]["text_bytes"], found["values"]["lengths.words"]):
        sums = {group: sum(counts) for group, counts in one["counts"].items()}
        kept = {name: sum(row["outcome"] == "kept" for row in built.ledger(name)) for name in NAMES}
        expected = {f"source {name}": len(some) for name, some in rows.items()}
        assert sums == expected | {f"recipe {name}": n for name, n in kept.items()}
        assert one["edges"] == sorted(set(one["edges"]))
        assert len(one["edges"]) == len(one["counts"]["source web"]) + 1
    edges, counts = (
        found["values"]["lengths.words"]["edges"],
        found["values"]["lengths.words"]["counts"]["source notes"],
    )
    expected = np.histogram([words(row["text"]) for row in rows["notes"]], [*edges[:-1], edges[-1] + 1e-9])[0]
    assert counts == expected.tolist()


def test_labels(found, rows):
    labels = found["labels"]["gopher"]
    assert sum(labels["source web"].values()) == len(rows["web"])
    assert sum(labels["recipe all"].values()) == found["kept"]["all"][0]


def test_overlaps_are_those_of_the_ledgers(found, built):
    ledgers = {name: {row["name"]: row for row in built.ledger(name)} for name in NAMES}
    for name, ledger in ledgers.items():
        kept = [row for row in ledger.values() if row["outcome"] == "kept"]
        texts = {row["name"] for row in kept}
        size = sum(row["tokens"] for row in kept)
        assert found["kept"][name][0] == len(texts)
        assert found["kept"][name][2] == size
        for other in ledgers.keys() - {name}:
            expected = collections.defaultdict(lambda: [0, 0])
            for row in kept:
                there = ledgers[other][row["name"]]
                why = there["outcome"], there["reason"] or "" if there["outcome"] == "dropped" else ""
                expected[why][0] += 1
                expected[why][1] += row["tokens"]
            assert {(o, r): [n, t] for o, r, n, t in found["overlaps"][name][other]} == dict(expected)


def test_clusters(found, built, rows):
    sizes = found["clusters"]["sizes"]
    assert sum(sizes.values()) == sum(len(some) for some in rows.values())
    told = built.manifest["duplicates"]["sources"]
    largest = found["clusters"]["largest"]
    assert [one["size"] for one in largest] == sorted((one["size"] for one in largest), reverse=True)
    assert sum(one["clusters"] for one in told.values()) >= len(largest) > 0
    assert largest[0]["members"][0][0] is False  # the leader is the first
    assert all(one["members"][0][3] == 1 for one in largest)


def test_samples_show_each_reason_of_each_recipe(found, built, rows):
    texts = {row["id"]: row["text"] for some in rows.values() for row in some}
    shown = found["samples"]
    for sample in shown:
        assert sample["text"] == texts[sample["name"]][: survey.SHOWN]
    for name in NAMES:
        groups = collections.Counter((row["outcome"], row["reason"]) for row in built.ledger(name))
        of = collections.Counter(tuple(sample["fates"][name][:2]) for sample in shown)
        assert {group: min(n, survey.SAMPLES) <= of[group] for group, n in groups.items()} == dict.fromkeys(
            groups, True
        )
        for sample in shown:
            row = next(row for row in built.ledger(name) if row["name"] == sample["name"])
            assert sample["fates"][name] == [row[key] for key in survey.LEDGER]


def test_a_curriculum_grows_harder(found):
    slices = found["curricula"]["easy"]
    medians = [row[4] for row in slices]
    assert medians == sorted(medians)
    assert sum(row[1] for row in slices) == found["kept"]["all"][0]


def test_masked_text_is_shown_masked(tmp_path):
    rows = little.corpus(5, 60, prefix="m")
    for row in rows:
        row["text"] += "\nwrite to someone.private@uni-bonn.de today"
    study = little.write_study(
        tmp_path,
        {"web": little.write_jsonl(tmp_path / "web.jsonl", rows)},
        scores={"personal": {"type": "personal", "masks": ["email"]}},
    )
    made = little.build(study, tmp_path / "out")
    page = (made.out / PAGE).read_text()
    assert "[email" in page
    assert "someone.private" not in page


def test_the_page_is_written_again_and_elsewhere(built, tmp_path):
    page = (built.out / PAGE).read_bytes()
    (built.out / PAGE).unlink()
    assert write_report(str(built.out)) == str(built.out / PAGE)
    assert (built.out / PAGE).read_bytes() == page
    other = tmp_path / "other.html"
    assert write_report(str(built.out), str(other), samples=False) == str(other)
    assert b'id="filters"' not in other.read_bytes()
    assert len(other.read_bytes()) < len(page)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"holds no manifest\.json\. Give the folder of a finished build\."),
        (
            {"manifest.json": "{}"},
            r"holds no \.build/report\.json\. Build the study again into this folder: what is fin",
        ),
        ({"manifest.json": "{"}, r"manifest\.json: is not JSON: .*Build the study again"),
        ({"manifest.json": "[]"}, r"manifest\.json: is not an object\. Build the study again"),
        (
            {"manifest.json": "{}", NUMBERS: '{"form": 0}'},
            r"report\.json: was made by another version\. Build the study",
        ),
        (
            {"manifest.json": '{"recipes": {}, "counts": {}}', NUMBERS: '{"form": 2}'},
            r"report\.json or manifest\.json: is damaged: there is no 'samples'\. Build the study again",
        ),
        (
            {"manifest.json": '{"recipes": {"a": 3}, "counts": {}}', NUMBERS: '{"form": 2, "samples": [], "kept": []}'},
            r"report\.json or manifest\.json: is damaged: list indices must be integers or slices, not str\. Build",
        ),
    ],
)
def test_a_folder_without_a_report(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(store.UserError, match=message):
        write_report(str(tmp_path))


def test_a_page_is_a_file(built, tmp_path):
    for folder in (str(tmp_path), "s3://bucket"):
        with pytest.raises(
            store.UserError, match=f"{folder}: is a folder. Name the file, too: --to {folder}/report.html"
        ):
            write_report(str(built.out), folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(store.UserError, match=r"--to .*/file: .*/file is a file, so no folder can stand there"):
        write_report(str(built.out), str(tmp_path / "file" / "x.html"))
    with pytest.raises(OSError, match=r"x\.html: the report cannot be written: .*too long"):
        write_report(str(built.out), str(tmp_path / f"{'x' * 300}.html"))


NUMBER = st.floats(-1e12, 1e12) | st.floats(0, 1) | st.integers(0, 40).map(float)


@given(st.dictionaries(st.sampled_from("ab"), st.lists(NUMBER, min_size=1, max_size=40), min_size=1))
def test_bars_hold_the_values_between_their_edges(groups):
    counted = {}
    for name, values in groups.items():
        numbers, counts = np.unique(survey.bin_of(np.array(values)), return_counts=True)
        counted[name] = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    chart = bins.chart(counted)
    edges = chart["edges"]
    assert edges == sorted(edges)
    assert len(edges) <= 66
    for name, values in groups.items():
        assert sum(chart["counts"][name]) == len(values)
        for n, count in enumerate(chart["counts"][name]):
            slack = 1e-5 * max(abs(edges[n]), abs(edges[n + 1]))  # edges are told in six digits
            assert count <= sum(edges[n] - slack <= value <= edges[n + 1] + slack for value in values)


@given(st.lists(NUMBER, min_size=1, max_size=40), NUMBER | st.none(), NUMBER | st.none())
def test_segments_part_what_passes_from_what_does_not(values, least, most):
    if least is not None and most is not None and least > most:
        least, most = most, least
    passes = [(least is None or value >= least) and (most is None or value <= most) for value in values]
    sums = collections.Counter(zip(survey.bin_of(np.array(values)).tolist(), map(int, passes), strict=True))
    found = bins.segments({key: [n] for key, n in sums.items()}, least, most)
    counts = [row[0] for row in found["counts"]]
    first, last = found["min_at"], found["max_at"]
    below = sum(least is not None and value < least for value in values)
    assert sum(counts[first:last]) == sum(passes)
    assert sum(counts[:first]) in {below, below + sum(most is not None and value > most for value in values)}
    assert found["low"] == sorted(found["low"])


@given(st.lists(st.floats(-1e17, 1e17), min_size=1, max_size=30))
def test_bins_stand_in_the_order_of_their_values(values):
    numbers = survey.bin_of(np.array(values))
    for value, number in zip(values, numbers.tolist(), strict=True):
        low, high = survey.lower_edge(number), survey.lower_edge(number + 1)
        assert low <= value <= high
    order = np.argsort(values, kind="stable")
    assert (np.diff(numbers[order]) >= 0).all()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_cut_tells_its_value(value):
    assert bins.value_of(int(descending(np.array([value]))[0])) == value
