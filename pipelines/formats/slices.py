"""Slices: the piece of a source that one task reads. They depend on the input alone, never on workers."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from .record import valid_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..files.store import File

GATHERED_BYTES = 16 * 2**20
"""Small files are gathered until their raw bytes reach this."""
GATHERED_FILES = 4096
"""Or until there are so many of them: a listing of 4,096 names stays near 1 MB."""
SPLIT_BYTES = 256 * 2**20
"""Target size of a piece of a large file that can be split, in raw bytes."""


class Input(NamedTuple):
    """A raw file of a slice.

    Attributes:
        name: Path relative to the source's root, with `/`.
        path: Where it is now.
        size: Bytes when it was listed.
        modified: Nanoseconds since 1970, 0 where unknown.
        link: Whether it is a symbolic link.
    """

    name: str
    path: str
    size: int
    modified: int
    link: bool = False


@dataclasses.dataclass(frozen=True)
class Slice:
    """Files that one task reads, or a piece of one large file.

    Attributes:
        files: In the order they are read.
        start: First byte (jsonl) or row group (parquet) of a piece of one file, 0 for whole files.
        stop: One past the last, -1 for "to the end".
        licences: The licence files that may hold for `files`, sorted by name (tree only).
    """

    files: tuple[Input, ...]
    start: int = 0
    stop: int = -1
    licences: tuple[Input, ...] = ()

    @property
    def bytes(self) -> int:
        """Raw bytes in this slice, for progress; of a piece of a parquet file those of the whole file."""
        if self.stop < 0 or not self.files[0].name.endswith(".jsonl"):
            return sum(file.size for file in self.files) - (self.start if len(self.files) == 1 else 0)
        return self.stop - self.start

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal slice."""
        return json.dumps([self.files, self.start, self.stop, self.licences], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Slice:
        """The slice that `to_json` wrote.

        >>> one = Slice((Input("a.jsonl", "/data/a.jsonl", 12, 0),), 0, 12)
        >>> Slice.from_json(one.to_json()) == one
        True
        """
        files, start, stop, licences = json.loads(text)
        return cls(tuple(Input(*file) for file in files), start, stop, tuple(Input(*file) for file in licences))


def inputs(files: Sequence[File], root: str) -> list[Input]:
    """Files with their names relative to `root`, sorted by name, each path once.

    Args:
        files: As `store.list_files` gives them.
        root: The folder in front; two copies of the input under other roots give the same names.
    """
    front = root.rstrip("/") + "/"
    named = {
        file.path: Input(
            valid_name(file.path.removeprefix(front)).replace(os.sep, "/"),
            file.path,
            file.size,
            file.modified,
            file.link,
        )
        for file in files
    }
    return sorted(named.values())


def gather(files: Sequence[Input]) -> list[list[Input]]:
    """Neighbours in groups of up to 16 MiB or 4,096 files; a larger file stands alone.

    >>> [len(group) for group in gather([Input(str(n), str(n), 2**22, 0) for n in range(10)])]
    [4, 4, 2]
    """
    groups: list[list[Input]] = []
    size = 0
    for file in files:
        if not groups or size + file.size > GATHERED_BYTES or len(groups[-1]) == GATHERED_FILES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return groups
