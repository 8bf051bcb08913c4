"""The cards of the studies that ship: each is made from the manifest that stands beside it.

The quickstart's corpus is what a machine holds, so their numbers are of one machine, and all five of one corpus; the
manifests say of which input and versions. After a change of the card, run
`python tests/data_cards/test_cards_of_studies.py`; after one of a study, build it and name its folder, too:
`python tests/data_cards/test_cards_of_studies.py quickstart=quickstart/built dedup=dedup`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tokenladder.data_cards.card import render_card
from tokenladder.data_cards.words import read_words

CARDS = Path(__file__).resolve().parents[2] / "data_cards"

CORPUS = (
    "The quickstart's corpus: documentation pages and source code of Python and of the packages that TokenLadder "
    "needs, as one machine held them. It is for trying the tools, not for training a model of use."
)
USES = (
    "For tests and examples. What it holds depends on the machine: do not compare models trained on two builds whose "
    "root hashes differ."
)
WORDS = {
    "quickstart": {
        "summary": CORPUS,
        "motivation": "So that a first study can be built in minutes, without a download, from text whose origin is "
        "known.",
        "uses": USES,
    },
    "dedup": {
        "summary": CORPUS,
        "motivation": "How much does deduplication matter? The same rules, budgets and mixture twice; one of the two "
        "recipes keeps near duplicates.",
        "uses": f"{USES} So small a corpus shows how one would ask, and how much seeds alone differ; not what "
        "duplicates do to a model that is large enough to memorise them.",
    },
    "quality": {
        "summary": CORPUS,
        "motivation": "Quality against quantity: everything once, the better half, and the best quarter several times, "
        "at the same budgets.",
        "uses": f"{USES} How well a document compresses only stands in for quality here.",
    },
    "epochs": {
        "summary": CORPUS,
        "motivation": "What is a token worth that is read again? The same budgets from all documents, from a quarter "
        "and from a sixteenth of them, drawn by chance.",
        "uses": f"{USES} Models that are small enough for it hardly overfit, so that few repeats look free.",
    },
    "order": {
        "summary": CORPUS,
        "motivation": "Does the order of the same documents matter? One rung in six orders, two of them by chance.",
        "uses": f"{USES} Train with the shards' own order; a trainer that shuffles sees the same data in all six.",
    },
}


def manifest(name):
    return json.loads((CARDS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", WORDS)
def test_the_card_is_the_one_that_is_made_of_its_manifest(name):
    card = (CARDS / f"{name}.md").read_text(encoding="utf-8")
    assert read_words(card) == WORDS[name]
    assert card == render_card(manifest(name), WORDS[name]), (
        "run `python tests/data_cards/test_cards_of_studies.py` to make it again"
    )


@pytest.mark.parametrize("name", WORDS)
def test_the_manifest_is_of_the_study_as_it_ships(root, name):
    from tokenladder.pipelines.study.file import load

    study, told = load(str(root / "studies" / f"{name}.toml")), manifest(name)
    assert told["name"] == study.settings.name
    assert (told["seed"], told["sequence_length"]) == (study.settings.seed, study.settings.sequence_length)
    assert set(told["scores"]) == set(study.scores)
    assert set(told["recipes"]) == set(study.settings.recipes)
    for recipe, one in told["recipes"].items():
        assert one["rules"] == [str(rule) for rule in study.rules(recipe)]
        assert [rung["name"] for rung in one["rungs"]] == list(study.rungs)
    orders = {curriculum: (one["recipe"], one["sort"]) for curriculum, one in told.get("curricula", {}).items()}
    assert orders == {curriculum: (one.recipe, one.sort) for curriculum, one in study.settings.curricula.items()}


def test_every_question_has_a_card_of_the_same_corpus():
    from tokenladder.pipelines.quickstart.corpus import QUESTIONS

    assert set(WORDS) == {"quickstart", *QUESTIONS}
    read = [manifest(name)["counts"] for name in WORDS]
    assert read == [read[0]] * len(read)


def test_the_quickstarts_study_is_the_one_that_ships(root):
    from tokenladder.pipelines.quickstart.corpus import study_text

    assert study_text() == (root / "studies" / "quickstart.toml").read_text(encoding="utf-8")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        name, _, folder = given.partition("=")
        made = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
        text = json.dumps(made, sort_keys=True, ensure_ascii=False) + "\n"
        (CARDS / f"{name}.json").write_text(text, encoding="utf-8")
    for name, words in WORDS.items():
        (CARDS / f"{name}.md").write_text(render_card(manifest(name), words), encoding="utf-8")
