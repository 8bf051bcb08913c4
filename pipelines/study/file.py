"""Reads a study file and finds all of its mistakes at once: each with its key, what was given and what would work."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ...filters import FAMILIES, family
from ...filters.measures.functions import FunctionError
from ...tokenizers import sections
from ..files import store
from ..formats import FORMATS, Source
from .budgets import with_unit
from .checks import (
    OF_POOL,
    RESERVED,
    check_inherited,
    check_names,
    check_references,
    check_settings,
    check_trained,
    did_you_mean,
)
from .curricula import Curriculum
from .study import NAME_IS, Dedup, HeldOut, Recipe, Rule, Settings, Study
from .weights import read_weights

if TYPE_CHECKING:
    from ...filters.family import Family

TOKENIZERS = {
    "bytes": sections.BytesSection,
    "huggingface": sections.HuggingFaceSection,
    "sentencepiece": sections.SentencePieceSection,
    "tiktoken": sections.TiktokenSection,
}
"""What a study writes as the tokenizer's `type`."""


LISTS = frozenset({"files", "path_files", "raw", "target"})
"""Keys of a score that hold paths; relative ones start at the study's folder."""


class StudyError(store.UserError):
    """The mistakes in a study file, all of them.

    Attributes:
        mistakes: One line each: key, what was given, what would work.
    """

    def __init__(self, path: str, mistakes: list[str]) -> None:
        """List the mistakes of the study at `path`."""
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in mistakes))


def load(path: str) -> Study:
    """Read and check a study file.

    Args:
        path: A TOML file, local or on an object store.

    Raises:
        UserError: There is no such file.
        StudyError: The file has mistakes; all of them are named.
    """
    path = store.absolute(path)
    try:
        text = store.read_bytes(path).decode("utf-8-sig")  # some editors put a byte order mark in front
    except FileNotFoundError as error:
        raise store.UserError(f"{path}: there is no such study file.") from error
    except UnicodeDecodeError as error:
        raise store.UserError(f"{path}: is not UTF-8, as a study file must be: {error}. Save it as UTF-8.") from error
    except OSError as error:
        raise store.UserError(f"{path}: cannot be read as a study file: {error}") from error
    return parse(text, path)


def parse(text: str, path: str) -> Study:
    """A study from the text of its file; `path` names it in messages and is where relative paths start.

    Raises:
        StudyError: The text has mistakes; all of them are named.
    """
    try:
        raw = tomllib.loads(text)
        json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise StudyError(path, [f"not a TOML file of strings, numbers, lists and tables: {error}"]) from error
    folder = path.rpartition("/")[0] or "/"
    mistakes: list[str] = []
    raw, weight_files = read_weights(with_unit(raw, mistakes), folder, mistakes)
    settings = _validate(Settings, {k: v for k, v in raw.items() if k not in Settings.SECTIONS}, "", mistakes)
    sources = {
        name: _source(f"sources.{name}", table, mistakes)
        for name, table in _tables(raw, "sources", mistakes, needed=True)
    }
    scores = {name: _score(name, table, folder, mistakes) for name, table in _tables(raw, "scores", mistakes)}
    tokenizer = _tokenizer(raw.get("tokenizer"), folder, mistakes)
    check_references(raw, scores, mistakes)
    if settings is not None:
        check_settings(settings, mistakes)
    if mistakes:
        raise StudyError(path, mistakes)
    assert settings is not None  # noqa: S101 no mistake was found
    located = {name: source.located(folder) for name, source in sources.items() if source is not None}
    families = {name: score for name, score in scores.items() if score is not None}
    study = Study(settings, located, families, tokenizer, folder, text, weight_files)
    check_inherited(study, mistakes)
    check_trained(study, mistakes)
    if mistakes:
        raise StudyError(path, mistakes)
    return study


_NEEDED = {
    "name": 'Write name = "…"',
    "budgets": 'Write budgets = ["1M", "10M"]',
    "recipes": "Add at least one [recipes.NAME]",
    "score": 'Write score = "…"',
    "recipe": 'Write recipe = "…"',
    "rung": 'Write rung = "1B", one of the budgets',
}
"""What would work where a key is missing."""


