"""The figures behind Gopher's, FineWeb's and C4's rules: counted once for a batch, however many scores ask for them.

Scores are computed one family after the other over the same batch. What was counted for the batch that a thread looked
at last is kept until it looks at another one. The batch is recognised by being the same object, held by a weak
reference: batches cannot change, and an object's place is not reused while the reference holds, so nothing stale is
ever found, and no text is kept in memory. Where a study adds a score to parts that were read before, families are
computed one by one, and share nothing.

Cutting words is most of the work, and the repetition rules need it as the quality rules do. So words are counted at
once for all that was asked of the batch before; only of a thread's first batch are they cut twice.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..kernels import kernel
from ..text import words
from ..text.buffers import text_buffers, text_column
from ..text.chunks import HAS_LETTER, IS_WORD, address_of, hash_bytes
from ..text.punctuation import classes
from ..text.tokens import cut, ready_rows, room_for
from .line_statistics import LINE_COUNTS, count_lines
from .ngrams import duplicated_ngrams, room_for_grams, top_ngrams

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..text.tokens import Rule

TOKEN_COUNTS = 14
TOKENS = 0
WORDS = 1  # tokens that count as words
WORD_CHARACTERS = 2
LETTERED = 3  # tokens with a letter
STOP_WORDS = 4  # how many different ones occur
TOP = 5  # characters of the top 2-gram; the 3-gram and the 4-gram follow
DUPLICATED = 8  # characters of duplicated 5-grams; those of 6- to 10-grams follow


class _Asked(NamedTuple):
    """What a family asks of a document's tokens. None for stop words: any."""

    rule: Rule
    stop_words: tuple[str, ...] | None
    ngrams: bool

    def covers(self, other: _Asked) -> bool:
        """Whether what was counted for this answers the other."""
        stop_words = other.stop_words is None or self.stop_words == other.stop_words
        return self.rule == other.rule and stop_words and self.ngrams >= other.ngrams


class _Last(threading.local):
    """What was counted for the batch that this thread looked at last."""

    def __init__(self) -> None:
        self.batch: Callable[[], pa.RecordBatch | None] = lambda: None
        self.lines: dict[int, NDArray[np.int64]] = {}
        self.tokens: dict[_Asked, NDArray[np.int64]] = {}
        self.asked: list[_Asked] = []
        self.before: list[_Asked] = []

    def look_at(self, documents: pa.RecordBatch) -> None:
        """Forget what was counted, if this is another batch."""
        if self.batch() is documents:
            return
        self.batch = weakref.ref(documents)
        self.lines, self.tokens = {}, {}
        self.before, self.asked = self.asked, []


_last = _Last()


def line_counts(documents: pa.RecordBatch, short: int = 30) -> NDArray[np.int64]:
    """What :mod:`.line_statistics` counts.

    Args:
        documents: ``n`` rows with a column ``text``.
        short: Characters that a short line has at most.

    Returns:
        int64[n, LINE_COUNTS], read only; 0 for a null row.

    Raises:
        ValueError: There is no column ``text`` of strings.
    """
    _last.look_at(documents)
    if short not in _last.lines:
        text = text_buffers(text_column(documents))
        counts = np.zeros((len(text.valid), LINE_COUNTS), np.int64)
        count_lines(text.offsets, text.data, text.valid, words.flags(), classes(), short, counts)
        counts.flags.writeable = False
        _last.lines[short] = counts
    return _last.lines[short]


def token_counts(
    documents: pa.RecordBatch, rule: Rule, *, stop_words: tuple[str, ...] | None = None, ngrams: bool = False
) -> NDArray[np.int64]:
    """Counts of tokens and of repeated n-grams.

    Args:
        documents: ``n`` rows with a column ``text``.
        rule: What a word is; see :mod:`..text.tokens`.
        stop_words: Up to 64 words, for STOP_WORDS. By the rule ``unicode`` a symbol is no stop word.
        ngrams: Whether TOP and DUPLICATED are needed.

    Returns:
        int64[n, TOKEN_COUNTS], read only; 0 for a null row. What was not asked for may be there or not.

    Raises:
        ModuleNotFoundError: The rule is ``english``, and spaCy is not installed.
        ValueError: There is no column ``text`` of strings.
    """
    asked = _Asked(rule, stop_words, ngrams)
    _last.look_at(documents)
    _last.asked.append(asked)
    for known, counts in _last.tokens.items():
        if known.covers(asked):
            return counts
    for other in _last.before:
        if other.rule == rule:
            stop_words = other.stop_words if asked.stop_words is None else asked.stop_words
            asked = _Asked(rule, stop_words, asked.ngrams or other.ngrams)
    _last.tokens[asked] = counts = _counted(documents, asked)
    return counts


