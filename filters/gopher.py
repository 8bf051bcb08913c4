"""Gopher's quality rules: is a document made of sentences?

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1, with the
thresholds, the order and the names of datatrove's ``GopherQualityFilter``. The one difference is what a word is: a rule
over Unicode categories (:mod:`.words`) here, a language's spaCy tokenizer there. spaCy cuts "don't" and "it's"
otherwise, so a document that lies at a threshold can fall on its other side.

The thresholds are meant for running text in English. Scripts without spaces count each letter as a word, and so fail
``below_avg_threshold`` unless ``min_mean_word_length`` is lowered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from . import words
from .family import base_identity
from .kernels import TOKEN_WORD, decode, kernel, next_token, text_buffers, text_column
from .words import BREAK, SPACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import JSON

PASS = "pass"  # noqa: S105 (a verdict, not a password)

_TOKENS, _WORDS, _CHARACTERS, _ALPHA, _STOP = range(5)
_HASHES, _ELLIPSES, _LINES, _BULLETS, _TRAILING = range(5, 10)
_COUNTS = 10


@dataclass(frozen=True)
class Gopher:
    """Score ``gopher``: the first of Gopher's quality rules that a document fails, and the figures behind the rules.

    Words below are tokens that hold a letter or digit; tokens are words and symbols. Shares of a text without tokens or
    lines are 0.

    Attributes:
        min_words: Fewer words fail as ``short_doc``.
        max_words: More words fail as ``long_doc``.
        min_mean_word_length: Shorter words on average, in characters, fail as ``below_avg_threshold``.
        max_mean_word_length: Longer words on average fail as ``above_avg_threshold``.
        max_symbol_ratio: More ``#`` per token fail as ``too_many_hashes``, more ``...`` or one-character ellipses as
            ``too_many_ellipsis``.
        max_bullet_lines: A larger share of lines that begin with a bullet or a hyphen fails as ``too_many_bullets``.
        max_ellipsis_lines: A larger share of lines that end in an ellipsis fails as ``too_many_end_ellipsis``.
        min_alpha_words: A smaller share of tokens with a letter fails as ``below_alpha_threshold``.
        min_stop_words: Fewer different stop words fail as ``enough_stop_words``.
        stop_words: Up to 64 words, compared with their case, as in datatrove.

    Output columns:
        reason: string; ``pass``, or the first rule above that failed.
        words: int32.
        mean_word_length: float32; characters.
        hash_ratio, ellipsis_ratio: float32; per token.
        bullet_lines, ellipsis_lines, alpha_words: float32; shares.
        stop_words: int32; how many different ones occur.

    >>> batch = pa.record_batch({"text": ["Too short.", "The hopes of the many and the fears of the few."]})
    >>> Gopher(min_words=3).score(batch)["reason"].to_pylist()
    ['short_doc', 'pass']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "gopher"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "words"

    min_words: int = 50
    max_words: int = 100_000
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    max_symbol_ratio: float = 0.1
    max_bullet_lines: float = 0.9
    max_ellipsis_lines: float = 0.3
    min_alpha_words: float = 0.8
    min_stop_words: int = 2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")

    def __post_init__(self) -> None:
        for name in ("words", "mean_word_length"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if not 0 <= least <= most:
                raise ValueError(f"gopher: 0 <= min_{name} <= max_{name} must hold; they are {least} and {most}.")
        for name in ("max_bullet_lines", "max_ellipsis_lines", "min_alpha_words"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"gopher: {name} is a share from 0 to 1; it is {getattr(self, name)}.")
        if not self.max_symbol_ratio >= 0:
            raise ValueError(f"gopher: max_symbol_ratio must be at least 0; it is {self.max_symbol_ratio}.")
        if len(self.stop_words) > 64 or not all(self.stop_words):
            raise ValueError(
                f"gopher: stop_words must be up to 64 words, none empty; there are {len(self.stop_words)}."
            )
        if not 0 <= self.min_stop_words <= len(set(self.stop_words)):
            raise ValueError(
                f"gopher: min_stop_words is {self.min_stop_words}, "
                f"but there are {len(set(self.stop_words))} stop words."
            )

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        ratios = ("mean_word_length", "hash_ratio", "ellipsis_ratio", "bullet_lines", "ellipsis_lines", "alpha_words")
        fields: list[pa.Field[Any]] = [pa.field("reason", pa.string()), pa.field("words", pa.int32())]
        fields += [pa.field(name, pa.float32()) for name in ratios]
        return pa.schema([*fields, pa.field("stop_words", pa.int32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the Unicode tables behind words."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rules over the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        stop = text_buffers(pa.array(sorted(set(self.stop_words)), pa.string()))
        counts = np.zeros((len(column), _COUNTS), np.int64)
        _count(text.offsets, text.data, text.valid, words.flags(), stop.offsets, stop.data, counts)
        tokens, lines = counts[:, _TOKENS], counts[:, _LINES]
        mean = _ratio(counts[:, _CHARACTERS], counts[:, _WORDS])
        hashes, ellipses = _ratio(counts[:, _HASHES], tokens), _ratio(counts[:, _ELLIPSES], tokens)
        bullets, trailing = _ratio(counts[:, _BULLETS], lines), _ratio(counts[:, _TRAILING], lines)
        alpha, stops = _ratio(counts[:, _ALPHA], tokens), counts[:, _STOP]
        rules = {
            "short_doc": counts[:, _WORDS] < self.min_words,
            "long_doc": counts[:, _WORDS] > self.max_words,
            "below_avg_threshold": mean < self.min_mean_word_length,
            "above_avg_threshold": mean > self.max_mean_word_length,
            "too_many_hashes": hashes > self.max_symbol_ratio,
            "too_many_ellipsis": ellipses > self.max_symbol_ratio,
            "too_many_bullets": bullets > self.max_bullet_lines,
            "too_many_end_ellipsis": trailing > self.max_ellipsis_lines,
            "below_alpha_threshold": alpha < self.min_alpha_words,
            "enough_stop_words": stops < self.min_stop_words,
        }
        failed = np.select(list(rules.values()), list(range(len(rules))), len(rules)).astype(np.int32)
        reason = pa.array([*rules, PASS]).take(pa.array(failed, mask=~text.valid))
        floats = [mean, hashes, ellipses, bullets, trailing, alpha]
        arrays = [
            counts[:, _WORDS].astype(np.int32),
            *(each.astype(np.float32) for each in floats),
            stops.astype(np.int32),
        ]
        return pa.record_batch([reason, *(pa.array(each, mask=~text.valid) for each in arrays)], schema=self.columns)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@kernel
def _count(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, flags: Any, stop_offsets: Any, stop_data: Any, counts: Any
) -> None:
    """Two passes over each text: its tokens, then its lines."""
    for row in range(len(valid)):
        if valid[row]:
            _count_tokens(data, offsets[row], offsets[row + 1], flags, stop_offsets, stop_data, counts[row])
            _count_lines(data, offsets[row], offsets[row + 1], flags, counts[row])


@kernel
def _count_tokens(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: Any, stop: Any, flags: Any, stop_offsets: Any, stop_data: Any, counts: Any
) -> None:
    seen = np.uint64(0)
    index = start
    while index < stop:
        point, after = decode(data, index, stop)
        if flags[point] & SPACE:
            index = after
            continue
        end, kind, characters, alpha = next_token(data, index, stop, flags)
        counts[_TOKENS] += 1
        counts[_ALPHA] += alpha
        if kind == TOKEN_WORD:
            counts[_WORDS] += 1
            counts[_CHARACTERS] += characters
            for word in range(len(stop_offsets) - 1):
                first = stop_offsets[word]
                if end - index == stop_offsets[word + 1] - first:
                    same = 0
                    while same < end - index and data[index + same] == stop_data[first + same]:
                        same += 1
                    if same == end - index:
                        seen |= np.uint64(1) << np.uint64(word)
        index = end
    while seen:
        counts[_STOP] += 1
        seen &= seen - np.uint64(1)


@kernel
def _count_lines(data: Any, start: Any, stop: Any, flags: Any, counts: Any) -> None:
    """Lines as ``str.splitlines`` cuts them; an ellipsis is ``...`` (not overlapping) or the one character."""
    index = start
    while index < stop:
        empty = True  # no character but white space so far
        run = 0  # full stops up to here, for "..."; begins anew after each three
        tail = 0  # full stops at the end of what is not white space; 3 or more, or the character itself, is an ellipsis
        adjacent = False  # the character before was a full stop
        point = np.int64(0)
        while index < stop:
            point, index = decode(data, index, stop)
            flag = flags[point]
            if flag & BREAK:
                break
            dot = point == 0x2E
            run = run + 1 if dot else 0
            if run == 3:
                counts[_ELLIPSES] += 1
                run = 0
            if point == 0x23:
                counts[_HASHES] += 1
            if point == 0x2026:
                counts[_ELLIPSES] += 1
            if not flag & SPACE:
                if empty and (point == 0x2022 or point == 0x2D):  # noqa: PLR1714 (numba)
                    counts[_BULLETS] += 1
                empty = False
                tail = tail * adjacent + 1 if dot else 3 * (point == 0x2026)
            adjacent = dot
        if point == 0x0D and index < stop and data[index] == 0x0A:
            index += 1
        counts[_LINES] += 1
        if tail >= 3:
            counts[_TRAILING] += 1
