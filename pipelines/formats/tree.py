"""Trees of source code: any file below a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .code_files import LicenceFiles, code
from .record import CorruptError, Record
from .streams import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .slices import Slice
    from .source import Source


def records(slice_: Slice, source: Source) -> Iterator[Record]:
    """One file each; symbolic links are not followed, so no file is read twice and none from outside the tree.

    Raises:
        ReadError: A file cannot be read now.
    """
    licences = LicenceFiles(slice_.licences)
    for file in slice_.files:
        record = Record(file.name, file.name, file.size, licence=licences.nearest(file.name))
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
