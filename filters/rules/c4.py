"""C4's rules: which lines would stay, and is enough left of the document?

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", section 2.2,
with the thresholds, the order and the names of datatrove's ``C4QualityFilter``: lines without terminal punctuation,
with few words, with a word of more than 1,000 characters, with "javascript" or a phrase about cookies and terms of use
are removed; a document with "lorem ipsum" or a curly bracket in one of the other lines is dropped, and so is one with
fewer than five sentences left. With ``words = "english"`` sentences are those of spaCy's sentencizer, and decisions and
reasons are datatrove's. mC4's own rule (Xue et al. 2021, three lines of at least 200 characters) is the column
``long_lines``.

A score changes no text: what would be removed is counted. The lists of bad words are not part of this score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text import words as characters
from ..text.buffers import Text, text_buffers, text_column
from ..text.punctuation import classes
from ..text.tokens import Rule, checked_rule, rule_identity
from .c4_lines import (
    CURLY_BRACKET,
    JAVASCRIPT,
    KEPT_CHARACTERS,
    LINE_KINDS,
    LOREM_IPSUM,
    NO_TERMINAL_PUNC,
    POLICY,
    count_sentences,
    judge_lines,
)
from .line_statistics import CHARACTERS, LINES, LONG_PIECES
from .text_statistics import first_reason, line_counts, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

_COUNTED = (
    "kept_lines",
    "too_long_word_lines",
    "no_terminal_punc_lines",
    "too_few_words_lines",
    "lorem_ipsum_lines",
    "javascript_lines",
    "curly_bracket_lines",
    "policy_lines",
)


@dataclass(frozen=True)
class C4:
    r"""Score ``c4``: the first of C4's rules that a document fails, and what would be removed of it.

    Lines are those of ``str.splitlines``, without white space around them. A line counts where the first of these
    holds: a word is too long; no terminal punctuation (``.``, ``?``, ``!``, a straight quote; not ``...``); too few
    words; "lorem ipsum"; "javascript"; a curly bracket; a phrase about terms or cookies. Words of lines are what stands
    between white space.

    Attributes:
        words: ``unicode`` or ``english``: what a token is that sentences are counted by; ``english`` needs spaCy.
        min_sentences: Fewer in the lines that stay fail as ``too_few_sentences``.
        min_words_per_line: Shorter lines are removed.
        max_word_length: Lines with longer words, in characters, are removed.
        remove_citations: Leave out ``[1]``, ``[edit]`` and ``[citation needed]`` before looking at a line.
        terminal_punctuation: Remove lines that end without it.
        lorem_ipsum: Drop documents with "lorem ipsum".
        javascript: Remove lines with "javascript".
        curly_bracket: Drop documents with ``{``.
        policy: Remove lines about terms of use, privacy and cookies.

    Output columns:
        reason: string; ``pass``, ``lorem_ipsum``, ``curly_bracket`` (whichever line comes first) or
            ``too_few_sentences``.
        sentences: int32; in the lines that would stay.
        kept_share: float32; of the text's characters, those in lines that would stay; 0 for an empty text.
        lines: int32; all.
        kept_lines, too_long_word_lines, no_terminal_punc_lines, too_few_words_lines, lorem_ipsum_lines,
            javascript_lines, curly_bracket_lines, policy_lines: int32; they sum to ``lines``.
        long_lines: int32; of 200 characters or more, between newlines.

    >>> batch = pa.record_batch(
    ...     {"text": ["One line ends.\nHome\nPlease enable Javascript here.", "f() { return 1; }."]}
    ... )
    >>> C4(min_sentences=1).score(batch).select(["reason", "kept_lines", "javascript_lines"]).to_pylist()[0]
    {'reason': 'pass', 'kept_lines': 1, 'javascript_lines': 1}
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "c4"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "sentences"

    words: Rule = "unicode"
    min_sentences: int = 5
    min_words_per_line: int = 3
    max_word_length: int = 1000
    remove_citations: bool = True
    terminal_punctuation: bool = True
    lorem_ipsum: bool = True
    javascript: bool = True
    curly_bracket: bool = True
    policy: bool = True

    def __post_init__(self) -> None:
        checked_rule("c4", self.words)
        for name, least in (("min_sentences", 0), ("min_words_per_line", 0), ("max_word_length", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"c4: {name} must be at least {least}; it is {getattr(self, name)}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        fields: list[pa.Field[Any]] = [
            pa.field("reason", pa.string()),
            pa.field("sentences", pa.int32()),
            pa.field("kept_share", pa.float32()),
        ]
        return pa.schema([*fields, *(pa.field(name, pa.int32()) for name in ("lines", *_COUNTED, "long_lines"))])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and what cuts words."""
        return {**base_identity(self), **rule_identity(self.words)}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rules over the column ``text``; see the class.

        Raises:
            ModuleNotFoundError: ``words`` is ``english``, and spaCy is not installed.
            ValueError: There is no column ``text`` of strings.
        """
        text = text_buffers(text_column(documents))
        lines = line_counts(documents)
        counts, kept, rows = self._judged(text, int(lines[:, LINES].sum()))
        sentences = np.zeros(len(text.valid), np.int64)
        np.add.at(sentences, rows, count_sentences(kept, self.words))
        first = counts[:, LINE_KINDS + 1]  # the kind of the first line that drops the document
        rules = {
            "lorem_ipsum": first == LOREM_IPSUM,
            "curly_bracket": first == CURLY_BRACKET,
            "too_few_sentences": sentences < self.min_sentences,
        }
        integers = [lines[:, LINES], *(counts[:, kind] for kind in range(LINE_KINDS)), lines[:, LONG_PIECES]]
        arrays = [
            sentences.astype(np.int32),
            share(counts[:, KEPT_CHARACTERS], lines[:, CHARACTERS]).astype(np.float32),
            *(each.astype(np.int32) for each in integers),
        ]
        columns = [first_reason(rules, text.valid), *(pa.array(each, mask=~text.valid) for each in arrays)]
        return pa.record_batch(columns, schema=self.columns)

    def _judged(self, text: Text, lines: int) -> tuple[NDArray[np.int64], Text, NDArray[np.int64]]:
        """Counts of each document, the lines that would stay without their citations, and the row that each is of."""
        counts = np.zeros((len(text.valid), LINE_KINDS + 2), np.int64)
        offsets, rows = np.zeros(lines + 1, np.int64), np.zeros(lines, np.int64)
        size = int(text.offsets[-1] - text.offsets[0])
        data = np.empty(size + 16, np.uint8)
        asked = np.ones(LINE_KINDS, np.bool_)
        asked[[NO_TERMINAL_PUNC, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY]] = (
            self.terminal_punctuation,
            self.lorem_ipsum,
            self.javascript,
            self.curly_bracket,
            self.policy,
        )
        kept = judge_lines(
            text.offsets, text.data, text.valid, characters.flags(), classes(), asked, self.remove_citations,
            self.min_words_per_line, self.max_word_length, counts, offsets, data, rows,
        )  # fmt: skip
        return counts, Text(offsets[: kept + 1], data[: offsets[kept]], np.ones(kept, np.bool_)), rows[:kept]
