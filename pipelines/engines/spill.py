"""Spill: an exchange over files, for the runners of one machine, which keep every grouped value in memory.

Each task of the first half writes one file of what it emits, cut into *chunks* by a hash of the bucket's number; each
task of the second half reads its chunk of every file and reduces the chunk's buckets one after the other. Memory is
that of one chunk a worker, whatever the exchange moves, and a task reads two ranges of each file.

A file: a table of ``chunks + 1`` offsets (uint64), then for each pair the bucket's number, the length in bytes (both
int64) and the packed array.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...filters.hashing import fmix64
from ..files import store
from .targets import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES = 96 << 20
"""Of packed arrays that one task reduces; it holds them, and twice that while it sorts a bucket."""

_OPEN_FILES = 256


def chunks_of(volume: int) -> int:
    """Chunks for so many bytes.

    >>> chunks_of(10), chunks_of(10 << 30)
    (1, 107)
    """
    return max(1, -(-volume // CHUNK_BYTES))


def emit(payload: dict[str, Any], **_: Any) -> None:
    """Write what a function emits, cut into chunks.

    Args:
        payload: `target` and `payload` of the function, `chunks` (how many), `path` (of the file).
    """
    _write(payload["path"], payload["chunks"], resolve(payload["target"])(payload["payload"]))


def reduce(payload: dict[str, Any], **_: Any) -> None:
    """Reduce one chunk of all files of a folder.

    Args:
        payload: `folder`, `chunk`, `target` and `payload` of the reducing function; and `path` and `chunks` of the file
            for what it yields, where another exchange follows.
    """
    pairs = _reduced(payload)
    if payload["path"] is not None:
        _write(payload["path"], payload["chunks"], pairs)
        return
    for _pair in pairs:
        raise TypeError(f"{payload['target']} is the last of its exchange, yet it yields pairs")


def _reduced(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    groups: dict[int, list[bytes]] = {}
    for name in sorted(store.names(payload["folder"])):
        for bucket, data in _read(store.join(payload["folder"], name), payload["chunk"]):
            groups.setdefault(bucket, []).append(data)
    function = resolve(payload["target"])
    for bucket in sorted(groups):
        yield from function(bucket, groups.pop(bucket), payload["payload"])


def _write(path: str, chunks: int, pairs: Iterable[tuple[int, bytes]]) -> None:
    pieces: list[list[bytes]] = [[] for _ in range(chunks)]
    for bucket, data in pairs:
        pieces[_chunk(bucket, chunks)] += [np.array([bucket, len(data)], "<i8").tobytes(), data]
    sizes = [sum(map(len, piece)) for piece in pieces]
    offsets = np.cumsum([8 * (chunks + 1), *sizes]).astype("<u8")
    store.write_bytes(path, b"".join([offsets.tobytes(), *(data for piece in pieces for data in piece)]))


@functools.lru_cache(maxsize=1 << 16)
def _chunk(bucket: int, chunks: int) -> int:
    return int(fmix64(np.array([bucket], np.uint64))[0] % np.uint64(chunks))


def _read(path: str, chunk: int) -> Iterator[tuple[int, bytes]]:
    with store.open_input(path) as file:
        file.seek(8 * chunk)
        start, stop = np.frombuffer(file.read(16), "<u8").tolist()
        file.seek(start)
        data = memoryview(file.read(stop - start))
    at = 0
    while at < len(data):
        bucket, length = np.frombuffer(data, "<i8", 2, at).tolist()
        at += 16
        yield bucket, bytes(data[at : at + length])
        at += length
