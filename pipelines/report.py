"""The report of a result: written by every build, and again by `tokenladder report`."""

from __future__ import annotations

import json
from typing import Any

from ..data_cards.report import render_report
from . import store

PAGE = "report.html"
NUMBERS = ".build/report.json"
"""What the page shows and the manifest does not tell; not part of the result, and made anew by a build."""

FORM = 1
"""Raised whenever the page needs other numbers."""


AGAIN = "Build the study again into this folder: what is finished is kept, and the report is made."


def report_files(manifest: dict[str, Any], found: dict[str, Any]) -> dict[str, bytes]:
    """The files of a result's report, by name.

    Args:
        manifest: The manifest.
        found: What `findings.gather` gave.
    """
    numbers = json.dumps({"form": FORM, **found}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    found = json.loads(numbers)  # what a later command will read
    return {NUMBERS: numbers.encode(), PAGE: render_report(manifest, found).encode()}


def write_report(out: str, file: str | None = None, *, samples: bool = True) -> str:
    """Write the report of a result again.

    Args:
        out: Folder of the result.
        file: Where to; `report.html` in the folder by default.
        samples: Whether the page shows texts of documents.

    Returns:
        The path of the page.

    Raises:
        UserError: The folder holds no result, or its numbers are not there, damaged, or of another version.
    """
    out = store.absolute(out)
    manifest = _read(out, "manifest.json", "Give the folder of a finished build.")
    found = _read(out, NUMBERS, AGAIN)
    if found.get("form") != FORM:
        raise store.UserError(f"{store.join(out, NUMBERS)}: was made by another version. {AGAIN}")
    target = store.absolute(file) if file else store.join(out, PAGE)
    store.write_bytes(target, render_report(manifest, found, samples=samples).encode())
    return target


def _read(out: str, name: str, hint: str) -> dict[str, Any]:
    path = store.join(out, name)
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no {name}. {hint}")
    try:
        value = store.read_json(path)
    except ValueError as error:
        raise store.UserError(f"{path}: is not JSON: {error}. {AGAIN}") from error
    if not isinstance(value, dict):
        raise store.UserError(f"{path}: is not an object. {AGAIN}")
    return value
