from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_files import TEXTS

from tokenladder.tokenizers.sections import TrainSentencePiece
from tokenladder.tokenizers.sentencepieces import SentencePieceTokenizer, train_sentencepiece, training_pieces

BPE = TrainSentencePiece(vocabulary=420, model="bpe")
UNIGRAM = TrainSentencePiece(vocabulary=350, model="unigram")
MODELS = {name: train_sentencepiece(TEXTS, p) for name, p in {"bpe": BPE, "unigram": UNIGRAM}.items()}
TOKENIZERS = {name: SentencePieceTokenizer(model) for name, model in MODELS.items()}
# SentencePiece writes a space as U+2581, the one character that cannot come back.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")
COLUMNS = st.lists(st.text(CHARACTERS, max_size=40) | st.sampled_from(TEXTS), max_size=8)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
@settings(max_examples=60)
@given(texts=COLUMNS)
def test_texts_come_back_and_ids_are_the_librarys(name, texts):
    tokenizer = TOKENIZERS[name]
    offsets, ids = tokenizer.encode(pa.array(texts, pa.string()))
    documents = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    bare = sentencepiece.SentencePieceProcessor(model_proto=MODELS[name])
    assert [document.tolist() for document in documents] == [bare.EncodeAsIds(text) for text in texts]
    assert [tokenizer.decode(document) for document in documents] == texts
    assert (offsets.dtype, ids.dtype, len(offsets)) == (np.int64, np.uint16, len(texts) + 1)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
@pytest.mark.parametrize(
    "text",
    ["  two  spaces \n\n\t", "\x00a\x00", "ﬁ e\u0301 é", "a\r\nb", "<unk><s></s><0x0A>", "👩‍👩‍👧", "\ufeff\u200b"],
)
def test_text_that_other_settings_would_change(name, text):
    _, ids = TOKENIZERS[name].encode(pa.array([text]))
    assert TOKENIZERS[name].decode(ids) == text
    assert set(ids.tolist()).isdisjoint({0, 1, 2})


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_a_stretch_of_tokens_keeps_its_first_space(name):
    text = " the quick  brown fox"
    _, ids = TOKENIZERS[name].encode(pa.array([text]))
    assert "".join(TOKENIZERS[name].decode(ids[i : i + 1]) for i in range(len(ids))) == text


def test_the_end_becomes_nothing():
    tokenizer = TOKENIZERS["bpe"]
    _, ids = tokenizer.encode(pa.array(["the dog"]))
    assert tokenizer.end_of_document == 2
    assert tokenizer.decode(np.array([2, *ids, 2])) == "the dog"
    assert tokenizer.decode(np.array([2])) == ""


@pytest.mark.parametrize(("name", "parameters"), [("bpe", BPE), ("unigram", UNIGRAM)])
def test_training_again_gives_the_same_bytes(name, parameters):
    assert train_sentencepiece(iter(TEXTS), parameters) == MODELS[name]
    assert train_sentencepiece([*TEXTS[:-1], "one more word"], parameters) != MODELS[name]
    assert TOKENIZERS[name].vocabulary_size == parameters.vocabulary


def test_training_stops_reading_when_the_sample_is_full():
    def endless():
        yield from TEXTS
        raise AssertionError("read past the sample")

    size = sum(len(text.replace("\n", "").encode()) for text in TEXTS)
    model = train_sentencepiece(endless(), TrainSentencePiece(vocabulary=420, bytes=size))
    assert model == MODELS["bpe"]


def test_digits_are_split_unless_asked_otherwise():
    texts = [*TEXTS, "in 2024 " * 50]
    for split, count in ((True, 5), (False, 1)):
        parameters = TrainSentencePiece(vocabulary=420, split_digits=split)
        tokenizer = SentencePieceTokenizer(train_sentencepiece(texts, parameters))
        _, ids = tokenizer.encode(pa.array(["in 2024"]))
        _, word = tokenizer.encode(pa.array(["in"]))
        assert len(ids) - len(word) == count, split


@given(st.lists(st.text(CHARACTERS | st.just("\n"))), st.integers(1, 100))
def test_training_pieces_are_lines_up_to_the_size(texts, size):
    lines = [line for text in texts for line in text.split("\n") if line]
    pieces = list(training_pieces(texts, size))
    joined = "".join(lines).encode()[:size].decode(errors="ignore")
    assert "".join(pieces).encode() == joined.encode()
    assert all(piece and "\n" not in piece for piece in pieces)


def test_a_long_line_is_cut_and_not_left_out():
    assert [len(piece) for piece in training_pieces(["é" * 10_000], 10**6)] == [4096, 4096, 1808]


@pytest.mark.parametrize(
    ("texts", "vocabulary", "message"),
    [
        ([], 400, "There is no text to train a tokenizer on"),
        (["", "\n\n"], 400, "There is no text to train a tokenizer on"),
        (
            ["some words"],
            8000,
            r"vocabulary of 8,000 cannot be trained on this sample of 10 bytes; .* .Vocabulary size too high .8000.. ",
        ),
        (["".join(map(chr, range(0x4E00, 0x4F00)))], 300, "vocabulary of 300 cannot be trained on .* required_chars"),
    ],
)
def test_samples_that_cannot_be_trained_on(texts, vocabulary, message):
    with pytest.raises(ValueError, match=message):
        train_sentencepiece(texts, TrainSentencePiece(vocabulary=vocabulary))


@pytest.mark.parametrize("data", [b"", b"xx", b'{"model": {}}', b"IQ== 0\n"])
def test_files_that_are_no_model(data):
    with pytest.raises(ValueError, match=r"The file is not a SentencePiece model \("):
        SentencePieceTokenizer(data)


def test_an_end_that_is_an_ordinary_piece():
    with pytest.raises(ValueError, match=r"'\u2581the', .*; its control tokens are <s> \(1\), </s> \(2\)\."):
        SentencePieceTokenizer(MODELS["bpe"], "\u2581the")
    assert SentencePieceTokenizer(MODELS["bpe"], "<s>").end_of_document == 1


def test_identity_is_the_models():
    assert TOKENIZERS["bpe"].identity() != TOKENIZERS["unigram"].identity()
    assert TOKENIZERS["bpe"].identity() == SentencePieceTokenizer(MODELS["bpe"], 2).identity()
    assert TOKENIZERS["bpe"].identity()["library"] == f"sentencepiece {sentencepiece.__version__}"
