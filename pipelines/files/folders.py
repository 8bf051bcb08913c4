"""Folders that are to be filled: a file in their way is told before any work."""

from __future__ import annotations

import os.path

from . import store


def file_in(path: str) -> str:
    """What stands at a path, or above it, and is no folder; "" where a folder is, or can be made.

    Args:
        path: Local, absolute or relative; of an object store nothing stands in the way.
    """
    path = store.absolute(path)
    while not store.is_remote(path) and not os.path.lexists(path):
        path = os.path.dirname(path)
    return "" if store.is_remote(path) or os.path.isdir(path) else path


def need_folder(path: str, option: str) -> None:
    """Stop where a file stands in a folder's place.

    Args:
        path: The folder, which may be still to make.
        option: What named it, such as `--out`.

    Raises:
        UserError: It does.
    """
    file = file_in(path)
    if file:
        raise store.UserError(f"{option} {path}: {file} is a file, so no folder can stand there. Name another one.")
