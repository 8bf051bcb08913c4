"""Croissant: what a study made, in the form that machines and dataset searches read.

The form is MLCommons' Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html): every shard with
its SHA-256, and a set of records for each recipe and rung, for each curriculum, and for the held-out set, under the
same names as the configurations of the card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .front_matter import HELD_OUT, configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

PARQUET = "application/x-parquet"

_CROISSANT = "http://mlcommons.org/croissant/"
_TERMS = (
    "citeAs", "column", "equivalentProperty", "examples", "extract", "field", "fileProperty", "fileObject", "fileSet",
    "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references",
    "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": _CROISSANT,
    "dct": "http://purl.org/dc/terms/",
    "rai": f"{_CROISSANT}RAI/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    **{term: f"cr:{term}" for term in _TERMS},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}

Column = tuple[str, str, str]
"""Name, data type and description."""

_MANY = frozenset({"input_ids", "document_starts"})
"""Columns of lists."""


def _columns(manifest: dict[str, Any]) -> list[Column]:
    """Columns of the shards of recipes."""
    ids: Column = ("input_ids", "sc:Integer", "Token ids, documents one after the other.")
    if manifest.get("input_ids") == "binary":
        told = f"Token ids, documents one after the other, each as a little-endian {manifest['tokenizer']['dtype']}."
        ids = ("input_ids", "sc:Text", told)  # there is no type of bytes; Text is given as they are
    columns: list[Column] = [
        ids,
        ("stratum", "sc:Text", "The source, or the part of a source, that the sequence is from."),
        ("document_starts", "sc:Integer", "Positions at which a document begins."),
    ]
    if manifest.get("packing") == "best-fit":
        columns.append(("padding", "sc:Integer", "How many tokens at the end only fill the sequence."))
    return columns


def make_croissant(manifest: dict[str, Any]) -> dict[str, Any]:
    """A study's `croissant.json`.

    Args:
        manifest: As `manifest.json` holds it.

    Returns:
        JSON-LD, to be validated by MLCommons' own `mlcroissant`. What a build cannot know, the licence of the whole and
        where and when it was published, is not there.
    """
    shards: dict[str, dict[str, Any]] = {}
    sets, records = [], []
    columns = _columns(manifest)
    for name, told, listed in _configurations(manifest):
        shards |= {shard["path"]: shard for shard in listed}
        sets.append(
            {
                "@type": "cr:FileSet",
                "@id": f"files/{name}",
                "name": f"files of {name}",
                "encodingFormat": PARQUET,
                "includes": [shard["path"] for shard in listed],
            }
        )
        records.append(
            {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "description": told,
                "field": [_field(name, *column) for column in columns if name != HELD_OUT or column[0] != "padding"],
            }
        )
    files = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "contentSize": f"{shard['bytes']} B",
            "encodingFormat": PARQUET,
            "sha256": shard["sha256"],
        }
        for path, shard in sorted(shards.items())
    ]
    recipes = ", ".join(sorted(manifest["recipes"]))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": f"{_CROISSANT}1.0",
        "name": manifest["name"],
        "description": (
            f"Training shards of exact token budgets, made by TokenLadder. Recipes: {recipes}. A record is one "
            f"sequence of {manifest['sequence_length']:,} tokens. Root hash: {manifest['root_hash']}."
        ),
        "version": f"1.0.0+{manifest['root_hash']}",
        "distribution": [*files, *sets],
        "recordSet": records,
    }


def _configurations(manifest: dict[str, Any]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Name, description and shards of each set of records."""
    for name, recipe in sorted(manifest["recipes"].items()):
        for rung in recipe["rungs"]:
            yield (
                configuration(name, rung["name"]),
                f"The first {rung['tokens']:,} tokens of recipe {name}: {rung['sequences']:,} sequences.",
                rung["shards"],
            )
    for name, one in sorted(manifest.get("curricula", {}).items()):
        told = f"The documents of {configuration(one['recipe'], one['rung'])} in another order."
        yield configuration(name, one["rung"]), told, one["shards"]
    held = manifest["held_out"]
    if held:
        yield HELD_OUT, f"{held['tokens']:,} tokens that no recipe holds.", held["shards"]


def _field(name: str, column: str, kind: str, told: str) -> dict[str, Any]:
    field = {
        "@type": "cr:Field",
        "@id": f"{name}/{column}",
        "name": column,
        "description": told,
        "dataType": kind,
        "source": {"fileSet": {"@id": f"files/{name}"}, "extract": {"column": column}},
    }
    return {**field, "repeated": True} if column in _MANY and kind != "sc:Text" else field
