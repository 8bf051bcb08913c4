"""A tokenizer that a study trains on its own text is a part of the build, whatever its kind."""

from __future__ import annotations

import little
import pyarrow as pa
import pytest

from tokenladder.pipelines.ask.rungs import open_result
from tokenladder.pipelines.drivers import vocabulary
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages.tokenizer_sample import sampled_texts
from tokenladder.pipelines.study.file import StudyError, load

TRAINED = {
    "tokenizer.json": {"type": "huggingface", "train": {"vocabulary": 400, "bytes": "20kB"}},
    "tokenizer.model": {"type": "sentencepiece", "train": {"vocabulary": 400, "bytes": "20kB"}},
}


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_trained_tokenizer_is_part_of_the_build(tmp_path, name):
    source = {"web": little.write_jsonl(tmp_path / "web.jsonl", little.corpus(1, 80, prefix="w"))}
    study = little.write_study(tmp_path, source, tokenizer=TRAINED[name])
    one, two = (little.build(study, tmp_path / folder) for folder in ("one", "two"))
    assert little.differing(little.files(one.out), little.files(two.out)) == []
    assert {path.name for path in one.out.glob("tokenizer.*")} == {name}
    said = export(str(one.out), "all", "parquet", str(tmp_path / "texts"))["texts"]
    assert (said["as_read"], said["left_out"]) == (said["documents"] - said["cut"], 0)
    assert said["tokens"] == one.rungs()["3.84K"]["tokens"]
    tokenizer = open_result(str(one.out)).tokenizer()
    assert one.manifest["tokenizer"]["identity"] == tokenizer.identity()
    other = little.write_study(tmp_path / "other", source, tokenizer={"type": "bytes"})
    little.build(other, tmp_path / "one")
    assert list(one.out.glob("tokenizer.*")) == []


BPE = {"type": "huggingface", "train": {"vocabulary": 300, "bytes": "6kB", "recipe": "web"}}


def two_sources(folder):
    return {
        "web": little.write_jsonl(folder / "web.jsonl", little.corpus(1, 200, prefix="w", neighbours=200)),
        "code": little.write_jsonl(folder / "code.jsonl", little.corpus(2, 200, prefix="c")),
    }


def sampled(result):
    """Every document in the sample, which holds a little more than is trained on, by its hex id."""
    (folder,) = (result.out / ".store" / "samples").iterdir()
    tables = [store.read_table(str(path)) for path in sorted(folder.iterdir())]
    return folder, {one.hex() for table in tables for one in table.column("document").to_pylist()}


def test_it_is_trained_on_a_recipe_without_what_is_held_out_or_near_it(tmp_path):
    recipes = {
        "all": {"weights": {"web": 0.5, "code": 0.5}},
        "web": {"base": "all", "weights": {"web": 0.75, "code": 0.25}, "keep": [{"score": "bytes", "min": 150}]},
    }
    study = little.write_study(
        tmp_path, two_sources(tmp_path), recipes=recipes, tokenizer=BPE, held_out={"tokens": 1280}
    )
    result = little.build(study, tmp_path / "out")
    folder, found = sampled(result)
    rows = {row["document"]: row for row in result.ledger("web")}
    assert found
    assert {rows[one]["outcome"] for one in found} <= {"kept", "over_budget"}  # nothing dropped, held out, or near it
    assert any(row["reason"] == "near duplicate of a held-out document" for row in rows.values())
    texts = list(sampled_texts(str(folder), {"web": 4500, "code": 1500}))
    named = {
        row["text"]: row["id"]
        for seed, name in ((1, "w"), (2, "c"))
        for row in little.corpus(seed, 200, prefix=name, neighbours=200 * (seed == 1))
    }
    whole = [(text, named[text]) for text in texts if text in named]
    assert len(whole) >= len(texts) - 2  # of each stratum the last one is cut
    sizes = {
        source: sum(
            len(text)
            for text in texts
            if next(name for whole, name in named.items() if whole.startswith(text))[0] == source
        )
        for source in "wc"
    }
    assert sizes == {"w": 4500, "c": 1500}


