"""Raw files as streams: errors that name the file, and decompression with limits, member by member."""

from __future__ import annotations

import bz2
import collections
import io
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import zstandard

from ..files import store
from .record import CorruptError, ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .slices import Input

CHUNK = 64 * 1024
ZSTD_CHUNK = 1024
"""zstandard sets no limit on the output of one call, and 4 bytes can stand for 128 KiB: 1 KiB gives 32 MiB at most."""

BOMB_BYTES = 512 * 2**20
BOMB_RATIO = 200
"""A stream that gives more than BOMB_BYTES and BOMB_RATIO times its input is a bomb; real text stays under 50."""

MEMORY = 256 * 2**20
"""Largest window that a stream may ask its decoder to keep, in bytes; `xz -9` and `zstd --ultra -22` need less."""

MAGIC = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}


class Raw(io.RawIOBase):
    """A raw file of the source, read forward or at an offset.

    Attributes:
        failed: The error that a read raised, kept because libraries in between may swallow or change it.
    """

    def __init__(self, file: Input, *, may_be_empty: bool = False) -> None:
        """Open the file.

        Args:
            file: Which.
            may_be_empty: Whether an empty file is one, as source code is but no archive.

        Raises:
            CorruptError: It vanished, is a folder, is empty or has changed since it was listed; the reason.
            ReadError: It cannot be opened now; the message names it.
        """
        super().__init__()
        self.failed: ReadError | None = None
        self._path = file.path
        try:
            self._file = _open(file.path)
            self.size: int = self._file.size()
        except FileNotFoundError:
            raise CorruptError("file vanished") from None
        except OSError as error:
            if isinstance(error, IsADirectoryError) or "is a directory" in str(error).lower():
                raise CorruptError("a folder, not a file") from None
            raise ReadError(f"{file.path}: cannot be opened: {error}") from error
        if self.size != file.size:
            raise CorruptError("file changed since it was listed")
        if not self.size and not may_be_empty:
            raise CorruptError("empty file")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be positioned: yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end of the file; all of the rest for -1."""
        try:
            data: bytes = self._file.read(None if size < 0 else size)
        except OSError as error:
            self.failed = ReadError(f"{self._path}: reading failed: {error}")
            raise self.failed from error
        return data

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; the number of bytes read."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any buffer
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte offset."""
        self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """Byte offset."""
        position: int = self._file.tell()
        return position

    def close(self) -> None:
        """Close the file."""
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def _open(path: str) -> pa.NativeFile:
    try:
        path.encode()
    except UnicodeEncodeError:  # a local name that is not UTF-8, which Arrow does not take
        return pa.PythonFile(open(path, "rb"), mode="r")
    return store.open_input(path)


def compression(head: bytes) -> str | None:
    r"""How a stream is compressed, by its first bytes; None for plain.

    >>> compression(b"\x1f\x8b\x08\x00"), compression(b"WARC/1.0")
    ('gzip', None)
    """
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


