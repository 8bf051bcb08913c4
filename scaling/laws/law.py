"""What a law is: named parameters with units and boxes, a formula over columns of runs, and its exact gradient.

A formula is written once, over numpy arrays, and serves one parameter vector or thousands at a time: parameters arrive
with a last axis of length 1 and broadcast against the columns. Where a law gives no gradient of its own, it is had by a
complex step (Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions"), which is exact
to rounding for formulas made of arithmetic, ``exp`` and ``log``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from ..runs.columns import Numbers, Runs, numbers

Values: TypeAlias = Mapping[str, Any]
Formula: TypeAlias = Callable[[Values, Values], Any]
Slopes: TypeAlias = Callable[[Values, Values], tuple[Any, Mapping[str, Any]]]
Scale: TypeAlias = Literal["log", "linear"]

STEP = 1e-150
"""The imaginary step of derivatives: its square vanishes beside any real part, so nothing is cancelled."""


@dataclass(frozen=True)
class Parameter:
    """One number that a fit looks for.

    Attributes:
        name: As in the law's formula.
        unit: What it is measured in.
        low: The least value that a fit may take.
        high: The largest.
        start: The box in which starts are looked for; inside ``low`` and ``high``.
        scale: ``log`` for numbers above zero whose size is unknown (coefficients): the fit moves their logarithm.
        linear: The prediction is a weighted sum in the parameters marked so, once the others are fixed; their best
            start is then solved for rather than searched.

    Raises:
        ValueError: A box that is empty, or that a logarithm cannot hold.
    """

    name: str
    unit: str
    low: float
    high: float
    start: tuple[float, float]
    scale: Scale = "linear"
    linear: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.start[0] <= self.start[1] <= self.high or self.low == self.high:
            raise ValueError(
                f"The parameter {self.name!r} needs low ≤ start ≤ high and low < high, "
                f"but has low {self.low}, start {self.start}, high {self.high}."
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"The parameter {self.name!r} is on a log scale, so low must be above 0, not {self.low}.")


@dataclass(frozen=True)
class Law:
    """A law: a formula with its parameters, the columns that it reads and the column that it predicts.

    Attributes:
        name: Short name, as in :data:`.registry.LAWS`.
        formula_text: The formula for people.
        source: Who published it.
        parameters: In the order of parameter vectors.
        columns: Columns of a runs table that the formula reads; all must be above zero unless named in ``signed``.
        formula: ``formula(parameters, columns)`` → prediction; both are mappings of name → array.
        slopes: ``slopes(parameters, columns)`` → (prediction, {parameter name: derivative}), for laws that are fitted
            often; None for the complex step.
        target: The column that is predicted.
        signed: Those of ``columns``, and the target, that may be zero or negative.
    """

    name: str
    formula_text: str
    source: str
    parameters: tuple[Parameter, ...]
    columns: tuple[str, ...]
    formula: Formula
    slopes: Slopes | None = None
    target: str = "loss"
    signed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def read(self, runs: Runs, *, target: bool = False) -> dict[str, Numbers]:
        """The law's columns of ``runs`` (with the target, if asked), checked; see :func:`..runs.columns.numbers`."""
        names = dict.fromkeys((*self.columns, *((self.target,) if target else ())))
        return numbers(runs, names, [name for name in names if name not in self.signed])

    def vector(self, theta: Mapping[str, float]) -> Numbers:
        """Parameters by name as a vector in the law's order.

        Raises:
            ValueError: A parameter is missing or unknown.
        """
        if set(theta) != set(self.names):
            raise ValueError(
                f"The law {self.name!r} has the parameters {', '.join(self.names)}, not {', '.join(theta)}."
            )
        return np.array([theta[name] for name in self.names], np.float64)

    def predict(self, theta: Mapping[str, float] | Numbers, runs: Runs) -> Numbers:
        """Predictions for runs.

        Args:
            theta: Parameters by name, or float64[..., parameters] in the law's order.
            runs: A mapping with at least the law's columns.

        Returns:
            float64[..., runs], in the unit of the target column.

        >>> from .registry import LAWS
        >>> theta = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}
        >>> LAWS["chinchilla"].predict(theta, {"params": np.array([70e9]), "tokens": np.array([1.4e12])}).round(4)
        array([1.9366])
        """
        vectors = self.vector(theta) if isinstance(theta, Mapping) else np.asarray(theta, np.float64)
        return self.evaluate(vectors, self.read(runs))

    def gradient(self, theta: Mapping[str, float] | Numbers, runs: Runs) -> Numbers:
        """Derivatives of predictions by each parameter: float64[..., parameters, runs]."""
        vectors = self.vector(theta) if isinstance(theta, Mapping) else np.asarray(theta, np.float64)
        return self.differentiate(vectors, self.read(runs))[1]

    def evaluate(self, vectors: Numbers, columns: Values) -> Numbers:
        """:meth:`predict` for columns that are already checked, as fits call it thousands of times."""
        prediction = self.formula(self._named(vectors), columns)
        return np.broadcast_to(prediction, (*vectors.shape[:-1], _rows(columns)))

    def differentiate(self, vectors: Numbers, columns: Values) -> tuple[Numbers, Numbers]:
        """Predictions float64[..., runs] and their gradient float64[..., parameters, runs]."""
        named = self._named(vectors)
        shape = (*vectors.shape[:-1], _rows(columns))
        gradient = np.empty((*vectors.shape, shape[-1]))
        if self.slopes is not None:
            prediction, slopes = self.slopes(named, columns)
            for index, name in enumerate(self.names):
                gradient[..., index, :] = slopes[name]
            return np.broadcast_to(prediction, shape), gradient
        prediction = np.broadcast_to(self.formula(named, columns), shape)
        for index, name in enumerate(self.names):
            stepped = self.formula({**named, name: named[name] + 1j * STEP}, columns)
            gradient[..., index, :] = np.imag(stepped) / STEP
        return prediction, gradient

    def fixed(self, **values: float) -> Law:
        """The same law with some parameters held at given values.

        Raises:
            ValueError: No parameter has such a name.

        >>> from .registry import LAWS
        >>> LAWS["chinchilla"].fixed(E=1.69).names
        ('A', 'B', 'alpha', 'beta')
        """
        unknown = sorted(set(values) - set(self.names))
        if unknown:
            raise ValueError(f"The law {self.name!r} has no parameter {unknown[0]!r}; it has {', '.join(self.names)}.")
        formula, slopes = self.formula, self.slopes
        held = {name: np.array([value]) for name, value in values.items()}
        return replace(
            self,
            parameters=tuple(parameter for parameter in self.parameters if parameter.name not in values),
            formula=lambda named, columns: formula({**named, **held}, columns),
            slopes=None if slopes is None else lambda named, columns: slopes({**named, **held}, columns),
        )

    def _named(self, vectors: Numbers) -> dict[str, Numbers]:
        return {name: vectors[..., index, None] for index, name in enumerate(self.names)}


