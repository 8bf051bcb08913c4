from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Annotated

import pyarrow as pa
import pydantic
import pytest
from tokenizer_files import GPT2_PATTERN, TEXTS, byte_level_bpe, ranks

from tokenladder.tokenizers import loading
from tokenladder.tokenizers.loading import guess_kind, load, load_bytes
from tokenladder.tokenizers.sections import (
    BytesSection,
    HuggingFaceSection,
    SentencePieceSection,
    TiktokenSection,
    TokenizerSection,
    TrainSentencePiece,
    parse_bytes,
)
from tokenladder.tokenizers.sentencepieces import train_sentencepiece

SECTION = pydantic.TypeAdapter(Annotated[TokenizerSection, pydantic.Field(discriminator="type")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tokenizer.json").write_bytes(byte_level_bpe())
    (folder / "small.tiktoken").write_bytes(ranks())
    (folder / "small.model").write_bytes(train_sentencepiece(TEXTS, TrainSentencePiece(vocabulary=420)))
    (folder / "empty").touch()
    (folder / "other.json").write_text('{"a": 1}')
    return folder


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ({"type": "bytes"}, 256),
        ({"type": "huggingface", "path": "tokenizer.json"}, 0),
        ({"type": "huggingface", "path": "tokenizer.json", "end_of_document": "<|pad|>"}, 1),
        ({"type": "tiktoken", "path": "small.tiktoken", "pattern": GPT2_PATTERN}, 398),
        ({"type": "tiktoken", "path": "small.tiktoken", "pattern": GPT2_PATTERN, "end_of_document": 500}, 500),
        ({"type": "sentencepiece", "path": "small.model"}, 2),
    ],
)
def test_what_a_study_names_is_loaded(folder, written, end):
    tokenizer = load(SECTION.validate_python(written), folder)
    offsets, ids = tokenizer.encode(pa.array(TEXTS))
    assert (tokenizer.end_of_document, tokenizer.identity()["type"]) == (end, written["type"])
    assert [tokenizer.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == TEXTS
    assert end not in ids
    assert ids.max() < tokenizer.vocabulary_size


def test_a_trained_model_is_loaded_from_its_bytes(folder):
    section = SECTION.validate_python({"type": "sentencepiece", "train": {"vocabulary": 420, "bytes": "1MB"}})
    with pytest.raises(ValueError, match="still to be trained"):
        load(section, folder)
    trained = load_bytes(section, train_sentencepiece(TEXTS, section.train))
    assert trained.identity() == load(SentencePieceSection(path="small.model"), folder).identity()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (HuggingFaceSection("none.json"), r"none\.json does not exist; .* relative to the study's folder"),
        (HuggingFaceSection("."), r"is a folder; the tokenizer's path must name a file"),
        (
            HuggingFaceSection("small.model"),
            r'small\.model: .*not JSON.* It looks like a file for type = "sentencepiece"',
        ),
        (HuggingFaceSection("small.tiktoken"), r'not JSON.* It looks like a file for type = "tiktoken"'),
        (SentencePieceSection(path="tokenizer.json"), r'not a SentencePiece.* a file for type = "huggingface"'),
        (SentencePieceSection(path="empty"), r"empty: The file is not a SentencePiece model .it is empty.$"),
        (TiktokenSection(path="tokenizer.json", pattern="x"), r'not a \.tiktoken.* a file for type = "huggingface"'),
        (
            HuggingFaceSection("other.json"),
            r'other\.json: The file is JSON but not a tokenizer\.json: it has no "model"\.$',
        ),
    ],
)
def test_files_that_are_something_else(folder, section, message):
    with pytest.raises(ValueError, match=message):
        load(section, folder)


def test_a_file_too_large_for_a_tokenizer(folder, monkeypatch):
    monkeypatch.setattr(loading, "LARGEST_FILE", 10)
    with pytest.raises(ValueError, match=r"tokenizer\.json has [\d,]+ bytes; a tokenizer has at most 10\."):
        load(HuggingFaceSection("tokenizer.json"), folder)


def test_a_file_that_cannot_be_read(folder, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read: Permission denied\."):
        load(HuggingFaceSection("tokenizer.json"), folder)


def test_kinds_are_guessed_only_where_they_show(folder):
    found = {path.name: guess_kind(path.read_bytes()) for path in folder.iterdir()}
    assert found == {
        "tokenizer.json": "huggingface",
        "small.tiktoken": "tiktoken",
        "small.model": "sentencepiece",
        "empty": None,
        "other.json": None,
    }
    assert guess_kind(b"{not json") is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"type": "sentencepiece"}, "either path .* or train .*, and neither are given"),
        ({"type": "sentencepiece", "path": "a", "train": {}}, "either path .* or train .*, and both are given"),
        ({"type": "tiktoken"}, "either path .* or encoding .*, and neither are given"),
        ({"type": "tiktoken", "path": "a", "encoding": "b"}, "either path .* or encoding .*, and both are given"),
        ({"type": "tiktoken", "path": "a"}, "path and pattern go together"),
        ({"type": "tiktoken", "encoding": "a", "pattern": "b"}, "path and pattern go together"),
        ({"type": "bytes", "path": "a"}, "Unexpected keyword argument"),
        ({"type": "huggingface"}, "either path .* or train .*, and neither are given"),
        ({"type": "huggingface", "path": "a", "train": {}}, "either path .* or train .*, and both are given"),
        ({"type": "words"}, "'sentencepiece', 'huggingface', 'tiktoken', 'bytes'"),
        ({"type": "sentencepiece", "train": {"vocabulary": 200}}, "train.vocabulary is 200; it must be between 300"),
        ({"type": "sentencepiece", "train": {"model": "word"}}, "'bpe' or 'unigram'"),
        ({"type": "sentencepiece", "train": {"bytes": "20 apples"}}, "'20 apples' is not a size in bytes; write it"),
        ({"type": "sentencepiece", "train": {"bytes": 0}}, "A size must be at least one byte, not 0"),
        ({"type": "sentencepiece", "train": {"character_coverage": 0.5}}, "character_coverage is 0.5; it must be"),
    ],
)
def test_sections_that_cannot_be_meant(written, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        SECTION.validate_python(written)


def test_a_model_is_checked_without_pydantic_too():
    with pytest.raises(ValueError, match=r'''train\.model is 'word'; it must be "bpe" or "unigram"'''):
        TrainSentencePiece(model="word")


@pytest.mark.parametrize(("size", "number"), [("20MB", 20_000_000), ("1.5 kB", 1500), (7, 7), (" 2GB ", 2 * 10**9)])
def test_sizes(size, number):
    assert parse_bytes(size) == number


def test_sections_need_no_library_and_bytes_none_but_arrow():
    program = (
        "import sys; import tokenladder.tokenizers.sections; from tokenladder.tokenizers.loading import load; "
        "load(tokenladder.tokenizers.sections.BytesSection(), None); "
        "print({'tokenizers', 'sentencepiece', 'tiktoken', 'fastokens'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_bytes_need_no_file(folder):
    assert load(BytesSection(), folder).identity() == {"type": "bytes", "version": 1, "end_of_document": 256}