def test_a_sample_counts_strata_as_the_recipe_does(tmp_path, monkeypatch):
    rows = little.corpus(2, 80, prefix="c")
    rows += [{"id": f"again{n}", "text": rows[0]["text"]} for n in range(12)]
    source = {"code": little.write_jsonl(tmp_path / "code.jsonl", rows)}
    found = []

    def sampled_texts_of(folder, needed):
        found.append(needed)
        return sampled_texts(folder, needed)

    monkeypatch.setattr(vocabulary, "sampled_texts", sampled_texts_of)
    for factors in ({}, {"rehydrate": {"11-100": 5}}):
        settings = {"recipes": {"web": factors}, "strata": ["source", "cluster.class"], "tokenizer": BPE}
        little.build(little.write_study(tmp_path, source, budgets=[1280], **settings), tmp_path / f"out{len(found)}")
    text = {True: len(rows[0]["text"]), False: sum(len(row["text"]) for row in rows[1:80])}
    for times, needed in zip((1, 5), found, strict=True):
        whole = text[False] + times * text[True]
        assert needed == {
            "code/1": 6000 * text[False] // whole, "code/11-100": 6000 * times * text[True] // whole
        }  # fmt: skip


def test_a_sample_is_the_same_however_documents_are_dealt(tmp_path):
    rows = [(f"{n % 5} of {'x' * n}", "ab"[n % 2], (n * 7919) % 64) for n in range(40)]
    rows += rows[3:9]  # copies

    def deal(name, order):
        for part, some in enumerate((order[:17], order[17:])):
            table = pa.table(
                {
                    "document": pa.array(
                        [bytes.fromhex(little.document_id(text)) for text, _, _ in some], pa.binary(16)
                    ),
                    "stratum": [stratum for _, stratum, _ in some],
                    "priority": pa.array([priority for _, _, priority in some], pa.uint64()),
                    "text": [text for text, _, _ in some],
                }
            )
            store.write_table(str(tmp_path / name / f"{part:07d}.parquet"), table)
        return list(sampled_texts(str(tmp_path / name), {"a": 120, "b": 10_000}))

    found = deal("one", rows)
    assert deal("two", rows[::-1]) == found
    key = lambda row: (row[2], little.document_id(row[0]))  # noqa: E731
    first, second = ([text for text, own, _ in sorted(set(rows), key=key) if own == stratum] for stratum in "ab")
    assert found[-len(second) :] == second
    assert "".join(found[: -len(second)]) == "".join(first)[:120]


def test_a_held_out_set_beyond_what_was_set_aside_is_refused(tmp_path):
    study = little.write_study(
        tmp_path, two_sources(tmp_path), tokenizer=BPE, held_out={"tokens": 40_000}, recipes={"web": {}}
    )
    with pytest.raises(
        store.UserError, match=r"held_out\.tokens: 40,000 take more text than was set aside before .* 16"
    ):
        little.build(study, tmp_path / "out")


@pytest.mark.parametrize(
    ("named", "keep", "held", "said"),
    [
        ("wab", [], [], r"tokenizer\.train\.recipe: there is no recipe 'wab', did you mean 'web'\?"),
        ("web", [{"score": "bytes", "top": 0.5, "by": "tokens"}], [], r"recipes\.web\.keep: top by tokens, but"),
        ("web", [], [{"score": "bytes", "top": 0.5, "by": "tokens"}], r"held_out\.keep: top by tokens, but"),
    ],
)  # fmt: skip
def test_rules_that_need_the_tokenizer_that_needs_them_are_refused(tmp_path, named, keep, held, said):
    tokenizer = {"type": "huggingface", "train": {"vocabulary": 300, "recipe": named}}
    study = little.write_study(
        tmp_path,
        {"web": tmp_path},
        tokenizer=tokenizer,
        recipes={"web": {"keep": keep}},
        held_out={"tokens": 640, "keep": held},
    )
    with pytest.raises(StudyError, match=said):
        load(str(study))
