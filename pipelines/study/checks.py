"""Checks of a study across its sections: names, references between them, shares, and what rules ask of which column."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..files.schema import CLASSES
from .budgets import parse_count, short
from .bursts import Bursts
from .curricula import check_curriculum
from .study import NAME, NAME_IS, Recipe, RepeatedLines, Settings, Study
from .weights import check_places, check_weights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...filters.family import Family

COLUMNS = {
    "source": "label",
    "kind": "label",
    "file_type": "label",
    "licence": "label",
    "licence_id": "label",
    "bytes": "value",
    "hidden": "value",
    "payload": "label",
    "view": "label",
    "cluster.size": "value",
    "cluster.class": "label",
    "sample": "value",
    "farthest": "value",
}
"""Columns that every document has and rules may speak about, and whether they hold a label or a value."""

DRAW = re.compile(r"draw\.([2-9]|[1-9][0-9]{1,3}|10000)")
"""The label that says in which of so many draws a document is."""

OF_POOL = {"repeated_lines": RepeatedLines, "bursts": Bursts}
"""Sections that rules may speak of as of scores."""

RESERVED = frozenset(name.partition(".")[0] for name in COLUMNS) | {"tokens", "draw"}
"""What no score may be called."""

_TESTS = {"label": "is, in", "value": "min, max, top"}


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them.

    >>> did_you_mean("wab", ["web", "code"])
    ", did you mean 'web'?"
    """
    known = list(known)
    close = difflib.get_close_matches(given, known, n=1)
    if close:
        return f", did you mean '{close[0]}'?"
    return f". Known: {', '.join(known)}" if known else ""


def check_names(tables: dict[str, Any], section: str, mistakes: list[str]) -> None:
    """What tables are called: names stand in paths, addresses (`score.column`) and strata (`source/label`)."""
    for name in tables:
        if not NAME.fullmatch(name):
            mistakes.append(f"{section}.{json.dumps(name)}: not a name. Use {NAME_IS}")
        elif section == "scores" and "." in name:
            mistakes.append(
                f"{section}.{json.dumps(name)}: a dot stands before a column. Use another name for the score"
            )


def check_references(raw: dict[str, Any], scores: dict[str, Family | None], mistakes: list[str]) -> None:
    """Names that rules, recipes and weights use; on the raw tables, so that other mistakes hide none of these."""
    of_pool: dict[str, Any] = {name: kind() for name, kind in OF_POOL.items() if isinstance(raw.get(name), dict)}
    scores = {**scores, **of_pool}
    sources, recipes, held_out = (_table(raw, section) for section in ("sources", "recipes", "held_out"))
    check_names(recipes, "recipes", mistakes)
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
                mistakes.append(f"{where}.base: there is no recipe {base!r}{did_you_mean(base, recipes)}")
        check_weights(recipe.get("weights"), f"{where}.weights", sources, did_you_mean, mistakes)
    _check_orders(_table(raw, "curricula"), scores, sources, recipes, mistakes)
    strata = raw.get("strata", [])
    for n, key in enumerate(strata if isinstance(strata, list) else []):
        if isinstance(key, str):
            _check_score(key, "label", f"strata[{n}]", scores, mistakes)


def _table(raw: dict[str, Any], section: str) -> dict[str, Any]:
    value = raw.get(section)
    return value if isinstance(value, dict) else {}


