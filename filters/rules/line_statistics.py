"""One pass over a document's lines and paragraphs: what Gopher's rules and FineWeb's count in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..hashing import xxh64
from ..kernels import kernel
from ..text.buffers import decode
from ..text.punctuation import TERMINAL
from ..text.words import BREAK, SPACE, WORD
from .ngrams import cleared, owner_of

LINE_COUNTS = 18
(
    CHARACTERS,  # code points
    HASHES,  # of "#"
    ELLIPSES,  # of "..." and of U+2026
    LINES,  # as str.splitlines cuts
    BULLETS,  # lines that begin with a bullet or a hyphen
    TRAILING,  # lines that end in an ellipsis
    NEWLINES,  # of U+000A
    PIECES,  # as re.split("\n+") cuts
    DUPLICATE_PIECES,
    DUPLICATE_PIECE_CHARACTERS,
    FULL_LINES,  # between newlines, and not blank
    TERMINAL_LINES,  # of these, those that end in terminal punctuation
    SHORT_LINES,  # of these, those of few characters
    DUPLICATE_LINE_CHARACTERS,
    PARAGRAPHS,  # as re.split("\n{2,}") cuts the stripped text
    DUPLICATE_PARAGRAPHS,
    DUPLICATE_PARAGRAPH_CHARACTERS,
    LONG_PIECES,  # pieces of 200 characters or more, blank or not
) = range(LINE_COUNTS)


@kernel
def count_lines(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, flags: Any, classes: Any, short: int, counts: Any
) -> None:
    """Fill ``counts`` (int64[rows, LINE_COUNTS]); a line is short if it has at most ``short`` characters."""
    table = np.zeros(16, np.int32)
    keys = np.empty(8, np.uint64)
    newlines = np.empty(8, np.int64)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        start, stop = offsets[row], offsets[row + 1]
        lines = 1
        for byte in data[start:stop]:
            lines += byte == 0x0A
        if lines > len(keys):
            keys = np.empty(2 * lines, np.uint64)
            newlines = np.empty(2 * lines, np.int64)
            size = len(table)
            while size < 4 * lines:
                size *= 2
            table = np.zeros(size, np.int32)
        figures = counts[row]
        part = cleared(table, lines)
        first, last, newline = _count_row(data, start, stop, flags, classes, short, part, keys, newlines, figures)
        # Where text is not UTF-8, a broken character can hide a newline: there may be fewer than bytes tell.
        _count_paragraphs(data, first, last, cleared(table, lines), keys, newlines[:newline], figures)
        if start < stop:
            # An empty piece stands before a newline that begins the text, and after one that ends it.
            before, after = data[start] == 0x0A, data[stop - 1] == 0x0A
            counts[row, PIECES] += before + after
            counts[row, DUPLICATE_PIECES] += before and after


@kernel
def _count_row(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: int, stop: int, flags: Any, classes: Any, short: int, table: Any, keys: Any, newlines: Any,
    counts: Any
) -> tuple[int, int, int]:  # fmt: skip
    """Everything but paragraphs, and where the newlines are.

    Returns:
        Where the text begins and ends when stripped, and how many newlines there are.
    """
    newline = 0
    first, last = stop, start
    index = start
    pieces = 0
    characters = 0
    begun = start  # of the piece between newlines
    before = 0  # characters before it
    blank = True  # the piece has no character but white space so far
    empty = True  # the same for the line, which may end earlier
    run = 0  # full stops up to here, for "..."; begins anew after each three
    tail = 0  # full stops at the end of what is not white space; 3 or more, or the character itself, is an ellipsis
    adjacent = False  # the character before was a full stop
    point = np.int64(0)
    previous = np.int64(0)
    while index < stop:
        at = index
        previous = point
        if data[index] < 0x80:
            point = np.int64(data[index])
            index += 1
        else:
            point, index = decode(data, index, stop)
        flag = flags[point]
        characters += 1
        if flag & WORD:
            if blank:
                blank = False
                first = min(first, at)
            empty = False
            run = 0
            tail = 0
            adjacent = False
            while index < stop and data[index] < 0x80 and flags[data[index]] & WORD:  # the rest of the word
                index += 1
                characters += 1
            point = np.int64(data[index - 1]) if index - at > 1 and data[index - 1] < 0x80 else point
            last = index
            continue
        dot = point == 0x2E
        if not flag & SPACE:
            if blank:
                blank = False
                first = min(first, at)
            last = index
            run = run + 1 if dot else 0
            if run == 3:
                counts[ELLIPSES] += 1
                run = 0
            if point == 0x23:
                counts[HASHES] += 1
            if point == 0x2026:
                counts[ELLIPSES] += 1
            if empty and (point == 0x2022 or point == 0x2D):  # noqa: PLR1714 (numba)
                counts[BULLETS] += 1
            empty = False
            tail = tail * adjacent + 1 if dot else 3 * (point == 0x2026)
            adjacent = dot
            continue
        adjacent = False
        run = 0
        if not flag & BREAK:
            continue
        if point != 0x0A or previous != 0x0D or at == start:  # else the line ended one character ago
            counts[LINES] += 1
            counts[TRAILING] += tail >= 3
        empty = True
        tail = 0
        if point == 0x0A:
            newlines[newline] = at
            newline += 1
            if begun < at:
                length = characters - 1 - before
                keys[pieces] = xxh64(data, begun, at, np.uint64(0))
                _count_piece(table, keys, pieces, length, blank, (classes[previous] & TERMINAL) != 0, short, counts)
                pieces += 1
            begun = index
            before = characters
            blank = True
    if start < stop and not flags[point] & BREAK:
        counts[LINES] += 1
        counts[TRAILING] += tail >= 3
    if begun < stop:
        keys[pieces] = xxh64(data, begun, stop, np.uint64(0))
        ended = (classes[point] & TERMINAL) != 0
        _count_piece(table, keys, pieces, characters - before, blank, ended, short, counts)
    counts[CHARACTERS] = characters
    counts[NEWLINES] = newline
    return first, last, newline


@kernel
def _count_piece(  # noqa: PLR0917 (a kernel takes columns)
    table: Any, keys: Any, piece: int, length: int, blank: Any, ended: Any, short: int, counts: Any
) -> None:
    duplicate = owner_of(table, keys, piece) != piece
    counts[PIECES] += 1
    counts[DUPLICATE_PIECES] += duplicate
    counts[DUPLICATE_PIECE_CHARACTERS] += length * duplicate
    counts[LONG_PIECES] += length >= 200
    if not blank:
        counts[FULL_LINES] += 1
        counts[TERMINAL_LINES] += ended
        counts[SHORT_LINES] += length <= short
        counts[DUPLICATE_LINE_CHARACTERS] += length * duplicate


@kernel
def _count_paragraphs(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: int, stop: int, table: Any, keys: Any, newlines: Any, counts: Any
) -> None:
    """Paragraphs of the stripped text; one, empty, if nothing is left."""
    paragraph = 0
    begun = start
    newline = 0
    while newline < len(newlines) and newlines[newline] < start:
        newline += 1
    while begun <= max(start, stop):
        end = max(start, stop)
        following = end + 1
        while newline < len(newlines) and newlines[newline] < stop:
            at = newlines[newline]
            run = 1
            while newline + run < len(newlines) and newlines[newline + run] == at + run:
                run += 1
            newline += run
            if run > 1:
                end = at
                following = at + run
                break
        keys[paragraph] = xxh64(data, begun, end, np.uint64(0))
        counts[PARAGRAPHS] += 1
        if owner_of(table, keys, paragraph) != paragraph:
            counts[DUPLICATE_PARAGRAPHS] += 1
            for byte in data[begun:end]:
                counts[DUPLICATE_PARAGRAPH_CHARACTERS] += byte & 0xC0 != 0x80
        paragraph += 1
        begun = following
