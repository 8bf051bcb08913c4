"""A study's `[sources.NAME]`: what is read, and how it is cut into slices."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.metadata
import itertools
import os.path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..files import store
from . import vouched
from .slices import SPLIT_BYTES, Input, Slice, gather, inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..files.store import File

VERSION = 3
"""Raised whenever the same input would give other rows."""

HTML_VERSION = 2
"""The same for pages that are files or members of archives."""

RAW_FACTOR = 8
"""A raw record may be so many times `max_document`: HTML is seldom more than a few times its text."""

LARGEST_DOCUMENT = 2**29
"""Half a GiB: a batch of Arrow strings has 31-bit offsets, and a record is held in memory a few times."""


VCS_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr", "CVS", "_darcs", ".jj"})


@dataclasses.dataclass(frozen=True)
class Source:
    """One named raw input of a study.

    Attributes:
        format: How the files are read: warc, wet, html, jsonl, parquet, tree, tar, zip.
        path: File, folder or glob, or a list of them; local, s3:// or gs://.
        exclude: File, folder or glob, or a list of them, written as `path` is, whose files are not read; a glob that
            ends in a plain name means folders of that name, too.
        extract: How HTML becomes text: resiliparse, trafilatura (an extra), or none (the HTML itself).
        text: Field or column that holds the text (jsonl, parquet).
        id: Field or column that names a document; its position stands in where a record has none (jsonl, parquet).
        date: Field or column that holds its date; may be missing (jsonl, parquet).
        inner: What an archive holds (tar, zip): `tree`, source code, or `html`, pages.
        hidden_text: Whether to measure which share of a page's text a browser hides, for rules on `hidden` (pages):
            4 MB/s, so that this takes four times as long as extraction.
        views: A list of addresses and SHA-256 hashes of their pages, for rules on `view` (warc).
        max_document: Largest text of a document in bytes; a raw record may be eight times that. Larger ones are
            rejected, in words.
        part_bytes: A part is closed when its text reaches so many bytes.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    format: str
    path: str | tuple[str, ...]
    exclude: str | tuple[str, ...] = ()
    extract: Literal["resiliparse", "trafilatura", "none"] = "resiliparse"
    text: str = "text"
    id: str = "id"
    date: str = "date"
    inner: Literal["tree", "html"] = "tree"
    hidden_text: bool = False
    views: str | None = None
    max_document: int = 16 * 2**20
    part_bytes: int = 128 * 2**20

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: One of them cannot work; the message says which would.
        """
        from . import FORMATS  # it imports this module

        if self.format not in FORMATS:
            close = difflib.get_close_matches(self.format, FORMATS, n=1)
            hint = f". Did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"format {self.format!r} is not known. Known: {', '.join(FORMATS)}{hint}")
        if not self.paths or not all(self.paths):
            raise ValueError("path is empty. Give a file, a folder, a glob, or a list of them")
        if not all(self.excluded):
            raise ValueError("exclude has an empty path. Give files, folders or globs, or leave it out")
        if not 1 <= self.max_document <= LARGEST_DOCUMENT:
            raise ValueError(f"max_document is {self.max_document}. Give bytes from 1 to {LARGEST_DOCUMENT}")
        if not 1 <= self.part_bytes <= 2**31:
            raise ValueError(f"part_bytes is {self.part_bytes}. Give bytes from 1 to {2**31}")
        if self.views is not None and self.format != "warc":
            raise ValueError(f"views looks at what a server sent, which {self.format} does not keep. Leave it out")
        if self.hidden_text and not self._has_pages:
            raise ValueError(f"hidden_text looks at pages, and {self.format} holds none. Leave it out")
        if not self.text:
            raise ValueError("text is empty. Name the field that holds the text")

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, also where there is one."""
        return (self.path,) if isinstance(self.path, str) else tuple(self.path)

    @property
    def excluded(self) -> tuple[str, ...]:
        """What is not read, also where it is one path."""
        return (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude)

    def located(self, folder: str = "") -> Source:
        """The same with absolute paths; relative ones start at a folder, by default the working one."""
        paths, exclude = (tuple(store.absolute(one, folder) for one in given) for given in (self.paths, self.excluded))
        views = None if self.views is None else store.absolute(self.views, folder)
        return dataclasses.replace(self, path=paths, exclude=exclude, views=views)

    @property
    def _has_pages(self) -> bool:
        return self.format in ("warc", "html") or (self.format in ("tar", "zip") and self.inner == "html")

    @property
    def raw_limit(self) -> int:
        """Largest raw record in bytes."""
        return RAW_FACTOR * self.max_document

    def identity(self) -> dict[str, Any]:
        """What changes the rows that are read, as plain values to fingerprint; the path is not in it.

        >>> Source("jsonl", "a.jsonl").identity()["text"]
        'text'
        """
        used: dict[str, Any] = {"format": self.format, "version": VERSION, "max_document": self.max_document}
        used["part_bytes"] = self.part_bytes
        if self.format in ("jsonl", "parquet"):
            used |= {"text": self.text, "id": self.id, "date": self.date}
        if self.format in ("tar", "zip"):
            used["inner"] = self.inner
        if self.format == "tree" or (self.format in ("tar", "zip") and self.inner == "tree"):
            used["licenseclassifier"] = importlib.metadata.version("licenseclassifier")
        if self._has_pages and self.format != "warc":
            used["html"] = HTML_VERSION
        if self._has_pages:
            used |= {"extract": self.extract, "hidden_text": self.hidden_text}
            used["resiliparse"] = importlib.metadata.version("resiliparse")  # finds the character encoding, too
            if self.extract == "trafilatura":
                used["trafilatura"] = _installed("trafilatura")
        if self.views is not None:
            used["views"] = store.fingerprint(vouched.views(self.views))
        return used

    def list_files(self, idle: list[str] | None = None) -> list[File]:
        """Every file that `path` names and `exclude` does not, each once, sorted by path.

        Folders of version control are not entered.

        Args:
            idle: Grows by each path of `exclude` that names no file of those.

        Raises:
            UserError: A path names nothing, nothing is left of all, or a storage that is not known.
            OSError: The storage cannot be read.
        """
        skip = VCS_FOLDERS if self.format == "tree" else frozenset()
        found: dict[str, File] = {}
        for path in self.paths:
            files = store.list_files(path, skip_folders=skip)
            if not files:
                raise store.UserError(
                    f"{path}: no such file. Check the path, or write a glob of files such as 'crawl/*.gz' or 'code/**'."
                )
            found |= {file.path: file for file in files}
        out: set[str] = set()
        for path in self.excluded:
            named = [path]
            if store.fixed_root(path) != path and not set("*?[") & set(path.rpartition("/")[2]):
                named.append(store.join(path, "**"))  # a glob names files alone, but `**/node_modules` means a folder
            listed = itertools.chain.from_iterable(store.list_files(one, skip_folders=skip) for one in named)
            mine = {file.path for file in listed} & found.keys()
            if not mine and idle is not None:
                idle.append(path)
            out |= mine
        if len(out) == len(found):
            raise store.UserError(f"{', '.join(self.paths)}: exclude leaves no file of it. Exclude less.")
        return [found[path] for path in sorted(found.keys() - out)]

    def root(self, files: Sequence[File]) -> str:
        """The folder that all paths share in front of their wildcards: names of records are relative to it.

        Args:
            files: As `list_files` gives them; they tell a folder from a file.
        """
        known = {file.path for file in files}
        fronts = []
        for path in self.paths:
            front = store.fixed_root(path)
            fronts.append(front.rpartition("/")[0] or "/" if front in known else front)
        schemes = {front.split("://")[0] if store.is_remote(front) else "" for front in fronts}
        if len(set(fronts)) == 1 or len(schemes) > 1:
            return fronts[0]
        return os.path.commonpath(fronts).replace(":/", "://", 1) if "" not in schemes else os.path.commonpath(fronts)

    def slices(self, files: Sequence[File], root: str) -> list[Slice]:
        """Cut the input into pieces of work: small files gathered, large ones split where the format allows it.

        Parquet is split by row groups and uncompressed JSONL by bytes, about 256 MiB each; a compressed stream, an
        archive and a WARC file are one slice each. The result depends on names, sizes and content alone.

        Args:
            files: As `list_files` gives them.
            root: As `root` gives it.

        Raises:
            OSError: A Parquet file cannot be read for want of permission or connection.
        """
        listed = inputs(files, root)
        if self.format == "tree":
            from .code_files import LicenceFiles

            named = {file.name: file for file in listed}
            licences = LicenceFiles(named)
            return [
                Slice(tuple(group), licences=tuple(named[name] for name in licences.among(file.name for file in group)))
                for group in gather(listed)
            ]
        out: list[Slice] = []
        small: list[Input] = []
        for file in listed:
            pieces = list(self._pieces(file))
            if len(pieces) == 1:
                small.append(file)
                continue
            out += [Slice(tuple(group)) for group in gather(small)]
            small = []
            out += [Slice((file,), start, stop) for start, stop in pieces]
        return out + [Slice(tuple(group)) for group in gather(small)]

    def _pieces(self, file: Input) -> Iterator[tuple[int, int]]:
        """Half-open ranges of one file; a single one means the whole file."""
        if file.size < 2 * SPLIT_BYTES:
            yield 0, -1
        elif self.format == "parquet":
            from .row_groups import row_group_ranges

            yield from row_group_ranges(file, SPLIT_BYTES)
        elif self.format == "jsonl" and not file.name.endswith((".gz", ".zst", ".bz2", ".xz")):
            count = file.size // SPLIT_BYTES
            edges = [SPLIT_BYTES * n for n in range(count)] + [file.size]
            yield from itertools.pairwise(edges)
        else:
            yield 0, -1


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise store.UserError(f"{package} is not installed. Run: pip install 'tokenladder[{package}]'") from None
