"""Budgets as a study writes them: counts of tokens, or of bytes or documents, for studies across tokenizers."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"": 0, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
_COUNT = re.compile(r"^\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([KMBGT]?)\s*$", re.IGNORECASE)


def parse_count(value: object) -> object:
    """A number of tokens as users write it: 100000, "100K", "1.5B", "3T".

    Raises:
        ValueError: It is not a positive whole number.

    >>> parse_count("1.5B")
    1500000000
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('not a count. Write a whole number or "100M", "1.5B", "3T"')  # noqa: TRY004 pydantic shows it
    match = _COUNT.match(str(value))
    try:
        number = Decimal(match[1].replace("_", "")).scaleb(_UNITS[match[2].upper()]) if match else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_nan() or number != number.to_integral_value() or number <= 0:
        raise ValueError('not a positive whole number of tokens. Write "100M", "1.5B" or 250000')
    return int(number)


Count = Annotated[int, BeforeValidator(parse_count)]


def expand_budgets(value: object) -> object:
    """Budgets as a study lists them, or as a ladder of equal ratios; each step is rounded to three digits.

    Raises:
        ValueError: A table is no ladder.

    >>> expand_budgets({"from": "100M", "to": "1B", "per_decade": 2})
    (100000000, 316000000, 1000000000)
    """
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    if value.keys() != {"from", "to", "per_decade"}:
        raise ValueError('not a ladder. Write { from = "100M", to = "10B", per_decade = 2 }')
    first, last = (int(str(parse_count(value[key]))) for key in ("from", "to"))
    steps = value["per_decade"]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 20 or first > last:
        raise ValueError("not a ladder: `from` is at most `to`, and `per_decade` is from 1 to 20")
    out: list[int] = []
    while not out or out[-1] < last:
        exact = first * Decimal(10) ** (Decimal(len(out)) / steps)
        digit = Decimal(1).scaleb(max(0, exact.adjusted() - 2))
        out.append(int((exact / digit).to_integral_value(ROUND_HALF_EVEN) * digit) if out else first)
    return tuple(budget for budget in out if budget <= last)


def short(count: int) -> str:
    """A count as people write it; always exact.

    >>> short(1_500_000_000), short(250_000), short(1234)
    ('1.5B', '250K', '1234')
    """
    for unit, power in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        if count >= 10**power and (count * 100) % 10**power == 0:
            return f"{Decimal(count).scaleb(-power).normalize():f}{unit}"
    return str(count)
