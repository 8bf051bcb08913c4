"""Shares: what each stratum has of the stream, from what a study says of sources and strata, and from the kept text."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from ..stages.schedule import ONE, integer_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..study.weights import Bend


def stratum_weights(
    weights: dict[str, float] | None, text_bytes: Mapping[str, int | Fraction]
) -> tuple[dict[str, Fraction | float], list[str]]:
    """Weights of strata from what the study says of sources and strata.

    A stratum that is named has its weight; a source's weight is shared among its other strata as their kept text has
    it. Without weights, text bytes decide alone.

    Args:
        weights: By stratum (`web/en`) or source (`web`).
        text_bytes: Kept text of each stratum.

    Returns:
        Weights by stratum, and the names that the study gives a weight to but of which nothing was kept.

    >>> stratum_weights({"web": 0.75, "code": 0.25}, {"web/en": 30, "web/de": 10, "code/none": 5})[0]["web/de"]
    Fraction(3, 16)
    """
    if weights is None:
        return {name: Fraction(size) for name, size in text_bytes.items() if size}, []
    shares: dict[str, Fraction | float] = {name: Fraction(str(w)) for name, w in weights.items() if name in text_bytes}
    empty = [name for name, weight in weights.items() if weight and name in text_bytes and not text_bytes[name]]
    for name, weight in weights.items():
        if name in text_bytes or not weight:
            continue
        inside = {s: size for s, size in text_bytes.items() if s.split("/")[0] == name and s not in shares}
        total = sum(inside.values())
        if not total:
            empty.append(name)
        for stratum, size in inside.items():
            shares[stratum] = Fraction(str(weight)) * size / total if total else Fraction(0)
    return {name: share for name, share in shares.items() if share}, empty


def tempered(shares: Mapping[str, Fraction | float], alpha: float) -> dict[str, Fraction | float]:
    """Shares to a power, in decimals of 28 digits, so that every machine agrees.

    >>> {name: float(share) for name, share in tempered({"web": 9, "code": 1}, 0.5).items()}
    {'web': 0.9486832980505138, 'code': 0.31622776601683794}
    """
    exact = {name: Fraction(share) for name, share in shares.items()}
    total = sum(exact.values())
    parts = {name: share / total for name, share in exact.items()}
    return {
        name: Fraction((Decimal(part.numerator) / Decimal(part.denominator)) ** Decimal(str(alpha)))
        for name, part in parts.items()
    }


def refilled(strata: Sequence[str], weights: Sequence[int], fixed: Mapping[str, int], whole: int) -> list[int] | None:
    """Weights where some strata give so much and no more, and the others the rest in proportion.

    Args:
        strata: Names.
        weights: Their weights so far.
        fixed: What some of them give of the largest rung, in sequences, bytes or documents.
        whole: The largest rung, in the same unit.

    Returns:
        Whole numbers that sum to 2**32, those of `fixed` rounded down so that no schedule takes more than there is;
        None where no stratum is left to give the rest.

    >>> [weight / 2**32 for weight in refilled(["code", "news", "web"], [2, 1, 1], {"code": 4}, 16)]
    [0.25, 0.375, 0.375]
    """
    left = whole - sum(fixed.values())
    others = {s: w for s, w in zip(strata, weights, strict=True) if s not in fixed and w}
    if left > 0 and not others:
        return None
    total = sum(others.values()) or 1
    shares = [Fraction(fixed[s]) if s in fixed else Fraction(others.get(s, 0) * left, total) for s in strata]
    out = [share.numerator * ONE // (share.denominator * whole) for share in shares]
    out[max(range(len(out)), key=lambda n: (strata[n] in others, out[n]))] += ONE - sum(out)
    return out


def along(
    bends: Sequence[Bend], text_bytes: Mapping[str, int | Fraction]
) -> tuple[list[str], list[NDArray[np.int64]], list[str]]:
    """Weights that change along the stream.

    Args:
        bends: As the study has them.
        text_bytes: Kept text of each stratum.

    Returns:
        Strata that have a weight anywhere, sorted; their weights at each bend, whole numbers that sum to 2**32, none
        where a name has nothing; and the names of which nothing was kept.

    >>> from tokenladder.pipelines.study.weights import Bend
    >>> strata, rows, _ = along([Bend(0.5, {"web": 1.0}), Bend(1.0, {"code": 1.0})], {"web": 9, "code": 1})
    >>> strata, [row.tolist() for row in rows]
    (['code', 'web'], [[0, 4294967296], [4294967296, 0]])
    """
    found = [stratum_weights(bend.shares, text_bytes) for bend in bends]
    strata = sorted({stratum for shares, _ in found for stratum in shares})
    empty = sorted({name for _, names in found for name in names})
    if empty:
        return strata, [], empty
    return strata, [integer_weights([shares.get(stratum, 0) for stratum in strata]) for shares, _ in found], empty


def places(bends: Sequence[Bend], largest: int, size: int = 1) -> list[int]:
    """Where weights are given: the nearest whole numbers.

    Args:
        bends: As the study has them.
        largest: The largest rung, in tokens, bytes or documents.
        size: What one of the places is made of: the tokens in a sequence.

    >>> from tokenladder.pipelines.study.weights import Bend
    >>> places([Bend(0.5, {}), Bend(1.0, {})], 4096, 512)
    [4, 8]
    """
    return [int(bend.place(largest) / size + Fraction(1, 2)) for bend in bends]
