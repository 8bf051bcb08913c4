"""Why two laws disagree, cause by cause: how the exponent of the best size moves when one thing at a time is changed.

Two studies of one question differ in how they count parameters and FLOPs, how they train, which range they look at and
how they fit. A :class:`Reading` is one such set of choices over a table of runs; a cause is what changes in it:

===============================  ===================================================================
cause                            what changes in the reading
===============================  ===================================================================
embeddings and head counted      ``size="params_non_embedding"`` → ``"params"``
last layer's FLOPs               ``flops``: another column, or ``only={"count": …}``
warm-up, schedule, tuning        ``only={"warm_up": …, "decay": …, "tuning": …}``
range                            ``least_flops``, ``most_flops``
fitting method                   ``method``, ``objective``, ``law``
data quality                     ``only={"recipe": …}``
repetition                       ``most_epochs``
===============================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import factorial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..fits.fit import fit
from ..fits.objectives import Objective
from ..laws.law import Law
from ..laws.surface import CHINCHILLA
from ..runs.columns import Numbers, Runs, length, take
from .frontier import best_sizes, envelope, valleys


@dataclass(frozen=True)
class Reading:
    """How one study reads runs.

    Attributes:
        method: ``isoflop`` or ``parabola`` (the two ways of :func:`.frontier.valleys`), ``envelope``, or ``surface``:
            the law is fitted and asked for the best sizes within the runs' range of FLOPs.
        size: The column that counts as size.
        flops: The column that counts as compute.
        law: Of ``surface``.
        objective: Of ``surface``.
        least_flops: Runs below are left out.
        most_flops: Runs above are left out.
        most_epochs: Runs that repeat their tokens more often are left out; needs ``unique_tokens``.
        only: Column → the value that runs must have.
    """

    method: Literal["isoflop", "parabola", "envelope", "surface"] = "isoflop"
    size: str = "params"
    flops: str = "flops"
    law: Law = CHINCHILLA
    objective: Objective | None = None
    least_flops: float = 0.0
    most_flops: float = np.inf
    most_epochs: float = np.inf
    only: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def rows(self, runs: Runs) -> NDArray[np.bool_]:
        """Which runs count, bool[runs].

        Raises:
            ValueError: A column is missing, or no run is left.
        """
        wanted = {*self.only, self.flops, *(("tokens", "unique_tokens") if np.isfinite(self.most_epochs) else ())}
        missing = sorted(wanted - set(runs))
        if missing:
            raise ValueError(
                f"The reading needs the column {missing[0]!r}, but the runs table has only: {', '.join(runs)}."
            )
        flops = np.asarray(runs[self.flops], np.float64)
        kept = (flops >= self.least_flops) & (flops <= self.most_flops)
        for name, value in self.only.items():
            kept &= np.asarray(runs[name]) == value
        if np.isfinite(self.most_epochs):
            kept &= np.asarray(runs["tokens"]) <= self.most_epochs * np.asarray(runs["unique_tokens"])
        if not kept.any():
            said = ", ".join(f"{name} = {value}" for name, value in self.only.items()) or "these limits"
            raise ValueError(f"No run is left with {said}.")
        return kept

    def exponent(self, runs: Runs) -> float:
        """The exponent of the best size over compute.

        Raises:
            ValueError: No run is left, or those left have no frontier.
        """
        chosen = dict(take(runs, self.rows(runs)))
        chosen |= {"flops": chosen[self.flops], "params": chosen[self.size]}
        if self.method == "envelope":
            return envelope(chosen).sizes.exponent
        if self.method == "surface":
            found = fit(self.law, chosen, objective=self.objective)
            budgets = np.geomspace(chosen["flops"].min(), chosen["flops"].max(), 20)
            return best_sizes(self.law, found.theta, budgets).sizes.exponent
        return valleys(chosen, method="akima" if self.method == "isoflop" else "parabola").sizes.exponent

    def changed(self, changes: Mapping[str, Any]) -> Reading:
        """This reading with some attributes changed; ``only`` is added to."""
        made = replace(self, **{name: value for name, value in changes.items() if name != "only"})
        return replace(made, only={**self.only, **changes["only"]}) if "only" in changes else made


@dataclass(frozen=True)
class Step:
    """One cause.

    Attributes:
        cause: Its name.
        before: The exponent before it is changed, with the causes above it changed already.
        after: The exponent after.
        share: Its part of the whole difference, whichever comes first: the mean of its effect over all orders
            (Shapley 1953). None if the runs do not hold all combinations.
    """

    cause: str
    before: float
    after: float
    share: float | None

    @property
    def change(self) -> float:
        """After less before."""
        return self.after - self.before


@dataclass(frozen=True)
class Waterfall:
    """The way from one exponent to the other.

    Attributes:
        start: Name of the first study.
        end: Name of the second.
        steps: Causes in order; the first's ``before`` and the last's ``after`` are the two exponents.
    """

    start: str
    end: str
    steps: tuple[Step, ...]

    def bars(self) -> list[tuple[str, float, float]]:
        """What a waterfall plot draws: (label, bottom, height) of each bar, whole bars first and last."""
        first, last = self.steps[0].before, self.steps[-1].after
        middle = [(step.cause, min(step.before, step.after), step.change) for step in self.steps]
        return [(self.start, 0.0, first), *middle, (self.end, 0.0, last)]

    def table(self) -> str:
        """The way as text."""
        wide = max(len(self.start), len(self.end), *(len(step.cause) for step in self.steps))
        lines = [f"{self.start:<{wide}}            {self.steps[0].before:6.3f}"]
        for step in self.steps:
            share = "" if step.share is None else f"   over all orders {step.share:+.3f}"
            lines.append(f"{step.cause:<{wide}}  {step.change:+.3f}    {step.after:6.3f}{share}")
        lines.append(f"{self.end:<{wide}}            {self.steps[-1].after:6.3f}")
        return "\n".join(lines)


def explain(
    causes: Sequence[str], exponent: Callable[[frozenset[str]], float], *, start: str = "first", end: str = "second"
) -> Waterfall:
    """Change causes one by one.

    Args:
        causes: Names, in the order of the waterfall.
        exponent: The exponent when the given causes are changed; raises ValueError where it cannot be known.
        start: Name of the study with nothing changed.
        end: Name of the study with all changed.

    Raises:
        ValueError: No cause, one named twice, or an exponent on the way that cannot be known.

    >>> effects = {"warm-up": -0.1, "tuning": -0.07}
    >>> print(explain(list(effects), lambda changed: 0.7 + sum(effects[each] for each in changed)).table())
    first               0.700
    warm-up  -0.100     0.600   over all orders -0.100
    tuning   -0.070     0.530   over all orders -0.070
    second              0.530
    """
    if not causes or len(set(causes)) < len(causes):
        raise ValueError(f"Causes must be one or more different names, not {list(causes)}.")
    known = {frozenset(causes[:count]): exponent(frozenset(causes[:count])) for count in range(len(causes) + 1)}
    try:
        for count in range(len(causes) + 1):
            for chosen in combinations(causes, count):
                if frozenset(chosen) not in known:
                    known[frozenset(chosen)] = exponent(frozenset(chosen))
        shares = [_shapley(cause, causes, known) for cause in causes]
    except ValueError:
        shares = [None] * len(causes)
    values = [known[frozenset(causes[:count])] for count in range(len(causes) + 1)]
    steps = zip(causes, values[:-1], values[1:], shares, strict=True)
    return Waterfall(start, end, tuple(Step(*step) for step in steps))


def _shapley(cause: str, causes: Sequence[str], known: Mapping[frozenset[str], float]) -> float | None:
    others = [other for other in causes if other != cause]
    total, count = 0.0, len(causes)
    for size in range(count):
        weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        for chosen in combinations(others, size):
            total += weight * (known[frozenset(chosen) | {cause}] - known[frozenset(chosen)])
    return total


def reconcile(
    runs: Runs,
    reading: Reading,
    causes: Mapping[str, Mapping[str, Any]],
    *,
    start: str = "first",
    end: str = "second",
    claimed: float | None = None,
) -> Waterfall:
    """Walk from one study's reading of the runs to another's.

    Args:
        runs: Runs of both, or one table that both can be read from.
        reading: The first study's.
        causes: Name of a cause → the attributes of :class:`Reading` that it changes, in order.
        start: Name of the first study.
        end: Name of the second.
        claimed: The exponent that the second study published; what is left becomes the last cause, ``unexplained``.

    Raises:
        ValueError: A reading on the way leaves no runs or no frontier; the message says after which cause.
    """
    length(runs)

    def exponent(changed: frozenset[str]) -> float:
        current = reading
        for cause, changes in causes.items():
            if cause in changed:
                current = current.changed(changes)
        try:
            return current.exponent(runs)
        except ValueError as error:
            after = ", ".join(one for one in causes if one in changed)
            where = f"After changing {after}" if changed else "As the first study reads them"
            raise ValueError(f"{where}: {error}") from error

    made = explain(list(causes), exponent, start=start, end=end)
    if claimed is None:
        return made
    last = made.steps[-1].after
    return Waterfall(start, end, (*made.steps, Step("unexplained", last, claimed, None)))


def with_embeddings(non_embedding: Numbers, *, vocabulary: float = 32_000, aspect: float = 39.2) -> Numbers:
    """All parameters of models of which those outside the embedding are known.

    A transformer of width d and depth d / aspect has 12 d² · depth parameters outside the embedding and vocabulary · d
    in it, so all are ``n + vocabulary · (aspect / 12 · n)^(1/3)`` (Pearce & Song 2024, Reconciling Kaplan and
    Chinchilla Scaling Laws, arXiv:2406.12907; their aspect of Chinchilla's models is 39.2).

    >>> with_embeddings(np.array([1e6, 1e9])).round(-3).tolist()
    [5748000.0, 1047481000.0]
    """
    return np.asarray(non_embedding + vocabulary * (aspect / 12 * non_embedding) ** (1 / 3), np.float64)


def simulate(
    law: Law,
    theta: Mapping[str, float],
    sizes: Numbers,
    budgets: Numbers,
    *,
    count: Callable[[Numbers], Numbers] | None = None,
    checkpoints: Numbers | None = None,
) -> dict[str, Numbers]:
    """Runs that a published law predicts: what a study would have seen, had the law been true.

    Args:
        law: A law over ``params`` and ``tokens``.
        theta: Its published constants.
        sizes: float64[sizes], as the study counts them.
        budgets: float64[budgets], FLOPs as the study counts them: six times its size times tokens.
        count: Parameters as the law counts them, from those that the study counts, such as :func:`with_embeddings`.
        checkpoints: float64[], rising: token counts at which losses are measured; each budget takes the nearest. None
            measures at every budget.

    Returns:
        ``flops``, ``params`` (the study's), ``tokens`` and ``loss``, float64[budgets · sizes].
    """
    flops, params = (each.ravel() for each in np.meshgrid(budgets, sizes, indexing="ij"))
    tokens = flops / 6 / params
    if checkpoints is not None:
        right = np.clip(np.searchsorted(checkpoints, tokens), 1, len(checkpoints) - 1)
        left = checkpoints[right - 1]
        tokens = np.where(tokens - left <= checkpoints[right] - tokens, left, checkpoints[right])
    counted = params if count is None else count(params)
    loss = law.predict(theta, {"params": counted, "tokens": tokens})
    return {"flops": flops, "params": params, "tokens": tokens, "loss": loss}
