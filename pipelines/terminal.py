"""Text from the input on a terminal: control characters in it command nothing."""

from __future__ import annotations

LONGEST = 500
"""Characters of a name that are shown."""


def printable(name: str, longest: int = LONGEST) -> str:
    r"""A name from the input on one line: without control characters, and cut.

    >>> printable("a\x1b[31mb")
    'a�[31mb'
    """
    shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name[:longest])
    return shown if len(name) <= longest else f"{shown}… ({len(name):,} characters)"


def printable_text(text: str) -> str:
    """A text from the input: of the signs that are not printable, only ends of lines and tabs stay."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text)
