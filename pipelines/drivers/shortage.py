"""Shortage: what is said where the kept documents do not fill a ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..study.budgets import Unit


def counted(count: int, unit: Unit) -> str:
    """So many of a unit.

    >>> counted(1, "documents"), counted(1200, "bytes")
    ('1 document', '1,200 bytes')
    """
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def missing(needed: Mapping[str, int], kept: Mapping[str, int], repeat: int) -> dict[str, int]:
    """What strata that run short lack, in as many passes as they may have.

    >>> missing({"web": 9, "code": 4}, {"web": 4, "code": 2}, 2)
    {'web': 1}
    """
    return {name: need - repeat * kept[name] for name, need in needed.items() if need > repeat * kept[name]}


def told(  # noqa: PLR0917 what the message holds
    name: str, unit: Unit, needed: Mapping[str, int], kept: Mapping[str, int], repeat: int, most: int = 0
) -> list[str]:
    """What is missing, a line for each stratum, and what would help; empty where nothing is.

    Args:
        name: The recipe's, or `held_out`.
        unit: What is counted.
        needed: Of each stratum, in all passes together.
        kept: Of each stratum, in one pass.
        repeat: Passes over a stratum at most.
        most: The budget that could be filled, as far as it is known; 0 where it is not.

    >>> told("all", "documents", {"web": 5}, {"web": 4}, 1)[1]
    '  web: 1 document missing; 5 needed, 4 kept'
    """
    short = missing(needed, kept, repeat)
    if not short:
        return []
    lines = [
        f"  {stratum}: {counted(count, unit)} missing; {needed[stratum]:,} needed, {kept[stratum]:,} kept"
        + (f" × {repeat} passes" if repeat > 1 else "")
        for stratum, count in sorted(short.items())
    ]
    if name == "held_out":
        return ["held_out: the kept documents do not fill it.", *lines, "Lower its size, or loosen its rules."]
    passes = max(-(-needed[stratum] // kept[stratum]) if kept[stratum] else 0 for stratum in short)
    lower = f" to {counted(most, unit)}" if most else ""
    first = f"{name}: the kept documents do not fill its largest rung."
    return [first, *lines, hint(lower, passes)]


def hint(lower: str = "", passes: int = 0) -> str:
    """What would help; `passes` is how many would, 0 where none do.

    >>> hint(), hint(" to 90 tokens", 3)[-34:]
    ('Lower the budgets, loosen rules, or change weights.', 'change weights, or set repeat = 3.')
    """
    last = f"change weights, or set repeat = {passes}" if passes else "or change weights"
    return f"Lower the budgets{lower}, loosen rules, {last}."
