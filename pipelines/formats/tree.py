"""Trees of source code: any file below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .code_files import LicenceFiles, code
from .licence_ids import LARGEST, LicenceIds, identified
from .record import CorruptError, Record
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Input, Slice
    from .source import Source


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """One file each; symbolic links are not followed, so no file is read twice and none from outside the tree.

    Raises:
        ReadError: A file cannot be read now.
    """
    named = {file.name: file for file in slice_.licences}
    licences, ids = LicenceFiles(named), LicenceIds(lambda name: _licence(named[name]))
    for file in slice_.files:
        licence = licences.nearest(file.name)
        record = Record(file.name, file.name, file.size, licence=licence, licence_id=ids.of(licence))
        if file.link:
            yield record.drop("link")
            continue
        if file.size > source.raw_limit:
            yield record.reject(f"document over {source.max_document} bytes")
            continue
        try:
            with Raw(file, may_be_empty=True) as raw:
                yield code(raw.read(), record)
        except CorruptError as error:
            yield record.reject(str(error))


def _licence(file: Input) -> str | None:
    if file.link or file.size > LARGEST:
        raise CorruptError("not a licence file")
    with Raw(file, may_be_empty=True) as raw:
        return identified(raw.read())
