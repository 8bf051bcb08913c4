"""What tells people and machines of a result: the card, with people's words in it, and Croissant."""

from __future__ import annotations

import ast
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys

import little
import pyarrow.parquet as pq
import pytest

from tokenladder.data_cards.words import PROMPTS, place, read_words
from tokenladder.pipelines.drivers.card import CARD, CROISSANT, make_card, withdraw_card
from tokenladder.pipelines.files import store


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    rows = little.corpus(11, 80, prefix="c", copies=4)
    study = little.write_study(
        folder,
        {"web": little.write_jsonl(folder / "web.jsonl", rows)},
        scores={"lengths": {"type": "lengths"}},
        held_out={"tokens": 3 * little.LENGTH},
        recipes={"all": {}, "some": {"keep": [{"score": "lengths.words", "min": 20}]}},
        curricula={"easy": {"recipe": "all", "rung": 20 * little.LENGTH, "sort": "lengths.words"}},
    )
    return little.build(study, folder / "out")


def write_into(card, name, text):
    """The card with a person's words in one place."""
    changed = card.replace(place(name, {}), place(name, {name: text}))
    assert changed != card
    return changed


def test_words_survive(made):
    path = made.out / CARD
    first = path.read_text()
    assert read_words(first) == {}
    card = write_into(first, "uses", "Only to test.\n\nNothing else: | <b>.")
    card = card.replace("# /words\n", "license: cc-by-4.0\nhomepage: here\n# /words\n")
    card += "\n<!-- words: thanks -->\nTo all.\n<!-- /words -->\n"
    path.write_text(card)
    again = make_card(str(made.out), write=True)[CARD]
    assert path.read_text() == again == make_card(str(made.out), write=False)[CARD]
    words = {
        "uses": "Only to test.\n\nNothing else: | <b>.",
        "yaml": "license: cc-by-4.0\nhomepage: here",
        "thanks": "To all.",
    }
    assert read_words(again) == words
    assert again.count("\nlicense:") == 1  # not ours beside the person's
    withdraw_card(str(made.out))
    assert read_words(path.read_text()) == words
    assert "tokens" not in path.read_text()
    assert not (made.out / CROISSANT).exists()
    make_card(str(made.out), write=True)
    assert path.read_text() == again
    path.write_text(first)
    withdraw_card(str(made.out))
    assert not path.exists()
    make_card(str(made.out), write=True)
    assert path.read_text() == first


def test_what_a_card_asks_for_is_nobodys_word(made):
    card = (made.out / CARD).read_text()
    for name, asked in PROMPTS.items():
        assert f"<!-- words: {name} -->\n*Not written yet: {asked}*\n<!-- /words -->" in card


def test_a_card_of_nothing(tmp_path):
    with pytest.raises(store.UserError, match=r"holds no manifest\.json\. Give the folder of a finished build\."):
        make_card(str(tmp_path), write=True)


def test_the_commands_of_a_card_give_its_numbers(made):
    card = (made.out / CARD).read_text()
    commands = dict.fromkeys(re.findall(r"^python -c .*$", card, re.MULTILINE))
    assert len(commands) == 4  # strata and ledger of two recipes
    ledger, strata = (next(one for one in commands if f"{kind}/some" in one) for kind in ("ledger", "shards"))
    outcomes = made.manifest["recipes"]["some"]["counts"]["web"]["outcomes"]
    counted = {(row["outcome"], row["reason"]): row["count_all"] for row in ast.literal_eval(run(ledger, made.out))}
    assert counted["dropped", "lengths.words min 20"] == outcomes["dropped"]["records"]
    assert counted["kept", None] == outcomes["kept"]["records"]
    assert f" {made.manifest['recipes']['some']['rungs'][-1]['sequences']}\n" in run(strata, made.out)


def run(command, folder):
    argv = [sys.executable, *shlex.split(command)[1:]]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.filterwarnings("ignore")  # what a library of others warns of is not ours
