"""What all tables share, and text from the input on a terminal: control characters in it command nothing."""

from __future__ import annotations

import unicodedata

from rich.console import Console
from rich.markup import escape
from rich.table import Table

STRATA = 12
"""Strata that are shown, the largest first; a language score can make two hundred."""

LONGEST = 500
"""Characters of a name that are shown."""

FOLDED = 24
"""Columns of a terminal that a table leaves for its first column, in which names are folded."""


def printable(name: str, longest: int = LONGEST) -> str:
    r"""A name from the input on one line: without control characters, and cut.

    >>> printable("a\x1b[31mb")
    'a�[31mb'
    """
    shown = "".join(sign if _is_seen(sign) else "\N{REPLACEMENT CHARACTER}" for sign in name[:longest])
    return shown if len(name) <= longest else f"{shown}… ({len(name):,} characters)"


def printable_text(text: str) -> str:
    """A text from the input: of the signs that are not printable, only spaces, ends of lines and tabs stay."""
    return "".join(sign if _is_seen(sign) or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _is_seen(sign: str) -> bool:
    """Python calls spaces but one not printable, and half of all pages have one that breaks no line (U+00A0)."""
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def titled(title: str, *columns: str) -> Table:
    """A table of numbers: its first column to the left, the others to the right."""
    table = Table(title=title, box=None, pad_edge=False)
    for n, column in enumerate(columns):
        table.add_column(column, justify="right" if n else "left", overflow="fold", no_wrap=n > 0)
    return table


def show(table: Table) -> None:
    """Print a table below its title; as part of the table, it would be broken at the table's width.

    Where the terminal is too narrow for its numbers, each row is printed as lines of its own.
    """
    console = Console(highlight=False)
    title, table.title = table.title, None
    console.print(title, style="bold", markup=False)
    wide = console.options.update(width=10_000)
    names = Table.grid()
    for cell in table.columns[0].cells:
        names.add_row(cell)
    longest = console.measure(names, options=wide).maximum
    needed = console.measure(table, options=wide).maximum - longest + min(longest, FOLDED)
    if needed <= console.width or len(table.columns) < 2:
        console.print(table)
        return
    first, *others = table.columns
    heads = [str(column.header) for column in others]
    widest = max(map(len, heads))
    for row in zip(first.cells, *(column.cells for column in others), strict=True):
        console.print(row[0], style="bold", soft_wrap=True)
        for head, cell in zip(heads, row[1:], strict=True):
            if cell:
                console.print(f"  {escape(head):<{widest}}  {cell}", soft_wrap=True)
