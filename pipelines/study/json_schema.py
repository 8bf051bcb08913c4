"""The JSON Schema of study files, for editors: made from the dataclasses that check them, and their docstrings.

A study that the schema refuses is refused; a schema cannot hold all that is checked, so that `tokenladder plan` has the
last word.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from ...filters import FAMILIES, family
from ..formats import FORMATS, Source
from .budgets import expand_budgets, parse_count
from .file import TOKENIZERS
from .study import NAME, Settings
from .weights import parse_weights

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_UNIT = "([Bb]|[ -]*(tokens|bytes|documents))?"

COUNT: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "string", "pattern": rf"^\s*[0-9][0-9_]*(\.[0-9]+)?\s*[KMBGTkmbgt]?{_UNIT}\s*$"},
    ]
}
"""A number of tokens, bytes or documents, as people write it."""

BUDGETS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": COUNT, "minItems": 1},
        {
            "type": "object",
            "properties": {"from": COUNT, "to": COUNT, "per_decade": {"type": "integer", "minimum": 1, "maximum": 20}},
            "required": ["from", "to", "per_decade"],
            "additionalProperties": False,
        },
    ]
}

_SHARES = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}, "minProperties": 1}
_BEND = {
    "type": "object",
    "properties": {"at": {"anyOf": [{"type": "number", "minimum": 0}, COUNT]}},
    "required": ["at"],
}
WEIGHTS: dict[str, Any] = {"anyOf": [{"type": "string"}, _SHARES, {"type": "array", "items": _BEND, "minItems": 2}]}

_WRITTEN: dict[Any, dict[str, Any]] = {parse_count: COUNT, expand_budgets: BUDGETS, parse_weights: WEIGHTS}
"""What a study may write where a value is read from more than one form."""

_ATTRIBUTE = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |^\S|\Z)", re.DOTALL | re.MULTILINE)


class _Generator(GenerateJsonSchema):
    """pydantic's, without titles made of names, and with what is accepted before it is converted."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 pydantic's signature
        return False

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> dict[str, Any]:
        return dict(_WRITTEN.get(schema["function"]["function"], {}))

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> dict[str, Any]:
        return dict(_WRITTEN.get(schema["function"]["function"], {}))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        found = super().dataclass_schema(schema)
        return _described(schema["cls"], found)


def _described(kind: type, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what the docstring of its class says of it and of its fields."""
    told = inspect.getdoc(kind) or ""
    schema.pop("title", None)
    schema["description"] = " ".join(told.partition("\n\n")[0].split())
    texts = told.partition("Attributes:\n")[2]
    described = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(texts)}
    for name, value in schema.get("properties", {}).items():
        text = described.get(name) or described.get(f"{name}_")
        if text and "description" not in value:
            schema["properties"][name] = {**value, "description": text}
    return schema


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one class; those that it refers to are added to the definitions."""
    found = TypeAdapter(kind).json_schema(by_alias=True, schema_generator=_Generator)
    definitions |= found.pop("$defs", {})
    return found


def _typed(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One kind of a section, told by its `type`."""
    properties = {"type": {"const": name}, **{k: v for k, v in schema.get("properties", {}).items() if k != "type"}}
    required = ["type", *(key for key in schema.get("required", []) if key != "type")]
    return {**schema, "type": "object", "properties": properties, "required": required}


def study_schema() -> dict[str, Any]:
    """The schema as plain values; the same for the same version of the package."""
    definitions: dict[str, Any] = {}
    schema = _of(Settings, definitions)
    source = _of(Source, definitions)
    source["properties"]["format"]["enum"] = sorted(FORMATS)
    scores = [_typed(name, _of(family(name), definitions)) for name in sorted(FAMILIES)]
    tokenizers = [_typed(name, _of(kind, definitions)) for name, kind in TOKENIZERS.items()]
    named = {"propertyNames": {"pattern": NAME.pattern}, "type": "object"}
    schema["properties"] |= {
        "sources": {**named, "minProperties": 1, "additionalProperties": source},
        "scores": {**named, "additionalProperties": {"oneOf": scores}},
        "tokenizer": {"oneOf": tokenizers},
    }
    schema["required"] = [*schema["required"], "sources", "tokenizer"]
    schema["description"] = "A study of TokenLadder: what is read, computed, kept, and packed into which budgets."
    return {"$schema": DIALECT, "title": "TokenLadder study", **schema, "$defs": definitions}
