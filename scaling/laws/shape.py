"""Laws with more shape: Farseer, whose data exponent moves with size, and the law of the vocabulary (Tao 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .law import Law, Parameter, Values
from .powers import coefficient, exponent


def _farseer(values: Values, columns: Values) -> Any:
    size = np.log(columns["params"])
    floor = np.exp(values["a_3"] * np.exp(values["gamma"] * size) + values["b_3"])
    height = values["a_2"] * np.exp(values["beta"] * size) + values["b_2"]
    slope = np.exp(values["a_1"] * np.exp(values["alpha"] * size) + values["b_1"])
    return floor + np.exp(height - slope * np.log(columns["tokens"]))


FARSEER = Law(
    "farseer",
    "L = exp(a_3 N^gamma + b_3) + exp(a_2 N^beta + b_2) · D^(−exp(a_1 N^alpha + b_1))",
    "Li et al. 2025, Predictable Scale: Part II, Farseer: A Refined Scaling Law, arXiv:2506.10972",
    (
        Parameter("a_1", "none", -1e3, 1e3, (-1.0, 1.0)),
        Parameter("b_1", "none", -1e3, 1e3, (-3.0, 0.0)),
        Parameter("alpha", "none (a power)", -1.0, 1.0, (-0.3, 0.3)),
        Parameter("a_2", "none", -1e3, 1e3, (-3.0, 3.0)),
        Parameter("b_2", "none (log of nats · tokens^slope)", -1e3, 1e3, (0.0, 12.0)),
        Parameter("beta", "none (a power)", -1.0, 1.0, (-0.3, 0.3)),
        Parameter("a_3", "none", -1e3, 1e3, (-3.0, 3.0)),
        Parameter("b_3", "none (log of nats)", -1e3, 1e3, (-2.0, 2.0)),
        Parameter("gamma", "none (a power)", -1.0, 1.0, (-0.4, 0.2)),
    ),
    ("params", "tokens"),
    _farseer,
)
"""Both terms of the loss over data, and the floor, are stretched exponentials of size N (without embeddings there).

Nine parameters: it needs a dense grid of runs. Chinchilla's law is the case where slope and height are constant.
"""


def _vocabulary(values: Values, columns: Values) -> Any:
    size = values["A_1"] * np.exp(-values["alpha_1"] * np.log(columns["params_non_embedding"]))
    vocabulary = values["A_2"] * np.exp(-values["alpha_2"] * np.log(columns["params_vocabulary"]))
    return size + vocabulary + values["B"] * np.exp(-values["beta"] * np.log(columns["tokens"])) - values["E"]


VOCABULARY = Law(
    "vocabulary",
    "L_u = −E + A_1 / N_nv^alpha_1 + A_2 / N_v^alpha_2 + B / D^beta",
    "Tao et al. 2024, Scaling Laws with Vocabulary: Larger Models Deserve Larger Vocabularies, arXiv:2407.13623",
    (
        coefficient("A_1", "nats · parameters^alpha_1", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("A_2", "nats · parameters^alpha_2", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        coefficient("E", "nats", 1e-3, 1e2, (0.5, 12.0)),
        exponent("alpha_1"),
        exponent("alpha_2"),
        exponent("beta"),
    ),
    ("params_non_embedding", "params_vocabulary", "tokens"),
    _vocabulary,
    target="unigram_loss",
    signed=("unigram_loss",),
)
"""The loss less that of a unigram model with the same vocabulary, so that vocabularies of any size compare; below zero.

N_v = vocabulary · width are the parameters of embedding and head, N_nv the others. The authors tie alpha_1 to beta.
"""
