"""Reads a study file and finds all of its mistakes at once: each with its key, what was given and what would work."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..filters import FAMILIES, family
from ..tokenizers import sections
from . import store
from .formats import Source
from .study import Settings, Study, short

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..filters.family import Family

TOKENIZERS = {
    "bytes": sections.BytesSection,
    "huggingface": sections.HuggingFaceSection,
    "sentencepiece": sections.SentencePieceSection,
    "tiktoken": sections.TiktokenSection,
}
"""What a study writes as the tokenizer's `type`."""

COLUMNS = {"source": "label", "kind": "label", "file_type": "label", "licence": "label", "bytes": "value"}
"""Columns that every document has and rules may speak about, and whether they hold a label or a value."""


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
        text = store.read_bytes(path).decode()
    except FileNotFoundError as error:
        raise store.UserError(f"{path}: there is no such study file.") from error
    except (OSError, UnicodeDecodeError) as error:
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
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise StudyError(path, [f"not a TOML file of strings, numbers, lists and tables: {error}"]) from error
    folder = path.rpartition("/")[0] or "/"
    mistakes: list[str] = []
    settings = _validate(Settings, {k: v for k, v in raw.items() if k not in Settings.SECTIONS}, "", mistakes)
    sources = {
        name: _validate(Source, table, f"sources.{name}", mistakes)
        for name, table in _tables(raw, "sources", mistakes, needed=True)
    }
    scores = {name: _score(name, table, folder, mistakes) for name, table in _tables(raw, "scores", mistakes)}
    tokenizer = _tokenizer(raw.get("tokenizer"), folder, mistakes)
    _check_references(raw, scores, mistakes)
    if settings is not None:
        _check_settings(settings, mistakes)
    if mistakes:
        raise StudyError(path, mistakes)
    assert settings is not None  # noqa: S101 no mistake was found
    located = {name: _located(source, folder) for name, source in sources.items() if source is not None}
    families = {name: score for name, score in scores.items() if score is not None}
    return Study(settings, located, families, tokenizer, folder, text)


def _located(source: Source, folder: str) -> Source:
    paths = (source.path,) if isinstance(source.path, str) else source.path
    return dataclasses.replace(source, path=tuple(store.absolute(path, folder) for path in paths))


