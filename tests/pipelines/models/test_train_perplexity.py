"""Language models trained by the command, on files and on a build's recipe, and what it says of them."""

from __future__ import annotations

import json
import sys

import little
import pyarrow as pa
import pytest
from click.testing import CliRunner

from tokenladder.filters.measures.perplexity import Perplexity
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import store
from tokenladder.pipelines.models.train_perplexity import Training, train_perplexity

ROWS = little.corpus(3, 60, words=(30, 60))


@pytest.fixture
def texts(tmp_path):
    return str(little.write_jsonl(tmp_path / "texts.jsonl", ROWS))


def run(*arguments):
    return CliRunner().invoke(cli, ["train-perplexity", *map(str, arguments)], catch_exceptions=False)


def test_the_command_writes_a_model_that_the_score_reads(texts, tmp_path):
    pytest.importorskip("kenlm", reason="KenLM comes with the extra [kenlm]")
    said = run(texts, "--out", tmp_path / "lm", "--order", 3)
    assert said.exit_code == 0, said.output
    report = json.loads((tmp_path / "lm" / "report.json").read_text())
    assert report["trained_on"]["documents"] == 54
    assert report["measured"]["documents"] == 6
    assert report["training"] == {"order": 3, "least": 2, "least_word": 1, "lower": False, "sentencepiece": None}
    assert f"perplexity {report['measured']['perplexity']:g} of a word" in said.output
    # words drawn with equal chances surprise as much as there are words; each line ends after five
    assert 100 < report["measured"]["perplexity"] < len(little.VOCABULARY)
    score = Perplexity(str(tmp_path / "lm" / "model.arpa"))
    rows = score.score(pa.record_batch({"text": [ROWS[0]["text"], "other words altogether"]})).to_pylist()
    assert rows[0]["perplexity"] < rows[1]["perplexity"]
    again = run(texts, "--out", tmp_path / "again", "--order", 3, "--quiet")
    assert (again.exit_code, again.output) == (0, "")
    for name in ("model.arpa", "report.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "lm" / name).read_bytes()


def test_a_recipes_own_text_is_trained_on(tmp_path):
    web = little.write_jsonl(tmp_path / "web.jsonl", ROWS)
    out = little.build(little.write_study(tmp_path, {"web": web}), tmp_path / "out").out
    report = train_perplexity([str(out)], "all", 10**6, Training(order=2, lower=True), str(tmp_path / "lm"))
    assert report["text"] == "little, recipe all"
    assert report["trained_on"]["documents"] > 5
    words = {row["text"] for row in ROWS}
    vocabulary = {word for text in words for word in text.lower().split()}
    arpa = (tmp_path / "lm" / "model.arpa").read_text().split("\\2-grams:")[0]
    assert {line.split("\t")[1] for line in arpa.splitlines() if "\t" in line} <= vocabulary | {"<s>", "</s>", "<unk>"}


def test_pieces_of_sentencepiece_are_its_words(texts, tmp_path):
    import sentencepiece

    (tmp_path / "text.txt").write_text("\n".join(row["text"] for row in ROWS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=str(tmp_path / "p"), vocab_size=60, minloglevel=2, num_threads=1
    )
    training = Training(order=3, sentencepiece=str(tmp_path / "p.model"))
    report = train_perplexity([texts], None, 10**6, training, str(tmp_path / "lm"))
    assert report["training"]["sentencepiece"] == "p.model"
    assert report["ngrams"][0] <= 60


def test_without_kenlm_it_trains_and_measures_nothing(texts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", None)
    said = run(texts, "--out", tmp_path / "lm", "--order", 2)
    assert said.exit_code == 0
    assert "nothing: pip install 'tokenladder[kenlm]'" in said.output
    assert json.loads((tmp_path / "lm" / "report.json").read_text())["measured"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--order", 9), "--order 9: a model has n-grams of 1 to 6 words."),
        (("--least", 1, "--least-word", 2), "--least-word 2, --least 1: both are at least 1"),
        (("--bytes", "much"), "--bytes much: 'much' is not a size in bytes"),
        (("--recipe", "all"), "is no folder of a finished build."),
    ],
)
def test_mistakes_are_told(texts, tmp_path, arguments, message):
    said = run(texts, "--out", tmp_path / "lm", *arguments)
    assert (said.exit_code, message in said.output) == (2, True), said.output


def test_text_without_words_and_folders_of_others_are_refused(texts, tmp_path):
    blank = little.write_jsonl(tmp_path / "blank.jsonl", [{"id": "a", "text": " \n "}])
    with pytest.raises(store.UserError, match=r"blank\.jsonl: There is no word to train a language model on"):
        train_perplexity([str(blank)], None, 100, Training(), str(tmp_path / "lm"))
    with pytest.raises(store.UserError, match=r"holds files that no training made \("):
        train_perplexity([texts], None, 100, Training(), str(tmp_path))
    for out in (texts, f"{texts}/below"):
        with pytest.raises(store.UserError, match=f"--out {out}: {texts} is a file, so no folder can stand there"):
            train_perplexity([texts], None, 100, Training(), out)
