"""The cards of the studies that ship: made from the manifest that stands beside them.

The quickstart's corpus is what a machine holds, so its numbers are of one machine; the manifest says of which input and
versions. After a change of the card, run `python tests/data_cards/test_cards_of_studies.py`; after one of the study,
build it and name the folder, too: `python tests/data_cards/test_cards_of_studies.py quickstart/built`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tokenladder.data_cards.card import render_card
from tokenladder.data_cards.words import read_words

CARDS = Path(__file__).resolve().parents[2] / "data_cards"
WORDS = {
    "summary": "The quickstart's corpus: documentation pages and source code of Python and of the packages that "
    "TokenLadder needs, as one machine held them. It is for trying the tools, not for training a model of use.",
    "motivation": "So that a first study can be built in minutes, without a download, from text whose origin is known.",
    "uses": "For tests and examples. What it holds depends on the machine: do not compare models trained on two builds "
    "whose root hashes differ.",
}


def manifest():
    return json.loads((CARDS / "quickstart.json").read_text(encoding="utf-8"))


def test_the_card_is_the_one_that_is_made_of_its_manifest():
    card = (CARDS / "quickstart.md").read_text(encoding="utf-8")
    assert read_words(card) == WORDS
    assert card == render_card(manifest(), WORDS), (
        "run `python tests/data_cards/test_cards_of_studies.py` to make it again"
    )


def test_the_manifest_is_of_the_study_as_it_ships(root):
    from tokenladder.pipelines.quickstart import study_text
    from tokenladder.pipelines.study_file import load

    study = load(str(root / "studies" / "quickstart.toml"))
    told = manifest()
    assert study_text() == (root / "studies" / "quickstart.toml").read_text(encoding="utf-8")
    assert told["name"] == study.settings.name
    assert (told["seed"], told["sequence_length"]) == (study.settings.seed, study.settings.sequence_length)
    assert set(told["scores"]) == set(study.scores)
    assert set(told["recipes"]) == set(study.settings.recipes)
    for name, recipe in told["recipes"].items():
        assert recipe["rules"] == [str(rule) for rule in study.rules(name)]
        assert [rung["name"] for rung in recipe["rungs"]] == list(study.rungs)


if __name__ == "__main__":
    if sys.argv[1:]:
        made = json.loads((Path(sys.argv[1]) / "manifest.json").read_text(encoding="utf-8"))
        text = json.dumps(made, sort_keys=True, ensure_ascii=False) + "\n"
        (CARDS / "quickstart.json").write_text(text, encoding="utf-8")
    (CARDS / "quickstart.md").write_text(render_card(manifest(), WORDS), encoding="utf-8")
