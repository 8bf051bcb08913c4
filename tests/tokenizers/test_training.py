from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_files import TEXTS

from tokenladder.tokenizers.huggingface import HuggingFaceTokenizer
from tokenladder.tokenizers.sections import TrainHuggingFace, TrainSentencePiece
from tokenladder.tokenizers.sentencepieces import train_sentencepiece
from tokenladder.tokenizers.training import END, EXPRESSIONS, first_bytes, train

COLUMNS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(TEXTS), max_size=8)
PARAMETERS = {pattern: TrainHuggingFace(vocabulary=420, pattern=pattern) for pattern in EXPRESSIONS}
MODELS = {pattern: train(TEXTS, parameters) for pattern, parameters in PARAMETERS.items()}
TOKENIZERS = {pattern: HuggingFaceTokenizer(model) for pattern, model in MODELS.items()}


@pytest.mark.parametrize("pattern", sorted(EXPRESSIONS))
@given(texts=COLUMNS)
def test_every_text_comes_back(pattern, texts):
    tokenizer = TOKENIZERS[pattern]
    offsets, ids = tokenizer.encode(pa.array(texts, pa.string()))
    assert [tokenizer.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == texts
    assert 0 not in ids


@pytest.mark.parametrize("pattern", sorted(EXPRESSIONS))
def test_what_is_trained_is_what_was_asked_for(pattern):
    tokenizer = TOKENIZERS[pattern]
    assert (tokenizer.vocabulary_size, tokenizer.end_of_document) == (420, 0)
    assert tokenizer.engine == "fastokens"  # the fast path can take it
    _, ids = tokenizer.encode(pa.array([f"{END} a"]))
    assert 0 not in ids
    digits = [len(tokenizer.encode(pa.array([text]))[1]) for text in ("1234567890", "1234567890" * 3)]
    assert digits[1] >= digits[0] > 1


def test_digits_come_in_threes_in_one_pattern_alone():
    texts = ["in 123456 " * 60, *TEXTS]
    longest = {}
    for pattern in EXPRESSIONS:
        tokenizer = HuggingFaceTokenizer(train(texts, TrainHuggingFace(vocabulary=460, pattern=pattern)))
        _, ids = tokenizer.encode(pa.array(["in 123456"]))
        longest[pattern] = max(len(tokenizer.decode(ids[n : n + 1]).strip()) for n in range(len(ids)))
    assert longest == {"cl100k": 3, "gpt2": 6}


@pytest.mark.parametrize("pattern", sorted(EXPRESSIONS))
def test_training_again_gives_the_same_bytes(pattern):
    assert train(iter(TEXTS), PARAMETERS[pattern]) == MODELS[pattern]
    assert train([*TEXTS[:-1], "one more word"], PARAMETERS[pattern]) != MODELS[pattern]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_are_no_part_of_the_result(threads):
    script = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tokenizer_files import TEXTS\n"
        "from tokenladder.tokenizers.training import train\n"
        "from tokenladder.tokenizers.sections import TrainHuggingFace\n"
        "print(hashlib.sha256(train(TEXTS, TrainHuggingFace(vocabulary=420))).hexdigest())\n"
    )
    environment = dict(os.environ, RAYON_NUM_THREADS=threads, PYTHONHASHSEED=threads)
    command = [sys.executable, "-c", script, os.path.dirname(__file__)]  # noqa: PTH120 a string for another process
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(MODELS["cl100k"]).hexdigest()


def test_training_stops_reading_when_the_sample_is_full():
    def endless():
        yield from TEXTS
        raise AssertionError("read past the sample")

    size = sum(len(text.encode()) for text in TEXTS)
    assert train(endless(), TrainHuggingFace(vocabulary=420, bytes=size)) == MODELS["cl100k"]


def test_sentencepiece_is_trained_by_the_same_door():
    parameters = TrainSentencePiece(vocabulary=420)
    assert train(TEXTS, parameters) == train_sentencepiece(TEXTS, parameters)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(1, 60))
def test_the_first_bytes_are_a_prefix_of_all_texts(texts, size):
    joined = "".join(texts).encode()
    found = list(first_bytes(texts, size))
    assert all(found)
    assert "".join(found).encode() == joined[:size].decode(errors="ignore").encode()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["", ""], "There is no text to train a tokenizer on: every document of the sample is empty"),
        (["aaaa bbbb"], r"vocabulary of 420 cannot be trained on this sample of 9 bytes: it has pairs for 26\d"),
    ],
)
def test_samples_that_cannot_be_trained_on(texts, message):
    with pytest.raises(ValueError, match=message):
        train(texts, TrainHuggingFace(vocabulary=420))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"pattern": "words"}, r'train\.pattern is \'words\'; it must be "cl100k" or "gpt2"'),
        ({"vocabulary": 256}, r"train\.vocabulary is 256; it must be between 300"),
        ({"bytes": "much"}, "'much' is not a size in bytes"),
        ({"bytes": "1"}, r"train\.bytes is 1, too little text for a vocabulary of 32,000: 31,700 bytes at"),
    ],
)
def test_parameters_that_cannot_be_meant(written, message):
    with pytest.raises(ValueError, match=message):
        TrainHuggingFace(**written)
