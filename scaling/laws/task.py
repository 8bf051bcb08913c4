"""Laws from one loss to another, and from loss to a task's score: Brandfonbrener 2024, Gadre 2024, the OLMo ladder."""

from __future__ import annotations

from typing import Any

import numpy as np

from .law import Law, Parameter, Values


def _loss_to_loss(values: Values, columns: Values) -> Any:
    return values["E_1"] + values["K"] * np.exp(values["kappa"] * np.log(columns["source_loss"] - values["E_0"]))


LOSS_TO_LOSS = Law(
    "loss-to-loss",
    "L_1 = K (L_0 − E_0)^kappa + E_1",
    "Brandfonbrener et al. 2024, Loss-to-Loss Prediction: Scaling Laws for All Datasets, arXiv:2411.12925",
    (
        Parameter("K", "nats^(1 − kappa)", 1e-6, 1e6, (0.05, 20.0), "log", linear=True),
        Parameter("kappa", "none (a power)", 0.05, 10.0, (0.4, 2.5)),
        Parameter("E_0", "nats", 0.0, 20.0, (0.0, 3.0)),
        Parameter("E_1", "nats", 0.0, 20.0, (0.0, 4.0), linear=True),
    ),
    ("source_loss",),
    _loss_to_loss,
)
"""One distribution's loss from another's. E_0 and E_1 are the irreducible losses: hold them with ``fixed`` if known."""


def _loss_to_error(values: Values, columns: Values) -> Any:
    return values["epsilon"] - values["k"] * np.exp(-values["gamma"] * columns["loss"])


LOSS_TO_ERROR = Law(
    "loss-to-error",
    "Err = epsilon − k exp(−gamma L)",
    "Gadre et al. 2024, Language models scale reliably with over-training and on downstream tasks, arXiv:2403.08540",
    (
        Parameter("epsilon", "share of answers that are wrong", 0.0, 1.5, (0.3, 1.0), linear=True),
        Parameter("k", "share of answers that are wrong", 1e-4, 1e4, (0.1, 10.0), "log", linear=True),
        Parameter("gamma", "1 / nats", 1e-3, 20.0, (0.1, 4.0), "log"),
    ),
    ("loss",),
    _loss_to_error,
    target="error",
    signed=("error",),  # may be 0, and an error of 1 % is not twice as well known as one of 2 %
)
"""Average top-1 error over many tasks falls exponentially with loss, from epsilon (chance)."""


def _task_sigmoid(values: Values, columns: Values) -> Any:
    return values["b"] + values["a"] / (1.0 + np.exp(-values["k"] * (columns["task_loss"] - values["L_0"])))


TASK_SIGMOID = Law(
    "task-sigmoid",
    "Acc = a / (1 + exp(−k (L − L_0))) + b",
    "Bhagia et al. 2024, Establishing Task Scaling Laws via Compute-Efficient Model Ladders, arXiv:2412.04403",
    (
        Parameter(
            "a", "share of answers (below 0: accuracy falls as loss grows)", -2.0, 0.0, (-1.0, -0.1), linear=True
        ),
        Parameter("k", "1 / nats", 1e-2, 1e3, (0.5, 30.0), "log"),
        Parameter("L_0", "nats", -10.0, 20.0, (0.2, 4.0)),
        Parameter("b", "share of answers, at loss 0", 0.0, 2.0, (0.2, 1.0), linear=True),
    ),
    ("task_loss",),
    _task_sigmoid,
    target="accuracy",
    signed=("accuracy",),
)
"""The second step of the OLMo ladder: accuracy from the loss on the task's right answers; b + a is chance."""
