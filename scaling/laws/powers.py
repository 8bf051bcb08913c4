"""Laws that are sums of power laws, Σ coefficient · exp(−Σ exponent · feature): one formula and one gradient for all.

A term like ``A / N^α`` has the feature ``log N`` for the exponent ``α``. Most published laws have this shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from .law import Formula, Law, Parameter, Slopes, Values

Feature: TypeAlias = Callable[[Values], Any]


@dataclass(frozen=True)
class Term:
    """``coefficient · exp(−Σ exponent · feature(columns))``; no powers for a constant.

    Attributes:
        coefficient: Name of a parameter.
        powers: Exponent's parameter name → the feature that it multiplies: a column's name for that column's
            logarithm, or a function of the columns.
    """

    coefficient: str
    powers: Mapping[str, str | Feature] = field(default_factory=dict)


def log_of(column: str) -> Feature:
    """The feature ``log(column)``."""
    return lambda columns: np.log(columns[column])


def sum_of_powers(
    name: str, formula_text: str, source: str, parameters: tuple[Parameter, ...], columns: tuple[str, ...], *terms: Term
) -> Law:
    """A law from its terms, with an exact gradient that costs no more exponentials than the formula."""
    formula, slopes = _functions(terms)
    return Law(name, formula_text, source, parameters, columns, formula, slopes)


def coefficient(name: str, unit: str, low: float, high: float, start: tuple[float, float]) -> Parameter:
    """A term's coefficient: positive, of unknown size, and linear in the prediction."""
    return Parameter(name, unit, low, high, start, "log", linear=True)


def exponent(name: str, unit: str = "", start: tuple[float, float] = (0.05, 1.2), high: float = 3.0) -> Parameter:
    """An exponent between 0 and ``high``."""
    return Parameter(name, unit or "none (a power)", 0.0, high, start)


def _functions(terms: tuple[Term, ...]) -> tuple[Formula, Slopes]:
    prepared = [
        (
            term.coefficient,
            [(key, log_of(what) if isinstance(what, str) else what) for key, what in term.powers.items()],
        )
        for term in terms
    ]

    def formula(values: Values, columns: Values) -> Any:
        total: Any = 0.0
        for weight, powers in prepared:
            product: Any = values[weight]
            if powers:
                product = product * np.exp(-sum(values[key] * feature(columns) for key, feature in powers))
            total = total + product
        return total

    def slopes(values: Values, columns: Values) -> tuple[Any, Mapping[str, Any]]:
        total: Any = 0.0
        found: dict[str, Any] = {}
        for weight, powers in prepared:
            features = [(key, feature(columns)) for key, feature in powers]
            unit: Any = np.exp(-sum(values[key] * feature for key, feature in features)) if features else 1.0
            product = values[weight] * unit
            found[weight] = found.get(weight, 0.0) + unit
            for key, feature in features:
                found[key] = found.get(key, 0.0) - product * feature
            total = total + product
        return total, found

    return formula, slopes
