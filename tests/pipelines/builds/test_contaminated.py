"""Evaluation sets in a build: a rule drops what holds an item, and the manifest and the card tell what was found."""

from __future__ import annotations

import little
import pytest

from tokenladder.data_cards.card import render_card
from tokenladder.pipelines.files.store import UserError

ITEMS = [
    {"q": "How many of the eleven grey horses in the lower field were sold before the second market day?", "a": "four"},
    {"q": "Which town at the mouth of the river was rebuilt twice after the great flood of that winter?", "a": "Mora"},
    {"q": "What?", "a": "That."},
]


def contaminated(folder, **sets):
    """Two sources of little documents, with items of the set in three documents of the first and one of the second."""
    web = little.corpus(1, 60, prefix="w")
    for n, item in ((3, 0), (5, 0), (7, 1)):
        web[n]["text"] += "\n\n" + ITEMS[item]["q"].upper().replace(" ", "\n")
    code = little.corpus(2, 40, prefix="c")
    code[4]["text"] = ITEMS[1]["q"] + " It was Mora.\n" + code[4]["text"]
    sources = {
        "web": little.write_jsonl(folder / "web.jsonl", web),
        "code": little.write_jsonl(folder / "code.jsonl", code),
    }
    little.write_jsonl(folder / "study" / "sets" / "quiz.jsonl", ITEMS)
    rule = {"score": "leaks", "is": "none"}
    return little.write_study(
        folder / "study",
        sources,
        scores={"leaks": {"type": "contamination", "sets": sets}},
        recipes={"all": {"dedup": False}, "clean": {"dedup": False, "keep": [rule]}},
    )


def test_what_holds_an_item_is_dropped_and_told(tmp_path):
    study = contaminated(tmp_path, quiz={"path": "sets/*.jsonl", "text": ["q"], "answer": "a"})
    made = little.build(study, tmp_path / "out")
    assert made.manifest["contamination"] == {
        "leaks": {
            "documents": {"web": 3, "code": 1},
            "sets": {
                "quiz": {
                    "items": 3,
                    "too_short": 1,
                    "found": 2,
                    "answered": 1,
                    "found_items": [0, 1],
                    "documents": {"web": 3, "code": 1},
                }
            },
        }
    }
    dropped = {row["name"]: row["reason"] for row in made.ledger("clean") if row["outcome"] == "dropped"}
    assert dropped == dict.fromkeys(["w3", "w5", "w7", "c4"], "leaks is none")
    assert not [row for row in made.ledger("all") if row["outcome"] == "dropped"]
    card = render_card(made.manifest)
    assert "| leaks | quiz | 3 | 2 | 2 | 1 | code 1, web 3 |" in card
    assert "Evaluation sets" not in render_card({**made.manifest, "contamination": None})


def test_a_set_that_cannot_be_read_stops_before_any_work(tmp_path):
    study = contaminated(tmp_path, quiz={"path": "sets/quiz.jsonl", "text": ["question"]})
    with pytest.raises(UserError, match=r"scores\.leaks: .*sets/quiz\.jsonl: a record has no field 'question'; it has"):
        little.build(study, tmp_path / "out")
    study = contaminated(tmp_path, quiz={"path": "sets/none.jsonl", "txt": ["question"]})
    with pytest.raises(UserError, match=r"scores\.leaks\.sets\.quiz\.txt: no such key"):
        little.build(study, tmp_path / "out")
    study = contaminated(tmp_path, quiz={"path": "sets/none.jsonl"})
    with pytest.raises(UserError, match=r"scores\.leaks: The evaluation set sets/none\.jsonl does not exist"):
        little.build(study, tmp_path / "out")
