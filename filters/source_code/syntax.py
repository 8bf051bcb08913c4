"""Does a file of source code parse? Python by its own parser, other languages by tree-sitter's grammars.

Nothing is run. Files can be made to hurt a parser: 12 kB of ``a=>a=>…`` cost tree-sitter's Java grammar 5 GB. So a file
has a size limit, and a budget of steps in proportion to its size; 1,200 real files in seven languages took at most half
of it. Both limits count, and no clock, so that every machine decides alike. Of 36 kinds of nonsense, repeated up to the
limits, the worst took 18 s and 500 MB. Bash is left out: its scanner took 50 s for 125 kB within the budget.

tree-sitter repairs what it cannot parse and goes on, so that a file has a share of errors. Some is common where a
preprocessor hides the grammar: of 300 headers in C, 21 had more than 5 %.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import sys
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import optional_column, text_column

if TYPE_CHECKING:
    from ..family import JSON

PASS, ERROR, UNKNOWN = "pass", "error", "unknown"

PYTHON = "Python"
GRAMMARS = {
    "C": ("c", "language"),
    "C#": ("c-sharp", "language"),
    "C++": ("cpp", "language"),
    "Go": ("go", "language"),
    "JSON": ("json", "language"),
    "Java": ("java", "language"),
    "JavaScript": ("javascript", "language"),
    "PHP": ("php", "language_php"),
    "Ruby": ("ruby", "language"),
    "Rust": ("rust", "language"),
    "TSX": ("typescript", "language_tsx"),
    "TypeScript": ("typescript", "language_typescript"),
}
"""Language, as the column ``file_type`` has it → package ``tree-sitter-…``, and its function that gives the grammar."""

LANGUAGES = (PYTHON, *GRAMMARS)

_LARGEST = 2**17
_SMALLER = {"C#": 2**15, "Java": 2**15}
"""Bytes of the largest file that is parsed: 128 kB of nested generics cost these two grammars 3 GB, 32 kB 360 MB."""

_STEPS = 30
_STEPS_PER_BYTE = 3 / 100
"""tree-sitter reports every hundred operations; real files came to 10 reports, and 1.6 more for each 100 bytes."""
_NODES = 200_000
"""So many nodes are looked at for errors."""
_CHUNK = 2**16

_warnings = threading.Lock()  # Python's filter of warnings belongs to the process


class Verdict(NamedTuple):
    """What came of parsing a file.

    Attributes:
        errors: Places that do not fit the grammar.
        share: Bytes of them over all bytes; None where the parser does not say.
    """

    errors: int
    share: float | None


@dataclass(frozen=True)
class Syntax:
    """Score ``syntax``: whether a file parses in its language.

    Reads ``text`` and, where the batch has it, ``file_type``. A C file with errors is tried as C++ too, which headers
    often are, and the better verdict counts.

    Attributes:
        languages: Which to parse; others are ``unknown``. All but Python need ``pip install 'tokenladder[code]'``.
        max_error_share: A larger share of bytes that do not fit the grammar is an ``error``; a choice of this project,
            since none is published. Python's parser stops at the first error, and that is one.
        max_bytes: Larger files are ``unknown``, and so are files of more than 32 KiB in Java and C#.

    Output columns:
        verdict: string; ``pass``, ``error``, or ``unknown``: another language, too large, or over the budget of steps.
        errors: int32; null where the verdict is unknown.
        error_share: float32; null where the verdict is unknown, and for Python with an error.

    >>> batch = pa.record_batch({"text": ["x = 1", "x = ", "x"], "file_type": ["Python", "Python", None]})
    >>> Syntax(languages=("Python",)).score(batch)["verdict"].to_pylist()
    ['pass', 'error', 'unknown']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "syntax"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "verdict"
    VALUE: ClassVar[str | None] = "error_share"

    languages: tuple[str, ...] = LANGUAGES
    max_error_share: float = 0.05
    max_bytes: int = _LARGEST

    def __post_init__(self) -> None:
        unknown = [name for name in self.languages if name not in LANGUAGES]
        if unknown or not self.languages:
            given = f"{unknown[0]!r} is none" if unknown else "none is given"
            raise ValueError(f"syntax: languages must be some of {', '.join(LANGUAGES)}; {given}.")
        if not 0 <= self.max_error_share <= 1:
            raise ValueError(f"syntax: max_error_share is a share from 0 to 1; it is {self.max_error_share}.")
        if not 1 <= self.max_bytes <= _LARGEST:
            raise ValueError(f"syntax: max_bytes must be from 1 to {_LARGEST}; it is {self.max_bytes}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema(
            [
                pa.field("verdict", pa.string()),
                pa.field("errors", pa.int32()),
                pa.field("error_share", pa.float32()),
            ]
        )

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the versions of Python and the grammars.

        Raises:
            ValueError: A grammar is not installed.
        """
        packages = {GRAMMARS[name][0] for name in _with_cousins(self.languages) if name != PYTHON}
        versions: dict[str, JSON] = {name: _version(f"tree-sitter-{name}") for name in sorted(packages)}
        if packages:
            versions["tree-sitter"] = _version("tree-sitter")
        if PYTHON in self.languages:
            versions["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
        languages: list[JSON] = [*sorted(set(self.languages))]
        return {**base_identity(self), "languages": languages, "parsers": versions}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Parse the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings; ``file_type`` is none of strings; or a grammar is not
                installed.
        """
        column = text_column(documents)
        languages = optional_column(documents, "file_type")
        verdicts: list[Verdict | None] = [None] * len(column)
        for row, language in enumerate(languages.to_pylist()):  # parsers take one text a call
            if language in self.languages and column[row].is_valid:
                data = column[row].as_buffer()
                if data.size <= min(self.max_bytes, _SMALLER.get(language, _LARGEST)):
                    verdicts[row] = parse(data.to_pybytes(), language)
        valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        return pa.record_batch(
            [
                pa.array([self._label(each) for each in verdicts], pa.string(), mask=~valid),
                pa.array([None if each is None else each.errors for each in verdicts], pa.int32()),
                pa.array([None if each is None else each.share for each in verdicts], pa.float32()),
            ],
            schema=self.columns,
        )

    def _label(self, verdict: Verdict | None) -> str:
        if verdict is None:
            return UNKNOWN
        share = float(verdict.errors > 0) if verdict.share is None else verdict.share
        return ERROR if share > self.max_error_share else PASS