def test_croissant_is_valid_and_loads_each_rung(made):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    told = json.loads((made.out / CROISSANT).read_text())
    dataset = mlcroissant.Dataset(made.out / CROISSANT)
    assert dataset.metadata.issues.errors == set()
    names = [one.name for one in dataset.metadata.record_sets]
    assert names == ["all-1.28K", "all-3.84K", "some-1.28K", "some-3.84K", "easy-1.28K", "held_out"]
    hashes = {one["contentUrl"]: one["sha256"] for one in told["distribution"] if one["@type"] == "cr:FileObject"}
    shards = made.manifest["recipes"]["all"]["rungs"][-1]["shards"]
    assert [hashes[shard["path"]] for shard in shards] == [shard["sha256"] for shard in shards]
    ids, strata = made.tokens("some", 0)
    records = list(dataset.records("some-1.28K"))
    assert [list(one["some-1.28K/input_ids"]) for one in records] == ids.tolist()
    assert [one["some-1.28K/stratum"].decode() for one in records] == strata.tolist()
    assert len(list(itertools.islice(dataset.records("held_out"), 9))) == made.manifest["held_out"]["sequences"]


def test_words_survive_an_editor_with_other_ends_of_lines(made, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    card = write_into((out / CARD).read_text(), "uses", "Only for tests.\nNothing else.")
    card = card.replace("\n# /words\n", "\nlanguage: en\n# /words\n", 1)
    (out / CARD).write_bytes(b"\xef\xbb\xbf" + card.replace("\n", "\r\n").encode())
    again = make_card(str(out), write=True)[CARD]
    assert read_words(again) == {"uses": "Only for tests.\nNothing else.", "yaml": "language: en"}


def test_a_card_of_no_manifest(tmp_path):
    (tmp_path / "manifest.json").write_text('["recipes"]')
    with pytest.raises(store.UserError, match=r"manifest\.json: is no manifest of a build\. Build the study again"):
        make_card(str(tmp_path), write=False)


@pytest.mark.filterwarnings("ignore")  # what a library of others warns of is not ours
@pytest.mark.parametrize(
    ("settings", "held_out"),
    [
        ({"packing": "best-fit", "budgets": [20 * little.LENGTH]}, 3 * little.LENGTH),
        ({"input_ids": "binary", "budgets": ["4KB"]}, "300"),
    ],
)
def test_croissant_and_card_tell_the_columns_that_there_are(tmp_path, settings, held_out):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    study = little.write_study(
        tmp_path,
        {"web": little.write_jsonl(tmp_path / "web.jsonl", little.corpus(11, 80, prefix="c"))},
        scores={"lengths": {"type": "lengths"}},
        held_out={"tokens": held_out},
        curricula={"easy": {"recipe": "all", "rung": settings["budgets"][0], "sort": "lengths.words"}},
        **settings,
    )
    made = little.build(study, tmp_path / "out")
    dataset = mlcroissant.Dataset(made.out / CROISSANT)
    assert dataset.metadata.issues.errors == set()
    shards = {"all": made.manifest["recipes"]["all"]["rungs"][0]["shards"], "held": made.manifest["held_out"]["shards"]}
    shards["easy"] = made.manifest["curricula"]["easy"]["shards"]
    for records in dataset.metadata.record_sets:
        table = pq.read_table(made.out / shards[records.name.partition("-")[0].partition("_")[0]][0]["path"])
        record = next(iter(dataset.records(records.name)))
        assert [name.rpartition("/")[2] for name in record] == table.column_names
        first = table.column("input_ids")[0].as_py()
        given = record[f"{records.name}/input_ids"]
        assert (given if isinstance(first, bytes) else list(given)) == first
    card = (made.out / CARD).read_text()
    assert ("\n| padding | how many tokens at the end" in card) == ("packing" in settings)
    assert ("| unique tokens | repeated tokens | padding tokens | shards |" in card) == ("packing" in settings)
    assert ("each as a little-endian uint16 in bytes" in card) == ("input_ids" in settings)
