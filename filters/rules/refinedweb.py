"""RefinedWeb's line corrections, counted: how much of a document is buttons, counters, headings in capitals, addresses?

Penedo et al. 2023, "The RefinedWeb Dataset for Falcon LLM: Outperforming Curated Corpora with Web Data, and Web Data
Only", appendix G.2. The paper names its kinds of lines and gives one example of each; what it leaves open is decided
here, after DCLM's public reading of it where that is one (Li et al. 2024), and can be set. Its filter of addresses by
lists is the score ``domains``. A score changes no text: what would be removed is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..kernels import inlined, kernel
from ..text import words
from ..text.buffers import decode, text_buffers, text_column
from ..text.punctuation import DECIMAL, UPPER, classes
from ..text.words import ALPHANUMERIC, SPACE
from .text_statistics import first_reason, share

if TYPE_CHECKING:
    from ..family import JSON
    from ..text.buffers import Text

_COUNTS = 11
_UPPERCASE, _NUMERIC, _COUNTER, _ONE_WORD, _PHRASE, _LINES, _WORDS, _FLAGGED, _URLS, _URL_CHARACTERS, _CHARACTERS = (
    range(_COUNTS)
)
_KINDS = 5
_UNFLAGGED = _KINDS
_PREFIXES = pa.array(["http://", "https://", "www."])


@dataclass(frozen=True)
class RefinedWeb:
    r"""Score ``refinedweb``: whether too many words stand in lines that are no text, and counts of such lines.

    Lines are what stands between newlines, blank ones left out; words are what stands between white space. A line
    counts where the first of these holds: most of its characters are upper case; all are digits; it is a counter such
    as "1.2K likes"; it is one word; it is short and has a phrase of buttons. White space is never counted. The phrases
    are English; A to Z are compared without case.

    Attributes:
        max_flagged_words: A larger share of words in flagged lines fails as ``flagged_words``.
        max_uppercase: A larger share of upper-case characters flags a line.
        short_line: Words that a line has at most, for a phrase to flag it.
        counters: Words that make a counter, behind a number.
        phrases: What flags a short line anywhere in it.
        first_phrases: What does at its beginning.
        last_phrases: What does at its end.

    Output columns:
        reason: string; ``pass`` or ``flagged_words``.
        flagged_words: float32; the share of words in flagged lines; 0 without words.
        lines: int32; that are not blank.
        uppercase_lines, numeric_lines, counter_lines, one_word_lines, phrase_lines: int32.
        urls: int32; ``http://``, ``https://`` or ``www.`` behind no letter or digit, up to the next white space.
        url_share: float32; of the text's characters; 0 for an empty text.

    >>> page = "Home\n3 likes\nAll bears are welcome in this part of the woods, says https://bears.example/woods today."
    >>> scored = RefinedWeb(max_flagged_words=0.1).score(pa.record_batch({"text": [page]}))
    >>> scored.select(["reason", "counter_lines", "one_word_lines", "urls"]).to_pylist()
    [{'reason': 'flagged_words', 'counter_lines': 1, 'one_word_lines': 1, 'urls': 1}]
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "refinedweb"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "flagged_words"

    max_flagged_words: float = 0.05
    max_uppercase: float = 0.5
    short_line: int = 10
    counters: tuple[str, ...] = (
        "like", "likes", "share", "shares", "comment", "comments", "view", "views", "follower", "followers",
        "download", "downloads", "repost", "reposts", "retweet", "retweets", "upvote", "upvotes", "reply", "replies",
    )  # fmt: skip
    phrases: tuple[str, ...] = ("items in cart",)
    first_phrases: tuple[str, ...] = ("sign-in",)
    last_phrases: tuple[str, ...] = ("read more...", "read more\u2026")

    def __post_init__(self) -> None:
        for name in ("max_flagged_words", "max_uppercase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"refinedweb: {name} is a share from 0 to 1; it is {getattr(self, name)}.")
        if self.short_line < 0:
            raise ValueError(f"refinedweb: short_line must be at least 0; it is {self.short_line}.")
        for name in ("counters", "phrases", "first_phrases", "last_phrases"):
            for each in getattr(self, name):
                if not each or each != each.strip() or "\n" in each:
                    raise ValueError(
                        f"refinedweb: {name} holds {each!r}; an entry is not empty, has no white space around it and "
                        "no newline in it."
                    )

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        kinds = ("uppercase_lines", "numeric_lines", "counter_lines", "one_word_lines", "phrase_lines")
        fields: list[pa.Field[Any]] = [pa.field("reason", pa.string()), pa.field("flagged_words", pa.float32())]
        fields += [pa.field(name, pa.int32()) for name in ("lines", *kinds, "urls")]
        return pa.schema([*fields, pa.field("url_share", pa.float32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the Unicode tables behind characters."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Count in the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        text = text_buffers(text_column(documents))
        counts = np.zeros((len(text.valid), _COUNTS), np.int64)
        _count(
            text.offsets, text.data, text.valid, words.flags(), classes(), self.max_uppercase, self.short_line,
            _lowered(self.counters), _lowered(self.phrases), _lowered(self.first_phrases), _lowered(self.last_phrases),
            text_buffers(_PREFIXES), counts,
        )  # fmt: skip
        flagged = share(counts[:, _FLAGGED], counts[:, _WORDS])
        integers = [counts[:, _LINES], *(counts[:, kind] for kind in range(_KINDS)), counts[:, _URLS]]
        arrays = [
            flagged.astype(np.float32),
            *(each.astype(np.int32) for each in integers),
            share(counts[:, _URL_CHARACTERS], counts[:, _CHARACTERS]).astype(np.float32),
        ]
        reason = first_reason({"flagged_words": flagged > self.max_flagged_words}, text.valid)
        return pa.record_batch([reason, *(pa.array(each, mask=~text.valid) for each in arrays)], schema=self.columns)


def _lowered(phrases: tuple[str, ...]) -> Text:
    """Phrases with A to Z in lower case, as kernels take them."""
    return text_buffers(pa.array([phrase.encode().lower() for phrase in phrases], pa.binary()))


@kernel
def _count(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, flags: Any, classes: Any, max_uppercase: float, short_line: int,
    counters: Any, phrases: Any, first_phrases: Any, last_phrases: Any, prefixes: Any, counts: Any
) -> None:  # fmt: skip
    """One pass over characters; what flags a line by its phrases looks at short lines again."""
    for row in range(len(valid)):
        if not valid[row]:
            continue
        figures = counts[row]
        index, stop = offsets[row], offsets[row + 1]
        while index < stop:
            first, last = stop, index  # of the line without white space around it
            many = 0
            characters = 0  # that are no white space
            upper = 0
            digits = 0
            inside = False  # a word
            address = False  # the rest of the word is one's
            joined = False  # the character before is a letter or digit
            point = np.int64(0)
            while index < stop and point != 0x0A:
                at = index
                point, index = decode(data, index, stop)
                figures[_CHARACTERS] += 1
                if flags[point] & SPACE:
                    inside = False
                    address = False
                    joined = False
                    continue
                if not inside:
                    inside = True
                    many += 1
                    first = min(first, at)
                characters += 1
                upper += (classes[point] & UPPER) != 0
                digits += (classes[point] & DECIMAL) != 0
                if not joined and not address and point in (0x48, 0x57, 0x68, 0x77):
                    for prefix in range(len(prefixes.offsets) - 1):
                        size = prefixes.offsets[prefix + 1] - prefixes.offsets[prefix]
                        if at + size < stop and _begins(data, at, stop, prefixes, prefix):
                            following, _ = decode(data, at + size, stop)
                            address = address or not flags[following] & SPACE
                    figures[_URLS] += address
                figures[_URL_CHARACTERS] += address
                joined = (flags[point] & ALPHANUMERIC) != 0
                last = index
            if many == 0:
                continue
            kind = _UNFLAGGED
            if upper > max_uppercase * characters:
                kind = _UPPERCASE
            elif digits == characters:
                kind = _NUMERIC
            elif _is_counter(data, first, last, flags, counters):
                kind = _COUNTER
            elif many == 1:
                kind = _ONE_WORD
            elif many <= short_line and _has_phrase(data, first, last, phrases, first_phrases, last_phrases):
                kind = _PHRASE
            figures[_LINES] += 1
            figures[_WORDS] += many
            if kind != _UNFLAGGED:
                figures[kind] += 1
                figures[_FLAGGED] += many


@inlined
def _begins(data: Any, start: Any, stop: Any, phrases: Any, phrase: Any) -> Any:
    """Whether a phrase, in lower case, stands at ``start``."""
    at, end = phrases.offsets[phrase], phrases.offsets[phrase + 1]
    same = end - at <= stop - start
    while same and at < end:
        byte = data[start]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        same = byte == phrases.data[at]
        at += 1
        start += 1
    return same


@kernel
def _is_counter(data: Any, index: int, stop: int, flags: Any, counters: Any) -> bool:
    """Whether a line is a number, perhaps with K, M or B, white space, and one of the words; signs may stand around."""
    index = _without_signs(data, index, stop, flags)
    if index == stop or not 0x30 <= data[index] <= 0x39:
        return False
    while index < stop and (0x30 <= data[index] <= 0x39 or data[index] in (0x2C, 0x2E)):
        index += 1
    if index < stop and data[index] | 0x20 in (0x6B, 0x6D, 0x62):
        index += 1
    begun = index
    while index < stop:
        point, after = decode(data, index, stop)
        if not flags[point] & SPACE:
            break
        index = after
    if index == begun:
        return False
    for word in range(len(counters.offsets) - 1):
        size = counters.offsets[word + 1] - counters.offsets[word]
        if _begins(data, index, stop, counters, word) and _without_signs(data, index + size, stop, flags) == stop:
            return True
    return False


@kernel
def _without_signs(data: Any, index: int, stop: int, flags: Any) -> int:
    """Where the first letter or digit stands."""
    while index < stop:
        point, after = decode(data, index, stop)
        if flags[point] & ALPHANUMERIC:
            break
        index = after
    return index


@kernel
def _has_phrase(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: int, stop: int, phrases: Any, first_phrases: Any, last_phrases: Any
) -> bool:
    for phrase in range(len(first_phrases.offsets) - 1):
        if _begins(data, start, stop, first_phrases, phrase):
            return True
    for phrase in range(len(last_phrases.offsets) - 1):
        size = last_phrases.offsets[phrase + 1] - last_phrases.offsets[phrase]
        if size <= stop - start and _begins(data, stop - size, stop, last_phrases, phrase):
            return True
    for phrase in range(len(phrases.offsets) - 1):
        for at in range(start, stop):
            if _begins(data, at, stop, phrases, phrase):
                return True
    return False
