"""Budgets as a study writes them: counts of tokens, or of bytes or documents, for studies across tokenizers.

`"4GB"` and `"20K documents"` say their unit, a bare count is of tokens. All counts that are compared with each other,
budgets, rungs of curricula and simulated runs, have one unit, which is taken off here before they are read as numbers.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

_UNITS = {"": 0, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12}
_COUNT = re.compile(r"^\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([KMBGT]?)\s*$", re.IGNORECASE)


Unit = Literal["tokens", "bytes", "documents"]

_BYTES = re.compile(r"^(.*[0-9]\s*[KMGT])B\s*$", re.IGNORECASE)
_BINARY = re.compile(r"^.*[0-9]\s*[KMGT]iB\s*$", re.IGNORECASE)
_WORD = re.compile(r"^(.*[0-9]\s*[KMBGT]?)[\s-]*(tokens|bytes|documents)\s*$", re.IGNORECASE)


def split_unit(value: object) -> tuple[object, str]:
    """A count without its unit, and the unit.

    >>> split_unit("4GB"), split_unit("20K documents"), split_unit("4B"), split_unit(1000)
    (('4G', 'bytes'), ('20K', 'documents'), ('4B', 'tokens'), (1000, 'tokens'))
    """
    if isinstance(value, str):
        word, of_bytes = _WORD.match(value), _BYTES.match(value)
        if word:
            return word[1], word[2].lower()
        if of_bytes:
            return of_bytes[1], "bytes"
        if _BINARY.match(value):
            return value, "bytes"  # which `parse_count` refuses
    return value, "tokens"


def bare_count(value: object, unit: str, where: str, mistakes: list[str]) -> object:
    """A count without its unit; `mistakes` grows by a line where that is not the budgets'.

    >>> bare_count("4GB", "bytes", "budgets[0]", [])
    '4G'
    """
    count, own = split_unit(value)
    if own != unit:
        mistakes.append(
            f"{where}: {value} is in {own}, the budgets are in {unit}. Give all in one unit: how many of one the "
            "other comes to is known after encoding"
        )
    return count


def with_unit(raw: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    """A study's tables with bare counts, and with `budget_unit`, the unit that they had.

    Args:
        raw: As the file has them; left as it is.
        mistakes: Grows by a line for each count in another unit than the first budget's.
    """
    budgets = raw.get("budgets")
    if isinstance(budgets, dict):
        listed = [budgets[key] for key in ("from", "to") if key in budgets]
    else:
        listed = budgets if isinstance(budgets, list) else []
    unit = split_unit(listed[0])[1] if listed else "tokens"

    said = raw.get("budget_unit", unit)
    if unit not in ("tokens", said):
        mistakes.append(f"budget_unit: {said}, but the budgets are in {unit}. Leave it out: it follows from them")

    def bare(value: object, where: str) -> object:
        return bare_count(value, unit, where, mistakes)

    out = {**raw, "budget_unit": unit} if unit != "tokens" else dict(raw)
    if isinstance(budgets, dict):
        out["budgets"] = {k: bare(v, f"budgets.{k}") if k in {"from", "to"} else v for k, v in budgets.items()}
    elif isinstance(budgets, list):
        out["budgets"] = [bare(budget, f"budgets[{n}]") for n, budget in enumerate(budgets)]
    held = raw.get("held_out")
    if isinstance(held, dict) and split_unit(held.get("bytes"))[1] == "bytes":  # "4MB", as budgets have it
        out["held_out"] = {**held, "bytes": split_unit(held["bytes"])[0]}
    for section, key in (("recipes", "simulate"), ("curricula", "rung")):
        tables = raw.get(section)
        if isinstance(tables, dict):
            out[section] = {
                name: {**one, key: bare(one[key], f"{section}.{name}.{key}")}
                if isinstance(one, dict) and key in one
                else one
                for name, one in tables.items()
            }
    return out


def parse_count(value: object) -> object:
    """A number of tokens as users write it: 100000, "100K", "1.5B", "3T".

    Raises:
        ValueError: It is not a positive whole number.

    >>> parse_count("1.5B")
    1500000000
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('not a count. Write a whole number or "100M", "1.5B", "3T"')  # noqa: TRY004 pydantic shows it
    if _BINARY.match(str(value)):
        raise ValueError('powers of 1024 are no units here. Write KB, MB, GB or TB, powers of 1000: "4GB"')
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


def short(count: int, unit: str = "tokens") -> str:
    """A count as people write it; always exact. Names of rungs are such.

    >>> short(1_500_000_000), short(250_000), short(1234)
    ('1.5B', '250K', '1234')
    >>> short(4_000_000_000, "bytes"), short(20_000, "documents"), short(999, "bytes")
    ('4GB', '20K-documents', '999-bytes')
    """
    for sign, power in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        if count >= 10**power and (count * 100) % 10**power == 0:
            digits = f"{Decimal(count).scaleb(-power).normalize():f}"
            if unit == "bytes":
                return f"{digits}{'G' if sign == 'B' else sign}B"
            return f"{digits}{sign}" + ("-documents" if unit == "documents" else "")
    return str(count) if unit == "tokens" else f"{count}-{unit}"
