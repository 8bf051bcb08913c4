"""The part of a card that people ask of any data set, answered as far as a build can know it.

The questions are those of Datasheets for Datasets (Gebru et al. 2018, https://arxiv.org/abs/1803.09010) and of Data
Cards (Pushkarna et al. 2022, https://arxiv.org/abs/2204.01075), in our own words; what only people know has a place
for their words (:mod:`.words`).
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from .markdown import fenced, numbers, plain, python_string, table_of
from .words import place

_HUB_LICENCES = frozenset((
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-3.0",
    "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "ecl-2.0", "epl-1.0",
    "epl-2.0", "eupl-1.1", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa",
    "odbl", "ofl-1.1", "osl-3.0", "postgresql", "unlicense", "wtfpl", "zlib",
))  # fmt: skip
"""SPDX licences that the Hugging Face Hub has a name for, which is SPDX's in small letters."""

LEAST_SHARE = 0.01
"""A language is told from this share of a stratum's documents on; below, a classifier's mistakes would be told."""

FROM_INPUT = "Counted again, from the input, by `tokenladder build STUDY --out OUT`."
"""For what neither the shards nor the ledger tell."""


def counted_by(command: str) -> str:
    """The command that gives the numbers above it once more, from the folder of the card."""
    return f"Counted again by:\n\n{fenced('bash', command)}"


def ledger_command(recipe: str, columns: tuple[str, ...]) -> str:
    """A command that counts a recipe's ledger by some columns."""
    listed = json.dumps(columns)
    code = (
        f"import pyarrow.dataset as d; t = d.dataset({python_string(f'ledger/{recipe}')}).to_table({listed}); "
        f'print(t.group_by({listed}).aggregate([([], "count_all")]).to_pylist())'
    )
    return f"python -c {shlex.quote(code)}"


def stratum_command(recipe: str) -> str:
    """A command that counts the sequences of each stratum in a recipe's largest rung."""
    folder = python_string(f"shards/{recipe}")
    code = f'import pyarrow.dataset as d; print(d.dataset({folder}).to_table(["stratum"])["stratum"].value_counts())'
    return f"python -c {shlex.quote(code)}"


def languages(manifest: dict[str, Any]) -> list[str]:
    """Codes of the languages that a recipe keeps: labels of fastText scores that the study calls language or the like.

    GlotLID's `eng_Latn` counts as `eng`.
    """
    names = [
        name
        for name, one in manifest.get("scores", {}).items()
        if one["type"] == "fasttext" and name.lower().startswith("lang")
    ]
    found = set()
    for one in _kept_dimensions(manifest, names):
        for value in one["most"]:
            code = re.fullmatch(r"([a-z]{2,3})(_[A-Z][a-z]{3})?", value["value"])
            if code and value["documents"] >= LEAST_SHARE * one["documents"]:
                found.add(code[1])
    return sorted(found)


def licences(manifest: dict[str, Any]) -> list[str]:
    """The Hub's names for licences of what recipes keep; `other` where it has none, `unknown` where none is known."""
    found, known = set(), 0
    for one in _kept_dimensions(manifest, ["licence"]):
        known += one["documents"]
        for value in one["most"]:
            name = value["value"].lower().removesuffix("-only").removesuffix("-or-later")
            found.add(name if name in _HUB_LICENCES else "other")
        found |= {"other"} if one["values"] > len(one["most"]) else set()
    kept = sum(_kept(recipe) for recipe in manifest["recipes"].values())
    ends = [name for name in ("other",) if name in found] + (["unknown"] if known < kept else [])
    return sorted(found - {"other"}) + ends


def _kept(recipe: dict[str, Any]) -> int:
    return sum(int(one["outcomes"]["kept"]["records"]) for one in recipe["counts"].values())


