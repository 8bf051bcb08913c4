"""FineWeb's quality rules: is a document made of lines that end, and are not all short or repeated?

Penedo et al. 2024, "The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale", section 3.6, with the
thresholds, the order and the names of datatrove's ``FineWebQualityFilter``. With ``words = "english"`` decisions and
reasons are datatrove's; only the rule ``list_ratio`` reads words at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column
from ..text.tokens import Rule, checked_rule, rule_identity
from .line_statistics import (
    CHARACTERS,
    DUPLICATE_LINE_CHARACTERS,
    FULL_LINES,
    NEWLINES,
    SHORT_LINES,
    TERMINAL_LINES,
)
from .text_statistics import TOKENS, first_reason, line_counts, share, token_counts

if TYPE_CHECKING:
    from ..family import JSON


@dataclass(frozen=True)
class FineWeb:
    r"""Score ``fineweb``: the first of FineWeb's quality rules that a document fails, and the figures behind them.

    Lines are what stands between newlines, blank ones left out. Shares of a text without lines are 0.

    Attributes:
        words: ``unicode`` or ``english``: what a token is; ``english`` needs spaCy.
        min_line_punct_ratio: A smaller share of lines that end in terminal punctuation, of any script, fails as
            ``line_punct_ratio``.
        max_short_line_ratio: A larger share of short lines fails as ``short_line_ratio``.
        short_line_length: Characters that a short line has at most.
        max_char_dup_ratio: A larger share of characters in lines that occurred before fails as ``char_dup_ratio``.
        max_list_ratio: More newlines per token fail as ``list_ratio``.

    Output columns:
        reason: string; ``pass``, or the first rule that failed: ``empty`` (no line that is not blank), or one above.
        lines: int32; that are not blank.
        line_punct_ratio, short_line_ratio, char_dup_ratio, list_ratio: float32.

    >>> batch = pa.record_batch({"text": ["A line that says something, and ends.", "Home\nProducts\nContact"]})
    >>> FineWeb().score(batch)["reason"].to_pylist()
    ['pass', 'line_punct_ratio']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "fineweb"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "line_punct_ratio"

    words: Rule = "unicode"
    min_line_punct_ratio: float = 0.12
    max_short_line_ratio: float = 0.67
    short_line_length: int = 30
    max_char_dup_ratio: float = 0.01
    max_list_ratio: float = 0.3

    def __post_init__(self) -> None:
        checked_rule("fineweb", self.words)
        for name in ("min_line_punct_ratio", "max_short_line_ratio", "max_char_dup_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"fineweb: {name} is a share from 0 to 1; it is {getattr(self, name)}.")
        if not self.max_list_ratio >= 0:
            raise ValueError(f"fineweb: max_list_ratio is newlines per token, at least 0; it is {self.max_list_ratio}.")
        if self.short_line_length < 0:
            raise ValueError(f"fineweb: short_line_length must be at least 0; it is {self.short_line_length}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        ratios = ("line_punct_ratio", "short_line_ratio", "char_dup_ratio", "list_ratio")
        fields: list[pa.Field[Any]] = [pa.field("reason", pa.string()), pa.field("lines", pa.int32())]
        return pa.schema([*fields, *(pa.field(name, pa.float32()) for name in ratios)])

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
        counts = line_counts(documents, self.short_line_length)
        tokens = token_counts(documents, self.words)[:, TOKENS]
        lines, newlines = counts[:, FULL_LINES], counts[:, NEWLINES]
        ended, short = share(counts[:, TERMINAL_LINES], lines), share(counts[:, SHORT_LINES], lines)
        duplicate = share(counts[:, DUPLICATE_LINE_CHARACTERS], counts[:, CHARACTERS] - newlines)
        listed = share(newlines * (lines > 0), tokens)
        rules = {
            "empty": lines == 0,
            "line_punct_ratio": ended < self.min_line_punct_ratio,
            "short_line_ratio": short > self.max_short_line_ratio,
            "char_dup_ratio": duplicate > self.max_char_dup_ratio,
            "list_ratio": listed > self.max_list_ratio,
        }
        arrays = [lines.astype(np.int32), *(each.astype(np.float32) for each in (ended, short, duplicate, listed))]
        columns = [first_reason(rules, valid), *(pa.array(each, mask=~valid) for each in arrays)]
        return pa.record_batch(columns, schema=self.columns)
