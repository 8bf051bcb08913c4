"""The YAML at the top of a data card, from which the Hugging Face Hub and `datasets` learn what there is to load.

The form is the one that the Hub documents for `configs`, `size_categories` and `tags`: one configuration for each
recipe and rung with just that rung's shards, so that `datasets.load_dataset(OUT, "RECIPE-RUNG")` gives exactly the
rung; one for each curriculum; one for the held-out set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .datasheet import languages, licences
from .markdown import yaml_string
from .words import own_keys, yaml_place

if TYPE_CHECKING:
    from collections.abc import Sequence

HELD_OUT = "held_out"
"""The configuration of the held-out set; no recipe may have this name."""

_POWERS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def configuration(recipe: str, rung: str) -> str:
    """Name of a rung's configuration.

    >>> configuration("clean", "1B")
    'clean-1B'
    """
    return f"{recipe}-{rung}"


def front_matter(manifest: dict[str, Any], words: dict[str, str]) -> str:
    """The top of a card, with its marks.

    Args:
        manifest: As `manifest.json` holds it.
        words: What people wrote, as `words.read_words` gives it; a key of theirs takes the place of ours.
    """
    held, recipes = manifest["held_out"], sorted(manifest["recipes"].items())
    curricula = sorted(manifest.get("curricula", {}).items())
    rows = sum(recipe["rungs"][-1]["sequences"] for _, recipe in recipes) + (held["sequences"] if held else 0)
    rows += sum(one["sequences"] for _, one in curricula)
    lines = [
        "---",
        f"pretty_name: {yaml_string(manifest['name'])}",
        *_listed_key("language", languages(manifest), words),
        *_listed_key("license", licences(manifest), words),
        "task_categories:",
        "- text-generation",
        "size_categories:",
        f"- {_size(rows)}",
        "tags:",
        "- tokenladder",
        "- pretraining",
        "- tokenized",
        "configs:",
    ]
    for name, recipe in recipes:
        for rung in recipe["rungs"]:
            lines += _configuration(configuration(name, rung["name"]), "train", rung["shards"])
    for name, one in curricula:
        lines += _configuration(configuration(name, one["rung"]), "train", one["shards"])
    if held:
        lines += _configuration(HELD_OUT, "test", held["shards"])
    return "\n".join([*lines, *yaml_place(words), "---"])


def _listed_key(key: str, values: Sequence[str], words: dict[str, str]) -> list[str]:
    """A key with its values, unless there are none or a person gives it."""
    return [f"{key}:", *(f"- {value}" for value in values)] if values and key not in own_keys(words) else []


def _size(rows: int) -> str:
    """The Hub's name for a number of rows."""
    power = max(0, len(str(rows)) - 3)
    if not power:
        return f"n<{_POWERS[0]}"
    return f"{_POWERS[power - 1]}<n<{_POWERS[power]}" if power < len(_POWERS) else f"n>{_POWERS[-1]}"


def _configuration(name: str, split: str, shards: Sequence[dict[str, Any]]) -> list[str]:
    paths = [f"    - {yaml_string(shard['path'])}" for shard in shards]
    return [f"- config_name: {yaml_string(name)}", "  data_files:", f"  - split: {split}", "    path:", *paths]
