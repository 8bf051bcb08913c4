"""A document's tokens, by either rule of words, as arrays that the kernels of several scores read.

Both rules cut at white space first. Inside such a chunk, ``unicode`` takes the tokens of :mod:`.words`, ``english``
those of spaCy (:mod:`.english`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from ..kernels import kernel
from . import words
from .buffers import decode
from .chunks import (
    AFTER_SPACE,
    ENDS_SENTENCE,
    HAS_LETTER,
    IS_PUNCT,
    IS_WORD,
    Chunks,
    address_of,
    find_chunk,
    hash_bytes,
    next_chunk,
    no_chunks,
)
from .english import LONGEST_CHUNK, english
from .punctuation import PUNCT, SENTENCE_END
from .words import ALPHA, TOKEN_WORD, WORD, next_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..family import JSON
    from .buffers import Text

Rule: TypeAlias = Literal["unicode", "english"]
RULES = ("unicode", "english")


_JOINERS = (0x27, 0x2C, 0x2E, 0x5F)  # ASCII characters that may join what is on both sides of them


class Tokens(NamedTuple):
    """Room for the tokens of one document.

    Attributes:
        text: uint8[bytes + 64]; the tokens, one after the other, without white space.
        starts: int64[tokens + 1]; where each begins in ``text``, and where the last ends.
        characters: int64[tokens + 1]; the same in code points.
        kinds: uint8[tokens]; IS_WORD, HAS_LETTER, IS_PUNCT, ENDS_SENTENCE, AFTER_SPACE.
        hashes: uint64[tokens].
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    characters: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    hashes: NDArray[np.uint64]


def checked_rule(score: str, rule: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        ValueError: It is neither ``unicode`` nor ``english``.
    """
    if rule not in RULES:
        raise ValueError(f'{score}: words must be "unicode" or "english"; it is {rule!r}.')


def rule_identity(rule: Rule) -> dict[str, JSON]:
    """What tokens depend on besides the text: the rule, the Unicode tables, and spaCy's version where it is asked.

    Raises:
        ModuleNotFoundError: The rule is ``english``, and spaCy is not installed.
    """
    identity: dict[str, JSON] = {"words": rule, "unicode": words.UNICODE}
    if rule == "english":
        identity["spacy"] = english().version
    return identity


def ready_rows(text: Text, rule: Rule) -> Iterator[tuple[int, int, Chunks]]:
    """The rows in runs (first, stop) whose tokens can be read now, with what is known of their chunks.

    Raises:
        ModuleNotFoundError: The rule is ``english``, and spaCy is not installed.
    """
    rows = len(text.valid)
    if rule == "unicode":
        if rows:
            yield 0, rows, no_chunks()
        return
    memo = english()
    with memo.lock:
        row = 0
        while row < rows:
            stop = memo.learn(text, row)
            yield row, stop, memo.chunks
            row = stop


@kernel
def room_for(capacity: int, size: int) -> Any:
    """Room for so many tokens of a document of so many bytes."""
    return Tokens(
        np.empty(size + 64, np.uint8),
        np.empty(capacity + 1, np.int64),
        np.empty(capacity + 1, np.int64),
        np.empty(capacity, np.uint8),
        np.empty(capacity, np.uint64),
    )


@kernel
def cut(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: int, stop: int, flags: Any, classes: Any, spacy: Any, chunks: Any, room: Any
) -> tuple[int, bool]:
    """Cut ``data[start:stop]`` into tokens.

    Returns:
        How many there are, or -1 if there is not room enough; and whether white space that is a token ends the text.
    """
    text, starts, characters, kinds, hashes = room.text, room.starts, room.characters, room.kinds, room.hashes
    table, known, chunk_starts, chunk_data = chunks.table, chunks.hashes, chunks.starts, chunks.data
    first_token, lengths, lengths_in_points = chunks.first, chunks.lengths, chunks.characters
    known_kinds, known_hashes = chunks.kinds, chunks.token_hashes
    address = address_of(text)
    capacity = len(kinds)
    end: Any = 0
    count = 0
    filled = np.int64(0)  # a bare 0 has numba compile next_token twice, 2 seconds of its first run
    starts[0] = 0
    characters[0] = 0
    index = start
    while index < stop:
        begun = filled
        index, filled, space = next_chunk(data, index, stop, flags, text, filled)
        if filled == begun:
            return count, space == 2 or count == 0
        after_space = AFTER_SPACE if space == 2 or (space == 1 and count == 0) else 0
        chunk: Any = -1
        if spacy and filled - begun <= LONGEST_CHUNK:
            hashed = hash_bytes(address, begun, filled)
            slot = find_chunk(table, known, chunk_starts, address_of(chunk_data), address, begun, filled, hashed)
            chunk = np.int64(table[slot]) - 1
        if chunk >= 0:
            first = first_token[chunk]
            tokens = first_token[chunk + 1] - first
            if count + tokens > capacity:
                return -1, False
            for token in range(first, first + tokens):
                starts[count + 1] = starts[count] + lengths[token]
                characters[count + 1] = characters[count] + lengths_in_points[token]
                kinds[count] = known_kinds[token] | after_space
                hashes[count] = known_hashes[token]
                after_space = 0
                count += 1
            continue
        at = begun
        while at < filled:
            if count == capacity:
                return -1, False
            byte = text[at]
            end = at
            found = 0
            if byte < 0x80:  # the quick way: nine of ten tokens are ASCII, and nothing joins them to what follows
                while end < filled and text[end] < 0x80 and flags[text[end]] & WORD:
                    found |= HAS_LETTER if flags[text[end]] & ALPHA else 0
                    end += 1
                if end == at:
                    found = IS_PUNCT if classes[byte] & PUNCT else 0
                    while end < filled and text[end] == byte:
                        end += 1
                    if end == at + 1 and classes[byte] & SENTENCE_END:
                        found |= ENDS_SENTENCE
                else:
                    found |= IS_WORD
                    if end + 1 < filled and (text[end] >= 0x80 or text[end] in _JOINERS):
                        end = at
            length = end - at
            if end == at:
                point, _ = decode(text, at, filled)
                end, kind, length, letter = next_token(text, at, filled, flags)
                found = HAS_LETTER if letter else 0
                if kind == TOKEN_WORD:
                    found |= IS_WORD
                else:
                    if classes[point] & PUNCT:
                        found |= IS_PUNCT
                    if length == 1 and classes[point] & SENTENCE_END:
                        found |= ENDS_SENTENCE
            starts[count + 1] = end
            characters[count + 1] = characters[count] + length
            kinds[count] = found | after_space
            hashes[count] = hash_bytes(address, at, end)
            after_space = 0
            count += 1
            at = end
    return count, False
