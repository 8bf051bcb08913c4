"""Hosts of addresses, and their top-level domains: what documents are counted by."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<found>\[[0-9A-Fa-f:.]+\]|[^/?#:]+)"
_TOP = r"\.(?P<found>[^.0-9\[\]][^.\[\]]*)\.?$"


def hosts(names: pa.StringArray) -> pa.StringArray:
    """The host of each name that is an address, in lower case; null where it is none.

    >>> hosts(pa.array(["https://ada@Analytical.org:8080/x", "src/a.py", "http://[::1]/"])).to_pylist()
    ['analytical.org', None, '[::1]']
    """
    return pc.utf8_lower(_found(names, _HOST))


def top_level_domains(names: pa.StringArray) -> pa.StringArray:
    """The last label of each host; null where there is none, as in numbers.

    >>> top_level_domains(pa.array(["analytical.org", "81.2.69.142", "localhost", None])).to_pylist()
    ['org', None, None, None]
    """
    return _found(names, _TOP)


def _found(column: pa.StringArray, pattern: str) -> pa.Array[Any]:
    return pc.struct_field(pc.extract_regex(column, pattern), "found")
