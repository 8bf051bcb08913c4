from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.tokenizers.control_tokens import choose_end_of_document, explained
from tokenladder.tokenizers.protocol import gather, in_batches, smallest_dtype, text_ids
from tokenladder.tokenizers.raw_bytes import ByteTokenizer

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
COLUMNS = st.lists(UNICODE, max_size=12)


@given(COLUMNS, st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_bytes_are_the_texts_own_also_in_a_slice(texts, skipped, kind):
    tokenizer = ByteTokenizer()
    column = pa.array(texts, kind)[skipped:]
    offsets, ids = tokenizer.encode(column)
    documents = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    assert [list(document) for document in documents] == [list(text.encode()) for text in texts[skipped:]]
    assert [tokenizer.decode(document) for document in documents] == texts[skipped:]
    assert (offsets.dtype, ids.dtype) == (np.int64, np.uint16)


def test_bytes_of_nothing():
    for empty in (pa.array([], pa.string()), pa.array(["a", "b"])[:0], pa.array(["", ""])):
        offsets, ids = ByteTokenizer().encode(empty)
        assert offsets.tolist() == [0] * (len(empty) + 1)
        assert ids.tolist() == []


def test_bytes_decode_leaves_the_end_out_and_marks_a_cut_character():
    assert ByteTokenizer().decode(np.array([104, 256, 105, 195])) == "hi\ufffd"


@given(COLUMNS, st.integers(1, 60), st.integers(0, 2))
def test_batches_hold_every_text_once_and_no_more_than_asked(texts, size, skipped):
    batches = list(in_batches(pa.array(texts, pa.string())[skipped:], size))
    assert [text for batch in batches for text in batch] == texts[skipped:]
    assert all(len(batch) == 1 or sum(len(text.encode()) for text in batch) <= size for batch in batches)


@given(st.lists(st.lists(st.integers(0, 65535))))
def test_gather_is_concatenation(documents):
    offsets, ids = gather(documents, np.dtype(np.uint16))
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == documents
    assert ids.dtype == np.uint16


@pytest.mark.parametrize(("size", "dtype"), [(1, "u2"), (65536, "u2"), (65537, "u4"), (2**31, "u4")])
def test_smallest_dtype(size, dtype):
    assert smallest_dtype(size) == np.dtype(dtype)


@pytest.mark.parametrize("size", [0, 2**31 + 1])
def test_a_vocabulary_of_impossible_size(size):
    with pytest.raises(ValueError, match=f"ids up to {size - 1:,}; a usable one has between 1 and 2,147,483,648"):
        smallest_dtype(size)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a", None, "b", None]), "Row 1 of the texts is null .2 of 4 are.; drop records without text"),
        (pa.array([b"a"]), "a column of string or large_string, not of binary"),
    ],
)
def test_columns_that_cannot_be_encoded(column, message):
    with pytest.raises(ValueError, match=message):
        ByteTokenizer().encode(column)


@pytest.mark.parametrize("bad", [-1, 257])
def test_ids_of_another_tokenizer(bad):
    with pytest.raises(ValueError, match=f"Id {bad} at position 1 is outside this tokenizer's vocabulary of 257 ids"):
        ByteTokenizer().decode(np.array([104, bad]))


def test_ids_that_are_no_integers():
    with pytest.raises(ValueError, match="Token ids are integers, not float64"):
        text_ids(np.array([1.5]), 257, 256)


def test_the_end_of_a_document_is_the_models_own_then_the_best_known_name():
    controls = {"<s>": 1, "</s>": 2, "<|endoftext|>": 5}
    assert choose_end_of_document(None, controls, preferred=1) == 1
    assert choose_end_of_document(None, controls, preferred=9) == 5
    assert choose_end_of_document(None, controls) == 5
    assert choose_end_of_document("<s>", controls) == 1
    assert choose_end_of_document(2, controls) == 2


@pytest.mark.parametrize("given_end", ["<end>", 7])
def test_an_end_that_is_no_control_token(given_end):
    with pytest.raises(
        ValueError, match=rf"end_of_document is {given_end!r}, .*; its control tokens are <a> \(1\), <b>"
    ):
        choose_end_of_document(given_end, {"<b>": 4, "<a>": 1})


def test_no_well_known_end_lists_what_there_is():
    many = {f"<{number}>": number for number in range(25)}
    with pytest.raises(
        ValueError, match=r"its control tokens are <0> \(0\), .*<19> \(19\) and 5 more.*end_of_document = "
    ):
        choose_end_of_document(None, many)
    with pytest.raises(ValueError, match="it has no control tokens at all"):
        choose_end_of_document(None, {})


def test_a_librarys_panic_is_explained_but_an_interrupt_is_not():
    class PanicException(BaseException):
        pass

    with pytest.raises(ValueError, match=r"The file is broken \(PanicException\)"), explained("The file is broken"):
        raise PanicException
    with pytest.raises(KeyboardInterrupt), explained("The file is broken"):
        raise KeyboardInterrupt
