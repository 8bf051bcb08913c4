"""The report of a result: written by every build, and again by `tokenladder report`."""

from __future__ import annotations

import json
import os
from typing import Any

import jinja2

from ...data_cards.report import render_report
from ..files import store
from ..files.folders import need_folder

PAGE = "report.html"
NUMBERS = ".build/report.json"
"""What the page shows and the manifest does not tell; not part of the result, and made anew by a build."""

FORM = 2
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
        UserError: The folder holds no result, or its numbers are not there, damaged, or of another version; or the
            page is to take the place of a folder, or to stand below a file.
        OSError: The page cannot be written there.
    """
    out = store.absolute(out)
    manifest, found = _numbers(out)
    target = store.absolute(file) if file else store.join(out, PAGE)
    if "/" not in target.partition("://")[2] if store.is_remote(target) else os.path.isdir(target):
        raise store.UserError(f"{target}: is a folder. Name the file, too: --to {store.join(target, PAGE)}")
    if file is not None:
        need_folder(target.rpartition("/")[0], "--to")
    try:
        page = render_report(manifest, found, samples=samples)
    except _DAMAGED as error:
        raise _damaged(out, error) from error
    try:
        store.write_bytes(target, page.encode())
    except OSError as error:
        raise OSError(f"{target}: the report cannot be written: {error}") from error
    return target


def read_report(out: str, *, samples: bool = True) -> dict[str, Any]:
    """The numbers behind a report that the manifest does not tell, for programs.

    Args:
        out: Folder of the result.
        samples: Whether texts of documents are among them.

    Raises:
        UserError: As for `write_report`.
    """
    out = store.absolute(out)
    _, found = _numbers(out)
    return found if samples else {key: value for key, value in found.items() if key != "samples"}


def _numbers(out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest of a result, and what `findings.gather` gave."""
    manifest = _read(out, "manifest.json", "Give the folder of a finished build.")
    found = _read(out, NUMBERS, AGAIN)
    if found.get("form") != FORM:
        raise store.UserError(f"{store.join(out, NUMBERS)}: was made by another version. {AGAIN}")
    return manifest, found


_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, jinja2.UndefinedError)
"""What a page meets in numbers of another shape than a build writes."""


def _damaged(out: str, error: Exception) -> store.UserError:
    which = f"{store.join(out, NUMBERS)} or manifest.json"
    told = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return store.UserError(f"{which}: is damaged: {told}. {AGAIN}")


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
