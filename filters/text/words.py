"""What a word is, for every score that counts or compares words; tables of characters, built from ``unicodedata``.

A text is cut into *tokens*:

* a **word** is a maximal run of letters, digits and marks (Unicode categories L, N and M);
* Chinese, Japanese, Thai, Lao, Khmer and Burmese write no spaces between words, so each letter of theirs, with the
  marks that follow it, is a word of its own;
* an apostrophe (U+0027 or U+2019), full stop or underscore between two word characters belongs to the word, and so does
  a comma between two that are no letters (Unicode Standard Annex 29, simplified);
* every other run of one repeated character that is not white space is a **symbol**: ``...``, ``#``, ``=====``.

MinHash reads words more loosely (:func:`folded`): lower-cased, without diacritics, and cut at every symbol.

The tables follow the Unicode version of the running Python; scores put :data:`UNICODE` into their identity, so that
output of two versions is never taken for the same.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel
from .buffers import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNICODE = unicodedata.unidata_version

SPACE = 1
"""``str.isspace``."""
ALPHA = 2
"""``str.isalpha``."""
ALPHANUMERIC = 4
"""``str.isalnum``."""
WORD = 8
"""Part of a word: categories L, N and M."""
SOLO = 16
"""A letter that is a word of its own: scripts without spaces between words."""
MARK = 32
"""Belongs to the letter before it: category M."""
BREAK = 64
"""Ends a line, as in ``str.splitlines``."""

LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Chinese iteration mark, ideographic zero
    (0x3021, 0x3029),  # Chinese numerals
    (0x3031, 0x303C),  # Japanese iteration marks
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Chinese, extension A
    (0x4E00, 0x9FFF),  # Chinese
    (0xA9E0, 0xA9FF),  # Burmese extension B
    (0xAA60, 0xAA7F),  # Burmese extension A
    (0xF900, 0xFAFF),  # Chinese, compatibility
    (0xFF66, 0xFF9F),  # Katakana, half width
    (0x1AFF0, 0x1B16F),  # Katakana and Hiragana, extensions
    (0x20000, 0x3FFFF),  # Chinese, extensions B and later
)
"""First and last code point of each block of a script without spaces between words."""

SEPARATES = 0
DROPPED = 1

TOKEN_WORD = 1
TOKEN_SYMBOL = 2

_POINTS = 0x110000
_IDEOGRAPHS = [*range(0x34, 0x4D), *range(0x4E, 0xA0), *range(0x200, 0x2F8), *range(0x300, 0x400)]
"""The high bytes of code points that are Chinese characters, which have neither cases nor diacritics."""
_ASSIGNED = 0x40000  # above: unassigned planes, private use, and the format characters and selectors of plane 14


@cache
def flags() -> NDArray[np.uint8]:
    """The properties of every code point.

    Returns:
        uint8[0x110000]: bits SPACE, ALPHA, ALPHANUMERIC, WORD, SOLO, MARK, BREAK. Read only; 40 ms at the first call.

    >>> bool(flags()[ord("é")] & WORD), bool(flags()[ord("中")] & SOLO), bool(flags()[ord("-")] & WORD)
    (True, True, False)
    """
    table = np.zeros(_POINTS, np.uint8)
    points, categories = _assigned()
    major = categories.astype("U1")
    letters = major == "L"
    table[points] = (
        ALPHA * letters + ALPHANUMERIC * letters + WORD * np.isin(major, ("L", "N", "M")) + MARK * (major == "M")
    )
    solo = np.zeros(_POINTS, np.bool_)
    solo[points[letters | (categories == "Nl")]] = True
    for first, last in UNSPACED:
        table[first : last + 1][solo[first : last + 1]] |= SOLO
    for point in points[major == "N"].tolist():
        table[point] |= ALPHANUMERIC * chr(point).isalnum()
    for point in points[np.isin(major, ("Z", "C"))].tolist():
        table[point] |= SPACE * chr(point).isspace()
    table[[ord(character) for character in LINE_BREAKS]] |= BREAK
    table.flags.writeable = False
    return table


@cache
def _assigned() -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Code points that may have a character, and the category of each."""
    points = np.r_[:_ASSIGNED, 0xE0000:0xE0200]
    return points, np.array([unicodedata.category(character) for character in map(chr, points.tolist())])


