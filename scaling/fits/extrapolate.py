"""The honest score of a law: its error on runs that it was not fitted to, above all on the largest.

A law with more parameters always fits better; what counts is what it says about runs beyond those that one can afford.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..laws.law import Law
from ..runs.columns import Numbers, Runs, length, take
from .fit import Fit, fit
from .objectives import Objective


@dataclass(frozen=True)
class Split:
    """One division of the runs into fitted and held out.

    Attributes:
        name: What was held out.
        fit: The law fitted to the others.
        held_out: int64[held out], the rows.
        predicted: float64[held out].
        measured: float64[held out].
    """

    name: str
    fit: Fit
    held_out: NDArray[np.int64]
    predicted: Numbers
    measured: Numbers

    @property
    def relative_errors(self) -> Numbers:
        """|predicted − measured| / |measured|, float64[held out]."""
        return np.asarray(np.abs(self.predicted - self.measured) / np.abs(self.measured), np.float64)


@dataclass(frozen=True)
class Score:
    """A law's error on held-out runs.

    Attributes:
        law: The law's name.
        splits: The divisions.
    """

    law: str
    splits: tuple[Split, ...]

    @property
    def mean(self) -> float:
        """Mean relative error over all held-out runs."""
        return float(np.concatenate([split.relative_errors for split in self.splits]).mean())

    @property
    def largest(self) -> float:
        """Largest relative error of a held-out run."""
        return float(np.concatenate([split.relative_errors for split in self.splits]).max())

    @property
    def bias(self) -> float:
        """Mean of predicted − measured, in the target's unit: above zero, the law is too pessimistic."""
        return float(np.concatenate([split.predicted - split.measured for split in self.splits]).mean())


def sizes(runs: Runs, by: str | None = None) -> Numbers:
    """What runs are ranked by: a column, or else FLOPs, as given or as 6 · params · tokens.

    Raises:
        ValueError: There is no such column, or nothing to tell size by.
    """
    if by is not None:
        if by not in runs:
            raise ValueError(f"Runs cannot be ranked by {by!r}: the runs table has only: {', '.join(runs)}.")
        return np.asarray(runs[by], np.float64)
    if "flops" in runs:
        return np.asarray(runs["flops"], np.float64)
    if {"params", "tokens"} <= set(runs):
        return 6.0 * np.asarray(runs["params"], np.float64) * np.asarray(runs["tokens"], np.float64)
    raise ValueError(
        "To tell the largest runs, the table needs the column flops, or params and tokens; or name a column."
    )


def leave_largest_out(
    law: Law, runs: Runs, *, share: float = 0.2, by: str | None = None, objective: Objective | None = None
) -> Score:
    """Fit to the smaller runs, predict the largest.

    Args:
        law: The law.
        runs: The runs table.
        share: How many of the distinct sizes are held out, rounded up; runs of one size stay together.
        by: The column that tells size; by default FLOPs.
        objective: As for :func:`.fit.fit`.

    Raises:
        ValueError: A share that leaves nothing on one side, or too few runs for the law.
    """
    size = sizes(runs, by)
    levels = np.unique(size)
    count = int(np.ceil(share * levels.size))
    if not 0 < count < levels.size:
        raise ValueError(
            f"A share of {share} of {levels.size} distinct sizes leaves nothing to fit to or nothing to predict: "
            "give one between 0 and 1, and runs of two sizes or more."
        )
    held = size >= levels[-count]
    what = f"the largest {count} of {levels.size} {'sums of FLOPs' if by is None else f'values of {by}'}"
    return Score(law.name, (_split(what, law, runs, held, objective),))


def leave_one_group_out(
    law: Law, runs: Runs, groups: NDArray[np.generic], *, objective: Objective | None = None
) -> Score:
    """Fit without each group in turn, and predict it.

    Args:
        law: The law.
        runs: The runs table.
        groups: One label a run: the recipe, the model size, the lab.
        objective: As for :func:`.fit.fit`.

    Raises:
        ValueError: Fewer than two groups, or labels of another length.
    """
    labels = np.asarray(groups)
    if labels.size != length(runs):
        raise ValueError(f"There must be a group for each of the {length(runs)} runs, but {labels.size} were given.")
    names = np.unique(labels)
    if names.size < 2:
        raise ValueError("To leave one group out there must be two or more.")
    return Score(law.name, tuple(_split(str(name), law, runs, labels == name, objective) for name in names))


def compare(
    laws: Sequence[Law], runs: Runs, *, share: float = 0.2, by: str | None = None, objective: Objective | None = None
) -> tuple[Score, ...]:
    """Laws by their mean error on the largest runs, best first; see :func:`leave_largest_out`.

    >>> from ..laws.registry import LAWS
    >>> tokens = np.geomspace(1e8, 1e11, 12)
    >>> runs = {"params": np.geomspace(1e7, 1e9, 12), "tokens": tokens, "loss": 1.8 + 500 * tokens**-0.3}
    >>> [score.law for score in compare([LAWS["power-params"], LAWS["power-tokens"]], runs)]
    ['power-tokens', 'power-params']
    """
    scores = [leave_largest_out(law, runs, share=share, by=by, objective=objective) for law in laws]
    return tuple(sorted(scores, key=lambda score: score.mean))


@dataclass(frozen=True)
class Ensemble:
    """Laws that predict together.

    Attributes:
        fits: One of each law, to all runs.
        weights: float64[laws], summing to one.
    """

    fits: tuple[Fit, ...]
    weights: Numbers

    def predict(self, runs: Runs) -> Numbers:
        """The weighted geometric mean of the laws' predictions, float64[runs]: laws err by factors."""
        logs = np.log([each.predict(runs) for each in self.fits])
        return np.asarray(np.exp(self.weights @ logs), np.float64)


def ensemble(
    laws: Sequence[Law], runs: Runs, *, share: float = 0.2, by: str | None = None, objective: Objective | None = None
) -> Ensemble:
    """Laws weighted by what they predict beyond the runs that they were fitted to.

    The weight of a law is one over its mean squared error on the largest runs, so a law that errs twice as much counts
    a quarter. No law errs by less than 0.1 % here: below that, differences are noise of the runs.
    """
    scores = [leave_largest_out(law, runs, share=share, by=by, objective=objective) for law in laws]
    squares = np.array([(score.splits[0].relative_errors ** 2).mean() for score in scores])
    weights = 1.0 / np.maximum(squares, 1e-6)
    return Ensemble(tuple(fit(law, runs, objective=objective) for law in laws), weights / weights.sum())


def _split(name: str, law: Law, runs: Runs, held: NDArray[np.bool_], objective: Objective | None) -> Split:
    fitted = fit(law, take(runs, ~held), objective=objective)
    out = take(runs, held)
    measured = np.asarray(out[law.target], np.float64)
    return Split(name, fitted, np.flatnonzero(held), fitted.predict(out), measured)
