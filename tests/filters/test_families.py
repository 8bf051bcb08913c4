"""What holds for every family of scores, and the outputs that may not change without a new VERSION."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from pathlib import Path

import pyarrow as pa
import pytest

from tokenladder import filters
from tokenladder.filters.family import Family

GOLDEN = Path(__file__).parent / "golden.json"
PARAMETERS = {
    "c4": {"min_sentences": 1},
    "code": {},
    # Level 0 stores: its size is the same in every version of the library.
    "compression": {"level": 0},
    "contamination": {"sets": {"questions": {"path": str(Path(__file__).parent / "listed_questions.jsonl")}}},
    "domains": {"files": (str(Path(__file__).parent / "listed_domains.txt"),)},
    "fasttext": {"model": "lid.176.ftz"},
    "fineweb": {},
    "function": {"function": str(Path(__file__).parent / "own_score.py") + ":count", "arguments": {"letter": "e"}},
    "gopher": {"min_words": 5},
    "importance": {
        "target": (str(Path(__file__).parent / "listed_words.txt"),),
        "raw": (str(Path(__file__).parent / "listed_domains.txt"),),
    },
    "lengths": {},
    "licence": {},
    "manipulation": {},
    "minhash": {"ngram": 3},
    "perplexity": {"model": str(Path(__file__).parent / "little.arpa")},
    "personal": {},
    "refinedweb": {},
    "repetition": {},
    "repository": {},
    "secrets": {},
    "variety": {},
    "words_list": {"files": (str(Path(__file__).parent / "listed_words.txt"),)},
    "sketch": {"ngram": 2, "size": 4},
    "syntax": {"languages": ("Python",)},
}
TEXTS = [
    "It was the best of times, and it was the worst of times; don't stop...",
    "- a list\n- of \u2022 things\r\n# the end \u2026",
    "Größe und Maße: 3,14 – naïve cafe\u0301, CAFÉ. L\u2019été à la plage avec des amis.",
    "東京は日本の首都であり、人口は約1400万人です。",
    "ประเทศไทยเป็นประเทศในเอเชียตะวันออกเฉียงใต้",
    "def main():\n    return [x ** 2 for x in range(10)]\n",
    None,
    "",
    " \n\t",
    "\u0000\ufeff\u200b\U0001f642",
]
BATCH = pa.record_batch({"text": pa.array(TEXTS, pa.string()), "name": [str(n) for n in range(len(TEXTS))]})
HAS_KENLM = importlib.util.find_spec("kenlm") is not None  # an extra that is built from source, not installed for tests
EVERY = sorted(name for name in filters.FAMILIES if name != "perplexity" or HAS_KENLM)


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.4g}" if isinstance(value, float) else value  # engines may differ in the last bits of a probability


def fingerprint(scored):
    rows = [{name: plain(value) for name, value in row.items()} for row in scored.to_pylist()]
    return hashlib.sha256(json.dumps([str(scored.schema), rows]).encode()).hexdigest()


def build(name):
    return filters.build(name, PARAMETERS[name])


@pytest.mark.parametrize("name", EVERY)
def test_output_changes_with_the_version_only(name):
    family = build(name)
    golden = json.loads(GOLDEN.read_text())
    assert golden[name] == {"version": family.VERSION, "sha256": fingerprint(family.score(BATCH))}


@pytest.mark.parametrize("name", EVERY)
def test_every_family_keeps_the_protocol(name):
    family = build(name)
    assert isinstance(family, Family)
    assert family.type == name
    assert family.__dataclass_params__.frozen
    assert "type" not in {field.name for field in dataclasses.fields(family)}
    assert {family.LABEL, family.VALUE} - {None} <= set(family.columns.names)
    if family.LABEL is not None:
        assert family.columns.field(family.LABEL).type == pa.string()
    identity = family.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert (identity["type"], identity["version"]) == (name, family.VERSION)
    assert {field.name for field in dataclasses.fields(family)} - {"engine"} <= set(identity)


@pytest.mark.parametrize("name", EVERY)
def test_rows_do_not_depend_on_their_batch(name):
    family = build(name)
    whole = family.score(BATCH)
    whole.validate(full=True)
    assert whole.schema == family.columns
    for length in (1, 3):
        slices = [family.score(BATCH.slice(start, length)) for start in range(0, len(TEXTS), length)]
        assert pa.Table.from_batches(slices).combine_chunks() == pa.Table.from_batches([whole])
    assert family.score(BATCH.slice(0, 0)).num_rows == 0
    assert family.score(BATCH.slice(0, 0)).schema == family.columns


@pytest.mark.parametrize("name", EVERY)
def test_a_row_without_text_is_null(name):
    family = build(name)
    for texts in (TEXTS, [None, None]):
        batch = pa.record_batch({"text": pa.array(texts, pa.string()), "name": ["x"] * len(texts)})
        row = family.score(batch).to_pylist()[texts.index(None)]
        assert row == dict.fromkeys(family.columns.names)


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_without_text_is_refused(name):
    with pytest.raises(ValueError, match="reads the column 'text', but the batch holds these columns: name"):
        build(name).score(BATCH.select(["name"]))


def test_a_score_that_is_not_registered_is_named_with_what_would_work():
    message = r"There is no score of type 'gohper'; there are c4, .*. Did you mean 'gopher'?"
    with pytest.raises(ValueError, match=message):
        filters.family("gohper")
    with pytest.raises(ValueError, match=r"There is no score of type '!'; there are [a-z0-9_, ]+\.$"):
        filters.family("!")


def test_a_family_is_built_from_json():
    built = filters.build("gopher", json.loads(json.dumps({"stop_words": ["der", "die"], "min_words": 3})))
    assert built == filters.family("gopher")(stop_words=("der", "die"), min_words=3)
    with pytest.raises(TypeError, match="min_word"):
        filters.build("gopher", {"min_word": 3})


if __name__ == "__main__":  # python tests/filters/test_families.py: write golden.json anew, after raising a VERSION
    found = {name: {"version": build(name).VERSION, "sha256": fingerprint(build(name).score(BATCH))} for name in EVERY}
    GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
