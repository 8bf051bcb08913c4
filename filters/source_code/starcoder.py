"""The rules of StarCoder for source code: is a file written by people, and code rather than data?

Lozhkov et al. 2024, "StarCoder 2 and The Stack v2: The Next Generation" (line lengths, letters, encoded data, long data
files, visible text of HTML), with two rules of its predecessors: the XML declaration of Li et al. 2023, "StarCoder: may
the source be with you!", and the share of comments of Ben Allal et al. 2023, "SantaCoder: don't reach for the stars!",
both in ``preprocessing/filtering.py`` of bigcode-project/bigcode-dataset. The thresholds are the published ones.

Where it differs: StarCoder 2 keeps plain text only under a few file names, which is a matter for a recipe here, and
counts digits as letters in Motorola 68K assembly alone, which :mod:`tokenladder` does not tell from other assembly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..family import base_identity
from ..kernels import kernel
from ..text import words
from ..text.buffers import decode, optional_column, text_buffers, text_column
from ..text.words import ALPHA, ALPHANUMERIC, BREAK
from .comments import comment_characters
from .encoded import BASE64, BASE64_RUN, CLASSES, HEX, escapes, hexadecimal, is_word
from .markup import visible_characters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..family import JSON

PASS = "pass"  # noqa: S105 (a verdict, not a password)

WIDE = ("HTML", "JSON", "Jupyter Notebook", "Markdown", "SVG", "TeX", "Text", "XML", "reStructuredText")
"""Languages with long lines by nature: those of the paper's list that ``file_type`` knows, and their like."""
DATA = ("CSV", "JSON", "Text", "YAML")
MARKUP = ("HTML", "SVG", "Svelte", "Vue", "XML")
XML = ("SVG", "XML")
TERSE = ("Assembly", "WebAssembly")
"""Languages of few letters, whose digits count too."""

_DECLARATION = "<?xml version="
_DECLARED_WITHIN = 100  # characters

_CHARACTERS, _LINES, _LINE_CHARACTERS, _LONGEST, _ALPHA, _ALPHANUMERIC, _ENCODED, _LONGEST_ENCODED = range(8)


