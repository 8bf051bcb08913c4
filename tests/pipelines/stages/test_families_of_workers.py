"""Scores in workers: a user's own function in a build, and files that change while one runs."""

from __future__ import annotations

import little
import pyarrow as pa
import pytest

from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.stages.families import open_family, score_batch
from tokenladder.pipelines.study.file import load

SOURCE = """
import pyarrow.compute as pc

def vowels(documents, letters):
    counts = [sum(map(text.count, letters)) for text in documents["text"].to_pylist()]
    return {"vowels": counts, "class": pc.if_else(pc.greater(counts, 100), "many", "few")}
"""


def study(folder, source=SOURCE, **rule):
    rows = little.write_jsonl(folder / "web.jsonl", little.corpus(1, 60))
    (folder / "study").mkdir(exist_ok=True)
    (folder / "study" / "mine.py").write_text(source)
    return little.write_study(
        folder / "study",
        {"web": rows},
        scores={"own": {"type": "function", "function": "mine:vowels", "arguments": {"letters": "aeiou"}}},
        recipes={"all": {"dedup": False, "keep": [{"score": "own", **rule}]}},
    )


@pytest.mark.parametrize("beam", [None, ["--direct_num_workers=2"]], ids=["no Beam", "Beam"])
def test_a_users_function_runs_in_workers_and_serves_rules(tmp_path, beam):
    made = little.build(study(tmp_path, **{"is": "many"}), tmp_path / "out", beam=beam)
    texts = {row["id"]: row["text"] for row in little.corpus(1, 60)}
    dropped = {row["name"] for row in made.ledger() if row["outcome"] == "dropped"}
    assert dropped == {name for name, text in texts.items() if sum(map(text.count, "aeiou")) <= 100}
    assert 0 < len(dropped) < 60


def test_a_changed_function_is_scored_again(tmp_path):
    dropped = []
    for source in (SOURCE, SOURCE.replace("counts = [", "counts = [-")):
        made = little.build(study(tmp_path, source, max=100), tmp_path / "out")
        dropped.append(sum(row["outcome"] == "dropped" for row in made.ledger()))
    assert dropped == [26, 0]


def test_a_function_that_fails_is_a_mistake_of_the_study(tmp_path):
    with pytest.raises(
        UserError,
        match=r"scores\.own: .*mine\.py:vowels: raised TypeError: vowels\(\) got an unexpected keyword",
    ):
        load(str(study(tmp_path, SOURCE.replace(", letters)", ", lettres)"), max=100)))
    with pytest.raises(UserError, match=r"own holds a label|own has no column 'vowel', did you mean 'vowels'"):
        load(str(study(tmp_path, SOURCE, score="own.vowel", max=1)))
    picky = SOURCE.replace("counts =", "assert len(documents) < 3, 'too many'\n    counts =")
    with pytest.raises(
        UserError, match=r"mine\.py:vowels: raised AssertionError: too many .* for a batch of 60 documents"
    ):
        little.build(study(tmp_path, picky, max=100), tmp_path / "out")


def test_a_file_that_changes_while_a_build_runs_is_told(tmp_path):
    family = load(str(study(tmp_path, max=100))).scores["own"]
    spec = {"type": "function", "parameters": {"function": family.function, "arguments": {"letters": "aeiou"}}}
    fingerprint = store.fingerprint(family.identity())
    assert open_family(fingerprint, spec) == family
    (tmp_path / "study" / "mine.py").write_text(SOURCE + "# edited\n")
    with pytest.raises(
        UserError, match="A score of type function is not what it was when the build began: a file that"
    ):
        open_family(fingerprint, spec)
    (tmp_path / "study" / "mine.py").unlink()
    with pytest.raises(
        UserError, match=r"A score of type function cannot be computed: .* there is no module .*mine\.py"
    ):
        open_family(fingerprint, spec)
    with pytest.raises(UserError, match="there is no module"):
        score_batch(family, pa.record_batch({"text": ["x"]}))