def _tables(
    raw: dict[str, Any], section: str, mistakes: list[str], *, needed: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    value = raw.get(section, {})
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        mistakes.append(f"{section}: not a table of tables. Write [{section}.NAME] with its keys below it")
        return []
    if needed and not value:
        mistakes.append(f"{section}: missing. Add at least one [{section}.NAME]")
    return list(value.items())


def _validate(kind: Any, table: dict[str, Any], where: str, mistakes: list[str]) -> Any:
    try:
        # through JSON, where strict mode takes a list for a tuple but never "3" for 3
        return TypeAdapter(kind).validate_json(json.dumps(table))
    except ValidationError as error:
        mistakes.extend(_describe(problem, kind, where) for problem in error.errors(include_url=False))
    except ValueError as error:
        mistakes.append(f"{where}: {error}")
    return None


def _describe(problem: Any, kind: Any, where: str) -> str:
    location = [str(part) for part in problem["loc"] if str(part) not in ("tuple[str, ...]", "str")]
    key = ".".join(part for part in [where, *location] if part)
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [f.name.rstrip("_") for f in dataclasses.fields(kind)] if len(location) == 1 else []
        return f"{key}: no such key{_did_you_mean(location[-1], known)}"
    if problem["type"] in ("missing", "missing_argument"):
        return f"{key}: missing"
    given = problem.get("input")
    shown = "" if isinstance(given, dict) else f", given {json.dumps(given, default=str)[:80]}"
    return f"{key}: {message}{shown}"


def _did_you_mean(given: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(given, known, n=1)
    if close:
        return f", did you mean '{close[0]}'?"
    return f". Known: {', '.join(known)}" if known else ""


def _score(name: str, table: dict[str, Any], folder: str, mistakes: list[str]) -> Family | None:
    where = f"scores.{name}"
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        hint = _did_you_mean(str(kind), FAMILIES) if kind else f". Known: {', '.join(FAMILIES)}"
        mistakes.append(f"{where}.type: {'missing' if kind is None else f'no score is of type {kind!r}'}{hint}")
        return None
    if name in COLUMNS or name == "tokens":
        mistakes.append(f"{where}: '{name}' is a column that every document has. Choose another name")
    rest = {key: value for key, value in table.items() if key != "type"}
    if isinstance(rest.get("model"), str):
        path = store.absolute(rest["model"], folder)
        rest["model"] = path if store.exists(path) else rest["model"]
    found = _validate(family(kind), rest, where, mistakes)
    if found is not None:
        try:
            found.identity()
        except (OSError, ValueError) as error:
            mistakes.append(f"{where}: {error}")
    return found  # type: ignore[no-any-return] # the registry's classes are families


def _tokenizer(table: Any, folder: str, mistakes: list[str]) -> Any:
    if not isinstance(table, dict) or table.get("type") not in TOKENIZERS:
        given = "missing" if not isinstance(table, dict) else f"no tokenizer is of type {table.get('type')!r}"
        mistakes.append(f"tokenizer.type: {given}. Known: {', '.join(TOKENIZERS)}")
        return None
    rest = {key: value for key, value in table.items() if key != "type"}
    if isinstance(rest.get("path"), str):
        rest["path"] = store.absolute(rest["path"], folder)
    return _validate(TOKENIZERS[table["type"]], rest, "tokenizer", mistakes)


def _check_references(raw: dict[str, Any], scores: dict[str, Family | None], mistakes: list[str]) -> None:
    """Names that rules, recipes and weights use; on the raw tables, so that other mistakes hide none of these."""
    sources, recipes, held_out = (_table(raw, section) for section in ("sources", "recipes", "held_out"))
    if not raw.get("recipes"):
        mistakes.append("recipes: missing. Add at least one [recipes.NAME]")
    _check_rules(held_out.get("keep"), "held_out.keep", scores, sources, mistakes)
    for name, recipe in recipes.items():
        where = f"recipes.{name}"
        if not isinstance(recipe, dict):
            continue
        _check_rules(recipe.get("keep"), f"{where}.keep", scores, sources, mistakes)
        seen = [name]
        base = recipe.get("base")
        while isinstance(base, str) and base in recipes and base not in seen and isinstance(recipes[base], dict):
            seen.append(base)
            base = recipes[base].get("base")
        if isinstance(base, str):
            chain = " → ".join([*seen, base])
            if base in seen:
                mistakes.append(f"{where}.base: goes in a circle: {chain}")
            else:
                mistakes.append(f"{where}.base: there is no recipe {base!r}{_did_you_mean(base, recipes)}")
        weights = recipe.get("weights")
        if isinstance(weights, dict):
            _check_weights(weights, f"{where}.weights", sources, mistakes)
    strata = raw.get("strata", [])
    for n, key in enumerate(strata if isinstance(strata, list) else []):
        if isinstance(key, str):
            _check_score(key, "label", f"strata[{n}]", scores, mistakes)


def _table(raw: dict[str, Any], section: str) -> dict[str, Any]:
    value = raw.get(section)
    return value if isinstance(value, dict) else {}


def _check_weights(weights: dict[str, Any], where: str, sources: Any, mistakes: list[str]) -> None:
    for stratum, weight in weights.items():
        if stratum.split("/")[0] not in sources:
            mistakes.append(f"{where}.{stratum}: there is no such source{_did_you_mean(stratum, sources)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            mistakes.append(f"{where}.{stratum}: {weight!r} is not a share. Write a number from 0 to 1")
            return
    total = sum(weights.values())
    if abs(total - 1) > 1e-6:
        mistakes.append(f"{where}: shares sum to {total:g}. They must sum to 1")


def _check_rules(rules: Any, where: str, scores: dict[str, Family | None], sources: Any, mistakes: list[str]) -> None:
    for n, rule in enumerate(rules if isinstance(rules, list) else []):
        if not isinstance(rule, dict) or not isinstance(rule.get("score"), str):
            continue
        key = f"{where}[{n}]"
        tests = [test for test in ("is", "in", "min", "max", "top") if test in rule]
        if not tests:
            mistakes.append(f"{key}: says nothing. Give at least one of is, in, min, max, top")
        for role in sorted({"label" if test in ("is", "in") else "value" for test in tests}):
            _check_score(rule["score"], role, f"{key}.score", scores, mistakes)
        low, high = rule.get("min"), rule.get("max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            mistakes.append(f"{key}: min {low:g} is above max {high:g}")
        named = rule.get("sources")
        mistakes.extend(
            f"{key}.sources: there is no source {source!r}{_did_you_mean(source, sources)}"
            for source in (named if isinstance(named, list) else [])
            if isinstance(source, str) and source not in sources
        )


def _check_score(address: str, role: str, where: str, scores: dict[str, Family | None], mistakes: list[str]) -> None:
    name, _, column = address.partition(".")
    if address in COLUMNS:
        if COLUMNS[address] != role:
            tests = "is, in" if COLUMNS[address] == "label" else "min, max, top"
            mistakes.append(f"{where}: '{address}' holds a {COLUMNS[address]}. Test it with {tests}")
        return
    if name not in scores:
        mistakes.append(f"{where}: there is no score {name!r}{_did_you_mean(name, [*scores, *COLUMNS])}")
        return
    found = scores[name]
    if found is None:  # its own mistake is reported
        return
    if not column:
        if getattr(found, role.upper()) is None:
            known = ", ".join(f"{name}.{field}" for field in found.columns.names)
            mistakes.append(f"{where}: {name} has no {role} of its own. Name one of its columns: {known}")
    elif column not in found.columns.names:
        mistakes.append(f"{where}: {name} has no column {column!r}{_did_you_mean(column, found.columns.names)}")


def _check_settings(settings: Settings, mistakes: list[str]) -> None:
    budgets = list(settings.budgets)
    if budgets != sorted(set(budgets)):
        mistakes.append(f"budgets: {', '.join(map(short, budgets))}. List each once, smallest first")
    for n, budget in enumerate(budgets):
        if budget < settings.sequence_length:
            mistakes.append(f"budgets[{n}]: {short(budget)} is less than one sequence of {settings.sequence_length}")
    if settings.strata[0] != "source":
        mistakes.append(f"strata: starts with {settings.strata[0]!r}. The first is always 'source'")
    if settings.held_out is not None and settings.held_out.tokens < settings.sequence_length:
        tokens = short(settings.held_out.tokens)
        mistakes.append(f"held_out.tokens: {tokens} is less than one sequence of {settings.sequence_length}")
    if "held_out" in settings.recipes:
        mistakes.append("recipes.held_out: 'held_out' is the name of the held-out set. Choose another name")
