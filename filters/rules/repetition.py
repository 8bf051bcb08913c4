"""Gopher's repetition rules: how much of a document repeats itself?

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1 and table
A1, with the thresholds, the order and the names of datatrove's ``GopherRepetitionFilter``, and with its way of counting
(:mod:`.ngrams`). With ``words = "english"`` decisions and reasons are datatrove's; see :mod:`.gopher` for the other
rule.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column
from ..text.tokens import Rule, checked_rule, rule_identity
from .line_statistics import (
    CHARACTERS,
    DUPLICATE_PARAGRAPH_CHARACTERS,
    DUPLICATE_PARAGRAPHS,
    DUPLICATE_PIECE_CHARACTERS,
    DUPLICATE_PIECES,
    PARAGRAPHS,
    PIECES,
)
from .text_statistics import DUPLICATED, TOP, first_reason, line_counts, share, token_counts

if TYPE_CHECKING:
    from ..family import JSON


@dataclass(frozen=True)
class Repetition:
    r"""Score ``repetition``: the first of Gopher's repetition rules that a document fails, and the figures behind them.

    Paragraphs are what stands between two or more newlines, lines between one or more. All figures are shares: of
    paragraphs, of lines, or of the text's characters. An empty text fails as ``empty``; its figures are 0. The share of
    a top n-gram is its length, with spaces between words, times how often it occurs; where it overlaps itself, the
    share can exceed 1.

    Attributes:
        words: ``unicode`` or ``english``: what a token of an n-gram is; ``english`` needs spaCy.
        max_dup_para_frac: More paragraphs that occurred before fail as ``dup_para_frac``, and so on for each column.
        max_dup_para_char_frac: The characters of these.
        max_dup_line_frac: Lines that occurred before.
        max_dup_line_char_frac: The characters of these.
        max_top_2_gram: The commonest pair of tokens.
        max_top_3_gram: The commonest three.
        max_top_4_gram: The commonest four.
        max_duplicated_5_n_grams: Runs of five tokens that occurred before.
        max_duplicated_6_n_grams: Of six.
        max_duplicated_7_n_grams: Of seven.
        max_duplicated_8_n_grams: Of eight.
        max_duplicated_9_n_grams: Of nine.
        max_duplicated_10_n_grams: Of ten.

    Output columns:
        reason: string; ``pass``, or the first rule that failed: ``empty``, or the name of a column below.
        dup_para_frac, dup_para_char_frac, dup_line_frac, dup_line_char_frac: float32.
        top_2_gram, top_3_gram, top_4_gram: float32.
        duplicated_5_n_grams … duplicated_10_n_grams: float32.

    >>> batch = pa.record_batch({"text": ["Once is enough.", "Twice is too much.\nTwice is too much."]})
    >>> Repetition().score(batch)["dup_line_frac"].to_pylist()
    [0.0, 0.5]
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "repetition"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "duplicated_5_n_grams"

    words: Rule = "unicode"
    max_dup_para_frac: float = 0.3
    max_dup_para_char_frac: float = 0.2
    max_dup_line_frac: float = 0.3
    max_dup_line_char_frac: float = 0.2
    max_top_2_gram: float = 0.2
    max_top_3_gram: float = 0.18
    max_top_4_gram: float = 0.16
    max_duplicated_5_n_grams: float = 0.15
    max_duplicated_6_n_grams: float = 0.14
    max_duplicated_7_n_grams: float = 0.13
    max_duplicated_8_n_grams: float = 0.12
    max_duplicated_9_n_grams: float = 0.11
    max_duplicated_10_n_grams: float = 0.1

    def __post_init__(self) -> None:
        checked_rule("repetition", self.words)
        for rule in self._rules():
            if not getattr(self, f"max_{rule}") >= 0:
                raise ValueError(
                    f"repetition: max_{rule} is a share of the text, at least 0; it is {getattr(self, f'max_{rule}')}. "
                    "A share that no document exceeds, such as 1000, turns a rule off."
                )

    @staticmethod
    def _rules() -> list[str]:
        """The names of the rules, in the order in which they are tried."""
        return [field.name.removeprefix("max_") for field in fields(Repetition) if field.name.startswith("max_")]

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("reason", pa.string()), *(pa.field(name, pa.float32()) for name in self._rules())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and what cuts words."""
        return {**base_identity(self), **rule_identity(self.words)}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rules over the column ``text``; see the class.

        Raises:
            ModuleNotFoundError: ``words`` is ``english``, and spaCy is not installed.
            ValueError: There is no column ``text`` of strings.
        """
        valid = text_column(documents).is_valid().to_numpy(zero_copy_only=False)
        lines = line_counts(documents)
        tokens = token_counts(documents, self.words, ngrams=True)
        whole = lines[:, CHARACTERS]
        shares = [
            share(lines[:, DUPLICATE_PARAGRAPHS], lines[:, PARAGRAPHS]),
            share(lines[:, DUPLICATE_PARAGRAPH_CHARACTERS], whole),
            share(lines[:, DUPLICATE_PIECES], lines[:, PIECES]),
            share(lines[:, DUPLICATE_PIECE_CHARACTERS], whole),
            *(share(tokens[:, TOP + n], whole) for n in range(3)),
            *(share(tokens[:, DUPLICATED + n], whole) for n in range(6)),
        ]
        names = self._rules()
        rules = {"empty": whole == 0}
        rules |= {name: each > getattr(self, f"max_{name}") for name, each in zip(names, shares, strict=True)}
        arrays = [pa.array(each.astype(np.float32), mask=~valid) for each in shares]
        return pa.record_batch([first_reason(rules, valid), *arrays], schema=self.columns)
