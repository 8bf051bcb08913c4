"""What SPDX licence identifiers oblige one to, in four classes, and what an expression of several comes to.

The identifiers are those of the SPDX licence list. The classes follow the common reading (the permissive ones are near
the Blue Oak Council's list, which The Stack uses): they sort documents for a study and are no legal advice.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

PERMISSIVE, WEAK_COPYLEFT, COPYLEFT, PROPRIETARY, UNKNOWN = CLASSES = (
    "permissive",
    "weak_copyleft",
    "copyleft",
    "proprietary",
    "unknown",
)
"""permissive: keep the notice at most. weak_copyleft: changes to these files or this library stay under the licence.
copyleft: so does what is built from it. proprietary: some use is forbidden (commercial, competing, derived)."""

_FAMILIES = {
    PERMISSIVE: """
        0BSD AAL AFL ANTLR-PD Adobe-2006 Adobe-Glyph Afmparse Apache Artistic BSD BSD-1-Clause BSD-2-Clause
        BSD-3-Clause BSD-4-Clause BSD-Source-Code BSD-Systemics BSL Beerware BlueOak Boehm-GC Bitstream-Vera
        CC-BY CC-PDDC CC-PDM CC0 CDLA-Permissive CECILL-B CERN-OHL-P CMU-Mach CNRI-Jython CNRI-Python Clips ECL
        EFL ErlPL-1.1 Entessa FSFAP FSFUL FSFULLR FSFULLRWD FTL Fair HPND HTMLTIDY HaskellReport ICU IJG ISC
        ImageMagick Info-ZIP Intel JSON JasPer Latex2e Libpng libpng Linux-OpenIB MIT MIT-0 MIT-CMU
        MIT-Modern-Variant MIT-advertising MIT-feh MIT-enna MITNFA MS-PL MirOS MulanPSL Multics NAIST NCSA
        NIST-PD NIST-Software NTP Naumen Net-SNMP NetCDF Noweb ODC-By OFFIS OFL OGL-UK OLDAP OpenMDW OpenSSL
        PDDL PHP PSF PostgreSQL Python Qhull RSA-MD Ruby SAX-PD SGI-B-2.0 SMLNJ SSH-OpenSSH SSH-short Spencer-86
        Spencer-94 Spencer-99 TCL TU-Berlin UPL UCAR Unicode Unicode-DFS Unicode-TOU Unlicense VSL Vim W3C WTFPL
        X11 XFree86 Xerox Xnet ZPL Zend Zlib blessing bzip2 curl dtoa etalab libtiff mpich2 snprintf xinetd
        xlock zlib-acknowledgement
    """,
    WEAK_COPYLEFT: """
        APSL CDDL CECILL-C CERN-OHL-W CPL CPAL CUA-OPL ClArtistic EPL IPL Interbase LGPL LGPLLR LPPL LiLiQ-R MPL MS-RL
        NPL Nokia ODbL RPSL RSCPL SGI-B SISSL SPL Sun-PPP Ubuntu-font Watcom wxWindows CC-SA
    """,
    COPYLEFT: """
        AGPL CAL CC-BY-SA CDLA-Sharing CECILL CERN-OHL-S EUPL GFDL GPL LiLiQ-Rplus NGPL NPOSL OSL OSET-PL Parity QPL RPL
        SimPL Sleepycat copyleft-next
    """,
    PROPRIETARY: """
        Aladdin BUSL C-UDA CC-BY-NC CC-BY-NC-ND CC-BY-NC-SA CC-BY-ND CPOL CommonsClause Commons-Clause Elastic FSL
        Hippocratic JPL-image LicenseRef-Proprietary LicenseRef-Commercial PolyForm PolyForm-Noncommercial
        PolyForm-Small-Business Prosperity SSPL SUL SHL-0.5
    """,
}
"""Identifiers without their versions; one with its version stands for that version alone."""

_LINKING = frozenset(
    {
        "autoconf-exception",
        "bison-exception",
        "classpath-exception",
        "gcc-exception",
        "gnu-compiler-exception",
        "linux-syscall-note",
        "llvm-exception",
        "openjdk-assembly-exception",
        "qt-gpl-exception",
        "swift-exception",
        "universal-foss-exception",
        "wxwindows-exception",
    }
)
"""Exceptions that free what is built with or linked against the work: copyleft becomes weak copyleft."""

_VERSION = re.compile(r"-v?\d[\w.]*(?=-|$)")
_SUFFIX = re.compile(r"(?:\+|-only|-or-later)$")
_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9][A-Za-z0-9.+:-]*)")
LONGEST_EXPRESSION = 500
"""Characters; every level of brackets takes two, so the parser's depth is bounded too."""


