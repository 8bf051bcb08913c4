"""Columns in, columns out: every score is a pure function from Arrow columns to Arrow columns. Never Beam.

A new score is one file with a :class:`~tokenladder.filters.family.Family`, and one line in :data:`FAMILIES`.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .family import Family

FAMILIES = {
    "compression": "compression:Compression",
    "fasttext": "fasttext:FastText",
    "gopher": "gopher:Gopher",
    "lengths": "lengths:Lengths",
    "minhash": "minhash:MinHash",
}
"""What a study writes as ``type`` → module and class. Imported when asked for: most need a compiler or a library."""


def family(type_name: str) -> type[Family]:
    """The class of scores that a study calls ``type_name``.

    Raises:
        ValueError: There is none of that name.

    >>> family("lengths").__name__
    'Lengths'
    """
    if type_name not in FAMILIES:
        near = difflib.get_close_matches(type_name, FAMILIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no score of type {type_name!r}; there are {', '.join(sorted(FAMILIES))}.{hint}")
    module, name = FAMILIES[type_name].split(":")
    return cast("type[Family]", getattr(importlib.import_module(f".{module}", __name__), name))
