"""What all tables share, and text from the input on a terminal: control characters in it command nothing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

STRATA = 12
"""Strata that are shown, the largest first; a language score can make two hundred."""

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


def titled(title: str, *columns: str) -> Table:
    """A table of numbers: its first column to the left, the others to the right."""
    table = Table(title=title, box=None, pad_edge=False)
    for n, column in enumerate(columns):
        table.add_column(column, justify="right" if n else "left", overflow="fold")
    return table


def show(table: Table) -> None:
    """Print a table below its title; as part of the table, it would be broken at the table's width."""
    console = Console(highlight=False)
    title, table.title = table.title, None
    console.print(title, style="bold", markup=False)
    console.print(table)
