"""A file of an object store, to be read: by ranges, each tried again, and by large ones where it is read along."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from .patience import patiently

if TYPE_CHECKING:
    import pyarrow as pa

AHEAD_BYTES = 4 << 20
"""What is asked for where one read follows another. A request takes some 20 to 50 ms however small it is; the formats
read 64 KiB at a time."""


class RemoteFile(io.RawIOBase):
    """Reads ranges of an object; a read that goes on where the last one ended fetches more than it is asked for."""

    def __init__(self, file: pa.NativeFile) -> None:
        """Wrap an open file."""
        super().__init__()
        self._file = file
        self._size: int = patiently(file.size)
        self._at = 0
        self._start, self._kept = 0, b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Byte offset."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte offset; nothing is asked for yet."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; all of the rest for -1 or None."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        inside = self._at - self._start
        ended = self._start + len(self._kept)
        if inside < 0 or inside + wanted > len(self._kept):
            head = self._kept[inside:] if 0 <= inside < len(self._kept) else b""
            along = self._start <= self._at <= ended and ended > 0
            more = max(wanted - len(head), min(AHEAD_BYTES, left - len(head)) if along else 0)
            self._kept = head + self._fetch(self._at + len(head), more)
            self._start, inside = self._at, 0
        data = self._kept[inside : inside + wanted]
        self._at += len(data)
        return data

    def _fetch(self, offset: int, size: int) -> bytes:
        return bytes(patiently(lambda: self._file.read_at(size, offset))) if size else b""

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; the number of bytes read."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any buffer
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()
