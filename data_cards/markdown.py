"""Markdown and YAML that show just the characters of values, wherever these come from."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LISTED = re.compile(r"^(\s*\d*)([-+.)])(?=\s|-)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$#!@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def plural(n: int, word: str) -> str:
    """A number of things.

    >>> plural(1, "rung"), plural(3, "rung")
    ('1 rung', '3 rungs')
    """
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table; the first `texts` columns are words, the others numbers."""
    rule = ["---" if n < texts else "---:" for n in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def numbers(*values: int) -> tuple[str, ...]:
    """Whole numbers for people."""
    return tuple(f"{value:,}" for value in values)


def plain(value: object) -> str:
    """A value as Markdown that shows just its characters: no markup, no HTML, no link, no second line."""
    plain = "".join(sign if sign.isprintable() else " " for sign in str(value))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LISTED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", plain))


def yaml_string(value: str) -> str:
    """A string as a double-quoted YAML scalar: JSON, with the signs escaped that YAML does not take as they are."""
    plain = value.encode("utf-8", "replace").decode()
    quoted = json.dumps(plain, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)


def python_string(value: str) -> str:
    """A string as Python writes it, in double quotes where that is the same."""
    quoted = ascii(value)
    return quoted if set(quoted[1:-1]) & set('"\\') else f'"{quoted[1:-1]}"'


def fenced(language: str, code: str) -> str:
    """A code block whose fence is longer than any row of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
