"""Decoded shards on a local disk, shared by the processes of a machine, with a limit of size.

Files are named after the shard's SHA-256, so a changed shard is another file, and rungs, recipes and studies that share
shards share them here. A file appears by a rename; two processes that want one shard wait for each other (a lock file
each), so that it is fetched once. What was used longest ago goes first when the limit is passed.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from ..pipelines.files import store
from .shard_file import Shard, ShardError, ShardFile, decode, map_file, write_decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cache", "ShardError"]

LIMIT = 256 << 30
"""Bytes, by default: 128 billion tokens of 16 bits."""

SUFFIX = ".shard-1.arrow"
"""With the version of the format, so that another one never meets these files."""


def default_folder() -> str:
    """`$TOKENLADDER_CACHE`, or `tokenladder/shards` in the user's folder for caches."""
    named = os.environ.get("TOKENLADDER_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 the default may be unset
    return named or str(Path(base) / "tokenladder" / "shards")


@dataclass(frozen=True)
class Cache:
    """A folder of decoded shards.

    Attributes:
        folder: Local folder; made when it is first written to.
        limit: Bytes that the files may take together. The newest stays, however large.
    """

    folder: str = field(default_factory=default_folder)
    limit: int = LIMIT

    def path(self, shard: ShardFile) -> str:
        """Where a shard stands, or will."""
        return str(Path(self.folder) / f"{shard.sha256}{SUFFIX}")

    def holds(self, shard: ShardFile) -> bool:
        """Whether a shard stands here."""
        return Path(self.path(shard)).exists()

    def open(self, shard: ShardFile) -> Shard:
        """A decoded shard, from here or else from its Parquet file.

        Raises:
            ShardError: The Parquet file is missing, damaged, or not what the manifest says.
            OSError: The cache cannot be written.
        """
        path = self.path(shard)
        for _ in range(3):  # another process may make room between the fetch and the look
            with contextlib.suppress(FileNotFoundError):
                found = map_file(path, shard)
                if found is not None:
                    os.utime(path)
                    return found
                store.remove(path)
            self.fetch(shard)
        raise OSError(
            f"{self.folder}: shards vanish as soon as they are written; {self.limit:,} bytes are too few for the "
            "processes that share this cache."
        )

    def fetch(self, shard: ShardFile) -> None:
        """Decode a shard into the folder, unless it stands there.

        Raises:
            ShardError: The Parquet file is missing, damaged, or not what the manifest says.
            OSError: The cache cannot be written.
        """
        path = self.path(shard)
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            if Path(path).exists():
                return
            decoded = decode(shard, shard.read())
            with store.output_file(path) as local:
                self._make_room(write_decoded(local, decoded))

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Time of last use, bytes and path of each file."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(store.TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        yield status.st_mtime, status.st_size, entry.path

    def _make_room(self, wanted: int) -> None:
        store.sweep(self.folder)
        files = sorted(self._files())
        total = sum(size for _, size, _ in files) + wanted
        for _, size, path in files:
            if total <= self.limit:
                break
            store.remove(path)
            store.remove(f"{path}.lock")
            total -= size
