"""Laws of repeated and filtered data: Muennighoff 2023, Lovelace 2026, Goyal 2024, and quality as a price on tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from .law import Law, Parameter, Values
from .powers import Term, coefficient, exponent, sum_of_powers
from .surface import IRREDUCIBLE

MOST_EPOCHS = 10_000
"""Epochs that the filtering law can add up."""


def _worth(unique: Any, repeats: Any, star: Any) -> Any:
    """``U + U · R* · (1 − exp(−R / R*))``: what repeats are worth beside unique ones."""
    return unique * (1.0 - star * np.expm1(-repeats / star))


def _data_constrained(values: Values, columns: Values) -> Any:
    params, tokens, unique = columns["params"], columns["tokens"], columns["unique_tokens"]
    alpha, beta = values["alpha"], values["beta"]
    # Parameters that are best for the unique tokens: N = G · (U G)^(β/α) with G = (α A / β B)^(1/(α+β)).
    base = (np.log(alpha * values["A"]) - np.log(beta * values["B"])) / (alpha + beta)
    best = np.exp(base + beta / alpha * (np.log(unique) + base))
    used = np.where(np.real(best) < params, best, params)
    size = _worth(used, params / used - 1.0, values["R_N"])
    data = _worth(unique, np.maximum(tokens / unique - 1.0, 0.0), values["R_D"])
    return values["E"] + values["A"] * np.exp(-alpha * np.log(size)) + values["B"] * np.exp(-beta * np.log(data))


DATA_CONSTRAINED = Law(
    "data-constrained",
    "L = E + A / N'^alpha + B / D'^beta, with D' = U + U R_D (1 − exp(−R / R_D)), R = D / U − 1, and N' alike",
    "Muennighoff et al. 2023, Scaling Data-Constrained Language Models (equations 5 and 6), arXiv:2305.16264",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        Parameter("alpha", "none (a power)", 1e-3, 3.0, (0.1, 0.8)),
        Parameter("beta", "none (a power)", 1e-3, 3.0, (0.1, 0.8)),
        Parameter(
            "R_D", "epochs beyond the first, where repeats are worth 1 − 1/e less", 1e-2, 1e5, (1.0, 300.0), "log"
        ),
        Parameter("R_N", "parameters beyond the best, over the best", 1e-2, 1e5, (0.3, 100.0), "log"),
    ),
    ("params", "tokens", "unique_tokens"),
    _data_constrained,
)
"""Repeated tokens and superfluous parameters lose their worth exponentially.

U unique tokens are seen D / U times. The parameters that are best for U tokens (by the same A, B, alpha, beta) count in
full; those beyond count less and less. Published: R_D 15.387756 and R_N 5.309743 with A e^6.255414, B e^7.3049974,
E e^.6254804 and alpha = beta = .3526596. The published runs hold a second optimum, near (95.4, 1.71), that is lower.
"""


NO_REPEATS = 1e-300
"""Epochs beyond the first where there are none: the penalty of those is below e^-34 nats per nat of coefficient."""


def _less_repeats(columns: Values) -> Any:
    return -np.log(np.maximum(columns["tokens"] / columns["unique_tokens"] - 1.0, NO_REPEATS))


def _less_capacity(columns: Values) -> Any:
    return np.log(columns["unique_tokens"] / columns["params"])


REPETITION_PENALTY = sum_of_powers(
    "repetition-penalty",
    "L = E + A / N^alpha + B / D^beta + P · R^delta · (N / U)^kappa, with R = D / U − 1",
    "Lovelace et al. 2026, Prescriptive Scaling Laws for Data Constrained Training, arXiv:2605.01640",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        coefficient("P", "nats · (tokens / parameter)^kappa", 1e-12, 1e6, (1e-6, 10.0)),
        exponent("alpha"),
        exponent("beta"),
        Parameter("delta", "none (a power)", 0.05, 4.0, (0.3, 2.0)),
        exponent("kappa", start=(0.1, 1.5)),
    ),
    ("params", "tokens", "unique_tokens"),
    Term("A", {"alpha": "params"}),
    Term("B", {"beta": "tokens"}),
    Term("P", {"delta": _less_repeats, "kappa": _less_capacity}),
    Term("E"),
)
"""Repeated tokens count in full, and what they do harm is added: more with more epochs and more parameters per token.

U unique tokens are seen 1 + R times. Unlike :data:`DATA_CONSTRAINED`, loss can rise with further epochs. With delta and
kappa held (``REPETITION_PENALTY.fixed(delta=…, kappa=…)``) overfitting is the one number P, which is then comparable
between ways to train. The formula is as L. Weng's review "Scaling Laws, Carefully" (2026) gives it; the paper's own
constants were not at hand.
"""


def _filtering(values: Values, columns: Values) -> Any:
    tokens, unique = columns["tokens"], columns["unique_tokens"]
    epochs = tokens / unique
    last = int(np.ceil(epochs.max()))
    if last > MOST_EPOCHS:
        raise ValueError(
            f"The filtering law adds up epochs one by one, at most {MOST_EPOCHS:,}, but a run has {last:,}."
        )
    total: Any = np.log(np.minimum(tokens, unique))
    for epoch in range(1, last):
        step = np.log(np.clip(epochs, epoch, epoch + 1) / epoch)
        total = total + np.exp(-np.log(2.0) * epoch / values["tau"]) * step
    return values["E"] + values["k"] * np.exp(-values["b"] * total)


FILTERING = Law(
    "filtering",
    "L = E + k · n_1^-b · Π_j (n_j / n_{j-1})^(-b / 2^((j-1)/tau)), with n_j tokens seen by the end of epoch j",
    "Goyal et al. 2024, Scaling Laws for Data Filtering: Data Curation cannot be Compute Agnostic, arXiv:2404.07177",
    (
        coefficient("k", "nats · tokens^b", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        exponent("b", start=(0.02, 1.0)),
        Parameter("tau", "epochs in which a pool's utility halves", 1e-2, 1e5, (0.5, 200.0), "log"),
    ),
    ("tokens", "unique_tokens"),
    _filtering,
)
"""A pool's utility b halves every tau epochs: a better pool that is small loses to a worse one that is large.

Fit it to each quality bucket by itself and compare pools at the budget that counts.
"""

QUALITY = sum_of_powers(
    "quality",
    "L = E + A / N^alpha + B / (Q^gamma D)^beta",
    "the form of Hoffmann et al. 2022 with tokens worth Q^gamma each; this project's own, from no paper",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        IRREDUCIBLE,
        exponent("alpha"),
        exponent("beta"),
        Parameter("gamma_beta", "none (gamma times beta)", -3.0, 3.0, (0.0, 1.0)),
    ),
    ("params", "tokens", "quality"),
    Term("A", {"alpha": "params"}),
    Term("B", {"beta": "tokens", "gamma_beta": "quality"}),
    Term("E"),
)
"""A token of quality Q (0 to 1, any score's scale) is worth Q^gamma tokens; fitted as gamma · beta."""
