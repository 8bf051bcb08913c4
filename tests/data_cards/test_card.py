from __future__ import annotations

import copy
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenladder.data_cards.card import render_card
from tokenladder.data_cards.report_views import funnel

LENGTH = 8
SEQUENCES = (3, 2, 4)
"""Of each shard; the first makes the first rung, all make the second."""


def shard(folder, number, sequences):
    return {
        "path": f"{folder}/{number:05d}.parquet",
        "documents": f"documents/{number:05d}.parquet",
        "sequences": sequences,
        "tokens": sequences * LENGTH,
        "sha256": "0" * 64,
        "bytes": 1,
    }


def rung(name, shards):
    sequences = sum(one["sequences"] for one in shards)
    amount = {"tokens": sequences * LENGTH, "sequences": sequences, "unique_tokens": sequences * LENGTH}
    return {
        "name": name,
        "requested_tokens": sequences * LENGTH + 1,
        "repeated_tokens": 0,
        "documents": 40,
        "duplicates": 10,
        "strata": {"web": amount},
        "shards": shards,
        **amount,
    }


def recipe(name, source="web", reason="too short"):
    outcomes = {
        outcome: {"records": 0, "bytes": 0, "reasons": {}}
        for outcome in ("kept", "dropped", "duplicate", "over_budget", "held_out", "rejected")
    }
    outcomes["dropped"] = {"records": 1234, "bytes": 5, "reasons": {reason: 1234}}
    shards = [shard(f"shards/{name}", number, sequences) for number, sequences in enumerate(SEQUENCES)]
    return {
        "strata": {"web": {"weight": 1 << 32, "of": 1 << 32}},
        "rungs": [rung("24", shards[:1]), rung("72", shards)],
        "rules": ["bytes min 9"],
        "counts": {source: {"records": 1234, "bytes": 5, "outcomes": outcomes}},
        "ledger": [],
    }


def manifest():
    return {
        "name": "small",
        "fingerprint": "f" * 32,
        "root_hash": "e" * 32,
        "versions": {"tokenladder": "0.1.0", "format": 1},
        "seed": 17,
        "sequence_length": LENGTH,
        "tokenizer": {
            "identity": {"type": "bytes", "version": 1},
            "vocabulary_size": 257,
            "end_of_document": 256,
            "dtype": "uint16",
        },
        "dedup": {"unit": "words", "ngram": 5, "bands": 14, "rows": 8, "threshold": 0.7, "proof": "estimate"},
        "duplicates": {
            "sources": {
                "web": {
                    "documents": 1000,
                    "bytes": 1_500_000,
                    "duplicates": 250,
                    "duplicate_bytes": 150_000,
                    "leaders": {"web": 240, "code": 10},
                }
            },
            "labels": {},
        },
        "counts": {"web": {"records": 1234, "bytes": 2_000_000, "documents": 1000, "text_bytes": 1_500_000}},
        "held_out": {
            "requested_tokens": 15,
            "tokens": 16,
            "sequences": 2,
            "shards": [shard("held_out/shards", 0, 2)],
        },
        "recipes": {"raw": recipe("raw"), "clean": recipe("clean")},
    }


def write_shard(path, sequences, first):
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = (np.arange(sequences * LENGTH) + first * LENGTH).astype(np.uint16)
    columns = {
        "input_ids": pa.FixedSizeListArray.from_arrays(pa.array(ids), LENGTH),
        "stratum": pa.array(["web"] * sequences),
        "document_starts": pa.array([[0]] * sequences, pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(columns), path)
    return ids.reshape(-1, LENGTH).tolist()


@pytest.fixture
def out(tmp_path):
    """A folder as a build leaves it: beside the shards stand other Parquet files, for no configuration."""
    for name in ("documents/clean/0", "ledger/clean/0", ".store/parts/ab/0", ".build/x", "shards/old/00000"):
        path = tmp_path / "out" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"other": ["column"]}), path)
    (tmp_path / "out" / "README.md").write_text(render_card(manifest()), encoding="utf-8")
    return tmp_path / "out"


@pytest.fixture
def datasets():
    module = pytest.importorskip("datasets")
    module.disable_progress_bars()
    yield module
    module.enable_progress_bars()


@pytest.mark.filterwarnings("default")  # what a library of others warns of is not ours
def test_each_configuration_loads_exactly_its_rung(out, tmp_path, datasets):
    every = {
        name: [row for n, count in enumerate(SEQUENCES)
               for row in write_shard(out / f"shards/{name}/{n:05d}.parquet", count, base + sum(SEQUENCES[:n]))]
        for name, base in (("clean", 0), ("raw", 100))
    }  # fmt: skip
    held_out = write_shard(out / "held_out/shards/00000.parquet", 2, 200)
    cache = str(tmp_path / "cache")
    names = ["clean-24", "clean-72", "held_out", "raw-24", "raw-72"]
    assert sorted(datasets.get_dataset_config_names(str(out))) == names
    for name, rows in every.items():
        for rung_name, sequences in (("24", 3), ("72", 9)):
            loaded = datasets.load_dataset(str(out), f"{name}-{rung_name}", cache_dir=cache)
            assert list(loaded) == ["train"]
            assert loaded["train"].column_names == ["input_ids", "stratum", "document_starts"]
            assert loaded["train"].to_dict()["input_ids"] == rows[:sequences]
    assert datasets.load_dataset(str(out), "held_out", split="test", cache_dir=cache).to_dict()["input_ids"] == held_out


