"""Gopher's quality rules: is a document made of sentences?

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1, with the
thresholds, the order and the names of datatrove's ``GopherQualityFilter`` (without its prefix ``gopher_``). What a word
is can be chosen: ``words = "english"`` takes spaCy's, as datatrove does, and gives its decisions and reasons; ``words =
"unicode"``, the default, a rule over Unicode categories (:mod:`..text.words`) for all languages.

Where they differ, mostly tokens do: spaCy leaves "/usr/share" and "a=b" whole or cuts them otherwise, and symbols that
datatrove does not list (arrows, box drawing, emoji) are words to it. So documents full of paths and figures fail
``below_alpha_threshold`` by one rule and not by the other; ``bench/README.md`` gives the shares.

The thresholds are meant for running text in English. Scripts without spaces count each letter as a word, and so fail
``below_avg_threshold`` unless ``min_mean_word_length`` is lowered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column
from ..text.tokens import Rule, checked_rule, rule_identity
from .line_statistics import BULLETS, ELLIPSES, HASHES, LINES, TRAILING
from .text_statistics import (
    LETTERED,
    PASS,
    STOP_WORDS,
    TOKENS,
    WORD_CHARACTERS,
    WORDS,
    first_reason,
    line_counts,
    share,
    token_counts,
)

if TYPE_CHECKING:
    from ..family import JSON

__all__ = ["PASS", "Gopher"]


@dataclass(frozen=True)
class Gopher:
    """Score ``gopher``: the first of Gopher's quality rules that a document fails, and the figures behind the rules.

    Words below are tokens that hold a letter or digit; tokens are words and symbols. (By the rule ``english``, a word
    is a token with a character that datatrove does not list as punctuation.) Shares of a text without tokens or lines
    are 0.

    Attributes:
        words: ``unicode`` or ``english``: what a token is; see above. ``english`` needs spaCy.
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

    words: Rule = "unicode"
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
        checked_rule("gopher", self.words)
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
        return {**base_identity(self), **rule_identity(self.words)}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rules over the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        valid = text_column(documents).is_valid().to_numpy(zero_copy_only=False)
        lines = line_counts(documents)
        tokens = token_counts(documents, self.words, stop_words=self.stop_words)
        total, all_lines = tokens[:, TOKENS], lines[:, LINES]
        mean = share(tokens[:, WORD_CHARACTERS], tokens[:, WORDS])
        hashes, ellipses = share(lines[:, HASHES], total), share(lines[:, ELLIPSES], total)
        bullets, trailing = share(lines[:, BULLETS], all_lines), share(lines[:, TRAILING], all_lines)
        lettered, stops = share(tokens[:, LETTERED], total), tokens[:, STOP_WORDS]
        rules = {
            "short_doc": tokens[:, WORDS] < self.min_words,
            "long_doc": tokens[:, WORDS] > self.max_words,
            "below_avg_threshold": mean < self.min_mean_word_length,
            "above_avg_threshold": mean > self.max_mean_word_length,
            "too_many_hashes": hashes > self.max_symbol_ratio,
            "too_many_ellipsis": ellipses > self.max_symbol_ratio,
            "too_many_bullets": bullets > self.max_bullet_lines,
            "too_many_end_ellipsis": trailing > self.max_ellipsis_lines,
            "below_alpha_threshold": lettered < self.min_alpha_words,
            "enough_stop_words": stops < self.min_stop_words,
        }
        arrays = [
            tokens[:, WORDS].astype(np.int32),
            *(each.astype(np.float32) for each in (mean, hashes, ellipses, bullets, trailing, lettered)),
            stops.astype(np.int32),
        ]
        reason = first_reason(rules, valid)
        return pa.record_batch([reason, *(pa.array(each, mask=~valid) for each in arrays)], schema=self.columns)
