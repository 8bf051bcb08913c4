"""Lists that a user brings: words and phrases, domains. Read once a process, fingerprinted by content.

A list is a text file in UTF-8 with one entry a line; what follows a ``#`` that begins a line or stands behind white
space is a comment. A folder in the form of the Toulouse blacklists (UT1) stands for the file ``domains`` in it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

LARGEST_FILE = 256 * 2**20
"""Bytes of the largest list that is read; the whole UT1 collection has some 100 MB."""

BASIS = np.uint64(0xCBF29CE484222325)
"""What a hash of bytes or characters begins with: FNV-1a, 64 bits (Fowler, Noll, Vo)."""
PRIME = np.uint64(0x100000001B3)


def entries(file: str) -> tuple[str, ...]:
    """The entries of a list, in its order, without comments and empty lines.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is not UTF-8, too large, or holds nothing.
    """
    path, *stamp = stamped(file)
    return _entries(path, *stamp)


def sha256(file: str) -> str:
    """The hash of a list's bytes: what it means to a score, wherever it stands.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is too large.
    """
    path, *stamp = stamped(file)
    return _sha256(path, *stamp)


def hashes_of(files: tuple[str, ...]) -> list[JSON]:
    """What lists mean to a score's identity: their hashes, in an order that is not that of the study."""
    return [*sorted({sha256(file) for file in files})]


def stamped(file: str) -> tuple[str, int, int]:
    """The path of a list, its size, and its time of change, which together say that it need not be read again.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is too large.
    """
    path = Path(file)
    if path.is_dir():
        path /= "domains"
        if not path.is_file():
            raise FileNotFoundError(f"The folder {file} holds no file 'domains'; name a file with one entry a line.")
    if not path.is_file():
        raise FileNotFoundError(f"The list {file} does not exist; give a text file with one entry a line.")
    status = path.stat()
    if status.st_size > LARGEST_FILE:
        raise ValueError(f"The list {file} has {status.st_size} bytes, and at most {LARGEST_FILE} are read; split it.")
    return str(path), status.st_size, status.st_mtime_ns


@cache
def _sha256(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _entries(path: str, _size: int, _changed: int) -> tuple[str, ...]:
    raw = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    found = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            entry = line.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}, line {number}: not UTF-8 ({error.reason}); save the list as UTF-8.") from error
        entry = entry.strip()
        for mark in (" #", "\t#"):
            entry = entry.partition(mark)[0].rstrip()
        if entry and not entry.startswith("#"):
            found.append(entry)
    if not found:
        raise ValueError(f"The list {path} holds no entry; write one on each line.")
    return tuple(found)


def hash_table(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes in a table with open addressing, at most half full, for :func:`is_listed`.

    Args:
        hashes: uint64[n]; a 0 is left out, because 0 is a free place.

    Returns:
        uint64[places], a power of two.

    >>> hash_table(np.array([3, 11, 3], np.uint64)).tolist()
    [0, 0, 0, 3, 11, 0, 0, 0]
    """
    distinct = np.unique(hashes)
    table = np.zeros(1 << max(3, (2 * len(distinct) - 1).bit_length()), np.uint64)
    _fill(distinct, table)
    return table


@kernel
def _fill(distinct: Any, table: Any) -> None:
    mask = np.uint64(len(table) - 1)
    for value in distinct:
        place = value & mask
        while table[place]:
            place = (place + np.uint64(1)) & mask
        table[place] = value


@kernel
def is_listed(table: Any, value: Any) -> bool:
    """Whether a hash (uint64) is in the table; for use inside kernels."""
    mask = np.uint64(len(table) - 1)
    place = value & mask
    while table[place]:
        if table[place] == value:
            return True
        place = (place + np.uint64(1)) & mask
    return False