def _kept_dimensions(manifest: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    strata = [
        dimensions
        for recipe in (manifest.get("diversity") or {"recipes": {}})["recipes"].values()
        for dimensions in recipe.values()
    ]
    return [dimensions[name] for dimensions in strata for name in names if name in dimensions]


def datasheet(manifest: dict[str, Any], words: dict[str, str]) -> str:
    """The datasheet's sections.

    Args:
        manifest: As `manifest.json` holds it.
        words: What people wrote, as `words.read_words` gives it.
    """
    sections = {
        "motivation": [],
        "composition": _composition(manifest),
        "collection": _collection(manifest),
        "preprocessing": _preprocessing(manifest),
        "uses": [],
        "distribution": _distribution(manifest),
        "maintenance": _maintenance(manifest),
    }
    told = ["## Datasheet", "What stands in italics is for people to write; it stays when this card is made again."]
    for name, facts in sections.items():
        told.append(f"### {name.capitalize()}")
        told += facts
        told += [] if name == "preprocessing" else [place(name, words)]
    return "\n\n".join(told)


def _composition(manifest: dict[str, Any]) -> list[str]:
    documents = sum(one["documents"] for one in manifest["counts"].values())
    lines = [
        f"- Recipe {plain(name)} keeps {_kept(recipe):,} of {documents:,} documents in its largest rung. Of what its "
        "rules keep, a hash of seed and content draws them, so that each is as likely as any other of its stratum."
        for name, recipe in sorted(manifest["recipes"].items())
    ]
    lines.append("- Documents have no labels. `documents/RECIPE/` tells which one stands where in each sequence.")
    found = [name for name, one in sorted(manifest.get("scores", {}).items()) if one["type"] in {"personal", "secrets"}]
    looked = ", ".join(map(plain, found))
    lines.append(f"- Personal data and secrets were looked for by: {looked}." if found else _UNSOUGHT)
    masked = manifest.get("masks") or {}
    kinds = sorted({kind for every in masked.values() for kind in every})
    lines += [f"- Masked wherever found: {', '.join(map(plain, kinds))}."] if kinds else []
    return ["\n".join(lines)]


_UNSOUGHT = "- No score looked for personal data or secrets."


def _collection(manifest: dict[str, Any]) -> list[str]:
    lines = [
        f"- {plain(name)}: {one['records']:,} records, {one['bytes'] / 1e6:,.1f} MB"
        for name, one in sorted(manifest["counts"].items())
    ]
    pool = (manifest.get("diversity") or {"pool": {}})["pool"]
    years = {value["value"] for one in pool.values() for value in one.get("year", {"most": []})["most"]}
    dated = min(years, default="") if len(years) < 2 else f"{min(years)}–{max(years)}"
    lines += [f"- Most documents with a date are of {plain(dated)}."] if years else []
    return ["\n".join(lines)]


def _preprocessing(manifest: dict[str, Any]) -> list[str]:
    rows = [
        (plain(name), plain(one["type"]), plain(_parameters(one)))
        for name, one in sorted(manifest.get("scores", {}).items())
    ]
    told = [table_of(("score", "type", "parameters and hashes of its files"), rows, texts=3)] if rows else []
    lines = ["- The raw records are not part of this; the ledger says of each the file and the place it was read from."]
    lines.append("- Rules, near duplicates and the tokenizer stand above; `study.toml` holds all settings.")
    if manifest.get("repeated_lines"):
        lines.append("- Lines that many documents repeat were looked for (`repeated_lines` in `manifest.json`).")
    return [*told, "\n".join(lines)]


def _parameters(identity: dict[str, Any]) -> str:
    told = {
        key: value for key, value in sorted(identity.items()) if key not in {"type", "version"} and value is not None
    }
    text = json.dumps(told, ensure_ascii=False)[1:-1]
    return text if len(text) <= 200 else f"{text[:200]} …"


def _distribution(manifest: dict[str, Any]) -> list[str]:
    told = (manifest.get("diversity") or {"recipes": {}})["recipes"]
    rows = [
        (*map(plain, (name, stratum, value["value"])), *numbers(value["documents"], value["bytes"]))
        for name, strata in sorted(told.items())
        for stratum, dimensions in sorted(strata.items())
        for value in dimensions.get("licence", {"most": []})["most"]
    ]
    if not rows:
        return ["No licence of any document is known."]
    heads = ("recipe", "stratum", "licence (SPDX)", "documents", "bytes")
    intro = "Licences of kept documents as far as files or pages tell them, the ten most common of each stratum:"
    return [f"{intro}\n\n{table_of(heads, rows, texts=3)}", FROM_INPUT]


def _maintenance(manifest: dict[str, Any]) -> list[str]:
    same = "With these versions, the same `study.toml` and input give the same root hash on any machine"
    lines = (
        f"- {same}: {plain(manifest['root_hash'])}.",
        "- Another seed, budget or rule is a new build; the ledger tells what became of each record.",
    )
    return ["\n".join(lines)]
