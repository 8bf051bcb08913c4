"""How long a document is, by every measure that a study may want to sort or cut by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..kernels import kernel
from ..text import words
from ..text.buffers import decode, text_buffers, text_column
from ..text.words import ALPHANUMERIC, BREAK, SPACE, TOKEN_WORD, next_token

if TYPE_CHECKING:
    from ..family import JSON

_CHARACTERS, _BYTES, _WORDS, _LINES, _LINE_CHARACTERS, _LONGEST, _ALPHANUMERIC = range(7)


@dataclass(frozen=True)
class Lengths:
    r"""Score ``lengths``: sizes of the text. No parameters.

    Output columns:
        characters, bytes, words, lines: int64; code points, UTF-8 bytes, words as :mod:`..text.words` says, lines as
            ``str.splitlines`` cuts them.
        mean_line_length, max_line_length: float32 and int64; characters, without what ends the line; 0 without lines.
        alphanumeric: float32; the share of characters for which ``str.isalnum`` holds; 0 for an empty text.

    >>> Lengths().score(pa.record_batch({"text": ["Two lines,\nfive words here."]})).to_pylist()[0]["words"]
    5
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "lengths"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "characters"

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema(
            [
                pa.field("characters", pa.int64()),
                pa.field("bytes", pa.int64()),
                pa.field("words", pa.int64()),
                pa.field("lines", pa.int64()),
                pa.field("mean_line_length", pa.float32()),
                pa.field("max_line_length", pa.int64()),
                pa.field("alphanumeric", pa.float32()),
            ]
        )

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: the version, and the Unicode tables behind words."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Sizes of the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        counts = np.zeros((len(column), 7), np.int64)
        _count(text.offsets, text.data, text.valid, words.flags(), counts)
        mean = counts[:, _LINE_CHARACTERS] / np.maximum(counts[:, _LINES], 1)
        share = counts[:, _ALPHANUMERIC] / np.maximum(counts[:, _CHARACTERS], 1)
        arrays = [
            counts[:, _CHARACTERS],
            counts[:, _BYTES],
            counts[:, _WORDS],
            counts[:, _LINES],
            mean.astype(np.float32),
            counts[:, _LONGEST],
            share.astype(np.float32),
        ]
        return pa.record_batch([pa.array(each, mask=~text.valid) for each in arrays], schema=self.columns)


@kernel
def _count(offsets: Any, data: Any, valid: Any, flags: Any, counts: Any) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = offsets[row], offsets[row + 1]
        counts[row, _BYTES] = stop - start
        index = start
        while index < stop:
            point, after = decode(data, index, stop)
            if flags[point] & SPACE:
                index = after
                continue
            index, kind, _, _ = next_token(data, index, stop, flags)
            if kind == TOKEN_WORD:
                counts[row, _WORDS] += 1
        index = start
        while index < stop:
            length = 0
            broken = 0
            while index < stop and not broken:
                point, index = decode(data, index, stop)
                flag = flags[point]
                if flag & BREAK:
                    broken = 1
                    if point == 0x0D and index < stop and data[index] == 0x0A:
                        index += 1
                        broken = 2
                    break
                length += 1
                if flag & ALPHANUMERIC:
                    counts[row, _ALPHANUMERIC] += 1
            counts[row, _LINES] += 1
            counts[row, _CHARACTERS] += length + broken
            counts[row, _LINE_CHARACTERS] += length
            counts[row, _LONGEST] = max(counts[row, _LONGEST], length)
