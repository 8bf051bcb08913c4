"""Random true laws for the benchmark of fits: parameters around plausible ones, and 80 runs at random sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenladder.scaling.laws.law import Law
from tokenladder.scaling.laws.registry import LAWS, MIXTURES

RUNS = 80
SIZES = {"params": (1e7, 1e10), "tokens": (1e8, 1e11)}


@dataclass(frozen=True)
class Kind:
    """A law, parameters in the middle of what is drawn, ranges of its columns, and the parameter whose interval counts.

    Attributes:
        law: The law.
        theta: Parameters are drawn within 25 % of these, those on a log scale by ``jitter``.
        columns: Column → range; runs are spread evenly over its logarithm.
        of_interest: The parameter whose 95 % interval must hold the truth.
        jitter: Half the range of the logarithm of parameters on a log scale; .7 is a factor of two.
    """

    law: Law
    theta: Mapping[str, float]
    columns: Mapping[str, tuple[float, float]]
    of_interest: str
    jitter: float = 0.7

    def draw(self, seed: int, noise: float) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
        """Parameters, and runs whose target has so much relative noise."""
        generator = np.random.default_rng([seed, len(self.law.names)])
        theta = {
            parameter.name: self.theta[parameter.name]
            * float(
                np.exp(generator.uniform(-self.jitter, self.jitter))
                if parameter.scale == "log"
                else generator.uniform(0.8, 1.25)
            )
            for parameter in self.law.parameters
        }
        runs = {
            name: np.exp(generator.uniform(np.log(low), np.log(high), RUNS))
            for name, (low, high) in self.columns.items()
        }
        if "epochs" in runs:
            runs["unique_tokens"] = runs["tokens"] / runs["epochs"]
        shares = [name for name in self.law.columns if name.startswith("share_")]
        if shares:
            runs |= dict(zip(shares, generator.dirichlet(np.ones(len(shares)), RUNS).T, strict=True))
        exact = self.law.predict(theta, runs)
        size = np.abs(exact).mean() if self.law.target in self.law.signed else exact
        runs[self.law.target] = exact + size * noise * generator.standard_normal(RUNS)
        return theta, runs


SURFACE = {"A": 400.0, "B": 900.0, "E": 1.7, "alpha": 0.34, "beta": 0.3}
EPOCHS = {"epochs": (1.0, 60.0)}

KINDS = {
    kind.law.name: kind
    for kind in (
        Kind(LAWS["chinchilla"], SURFACE, SIZES, "alpha"),
        Kind(LAWS["chinchilla-tied"], {"A": 400.0, "B": 900.0, "E": 1.7, "alpha": 0.34}, SIZES, "alpha"),
        Kind(LAWS["kaplan"], {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}, SIZES, "alpha_N"),
        Kind(LAWS["gadre"], {"a": 200.0, "b": 370.0, "E": 1.8, "eta": 0.14}, SIZES, "eta"),
        Kind(LAWS["power-params"], {"A": 400.0, "E": 1.7, "alpha": 0.34}, SIZES, "alpha"),
        Kind(LAWS["power-tokens"], {"B": 900.0, "E": 1.7, "beta": 0.3}, SIZES, "beta"),
        Kind(LAWS["power-compute"], {"K": 900.0, "E": 1.7, "gamma": 0.15}, {"flops": (1e17, 1e22)}, "gamma"),
        Kind(LAWS["data-constrained"], SURFACE | {"R_D": 15.0, "R_N": 5.0}, SIZES | EPOCHS, "R_D"),
        Kind(
            LAWS["repetition-penalty"],
            SURFACE | {"P": 0.05, "delta": 0.7, "kappa": 0.6},
            SIZES | {"epochs": (1.5, 60.0)},
            "delta",
        ),
        Kind(
            LAWS["filtering"], {"k": 50.0, "E": 1.7, "b": 0.2, "tau": 4.0}, {"tokens": SIZES["tokens"]} | EPOCHS, "tau"
        ),
        Kind(LAWS["quality"], SURFACE | {"gamma_beta": 0.2}, SIZES | {"quality": (0.1, 1.0)}, "gamma_beta"),
        Kind(
            LAWS["bimix"],
            {"B": 20.0, "C": 1.5, "alpha": 0.08, "beta": 0.3},
            {"share": (0.05, 1.0), "steps": (1e3, 1e6)},
            "alpha",
        ),
        Kind(
            LAWS["d-cpt"],
            SURFACE | {"C": 0.3, "E": 1.2, "gamma": 0.5, "eta": 0.3, "epsilon": 0.1},
            SIZES | {"share": (0.05, 1.0)},
            "alpha",
        ),
        Kind(
            LAWS["vocabulary"],
            {"A_1": 400.0, "A_2": 100.0, "B": 900.0, "E": 6.0, "alpha_1": 0.34, "alpha_2": 0.45, "beta": 0.3},
            {"params_non_embedding": (1e7, 1e10), "params_vocabulary": (1e5, 1e8), "tokens": (1e8, 1e11)},
            "alpha_1",
        ),
        Kind(
            LAWS["loss-to-loss"], {"K": 0.8, "kappa": 1.2, "E_0": 1.5, "E_1": 1.1}, {"source_loss": (2.5, 6.0)}, "kappa"
        ),
        Kind(LAWS["loss-to-error"], {"epsilon": 0.85, "k": 2.0, "gamma": 0.7}, {"loss": (2.5, 6.0)}, "epsilon", 0.2),
        Kind(LAWS["task-sigmoid"], {"a": -0.7, "k": 4.0, "L_0": 1.0, "b": 0.95}, {"task_loss": (0.3, 3.0)}, "L_0", 0.2),
        Kind(
            MIXTURES["data-mixing"](("web", "code", "books")),
            {"c": 1.5, "t_web": -0.5, "t_code": 0.8, "t_books": -2.0},
            {},
            "t_code",
        ),
    )
}
"""By law. Farseer is not among them: its nine parameters trade, and a profile of one takes minutes."""
