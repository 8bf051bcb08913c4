"""What every tokenizer can do, and the few steps they share.

Text comes as an Arrow column and goes as two flat arrays, because a Python list of ids costs 8 bytes a token for the
pointers alone, and building it takes as long as the encoding itself for the faster libraries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]
Offsets: TypeAlias = NDArray[np.int64]
Texts: TypeAlias = pa.StringArray | pa.LargeStringArray
JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

LARGEST_VOCABULARY = 2**31
"""Parquet keeps an id as INT32, and training frameworks index embeddings with signed integers."""

BATCH_BYTES = 1 << 20
"""Text handed to a library at once. Its own objects take up to 100 bytes a token, and 1 MiB of text about
30 MB."""


class Tokenizer(Protocol):
    """One tokenizer of any library, ready to encode documents.

    Attributes:
        vocabulary_size: every id is below it; ids between 0 and it may be unused.
        end_of_document: the id that the packer appends after each document. No text encodes to it.
        dtype: uint16 for a vocabulary of up to 65,536 ids, else uint32.
    """

    @property
    def vocabulary_size(self) -> int: ...  # noqa: D102 -- described above, like the next two
    @property
    def end_of_document(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def encode(self, texts: Texts) -> tuple[Offsets, Ids]:
        """Encode a column of n documents.

        Neither an end-of-document token nor any other control token is added, and text that looks like a control
        token is encoded as the characters it is made of.

        Args:
            texts: Arrow `string` or `large_string`, without nulls.

        Returns:
            `offsets`, int64 of shape (n + 1,), and `ids`, of `dtype` and shape (offsets[-1],): the tokens of document
            i are `ids[offsets[i]:offsets[i + 1]]`.

        Raises:
            ValueError: a null, or a column that is not text.
        """
        ...

    def decode(self, ids: NDArray[Any]) -> str:
        """Turn ids of any integer dtype back into text; end-of-document tokens become nothing.

        Raises:
            ValueError: an id outside the vocabulary.
        """
        ...

    def identity(self) -> dict[str, JSON]:
        """Everything that decides about the ids: for fingerprints and the manifest, never a path."""
        ...


def smallest_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """Give the dtype of a tokenizer's ids.

    Raises:
        ValueError: the vocabulary is empty or has more than 2**31 ids.

    >>> smallest_dtype(65536), smallest_dtype(65537)
    (dtype('uint16'), dtype('uint32'))
    """
    if not 0 < vocabulary_size <= LARGEST_VOCABULARY:
        raise ValueError(
            f"The tokenizer has ids up to {vocabulary_size - 1:,}; a usable one has between 1 and "
            f"{LARGEST_VOCABULARY:,} ids."
        )
    return np.dtype(np.uint16 if vocabulary_size <= 1 << 16 else np.uint32)


def check_texts(texts: Texts) -> None:
    """Refuse a column that is not text or has nulls.

    Raises:
        ValueError: says what was given and in which row.
    """
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"A tokenizer encodes a column of string or large_string, not of {texts.type}.")
    if texts.null_count:
        row = int(np.flatnonzero(np.asarray(texts.is_null()))[0])
        raise ValueError(
            f"Row {row} of the texts is null ({texts.null_count} of {len(texts)} are); drop records without text "
            "before encoding."
        )


def text_offsets(texts: Texts) -> Offsets:
    """Where each text begins in the column's buffer of bytes: int64 of shape (n + 1,)."""
    if len(texts) == 0:
        return np.zeros(1, np.int64)
    width: type[np.signedinteger[Any]] = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    buffer: Any = texts.buffers()[1]  # pyarrow's stubs do not say that it is a buffer for numpy
    offsets: NDArray[np.signedinteger[Any]] = np.frombuffer(buffer, dtype=width)
    return offsets[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)


def in_batches(texts: Texts, size: int = BATCH_BYTES) -> Iterator[list[str]]:
    """Cut a column into lists of neighbouring texts of about `size` bytes each, at least one text a list.

    >>> list(in_batches(pa.array(["ab", "cd", "efghi"]), size=4))
    [['ab', 'cd'], ['efghi']]
    """
    offsets = text_offsets(texts)
    row = 0
    while row < len(texts):
        # The last text that still ends within `size`, or the first one if even that is longer.
        stop = int(np.searchsorted(offsets, offsets[row] + size, side="right")) - 1
        stop = min(max(stop, row + 1), len(texts))
        strings: list[Any] = texts.slice(row, stop - row).to_pylist()
        yield strings
        row = stop


def gather(encoded: Iterable[Sequence[int] | NDArray[Any]], dtype: np.dtype[Any]) -> tuple[Offsets, Ids]:
    """Join the ids of each document, in order, to the flat form that `Tokenizer.encode` returns.

    >>> gather([[1, 2], [], [3]], np.dtype(np.uint16))
    (array([0, 2, 2, 3]), array([1, 2, 3], dtype=uint16))
    """
    arrays = [np.asarray(ids).astype(dtype, copy=False) for ids in encoded]
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(ids) for ids in arrays], out=offsets[1:])
    return offsets, np.concatenate(arrays) if arrays else np.empty(0, dtype)


def joined(batches: Iterable[tuple[Offsets, Ids]], dtype: np.dtype[Any]) -> tuple[Offsets, Ids]:
    """Join the flat forms of batches that follow each other to one.

    >>> one = np.array([0, 2]), np.array([7, 8], np.uint16)
    >>> joined([one, one], np.dtype(np.uint16))
    (array([0, 2, 4]), array([7, 8, 7, 8], dtype=uint16))
    """
    lengths: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    ids: list[NDArray[Any]] = [np.empty(0, dtype)]
    for offsets, found in batches:
        lengths.append(np.diff(offsets))
        ids.append(found.astype(dtype))
    return np.r_[0, np.cumsum(np.concatenate(lengths))], np.concatenate(ids)


def text_ids(ids: NDArray[Any], vocabulary_size: int, end_of_document: int) -> list[int]:
    """Check ids before decoding and leave the end-of-document tokens out.

    Raises:
        ValueError: an id is outside the vocabulary; the libraries would skip it, or end the process.
    """
    wide = np.asarray(ids)
    if wide.size and not np.issubdtype(wide.dtype, np.integer):
        raise ValueError(f"Token ids are integers, not {wide.dtype}.")
    outside = np.flatnonzero((wide < 0) | (wide >= vocabulary_size))
    if outside.size:
        first = int(outside[0])
        raise ValueError(
            f"Id {int(wide[first])} at position {first} is outside this tokenizer's vocabulary of {vocabulary_size:,} "
            "ids; these tokens were made by another tokenizer."
        )
    kept: list[int] = wide[wide != end_of_document].tolist()
    return kept
