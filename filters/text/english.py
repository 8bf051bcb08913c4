"""English words exactly as datatrove cuts them: spaCy's blank English tokenizer, each distinct chunk cut only once.

spaCy cuts each *chunk* (a maximal run without white space) by itself, so what a chunk becomes can be kept. The memo
compares whole chunks, byte by byte: no hash decides. spaCy is asked for new chunks by the thousand, as one text whose
chunks stand apart by white space that no rule of its own contains.

The memo is bounded: once it holds more than CHUNKS distinct chunks or CHUNK_BYTES, it is emptied before the next
documents are looked at. At that moment it is larger by no more than what one round adds: the new chunks of some
documents, ROUND or those of a single document. Emptying costs time and changes nothing else.

Two known differences from spaCy over a whole document:

* its rules for emoticons and the like also look at neighbouring chunks, and a match across them can hide one inside;
* a text that holds the word ``IS_ALPHA``, which is one of spaCy's own symbols, makes it fail, whereupon datatrove
  leaves the word out. Here it is a word.

A chunk of more than LONGEST_CHUNK bytes is cut by the rule of :mod:`.words`, because spaCy's time grows with the square
of its length; and so is one that is not UTF-8, which spaCy cannot take.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel
from . import words
from .buffers import decode
from .chunks import (
    ENDS_SENTENCE,
    GAP,
    HAS_LETTER,
    IS_PUNCT,
    IS_WORD,
    address_of,
    find_chunk,
    hash_bytes,
    next_chunk,
    no_chunks,
)
from .punctuation import PUNCT, SENTENCE_END, SYMBOL, classes
from .words import ALPHA

if TYPE_CHECKING:
    from .buffers import Text

CHUNKS = 1 << 19
"""Distinct chunks that the memo keeps; with their tokens some 40 MB."""
CHUNK_BYTES = 1 << 25
"""Bytes of distinct chunks that the memo keeps."""
ROUND = 1 << 15
"""New chunks that are gathered before spaCy is asked. Its own memory for them is about 30 MB, and is given back."""
LONGEST_CHUNK = 4096
"""Bytes. spaCy takes 1.2 seconds for a chunk of 4 KiB of brackets, and 20 for one of 16 KiB."""


@kernel
def _well_formed(data: Any, start: int, stop: int) -> bool:
    """Whether ``data[start:stop]`` is UTF-8 as Python decodes it: no surrogates, nothing longer than it needs to be."""
    index = start
    while index < stop:
        first = data[index]
        index += 1
        if first < 0x80:
            continue
        more = 1 if 0xC2 <= first < 0xE0 else 2 if 0xE0 <= first < 0xF0 else 3 if 0xF0 <= first < 0xF5 else 0
        if more == 0 or index + more > stop:
            return False
        second = data[index]
        if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0):
            return False
        if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90):
            return False
        for _ in range(more):
            if data[index] & 0xC0 != 0x80:
                return False
            index += 1
    return True


@kernel
def _gather(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, row: int, flags: Any, chunks: Any, used: int, limit: int
) -> tuple[int, int, bool]:
    """Write the unknown chunks of rows behind the known ones, until a row is done and ``limit`` chunks are known.

    Returns:
        The first row that is not done, how many chunks are known, and whether it ended early for lack of room.
    """
    room = np.zeros(LONGEST_CHUNK + 16, np.uint8)
    starts, table, hashes = chunks.starts, chunks.table, chunks.hashes
    while row < len(valid):
        index, stop = offsets[row], offsets[row + 1]
        while valid[row] and index < stop:
            if stop - index > LONGEST_CHUNK and len(room) < stop - index + 16:
                room = np.zeros(stop - index + 16, np.uint8)
            index, filled, _ = next_chunk(data, index, stop, flags, room, 0)
            if filled == 0 or filled > LONGEST_CHUNK:
                continue
            hashed = hash_bytes(address_of(room), 0, filled)
            slot = find_chunk(table, hashes, starts, address_of(chunks.data), address_of(room), 0, filled, hashed)
            if table[slot] or not _well_formed(room, 0, filled):
                continue
            at = starts[used]
            if used + 1 > len(hashes) or at + filled + GAP + 8 > len(chunks.data):
                return row, used, True
            chunks.data[at : at + filled] = room[:filled]
            chunks.data[at + filled] = 0x0A
            chunks.data[at + filled + 1] = 0x1C
            chunks.data[at + filled + 2] = 0x0A
            hashes[used] = hashed
            table[slot] = used + 1
            used += 1
            starts[used] = at + filled + GAP
        row += 1
        if used >= limit:
            break
    return row, used, False


@kernel
def _describe(  # noqa: PLR0917 (a kernel takes columns)
    begins: Any, lengths: Any, data: Any, start: int, chunk: int, known: int, flags: Any, table: Any, chunks: Any
) -> None:
    """Figures of spaCy's tokens (first character and number of characters in the text that begins at ``start``)."""
    index = np.int64(start)
    character = np.int64(0)
    token = known
    for each in range(len(begins)):
        while character < begins[each]:
            _, index = decode(data, index, len(data))
            character += 1
        if index == chunks.starts[chunk + 1] - GAP:  # the separator's token
            chunk += 1
            chunks.first[chunk] = token
            continue
        begun = index
        wordy = False
        letter = False
        punct = True
        ends = False
        for _ in range(lengths[each]):
            point, index = decode(data, index, len(data))
            wordy = wordy or not table[point] & SYMBOL
            letter = letter or (flags[point] & ALPHA) != 0
            punct = punct and (table[point] & PUNCT) != 0
            ends = (table[point] & SENTENCE_END) != 0
            character += 1
        chunks.lengths[token] = index - begun
        chunks.characters[token] = lengths[each]
        ends = ends and lengths[each] == 1
        chunks.kinds[token] = IS_WORD * wordy + HAS_LETTER * letter + IS_PUNCT * punct + ENDS_SENTENCE * ends
        chunks.token_hashes[token] = hash_bytes(address_of(data), begun, index)
        token += 1