def _check_rules(rules: Any, where: str, scores: dict[str, Family | None], sources: Any, mistakes: list[str]) -> None:
    for n, rule in enumerate(rules if isinstance(rules, list) else []):
        if not isinstance(rule, dict) or not isinstance(rule.get("score"), str):
            continue
        key = f"{where}[{n}]"
        tests = [test for test in ("is", "in", "min", "max", "top") if test in rule]
        if "is" in rule and "in" in rule:
            mistakes.append(f"{key}: has both is and in. Give one of them")
        if not tests:
            mistakes.append(f"{key}: says nothing. Give at least one of is, in, min, max, top")
        for role in sorted({"label" if test in ("is", "in") else "value" for test in tests}):
            _check_score(rule["score"], role, f"{key}.score", scores, mistakes)
        mistakes.extend(
            f"{key}.{setting}: says how top takes its share. Give top, too"
            for setting in ("near", "within")
            if setting in rule and "top" not in rule
        )
        if rule["score"] == "farthest" and (tests != ["top"] or "near" in rule):
            mistakes.append(f"{key}: 'farthest' ranks what the rules before it keep. Test it with top alone")
        within = rule.get("within")
        if isinstance(within, str) and within != "strata":
            _check_score(within, "label", f"{key}.within", scores, mistakes)
        low, high = rule.get("min"), rule.get("max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            mistakes.append(f"{key}: min {low:g} is above max {high:g}")
        named = rule.get("sources")
        mistakes.extend(
            f"{key}.sources: there is no source {source!r}{did_you_mean(source, sources)}"
            for source in (named if isinstance(named, list) else [])
            if isinstance(source, str) and source not in sources
        )


def _check_orders(
    curricula: dict[str, Any], scores: dict[str, Family | None], sources: Any, recipes: Any, mistakes: list[str]
) -> None:
    check_names(curricula, "curricula", mistakes)
    for name, curriculum in curricula.items():
        if isinstance(curriculum, dict):
            _check_order(curriculum, f"curricula.{name}", scores, sources, recipes, mistakes)


def _check_order(  # noqa: PLR0917 what names may mean
    raw: dict[str, Any], where: str, scores: dict[str, Family | None], sources: Any, recipes: Any, mistakes: list[str]
) -> None:
    """Names that a curriculum uses."""
    if isinstance(raw.get("recipe"), str) and raw["recipe"] not in recipes:
        known = did_you_mean(raw["recipe"], recipes)
        mistakes.append(f"{where}.recipe: there is no recipe {raw['recipe']!r}{known}")
    if raw.get("sort") == "sample":
        mistakes.append(f"{where}.sort: 'sample' is chance. Write order = \"random\"")
    elif raw.get("sort") == "farthest":
        mistakes.append(f"{where}.sort: 'farthest' is what a rule ranks by. Sort by a score, bytes or tokens")
    elif isinstance(raw.get("sort"), str) and raw["sort"] != "tokens":
        _check_score(raw["sort"], "value", f"{where}.sort", scores, mistakes)
    phases = raw.get("phases")
    for n, phase in enumerate(phases if isinstance(phases, list) else []):
        mistakes.extend(
            f"{where}.phases[{n}]: there is no source {stratum!r}{did_you_mean(stratum, sources)}"
            for stratum in (phase if isinstance(phase, list) else [])
            if isinstance(stratum, str) and stratum.split("/")[0] not in sources
        )


def _check_score(address: str, role: str, where: str, scores: dict[str, Family | None], mistakes: list[str]) -> None:
    name, _, column = address.partition(".")
    holds = "label" if DRAW.fullmatch(address) else COLUMNS.get(address)
    if holds is not None:
        if holds != role:
            mistakes.append(f"{where}: '{address}' holds a {holds}. Test it with {_TESTS[holds]}")
        return
    if name not in scores:
        near = did_you_mean(name, [*scores, *COLUMNS])
        hint = f". Add the section [{name}]" if name in OF_POOL else near
        mistakes.append(f"{where}: there is no score {name!r}{hint}")
        return
    found = scores[name]
    if found is None:  # its own mistake is reported
        return
    if not column:
        if getattr(found, role.upper()) is None:
            known = ", ".join(f"{name}.{field}" for field in found.columns.names)
            mistakes.append(f"{where}: {name} has no {role} of its own. Name one of its columns: {known}")
    elif column not in found.columns.names:
        mistakes.append(f"{where}: {name} has no column {column!r}{did_you_mean(column, found.columns.names)}")
    else:
        kind = _role(found.columns.field(column).type)
        if kind is None:
            mistakes.append(f"{where}: {address} can be tested by no rule")
        elif kind != role:
            mistakes.append(f"{where}: {address} holds a {kind}. Test it with {_TESTS[kind]}")


def _role(kind: pa.DataType) -> str | None:
    if pa.types.is_string(kind):
        return "label"
    return "value" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else None


def check_settings(settings: Settings, mistakes: list[str]) -> None:
    """Budgets, strata and the held-out set, once each has its type."""
    budgets = list(settings.budgets)
    if budgets != sorted(set(budgets)):
        listed = ", ".join(map(settings.rung_name, budgets))
        mistakes.append(f"budgets: {listed}. List each once, smallest first")
    for n, budget in enumerate(budgets):
        if budget < settings.sequence_length and settings.budget_unit == "tokens":
            mistakes.append(f"budgets[{n}]: {short(budget)} is less than one sequence of {settings.sequence_length}")
    if settings.strata[0] != "source":
        mistakes.append(f"strata: starts with {settings.strata[0]!r}. The first is always 'source'")
    if (
        settings.held_out is not None
        and (settings.held_out.tokens or settings.sequence_length) < settings.sequence_length
    ):
        tokens = short(settings.held_out.size[0])
        mistakes.append(f"held_out.tokens: {tokens} is less than one sequence of {settings.sequence_length}")
    for name, recipe in settings.recipes.items():
        _check_draw(name, recipe, max(budgets), settings, mistakes)
        mistakes.extend(
            f"recipes.{name}.rehydrate.{key}: no class of clusters{did_you_mean(key, CLASSES)}"
            for key in recipe.rehydrate or ()
            if key not in CLASSES
        )
        if recipe.rehydrate is not None and settings.strata[-1] != "cluster.class":
            mistakes.append(f"recipes.{name}.rehydrate: counts strata. Let strata end with 'cluster.class'")
    _check_curricula(settings, mistakes)
    if "held_out" in settings.recipes:
        mistakes.append("recipes.held_out: 'held_out' is the name of the held-out set. Choose another name")


def check_inherited(study: Study, mistakes: list[str]) -> None:
    """What a recipe takes from its base must go with what it says itself."""
    settings = study.settings
    for name, recipe in settings.recipes.items():
        if recipe.base is not None:
            _check_draw(name, study.recipe(name), max(settings.budgets), settings, mistakes)


def check_trained(study: Study, mistakes: list[str]) -> None:
    """A tokenizer that is trained on a recipe's text: rules cannot count tokens that it is yet to make."""
    if getattr(study.tokenizer, "train", None) is None:
        return
    name, recipes = study.trained_on, study.settings.recipes
    if name not in recipes:
        mistakes.append(f"tokenizer.train.recipe: there is no recipe {name!r}{did_you_mean(name, recipes)}")
        return
    held = study.settings.held_out
    for where, rules in ((f"recipes.{name}", study.rules(name)), ("held_out", held.keep if held else ())):
        if any(rule.by == "tokens" for rule in rules):
            mistakes.append(
                f"{where}.keep: top by tokens, but the tokenizer is trained on what these rules keep. Write by = "
                "'documents', name another recipe in tokenizer.train.recipe, or a tokenizer's file"
            )


def _check_curricula(settings: Settings, mistakes: list[str]) -> None:
    for name, curriculum in settings.curricula.items():
        where = f"curricula.{name}"
        check_curriculum(where, curriculum, list(settings.recipes), mistakes)
        try:
            known = parse_count(curriculum.rung) in settings.budgets
        except ValueError as error:
            mistakes.append(f"{where}.rung: {error}")
        else:
            if not known:
                listed = ", ".join(map(settings.rung_name, settings.budgets))
                asked = curriculum.rung if settings.budget_unit == "tokens" else settings.rung_name(curriculum.rung)
                mistakes.append(f"{where}.rung: {asked} is none of the budgets: {listed}")


def _check_draw(name: str, recipe: Recipe, largest: int, settings: Settings, mistakes: list[str]) -> None:
    """Shares, draws and a simulated run of one recipe."""
    if recipe.alpha is not None and recipe.weights is not None:
        mistakes.append(f"recipes.{name}: has weights and alpha. Give one of them")
    number, of = recipe.permutation or 0, recipe.disjoint
    if of is not None and number >= of:
        mistakes.append(f"recipes.{name}.permutation: {number} is none of {of} disjoint draws. Write 0 to {of - 1}")
    mistakes.extend(check_places(recipe.weights, f"recipes.{name}.weights", largest))
    if recipe.rescale and isinstance(recipe.weights, tuple):
        mistakes.append(f"recipes.{name}.rescale: fills up weights that do not change. Leave it out, or set repeat")
    if recipe.simulate is not None and recipe.simulate < largest:
        less = f"{settings.rung_name(recipe.simulate)} is less than the largest rung, {settings.rung_name(largest)}"
        mistakes.append(f"recipes.{name}.simulate: {less}. Name a larger run")
