"""Absent: libraries that a process does without, though they are installed."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Absent(MetaPathFinder):
    """Finds no module of these names, and lets nobody else look for them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Raise for these names, as Python does for what is not installed."""
        del path, target
        if fullname in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}: this command does without.", name=fullname)


def do_without(*names: str) -> None:
    """Let imports of some modules fail in this process from now on.

    Pyarrow looks for pandas when it first makes an array, to ask whether what it gets is pandas's. Where pandas is
    installed that takes 0.4 s of processor time: half of what a command takes that looks something up in a build.
    """
    sys.meta_path.insert(0, _Absent(names))
