"""A task's score through its loss, in two fits, as the OLMo ladder predicts it (Bhagia et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from ..laws.law import Law
from ..runs.columns import Numbers, Runs
from .fit import Fit, fit
from .objectives import Objective


@dataclass(frozen=True)
class TwoSteps:
    """Loss from the runs, then a task's score from the loss.

    Attributes:
        loss: The fit of the task's loss over sizes and tokens.
        score: The fit of the score over that loss.
    """

    loss: Fit
    score: Fit

    def predict(self, runs: Runs) -> Numbers:
        """The task's score of other runs, float64[runs]."""
        return self.score.predict({self.score.law.columns[0]: self.loss.predict(runs)})


def two_steps(
    loss_law: Law, score_law: Law, runs: Runs, *, first: Objective | None = None, second: Objective | None = None
) -> TwoSteps:
    """Fit a task's score through its loss, as the OLMo ladder does.

    Args:
        loss_law: A law over sizes and tokens, such as ``LAWS["chinchilla"]``; it is fitted to the score law's column.
        score_law: ``LAWS["task-sigmoid"]`` or ``LAWS["loss-to-error"]``.
        runs: Columns of both laws and the score.
        first: Objective of the loss; by default that of :func:`.fit.fit`.
        second: Objective of the score; by default the same.
    """
    through = score_law.columns[0]
    renamed = {**runs, loss_law.target: runs[through]} if through in runs else runs
    return TwoSteps(fit(loss_law, renamed, objective=first), fit(score_law, runs, objective=second))