def test_the_order_of_the_manifests_keys_does_not_show():
    one = manifest()
    other = json.loads(json.dumps(one, sort_keys=True))
    assert list(one["recipes"]) != list(other["recipes"])
    assert render_card(one) == render_card(other)


def test_the_card_says_what_the_manifest_says():
    card = render_card(manifest())
    similar = "14 bands of 8 values find candidates; an estimated Jaccard similarity of at least 0.7 decides."
    assert f"\n- **Near duplicates:** MinHash over shingles of 5 words: {similar}\n" in card
    for line in (
        "- n<1K",
        '- config_name: "clean-24"',
        'rung = load_dataset("path/to/this/folder", "clean-72", split="train")',
        "| clean-72 | 73 | 72 | 9 | 72 | 0 | 3 |",
        "| clean | web | 100.000 % | 72 | 72 |",
        "| web | 1,234 | 1,000 | 2.0 | 1.5 |",
        "1. bytes min 9",
        "| – too short | 1,234 |",
        "- **Tokenizer:** bytes, 257 ids stored as uint16; id 256 ends each document. version 1",
        "- **Seed:** 17",
        "- Root hash over all shards, ledgers and counts: " + "e" * 32,
        "| tokenladder | 0.1.0 |",
    ):
        assert line in card.splitlines()


def test_records_that_cannot_be_encoded_are_told_from_those_that_cannot_be_read():
    value = manifest()
    for one in value["recipes"].values():
        for source in one["counts"].values():
            reasons = {"encoding crashed (signal 11)": 2, "encoding unknown": 3, "extraction timed out": 4}
            source["outcomes"]["rejected"] = {"records": 9, "bytes": 9, "reasons": reasons}
    lines = render_card(value).splitlines()
    at = lines.index("| rejected as unreadable | 7 |")
    assert lines[at + 1 : at + 5] == [
        "| – encoding unknown | 3 |",
        "| – extraction timed out | 4 |",
        "| rejected: ended the tokenizer's process | 2 |",
        "| – encoding crashed (signal 11) | 2 |",
    ]
    assert "tokenizer's process" not in render_card(manifest())
    steps = funnel(next(iter(value["recipes"].values())))["steps"]
    assert [(step["text"], step["all"]) for step in (steps[1], steps[-1])] == [
        ("rejected as unreadable", 7),
        ("rejected: ended the tokenizer's process", 2),
    ]


def test_without_a_held_out_set_there_is_no_such_configuration():
    card = render_card(manifest() | {"held_out": None})
    assert "held_out" not in card
    assert "Held out:" not in card


@pytest.mark.parametrize(
    ("rows", "size"), [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**12 - 1, "100B<n<1T"), (10**14, "n>1T")]
)
def test_the_size_is_the_hubs_name_for_it(rows, size):
    changed = manifest() | {"held_out": None, "recipes": {"raw": recipe("raw")}}
    changed["recipes"]["raw"]["rungs"][-1]["sequences"] = rows
    assert f"- {size}" in render_card(changed).splitlines()


HOSTILE = 'x"\n---\n# | <script>alert(1)</script> [a](http://b) `c` \u2028 \x7f 😀 \\ '


def test_hostile_names_stay_inside_their_yaml_scalars():
    yaml = pytest.importorskip("yaml")
    changed = copy.deepcopy(manifest())
    changed["name"] = HOSTILE
    changed["recipes"] = {HOSTILE: recipe(HOSTILE)}
    front = render_card(changed).split("\n---\n")[0].removeprefix("---\n")
    value = yaml.safe_load(front)
    assert value["pretty_name"] == HOSTILE
    assert [one["config_name"] for one in value["configs"]] == [f"{HOSTILE}-24", f"{HOSTILE}-72", "held_out"]
    assert value["configs"][0]["data_files"] == [{"split": "train", "path": [f"shards/{HOSTILE}/00000.parquet"]}]


def test_hostile_names_are_only_text_in_markdown():
    changed = copy.deepcopy(manifest())
    changed["recipes"] = {"clean": recipe("clean", source=HOSTILE, reason=HOSTILE)}
    changed["counts"] = {HOSTILE: manifest()["counts"]["web"]}
    body = render_card(changed).split("\n---\n", 1)[1]
    assert "<script>" not in body
    expected = r'x" --- \# \| &lt;script&gt;alert(1)&lt;/script&gt; \[a\](http\://b) \`c\`     😀 \\ '
    assert f"| {expected} | 1,234 | 1,000 | 2.0 | 1.5 |" in body.splitlines()
    assert f"| – {expected} | 1,234 |" in body.splitlines()


def test_a_fence_is_longer_than_the_backticks_in_a_name():
    changed = manifest()
    changed["recipes"] = {"a````b": recipe("a")}
    assert "\n`````python\n" in render_card(changed)
