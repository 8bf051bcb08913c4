"""C4's verdict on every line of a document, and the sentences of those that stay; see :mod:`.c4`.

Sentences are counted as datatrove counts them: by spaCy's rule-based sentencizer, over tokens of either rule. A
sentence ends with a token that is one of the sentencizer's characters, and with all that follow it and are such
characters or punctuation. White space that spaCy makes a token of begins a sentence like a word does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel
from ..text import words
from ..text.buffers import decode
from ..text.chunks import AFTER_SPACE, ENDS_SENTENCE, IS_PUNCT
from ..text.punctuation import DECIMAL, classes
from ..text.tokens import cut, ready_rows, room_for
from ..text.words import BREAK, SPACE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..text.buffers import Text
    from ..text.tokens import Rule

LINE_KINDS = 8
(KEPT, TOO_LONG_WORD, NO_TERMINAL_PUNC, TOO_FEW_WORDS, LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY) = range(
    LINE_KINDS
)
KEPT_CHARACTERS = LINE_KINDS
"""The column of the counts after the kinds: characters of kept lines. After it: the kind that drops the document."""

_PHRASES = (
    (LOREM_IPSUM, "lorem ipsum"),
    (JAVASCRIPT, "javascript"),
    *(
        (POLICY, phrase)
        for phrase in (
            "terms of use",
            "privacy policy",
            "cookie policy",
            "uses cookies",
            "use of cookies",
            "use cookies",
        )
    ),
)
_KINDS = np.array([kind for kind, _ in _PHRASES], np.int64)
_TEXT = np.frombuffer("".join(phrase for _, phrase in _PHRASES).encode(), np.uint8)
_STARTS = np.cumsum([0, *(len(phrase) for _, phrase in _PHRASES)])
_FIRST = np.zeros(256, np.bool_)
_FIRST[[ord(phrase[0]) for _, phrase in _PHRASES]] = True
_EDIT = np.frombuffer(b"edit]", np.uint8)
_NEEDED = np.frombuffer(b"citation needed]", np.uint8)


@kernel
def judge_lines(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, flags: Any, classes: Any, asked: Any, citations: Any, min_words: int,
    longest_word: int, counts: Any, kept_offsets: Any, kept_data: Any, kept_rows: Any
) -> int:  # fmt: skip
    """Judge all lines; write those that are kept, without citations, one after the other.

    Args:
        offsets: int64[rows + 1].
        data: uint8[bytes].
        valid: bool[rows].
        flags: Of :func:`..text.words.flags`.
        classes: Of :func:`..text.punctuation.classes`.
        asked: bool[LINE_KINDS]; which kinds of lines to look for.
        citations: Whether to leave out citations.
        min_words: Words that a line has at least.
        longest_word: Characters that a word has at most.
        counts: int64[rows, LINE_KINDS + 2]; written.
        kept_offsets: int64[lines + 1]; written.
        kept_data: uint8[bytes]; written.
        kept_rows: int64[lines]; written: the document that a kept line is of.

    Returns:
        How many lines are kept.
    """
    kept = 0
    filled = 0
    lower = np.empty(64, np.uint8)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        index, stop = offsets[row], offsets[row + 1]
        while index < stop:
            begun = index
            first, last = stop, index  # of the line without white space around it
            many = 0
            length = 0
            longest = 0
            broken = False
            while index < stop and not broken:
                at = index
                point, index = decode(data, index, stop)
                flag = flags[point]
                if flag & SPACE:
                    broken = (flag & BREAK) != 0
                    length = 0
                    continue
                if length == 0:
                    many += 1
                length += 1
                longest = max(longest, length)
                first = min(first, at)
                last = index
            if broken and point == 0x0D and index < stop and data[index] == 0x0A:
                index += 1
            if many == 0:
                first = begun
                last = begun
            if longest > longest_word:
                counts[row, TOO_LONG_WORD] += 1
                continue
            end = _without_citations(data, first, last, citations, classes, kept_data, filled)
            if asked[NO_TERMINAL_PUNC] and not _is_ended(kept_data, filled, end):
                counts[row, NO_TERMINAL_PUNC] += 1
                continue
            if many < min_words:
                counts[row, TOO_FEW_WORDS] += 1
                continue
            if len(lower) < end - filled:
                lower = np.empty(2 * (end - filled), np.uint8)
            kind = _kind(kept_data, filled, end, lower, asked)
            counts[row, kind] += 1
            if kind in (LOREM_IPSUM, CURLY_BRACKET) and counts[row, LINE_KINDS + 1] == 0:
                counts[row, LINE_KINDS + 1] = kind
            if kind == KEPT:
                for each in range(filled, end):
                    counts[row, KEPT_CHARACTERS] += kept_data[each] & 0xC0 != 0x80
                kept_rows[kept] = row
                filled = end
                kept += 1
                kept_offsets[kept] = filled
    return kept


@kernel
def _is_ended(data: Any, start: int, stop: int) -> bool:
    """Whether the line ends in a full stop, question or exclamation mark or straight quote, and not in ``...``."""
    if start == stop:
        return False
    byte = data[stop - 1]
    if byte == 0x2E:
        return not (stop - start >= 3 and data[stop - 2] == 0x2E and data[stop - 3] == 0x2E)
    return byte in (0x3F, 0x21, 0x22, 0x27)


@kernel
def _starts_with(data: Any, start: int, stop: int, phrase: Any) -> bool:
    if stop - start < len(phrase):
        return False
    same = 0
    while same < len(phrase) and data[start + same] == phrase[same]:
        same += 1
    return same == len(phrase)


@kernel
def _without_citations(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, index: int, stop: int, citations: Any, classes: Any, room: Any, filled: int
) -> int:
    r"""Copy a line without what ``\[\d*]|\[edit]|\[citation needed]`` matches; returns where the copy ends."""
    while index < stop:
        if citations and data[index] == 0x5B:
            end = index + 1
            while end < stop:
                point, after = decode(data, end, stop)
                if not classes[point] & DECIMAL:
                    break
                end = after
            if end < stop and data[end] == 0x5D:
                index = end + 1
                continue
            if _starts_with(data, index + 1, stop, _EDIT):
                index += 1 + len(_EDIT)
                continue
            if _starts_with(data, index + 1, stop, _NEEDED):
                index += 1 + len(_NEEDED)
                continue
        room[filled] = data[index]
        filled += 1
        index += 1
    return filled


@kernel
def _kind(data: Any, start: int, stop: int, lower: Any, asked: Any) -> int:
    """What the phrases in a line make of it.

    It is lower-cased as far as phrases can tell: A to Z, and the Kelvin sign, whose lower case is "k". (The only other
    character whose lower case holds an ASCII letter is U+0130; a combining dot follows that letter, and stands in no
    phrase.)
    """
    filled = 0
    bracket = False
    index = start
    while index < stop:
        byte = data[index]
        bracket = bracket or byte == 0x7B
        index += 1
        if 0x41 <= byte <= 0x5A:
            byte += np.uint8(0x20)
        elif byte == 0xE2 and index + 1 < stop and data[index] == 0x84 and data[index + 1] == 0xAA:
            byte = np.uint8(0x6B)
            index += 2
        lower[filled] = byte
        filled += 1
    found = np.int64(0)  # a bit for each kind
    for at in range(filled):
        if _FIRST[lower[at]]:
            for phrase in range(len(_KINDS)):
                if _starts_with(lower, at, filled, _TEXT[_STARTS[phrase] : _STARTS[phrase + 1]]):
                    found |= 1 << _KINDS[phrase]
    if bracket:
        found |= 1 << CURLY_BRACKET
    for kind in range(LOREM_IPSUM, POLICY + 1):
        if asked[kind] and found & (1 << kind):
            return kind
    return KEPT


def count_sentences(text: Text, rule: Rule) -> NDArray[np.int64]:
    """The number of sentences of each row; an empty text has one.

    Args:
        text: ``n`` rows.
        rule: What a token is; see :mod:`..text.tokens`.

    Returns:
        int64[n]; 0 for a null row.

    Raises:
        ModuleNotFoundError: The rule is ``english``, and spaCy is not installed.

    >>> import pyarrow as pa
    >>> from tokenladder.filters.text.buffers import text_buffers
    >>> count_sentences(text_buffers(pa.array(["One. Two! (Three?) Four", ""])), "unicode").tolist()
    [4, 1]
    """
    counts = np.zeros(len(text.valid), np.int64)
    english = rule == "english"
    for first, stop, chunks in ready_rows(text, rule):
        _count_sentences(
            text.offsets, text.data, text.valid, first, stop, words.flags(), classes(), english, chunks, counts
        )
    return counts


@kernel
def _count_sentences(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, first: int, last: int, flags: Any, classes: Any, spacy: Any, chunks: Any,
    counts: Any
) -> None:  # fmt: skip
    size = 0
    for row in range(first, last):
        if valid[row]:
            size = max(size, offsets[row + 1] - offsets[row])
    room = room_for(size // 4 + 64, size)
    for row in range(first, last):
        if not valid[row]:
            continue
        tokens, trailing = cut(data, offsets[row], offsets[row + 1], flags, classes, spacy, chunks, room)
        while tokens < 0:
            room = room_for(2 * len(room.kinds), size)
            tokens, trailing = cut(data, offsets[row], offsets[row + 1], flags, classes, spacy, chunks, room)
        sentences = 1
        ended = False
        for token in range(tokens):
            kind = room.kinds[token]
            if ended and ((spacy and kind & AFTER_SPACE) or not kind & (IS_PUNCT | ENDS_SENTENCE)):
                sentences += 1
                ended = False
            if kind & ENDS_SENTENCE:
                ended = True
        if ended and trailing and spacy:
            sentences += 1
        counts[row] = sentences