@cache
def _table() -> dict[str, str]:
    return {name.lower(): kind for kind, names in _FAMILIES.items() for name in names.split()}


def class_of(identifier: str) -> str:
    """The class of one SPDX identifier; an unknown one is ``unknown``.

    >>> class_of("Apache-2.0"), class_of("LGPL-2.1-or-later"), class_of("GPL-2.0+"), class_of("LicenseRef-mine")
    ('permissive', 'weak_copyleft', 'copyleft', 'unknown')
    """
    name = _SUFFIX.sub("", identifier).lower()
    bare = _VERSION.sub("", name)
    table = _table()
    while True:  # "CC-BY-NC-3.0-DE" → "cc-by-nc-de" → "cc-by-nc"; the longest name that is known
        for each in (name, bare):
            if each in table:
                return table[each]
        if "-" not in bare:
            return UNKNOWN
        bare = name = bare.rpartition("-")[0]


def parse(expression: str) -> tuple[str, str] | None:
    """An SPDX licence expression, written in one way, and its class.

    AND takes the strictest class of its sides, OR the mildest, because one may choose. AND with an unknown side is
    unknown, unless the other side is stricter than weak copyleft.

    Returns:
        The expression with single spaces and operators in capitals, and the class; None where it is no expression.

    >>> parse("MIT or (GPL-2.0-only with Classpath-exception-2.0)")
    ('MIT OR (GPL-2.0-only WITH Classpath-exception-2.0)', 'permissive')
    >>> parse("GPL-2.0-only AND"), parse("see file")
    (None, None)
    """
    return _parse(expression) if len(expression) <= LONGEST_EXPRESSION else None


@lru_cache(maxsize=4096)
def _parse(expression: str) -> tuple[str, str] | None:
    tokens: list[str] = []
    at = 0
    while expression[at:].strip():
        match = _TOKEN.match(expression, at)
        if match is None:
            return None
        operator = match[1].upper()
        tokens.append(operator if operator in {"AND", "OR", "WITH"} else match[1])
        at = match.end()
    try:
        kind, rest = _either(tokens)
    except (IndexError, ValueError):
        return None
    if rest:
        return None
    return " ".join(tokens).replace("( ", "(").replace(" )", ")"), kind


def _either(tokens: list[str]) -> tuple[str, list[str]]:
    kind, rest = _both(tokens)
    while rest[:1] == ["OR"]:
        other, rest = _both(rest[1:])
        known = [each for each in (kind, other) if each != UNKNOWN] or [UNKNOWN]
        kind = min(known, key=CLASSES.index)
    return kind, rest


_STRICTNESS = (PERMISSIVE, WEAK_COPYLEFT, UNKNOWN, COPYLEFT, PROPRIETARY)


def _both(tokens: list[str]) -> tuple[str, list[str]]:
    kind, rest = _one(tokens)
    while rest[:1] == ["AND"]:
        other, rest = _one(rest[1:])
        kind = max(kind, other, key=_STRICTNESS.index)
    return kind, rest


def _one(tokens: list[str]) -> tuple[str, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first == "(":
        kind, rest = _either(rest)
        if rest[0] != ")":
            raise ValueError(first)
        return kind, rest[1:]
    if first in {")", "AND", "OR", "WITH"}:
        raise ValueError(first)
    kind = class_of(first)
    if rest[:1] == ["WITH"]:
        exception = _VERSION.sub("", rest[1].lower())
        kind = WEAK_COPYLEFT if kind == COPYLEFT and exception in _LINKING else kind
        rest = rest[2:]
    return kind, rest
