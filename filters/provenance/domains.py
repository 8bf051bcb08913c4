"""Domain lists that a user brings: whether the address of a document is listed. No list comes with the package.

Public ones that fit are the blacklists of the University of Toulouse (UT1), which are used for adult pages and spam, as
for RefinedWeb (Penedo et al. 2023); see :mod:`..lists.listings` for the form of a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..kernels import inlined, kernel
from ..lists import listings
from ..lists.listings import BASIS, PRIME, is_listed
from ..text.buffers import text_buffers, text_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

_LABELS = ("pass", "domain", "path_word")


@dataclass(frozen=True)
class Domains:
    """Score ``domains``: whether a document's address (column ``name``) is in a user's lists.

    A listed domain holds for all below it (``bad.example`` for ``www.bad.example``, never for ``notbad.example``). A
    name that is no address with a host, such as a file's path, passes.

    Attributes:
        files: Lists of domains, or folders with a file ``domains``; an entry may be written as an address.
        path_files: Lists of words to look for in what follows the host: in runs of letters and digits, without case.

    Output columns:
        reason: string; ``pass``, ``domain`` or ``path_word``.
        domain: bool; the host is listed.
        path_words: int32; listed words behind the host.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "domains"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "path_words"

    files: tuple[str, ...] = ()
    path_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.files + self.path_files or not all(self.files + self.path_files):
            raise ValueError("domains: files or path_files must name at least one list, and no name may be empty.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        fields: list[pa.Field[Any]] = [pa.field("reason", pa.string()), pa.field("domain", pa.bool_())]
        return pa.schema([*fields, pa.field("path_words", pa.int32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, and the lists' hashes (not their paths).

        Raises:
            FileNotFoundError: There is no such list.
            ValueError: A list is too large.
        """
        return {
            **base_identity(self),
            "files": listings.hashes_of(self.files),
            "path_files": listings.hashes_of(self.path_files),
        }

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Look the column ``name`` up; see the class.

        Raises:
            FileNotFoundError: There is no such list.
            ValueError: There is no column ``text`` or ``name`` of strings; a list is not UTF-8, empty or too large, or
                has an entry that is no domain or no word.
        """
        valid = text_buffers(text_column(documents)).valid
        names = text_buffers(text_column(documents, "name"))
        domain, path_words = np.zeros(len(valid), np.bool_), np.zeros(len(valid), np.int32)
        domains = _domains(*(listings.stamped(file) for file in self.files))
        listed = _path_words(*(listings.stamped(file) for file in self.path_files))
        _look_up(names.offsets, names.data, names.valid, domains, listed, domain, path_words)
        reason = pa.array(_LABELS).take(pa.array(np.where(domain, 1, 2 * (path_words > 0)), mask=~valid))
        arrays = [reason, pa.array(domain, mask=~valid), pa.array(path_words, mask=~valid)]
        return pa.record_batch(arrays, schema=self.columns)


@cache
def _domains(*files: tuple[str, int, int]) -> NDArray[np.uint64]:
    hosts = []
    for file, _, _ in files:
        for entry in listings.entries(file):
            host = entry.rpartition("://")[2].partition("/")[0].removeprefix("*").strip(".").lower()
            try:
                ascii_host = host.encode() if host.isascii() else host.encode("idna")
            except UnicodeError:
                ascii_host = b""
            if not ascii_host or any(byte <= 0x20 or byte in b":@?#" for byte in ascii_host):
                raise ValueError(f"{file}: the entry {entry!r} is no domain; write one as example.org on each line.")
            hosts += [ascii_host] if host.isascii() else [ascii_host, host.encode()]
    return listings.hash_table(_hashed(hosts, backwards=True))


@cache
def _path_words(*files: tuple[str, int, int]) -> NDArray[np.uint64]:
    found = []
    for file, _, _ in files:
        for entry in listings.entries(file):
            word = entry.lower().encode() if entry.isascii() else entry.encode()
            if not all(byte >= 0x80 or bytes([byte]).isalnum() for byte in word):
                raise ValueError(f"{file}: the entry {entry!r} is no word; paths are cut into letters and digits.")
            found.append(word)
    return listings.hash_table(_hashed(found, backwards=False))


def _hashed(values: list[bytes], *, backwards: bool) -> NDArray[np.uint64]:
    text = text_buffers(pa.array(values, pa.binary()))
    hashes = np.zeros(len(values), np.uint64)
    _hash_values(text.offsets, text.data, backwards, hashes)
    return hashes


@kernel
def _hash_values(offsets: Any, data: Any, backwards: bool, hashes: Any) -> None:  # noqa: FBT001 (plain values)
    for row in range(len(hashes)):
        value = BASIS
        start, stop = offsets[row], offsets[row + 1]
        for step in range(stop - start):
            byte = data[stop - 1 - step] if backwards else data[start + step]
            value = (value ^ np.uint64(byte)) * PRIME
        hashes[row] = value


@inlined
def _lowered(byte: int) -> int:
    return byte + 0x20 if 0x41 <= byte <= 0x5A else byte


@inlined
def _in_word(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A or byte >= 0x80


@kernel
def _look_up(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, domains: Any, listed: Any, domain: Any, path_words: Any
) -> None:
    for row in range(len(valid)):
        stop = offsets[row + 1]
        index = offsets[row]
        while index + 2 < stop and not (data[index] == 0x3A and data[index + 1] == 0x2F and data[index + 2] == 0x2F):
            index += 1  # to "://"
        if not valid[row] or index + 2 >= stop:
            continue
        start = index = index + 3
        end = -1
        while index < stop and data[index] not in (0x2F, 0x3F, 0x23):  # "/", "?", "#"
            if data[index] == 0x40:  # what stands before "@" is a user's name
                start, end = index + 1, -1
            elif data[index] == 0x3A and end < 0:  # a port follows
                end = index
            index += 1
        end = index if end < 0 else end
        if end > start and data[end - 1] == 0x2E:
            end -= 1
        value = BASIS
        for place in range(end - 1, start - 1, -1):
            value = (value ^ np.uint64(_lowered(data[place]))) * PRIME
            if (place == start or data[place - 1] == 0x2E) and is_listed(domains, value):
                domain[row] = True
        while index < stop:
            value = BASIS
            begun = index
            while index < stop and _in_word(data[index]):
                value = (value ^ np.uint64(_lowered(data[index]))) * PRIME
                index += 1
            if index > begun and is_listed(listed, value):
                path_words[row] += 1
            index += 1
