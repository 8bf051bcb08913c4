"""What `tokenladder reconcile` works out: readings from the command line, the way between them, views, a break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..laws.registry import LAWS
from ..runs.columns import Runs, take
from ..runs.table import as_number, finite
from .frontier import Break, Frontier, envelope, find_break, valleys
from .reconcile import Reading, Waterfall, reconcile
from .views import View, views

METHODS = ("isoflop", "parabola", "envelope", "surface")
NUMBERS = ("least_flops", "most_flops", "most_epochs")
NAMES = ("size", "flops")
CHOICES = ("method", "law", *NAMES, *NUMBERS)
"""What a reading may choose, beside the values of columns."""


@dataclass(frozen=True)
class Reconciliation:
    """Two readings of one table, brought together.

    Attributes:
        way: Cause by cause, from the first reading's exponent to the second's.
        views: Laws of size, data, compute and the surface, over the second reading's runs; empty where they have too
            few.
        frontier: Best sizes of the second reading; None where a law was asked for them instead.
        bend: Where the best sizes change their exponent; None for fewer than seven.
    """

    way: Waterfall
    views: Sequence[View]
    frontier: Frontier | None
    bend: Break | None


def make_reading(given: Mapping[str, str], runs: Runs, base: Reading | None = None) -> Reading:
    """A reading from NAME=VALUE pairs: attributes of :class:`.reconcile.Reading`, or columns with the value to keep.

    Args:
        given: The pairs.
        runs: The runs table.
        base: What is changed; by default the plain reading.

    Raises:
        ValueError: A name that is neither, or a value that it cannot have; with what would work.
    """
    return (base or Reading()).changed(changes(given, runs))


def changes(given: Mapping[str, str], runs: Runs) -> dict[str, Any]:
    """NAME=VALUE pairs as changes of a reading; see :func:`make_reading`."""
    made: dict[str, Any] = {}
    only: dict[str, Any] = {}
    for name, value in given.items():
        if name == "method":
            made[name] = _one_of(name, value, METHODS)
        elif name == "law":
            made[name] = LAWS[_one_of(name, value, tuple(LAWS))]
        elif name in NUMBERS:
            made[name] = as_number(value)
            if not np.isfinite(made[name]):
                raise ValueError(f"{name}={value}: not a number. Write {name}=1e19.")
        elif name in NAMES and value in runs:
            made[name] = value
        elif name in runs:
            only[name] = _present(name, value, runs)
        else:
            known = ", ".join((*CHOICES, *runs))
            raise ValueError(f"{name}={value}: there is no such choice or column. There are: {known}.")
    return made | ({"only": only} if only else {})


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"{name}={value}: is not known. Choose one of {', '.join(known)}.")
    return value


def _present(name: str, value: str, runs: Runs) -> Any:
    """A value that the column has: as text, or as the number that it is."""
    column = np.asarray(runs[name])
    wanted: Any = value if column.dtype.kind == "U" else as_number(value)
    if not (column == wanted).any():
        known = [str(one) for one in np.unique(column)[:8]]
        raise ValueError(f"{name}={value}: no run has that. The column {name!r} holds {', '.join(known)}.")
    return wanted


def work_out(
    runs: Runs,
    start: Reading,
    causes: Mapping[str, Mapping[str, Any]],
    *,
    names: tuple[str, str] = ("first", "second"),
    claimed: float | None = None,
) -> Reconciliation:
    """Walk from the first reading to the second, and look at the second from all sides.

    Args:
        runs: The runs table.
        start: The first reading.
        causes: Name → what it changes, in order.
        names: Of the two studies.
        claimed: The exponent that the second published.

    Raises:
        ValueError: As of :func:`.reconcile.reconcile`.
    """
    way = reconcile(runs, start, causes, start=names[0], end=names[1], claimed=claimed)
    last = start
    for change in causes.values():
        last = last.changed(change)
    chosen = dict(take(runs, last.rows(runs)))
    chosen |= {"params": chosen[last.size], "flops": chosen[last.flops]}
    try:
        seen: Sequence[View] = views(chosen)
    except ValueError:
        seen = ()
    frontier = _frontier(last, chosen)
    bend = find_break(frontier.flops, frontier.params) if frontier is not None and frontier.flops.size > 6 else None
    return Reconciliation(way, seen, frontier, bend)


def _frontier(reading: Reading, chosen: Runs) -> Frontier | None:
    if reading.method == "surface":
        return None
    if reading.method == "envelope":
        return envelope(chosen)
    return valleys(chosen, method="akima" if reading.method == "isoflop" else "parabola")


def steps(way: Waterfall) -> list[tuple[str, float]]:
    """What :func:`..plots.laws.waterfall` draws."""
    return [(way.start, way.steps[0].before), *((step.cause, step.after) for step in way.steps)]


def way_as_value(way: Waterfall) -> dict[str, Any]:
    """The way alone as JSON values."""
    return {
        "start": {"name": way.start, "exponent": way.steps[0].before},
        "end": {"name": way.end, "exponent": way.steps[-1].after},
        "steps": [vars(step) | {"change": step.change} for step in way.steps],
    }


def as_value(made: Reconciliation) -> dict[str, Any]:
    """The reconciliation as JSON values."""
    sizes = made.frontier.sizes if made.frontier is not None else None
    return way_as_value(made.way) | {
        "views": [
            {"view": view.name, "law": view.fit.law.name, "runs": len(view.rows), "theta": dict(view.fit.theta)}
            for view in made.views
        ],
        "frontier": None
        if made.frontier is None or sizes is None
        else {
            "flops": made.frontier.flops.tolist(),
            "params": made.frontier.params.tolist(),
            "exponent": sizes.exponent,
            "standard_error": finite(sizes.standard_error),
        },
        "break": None if made.bend is None else vars(made.bend),
    }
