"""Folders below a person's own that are no input: what package managers and earlier builds put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..files.store import File

ENVIRONMENT = "a virtual environment of Python"
PACKAGES = "packages of Node.js"
RESULT = "a result of TokenLadder"
STORE = "a store of TokenLadder"

_ENDS = {"/pyvenv.cfg": ENVIRONMENT, "/.build/progress.jsonl": RESULT, "/.build/pool.json": RESULT}
"""Ends of names that tell the folder in which they stand."""

_HELD = (("/ledger/", ".parquet"), ("/manifest", ".json"), ("/parts/", ".parquet"), ("/slices/", ".json"))
"""What stands in results and in stores: the first two together, or the last two."""


def find_not_input(root: str, files: Iterable[File]) -> dict[str, str]:
    """Folders below a folder that hold no input, by what other people's or this project's files in them tell.

    Args:
        root: The folder.
        files: What stands below it.

    Returns:
        Each such folder that stands in no other, sorted, and what it is.
    """
    found: dict[str, str] = {}
    held: dict[str, set[str]] = {}
    for file in files:
        path = file.path[len(root) :]
        found |= {root + path.removesuffix(end): what for end, what in _ENDS.items() if path.endswith(end)}
        before, inside, _ = path.partition("/node_modules/")
        if inside:
            found[f"{root}{before}/node_modules"] = PACKAGES
        for name, end in _HELD:
            before, inside, rest = path.partition(name)
            if inside and rest.endswith(end):
                held.setdefault(root + before, set()).add(name)
    found |= {folder: STORE for folder, names in held.items() if {"/parts/", "/slices/"} <= names}
    found |= {folder: RESULT for folder, names in held.items() if {"/ledger/", "/manifest"} <= names}
    out: dict[str, str] = {}
    for folder in sorted(found.keys() - {root}):
        if not is_below(folder, out):
            out[folder] = found[folder]
    return out


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path stands in one of some folders, or is one.

    >>> is_below("/a/b/c", ["/a/b"]), is_below("/a/bc", ["/a/b"])
    (True, False)
    """
    return any(f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)


def own_files(study: str) -> tuple[str, ...]:
    """What stands or will stand beside a study: the file, its schema, and the result of its build.

    Args:
        study: The absolute path of the file.
    """
    folder = study.rpartition("/")[0]
    return study, store.join(folder, "study.schema.json"), store.join(folder, "built")