def law(
    name: str,
    formula: Formula,
    columns: tuple[str, ...],
    box: Mapping[str, tuple[float, float]],
    *,
    target: str = "loss",
    signed: tuple[str, ...] = (),
) -> Law:
    """A law of one's own: a formula and the box where its parameters are looked for.

    A parameter whose box lies above zero and spans a factor of 20 or more is fitted on a log scale. Fits may leave the
    box by a factor of 1,000 there, and by ten times its width elsewhere, not crossing zero if the box does not.

    Args:
        name: For tables and messages.
        formula: ``formula(parameters, columns)`` → prediction, over mappings of name → array; made of arithmetic and
            numpy's ``exp``, ``log``, ``power`` and the like, so that it can take complex numbers for its gradient.
        columns: Columns of a runs table that the formula reads.
        box: Parameter name → (least, largest) start.
        target: The column to predict.
        signed: Columns that may be zero or negative.

    Raises:
        ValueError: An empty box, or a formula that cannot take complex numbers.

    >>> power = law(
    ...     "power", lambda p, c: p["E"] + p["A"] * c["tokens"] ** -p["a"], ("tokens",),
    ...     {"E": (0.5, 3), "A": (1, 1e6), "a": (0.1, 0.9)},
    ... )  # fmt: skip
    >>> power.predict({"E": 2.0, "A": 100.0, "a": 0.5}, {"tokens": np.array([1e4])})
    array([3.])
    """
    parameters = []
    for key, (least, largest) in box.items():
        if not least < largest:
            raise ValueError(
                f"The start box of {key!r} needs (least, largest) with least < largest, not {(least, largest)}."
            )
        if least > 0 and largest / least >= 20:
            parameters.append(Parameter(key, "", least / 1000, largest * 1000, (least, largest), "log"))
            continue
        reach = 10 * (largest - least)
        low = max(least - reach, 0.0) if least >= 0 else least - reach
        high = min(largest + reach, 0.0) if largest <= 0 else largest + reach
        parameters.append(Parameter(key, "", low, high, (least, largest)))
    made = Law(name, "", "the user's own", tuple(parameters), columns, formula, target=target, signed=signed)
    _try_complex(made)
    return made


def _try_complex(made: Law) -> None:
    """Differentiate once in the middle of the box, beside plain differences; raise where the formula cannot follow."""
    middle = np.array(
        [(p.start[0] * p.start[1]) ** 0.5 if p.scale == "log" else sum(p.start) / 2 for p in made.parameters]
    )
    columns = {name: np.array([1.5, 2.5]) for name in made.columns}
    hint = "Write it with arithmetic and numpy's exp, log, power, sqrt; not with abs, maximum or the math module."
    try:
        exact = made.differentiate(middle, columns)[1]
    except (TypeError, KeyError) as error:
        raise ValueError(f"The formula of {made.name!r} cannot be differentiated: {error!r}. {hint}") from error
    for index in range(middle.size):
        step = np.zeros_like(middle)
        step[index] = 1e-6 * max(abs(middle[index]), 1e-3)
        ahead, behind = (made.evaluate(middle + sign * step, columns) for sign in (1, -1))
        plain = (ahead - behind) / (2 * step[index])
        if not np.allclose(plain, exact[index], rtol=1e-3, atol=1e-6 * np.abs(ahead).max()):
            name = made.names[index]
            raise ValueError(
                f"The formula of {made.name!r} has no exact derivative by {name!r} from complex numbers. {hint}"
            )


def _rows(columns: Values) -> int:
    return int(next(iter(columns.values())).size)
