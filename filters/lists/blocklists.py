"""Word lists that a user brings: how much of a document is listed. No list comes with the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..kernels import inlined, kernel
from ..text import words
from ..text.buffers import decode, text_buffers, text_column
from ..text.words import DROPPED, SEPARATES, SPACE, TOKEN_WORD, next_token
from . import listings
from .listings import BASIS, PRIME, is_listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

LONGEST_PHRASE = 8
"""Words of the longest phrase of a list."""

_FOUND, _LISTED, _WORDS = range(3)


@dataclass(frozen=True)
class WordsList:
    """Score ``words_list``: how many of a document's words are in a user's lists.

    Words are cut as :mod:`..text.words` says, and compared without case and diacritics. Of phrases that overlap, the
    one that ends first counts; of those that end at one word, the longest.

    Attributes:
        files: Lists: text files with one word or phrase (up to eight words) a line.

    Output columns:
        found: int32; words and phrases found.
        per_thousand: float32; found ones for each thousand words; 0 without words.
        share: float32; the share of words that belong to found ones; 0 without words.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "words_list"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "per_thousand"

    files: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.files or not all(self.files):
            raise ValueError("words_list: files must name at least one list, and no name may be empty.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        floats = [pa.field("per_thousand", pa.float32()), pa.field("share", pa.float32())]
        return pa.schema([pa.field("found", pa.int32()), *floats])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, the lists' hashes (not their paths), the Unicode tables.

        Raises:
            FileNotFoundError: There is no such list.
            ValueError: A list is too large.
        """
        return {**base_identity(self), "files": listings.hashes_of(self.files), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Counts in the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such list.
            ValueError: There is no column ``text`` of strings; a list is not UTF-8, empty, too large, or has an entry
                without words or with more than eight.
        """
        column = text_column(documents)
        text = text_buffers(column)
        counts = np.zeros((len(column), 3), np.int64)
        tables = _phrases(*(listings.stamped(file) for file in self.files))
        _count(text.offsets, text.data, text.valid, words.flags(), words.folded(), *tables, counts)
        total = np.maximum(counts[:, _WORDS], 1)
        ratios = [1000 * counts[:, _FOUND] / total, counts[:, _LISTED] / total]
        arrays = [counts[:, _FOUND].astype(np.int32), *(each.astype(np.float32) for each in ratios)]
        return pa.record_batch([pa.array(each, mask=~text.valid) for each in arrays], schema=self.columns)


class _Phrases(NamedTuple):
    table: NDArray[np.uint64]
    """Hashes of phrases."""
    ends: NDArray[np.uint64]
    """Hashes of their last words: most words of a text are none, and need no further look."""
    longest: int


@cache
def _phrases(*files: tuple[str, int, int]) -> _Phrases:
    names = [file for file, _, _ in files for _ in listings.entries(file)]
    entries = [entry for file, _, _ in files for entry in listings.entries(file)]
    text = text_buffers(pa.array(entries, pa.string()))
    hashes, ends = np.zeros(len(entries), np.uint64), np.zeros(len(entries), np.uint64)
    lengths = np.zeros(len(entries), np.int64)
    _hash_phrases(text.offsets, text.data, words.flags(), words.folded(), hashes, ends, lengths)
    for row in np.flatnonzero((lengths == 0) | (lengths > LONGEST_PHRASE)).tolist():
        raise ValueError(
            f"{names[row]}: the entry {entries[row]!r} has {lengths[row]} words; one to {LONGEST_PHRASE} are possible."
        )
    return _Phrases(listings.hash_table(hashes), listings.hash_table(ends), int(lengths.max()))


@kernel
def _hash_word(data: Any, index: int, stop: int, fold: Any) -> Any:
    value = BASIS
    while index < stop:
        point, index = decode(data, index, stop)
        letter = fold[point]
        if letter != DROPPED:
            value = (value ^ np.uint64(letter if letter != SEPARATES else point)) * PRIME
    return value


@inlined
def _mix(phrase: Any, word: Any) -> Any:
    value = (phrase ^ word) * PRIME
    return value ^ (value >> np.uint64(29))


@kernel
def _hash_phrases(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, flags: Any, fold: Any, hashes: Any, ends: Any, lengths: Any
) -> None:
    for row in range(len(hashes)):
        index, stop = offsets[row], offsets[row + 1]
        phrase = BASIS
        while index < stop:
            point, after = decode(data, index, stop)
            if flags[point] & SPACE:
                index = after
                continue
            end, kind, _, _ = next_token(data, index, stop, flags)
            if kind == TOKEN_WORD:
                ends[row] = _hash_word(data, index, end, fold)
                phrase = _mix(phrase, ends[row])
                lengths[row] += 1
            index = end
        hashes[row] = phrase


@kernel
def _count(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    flags: Any,
    fold: Any,
    table: Any,
    ends: Any,
    longest: int,
    counts: Any,
) -> None:
    recent = np.zeros(LONGEST_PHRASE, np.uint64)  # hashes of the last words, word n at n modulo the length
    for row in range(len(valid)):
        if not valid[row]:
            continue
        index, stop = offsets[row], offsets[row + 1]
        number = free = 0  # of this word; of the first word that no counted phrase holds
        while index < stop:
            point, after = decode(data, index, stop)
            if flags[point] & SPACE:
                index = after
                continue
            end, kind, _, _ = next_token(data, index, stop, flags)
            if kind == TOKEN_WORD:
                word = _hash_word(data, index, end, fold)
                recent[number % LONGEST_PHRASE] = word
                number += 1
                if is_listed(ends, word):
                    for length in range(min(longest, number - free), 0, -1):
                        phrase = BASIS
                        for place in range(number - length, number):
                            phrase = _mix(phrase, recent[place % LONGEST_PHRASE])
                        if is_listed(table, phrase):
                            counts[row, _FOUND] += 1
                            counts[row, _LISTED] += length
                            free = number
                            break
            index = end
        counts[row, _WORDS] = number
