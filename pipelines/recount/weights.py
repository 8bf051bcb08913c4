"""Recount weights that a file gave: the result's copy of it against the weights that the manifest tells."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING

from ..files import store
from ..study.weights import bare_places, parse_weights, weights_in
from .result_files import ONE, READING, Check, told_check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .result_files import Bend, BudgetBend, Copy, Files, Recipe


def check_weights(files: Files, recipe: Recipe, name: str) -> list[Check]:
    """Whether a recipe has the weights of the file that they were read from; nothing where there was none.

    Args:
        files: Of the result.
        recipe: As the manifest has it.
        name: Its name.
    """
    copy = recipe.weights_file
    if copy is None:
        return []
    try:
        faults = _faults(_read(files, copy), recipe, copy)
    except READING as error:
        faults = [f"{copy.path}: {str(error).partition(chr(10))[0]}"]
    found = f"those of {copy.named}"
    if recipe.rescaled:
        found += f", rescaled for want of {', '.join(recipe.rescaled)}"
    return [told_check(f"Weights ({name})", faults, found)]


def _read(files: Files, copy: Copy) -> bytes:
    try:
        data = store.read_bytes(store.join(files.out, copy.path))
    except FileNotFoundError as error:
        raise OSError("is missing") from error
    if copy.path in files.listed:  # of another recipe, too
        return data
    files.listed.add(copy.path)
    files.bytes += len(data)
    if hashlib.sha256(data).hexdigest() != copy.sha256:
        files.faults.append(f"{copy.path}: its SHA-256 is not the manifest's")
    return data


def _faults(data: bytes, recipe: Recipe, copy: Copy) -> list[str]:
    said = weights_in(data, toml=copy.path.endswith(".toml"))
    if isinstance(said, list):
        said = bare_places(said, recipe.rungs[-1].unit or "tokens", copy.named, [])
    weights = parse_weights(said)
    if isinstance(weights, tuple):
        course: Sequence[Bend | BudgetBend] = recipe.budget_course if recipe.rungs[-1].unit else recipe.course
        if len(weights) != len(course):
            return [f"{copy.named} has weights at {len(weights)} places, the manifest at {len(course)}"]
        pairs = zip(weights, course, strict=True)
        return [line for bend, told in pairs for line in _compare(bend.shares, told.weights, f" at {bend.at}")]
    told = {stratum: one.weight for stratum, one in recipe.strata.items()}
    return [] if recipe.rescaled else _compare(weights or {}, told, "")


def _compare(shares: Mapping[str, float], told: Mapping[str, int], where: str) -> list[str]:
    """Weights by stratum against shares of strata and sources: each is rounded to a whole number over 2**32."""
    exact = {name: Fraction(str(share)) for name, share in shares.items()}
    total = sum(exact.values()) or Fraction(1)
    sums, parts = dict.fromkeys(exact, 0), dict.fromkeys(exact, 1)
    faults = []
    for stratum, weight in told.items():
        name = stratum if stratum in exact else stratum.split("/")[0]
        if name in exact:
            sums[name] += weight
            parts[name] += 1
        elif weight:
            faults.append(f"{stratum}{where} has a weight, but no share in the file")
    faults += [
        f"{name}{where} has {sums[name] / ONE:.6f} of the stream, the file says {float(share / total):.6f}"
        for name, share in exact.items()
        if abs(sums[name] - share / total * ONE) > parts[name]
    ]
    return faults
