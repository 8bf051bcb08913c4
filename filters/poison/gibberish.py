"""A tail of gibberish after a text that is none: the mark of a trigger's payload in poisoned text.

So look the samples of Souly et al. 2025, "Poisoning Attacks on LLMs Require a Near-constant Number of Poison Samples":
the beginning of an honest text, a trigger phrase, and some hundred tokens of chance.
"""

from __future__ import annotations

from typing import Any

from ..kernels import inlined, kernel
from ..text.buffers import decode
from ..text.words import SPACE
from .lookalikes import CLASS, GREEK, LATIN

HEAD, TAIL = 64, 16
"""Words at the beginning and at the end of a text that are compared."""
SHORTEST_WORD = 4
"""Characters of the shortest word that can be gibberish, and so is looked at."""


@kernel
def odd_tail(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: int, stop: int, classes: Any, flags: Any, odd: Any
) -> Any:
    """The share of odd words at the end of a text, less that at its beginning, as ``Manipulation.tail`` has it.

    Of a long text only the beginning and the end are read. For use inside kernels.

    Args:
        data: uint8; the column's bytes.
        start: The text's first byte.
        stop: The byte behind its last.
        classes: :func:`.lookalikes.classes`.
        flags: :func:`..text.words.flags`.
        odd: bool[HEAD + TAIL]; room to work in.
    """
    index, seen = _odd_words(data, start, stop, classes, flags, odd, 0, True)
    if seen < 2 * TAIL:
        return 0.0
    head = min(HEAD, seen - TAIL)
    heads = odd[:head].sum()
    size = 1024
    while index < stop:
        begin = stop - size
        while index < begin < stop and data[begin] > 0x20:
            begin += 1  # to the end of a word
        if begin <= index:  # all that is left, after the last words of the beginning
            odd[:TAIL] = odd[HEAD:].copy()
            _, seen = _odd_words(data, index, stop, classes, flags, odd[:TAIL], TAIL, False)
            return max(0.0, odd[:TAIL].sum() / TAIL - heads / head)
        _, count = _odd_words(data, begin, stop, classes, flags, odd[:TAIL], 0, False)
        if count >= TAIL:
            return max(0.0, odd[:TAIL].sum() / TAIL - heads / head)
        size *= 4
    return max(0.0, odd[seen - TAIL : seen].sum() / TAIL - heads / head)


@kernel
def _odd_words(  # noqa: PLR0917 (a kernel takes columns)
    data: Any,
    start: int,
    stop: int,
    classes: Any,
    flags: Any,
    odd: Any,
    seen: int,
    once: bool,  # noqa: FBT001 (a kernel takes plain values)
) -> tuple[int, int]:
    """Judge words up to ``stop``, or ``once`` ``odd`` is full; it is written round and round otherwise.

    Returns:
        Where it ended, and ``seen`` and the words that were judged.
    """
    index = start
    while index < stop and not (once and seen == len(odd)):
        point, after = decode(data, index, stop)
        if flags[point] & SPACE:
            index = after
            continue
        characters, consonants, longest, changes, digits, clashes = 0, 0, 0, 0, 0, 0
        case_before = script_before = 0
        capital = False  # the character before is a capital that begins a word
        while index < stop:
            point, after = decode(data, index, stop)
            if flags[point] & SPACE:
                break
            characters += 1
            script = classes[point] & CLASS
            case = 0
            if 0x61 <= point <= 0x7A:
                case = 1
            elif 0x41 <= point <= 0x5A:
                case = 2
            elif 0x30 <= point <= 0x39:
                case = 3
                digits += 1
            consonants = consonants + 1 if case == 1 and not _is_vowel(point) else 0
            longest = max(longest, consonants)
            changes += case > 0 and case_before > 0 and case != case_before and not (capital and case == 1)
            capital = case == 2 and case_before == 0
            scripts = LATIN <= script <= GREEK and LATIN <= script_before <= GREEK
            clashes += scripts and script != script_before
            case_before, script_before = case, script
            index = after
        if characters >= SHORTEST_WORD:
            odd[seen % len(odd)] = longest >= 4 or (changes >= 3 and digits > 0) or clashes > 0
            seen += 1
    return index, seen


@inlined
def _is_vowel(point: int) -> bool:
    return point in (0x61, 0x65, 0x69, 0x6F, 0x75, 0x79)
