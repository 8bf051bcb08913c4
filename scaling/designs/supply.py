"""Whether there is enough text for a plan: unique tokens per stratum, passes over them, budgets that cannot be had.

A recipe gives each stratum a share of every budget. A stratum whose share is more than it has is read again; how much
such repeats are worth is told by Muennighoff et al. 2023 (arXiv 2305.16264).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

REPEATS_WORTH = 15.387756
"""R_D* of Muennighoff et al. 2023: after so many repeats, more are worth 1/e of what they would be fresh."""

BYTES_PER_TOKEN = 4.0
"""A round figure for English text, for input that is not encoded yet; say a better one where it is known."""

Basis: TypeAlias = Literal["counted", "at least", "estimated", "at most"]


@dataclass(frozen=True)
class Stratum:
    """What a recipe has of one stratum.

    Attributes:
        name: Of the stratum.
        weight: Its share of every budget, 0 to 1.
        unique: Distinct tokens that it holds.
        basis: How that is known: `counted`; `at least`, as no rung has used it up; `estimated` from the bytes that are
            left over; `at most`, from the bytes of the input before any rule.
    """

    name: str
    weight: float
    unique: float
    basis: Basis


@dataclass(frozen=True)
class Need:
    """What a budget asks of a stratum.

    Attributes:
        budget: Tokens of the rung.
        stratum: Its name.
        tokens: That the rung takes from it, repeats counted.
        held: Distinct tokens that the stratum holds.
        unique: Distinct tokens among those taken, at most.
        epochs: Passes over them; 1 where there is enough.
        worth: Fresh tokens that would teach as much.
        missing: Further unique tokens that would be needed, 0 where the allowed passes do.
        basis: As of the stratum.
    """

    budget: int
    stratum: str
    tokens: float
    held: float
    unique: float
    epochs: float
    worth: float
    missing: float
    basis: Basis


def worth_of_repeats(unique: float, epochs: float) -> float:
    """Fresh tokens that are worth as much as `epochs` passes over `unique` tokens.

    `U + U R* (1 − exp(−(epochs − 1) / R*))`: equation 5 of Muennighoff et al. 2023.

    >>> round(worth_of_repeats(1e9, 4) / 1e9, 2), round(worth_of_repeats(1e9, 1000) / 1e9, 1)
    (3.73, 16.4)
    """
    return unique * (1 + REPEATS_WORTH * (1 - math.exp(-(max(epochs, 1) - 1) / REPEATS_WORTH)))


def needs(strata: Iterable[Stratum], budgets: Iterable[int], passes: float = 1.0) -> list[Need]:
    """What each budget asks of each stratum.

    Args:
        strata: What there is.
        budgets: Tokens of each rung.
        passes: How often a stratum may be read: the recipe's `repeat`.

    Returns:
        Budget by budget, stratum by stratum. A budget can be had if nothing is missing in any of its strata.

    >>> [need] = needs([Stratum("code", 0.25, 1e6, "counted")], [8_000_000])
    >>> need.epochs, need.missing
    (2.0, 1000000.0)
    """
    found = []
    listed = list(strata)
    for budget in budgets:
        for stratum in listed:
            tokens = budget * stratum.weight
            unique = min(tokens, stratum.unique)
            epochs = tokens / unique if unique else math.inf
            missing = max(0.0, tokens / passes - stratum.unique)
            worth = worth_of_repeats(unique, epochs)
            found.append(
                Need(budget, stratum.name, tokens, stratum.unique, unique, epochs, worth, missing, stratum.basis)
            )
    return found


def strata_of_manifest(manifest: Mapping[str, Any], recipe: str) -> list[Stratum]:
    """What a build says of a recipe's strata.

    A stratum that its largest rung repeats is used up, so its tokens are counted. One that is a whole source is
    estimated: the tokens kept, and as many for each byte that the largest rung had no room for. Of any other it is
    only known that it has at least what that rung used.

    Args:
        manifest: As `manifest.json` holds it.
        recipe: A recipe of it.

    Raises:
        ValueError: The manifest has no such recipe, or is not a manifest.
    """
    try:
        recipes = manifest["recipes"]
        if recipe not in recipes:
            raise ValueError(f"The build has no recipe {recipe!r}. It has: {', '.join(sorted(recipes))}.")
        made = recipes[recipe]
        used = made["rungs"][-1]["strata"]
        return [
            _stratum(name, share["weight"] / share["of"], used[name], made["counts"].get(name))
            for name, share in made["strata"].items()
        ]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"This is no manifest of a build: {error!r} is missing or of another kind.") from error


def _stratum(name: str, weight: float, used: Mapping[str, Any], counts: Mapping[str, Any] | None) -> Stratum:
    unique = float(used["unique_tokens"])
    if used["tokens"] > unique:
        return Stratum(name, weight, unique, "counted")
    if counts is None:
        return Stratum(name, weight, unique, "at least")
    kept, left = counts["outcomes"]["kept"], counts["outcomes"]["over_budget"]
    if not kept["bytes"]:
        return Stratum(name, weight, unique, "at least")
    return Stratum(name, weight, kept["tokens"] * (1 + left["bytes"] / kept["bytes"]), "estimated")


def strata_of_plan(plan: Mapping[str, Any], recipe: str, bytes_per_token: float = BYTES_PER_TOKEN) -> list[Stratum]:
    """What a plan (`tokenladder plan --json`) says: at most the bytes of each source's files.

    Rules and near duplicates take away from that, so a budget that this refuses cannot be had, while one that it
    grants may still fall short. For compressed files, give the compressed bytes of a token.

    Args:
        plan: The plan as JSON.
        recipe: A recipe of it.
        bytes_per_token: Of the files as they are on disk.

    Raises:
        ValueError: The plan has no such recipe, its strata are not sources, or it is not a plan.
    """
    try:
        recipes, sources = plan["recipes"], plan["sources"]
        if recipe not in recipes:
            raise ValueError(f"The plan has no recipe {recipe!r}. It has: {', '.join(sorted(recipes))}.")
        weights = recipes[recipe]["weights"] or {name: sources[name]["bytes"] for name in sources}
        unknown = sorted(set(weights) - set(sources))
        if unknown:
            raise ValueError(
                f"The recipe {recipe!r} weighs {unknown[0]!r}, which is no source: how much there is of it is known "
                "after a build. Give the built folder instead of the plan."
            )
        total = sum(weights.values())
        return [
            Stratum(name, weight / total, sources[name]["bytes"] / bytes_per_token, "at most")
            for name, weight in weights.items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"This is no plan of a study: {error!r} is missing or of another kind.") from error
