"""Folders of the store that one mark says are whole, and what they then held.

Of a part without near duplicates, say, there is no file. So a file that something took away since, a rule of a bucket
or a cleaner of /tmp, would be taken for one that never was. Therefore a mark tells how many files there were; a folder
that holds another number is not whole, and is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def mark(folder: str, told: Mapping[str, Any], holds: Sequence[str]) -> None:
    """Say that a folder is whole: write its `done.json`.

    Args:
        folder: Path.
        told: What else the mark tells.
        holds: Folders inside whose files are counted.
    """
    counts = {name: len(store.names(store.join(folder, name))) for name in holds}
    store.write_json(store.join(folder, "done.json"), {**told, "holds": counts})


def is_done(folder: str) -> bool:
    """Whether a folder was marked, and holds as many files as it did then; a mark that cannot be read is none."""
    path = store.join(folder, "done.json")
    if not store.exists(path):
        return False
    try:
        holds = store.read_json(path).get("holds", {})  # of an older version there are no counts
    except (ValueError, AttributeError):
        return False
    return all(len(store.names(store.join(folder, name))) == count for name, count in holds.items())
