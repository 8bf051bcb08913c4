"""Laws of the mixture: data mixing laws (Ye 2024), BiMix (Ge 2024), D-CPT (Que 2024), and plain regression on shares.

A mixture over named strata is read from the columns ``share_NAME``, which sum to one in every run. The laws that take
all shares are made for a study's strata by a function; the others look at the share of one stratum of interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .law import Law, Parameter, Values
from .powers import coefficient, exponent
from .surface import IRREDUCIBLE


def _columns(strata: Sequence[str], least: int) -> tuple[str, ...]:
    if len(set(strata)) < max(least, len(strata)):
        raise ValueError(f"A mixture law needs {least} or more strata with different names, not {', '.join(strata)}.")
    return tuple(f"share_{stratum}" for stratum in strata)


def data_mixing(strata: Sequence[str]) -> Law:
    """``L = c + exp(Σ t_j r_j)``: the loss on one domain, over the shares r of all strata.

    The published form is ``c + k exp(Σ t_j r_j)``; shares sum to one, so k is ``exp`` of a constant added to every t_j
    and cannot be told from it. Here k is 1. A lower t_NAME means that this stratum helps the domain more.

    Source: Ye et al. 2024, Data Mixing Laws: Optimizing Data Mixtures by Predicting Language Modeling Performance,
    arXiv:2403.16952.

    Args:
        strata: Names of the strata; their shares are columns ``share_NAME``.

    Raises:
        ValueError: Fewer than two strata, or one named twice.

    >>> data_mixing(["web", "code"]).names
    ('c', 't_web', 't_code')
    """
    columns = _columns(strata, 2)
    keys = [f"t_{stratum}" for stratum in strata]

    def formula(values: Values, data: Values) -> Any:
        return values["c"] + np.exp(sum(values[key] * data[name] for key, name in zip(keys, columns, strict=True)))

    return Law(
        "data-mixing",
        "L = c + exp(Σ t_j r_j)",
        "Ye et al. 2024, Data Mixing Laws, arXiv:2403.16952",
        (
            Parameter("c", "nats", 0.0, 1e2, (0.0, 4.0), linear=True),
            *(Parameter(key, "none (log of nats)", -30.0, 30.0, (-4.0, 2.0)) for key in keys),
        ),
        columns,
        formula,
        signed=columns,
    )


def mixture_regression(strata: Sequence[str]) -> Law:
    """``L = Σ t_j r_j``: linear regression of the loss on the shares.

    The simplest of the regressors that RegMix (Liu et al. 2024, arXiv:2407.01492) fits to many small runs to rank
    mixtures. Shares sum to one, so there is no separate constant; t_NAME is the loss of that stratum alone.

    Args:
        strata: Names of the strata; their shares are columns ``share_NAME``.

    Raises:
        ValueError: Fewer than two strata, or one named twice.
    """
    columns = _columns(strata, 2)
    keys = [f"t_{stratum}" for stratum in strata]

    def formula(values: Values, data: Values) -> Any:
        return sum(values[key] * data[name] for key, name in zip(keys, columns, strict=True))

    parameters = tuple(Parameter(key, "nats", -1e3, 1e3, (0.0, 10.0), linear=True) for key in keys)
    source = "linear regression, as in Liu et al. 2024, RegMix, arXiv:2407.01492"
    return Law("mixture-regression", "L = Σ t_j r_j", source, parameters, columns, formula, signed=columns)


def _bimix(values: Values, columns: Values) -> Any:
    data = values["B"] * np.exp(-values["beta"] * np.log(columns["steps"])) + values["C"]
    return data * np.exp(-values["alpha"] * np.log(columns["share"]))


BIMIX = Law(
    "bimix",
    "L = (B / s^beta + C) / r^alpha",
    "Ge et al. 2024, BiMix: A Bivariate Data Mixing Law for Language Model Pretraining, arXiv:2405.14908",
    (
        coefficient("B", "nats · steps^beta", 1e-6, 1e12, (0.1, 1e4)),
        coefficient("C", "nats", 1e-6, 1e3, (0.3, 6.0)),
        exponent("alpha", start=(0.0, 0.5)),
        exponent("beta", start=(0.05, 1.2)),
    ),
    ("share", "steps"),
    _bimix,
)
"""A domain's loss over its share r and the steps s. The published factor A multiplies B and C, so it is 1 here."""


def _d_cpt(values: Values, columns: Values) -> Any:
    share = columns["share"]
    size = values["A"] * np.exp(-values["alpha"] * np.log(columns["params"]))
    data = values["B"] * np.exp(values["eta"] * np.log(share) - values["beta"] * np.log(columns["tokens"]))
    mixed = values["C"] * np.exp(-values["gamma"] * np.log(share + values["epsilon"]))
    return values["E"] + size + data + mixed


D_CPT = Law(
    "d-cpt",
    "L = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma",
    "Que et al. 2024, D-CPT Law: Domain-specific Continual Pre-Training Scaling Law, arXiv:2406.01375",
    (
        coefficient("A", "nats · parameters^alpha", 1e-6, 1e15, (1.0, 1e6)),
        coefficient("B", "nats · tokens^beta", 1e-6, 1e15, (1.0, 1e7)),
        coefficient("C", "nats", 1e-6, 1e4, (1e-3, 3.0)),
        IRREDUCIBLE,
        exponent("alpha"),
        exponent("beta"),
        exponent("gamma", start=(0.05, 1.5)),
        exponent("eta", start=(0.05, 1.5)),
        Parameter("epsilon", "share", 1e-4, 1.0, (1e-3, 0.3), "log"),
    ),
    ("params", "tokens", "share"),
    _d_cpt,
)
"""Continual pre-training on a mixture in which the domain has the share r."""
