from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import types

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_files import END, TEXTS, byte_level_bpe, with_everything_on, word_level

import tokenizers
from tokenizers import models
from tokenladder.tokenizers.fast_path import probe_texts
from tokenladder.tokenizers.huggingface import HuggingFaceTokenizer

COLUMNS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(TEXTS), max_size=8)
ENGINES = {fast: HuggingFaceTokenizer(byte_level_bpe(), fast=fast) for fast in (False, True)}


@pytest.mark.parametrize("fast", [False, True])
@settings(max_examples=60)
@given(texts=COLUMNS)
def test_texts_come_back_and_ids_are_the_librarys(fast, texts):
    tokenizer = ENGINES[fast]
    offsets, ids = tokenizer.encode(pa.array(texts, pa.string()))
    documents = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    bare = tokenizers.Tokenizer.from_str(byte_level_bpe().decode())
    bare.encode_special_tokens = True
    assert [document.tolist() for document in documents] == [bare.encode(text).ids for text in texts]
    assert [tokenizer.decode(document) for document in documents] == texts
    assert (offsets.dtype, ids.dtype, len(offsets)) == (np.int64, np.uint16, len(texts) + 1)


def test_both_engines_agree_over_several_batches():
    assert (ENGINES[False].engine, ENGINES[True].engine) == ("tokenizers", "fastokens")
    column = pa.array(TEXTS * 500 + ["", " " * 100_000, "x" * 100_000, ""])
    assert sum(map(len, column.to_pylist())) > 1 << 20
    for one, other in zip(ENGINES[False].encode(column), ENGINES[True].encode(column), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("fast", [False, True])
def test_control_tokens_in_text_are_text(fast):
    tokenizer = ENGINES[fast]
    text = f"{END}<|pad|> a{END}b {END}"
    _, ids = tokenizer.encode(pa.array([text]))
    assert set(ids.tolist()).isdisjoint({0, 1})
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(np.array([*ids, tokenizer.end_of_document])) == text


def test_truncation_padding_dropout_and_added_tokens_are_left_out():
    plain, loaded = ENGINES[False], HuggingFaceTokenizer(with_everything_on(), fast=False)
    column = pa.array(TEXTS)
    for one, other in zip(plain.encode(column), loaded.encode(column), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    HuggingFaceTokenizer(byte_level_bpe(), fast=False)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_identity_names_content_and_choices_only():
    one, other = HuggingFaceTokenizer(byte_level_bpe()), HuggingFaceTokenizer(byte_level_bpe(), 1, fast=False)
    assert one.identity() == HuggingFaceTokenizer(byte_level_bpe(), END, fast=False).identity()
    assert one.identity() | {"end_of_document": 1} == other.identity()
    assert one.identity() != HuggingFaceTokenizer(byte_level_bpe(401)).identity()
    assert json.loads(json.dumps(one.identity())) == one.identity()


@pytest.mark.parametrize(("words", "dtype"), [(65535, np.uint16), (65536, np.uint32)])
def test_ids_are_as_wide_as_the_largest_needs(words, dtype):
    vocabulary = {"<unk>": 0} | {f"w{number}": number for number in range(1, words)}
    tokenizer = HuggingFaceTokenizer(word_level(vocabulary, [END]), fast=False)
    _, ids = tokenizer.encode(pa.array([f"w7 other w{words - 1}"]))
    assert (tokenizer.end_of_document, tokenizer.vocabulary_size) == (words, words + 1)
    assert (ids.dtype, ids.tolist()) == (dtype, [7, 0, words - 1])


def test_a_model_that_holds_a_control_tokens_name_as_a_piece():
    unigram = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("a", -1.0)], 0, False))
    unigram.add_special_tokens(["</s>"])
    with pytest.raises(
        ValueError, match=r"encodes the text '</s>' with the control token </s> \(1\): its Unigram model"
    ):
        HuggingFaceTokenizer(unigram.to_str().encode())
    with pytest.raises(ValueError, match=r"with the control token <s> \(1\): its WordLevel model"):
        HuggingFaceTokenizer(word_level({"<unk>": 0, "<s>": 1}, ["<s>", "</s>"]), "</s>")


