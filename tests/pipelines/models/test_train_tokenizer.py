"""Tokenizers trained on a recipe's own text or on files, their card, and two tokenizers over the same documents."""

from __future__ import annotations

import json

import little
import pyarrow as pa
import pytest
from click.testing import CliRunner

from tokenladder.data_cards.tokenizer_card import render_tokenizer_card
from tokenladder.pipelines.ask.rungs import open_result
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import store
from tokenladder.pipelines.models.tokenizer_texts import of_files, of_rung, open_tokenizer_at, sample
from tokenladder.pipelines.models.train_tokenizer import count_tokens, train_tokenizer
from tokenladder.tokenizers.measures import add, measure
from tokenladder.tokenizers.raw_bytes import ByteTokenizer
from tokenladder.tokenizers.sections import TrainHuggingFace, TrainSentencePiece

PARAMETERS = {
    "tokenizer.json": TrainHuggingFace(vocabulary=320, bytes="12kB"),
    "tokenizer.model": TrainSentencePiece(vocabulary=320, bytes="12kB"),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    rows = {"web": little.corpus(1, 150, prefix="w"), "code": little.corpus(2, 150, prefix="c", words=(5, 30))}
    sources = {name: little.write_jsonl(folder / f"{name}.jsonl", some) for name, some in rows.items()}
    more = {"budgets": [20 * little.LENGTH, 400 * little.LENGTH], "recipes": {"all": {"repeat": 2}}}
    built = little.build(little.write_study(folder, sources, **more), folder / "out")
    built.originals = {row["text"] for some in rows.values() for row in some}
    built.paths = [str(path) for path in sources.values()]
    return built


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_the_same_text_gives_the_same_bytes_and_card(result, tmp_path, name):
    for folder in ("one", "two"):
        train_tokenizer([str(result.out)], "all", PARAMETERS[name], ["bytes"], str(tmp_path / folder))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted([name, "card.json", "README.md"])
    assert little.differing(little.files(tmp_path / "one"), little.files(tmp_path / "two")) == []
    card = json.loads((tmp_path / "one" / "card.json").read_text())
    assert (tmp_path / "one" / "README.md").read_text() == render_tokenizer_card(card)
    assert (card["text"], card["measured_on"]) == ("little, recipe all", "documents that were not trained on")
    mine, plain = (card["tokenizers"][one] for one in ("this one", "bytes"))
    assert (mine["vocabulary"], plain["all"]["all"]["bytes_per_token"]) == (320, 1.0)
    assert mine["all"]["all"]["changed"] == plain["all"]["all"]["changed"] == 0
    assert mine["all"]["all"]["bytes"] == plain["all"]["all"]["tokens"]
    assert mine["all"]["all"]["tokens"] < plain["all"]["all"]["tokens"]
    assert set(mine["source"]) == {"web", "code"}
    for grouping in ("source", "language"):
        assert sum(one["tokens"] for one in mine[grouping].values()) == mine["all"]["all"]["tokens"]
    assert open_tokenizer_at(str(tmp_path / "one" / name)).vocabulary_size == 320


def test_a_recipes_sample_is_the_beginning_of_its_stream(result):
    opened = open_result(str(result.out))
    every = list(of_rung(opened, opened.rung("all")))
    seen, unseen = sample(iter(every), 9000)
    chosen = list(dict.fromkeys(one.text for one in every if one.whole))[: len(seen) + len(unseen)]
    assert [one.text for one in unseen] == chosen[9::10]
    assert [one.text for one in seen] == [one for n, one in enumerate(chosen) if n % 10 != 9]
    size = sum(len(one.text.encode()) for one in seen)
    assert size >= 9000 > size - len(seen[-1].text.encode())
    assert {one.source for one in seen} == {"web", "code"}


def test_files_are_sampled_whatever_their_order(result, tmp_path):
    every = [one.text for one in of_files(result.paths, 10**9)]
    assert sorted(every) == sorted(result.originals)
    some = [one.text for one in of_files(result.paths, 5000)]
    assert some == [one.text for one in of_files(result.paths[::-1], 5000)] == every[: len(some)]
    size = sum(len(text.encode()) for text in some)
    assert size >= 5000 > size - len(some[-1].encode())
    (tmp_path / "a.txt").write_text("one text as it stands")
    assert [(one.text, one.source) for one in of_files([str(tmp_path / "a.txt")], 99)] == [
        ("one text as it stands", "a.txt")
    ]
    for folder, paths in (("one", result.paths), ("two", result.paths[::-1])):
        train_tokenizer(paths, None, PARAMETERS["tokenizer.json"], [], str(tmp_path / folder))
    one, two = ((tmp_path / folder / "tokenizer.json").read_bytes() for folder in ("one", "two"))
    assert one == two


def test_two_tokenizers_count_the_same_documents(result, tmp_path):
    train_tokenizer([str(result.out)], None, PARAMETERS["tokenizer.json"], [], str(tmp_path / "to"))
    path = str(tmp_path / "to" / "tokenizer.json")
    counted = count_tokens(str(result.out), "all-1.28K", [path, "bytes", str(result.out)])
    opened = open_result(str(result.out))
    texts = list(of_rung(opened, opened.rung("all-1.28K")))
    assert counted["documents"] == len(texts)
    tokenizers = counted["tokenizers"]
    assert tokenizers["little"]["tokens"] == counted["tokens"] == 1280
    for name in ("bytes", str(result.out)):  # the very tokenizer of the build
        assert tokenizers[name] == tokenizers["little"]
    tokenizer = open_tokenizer_at(path)
    expected = {}
    for one in texts:
        tokens = len(tokenizer.encode(pa.array([one.text]))[1]) + one.whole
        expected[one.stratum] = expected.get(one.stratum, 0) + tokens
    assert tokenizers[path]["strata"] == expected
    assert tokenizers[path]["tokens"] == sum(expected.values())


def test_counts_are_by_hand():
    texts = ["two words", "é日", "", "\ufffd"]
    found, used = measure(ByteTokenizer(), pa.array(texts), {"source": ["a", "b", "b", "b"]})
    every, a, b = found["all"]["all"], found["source"]["a"], found["source"]["b"]
    assert (a.documents, a.bytes, a.characters, a.words, a.tokens, a.fragments) == (1, 9, 9, 2, 9, 0)
    assert (b.documents, b.bytes, b.characters, b.tokens, b.fragments, b.changed) == (3, 8, 3, 8, 8, 0)
    assert (a.fertility, a.coverage, b.coverage, every.bytes_per_token) == (4.5, 1.0, 0.0, 1.0)
    assert used.sum() == len(set("".join(texts).encode()))
    one, two = (measure(ByteTokenizer(), pa.array(some), {})[0] for some in (texts[:1], texts[1:]))
    assert add(one, two)["all"] == found["all"]


def test_a_text_that_does_not_come_back_is_counted():
    class Upper(ByteTokenizer):
        def decode(self, ids):
            return super().decode(ids).upper()

    found, _ = measure(Upper(), pa.array(["lower", "UPPER"]), {})
    assert found["all"]["all"].changed == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.json", r"none\.json: cannot be opened as a tokenizer: .*No such file"),
        ("text.txt", r"text\.txt: is no tokenizer\.json and no SentencePiece model\. Give one, the folder of a build"),
        ("tiktoken:nothing", r"tiktoken:nothing: cannot be opened as a tokenizer: tiktoken has no encoding 'nothing'"),
    ],
)
def test_what_is_no_tokenizer(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(store.UserError, match=message):
        open_tokenizer_at(given)


def test_the_commands(result, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(cli, [str(one) for one in arguments])

    to = tmp_path / "to"
    shown = run(
        "train-tokenizer", result.out, "--vocabulary", 320, "--bytes", "12kB", "--out", to, "--compare", "bytes"
    )
    assert shown.exit_code == 0, shown.output
    assert shown.output.rstrip() == (to / "README.md").read_text().rstrip()
    assert "| bytes | 257 |" in shown.output
    unigram = run(
        *("train-tokenizer", *result.paths, "--type", "sentencepiece", "--model", "unigram"),
        *("--vocabulary", 320, "--bytes", "12kB", "--out", tmp_path / "unigram"),
    )
    assert unigram.exit_code == 0, unigram.output
    counts = run("count-tokens", result.out, "all-1.28K", to / "tokenizer.json", "--json")
    assert json.loads(counts.output) == count_tokens(str(result.out), "all-1.28K", [str(to / "tokenizer.json")])
    table = run("count-tokens", result.out, "all-1.28K", "bytes")
    assert "1,280  1,280" in table.output
    for call, message in [
        (("train-tokenizer", result.out, "--recipe", "none", "--out", to), "has no rung 'none'"),
        (("train-tokenizer", *result.paths, "--recipe", "all", "--out", to), "is no folder of a finished build"),
        (("train-tokenizer", tmp_path / "gone", "--out", to), "gone: there is no such file or folder"),
        (
            ("train-tokenizer", result.out, "--vocabulary", 10, "--out", to),
            "train.vocabulary is 10; it must be between",
        ),
        (("train-tokenizer", result.out, "--bytes", "x", "--out", to), "'x' is not a size in bytes"),
        (("train-tokenizer", result.out, "--out", to), "little, recipe all: A vocabulary of 32,000 cannot be trained"),
    ]:
        failed = run(*call)
        assert (failed.exit_code, message in " ".join(failed.output.split())) == (2, True), failed.output


def test_names_from_the_input_are_no_markup():
    counts = {"documents": 1, "bytes": 10, "bytes_per_token": 2.0, "fertility": 1.5, "coverage": 1.0, "changed": 0}
    one = {"vocabulary": 9, "used": 3, "all": {"all": counts}, "language": {"en": counts}}
    one["source"] = {f"a|b<i>{n}": {**counts, "bytes": n} for n in range(14)}
    card = {"type": "huggingface", "file": "tokenizer.json", "parameters": {"vocabulary": 9}, "text": "*x*\n"}
    card |= {"trained_on": {"documents": 1, "bytes": 1}, "measured_on": "it", "tokenizers": {"this one": one}}
    page = render_tokenizer_card(card)
    assert "a&#124;b&lt;i&gt;13" in page
    assert "2 smaller ones are in `card.json`." in page
    assert "Text: &#42;x&#42; ; 1 documents" in page