@cache
def folded() -> NDArray[np.uint32]:
    """What MinHash makes of every code point.

    A character of a word becomes its lower case without diacritics (``É`` and ``é`` become ``e``), so that composed and
    decomposed spellings are equal. Non-spacing marks and format characters (soft hyphen, joiners) are dropped: they
    split nothing. The zero width space and everything else separates words. Digits stay as they are: pages that differ
    in their figures differ.

    Returns:
        uint32[0x110000]: the code point to write, or SEPARATES, or DROPPED. Read only.

    >>> chr(folded()[ord("É")]), int(folded()[0x0301]), int(folded()[ord("-")])
    ('e', 1, 0)
    """
    table = np.zeros(_POINTS, np.uint32)
    points, categories = _assigned()
    major = categories.astype("U1")
    words = np.isin(major, ("L", "N", "M"))
    table[points[words]] = points[words]
    hangul = (points >= 0xAC00) & (points <= 0xD7FF)  # decomposes into letters, not into a letter and its marks
    table[points[hangul & (categories != "Lo")]] = SEPARATES
    plain = np.isin(points >> 8, _IDEOGRAPHS)
    for point in points[words & ~hangul & ~plain].tolist():
        lower = chr(point).lower()
        letters = unicodedata.normalize("NFD", lower)
        if len(letters) > 1:
            bases = [each for each in letters if unicodedata.category(each) != "Mn"]
            letters = bases[0] if len(bases) == 1 else lower[0]
        table[point] = ord(letters)
    dropped = np.isin(categories, ("Mn", "Me")) | ((categories == "Cf") & (points != 0x200B))
    table[points[dropped & ~hangul]] = DROPPED
    table.flags.writeable = False
    return table


@kernel
def next_token(data: Any, index: Any, stop: Any, flags: Any) -> tuple[Any, int, int, bool]:
    """The token that begins at ``data[index]``, which must not be white space; see the module for the rule.

    Returns:
        Where it ends (a byte index), TOKEN_WORD or TOKEN_SYMBOL, its code points, and whether one of them is a letter.
    """
    point, after = decode(data, index, stop)
    flag = flags[point]
    characters = 1
    letter = (flag & ALPHA) != 0
    alpha = letter
    if not flag & WORD:
        while after < stop:  # a run of one repeated symbol is one token: "...", "====="
            following, end = decode(data, after, stop)
            if following != point:
                break
            after = end
            characters += 1
        return after, TOKEN_SYMBOL, characters, False
    solo = (flag & SOLO) != 0
    while after < stop:
        while not solo and after < stop and data[after] < 0x80 and flags[data[after]] & WORD:  # ASCII, the quick way
            letter = (flags[data[after]] & ALPHA) != 0
            alpha = alpha or letter
            characters += 1
            after += 1
        if after == stop:
            break
        following, end = decode(data, after, stop)
        flag = flags[following]
        if flag & WORD and not flag & SOLO and (not solo or flag & MARK):
            characters += 1
            letter = (flag & ALPHA) != 0
            alpha = alpha or letter
            after = end
            continue
        # What joins the word characters on both sides of it: "don't", "example.org", "snake_case", "1,000".
        comma = following == 0x2C and not letter
        if (comma or following in (0x27, 0x2019, 0x2E, 0x5F)) and not solo and end < stop:
            third, _ = decode(data, end, stop)
            flag = flags[third]
            if flag & WORD and not flag & SOLO and not (comma and flag & ALPHA):
                characters += 1
                after = end
                continue
        break
    return after, TOKEN_WORD, characters, alpha
