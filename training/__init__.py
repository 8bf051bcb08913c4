"""What training jobs need of a build: a loader over its shards, and a small reference trainer. Never Beam.

>>> from tokenladder.training import open_rung, Stream
"""

from __future__ import annotations

from .cache import Cache, ShardError
from .rung import Rung, list_rungs, open_rung
from .stream import Batch, Stream

__all__ = ["Batch", "Cache", "Rung", "ShardError", "Stream", "list_rungs", "open_rung"]
