"""Zip archives; members are read one by one, nothing is unpacked to disk."""

from __future__ import annotations

import stat
import zipfile
import zlib
from typing import TYPE_CHECKING

from ..files.schema import REJECTED
from .archive import content, in_vcs, member_record, unsafe
from .code_files import LicenceFiles
from .licence_ids import LARGEST, LicenceIds, identified
from .record import CorruptError, Record
from .streams import BOMB_BYTES, BOMB_RATIO, Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input, Slice
    from .source import Source

_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, IndexError, OverflowError, MemoryError)
_ENCRYPTED = 0x1


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """Members of the slice's archives in the order of their directories.

    Raises:
        ReadError: A file cannot be read now.
    """
    for file in slice_.files:
        try:
            with Raw(file) as raw:
                yield from _members(raw, file, source)
        except CorruptError as error:
            yield Record(file.name, file.name, file.size, outcome=REJECTED, reason=str(error))


def _members(raw: Raw, file: Input, source: Source) -> Iterator[Record]:
    try:
        archive = zipfile.ZipFile(raw)
    except (*_ERRORS, NotImplementedError) as error:
        if raw.failed is not None:
            raise raw.failed from error
        raise CorruptError("corrupt zip") from error
    with archive:
        members = archive.infolist()
        named = {member.filename: member for member in members if source.inner == "tree"}
        licences = LicenceFiles(named)
        ids = LicenceIds(lambda name: _licence(archive, named[name], raw, file, source))
        given = 0
        for member in members:
            if member.is_dir() or in_vcs(member.filename):
                continue
            record = member_record(file, member.filename, member.file_size, licences, ids)
            refused = _refused(member, record, source)
            if refused is not None:
                yield refused
                continue
            if given > BOMB_BYTES and given > BOMB_RATIO * file.size:  # members may share the same compressed bytes
                yield record.reject("decompression bomb")
                continue
            try:
                data = _read(archive, member, raw, source.raw_limit)
                given += len(data)
                yield content(data, record, source)
            except CorruptError as error:
                yield record.reject(str(error))


def _refused(member: zipfile.ZipInfo, record: Record, source: Source) -> Record | None:
    reason = unsafe(member.filename)
    mode = member.external_attr >> 16
    if reason is not None:
        return record.drop(reason)
    if stat.S_ISLNK(mode):
        return record.drop("link")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return record.drop("device")
    if member.flag_bits & _ENCRYPTED:
        return record.reject("encrypted")
    if member.file_size > source.raw_limit:
        return record.reject(f"document over {source.max_document} bytes")
    return None


def _licence(archive: zipfile.ZipFile, member: zipfile.ZipInfo, raw: Raw, file: Input, source: Source) -> str | None:
    if member.file_size > LARGEST or _refused(member, Record(member.filename, file.name, member.file_size), source):
        raise CorruptError("not a licence file")
    return identified(_read(archive, member, raw, LARGEST))


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, raw: Raw, limit: int) -> bytes:
    try:
        with archive.open(member) as inner:
            data = inner.read(limit + 1)
            if len(data) <= limit:
                inner.read(1)  # the checksum is compared at the end
            return data
    except (NotImplementedError, RuntimeError):
        raise CorruptError("unknown zip compression") from None
    except _ERRORS as error:
        if raw.failed is not None:
            raise raw.failed from error
        raise CorruptError("corrupt zip member") from error
