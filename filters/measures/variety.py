"""How varied a document's words are: how soon it repeats words, and how evenly it uses words and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..hashing import xxh64
from ..kernels import kernel
from ..text import words
from ..text.buffers import decode, text_buffers, text_column
from ..text.words import SPACE, TOKEN_WORD, next_token

if TYPE_CHECKING:
    from ..family import JSON

_WORDS, _TYPES, _TYPE_TOKEN, _ENTROPY, _BIGRAM_ENTROPY = range(5)


@dataclass(frozen=True)
class Variety:
    """Score ``variety``: type–token ratio and entropies of a document's words.

    Words are cut as :mod:`..text.words` says. The share of different words falls with the length of a text, so it is
    the mean over segments of equal length (Johnson 1944, "Studies in Language Behavior"), by which texts of any length
    compare.

    Attributes:
        segment: Words in a segment; a rest shorter than that is left out, unless it is the whole text.

    Output columns:
        words: int32; all words.
        types: int32; different words, as they are written.
        type_token: float32; different words out of all in a segment, 1 where none comes twice; 0 without words.
        entropy: float32; of the distribution of words, in bits (Shannon 1948).
        bigram_entropy: float32; of the distribution of pairs of words that follow one another.

    >>> Variety().score(pa.record_batch({"text": ["a rose is a rose"]})).to_pylist()[0]["type_token"]
    0.6000000238418579
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "variety"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "type_token"

    segment: int = 100

    def __post_init__(self) -> None:
        if self.segment < 1:
            raise ValueError(f"variety: segment must be at least one word; it is {self.segment}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        floats = [pa.field(name, pa.float32()) for name in ("type_token", "entropy", "bigram_entropy")]
        return pa.schema([pa.field("words", pa.int32()), pa.field("types", pa.int32()), *floats])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, parameters and the Unicode tables."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Figures of the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        found = np.zeros((len(column), 5), np.float64)
        _measure(text.offsets, text.data, text.valid, words.flags(), self.segment, found)
        kinds = (np.int32, np.int32, np.float32, np.float32, np.float32)
        arrays = [pa.array(found[:, n].astype(kind), mask=~text.valid) for n, kind in enumerate(kinds)]
        return pa.record_batch(arrays, schema=self.columns)


@kernel
def _measure(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, flags: Any, segment: int, found: Any
) -> None:
    longest = 0
    for row in range(len(valid)):
        if valid[row]:
            longest = max(longest, offsets[row + 1] - offsets[row])
    hashes = np.empty(longest // 2 + 2, np.uint64)  # a word takes two bytes, with what stands after it
    for row in range(len(valid)):
        if not valid[row]:
            continue
        index, stop = offsets[row], offsets[row + 1]
        used = 0
        while index < stop:
            point, after = decode(data, index, stop)
            if flags[point] & SPACE:
                index = after
                continue
            end, kind, _, _ = next_token(data, index, stop, flags)
            if kind == TOKEN_WORD:
                hashes[used] = xxh64(data, index, end, np.uint64(0))
                used += 1
            index = end
        found[row, _WORDS] = used
        if not used:
            continue
        found[row, _TYPES], found[row, _ENTROPY] = _distribution(hashes, used)
        size = min(segment, used)
        total, segments = 0, 0
        for start in range(0, used - size + 1, size):
            types, _ = _distribution(hashes[start:], size)
            total += types
            segments += 1
        found[row, _TYPE_TOKEN] = total / (segments * size)
        for place in range(used - 1):
            hashes[place] = (hashes[place] * np.uint64(0x9E3779B97F4A7C15)) ^ hashes[place + 1]
        _, found[row, _BIGRAM_ENTROPY] = _distribution(hashes, used - 1)


@kernel
def _distribution(hashes: Any, used: Any) -> tuple[int, float]:
    """Different values among the first, and the entropy of their distribution in bits."""
    places = 16
    while places < 2 * used:
        places *= 2
    mask = np.uint64(places - 1)
    values, counts = np.empty(places, np.uint64), np.zeros(places, np.int64)
    types = 0
    for n in range(used):
        slot = hashes[n] & mask
        while counts[slot] and values[slot] != hashes[n]:
            slot = (slot + np.uint64(1)) & mask
        types += counts[slot] == 0
        values[slot] = hashes[n]
        counts[slot] += 1
    total = 0.0
    for slot in range(places):
        if counts[slot] > 1:
            total += counts[slot] * np.log2(counts[slot])
    return types, np.log2(used) - total / used if used else 0.0
