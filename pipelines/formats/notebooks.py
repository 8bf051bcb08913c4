"""Jupyter notebooks as Markdown: their text and code in order, without outputs, images and metadata."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .record import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTEBOOK = "Jupyter Notebook"
"""What the column ``file_type`` calls them."""

_DAMAGED = "damaged notebook"
_FENCES = re.compile(r"^[ \t]*(`{3,})", re.MULTILINE)
_LANGUAGE = re.compile(r"[A-Za-z0-9+#_.-]{1,40}")


def notebook_text(data: str) -> str:
    r"""The cells of a notebook, a blank line between them, code between fences that name the language.

    Versions 3 and 4 of the nbformat specification: cells lie in ``cells``, or in ``worksheets``; the source of a cell
    is a string or a list of lines, under ``source`` or ``input``.

    Args:
        data: The notebook's JSON.

    Raises:
        CorruptError: It is no JSON, or no notebook; the message is the reason that the ledger shows.

    >>> cells = [
    ...     {"cell_type": "markdown", "source": ["# Sum"]},
    ...     {"cell_type": "code", "source": "1 + 1", "outputs": []},
    ... ]
    >>> notebook_text(json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": "python"}}}))
    '# Sum\n\n```python\n1 + 1\n```\n'
    """
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):  # not JSON, nested a thousand deep, or a number of 4,300 digits
        raise CorruptError(_DAMAGED) from None
    if not isinstance(notebook, dict) or not ({"cells", "worksheets"} & notebook.keys()):
        raise CorruptError(_DAMAGED)
    language = _language(notebook)
    pieces = []
    for cell in _cells(notebook):
        source = _source(cell)
        if not source.strip():
            continue
        if cell.get("cell_type") == "code":
            own = cell.get("language")
            source = _fenced(source, own if isinstance(own, str) and _LANGUAGE.fullmatch(own) else language)
        elif cell.get("cell_type") == "heading":  # version 3
            level = cell.get("level")
            source = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1) + " " + source.strip()
        pieces.append(source.strip("\n"))
    return "\n\n".join(pieces) + "\n" if pieces else ""


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = [notebook] if "cells" in notebook else notebook["worksheets"]
    if not isinstance(sheets, list):
        raise CorruptError(_DAMAGED)
    for sheet in sheets:
        cells = sheet.get("cells", []) if isinstance(sheet, dict) else None
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise CorruptError(_DAMAGED)
        yield from cells


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        raise CorruptError(_DAMAGED)
    return "".join(lines)


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        told = metadata.get(key) if isinstance(metadata, dict) else None
        language = told.get(name) if isinstance(told, dict) else None
        if isinstance(language, str) and _LANGUAGE.fullmatch(language):
            return language
    return ""


def _fenced(source: str, language: str) -> str:
    longest = max((len(match) for match in _FENCES.findall(source)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n" + source.strip("\n") + f"\n{fence}"