def test_an_unmarked_end_becomes_special():
    settings = json.loads(byte_level_bpe())
    settings["added_tokens"][0]["special"] = False
    for fast in (False, True):
        tokenizer = HuggingFaceTokenizer(json.dumps(settings).encode(), fast=fast)
        assert 0 not in tokenizer.encode(pa.array([f"a{END}b"]))[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x0b<unk>", "not a tokenizer.json: it is not JSON"),
        (b"[" * 100_000, "not a tokenizer.json: it is not JSON"),
        (b"[1]", 'JSON but not a tokenizer.json: it has no "model"'),
        (b'{"model": {"type": "BPE"}}', "not a tokenizer.json that Hugging Face's tokenizers can read .*"),
        (word_level({}, []), "ids up to -1; a usable one has"),
        (word_level({"<unk>": 0}, ["<|a|>"]), r"No token that ends a document .* control tokens are <\|a\|> \(1\)"),
    ],
)
def test_files_that_cannot_be_used(data, message):
    with pytest.raises(ValueError, match=message):
        HuggingFaceTokenizer(data)


def test_an_end_that_is_not_there():
    with pytest.raises(ValueError, match=r"end_of_document is 'stop', which is no control token .* <\|pad\|> \(1\)"):
        HuggingFaceTokenizer(byte_level_bpe(), "stop")


def _install(monkeypatch, make):
    module = types.ModuleType("fastokens")
    module.Tokenizer = types.SimpleNamespace(from_json_str=make)
    monkeypatch.setitem(sys.modules, "fastokens", module)


def test_an_engine_that_disagrees_on_one_probe_is_not_used(monkeypatch, caplog):
    last = probe_texts(extra=[END, "<|pad|>"])[-1]

    class OneOff:
        def encode_batch_flat(self, texts, **_):
            offsets, ids = ENGINES[False]._reference(texts)
            if texts[-1] == last:
                ids[-1] ^= 1
            return ids.tobytes(), offsets.astype(np.uint64).tobytes()

    _install(monkeypatch, lambda _: OneOff())
    with caplog.at_level(logging.INFO):
        assert HuggingFaceTokenizer(byte_level_bpe()).engine == "tokenizers"
    assert "fastokens gives other ids for this tokenizer" in caplog.text


def test_an_engine_that_cannot_read_the_file_is_not_used(monkeypatch, caplog):
    class PanicException(BaseException):
        pass

    def make(_):
        raise PanicException("unknown normalizer")

    _install(monkeypatch, make)
    with caplog.at_level(logging.INFO):
        assert HuggingFaceTokenizer(byte_level_bpe()).engine == "tokenizers"
    assert "fastokens cannot take this tokenizer" in caplog.text
    assert "unknown normalizer" in caplog.text


def test_an_engine_that_is_not_installed_is_not_missed(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", None)
    assert HuggingFaceTokenizer(byte_level_bpe()).engine == "tokenizers"


def test_a_text_that_the_fast_engine_refuses_goes_to_the_reference(monkeypatch):
    class Limited:
        def encode_batch_flat(self, texts, **_):
            if "too much" in texts:
                raise RuntimeError("match limit exceeded")
            offsets, ids = ENGINES[False]._reference(texts)
            return ids.tobytes(), offsets.astype(np.uint64).tobytes()

    _install(monkeypatch, lambda _: Limited())
    tokenizer = HuggingFaceTokenizer(byte_level_bpe())
    assert tokenizer.engine == "fastokens"
    offsets, ids = tokenizer.encode(pa.array(["too much", "a"]))
    assert tokenizer.decode(ids[: offsets[1]]) == "too much"


def test_probes_are_the_same_everywhere_and_hold_the_control_tokens():
    probes = probe_texts(extra=[END])
    assert len(probes) == 2000
    assert probes == probe_texts(extra=[END])
    assert sum(END in probe for probe in probes) > 500
    assert len({character for probe in probes for character in probe}) > 1000
