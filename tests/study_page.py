"""STUDY.md: every key of a study file, from the schema that editors get; `tests/test_documentation.py` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

HEAD = """# A study file: every key

What a study may say, from the code's own docstrings (`python tests/test_documentation.py` writes this page).
[GUIDE.md](GUIDE.md) says what the sections are for and how they work together; editors learn the keys from the line
`#:schema study.schema.json` and what `tokenladder schema` prints. Counts of tokens are numbers, or text such as
`"1.5B"`.

"""

SECTIONS = {
    "held_out": ("`[held_out]`", "HeldOut"),
    "dedup": ("`[dedup]`", "Dedup"),
    "repeated_lines": ("`[repeated_lines]`", "RepeatedLines"),
    "bursts": ("`[bursts]`", "Bursts"),
    "recipes": ("`[recipes.NAME]`", "Recipe"),
    "curricula": ("`[curricula.NAME]`", "Curriculum"),
}
"""Sections of fixed names: how a study writes them, and what defines their keys."""

NESTED = {"Recipe": {"Rule": "Rules: entries of `keep`"}}
"""What else stands in a section."""

LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def render(schema: dict[str, Any]) -> str:
    """The page as Markdown."""
    definitions, properties = schema["$defs"], schema["properties"]
    apart = {"sources", "scores", "tokenizer", *SECTIONS}
    top = {**schema, "properties": {key: value for key, value in properties.items() if key not in apart}}
    lines = [HEAD + "## At the top", *_section(top)]
    lines += ["## `[tokenizer]`", *_kinds(properties["tokenizer"]["oneOf"], definitions)]
    lines += ["## `[sources.NAME]`", *_section(properties["sources"]["additionalProperties"])]
    lines += ["## `[scores.NAME]`", *_kinds(properties["scores"]["additionalProperties"]["oneOf"], definitions)]
    for heading, name in SECTIONS.values():
        lines += [f"## {heading}", *_section(definitions[name])]
        for inner, title in NESTED.get(name, {}).items():
            lines += [f"### {title}", *_section(definitions[inner])]
    return "\n\n".join(lines) + "\n"


def _kinds(kinds: list[dict[str, Any]], definitions: dict[str, Any]) -> Iterator[str]:
    """A heading for each `type`; a table of the sections inside, such as `train`, after its own."""
    for kind in kinds:
        fields = {key: value for key, value in kind["properties"].items() if key != "type"}
        yield f'### `type = "{kind["properties"]["type"]["const"]}"`'
        yield from _section({**kind, "properties": fields})
        for key, value in fields.items():
            for inner in [one["$ref"].rpartition("/")[2] for one in value.get("anyOf", [value]) if "$ref" in one]:
                yield f"In `{key}`: {_text(definitions[inner].get('description', ''))}"
                yield from _section({**definitions[inner], "description": ""})


def _section(schema: dict[str, Any]) -> Iterator[str]:
    """What a section says, and a table of its keys."""
    if schema.get("description"):
        yield _text(schema["description"])
    rows = [
        f"| `{key}` | {_kind(value)} | {_default(key, value, schema)} | {_text(value.get('description', ''))} |"
        for key, value in schema["properties"].items()
    ]
    if rows:
        yield "\n".join(["| key | value | default | |", "| --- | --- | --- | --- |", *rows])


def _text(said: str) -> str:
    return said.replace("``", "`").replace("|", "\\|")


def _default(key: str, value: dict[str, Any], schema: dict[str, Any]) -> str:
    if key in schema.get("required", []):
        return "must be given"
    default = value.get("default")
    return "none" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`".replace("|", "\\|")


def _kind(value: dict[str, Any]) -> str:
    """What may be written, in a few words."""
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "$ref" in value:
        return "a table"
    if "anyOf" in value:
        kinds = [_kind(one) for one in value["anyOf"] if one.get("type") != "null"]
        return "count" if kinds == ["whole number > 0", "text"] else " or ".join(dict.fromkeys(kinds))
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    if value.get("type") == "array":
        return f"list: {_kind(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    limits = [f"{sign} {value[name]}" for name, sign in LIMITS.items() if name in value]
    return " ".join([names.get(value.get("type", ""), "a table"), ", ".join(limits)]).strip()
