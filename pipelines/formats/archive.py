"""What tar and zip have in common: names that must not leave the archive, and what a member holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .code_files import LicenceFiles, code
from .html_files import page
from .record import Record, valid_name
from .source import VCS_FOLDERS

if TYPE_CHECKING:
    from .licence_ids import LicenceIds
    from .slices import Input
    from .source import Source


def unsafe(name: str) -> str | None:
    r"""Why a member's name is no path below the archive's root, None where it is one.

    >>> unsafe("/etc/passwd"), unsafe("a/../../b"), unsafe("C:\\x"), unsafe("a/b.py")
    ('absolute path', 'path with ..', 'absolute path', None)
    """
    if name.startswith(("/", "\\")) or name[1:3] in (":\\", ":/"):
        return "absolute path"
    if ".." in name.replace("\\", "/").split("/"):
        return "path with .."
    return None


def in_vcs(name: str) -> bool:
    """Whether a member belongs to a version control's own folder, which `tree` does not walk either."""
    return not VCS_FOLDERS.isdisjoint(name.split("/")[:-1])


def member_record(file: Input, name: str, size: int, licences: LicenceFiles, ids: LicenceIds) -> Record:
    """The record of a member, still without its content."""
    name = valid_name(name).removeprefix("./")
    licence = licences.nearest(name)
    return Record(name, f"{file.name}!{name}", size, licence=licence, licence_id=ids.of(licence))


def content(data: bytes, record: Record, source: Source) -> Record:
    """A member's bytes by the source's inner rule."""
    if source.inner == "html":
        record.kind, record.licence, record.licence_id = "page", None, None
        return page(data, record)
    return code(data, record)
