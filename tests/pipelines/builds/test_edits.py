"""Masks through whole builds: what was found is not in the stream, and all else is as it was."""

from __future__ import annotations

import json

import little
import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

from tokenladder.filters.private.credentials import KINDS
from tokenladder.filters.private.personal_kinds import kinds
from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.export.export import export
from tokenladder.pipelines.files import store
from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.study.file import StudyError, load

import naive

PLANTED = [
    "Write to ada.lovelace@analytical.org or a@b.io.",
    "From 81.2.69.142, by card 4539 5787 6362 1486.",
    "client_secret = '9fQ2xLm0Zr7TbV4kWd1s'",
    "https://ada:h7&Kp2!x@analytical.org/ and AKIA2E0A8F3B9C7D6E5F",
]
MENU = "Home | About us | write to office@analytical.org"
SCORES = {"people": {"type": "personal", "masks": ["all"]}, "keys": {"type": "secrets", "masks": ["all"]}}


@pytest.fixture(scope="module")
def rows():
    made = {name: little.corpus(n, 30, prefix=name, words=(20, 60)) for n, name in enumerate("ab")}
    for those in made.values():
        for n, row in enumerate(those):
            row["text"] += "\n" + PLANTED[n % 5] if n % 5 < len(PLANTED) else ""
    return made


def study_of(folder, rows, **settings):
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", those) for name, those in rows.items()}
    return little.write_study(folder, sources, **{"recipes": {"all": {"dedup": False}}, "scores": SCORES, **settings})


def expected(text, people=None, keys=None):
    """The spans to mask of both scores, joined; of these kinds alone, where some are given."""
    spans = []
    for some, wanted in ((kinds(private=False), people), (KINDS, keys)):
        for start, stop, _, name in naive.candidates(text, some):
            if wanted is None or name in wanted:
                spans.append((start, -stop, name))
    return naive.merged(spans)


def written(text, spans):
    raw = text.encode()
    for start, stop, name in reversed(spans):
        raw = raw[:start] + (naive.mask(name, stop - start) if name else b"") + raw[stop:]
    return raw.decode()


