"""What the licence files of a source say: each is read once, and its SPDX expression goes to every file under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .record import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 2**20
"""Bytes of a licence file; a larger one is not read. The longest of 197 was 112 kB."""


class LicenceIds:
    """SPDX expressions of licence files by name.

    >>> ids = LicenceIds({"LICENSE": "MIT"}.__getitem__)
    >>> ids.of("LICENSE"), ids.of(None)
    ('MIT', None)
    """

    def __init__(self, identify: Callable[[str], str | None]) -> None:
        """Identify files when they are first asked for.

        Args:
            identify: The expression of a licence file by its name; CorruptError where the file cannot be used.
        """
        self._identify = identify
        self._known: dict[str, str | None] = {}

    def of(self, name: str | None) -> str | None:
        """The expression of a licence file; None where there is no file, or no licence is recognised in it.

        Raises:
            ReadError: The file cannot be read now.
        """
        if name is None:
            return None
        if name not in self._known:
            try:
                self._known[name] = self._identify(name)
            except CorruptError:
                self._known[name] = None
        return self._known[name]


def identified(data: bytes) -> str | None:
    """The SPDX expression of a licence file's bytes; characters that are not UTF-8 count as any others.

    >>> identified(b"See http://www.apache.org/licenses/LICENSE-2.0")
    'Apache-2.0'
    """
    from ...filters.provenance.licences import (
        identify,  # numba and the detector's tables, for sources that have a licence file
    )

    return identify(data.decode("utf-8-sig", "replace"))