def parse(data: bytes, language: str) -> Verdict | None:
    """Parse one file.

    Args:
        data: UTF-8; bytes that are not count as U+FFFD in Python.
        language: One of :data:`LANGUAGES`.

    Returns:
        The verdict; None where the parser would need more steps than a file of this size may take.

    Raises:
        ValueError: The grammar is not installed.

    >>> parse(b"x = (", "Python")
    Verdict(errors=1, share=None)
    """
    if language == PYTHON:
        return _parse_python(data.decode("utf-8", "replace"))
    verdict = _parse_by_grammar(data, language)
    if language == "C" and (verdict is None or verdict.errors):
        other = _parse_by_grammar(data, "C++")
        found = [each for each in (verdict, other) if each is not None]
        return min(found, key=lambda each: each.share or 0.0, default=None)
    return verdict


def _parse_python(text: str) -> Verdict:
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a string is a warning, and no error
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested beyond its limits
            return Verdict(1, None)
    return Verdict(0, 0.0)


def _parse_by_grammar(data: bytes, language: str) -> Verdict | None:
    view = memoryview(data)
    left = _STEPS + int(len(data) * _STEPS_PER_BYTE)

    def read(offset: int, _point: Any) -> memoryview:
        return view[offset : offset + _CHUNK]

    def halt(_offset: int, _has_error: bool) -> bool:  # noqa: FBT001 (tree-sitter's signature)
        nonlocal left
        left -= 1
        return left < 0

    parser = _module("tree_sitter").Parser(_grammar(language))
    try:
        tree = parser.parse(read, progress_callback=halt)
    except ValueError:  # halted
        return None
    return _errors(tree, len(data)) if tree.root_node.has_error else Verdict(0, 0.0)


def _errors(tree: Any, size: int) -> Verdict:
    """Errors nearest to the root; tokens that the parser put in for missing ones count as errors without bytes."""
    cursor = tree.walk()
    errors = covered = 0
    for _ in range(_NODES):
        node = cursor.node
        if node.is_error or node.is_missing:
            errors += 1
            covered += node.end_byte - node.start_byte
        elif node.has_error and cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return Verdict(errors, covered / size if size else 0.0)
    return Verdict(max(errors, 1), 1.0)


def _with_cousins(languages: tuple[str, ...]) -> set[str]:
    return {*languages, "C++"} if "C" in languages else set(languages)


def _missing(package: str) -> ValueError:
    return ValueError(
        f"syntax: the package {package} is not installed. Run: pip install 'tokenladder[code]', or parse Python alone: "
        'languages = ["Python"].'
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise _missing(package) from None


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise _missing(name.replace("_", "-")) from None


@cache
def _grammar(language: str) -> Any:
    package, function = GRAMMARS[language]
    grammar = getattr(_module(f"tree_sitter_{package.replace('-', '_')}"), function)()
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some give an address in place of a capsule
        return _module("tree_sitter").Language(grammar)
