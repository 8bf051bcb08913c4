"""Comments of source code: how many characters of a file are comments, for the languages whose signs are known.

A lexer, not a parser: it knows which signs open a comment, a string or a character literal in a language, and what ends
each. It is wrong where a language hides these signs elsewhere (a regular expression that holds ``//``, a here document,
Ruby's ``=begin``), which moves a share by little and never reads past the text.

SantaCoder counts comments with Python's tokenizer and Pygments (Ben Allal et al. 2023, "SantaCoder: don't reach for the
stars!", and the file ``preprocessing/filtering.py`` of bigcode-project/bigcode-dataset); Python's docstrings are
comments there, and here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..kernels import inlined, kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..text.buffers import Text

LINE, SPACED, BLOCK, NESTED, STRING, LONG, RAW, CHARACTER, DOCSTRING = range(1, 10)
"""What a sign opens.

LINE: a comment to the end of the line. SPACED: the same, but only at the beginning of a line or after white space.
BLOCK: a comment up to its closing sign. NESTED: the same, and it may hold others of its kind. STRING: up to its closing
sign or the end of the line; a backslash takes the next character's meaning. LONG: the same over several lines. RAW: up
to its closing sign, whatever stands in it. CHARACTER: one character or one escape between two signs, else nothing.
DOCSTRING: a LONG that is a comment where it begins a statement: nothing but white space, r or u before it on its line,
and no bracket open.
"""


class Sign(NamedTuple):
    """Characters that open something.

    Attributes:
        kind: One of the constants above.
        opens: One to four ASCII characters.
        closes: The same; unused for LINE and SPACED.
    """

    kind: int
    opens: str
    closes: str = ""


def _line(*signs: str) -> tuple[Sign, ...]:
    return tuple(Sign(LINE, sign) for sign in signs)


_DOUBLE, _SINGLE = Sign(STRING, '"', '"'), Sign(STRING, "'", "'")
_CHARACTER = Sign(CHARACTER, "'", "'")
_STARS = Sign(BLOCK, "/*", "*/")
_C = (*_line("//"), _STARS, _DOUBLE, _CHARACTER)
_QUOTED = (*_line("//"), _STARS, _DOUBLE, _SINGLE)
_SCRIPT = (*_QUOTED, Sign(LONG, "`", "`"))
_DEEP = (*_line("//"), Sign(NESTED, "/*", "*/"), _DOUBLE, _CHARACTER)
_TRIPLE = Sign(LONG, '"""', '"""')
_SHELL = (Sign(SPACED, "#"), Sign(LONG, '"', '"'), Sign(RAW, "'", "'"))
_HASH = (*_line("#"), _DOUBLE, _SINGLE)
_DOCUMENTED = (*_line("#"), Sign(DOCSTRING, '"""', '"""'), Sign(DOCSTRING, "'''", "'''"), _DOUBLE, _SINGLE)
_LISP = (*_line(";"), Sign(NESTED, "#|", "|#"), Sign(LONG, '"', '"'))
_MARKUP = (Sign(BLOCK, "<!--", "-->"),)

_SYNTAX: dict[str, tuple[Sign, ...]] = {
    "C, C++, Cuda, Objective-C, Objective-C++, OpenCL, GLSL, WGSL, Metal, Java, C#, Solidity, D, V": _C,
    "Zig": (*_line("//"), _DOUBLE, _CHARACTER),
    "Go": (*_C, Sign(RAW, "`", "`")),
    "Rust, Swift": _DEEP,
    "Kotlin, Scala": (_TRIPLE, *_DEEP),
    "JavaScript, TypeScript, TSX": _SCRIPT,
    "Dart, Groovy": (_TRIPLE, Sign(LONG, "'''", "'''"), *_QUOTED),
    "PHP": (*_line("#"), *_QUOTED),
    "HCL": (*_line("#", "//"), _STARS, _DOUBLE),
    "Protocol Buffer, Thrift, SCSS, Less": _QUOTED,
    "CSS": (_STARS, _DOUBLE, _SINGLE),
    "SystemVerilog": (*_line("//"), _STARS, _DOUBLE),
    "Python, Cython, Starlark": _DOCUMENTED,
    "Elixir": (*_line("#"), _TRIPLE, _DOUBLE, _SINGLE),
    "Julia": (Sign(NESTED, "#=", "=#"), *_line("#"), _TRIPLE, Sign(LONG, '"', '"'), _CHARACTER),
    "Ruby, Crystal, R, Nim, Awk, GraphQL": _HASH,
    "Shell, fish, Perl, Makefile, Dockerfile, CMake, Nix": _SHELL,
    "YAML, Ignore List, Git Attributes": (Sign(SPACED, "#"), _DOUBLE, _SINGLE),
    "TOML": (*_line("#"), _TRIPLE, Sign(RAW, "'''", "'''"), _DOUBLE, _SINGLE),
    "PowerShell": (Sign(BLOCK, "<#", "#>"), Sign(SPACED, "#"), _DOUBLE, _SINGLE),
    "Tcl": (Sign(SPACED, "#"), _DOUBLE),
    "INI": (Sign(SPACED, ";"), Sign(SPACED, "#")),
    "SQL": (*_line("--"), _STARS, Sign(RAW, "'", "'"), _DOUBLE),
    "Ada, VHDL": (*_line("--"), _DOUBLE, _CHARACTER),
    "Lua": (Sign(BLOCK, "--[[", "]]"), *_line("--"), Sign(RAW, "[[", "]]"), _DOUBLE, _SINGLE),
    "Haskell, Elm, PureScript, Idris, Agda": (Sign(NESTED, "{-", "-}"), *_line("--"), _DOUBLE, _CHARACTER),
    "Lean": (Sign(NESTED, "/-", "-/"), *_line("--"), _DOUBLE, _CHARACTER),
    "Erlang": (*_line("%"), Sign(LONG, '"', '"'), _SINGLE),
    "MATLAB": (Sign(BLOCK, "%{", "%}"), *_line("%")),
    "TeX": _line("%"),
    "Prolog": (*_line("%"), _STARS, _DOUBLE, _SINGLE),
    "Common Lisp, Emacs Lisp, Scheme, Racket, Clojure": _LISP,
    "WebAssembly": (*_line(";;"), Sign(NESTED, "(;", ";)"), _DOUBLE),
    "Assembly": (*_line(";", "//"), Sign(SPACED, "#"), _STARS, _DOUBLE),
    "OCaml, Standard ML": (Sign(NESTED, "(*", "*)"), Sign(LONG, '"', '"'), _CHARACTER),
    "F#": (Sign(NESTED, "(*", "*)"), *_line("//"), _TRIPLE, Sign(LONG, '"', '"'), _CHARACTER),
    "Pascal": (Sign(BLOCK, "(*", "*)"), Sign(BLOCK, "{", "}"), *_line("//"), Sign(RAW, "'", "'")),
    "Fortran": (*_line("!"), _DOUBLE, _SINGLE),
    "HTML, XML, SVG, Vue, Svelte": _MARKUP,
}
SYNTAX = {name: signs for names, signs in _SYNTAX.items() for name in names.split(", ")}
"""Signs of each language, under the name that the column ``file_type`` has for it; the longest that fits wins."""

_WIDTH = 4  # characters of the longest sign
_SIGNS = max(map(len, SYNTAX.values()))
_NEWLINE, _RETURN, _BACKSLASH = 0x0A, 0x0D, 0x5C
_LONGEST_ESCAPE = 12  # bytes of '\u{10ffff}' in Rust and Swift


class _Tables(NamedTuple):
    starts: NDArray[np.bool_]  # [languages, 256]: whether a byte can begin a sign, or is a bracket to count
    kinds: NDArray[np.int64]  # [languages, signs]; 0 ends the list
    lengths: NDArray[np.int64]  # [languages, signs, 2]: of what opens and what closes
    bytes: NDArray[np.uint8]  # [languages, signs, 2, 4]


@cache
def _tables() -> _Tables:
    count = len(SYNTAX)
    starts = np.zeros((count, 256), np.bool_)
    kinds = np.zeros((count, _SIGNS + 1), np.int64)
    lengths = np.zeros((count, _SIGNS, 2), np.int64)
    data = np.zeros((count, _SIGNS, 2, _WIDTH), np.uint8)
    for language, signs in enumerate(SYNTAX.values()):
        for place, sign in enumerate(sorted(signs, key=lambda each: -len(each.opens))):
            kinds[language, place] = sign.kind
            starts[language, ord(sign.opens[0])] = True
            if sign.kind == DOCSTRING:
                starts[language, list(b"()[]{}")] = True
            for side, text in enumerate((sign.opens, sign.closes)):
                lengths[language, place, side] = len(text)
                data[language, place, side, : len(text)] = list(text.encode("ascii"))
    return _Tables(starts, kinds, lengths, data)


@cache
def _numbers() -> dict[str, int]:
    return {name: number for number, name in enumerate(SYNTAX)}


def comment_characters(text: Text, languages: Sequence[str | None]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    r"""Characters of each text that belong to comments, their signs included, the end of a line not.

    Args:
        text: A column's buffers, of ``n`` rows.
        languages: ``n`` names, as the column ``file_type`` has them.

    Returns:
        int64[n], and bool[n]: whether the language's signs are known; the count is 0 where they are not.

    Raises:
        ValueError: There are more or fewer languages than rows.

    >>> import pyarrow as pa
    >>> from ..text.buffers import text_buffers
    >>> counts, known = comment_characters(text_buffers(pa.array(["a = '#'  # why\n", "# what"])), ["Python", None])
    >>> counts.tolist(), known.tolist()
    ([5, 0], [True, False])
    """
    if len(languages) != len(text.valid):
        raise ValueError(f"There are {len(text.valid)} texts, but {len(languages)} languages; give one for each text.")
    numbers = _numbers()
    chosen = np.array([numbers.get(name, -1) if name else -1 for name in languages], np.int64)
    counts = np.zeros(len(chosen), np.int64)
    _count(text.offsets, text.data, text.valid, chosen, *_tables(), counts)
    return counts, chosen >= 0


@kernel
def _count(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    languages: Any,
    starts: Any,
    kinds: Any,
    lengths: Any,
    signs: Any,
    counts: Any,
) -> None:
    for row in range(len(valid)):
        language = languages[row]
        if not valid[row] or language < 0:
            continue
        start, stop = offsets[row], offsets[row + 1]
        depth = 0
        index = start
        while index < stop:
            byte = data[index]
            if not starts[language, byte]:
                index += 1
                continue
            place = 0
            while kinds[language, place] and not _fits(
                data, index, start, stop, kinds[language, place], lengths[language, place, 0], signs[language, place, 0]
            ):
                place += 1
            kind = kinds[language, place]
            if not kind:
                depth += (byte == 0x28) + (byte == 0x5B) + (byte == 0x7B)
                if depth > 0:  # a stray closing bracket opens nothing
                    depth -= (byte == 0x29) + (byte == 0x5D) + (byte == 0x7D)
                index += 1
                continue
            end = _end(data, index, stop, kind, lengths[language, place], signs[language, place])
            comment = kind <= NESTED or (kind == DOCSTRING and depth == 0 and _begins_statement(data, start, index))
            if comment:
                counts[row] += _characters(data, index, end)
            index = end


@inlined
def _characters(data: Any, start: int, stop: int) -> int:
    """Code points between two places: every byte that does not continue one."""
    count = 0
    for index in range(start, stop):
        count += (data[index] & 0xC0) != 0x80
    return count


@kernel
def _matches(data: Any, index: Any, stop: Any, length: Any, sign: Any) -> bool:
    if index + length > stop:
        return False
    for each in range(length):  # noqa: SIM110 (numba)
        if data[index + each] != sign[each]:
            return False
    return True


@kernel
def _fits(data: Any, index: Any, start: Any, stop: Any, kind: Any, length: Any, sign: Any) -> bool:  # noqa: PLR0917
    """Whether the sign stands at ``index`` and means something there."""
    if not _matches(data, index, stop, length, sign):
        return False
    if kind == SPACED:
        return bool(index == start or data[index - 1] <= 0x20)
    if kind == CHARACTER:
        return bool(_literal(data, index, stop) > index)
    return True


@kernel
def _literal(data: Any, index: Any, stop: Any) -> int:
    """Where the character literal that begins at ``index`` ends; ``index`` where none does."""
    quote = data[index]
    at = index + 1
    if at < stop and data[at] == _BACKSLASH:
        at += 2
        while at < stop and at - index < _LONGEST_ESCAPE and data[at] != quote and data[at] != _NEWLINE:
            at += 1
    elif at < stop and data[at] != quote and data[at] != _NEWLINE and data[at] != _RETURN:
        at += 1
        while at < stop and (data[at] & 0xC0) == 0x80:
            at += 1
    else:
        return int(index)
    return int(at + 1) if at < stop and data[at] == quote else int(index)


@kernel
def _begins_statement(data: Any, start: Any, index: Any) -> bool:
    """Whether nothing but white space, and the prefix r or u, stands before ``index`` on its line."""
    at = index - 1
    if at >= start and (data[at] | 0x20) in (0x72, 0x75):
        at -= 1
    while at >= start and data[at] != _NEWLINE and data[at] != _RETURN:
        if data[at] not in (0x20, 0x09):
            return False
        at -= 1
    return True


@kernel
def _end(data: Any, index: Any, stop: Any, kind: Any, lengths: Any, signs: Any) -> int:  # noqa: PLR0917
    """One past the last byte of what begins at ``index``; ``stop`` where nothing closes it."""
    if kind == CHARACTER:
        return int(_literal(data, index, stop))
    at = index + lengths[0]
    if kind in (LINE, SPACED):
        while at < stop and data[at] != _NEWLINE and data[at] != _RETURN:
            at += 1
        return int(at)
    first = signs[1][0]
    deep = signs[0][0]
    level = 1
    while at < stop:
        byte = data[at]
        if kind == STRING and byte in (_NEWLINE, _RETURN):
            return int(at)
        if byte == _BACKSLASH and kind in (STRING, LONG, DOCSTRING):
            at += 2
            continue
        if byte == first and _matches(data, at, stop, lengths[1], signs[1]):
            at += lengths[1]
            level -= 1
            if level == 0:
                return int(at)
            continue
        if kind == NESTED and byte == deep and _matches(data, at, stop, lengths[0], signs[0]):
            at += lengths[0]
            level += 1
            continue
        at += 1
    return int(stop)
