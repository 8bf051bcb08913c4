"""What a file of source code is: text or binary, its kind, its licence."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from .file_types import file_type
from .notebooks import NOTEBOOK, notebook_text
from .record import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .record import Record

HEAD = 8000
"""Bytes that are looked at to tell binary files, as git does."""

_CONTROL = bytes(set(range(32)) - {0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x1B}) + b"\x7f"
_CONTROL_SHARE = 0.05


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VENDORED = _words(
    """
    node_modules vendor vendors vendored _vendor third_party third-party thirdparty 3rdparty site-packages
    dist-packages bower_components jspm_packages godeps pods carthage externals extern bundled
    """
)
_LOCKS = _words(
    """
    package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock cargo.lock poetry.lock pipfile.lock
    uv.lock pdm.lock gemfile.lock composer.lock go.sum flake.lock mix.lock pubspec.lock podfile.lock
    packages.lock.json deno.lock .terraform.lock.hcl
    """
)
_GENERATED_NAME = re.compile(
    r"(?:_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.pb\.gw\.go|_generated\.\w+|\.g\.dart|\.freezed\.dart|\.designer\.cs|"
    r"\.map)$",
    re.IGNORECASE,
)
_GENERATED_TEXT = re.compile(
    r"\bdo not (?:edit|modify)\b|@generated\b|\bauto(?:matically |[- ])?generated\b|"
    r"\bgenerated (?:automatically )?by\b",
    re.IGNORECASE,
)
_GENERATED_HEAD = 1024
"""Characters in which a file says that it is generated; go's rule and Linguist's look at the first lines, too."""

_MINIFIED_NAME = re.compile(r"[.-]min\.(?:js|mjs|css|html?|svg)$", re.IGNORECASE)
_MEAN_LINE = 300
_SHORTEST_MINIFIED = 1024
_PROSE = frozenset({"Markdown", "Text", "reStructuredText", "TeX", "CSV", "JSON", NOTEBOOK, "SVG", "XML", None})
"""Long lines are common in these by nature, and say nothing about a minifier."""

_LICENCE = re.compile(
    r"(?:(?:un)?licen[cs]es?|copying|copyright)(?:[-_.](?!py$|js$|go$|rs$|c$|h$|java$|rb$|ts$|cpp$|cs$|php$|pl$|sh$)[^/]*)?",
    re.IGNORECASE,
)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, None),  # begins like UTF-16, and no tool writes source code in it
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def code(data: bytes, record: Record) -> Record:
    """A file of source code as a record: text, language and kind, or why it is none.

    Bytes that are not UTF-8 are rejected, never guessed: a wrong guess puts wrong characters into string literals.

    Args:
        data: The whole file.
        record: With the file's name in `name` as the path below the root.
    """
    if not data.strip():
        return record.drop("empty text")
    encoding = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), None)
    if encoding is None and is_binary(data):
        return record.drop("binary")
    bom, name = encoding or (b"", "utf-8")
    try:
        record.text = data[len(bom) :].decode(name or "ascii")
    except UnicodeDecodeError:
        return record.reject("not UTF-8")
    path = record.name
    record.file_type = file_type(path, record.text[:256])
    if record.file_type == NOTEBOOK:
        try:
            record.text = notebook_text(record.text)
        except CorruptError as error:
            return record.reject(str(error))
    record.kind = kind(path, record.text, record.file_type)
    return record


def is_binary(data: bytes) -> bool:
    r"""Whether the first 8,000 bytes hold a NUL or more than 5 % control characters.

    >>> is_binary(b"\x7fELF\x02\x01\x01\x00"), is_binary("naïve\n".encode())
    (True, False)
    """
    head = data[:HEAD]
    return b"\0" in head or len(head) - len(head.translate(None, _CONTROL)) > _CONTROL_SHARE * len(head)


def kind(path: str, text: str, language: str | None = None) -> str:
    """vendored, generated, minified or plain; the first that holds.

    Args:
        path: Below the root; a root that itself lies in a folder of libraries does not count.
        text: The file.
        language: As `file_type` gives it.

    >>> kind("node_modules/a/index.js", ""), kind("a_pb2.py", ""), kind("a.min.js", ""), kind("a.js", "x = 1")
    ('vendored', 'generated', 'minified', 'plain')
    """
    *folders, name = path.lower().split("/")
    if not VENDORED.isdisjoint(folders):
        return "vendored"
    if name in _LOCKS or _GENERATED_NAME.search(name) or _GENERATED_TEXT.search(text, 0, _GENERATED_HEAD):
        return "generated"
    if _MINIFIED_NAME.search(name):
        return "minified"
    long_lines = len(text) >= _SHORTEST_MINIFIED and len(text) >= _MEAN_LINE * (text.count("\n") + 1)
    return "minified" if long_lines and language not in _PROSE else "plain"


def is_licence(name: str) -> bool:
    """Whether a file's name is that of a licence.

    >>> is_licence("LICENSE-MIT"), is_licence("src/COPYING.txt"), is_licence("license.py")
    (True, True, False)
    """
    return _LICENCE.fullmatch(name.rpartition("/")[2]) is not None


class LicenceFiles:
    """The licence files of a tree, to find the nearest one upward from a file.

    >>> licences = LicenceFiles(["LICENSE", "lib/zip/COPYING.txt", "lib/zip/zip.c", "lib/license.py"])
    >>> licences.nearest("lib/zip/src/a.c"), licences.nearest("lib/license.py")
    ('lib/zip/COPYING.txt', 'LICENSE')
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Keep the licence files among `names`, paths below the root; of several in a folder the first by name."""
        self._by_folder: dict[str, str] = {}
        for name in sorted(names, reverse=True):
            folder, _, base = name.rpartition("/")
            if is_licence(base):
                self._by_folder[folder] = name

    def nearest(self, name: str) -> str | None:
        """Path of the licence file in the nearest folder upward, None where there is none up to the root."""
        folder = name
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in self._by_folder:
                return self._by_folder[folder]
        return None

    def among(self, names: Iterable[str]) -> tuple[str, ...]:
        """The licence files that are nearest to any of `names`, sorted."""
        return tuple(sorted({found for name in names if (found := self.nearest(name))}))
