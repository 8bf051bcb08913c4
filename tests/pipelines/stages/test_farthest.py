"""A rule that keeps the most diverse share: farthest-first order over signatures, in groups of bounded size."""

from __future__ import annotations

import little
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates.farthest import distances_when_chosen
from tokenladder.filters.duplicates.minhash import MinHash, signature_matrix
from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.stages import keys
from tokenladder.pipelines.stages.farthest import measured
from tokenladder.pipelines.study.file import StudyError, load

import naive

MATRIX = st.lists(st.lists(st.integers(0, 2), min_size=5, max_size=5), max_size=14)


@given(MATRIX)
def test_distances_equal_the_slow_twin_and_the_first_of_them_are_far_apart(matrix):
    signatures = np.array(matrix, np.uint32).reshape(-1, 5)
    found = distances_when_chosen(signatures)
    assert found.tolist() == naive.farthest_first(matrix)
    for share in (0.2, 0.6):  # those chosen at a distance are as far from each other
        far = signatures[found >= share]
        apart = [(one != other).mean() for n, one in enumerate(far) for other in far[:n]]
        assert min(apart, default=1.0) >= share


def test_signatures_without_places_are_refused():
    with pytest.raises(ValueError, match=r"Signatures of shape \(3, 0\) cannot be compared"):
        distances_when_chosen(np.zeros((3, 0), np.uint32))


@given(MATRIX, st.integers(1, 6))
def test_groups_are_bounded_and_ordered_by_id(matrix, most):
    signatures = np.array(matrix, np.uint32).reshape(-1, 5)
    ids = np.zeros(len(matrix), keys.ID)
    ids["low"] = (np.arange(len(matrix)) * 7919) % 101
    found = measured(signatures, ids, most)
    for low in range(0, len(matrix), most):
        order = sorted(range(low, min(low + most, len(matrix))), key=lambda n: int(ids["low"][n]))
        assert found[order].tolist() == naive.farthest_first([matrix[n] for n in order])


def study_of(folder, keep):
    source = {"format": "jsonl", "path": str(folder / "web*.jsonl")}
    recipes = {"all": {"dedup": False, "keep": keep}}
    return little.write_study(folder, {"web": source}, recipes=recipes, budgets=[8 * little.LENGTH])


def test_a_rule_keeps_the_most_diverse_share_however_parts_are_cut(tmp_path):
    rows = little.corpus(3, 40, prefix="w", words=(40, 60), neighbours=50)
    keep = [{"score": "bytes", "min": 20}, {"score": "farthest", "top": 0.4}]
    little.write_jsonl(tmp_path / "one" / "web.jsonl", rows)
    for n in range(3):
        little.write_jsonl(tmp_path / "two" / f"web{n}.jsonl", rows[n::3][::-1])
    built = [little.build(study_of(tmp_path / name, keep), tmp_path / name / "out") for name in ("one", "two")]
    ledgers = [{row["document"]: (row["outcome"], row["reason"]) for row in one.ledger()} for one in built]
    assert ledgers[0] == ledgers[1]
    texts = sorted((row["text"] for row in rows), key=little.document_id)
    column = MinHash(ngram=5, bands=18, rows=6).score(pa.record_batch({"text": texts})).column("signature")
    values = naive.farthest_first(signature_matrix(column).tolist())
    rank = sorted(range(len(texts)), key=lambda n: (-values[n], little.priority(texts[n])))
    expected = {little.document_id(texts[n]) for n in rank[: int(0.4 * len(texts))]}
    dropped = {one for one, (_, reason) in ledgers[0].items() if reason == "farthest top 0.4 by documents"}
    assert {one for one, (outcome, _) in ledgers[0].items() if outcome in {"kept", "over_budget"}} == expected
    assert dropped == {little.document_id(text) for text in texts} - expected
    assert [check.found for check in verify(str(built[0].out)) if not check.holds] == []
    assert "farthest top 0.4" in explain(str(built[0].out), min(dropped))[0].fates["all"]


@pytest.mark.parametrize(
    "rule", [{"min": 0.5}, {"top": 0.5, "min": 0.1}, {"top": 0.5, "near": 0.5}], ids=["min", "top and min", "near"]
)
def test_it_can_only_be_ranked_by(tmp_path, rule):
    study = little.write_study(tmp_path, {"web": tmp_path}, recipes={"all": {"keep": [{"score": "farthest", **rule}]}})
    with pytest.raises(StudyError, match=r"recipes\.all\.keep\[0\]: 'farthest' ranks what the rules before it keep"):
        load(str(study))


def test_no_curriculum_is_sorted_by_it(tmp_path):
    curricula = {"far": {"recipe": "all", "rung": "3.84K", "sort": "farthest"}}
    study = little.write_study(tmp_path, {"web": tmp_path}, curricula=curricula)
    with pytest.raises(StudyError, match=r"curricula\.far\.sort: 'farthest' is what a rule ranks by"):
        load(str(study))
