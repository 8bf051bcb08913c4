"""Characters that are not what they seem: invisible ones, and letters that look like those of another script.

Which script a letter is of comes from its name in ``unicodedata``; which letters look alike in common fonts is a table
of our own, in the spirit of Unicode Technical Standard 39, kept to Latin, Cyrillic and Greek and to the pairs that a
reader cannot tell apart.
"""

# ruff: noqa: RUF001, RUF002 (look-alikes are what this is about)
from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LATIN, CYRILLIC, GREEK, OTHER, RIGHT_TO_LEFT = 1, 2, 3, 4, 5
"""What a letter is; OTHER is every other script that is written from left to right."""
DIGIT = 6
ZERO_WIDTH = 7
"""Zero width space, word joiner, invisible operators, byte order mark, Mongolian vowel separator; and the joiners that
emoji, Persian and the scripts of India need."""
OPENS, CLOSES = 8, 9
"""Controls of writing direction: embeddings, overrides and isolates, and what ends them."""
TAG = 10
"""Plane 14's copies of ASCII: invisible, and once meant to name languages."""
SELECTOR = 11
"""Variation selectors: invisible, at most one after a character."""
FLAG = 12
"""The black flag, which tags may follow: the flags of England, Scotland and Wales."""
CLASS = 0x0F
"""Mask of the numbers above; the bits below stand beside them."""
LOOKS_LATIN, LOOKS_CYRILLIC, LOOKS_GREEK = 0x10, 0x20, 0x40
"""A letter that also looks like one of another script."""

_FROM_CYRILLIC = dict(zip("аеорсухіјѕһԁԛԝӏАВЕЅІЈКМНОРСТУХԚԜӀ", "aeopcyxijshdqwlABESIJKMHOPCTYXQWI", strict=True))
_FROM_GREEK = dict(zip("ονϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ovcjABEZHIKMNOPTYX", strict=True))
_ZERO_WIDTHS = (0x180E, 0x200B, 0x200C, 0x200D, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF)
_SCRIPTS = {"LATIN": LATIN, "CYRILLIC": CYRILLIC, "GREEK": GREEK}


@cache
def classes() -> NDArray[np.uint8]:
    """The class of every code point, 0 where none of the above.

    Returns:
        uint8[0x110000]: a number in the bits CLASS, and the bits LOOKS_…; read only; 0.2 s at the first call.

    >>> [int(classes()[ord(each)]) for each in "zа€"]  # the second is Cyrillic
    [1, 18, 0]
    """
    table = np.zeros(0x110000, np.uint8)
    for point in range(0x40000):
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] == "L":
            script = unicodedata.name(character, "").split(" ", 1)[0]
            written = RIGHT_TO_LEFT if unicodedata.bidirectional(character) in {"R", "AL"} else OTHER
            table[point] = _SCRIPTS.get(script, written)
        elif category == "Nd":
            table[point] = DIGIT
    for foreign, bit in ((_FROM_CYRILLIC, LOOKS_CYRILLIC), (_FROM_GREEK, LOOKS_GREEK)):
        for letter, latin in foreign.items():
            table[ord(letter)] |= LOOKS_LATIN
            table[ord(latin)] |= bit
    table[list(_ZERO_WIDTHS)] = ZERO_WIDTH
    table[[0x202A, 0x202B, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068]] = OPENS
    table[[0x202C, 0x2069]] = CLOSES
    table[[0xE0001, *range(0xE0020, 0xE0080)]] = TAG
    table[[*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]] = SELECTOR
    table[0x1F3F4] = FLAG
    table.flags.writeable = False
    return table
