"""Weights as a study writes them: the same all along, changing along the stream (annealing), or those of a file."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import PlainValidator

from ..files import store
from .budgets import bare_count, parse_count

FORMS = "Write { web = 0.8, code = 0.2 }, a list of such tables with `at`, or the name of a file"


@dataclasses.dataclass(frozen=True)
class Bend:
    """Weights at one place of the stream: linear from there to the next place, else constant.

    Attributes:
        at: A share of the largest rung, from 0.0 to 1.0, or as an integer, tokens, or what else budgets are in.
        shares: Of sources or strata.
    """

    at: float | int
    shares: dict[str, float]

    def place(self, largest: int) -> Fraction:
        """The place in tokens, bytes or documents, where the largest rung has so many.

        >>> Bend(0.9, {}).place(1000), Bend(250, {}).place(1000)
        (Fraction(900, 1), Fraction(250, 1))
        """
        return Fraction(str(self.at)) * largest if isinstance(self.at, float) else Fraction(self.at)


def parse_weights(value: object) -> dict[str, float] | tuple[Bend, ...] | None:
    """Weights from a study's plain values; shares themselves are checked with the names of sources.

    Raises:
        ValueError: They have no form that weights may have, or places do not.
    """
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, tuple) and all(isinstance(bend, Bend) for bend in value):
        return value  # of a recipe that is put together from another one
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(bend, dict) for bend in value):
        raise ValueError(f"not weights. {FORMS}")
    return tuple(_bend(bend) for bend in value)


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A file that a recipe's weights name.

    Attributes:
        named: As the study names it.
        data: What it held when the study was read.
    """

    named: str
    data: bytes

    @property
    def toml(self) -> bool:
        """Whether it is TOML, by its name; else JSON."""
        return self.named.lower().endswith(".toml")

    @property
    def sha256(self) -> str:
        """The hash of what it held, in hex digits."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def path(self) -> str:
        """Where a result keeps a copy, relative to its folder."""
        return f"weights/{self.sha256}.{'toml' if self.toml else 'json'}"


def read_weights(
    raw: dict[str, Any], folder: str, mistakes: list[str]
) -> tuple[dict[str, Any], dict[str, WeightsFile]]:
    """A study's tables with what stands in the files that their weights name.

    Args:
        raw: As the study has them; left as they are.
        folder: Where relative paths start.
        mistakes: Grows by a line for each file that holds no weights.

    Returns:
        The tables, and by recipe the files that were read.
    """
    recipes = raw.get("recipes")
    if not isinstance(recipes, dict):
        return raw, {}
    read, files = {}, {}
    unit = str(raw.get("budget_unit", "tokens"))
    for name, recipe in recipes.items():
        path = recipe.get("weights") if isinstance(recipe, dict) else None
        if isinstance(path, str):
            try:
                files[name] = WeightsFile(path, store.read_bytes(store.absolute(path, folder)))
                read[name] = {**recipe, "weights": weights_in(files[name].data, toml=files[name].toml)}
            except (OSError, TypeError, ValueError, RecursionError) as error:
                mistakes.append(f"recipes.{name}.weights: {path}: {_why(error)}")
                read[name] = {key: value for key, value in recipe.items() if key != "weights"}
        own = read.get(name, recipe)
        if isinstance(own, dict) and isinstance(own.get("weights"), list):
            read[name] = {**own, "weights": bare_places(own["weights"], unit, f"recipes.{name}.weights", mistakes)}
    return {**raw, "recipes": {**recipes, **read}}, files


def bare_places(bends: list[Any], unit: str, where: str, mistakes: list[str]) -> list[Any]:
    """Weights at places, the places without their unit.

    Args:
        bends: As the study or a file has them; what is no table is left as it is.
        unit: Of the budgets.
        where: The key.
        mistakes: Grows by a line for each place in another unit.

    >>> bare_places([{"at": 0.5, "web": 1.0}, {"at": "4GB", "web": 1.0}], "bytes", "weights", [])[1]
    {'at': '4G', 'web': 1.0}
    """
    return [
        {**bend, "at": bare_count(bend["at"], unit, f"{where}[{n}].at", mistakes)}
        if isinstance(bend, dict) and _is_count(bend.get("at"))
        else bend
        for n, bend in enumerate(bends)
    ]


def _is_count(at: object) -> bool:
    """Whether a place is a count, and no share of the largest rung."""
    return isinstance(at, str) or (isinstance(at, int) and not isinstance(at, bool) and at not in (0, 1))


def _why(error: Exception) -> str:
    return "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"


def weights_in(data: bytes, *, toml: bool) -> Any:
    """Weights of a JSON or TOML file: its shares, its bends, or the first mixture of what `tokenladder fit` wrote.

    Raises:
        ValueError: It is no such file, or holds no weights.
        TypeError: It holds something else.
    """
    text = data.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    value = tomllib.loads(text) if toml else json.loads(text)
    # what a study cannot hold is refused here, as it is in a study's own text: dates, NaN, halves of surrogate pairs
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    if isinstance(value, dict) and "fits" in value:
        mixtures = value.get("mixtures")
        if not mixtures:
            raise ValueError("this fit chose no mixture. Fit a law of mixtures: --law data-mixing")
        if not isinstance(mixtures, list) or not isinstance(mixtures[0], dict) or "shares" not in mixtures[0]:
            raise ValueError("its mixtures are not as tokenladder fit writes them. Fit again")
        return mixtures[0]["shares"]
    weights = value.get("weights", value) if isinstance(value, dict) else value
    if not isinstance(weights, dict | list):
        raise TypeError(f"holds no weights, but {json.dumps(weights)[:40]}. Write a table of shares, or a list of such")
    return weights


def _bend(table: dict[str, Any]) -> Bend:
    if "at" not in table:
        raise ValueError('a place is missing. Write `at` in each table: at = 0.9, or at = "900M" for tokens')
    at = table["at"]
    if isinstance(at, bool) or not isinstance(at, int | float | str) or (isinstance(at, float) and not 0 <= at <= 1):
        raise ValueError(f'at = {at!r} is no place. Write a share of the largest rung from 0 to 1, or tokens: "900M"')
    if not isinstance(at, float):
        at = int(str(parse_count(at))) if _is_count(at) else float(at)
    return Bend(at, {name: share for name, share in table.items() if name != "at"})


def means(bends: dict[str, float] | Sequence[Bend] | None, largest: int) -> dict[str, float] | None:
    """Mean weights over the largest rung, of so many tokens, bytes or documents; those that do not change as they are.

    >>> means([Bend(0.5, {"web": 1.0}), Bend(1.0, {"code": 1.0})], 1000)
    {'web': 0.75, 'code': 0.25}
    """
    if bends is None or isinstance(bends, dict):
        return bends
    places = [bend.place(largest) for bend in bends]
    names = dict.fromkeys(name for bend in bends for name in bend.shares)
    out = {}
    for name in names:
        heights = [Fraction(str(bend.shares.get(name, 0))) for bend in bends]
        last = (max(*places, Fraction(largest)), heights[-1])
        corners: list[tuple[Fraction, Fraction]] = [(Fraction(0), heights[0]), *zip(places, heights, strict=True), last]
        total = Fraction(0)
        for (left, low), (right, high) in itertools.pairwise(corners):
            stop = min(right, Fraction(largest))
            if stop > left:
                at_stop = low + (high - low) * (stop - left) / (right - left)
                total += (stop - left) * (low + at_stop) / 2
        out[name] = float(total / largest)
    return out


def in_words(weights: dict[str, float] | tuple[Bend, ...] | None) -> str:
    """Weights on one line.

    >>> in_words((Bend(0.9, {"web": 1.0}), Bend(1.0, {"web": 0.5, "code": 0.5})))
    'at 0.9 web 1; at 1.0 web 0.5, code 0.5'
    """
    if isinstance(weights, tuple):
        return "; ".join(f"at {bend.at} {in_words(bend.shares)}" for bend in weights)
    return ", ".join(f"{stratum} {weight:g}" for stratum, weight in (weights or {}).items())


Weights = Annotated[dict[str, float] | tuple[Bend, ...] | None, PlainValidator(parse_weights)]
"""By source or stratum; or the same at some places of the stream."""


def check_weights(raw: Any, where: str, sources: Any, unknown: Any, mistakes: list[str]) -> None:
    """Sources and shares that weights name, on the raw values, so that other mistakes hide none of these.

    Args:
        raw: The value of the key.
        where: The key.
        sources: Those of the study.
        unknown: Says what was meant by an unknown name.
        mistakes: Grows by a line for each mistake.
    """
    if isinstance(raw, dict):
        _check_shares(raw, where, sources, unknown, mistakes)
    for n, bend in enumerate(raw if isinstance(raw, list) else []):
        if isinstance(bend, dict):
            shares = {name: share for name, share in bend.items() if name != "at"}
            _check_shares(shares, f"{where}[{n}]", sources, unknown, mistakes)
            if "at" in sources and not n:
                mistakes.append(f"{where}: `at` is a place here. Give the source 'at' another name")


def _check_shares(weights: dict[str, Any], where: str, sources: Any, unknown: Any, mistakes: list[str]) -> None:
    for stratum, weight in weights.items():
        if stratum.split("/")[0] not in sources:
            mistakes.append(f"{where}.{stratum}: there is no such source{unknown(stratum, sources)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            mistakes.append(f"{where}.{stratum}: {weight!r} is not a share. Write a number from 0 to 1")
            return
    total = sum((Decimal(str(weight)) for weight in weights.values()), Decimal(0))
    if abs(total - 1) > Decimal("1e-6"):
        mistakes.append(f"{where}: shares sum to {float(total):g}. They must sum to 1")


def check_places(weights: dict[str, float] | tuple[Bend, ...] | None, where: str, largest: int) -> list[str]:
    """Mistakes in the order of places, given the budget of the largest rung."""
    bends = weights if isinstance(weights, tuple) else ()
    return [
        f"{where}[{n}].at: {after.at} comes before {before.at}. List places in the order of the stream"
        for n, (before, after) in enumerate(itertools.pairwise(bends), start=1)
        if after.place(largest) < before.place(largest)
    ]