def _counted(documents: pa.RecordBatch, asked: _Asked) -> NDArray[np.int64]:
    text = text_buffers(text_column(documents))
    counts = np.zeros((len(text.valid), TOKEN_COUNTS), np.int64)
    stops = np.array([_hashed(word) for word in sorted(set(asked.stop_words or ()))], np.uint64)
    english = asked.rule == "english"
    for first, stop, chunks in ready_rows(text, asked.rule):
        _count(text.offsets, text.data, text.valid, first, stop, words.flags(), classes(), english, chunks, stops,
               asked.ngrams, counts)  # fmt: skip
    counts.flags.writeable = False
    return counts


def _hashed(word: str) -> int:
    raw = word.encode()
    return int(_hash(np.frombuffer(raw + bytes(8), np.uint8), len(raw)))


@kernel
def _hash(data: Any, stop: int) -> Any:
    return hash_bytes(address_of(data), 0, stop)


@kernel
def _count(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, first: int, last: int, flags: Any, classes: Any, spacy: Any, chunks: Any,
    stops: Any, ngrams: Any, counts: Any
) -> None:  # fmt: skip
    size = 0
    for row in range(first, last):
        if valid[row]:
            size = max(size, offsets[row + 1] - offsets[row])
    room = room_for(size // 4 + 64, size)
    grams = room_for_grams(size // 4 + 64 if ngrams else 1)
    filters = np.uint64(0)  # of 64 classes of hashes, those that hold a stop word's: most tokens need no comparison
    for stop in stops:
        filters |= np.uint64(1) << (stop >> np.uint64(58))
    for row in range(first, last):
        if not valid[row]:
            continue
        tokens, _ = cut(data, offsets[row], offsets[row + 1], flags, classes, spacy, chunks, room)
        while tokens < 0:
            capacity = 2 * len(room.kinds)
            room = room_for(capacity, size)
            if ngrams:
                grams = room_for_grams(capacity)
            tokens, _ = cut(data, offsets[row], offsets[row + 1], flags, classes, spacy, chunks, room)
        seen = np.uint64(0)
        words = 0
        characters = 0
        lettered = 0
        for token in range(tokens):
            kind = room.kinds[token]
            if kind & IS_WORD:
                words += 1
                characters += room.characters[token + 1] - room.characters[token]
            if kind & HAS_LETTER:
                lettered += 1
            hashed = room.hashes[token]
            if (filters >> (hashed >> np.uint64(58))) & np.uint64(1) and (spacy or kind & IS_WORD):
                for stop in range(len(stops)):
                    if stops[stop] == hashed:
                        seen |= np.uint64(1) << np.uint64(stop)
        counts[row, TOKENS] = tokens
        counts[row, WORDS] = words
        counts[row, WORD_CHARACTERS] = characters
        counts[row, LETTERED] = lettered
        while seen:
            counts[row, STOP_WORDS] += 1
            seen &= seen - np.uint64(1)
        if ngrams:
            top_ngrams(tokens, room.hashes, room.characters, grams, counts[row, TOP:])
            duplicated_ngrams(tokens, room.text, room.starts, room.characters, grams, counts[row, DUPLICATED:])


def share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


PASS = "pass"  # noqa: S105 (a verdict, not a password)


def first_reason(rules: dict[str, NDArray[np.bool_]], valid: NDArray[np.bool_]) -> pa.StringArray:
    """The name of the first rule that holds for each row, or ``pass``; null for a row that is not valid."""
    failed = np.select(list(rules.values()), list(range(len(rules))), len(rules)).astype(np.int32)
    return pa.array([*rules, PASS]).take(pa.array(failed, mask=~valid))
