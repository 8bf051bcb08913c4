"""Tables of punctuation: which characters others take for symbols and for ends of sentences, as they spell them out.

Unicode's own categories come from ``unicodedata``; the two lists are copied, because the scores that read them promise
the decisions of the projects that they are from.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYMBOL = 1
"""In datatrove's ``PUNCTUATION_SET``, control characters too: a token of these alone is no word to its filters."""
TERMINAL = 2
"""In datatrove's ``TERMINAL_PUNCTUATION``: ends a line as a sentence does."""
SENTENCE_END = 4
"""In the ``default_punct_chars`` of spaCy's sentencizer: ends a sentence."""
PUNCT = 8
"""Unicode category P; what spaCy calls ``is_punct``."""
DECIMAL = 16
"""``str.isdecimal``; what ``\\d`` matches."""
UPPER = 32
"""``str.isupper``."""

# datatrove 0.10.1, utils/text.py, PUNCTUATION without what is terminal; code points and ranges of them, hexadecimal.
_SYMBOLS = """
0-8 B-1F 22-2D 2F 3A-3E 40 5B-60 7B-9F AB B4 BB 2013-2014 2019 201C-201E 2026 2236 2501 25BA 3001 3008-300D 3010-3011
FF05 FF08-FF09 FF0C FF11 FF1A-FF1B FF5E
"""
# spaCy 3.8, pipeline/sentencizer.pyx, Sentencizer.default_punct_chars.
_SENTENCE_ENDS = """
21 2E 3F 589 61F 6D4 700-702 7F9 964-965 104A-104B 1362 1367-1368 166E 1735-1736 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B
1B5E-1B5F 1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F
A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 11047-11048 110BE-110C1 11141-11143
111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E
11A42-11A43 11A9B-11A9C 11C41-11C42 16A6E-16A6F 16AF5 16B37-16B38 16B44 1BC9F 1DA88
"""
# datatrove 0.10.1, utils/text.py, TERMINAL_PUNCTUATION: all of the above, and these.
_MORE_TERMINALS = """
61D-61E 837 839 83D-83E 17D4-17D6 17D9-17DA 1B7D-1B7E 2E53-2E54 10F55-10F59 10F86-10F89 11944 11946 11EF7-11EF8
11F43-11F44 16E98
"""


def _points(listed: str) -> list[int]:
    """The code points of a list such as ``21 2E 3F-40``."""
    found: list[int] = []
    for each in listed.split():
        first, _, last = each.partition("-")
        found += range(int(first, 16), int(last or first, 16) + 1)
    return found


@cache
def classes() -> NDArray[np.uint8]:
    """The punctuation classes of every code point.

    Returns:
        uint8[0x110000]: bits SYMBOL, TERMINAL, SENTENCE_END, PUNCT, DECIMAL, UPPER. Read only.

    >>> [int(classes()[ord(character)]) for character in "a.#7"]
    [0, 15, 9, 16]
    """
    table = np.zeros(0x110000, np.uint8)
    ends, terminals = _points(_SENTENCE_ENDS), _points(_MORE_TERMINALS)
    table[ends] |= SENTENCE_END | TERMINAL | SYMBOL
    table[terminals] |= TERMINAL | SYMBOL
    table[_points(_SYMBOLS)] |= SYMBOL
    points = range(0x20000)  # the planes above hold no punctuation, digits or capitals
    table[[point for point in points if unicodedata.category(chr(point))[0] == "P"]] |= PUNCT
    table[[point for point in points if chr(point).isdecimal()]] |= DECIMAL
    table[[point for point in points if chr(point).isupper()]] |= UPPER
    table.flags.writeable = False
    return table
