r"""Data that is written as text: base64, runs of hexadecimal bytes, runs of Unicode escapes.

The three patterns of StarCoder 2 (Lozhkov et al. 2024, "StarCoder 2 and The Stack v2: The Next Generation", section on
the encoded data filter), as Python's ``re`` reads them:

* base64: ``[a-zA-Z0-9+/\n=]{64,}``
* hexadecimal: ``(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}``
* Unicode: ``(?:\\u[0-9a-fA-F]{4}){8,}``

They are taken as published, with what they miss (``0x12, 0x34``: a space after a comma ends a run) and what they take
that is no data (a list of words, one a line, is base64).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import inlined, kernel
from ..text.buffers import decode
from ..text.words import ALPHANUMERIC, SPACE

BASE64_RUN = 64
RUN = 8
"""Fewest bytes or escapes in a row."""

BASE64, HEX = 1, 2
CLASSES = np.zeros(256, np.uint8)
"""Bits BASE64 and HEX for each byte."""
CLASSES[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\n=")] |= BASE64
CLASSES[list(b"0123456789abcdefABCDEF")] |= HEX

_BACKSLASH = 0x5C


@inlined
def is_word(flags: Any, point: Any) -> bool:
    r"""Whether ``\w`` matches the code point."""
    return bool((flags[point] & ALPHANUMERIC) != 0 or point == 0x5F)


@kernel
def escapes(data: Any, index: Any, stop: Any, classes: Any) -> int:
    r"""Where the run of ``\uXXXX`` that begins at ``index`` ends; ``index`` where there are fewer than eight."""
    at = index
    while at + 5 < stop and data[at] == _BACKSLASH and data[at + 1] == 0x75:
        for each in range(2, 6):
            if not classes[data[at + each]] & HEX:
                return int(at) if at - index >= 6 * RUN else int(index)
        at += 6
    return int(at) if at - index >= 6 * RUN else int(index)


@kernel
def hexadecimal(data: Any, index: Any, stop: Any, flags: Any, classes: Any) -> tuple[Any, Any]:
    r"""The run of hexadecimal bytes that begins at ``index``, which must be at a ``\b``.

    Greedy steps suffice: no step has a second way to match that would let a later one succeed.

    Returns:
        Where it ends (a byte index), and its code points; ``index`` and 0 where there are fewer than eight bytes.
    """
    at = index
    count = 0
    characters = 0
    joined = False  # whether a word character stands just before `at`; asked from the second byte on
    while True:
        digits = at
        if at + 1 < stop and (
            (data[at] == 0x30 and data[at + 1] == 0x78) or (data[at] == _BACKSLASH and data[at + 1] == 0x78)
        ):
            digits = at + 2
        starts_word = at < stop and data[at] != _BACKSLASH
        boundary = count == 0 or joined != starts_word
        if not boundary or digits + 1 >= stop:
            break
        if not (classes[data[digits]] & HEX and classes[data[digits + 1]] & HEX):
            break
        end = digits + 2
        length = end - at
        joined = True
        if end < stop and data[end] == 0x2C:
            end += 1
            length += 1
            joined = False
        elif end < stop:
            point, after = decode(data, end, stop)
            if is_word(flags, point):
                break
            while end < stop and flags[point] & SPACE:
                end = after
                length += 1
                joined = False
                if end < stop:
                    point, after = decode(data, end, stop)
        at = end
        count += 1
        characters += length
    if count < RUN:
        return index, characters - characters
    return at, characters