class _Decoder(Protocol):
    """One member of a compressed stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decode(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Decode; the output, and input that was not taken because of the limit."""


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decode(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        out = self._inner.decompress(data, limit)
        return out, b"" if self._inner.eof else self._inner.unconsumed_tail  # at the end both hold the rest


class _Buffered:
    """bz2 and lzma keep what they did not take, and go on with it when given nothing."""

    def __init__(self, inner: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decode(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        return self._inner.decompress(data, limit), b""


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=MEMORY // 2).decompressobj()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decode(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        del limit
        out = self._inner.decompress(data[:ZSTD_CHUNK])
        return out, b"" if self._inner.eof else data[ZSTD_CHUNK:]


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "bzip2": lambda: _Buffered(bz2.BZ2Decompressor()),
    "xz": lambda: _Buffered(lzma.LZMADecompressor(memlimit=MEMORY)),
}
_ERRORS = (zlib.error, zstandard.ZstdError, OSError, EOFError, lzma.LZMAError, MemoryError)


class Inflated(io.RawIOBase):
    """The content of a compressed stream, forward only. Damage ends it like an end of file and is kept in `error`.

    So every byte before the damage reaches the reader, whatever library reads.

    Attributes:
        error: Reason why the stream ended early: "truncated gzip", "corrupt gzip", "decompression bomb"; else None.
        members: (first output byte, first input byte) of each member begun, from the one last asked for on.
    """

    def __init__(self, raw: Raw, kind: str | None, limit: int = 2**62) -> None:
        """Read on from where `raw` stands.

        Args:
            raw: The file.
            kind: As `compression` gives it; None copies plain bytes.
            limit: No single read may ask for more bytes than this (archives state sizes that nobody checked).
        """
        super().__init__()
        self.error: str | None = None
        self.members: collections.deque[tuple[int, int]] = collections.deque()
        self._raw, self._kind, self._limit = raw, kind, limit
        self._decoder: _Decoder | None = None
        self._input = b""
        self._start = self._taken = raw.tell()
        self._given = 0
        self._output = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be positioned: forward, as far as tarfile needs it."""
        return True

    def tell(self) -> int:
        """Bytes given so far."""
        return self._given

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skip forward to an offset of the output.

        Raises:
            CorruptError: The offset lies behind.
        """
        if whence == io.SEEK_CUR:
            offset += self._given
        if offset < self._given:
            raise CorruptError("corrupt archive")
        while self._given < offset and self.read(min(CHUNK, offset - self._given)):
            pass
        return self._given

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end.

        Raises:
            CorruptError: More was asked for than the limit.
            ReadError: The file cannot be read now.
        """
        if size > self._limit:
            raise CorruptError("corrupt archive")
        pieces = []
        missing = size if size >= 0 else self._limit
        while missing and (len(self._output) or self._fill()):
            piece = self._output[:missing]
            self._output = self._output[len(piece) :]
            pieces.append(piece)
            missing -= len(piece)
            self._given += len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; the number of bytes read."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any buffer
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def member_at(self, position: int) -> int:
        """First input byte of the member that holds an output byte; later calls must ask for later ones."""
        while len(self.members) > 1 and self.members[1][0] <= position:
            self.members.popleft()
        return self.members[0][1] if self.members else self._start

    @property
    def taken(self) -> int:
        """Bytes of the file that were decoded, from its beginning."""
        return self._taken - len(self._input)

    def _fill(self) -> bool:
        """Decode the next piece of output; False at the end or at damage."""
        while self.error is None:
            if not self._input:
                self._input = self._raw.read(CHUNK)
                self._taken += len(self._input)
            if self._kind is None:
                self._output, self._input = memoryview(self._input), b""
                return len(self._output) > 0
            if self._decoder is None and not self._next_member():
                return False
            out = self._decode()
            if out:
                self._output = memoryview(out)
                return True
        return False

    def _next_member(self) -> bool:
        if not self._input:
            return False
        if not self.members or self._input[:1] != b"\0":
            self.members.append((self._given, self.taken))
            self._decoder = _DECODERS[self._kind or ""]()
            return True
        self._input = self._input.lstrip(b"\0")  # padding after the last member, as tape archives have it
        return bool(self._input) or self._fill_again()

    def _fill_again(self) -> bool:
        self._input = self._raw.read(CHUNK)
        self._taken += len(self._input)
        return self._next_member()

    def _decode(self) -> bytes:
        assert self._decoder is not None  # noqa: S101 _fill made it
        at_end = not self._input
        try:
            out, self._input = self._decoder.decode(self._input, CHUNK)
        except _ERRORS:
            self.error = f"corrupt {self._kind}"
            return b""
        if self._decoder.eof:
            self._input = self._decoder.unused_data + self._input
            self._decoder = None
        elif at_end and not out:
            self.error = f"truncated {self._kind}"
        total = self._given + len(out)
        if total > BOMB_BYTES and total > BOMB_RATIO * max(1, self.taken - self._start):
            self.error = "decompression bomb"
            return b""
        return out


def inflated(raw: Raw, limit: int = 2**62) -> Inflated:
    """A file's content, decompressed as its first bytes say."""
    head = raw.read(6)
    raw.seek(0)
    return Inflated(raw, compression(head), limit)
