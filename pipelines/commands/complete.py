"""Complete: names of a build that a shell offers when Tab is pressed, read from the manifest of the OUT typed so far.

Nothing but JSON is read, and a build that cannot be read offers nothing: a line that is typed is no place for errors.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    import click

FOLDERS = ("out", "texts", "built")
"""Parameters of commands that name the folder of a build."""


def _manifest(folder: str) -> dict[str, Any]:
    """A build's manifest; empty where there is none, or where it is elsewhere than on a local disk."""
    try:
        found = json.loads(Path(os.path.expanduser(folder), "manifest.json").read_bytes())
        return found if isinstance(found["recipes"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return {}


def _typed(context: click.Context) -> dict[str, Any]:
    """The manifest of the first build that the line names."""
    given: list[Any] = list(context.args)  # what click did not give a parameter: the line ends with an option's name
    for name in FOLDERS:
        value = context.params.get(name)
        given += value if isinstance(value, tuple) else [value]
    found = (_manifest(folder) for folder in given if isinstance(folder, str))
    return next(filter(None, found), {})


def _offer(names: list[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _rungs(manifest: dict[str, Any], recipe: str | None = None) -> list[str]:
    """Names of the rungs of all recipes, or of one."""
    recipes = manifest.get("recipes", {})
    return [rung["name"] for name, one in recipes.items() if recipe in {None, name} for rung in one.get("rungs", ())]


def _streams(manifest: dict[str, Any]) -> list[str]:
    """RECIPE-RUNG, CURRICULUM-RUNG and `held_out`."""
    named = [f"{recipe}-{rung}" for recipe in manifest.get("recipes", {}) for rung in _rungs(manifest, recipe)]
    named += [f"{name}-{one['rung']}" for name, one in manifest.get("curricula", {}).items()]
    return named + (["held_out"] if manifest.get("held_out") else [])


def recipes(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Recipes of the build."""
    return _offer(list(_typed(context).get("recipes", {})), incomplete)


def rungs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Rungs of the recipe that the line names, or of all."""
    return _offer(_rungs(_typed(context), context.params.get("recipe")), incomplete)


def strata(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Strata of all recipes."""
    found = _typed(context).get("recipes", {})
    return _offer([name for one in found.values() for name in one.get("strata", ())], incomplete)


def sources(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Sources of the build."""
    found = _typed(context).get("recipes", {})
    return _offer([part["source"] for one in found.values() for part in one.get("ledger", ())], incomplete)


def streams(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `open_rung` and `export` take."""
    return _offer(_streams(_typed(context)), incomplete)


def recipes_and_streams(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `decode` takes: recipes, rungs, curricula and `held_out`."""
    found = _typed(context)
    return _offer([*found.get("recipes", {}), *found.get("curricula", {}), *_streams(found)], incomplete)


def recipes_of_builds(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`OUT:RECIPE`, once what is typed is a build; folders before that."""
    folder, colon, _ = incomplete.rpartition(":")
    out = folder if colon else incomplete.rstrip("/")
    names = [f"{out}:{name}" for name in _manifest(out).get("recipes", {})] if out else []
    return _offer(names, incomplete if colon else out) or [CompletionItem(incomplete, type="dir")]
