"""Engines that are faster: equal ids or none at all; and names of control tokens that text never reaches."""

from __future__ import annotations

import importlib
import logging
import sys
import types

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_files import END, GPT2_PATTERN, TEXTS, byte_level_bpe, ranks

from tokenladder.tokenizers.fast_path import GigaPath, UnfitError
from tokenladder.tokenizers.huggingface import HuggingFaceTokenizer
from tokenladder.tokenizers.raw_bytes import ByteTokenizer
from tokenladder.tokenizers.sections import TrainSentencePiece
from tokenladder.tokenizers.sentencepieces import SentencePieceTokenizer, train_sentencepiece
from tokenladder.tokenizers.tiktokens import TiktokenTokenizer, encoding_from_ranks

MODELS = {
    kind: train_sentencepiece(TEXTS, TrainSentencePiece(vocabulary=360, model=kind)) for kind in ("bpe", "unigram")
}
ENGINES = {
    "bytes": ByteTokenizer(),
    "fastokens": HuggingFaceTokenizer(byte_level_bpe()),
    "tokenizers": HuggingFaceTokenizer(byte_level_bpe(), fast=False),
    "gigatoken": SentencePieceTokenizer(MODELS["bpe"]),
    "sentencepiece": SentencePieceTokenizer(MODELS["bpe"], fast=False),
    "unigram": SentencePieceTokenizer(MODELS["unigram"]),
    "tiktoken": TiktokenTokenizer(encoding_from_ranks(ranks(), GPT2_PATTERN)),
}
CONTROLS = {"fastokens": {0, 1}, "tokenizers": {0, 1}, "bytes": {256}, "tiktoken": {398}}
"""Ids of control tokens; of SentencePiece's models 1 and 2."""
NAMES = [END, "<|pad|>", "<s>", "</s>", "<unk>", "<|im_start|>", "<0x0A>"]
HOSTILE = st.lists(st.lists(st.sampled_from([*NAMES, "a", " ", "é", "\n"])).map("".join), max_size=4)


def test_each_engine_is_the_one_that_was_meant():
    found = {name: getattr(tokenizer, "engine", name) for name, tokenizer in ENGINES.items()}
    assert found == {name: name for name in ENGINES} | {"unigram": "sentencepiece"}


@pytest.mark.parametrize("name", sorted(ENGINES))
@settings(max_examples=40)
@given(texts=HOSTILE)
def test_no_text_reaches_a_control_token_and_every_text_comes_back(name, texts):
    tokenizer = ENGINES[name]
    offsets, ids = tokenizer.encode(pa.array(texts, pa.string()))
    assert not np.isin(ids, list(CONTROLS.get(name, {1, 2}))).any()
    assert [tokenizer.decode(ids[offsets[n] : offsets[n + 1]]) for n in range(len(texts))] == texts


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(TEXTS), max_size=8))
def test_gigatoken_gives_the_ids_of_sentencepiece(texts):
    column = pa.array(texts, pa.string())
    for one, other in zip(*(ENGINES[name].encode(column) for name in ("gigatoken", "sentencepiece")), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_over_several_batches_and_an_engine_opened_anew(monkeypatch):
    monkeypatch.setattr(GigaPath, "RENEWED_AFTER", 1000)
    column = pa.array([*TEXTS * 300, "", " " * 10_000, "</s> in the middle", *TEXTS * 300])
    assert column.nbytes > 1 << 20
    for one, other in zip(*(ENGINES[name].encode(column) for name in ("gigatoken", "sentencepiece")), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_control_tokens_name_is_not_for_gigatoken():
    with pytest.raises(UnfitError, match="a text holds the name of a control token"):
        ENGINES["gigatoken"]._fast.encode(["plain", "a</s>b"])


class Rows:
    """What gigatoken returns, as far as it is looked at."""

    def __init__(self, rows):
        data = lambda values: types.SimpleNamespace(data=np.array(values, np.int64))  # noqa: E731 short
        flat = [one for row in rows for one in row]
        self.layout = types.SimpleNamespace(
            offsets=data(np.r_[0, np.cumsum([len(row) for row in rows])]), content=data(flat)
        )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda texts, **_: Rows([[5] for _ in texts]), "gives other ids"),
        (lambda *_, **__: 1 / 0, "cannot take this tokenizer"),
    ],
)
def test_an_engine_that_differs_or_fails_is_left_out(monkeypatch, caplog, answer, said):
    engine = types.SimpleNamespace(encode_batch=answer)
    tokenizer = types.SimpleNamespace(from_sentencepiece=lambda _: engine)
    monkeypatch.setitem(sys.modules, "gigatoken", types.SimpleNamespace(Tokenizer=tokenizer))
    with caplog.at_level(logging.INFO):
        found = SentencePieceTokenizer(MODELS["bpe"])
    assert found.engine == "sentencepiece"
    assert said in caplog.text
    np.testing.assert_array_equal(found.encode(pa.array(TEXTS))[1], ENGINES["sentencepiece"].encode(pa.array(TEXTS))[1])


def test_without_gigatoken_sentencepiece_does_the_work(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert SentencePieceTokenizer(MODELS["bpe"]).engine == "sentencepiece"


def test_what_gigatoken_cannot_take_goes_to_the_reference(monkeypatch):
    tokenizer = SentencePieceTokenizer(MODELS["bpe"])

    def fail(*_, **__):
        raise RuntimeError("too long")

    monkeypatch.setattr(tokenizer._fast, "_engine", types.SimpleNamespace(encode_batch=fail))
    np.testing.assert_array_equal(
        tokenizer.encode(pa.array(TEXTS))[1], ENGINES["sentencepiece"].encode(pa.array(TEXTS))[1]
    )