@dataclass(frozen=True)
class SourceCode:
    r"""Score ``code``: the first of StarCoder's rules that a file fails, and the figures behind the rules.

    Reads ``text``, and, where the batch has them, ``file_type`` and ``kind``; rules about a language are passed where
    the language is not known. Lines are those of ``str.splitlines``; shares of an empty text are 0.

    Attributes:
        kinds: Files of these kinds fail under the kind's own name.
        max_lines: More lines fail as ``too_many_lines``.
        max_line_length: A longer line, in characters, fails as ``long_line``.
        max_mean_line_length: Longer lines on average fail as ``long_lines``.
        max_wide_line_length: In place of both in languages with long lines by nature (HTML, JSON, Markdown, TeX …).
        min_alphabetic: A smaller share of letters fails as ``few_letters``; in assembly, of letters and digits.
        max_encoded_run: A longer run of base64, hexadecimal or Unicode escapes, in characters, fails as
            ``encoded_run``.
        max_encoded: A larger share of such runs fails as ``encoded_data``.
        max_data_lines: More lines in CSV, JSON, YAML or plain text fail as ``long_data``.
        min_visible: A smaller share of visible text in HTML fails as ``little_visible_text``.
        min_visible_characters: So does less of it.
        min_comments: A smaller share of comments fails as ``few_comments`` in one of ``comment_languages``.
        max_comments: A larger one fails there as ``many_comments``.
        comment_languages: Where the share of comments decides; by default where it was published.

    Output columns:
        reason: string; ``pass``, or the first rule above that failed; before the last two, ``xml`` for a file that
            declares itself XML in its first 100 characters and is called otherwise.
        lines, max_line_length: int64.
        mean_line_length, alphabetic, alphanumeric: float32.
        encoded: float32; the share of characters in encoded runs, at most 1.
        longest_encoded: int64; characters.
        comments: float32; share of characters; null where the language's signs are not known.
        visible: float32; share of characters; null but for HTML, XML and their like.

    >>> batch = pa.record_batch({"text": ["x = 1  # one\n", "0" * 999], "file_type": ["Python", "Python"]})
    >>> SourceCode().score(batch)["reason"].to_pylist()
    ['pass', 'long_lines']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "code"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "alphabetic"

    kinds: tuple[str, ...] = ("vendored", "generated", "minified")
    max_lines: int = 100_000
    max_line_length: int = 1000
    max_mean_line_length: float = 100.0
    max_wide_line_length: int = 100_000
    min_alphabetic: float = 0.25
    max_encoded_run: int = 1024
    max_encoded: float = 0.5
    max_data_lines: int = 512
    min_visible: float = 0.2
    min_visible_characters: int = 100
    min_comments: float = 0.01
    max_comments: float = 0.8
    comment_languages: tuple[str, ...] = ("Java", "JavaScript", "Python")

    def __post_init__(self) -> None:
        for name in ("min_alphabetic", "max_encoded", "min_visible", "min_comments", "max_comments"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"code: {name} is a share from 0 to 1; it is {getattr(self, name)}.")
        if self.min_comments > self.max_comments:
            raise ValueError(
                "code: min_comments must not be above max_comments; "
                f"they are {self.min_comments} and {self.max_comments}."
            )
        for name in ("max_lines", "max_line_length", "max_mean_line_length", "max_wide_line_length"):
            if not getattr(self, name) > 0:
                raise ValueError(f"code: {name} must be above 0; it is {getattr(self, name)}.")
        for name in ("max_encoded_run", "max_data_lines", "min_visible_characters"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"code: {name} must be at least 0; it is {getattr(self, name)}.")
        rules = [*_RULES, PASS]
        for kind in self.kinds:
            if not kind or kind in rules:
                raise ValueError(f"code: kinds holds {kind!r}; a kind is not empty, and none of {', '.join(rules)}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema(
            [
                pa.field("reason", pa.string()),
                pa.field("lines", pa.int64()),
                pa.field("max_line_length", pa.int64()),
                pa.field("mean_line_length", pa.float32()),
                pa.field("alphabetic", pa.float32()),
                pa.field("alphanumeric", pa.float32()),
                pa.field("encoded", pa.float32()),
                pa.field("longest_encoded", pa.int64()),
                pa.field("comments", pa.float32()),
                pa.field("visible", pa.float32()),
            ]
        )

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the Unicode tables behind letters."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The rules over the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings, or ``file_type`` or ``kind`` is none of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        languages, kinds = optional_column(documents, "file_type"), optional_column(documents, "kind")
        counts = np.zeros((len(column), 8), np.int64)
        _count(text.offsets, text.data, text.valid, words.flags(), CLASSES, counts)
        comments, known = comment_characters(text, languages.to_pylist())
        marked = _among(languages, MARKUP)
        visible = visible_characters(text, marked)

        characters, lines, longest = counts[:, _CHARACTERS], counts[:, _LINES], counts[:, _LONGEST]
        mean = _share(counts[:, _LINE_CHARACTERS], lines)
        alphabetic, alphanumeric = _share(counts[:, _ALPHA], characters), _share(counts[:, _ALPHANUMERIC], characters)
        encoded = np.minimum(_share(counts[:, _ENCODED], characters), 1.0)
        commented, seen = _share(comments, characters), _share(visible, characters)

        wide = _among(languages, WIDE)
        declared = _declares_xml(column) & ~_among(languages, XML)
        html, told = _among(languages, ("HTML",)), known & _among(languages, self.comment_languages)
        letters = np.where(_among(languages, TERSE), alphanumeric, alphabetic)
        failed = [
            *(_among(kinds, (kind,)) for kind in self.kinds),
            lines > self.max_lines,
            longest > np.where(wide, self.max_wide_line_length, self.max_line_length),
            ~wide & (mean > self.max_mean_line_length),
            letters < self.min_alphabetic,
            counts[:, _LONGEST_ENCODED] > self.max_encoded_run,
            encoded > self.max_encoded,
            _among(languages, DATA) & (lines > self.max_data_lines),
            html & ((seen < self.min_visible) | (visible < self.min_visible_characters)),
            declared,
            told & (commented < self.min_comments),
            told & (commented > self.max_comments),
        ]
        first = np.select(failed, list(range(len(failed))), len(failed)).astype(np.int32)
        reason = pa.array([*self.kinds, *_RULES, PASS]).take(pa.array(first, mask=~text.valid))
        figures = [lines, longest, mean, alphabetic, alphanumeric, encoded, counts[:, _LONGEST_ENCODED]]
        arrays = [
            reason,
            *(
                pa.array(each if each.dtype == np.int64 else each.astype(np.float32), mask=~text.valid)
                for each in figures
            ),
            pa.array(commented.astype(np.float32), mask=~(text.valid & known)),
            pa.array(seen.astype(np.float32), mask=~(text.valid & marked)),
        ]
        return pa.record_batch(arrays, schema=self.columns)


_RULES = (
    "too_many_lines",
    "long_line",
    "long_lines",
    "few_letters",
    "encoded_run",
    "encoded_data",
    "long_data",
    "little_visible_text",
    "xml",
    "few_comments",
    "many_comments",
)


def _among(column: pa.StringArray, names: Iterable[str]) -> NDArray[np.bool_]:
    found = pc.is_in(column, value_set=pa.array(list(names), pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _declares_xml(column: pa.StringArray) -> NDArray[np.bool_]:
    """Which texts hold the declaration in their first 100 characters; of up to four bytes each."""
    heads = pc.binary_slice(column.view(pa.binary()), 0, 4 * _DECLARED_WITHIN)
    found = np.asarray(pc.fill_null(pc.match_substring(heads, _DECLARATION), False).to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(found):  # few, and of these only the head
        found[row] = _DECLARATION in heads[int(row)].as_py().decode("utf-8", "replace")[:_DECLARED_WITHIN]
    return np.asarray(found, np.bool_)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


@kernel
def _count(offsets: Any, data: Any, valid: Any, flags: Any, classes: Any, counts: Any) -> None:  # noqa: PLR0917
    """One pass over each text: its lines, its letters, and its encoded runs."""
    for row in range(len(valid)):
        if not valid[row]:
            continue
        index, stop = offsets[row], offsets[row + 1]
        characters = lines = line_characters = longest = alpha = alphanumeric = 0
        encoded = longest_encoded = 0
        length = 0  # of the line so far
        pending = False  # whether the last line has a character that is not its end
        returned = False  # whether the character before is a carriage return
        run = 0  # characters of base64 so far
        word = False  # whether the character before is one of \w
        after_hex = after_escapes = index  # where the next run may begin
        while index < stop:
            byte = data[index]
            here = index
            if byte < 0x80:
                point = np.int64(byte)
                index += 1
            else:
                point, index = decode(data, index, stop)
            flag = flags[point]
            characters += 1
            alpha += (flag & ALPHA) != 0
            alphanumeric += (flag & ALPHANUMERIC) != 0
            if flag & BREAK:
                if not (point == 0x0A and returned):
                    lines += 1
                    line_characters += length
                    longest = max(longest, length)
                length = 0
                pending = False
                returned = point == 0x0D
            else:
                length += 1
                pending = True
                returned = False
            kind = classes[byte]
            if kind & BASE64:
                run += 1
            elif run:
                if run >= BASE64_RUN:
                    encoded += run
                    longest_encoded = max(longest_encoded, run)
                run = 0
            letter = is_word(flags, point)
            if letter != word and here >= after_hex and here + 1 < stop:
                following = data[here + 1]
                # Two hexadecimal digits, "0x" or "\x": what a run of bytes begins with.
                if (kind & HEX and (classes[following] & HEX or following == 0x78)) or (
                    byte == 0x5C and following == 0x78
                ):
                    end, found = hexadecimal(data, here, stop, flags, classes)
                    if found:
                        encoded += found
                        longest_encoded = max(longest_encoded, found)
                        after_hex = end
            if byte == 0x5C and here >= after_escapes:
                end = escapes(data, here, stop, classes)
                if end > here:
                    encoded += end - here
                    longest_encoded = max(longest_encoded, end - here)
                    after_escapes = end
            word = letter
        if run >= BASE64_RUN:
            encoded += run
            longest_encoded = max(longest_encoded, run)
        if pending:
            lines += 1
            line_characters += length
            longest = max(longest, length)
        counts[row, _CHARACTERS] = characters
        counts[row, _LINES] = lines
        counts[row, _LINE_CHARACTERS] = line_characters
        counts[row, _LONGEST] = longest
        counts[row, _ALPHA] = alpha
        counts[row, _ALPHANUMERIC] = alphanumeric
        counts[row, _ENCODED] = encoded
        counts[row, _LONGEST_ENCODED] = longest_encoded