def _tables(
    raw: dict[str, Any], section: str, mistakes: list[str], *, needed: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    value = raw.get(section, {})
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        mistakes.append(f"{section}: not a table of tables. Write [{section}.NAME] with its keys below it")
        return []
    if needed and not value:
        mistakes.append(f"{section}: missing. Add at least one [{section}.NAME]")
    check_names(value, section, mistakes)
    return list(value.items())


def _validate(kind: Any, table: dict[str, Any], where: str, mistakes: list[str]) -> Any:
    try:
        # through JSON, where strict mode takes a list for a tuple but never "3" for 3
        return TypeAdapter(kind).validate_json(json.dumps(table), strict=True)
    except ValidationError as error:
        mistakes.extend(_describe(problem, kind, where) for problem in error.errors(include_url=False))
    except ValueError as error:
        mistakes.append(f"{where}: {error}")
    return None


def _describe(problem: Any, kind: Any, where: str) -> str:
    location = [part for part in problem["loc"] if part not in ("tuple[str, ...]", "str")]  # branches of a union
    key = where
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: no such key{did_you_mean(str(location[-1]), _keys(kind, location))}"
    if problem["type"] in ("missing", "missing_argument"):
        hint = _NEEDED.get(str(location[-1]))
        return f"{key}: missing" + (f". {hint}" if hint else "")
    if problem["type"] == "string_pattern_mismatch":
        message = f"not a name. Use {NAME_IS}"
    given = problem.get("input")
    shown = "" if isinstance(given, dict) else f", given {json.dumps(given, default=str)[:80]}"
    return f"{key}: {message}{shown}"


_SECTIONS = {"held_out": HeldOut, "dedup": Dedup, "curricula": Curriculum, **OF_POOL}


def _keys(kind: Any, location: list[Any]) -> list[str]:
    """Keys of the table in which a key stands."""
    if kind is Settings and len(location) > 1:
        kind = Rule if "keep" in location else _SECTIONS.get(location[0], Recipe)
    elif len(location) > 1:
        return []
    more = Settings.SECTIONS if kind is Settings else ()
    return [*(field.name.rstrip("_") for field in dataclasses.fields(kind)), *more]


def _source(where: str, table: dict[str, Any], mistakes: list[str]) -> Source | None:
    kind = table.get("format")
    if kind is not None and kind not in list(FORMATS):
        mistakes.append(f"{where}.format: no format is called {kind!r}{did_you_mean(str(kind), FORMATS)}")
        table = {**table, "format": next(iter(FORMATS))}  # its other mistakes show as well
    return _validate(Source, table, where, mistakes)  # type: ignore[no-any-return] # of the class that was given


def _score(name: str, table: dict[str, Any], folder: str, mistakes: list[str]) -> Family | None:
    where = f"scores.{name}"
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        hint = did_you_mean(str(kind), FAMILIES) if kind else f". Known: {', '.join(FAMILIES)}"
        mistakes.append(f"{where}.type: {'missing' if kind is None else f'no score is of type {kind!r}'}{hint}")
        return None
    if name in RESERVED:
        mistakes.append(f"{where}: '{name}' is a column that every document has. Choose another name")
    if name in OF_POOL:
        mistakes.append(f"{where}: a rule that says '{name}' means the section [{name}]. Choose another name")
    rest = {key: value for key, value in table.items() if key != "type"}
    rest = _located_files(rest, folder)
    for key in LISTS & rest.keys():
        if isinstance(rest[key], list):
            rest[key] = [store.absolute(one, folder) if isinstance(one, str) and one else one for one in rest[key]]
    found = _validate(family(kind), rest, where, mistakes)
    if found is not None:
        try:
            found.identity()
            found.columns  # noqa: B018 those of a user's own function are what it gives
        except FunctionError as error:
            mistakes.append(f"{where}: {error}")
            return None
        except (OSError, ValueError) as error:
            mistakes.append(f"{where}: {error}")
    return found  # type: ignore[no-any-return] # the registry's classes are families


_FILES = ("model", "path", "sentencepiece")
"""Keys of a score, and of the tables in it, that name a file or a glob, or several."""


def _located_files(value: Any, folder: str, key: str = "") -> Any:
    """A score's table in which each file that stands in the study's folder has its absolute path; globs too."""
    if isinstance(value, dict):
        return {name: _located_files(each, folder, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_located_files(each, folder, key) for each in value]
    if isinstance(value, str) and key in _FILES and value:
        path = store.absolute(value, folder)
        return path if "*" in value or store.exists(path) else value
    if isinstance(value, str) and key == "function":
        module, colon, name = value.rpartition(":")
        path = store.absolute(f"{module.replace('.', '/')}.py", folder)
        return f"{path}{colon}{name}" if module and store.exists(path) else value
    return value


def _tokenizer(table: Any, folder: str, mistakes: list[str]) -> Any:
    kind = table.get("type") if isinstance(table, dict) else None
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        given = "missing" if kind is None else f"no tokenizer is of type {kind!r}"
        hint = did_you_mean(str(kind), TOKENIZERS) if kind else f". Known: {', '.join(TOKENIZERS)}"
        mistakes.append(f"tokenizer.type: {given}{hint}")
        return None
    rest = {key: value for key, value in table.items() if key != "type"}
    if isinstance(rest.get("path"), str):
        rest["path"] = store.absolute(rest["path"], folder)
    return _validate(TOKENIZERS[kind], rest, "tokenizer", mistakes)
