"""Tar archives, plain or compressed (gzip, zstd, bzip2, xz); members are streamed, nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
import tarfile
from typing import IO, TYPE_CHECKING, cast

from ..files.schema import REJECTED
from .archive import content, in_vcs, member_record, unsafe
from .code_files import LicenceFiles, is_licence
from .licence_ids import LARGEST, LicenceIds, identified
from .record import CorruptError, Record
from .streams import CHUNK, Inflated, Raw, inflated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input, Slice
    from .source import Source

_ERRORS = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, KeyError, IndexError, MemoryError)


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Members of the slice's archives, and a rejected row for a tail that cannot be read.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        try:
            with Raw(file) as raw:
                found = _licences(raw, source) if source.inner == "tree" else {}
                licences, ids = LicenceFiles(found), LicenceIds(found.__getitem__)
                members = _Members(raw, source)
                for member in members:
                    if not member.isdir() and not in_vcs(member.name):
                        yield _record(member, members, file, source, licences, ids)
                if members.error is not None:
                    where = f"{file.name}:{members.end}"
                    left = max(0, file.size - members.stream.taken)
                    yield Record(where, where, left, outcome=REJECTED, reason=members.error)
        except CorruptError as error:
            yield Record(file.name, file.name, file.size, outcome=REJECTED, reason=str(error))


def _licences(raw: Raw, source: Source) -> dict[str, str | None]:
    """The licence files of an archive, and what they say; the archive is read once for them."""
    found: dict[str, str | None] = {}
    members = _Members(raw, source)
    for member in members:
        name = member.name.removeprefix("./")
        if not is_licence(name):
            continue
        found[name] = None
        if member.isfile() and member.size <= LARGEST and unsafe(name) is None:
            with contextlib.suppress(CorruptError):
                found[name] = identified(members.read(member))
    raw.seek(0)
    return found


class _Members:
    """Members of one archive, up to its end or the first damage.

    Attributes:
        error: What is wrong at the end, None where the archive ended well.
        end: Byte of the uncompressed archive where reading stopped.
    """

    def __init__(self, raw: Raw, source: Source) -> None:
        self.error: str | None = None
        self.end = 0
        self._raw = raw
        self._watched = _Watched(raw, source.raw_limit)
        self.stream: Inflated = self._watched.stream

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        try:
            archive = tarfile.open(fileobj=cast("IO[bytes]", self._watched), mode="r:", errors="surrogateescape")  # noqa: SIM115 a stream
            self._archive = archive
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every member
                yield member
            self.error = self.stream.error or self._end()
        except _ERRORS as error:
            if self._raw.failed is not None:
                raise self._raw.failed from error
            self.error = self.stream.error or ("corrupt tar" if self.stream.read(1) else "truncated tar")
        self.end = self.stream.tell()

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Content of the member that was just yielded.

        Raises:
            CorruptError: It ends early.
        """
        try:
            inner = self._archive.extractfile(member)
            data = inner.read(member.size) if inner is not None else b""
        except _ERRORS as error:  # some versions of tarfile raise, others give less
            if self._raw.failed is not None:
                raise self._raw.failed from error
            data = b""
        if len(data) < member.size:
            raise CorruptError(self.stream.error or "truncated tar")
        return data

    def _end(self) -> str | None:
        """What is wrong behind the last member; tarfile takes any bad header there for the end of the archive."""
        if len(self._watched.last) < tarfile.BLOCKSIZE:
            return "truncated tar"
        if self._watched.last.strip(b"\0"):
            return "corrupt tar"
        while data := self.stream.read(CHUNK):
            if data.strip(b"\0"):
                return "data after the end of the archive"
        return self.stream.error


class _Watched:
    """A forward-only file for tarfile that remembers what it gave last.

    tarfile reads headers whole, as large as an archive says that they are, so no read may pass a limit.
    """

    def __init__(self, raw: Raw, limit: int) -> None:
        self.stream = inflated(raw, limit + 2 * tarfile.BLOCKSIZE)
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self.stream.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Raw is closed by its own owner."""


def _record(  # noqa: PLR0911, PLR0917 a rule each
    member: tarfile.TarInfo, members: _Members, file: Input, source: Source, licences: LicenceFiles, ids: LicenceIds
) -> Record:
    record = member_record(file, member.name, member.size, licences, ids)
    reason = unsafe(member.name)
    if reason is not None:
        return record.drop(reason)
    if member.issym() or member.islnk():
        return record.drop("link")
    if member.isdev():
        return record.drop("device")
    if not member.isfile():
        return record.drop("not a file")
    if member.size > source.raw_limit:
        return record.reject(f"document over {source.max_document} bytes")
    try:
        return content(members.read(member), record, source)
    except CorruptError as error:
        return record.reject(str(error))
