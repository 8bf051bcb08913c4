from __future__ import annotations

import itertools
import sys

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_files import END, GPT2_PATTERN, O200K_PATTERN, TEXTS, ranks

from tokenladder.tokenizers.tiktokens import TiktokenTokenizer, encoding_by_name, encoding_from_ranks

COLUMNS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(TEXTS), max_size=8)
ENCODING = encoding_from_ranks(ranks(), GPT2_PATTERN)
TOKENIZER = TiktokenTokenizer(ENCODING)
BYTES = b"".join(sorted(ranks().splitlines(keepends=True), key=lambda line: int(line.split()[1])))


@settings(max_examples=60)
@given(texts=COLUMNS)
def test_texts_come_back_and_ids_are_the_librarys(texts):
    offsets, ids = TOKENIZER.encode(pa.array(texts, pa.string()))
    documents = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    assert [document.tolist() for document in documents] == [ENCODING.encode_ordinary(text) for text in texts]
    assert [TOKENIZER.decode(document) for document in documents] == texts
    assert (offsets.dtype, ids.dtype, len(offsets)) == (np.int64, np.uint16, len(texts) + 1)


def test_control_tokens_in_text_are_text():
    text = f"{END} a{END}b"
    _, ids = TOKENIZER.encode(pa.array([text]))
    assert TOKENIZER.end_of_document == 398
    assert 398 not in ids
    assert TOKENIZER.decode(np.array([*ids, 398])) == text


def test_the_end_is_named_or_numbered():
    assert TiktokenTokenizer(encoding_from_ranks(ranks(), GPT2_PATTERN, "<stop>"), "<stop>").end_of_document == 398
    late = TiktokenTokenizer(encoding_from_ranks(ranks(), GPT2_PATTERN, 70_000), 70_000)
    assert (late.end_of_document, late.vocabulary_size, late.dtype) == (70_000, 70_001, np.uint32)
    with pytest.raises(ValueError, match="leaves unused"):
        late.decode(np.array([399]))


def test_a_document_on_which_the_pattern_gives_up_is_still_encoded():
    tokenizer = TiktokenTokenizer(encoding_from_ranks(ranks(), O200K_PATTERN))
    text = "start" + " " * 1_000_000 + "end"
    with pytest.raises(ValueError, match="Regex error"):
        tokenizer._encoding.encode(text, disallowed_special=())
    offsets, ids = tokenizer.encode(pa.array(["a", text, "b"]))
    assert [tokenizer.decode(ids[a:b]) for a, b in itertools.pairwise(offsets)] == ["a", text, "b"]


def test_identity_covers_tokens_and_pattern():
    other = TiktokenTokenizer(encoding_from_ranks(ranks(), O200K_PATTERN))
    assert TOKENIZER.identity() == TiktokenTokenizer(encoding_from_ranks(BYTES, GPT2_PATTERN)).identity()
    assert TOKENIZER.identity()["sha256"] != other.identity()["sha256"]
    assert TOKENIZER.identity()["library"] == f"tiktoken {tiktoken.__version__}"


@pytest.mark.parametrize(
    ("data", "pattern", "end", "message"),
    [
        (b'{"model": 1}\n', GPT2_PATTERN, None, "not a .tiktoken rank file: line 1 is '{\"model\": 1}'"),
        (b"IQ== 0\nIg==\n", GPT2_PATTERN, None, "not a .tiktoken rank file: line 2 is 'Ig=='"),
        (b"IQ== 0\nIg== 0\n", GPT2_PATTERN, None, "a rank is negative or stands twice"),
        (b"", GPT2_PATTERN, None, r"no token for 256 of the 256 single bytes .the first is 0x00."),
        (b"IQ== 0\n", GPT2_PATTERN, None, r"no token for 255 of the 256 single bytes"),
        (ranks(), "(", None, r"The pattern '\(' is not a regular expression that tiktoken can read .*parenthesis"),
        (ranks(), GPT2_PATTERN, 7, "end_of_document is 7, which is the rank of an ordinary token; .* free id is 398"),
        (ranks(), GPT2_PATTERN, 2**31, "ids up to 2,147,483,648; a usable one has"),
    ],
)
def test_files_that_cannot_be_used(data, pattern, end, message):
    with pytest.raises(ValueError, match=message):
        encoding_from_ranks(data, pattern, end)


def test_an_end_that_the_encoding_lacks():
    with pytest.raises(ValueError, match=r"end_of_document is 'x', .* control tokens are <\|endoftext\|> \(398\)"):
        TiktokenTokenizer(ENCODING, "x")


def test_an_encoding_by_name(monkeypatch):
    with pytest.raises(ValueError, match=r"tiktoken has no encoding 'o300k'; it has cl100k_base, .*gpt2"):
        encoding_by_name("o300k")

    def offline(_):
        raise OSError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", offline)
    with pytest.raises(ValueError, match=r"cannot open its encoding 'gpt2'; .*TIKTOKEN_CACHE_DIR.*no route"):
        encoding_by_name("gpt2")
    monkeypatch.setattr(tiktoken, "get_encoding", lambda _: ENCODING)
    assert encoding_by_name("gpt2") is ENCODING


def test_without_tiktoken(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(ValueError, match="needs the package tiktoken: pip install tiktoken"):
        encoding_from_ranks(ranks(), GPT2_PATTERN)
