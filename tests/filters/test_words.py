from __future__ import annotations

import sys
import unicodedata

from tokenladder.filters.text import words

import naive


def test_every_code_point_has_the_properties_that_python_gives_it():
    flags = words.flags().tolist()
    assert len(flags) == sys.maxunicode + 1
    breaks = set(words.LINE_BREAKS)
    for point, flag in enumerate(flags):
        character = chr(point)
        category = unicodedata.category(character)
        expected = (
            words.SPACE * character.isspace()
            | words.ALPHA * character.isalpha()
            | words.ALPHANUMERIC * character.isalnum()
            | words.WORD * (category[0] in "LNM")
            | words.MARK * (category[0] == "M")
            | words.BREAK * (character in breaks)
        )
        assert flag & ~words.SOLO == expected, hex(point)


def test_letters_that_stand_alone_are_those_whose_names_say_so():
    solo = [point for point, flag in enumerate(words.flags().tolist()) if flag & words.SOLO]
    named = [point for point in range(0x40000) if naive.is_solo(chr(point))]
    assert [hex(point) for point in sorted({*solo} ^ {*named})] == []


def test_every_line_break_of_python_is_one():
    assert [chr(point) for point in range(sys.maxunicode + 1) if len(f"a{chr(point)}b".splitlines()) == 2] == sorted(
        words.LINE_BREAKS
    )


def test_folding_gives_one_character_and_folds_no_further():
    folded = words.folded().tolist()
    for point, to in enumerate(folded):
        if to not in {words.SEPARATES, words.DROPPED}:
            assert folded[to] == to, (hex(point), hex(to))
            assert len(chr(to).encode()) <= len(chr(point).encode("utf-8", "surrogatepass")) + 1
