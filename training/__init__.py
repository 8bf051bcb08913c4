"""What training jobs need of a build: a loader over its shards, and a small reference trainer. Never Beam.

Names are imported when they are first used, so that a command that mentions them starts at once.

>>> from tokenladder.training import Stream, open_rung
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import Batch
    from .cache import Cache
    from .rung import Rung, list_rungs, open_rung
    from .shard_file import ShardError
    from .stream import Stream

_HOMES = {
    "Batch": "batch",
    "Cache": "cache",
    "Rung": "rung",
    "ShardError": "shard_file",
    "Stream": "stream",
    "list_rungs": "rung",
    "open_rung": "rung",
}

__all__ = ["Batch", "Cache", "Rung", "ShardError", "Stream", "list_rungs", "open_rung"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
