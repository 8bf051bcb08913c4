"""Laws of the loss over model size, data and compute: Kaplan 2020, Hoffmann 2022, Gadre 2024."""

from __future__ import annotations

import numpy as np

from .law import Law, Parameter, Values
from .powers import Feature, Term, coefficient, exponent, sum_of_powers

HENIGHAN = "Henighan et al. 2020, Scaling Laws for Autoregressive Generative Modeling, arXiv:2010.14701"

IRREDUCIBLE = coefficient("E", "nats", 1e-3, 1e2, (0.3, 6.0))

CHINCHILLA = sum_of_powers(
    "chinchilla",
    "L = E + A / N^alpha + B / D^beta",
    "Hoffmann et al. 2022, Training Compute-Optimal Large Language Models, approach 3 (equation 2), arXiv:2203.15556",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        exponent("alpha"),
        exponent("beta"),
    ),
    ("params", "tokens"),
    Term("A", {"alpha": "params"}),
    Term("B", {"beta": "tokens"}),
    Term("E"),
)
"""Chinchilla's law: N parameters, D tokens. Published (approach 3): A 406.4, B 410.7, E 1.69, alpha .34, beta .28."""

CHINCHILLA_TIED = sum_of_powers(
    "chinchilla-tied",
    "L = E + A / N^alpha + B / D^alpha",
    "the form of Hoffmann et al. 2022 with one exponent, as Muennighoff et al. 2023 fit it, arXiv:2305.16264",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^alpha", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        exponent("alpha"),
    ),
    ("params", "tokens"),
    Term("A", {"alpha": "params"}),
    Term("B", {"alpha": "tokens"}),
    Term("E"),
)
"""Chinchilla's law with alpha = beta, so that parameters and tokens grow alike with compute."""

POWER_PARAMS = sum_of_powers(
    "power-params",
    "L = E + A / N^alpha",
    HENIGHAN,
    (coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)), IRREDUCIBLE, exponent("alpha")),
    ("params",),
    Term("A", {"alpha": "params"}),
    Term("E"),
)
"""The size-based view: loss over parameters where data does not limit."""

POWER_TOKENS = sum_of_powers(
    "power-tokens",
    "L = E + B / D^beta",
    HENIGHAN,
    (coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)), IRREDUCIBLE, exponent("beta")),
    ("tokens",),
    Term("B", {"beta": "tokens"}),
    Term("E"),
)
"""The data-based view: loss over tokens where size does not limit."""

POWER_COMPUTE = sum_of_powers(
    "power-compute",
    "L = E + K / C^gamma",
    HENIGHAN,
    (coefficient("K", "nats · FLOPs^gamma", 1e-6, 1e15, (1.0, 1e7)), IRREDUCIBLE, exponent("gamma", start=(0.01, 0.6))),
    ("flops",),
    Term("K", {"gamma": "flops"}),
    Term("E"),
)
"""The compute-based view: loss along the frontier of the best sizes."""


def _over_training(sign: float) -> dict[str, str | Feature]:
    def feature(columns: Values) -> object:
        compute = np.log(6.0) + np.log(columns["params"]) + np.log(columns["tokens"])
        multiple = np.log(columns["tokens"]) - np.log(columns["params"])
        return compute - sign * multiple

    return {"eta": feature}


GADRE = sum_of_powers(
    "gadre",
    "L = E + (a · M^eta + b · M^-eta) / C^eta, with M = D / N and C = 6 N D",
    "Gadre et al. 2024, Language models scale reliably with over-training and on downstream tasks, arXiv:2403.08540",
    (
        coefficient("a", "nats · FLOPs^eta", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("b", "nats · FLOPs^eta", 1e-6, 1e15, (1.0, 1e6)),
        IRREDUCIBLE,
        exponent("eta", start=(0.02, 0.6)),
    ),
    ("params", "tokens"),
    Term("a", _over_training(1.0)),
    Term("b", _over_training(-1.0)),
    Term("E"),
)
"""Over-training: M = D / N tokens per parameter, C = 6 N D FLOPs. The surface of Chinchilla's law with one exponent."""


def _kaplan(values: Values, columns: Values) -> object:
    size = np.exp(values["alpha_N"] / values["alpha_D"] * (np.log(values["N_c"]) - np.log(columns["params"])))
    data = np.exp(np.log(values["D_c"]) - np.log(columns["tokens"]))
    return np.exp(values["alpha_D"] * np.log(size + data))


KAPLAN = Law(
    "kaplan",
    "L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D",
    "Kaplan et al. 2020, Scaling Laws for Neural Language Models (equation 1.5), arXiv:2001.08361",
    (
        Parameter("N_c", "parameters", 1e4, 1e24, (1e8, 1e18), "log"),
        Parameter("D_c", "tokens", 1e4, 1e24, (1e8, 1e18), "log"),
        Parameter("alpha_N", "none (a power)", 1e-3, 2.0, (0.03, 0.5)),
        Parameter("alpha_D", "none (a power)", 1e-3, 2.0, (0.03, 0.5)),
    ),
    ("params", "tokens"),
    _kaplan,
)
"""Kaplan's law of the loss at early stopping; N without embeddings there. No irreducible loss.

Published: alpha_N .076, alpha_D .103, N_c 6.4e13, D_c 1.8e13.
"""