@pytest.fixture(scope="module")
def masked(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked")
    study = study_of(folder, rows, held_out={"tokens": 4 * little.LENGTH})
    return study, little.build(study, folder / "out")


def test_the_stream_has_masks_in_the_order_of_the_originals(rows, masked):
    _, result = masked
    held = set(result.held_out())
    for source, those in rows.items():
        stream = result.stream(source).tolist()
        texts = little.ordered([row["text"] for row in those])
        left = [written(text, expected(text)) for text in texts if little.document_id(text) not in held]
        assert stream == little.joined(left, 256)[: len(stream)]
        assert [rung["tokens"] for rung in result.rungs().values()] == [20 * little.LENGTH, 60 * little.LENGTH]
    seen = "".join(text for source in rows for text in result.texts(source))
    for said in ("lovelace", "81.2.69", "4539", "9fQ2x", "h7&K", "AKIA"):
        assert said not in seen
    assert seen.count("[email_________________________]") > 2


@pytest.mark.parametrize("rung", ["all-3.84K", "held_out"])
@pytest.mark.parametrize("form", ["jsonl.zst", "parquet"])
def test_exported_texts_are_the_masked_ones(rows, masked, tmp_path, form, rung):
    said = export(str(masked[1].out), rung, form, str(tmp_path / "to"))
    found = []
    for path in (tmp_path / "to" / one["path"] for one in said["files"]):
        data = path.read_bytes()
        decompress = zstandard.ZstdDecompressor().decompress
        found += (
            pq.read_table(path).to_pylist() if form == "parquet" else map(json.loads, decompress(data).splitlines())
        )
    wanted = {little.document_id(row["text"]): row["text"] for those in rows.values() for row in those}
    wanted = {name: written(text, expected(text)) for name, text in wanted.items()}
    assert found
    assert [row["text"] for row in found if row["whole"]] == [wanted[row["id"]] for row in found if row["whole"]]
    assert all(wanted[row["id"]].startswith(row["text"]) for row in found)
    assert rung == "held_out" or "[email_" in "".join(row["text"] for row in found)


def test_exported_tokens_are_those_of_the_masked_texts(masked, tmp_path):
    _, result = masked
    export(str(result.out), "all-3.84K", "nanogpt", str(tmp_path / "to"))
    train, held = (np.fromfile(tmp_path / "to" / name, "<u2").astype(np.int64) for name in ("train.bin", "val.bin"))
    np.testing.assert_array_equal(train, result.tokens()[0].ravel())  # whose texts are masked, as the test above says
    every = "".join(little.decoded(np.r_[train, held], result.manifest))
    assert "[email_" in every
    assert not [said for said in ("lovelace", "81.2.69", "4539", "9fQ2x", "h7&K", "AKIA") if said in every]


def test_masks_are_counted_in_the_manifest_and_the_ledger_and_counted_again(rows, masked):
    _, result = masked
    assert result.manifest["masks"] == {name: list(load(str(masked[0])).scores[name].masked) for name in SCORES}
    texts = {little.document_id(row["text"]): row["text"] for those in rows.values() for row in those}
    wanted = {name: {} for name in rows}
    for row in result.ledger():
        names = [name for _, _, name in expected(texts[row["document"]])] if row["outcome"] == "kept" else []
        assert dict(row["masks"] or []) == {name: names.count(name) for name in set(names)}
        for name in names:
            wanted[row["source"]][name] = wanted[row["source"]].get(name, 0) + 1
    counts = result.manifest["recipes"]["all"]["counts"]
    assert {name: source["outcomes"]["kept"]["masks"] for name, source in counts.items()} == wanted
    assert {"email", "ipv4", "card", "assignment", "url_password", "aws"} <= set(wanted["a"])
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


def test_a_kept_document_is_explained_with_its_masks(masked):
    _, result = masked
    kept = next(row for row in result.ledger() if row["masks"] and row["outcome"] == "kept")
    (one,) = explain(str(result.out), kept["document"])
    told = ", ".join(f"{n} {kind}" for kind, n in kept["masks"])
    assert one.fates["all"] == f"kept: {kept['tokens']} tokens, from rung {kept['first_rung']} on; masked: {told}"


def test_names_like_an_unknown_one_are_offered(masked):
    _, result = masked
    names = [row["name"] for row in result.ledger()]
    with pytest.raises(store.UserError) as error:
        explain(str(result.out), f"above/{names[0]}")
    assert str(error.value) == (
        f"{result.out}: no record has the id or the name 'above/{names[0]}'. Give the 32 hex digits of a document, or "
        f"its URL or path, or the end of one. Names like it: {names[0]}"
    )
    with pytest.raises(store.UserError, match=rf"Names like it: .*{names[0]}"):
        explain(str(result.out), names[0][0].upper())
    with pytest.raises(store.UserError, match=r"or the end of one\.$"):
        explain(str(result.out), "above/(")


def test_a_manifest_that_tells_of_other_masks_is_found_out(masked):
    _, result = masked
    value = json.loads((result.out / "manifest.json").read_text())
    value["recipes"]["all"]["counts"]["a"]["outcomes"]["kept"]["masks"]["email"] += 1
    path = result.out / "manifest.json"
    kept = path.read_bytes()
    try:
        path.write_text(json.dumps(value))
        found = " ".join(check.found for check in verify(str(result.out)) if not check.holds)
    finally:
        path.write_bytes(kept)
    n = value["recipes"]["all"]["counts"]["a"]["outcomes"]["kept"]["masks"]["email"]
    assert f"counts.a.outcomes.kept.masks.email: the manifest says {n}, the ledger {n - 1}" in found


def test_the_card_tells_what_was_masked(masked):
    _, result = masked
    counts = result.manifest["recipes"]["all"]["counts"]
    emails = sum(counts[name]["outcomes"]["kept"]["masks"]["email"] for name in "ab")
    assert f"email ({emails})" in (result.out / "README.md").read_text()


def test_another_choice_of_masks_changes_the_stream_alone(rows, masked, tmp_path):
    _, result = masked
    some = {"people": {"type": "personal", "masks": ["ipv4"]}, "keys": {"type": "secrets"}}
    other = study_of(tmp_path, rows, held_out={"tokens": 4 * little.LENGTH}, scores=some)
    found = little.build(other, tmp_path / "out")
    assert found.manifest["masks"] == {"people": ["ipv4"]}
    held = set(found.held_out())
    texts = little.ordered([row["text"] for row in rows["a"] if little.document_id(row["text"]) not in held])
    stream = found.stream("a").tolist()
    left = [written(text, expected(text, {"ipv4"}, set())) for text in texts]
    assert stream == little.joined(left, 256)[: len(stream)]
    first = {row["document"]: (row["outcome"], row["reason"]) for row in result.ledger()}
    assert first.keys() == {row["document"] for row in found.ledger()}


def test_a_store_that_encoded_without_masks_encodes_again(rows, masked, tmp_path):
    study, result = masked
    plain = study_of(tmp_path, rows, held_out={"tokens": 4 * little.LENGTH}, scores={"people": {"type": "personal"}})
    before = little.build(plain, tmp_path / "plain", store=tmp_path / "store")
    assert before.manifest["masks"] == {}
    assert any("lovelace" in text for text in before.texts("a"))
    again = little.build(study, tmp_path / "again", store=tmp_path / "store")
    assert little.differing(little.files(again.out), little.files(result.out)) == []


def test_lines_are_cut_and_finds_masked_in_one_go(rows, tmp_path):
    """A menu of all documents holds an address: it goes with the menu, and is masked where that stays."""
    own = {"a": [{**row, "text": f"{MENU}\n{row['text']}"} for row in rows["a"]]}
    study = study_of(tmp_path, own, repeated_lines={"remove": True}, tokenizer={"type": "bytes"})
    result = little.build(study, tmp_path / "out")
    texts = little.ordered([row["text"] for row in own["a"]])
    keeper = min(texts, key=little.document_id)
    cut = len(MENU) + 1
    left = []
    for text in texts:
        spans = expected(text) if text == keeper else [one for one in expected(text) if one[0] >= cut]
        left.append(written(text, spans if text == keeper else [(0, cut, None), *spans]))
    stream = result.stream("a").tolist()
    assert stream == little.joined(left, 256)[: len(stream)]
    assert [check.found for check in verify(str(result.out)) if not check.holds] == []


def test_a_tokenizer_is_trained_on_masked_text(rows, tmp_path):
    train = {"type": "sentencepiece", "train": {"vocabulary": 300, "bytes": 200_000}}
    little.build(study_of(tmp_path, rows, tokenizer=train), tmp_path / "out")
    (samples,) = (tmp_path / "out" / ".store" / "samples").iterdir()
    texts = [text for path in samples.iterdir() for text in store.read_table(str(path)).column("text").to_pylist()]
    every = [row["text"] for those in rows.values() for row in those]
    assert sorted(texts) == sorted(written(text, expected(text)) for text in every)


def test_masks_of_kinds_that_there_are_none_of_are_refused(rows, tmp_path):
    scores = {"people": {"type": "personal", "masks": ["mail"]}}
    with pytest.raises(StudyError, match=r"scores\.people: personal: masks has 'mail', which is none of all, email"):
        load(str(study_of(tmp_path, rows, scores=scores)))


def test_a_document_over_budget_and_one_held_out_are_explained_in_words(tmp_path):
    rows = little.write_jsonl(tmp_path / "web.jsonl", little.corpus(1, 60, prefix="w"))
    result = little.build(little.write_study(tmp_path, {"web": rows}, held_out={"tokens": 640}), tmp_path / "out")
    said = {
        row["outcome"]: explain(str(result.out), row["document"])[0].fates["all"]
        for row in result.ledger()
        if row["outcome"] in {"over_budget", "held_out"} and row["survivor"] in {None, row["document"]}
    }
    assert said == {
        "over_budget": "over budget: its stratum's share of the largest rung was full before its turn",
        "held_out": "held out",
    }
