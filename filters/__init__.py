"""Columns in, columns out: every score is a pure function from Arrow columns to Arrow columns. Never Beam.

A new score is one file with a :class:`~tokenladder.filters.family.Family`, and one line in :data:`FAMILIES`.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any, cast

from .family import Family  # at run time: loaded later, the module would take the place of the function below

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILIES = {
    "c4": "rules.c4:C4",
    "code": "source_code.starcoder:SourceCode",
    "compression": "measures.compression:Compression",
    "contamination": "lists.contamination:Contamination",
    "domains": "provenance.domains:Domains",
    "fasttext": "measures.fasttext:FastText",
    "fineweb": "rules.fineweb:FineWeb",
    "function": "measures.functions:Function",
    "gopher": "rules.gopher:Gopher",
    "importance": "measures.importance:Importance",
    "lengths": "measures.lengths:Lengths",
    "licence": "provenance.licences:Licence",
    "manipulation": "poison.manipulation:Manipulation",
    "minhash": "duplicates.minhash:MinHash",
    "perplexity": "measures.perplexity:Perplexity",
    "personal": "private.personal:Personal",
    "repository": "provenance.repository:Repository",
    "refinedweb": "rules.refinedweb:RefinedWeb",
    "repetition": "rules.repetition:Repetition",
    "secrets": "private.credentials:Secrets",
    "variety": "measures.variety:Variety",
    "words_list": "lists.blocklists:WordsList",
    "sketch": "duplicates.sketch:Sketch",
    "syntax": "source_code.syntax:Syntax",
}
"""What a study writes as ``type`` → module and class. Imported when asked for: most need a compiler or a library."""


def family(type_name: str) -> type[Family]:
    """The class of scores that a study calls ``type_name``.

    Raises:
        ValueError: There is none of that name.

    >>> family("lengths").__name__
    'Lengths'
    """
    if type_name not in FAMILIES:
        near = difflib.get_close_matches(type_name, FAMILIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no score of type {type_name!r}; there are {', '.join(sorted(FAMILIES))}.{hint}")
    module, name = FAMILIES[type_name].split(":")
    return cast("type[Family]", getattr(importlib.import_module(f".{module}", __name__), name))


def build(type_name: str, parameters: Mapping[str, Any]) -> Family:
    """A score from its type and its fields, as JSON or TOML hold them (lists stand for tuples).

    Raises:
        TypeError: A field is unknown or missing.
        ValueError: There is no such type, or a field has an impossible value.

    >>> build("minhash", {"ngram": 3}).identity()["ngram"]
    3
    """
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    return family(type_name)(**fields)