class EnglishWords:
    """spaCy's English words, through a bounded memo. One in a process; hold ``lock`` from ``learn`` to the last use.

    Attributes:
        lock: Families in several threads share the memo.
        chunks: What is known.
        known: How many chunks that are.
        version: spaCy's.

    Raises:
        ModuleNotFoundError: spaCy is not installed.
    """

    def __init__(self) -> None:
        try:
            from spacy.lang.en import English as Language
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'words = "english" needs spaCy, which is not installed. Install it with: pip install '
                "'tokenladder[english]'. Or take words = \"unicode\", which needs nothing."
            ) from error
        self._make = Language
        self.version = metadata.version("spacy")
        self.lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing. spaCy too: its tables of words grow by 30 bytes for each one that it gives back."""
        self._tokenizer: Any = None  # the old one goes before the new one comes
        self._tokenizer = self._make().tokenizer
        self.chunks = no_chunks(1 << 15, 1 << 18)
        self.known = 0

    def learn(self, text: Text, row: int) -> int:
        """Learn the chunks of some rows, at least one.

        Args:
            text: The rows.
            row: The first.

        Returns:
            The row after the last whose chunks are all known, until the next call.
        """
        if self.known > CHUNKS or self.chunks.starts[self.known] > CHUNK_BYTES:
            self._forget()
        before = self.known
        full = True
        while full:
            row, self.known, full = _gather(
                text.offsets, text.data, text.valid, row, words.flags(), self.chunks, self.known, before + ROUND
            )
            if full:
                self._grow()
        self._split(before)
        return row

    def _grow(self) -> None:
        """Twice the room for chunks and their bytes."""
        old = self.chunks
        new = no_chunks(2 * len(old.hashes), 2 * len(old.data))
        for name in ("hashes", "starts", "data", "first"):
            kept = getattr(old, name)
            getattr(new, name)[: len(kept)] = kept
        _index(new.hashes, self.known, new.table)
        self.chunks = new._replace(
            lengths=old.lengths, characters=old.characters, kinds=old.kinds, token_hashes=old.token_hashes
        )

    def _split(self, before: int) -> None:
        """Ask spaCy for the tokens of all chunks from ``before`` on."""
        if before == self.known:
            return
        start, stop = self.chunks.starts[before], self.chunks.starts[self.known]
        text = self.chunks.data[start:stop].tobytes().decode("utf-8", "replace")
        with self._tokenizer.vocab.memory_zone():  # frees what spaCy keeps of each word
            tokens = self._tokenizer(text.replace("IS_ALPHA", "IS_ALPHB"))
            begins = tokens.to_array("IDX").astype(np.int64)
            lengths = tokens.to_array("LENGTH").astype(np.int64)
        known = int(self.chunks.first[before])
        more = known + len(begins)
        room = len(self.chunks.lengths)
        if more > room:
            wanted = max(more, 2 * room)
            grown = {}
            for name in ("lengths", "characters", "kinds", "token_hashes"):
                kept = getattr(self.chunks, name)
                grown[name] = np.zeros(wanted, kept.dtype)
                grown[name][:room] = kept
            self.chunks = self.chunks._replace(**grown)
        _describe(begins, lengths, self.chunks.data, start, before, known, words.flags(), classes(), self.chunks)


@kernel
def _index(hashes: Any, known: int, table: Any) -> None:
    """Enter all chunks into a larger table. They are different, so that their hashes are enough."""
    mask = np.uint64(len(table) - 1)
    for chunk in range(known):
        slot = hashes[chunk] & mask
        while table[slot]:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = chunk + 1


@cache
def english() -> EnglishWords:
    """The memo of this process.

    Raises:
        ModuleNotFoundError: spaCy is not installed.
    """
    return EnglishWords()
