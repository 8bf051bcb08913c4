"""Published runs for tests, as runs tables; see data/SOURCE.md."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
C4_CONSTANTS = {
    "A": float(np.exp(6.255414)),
    "B": float(np.exp(7.3049974)),
    "E": float(np.exp(0.6254804)),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}
"""What Muennighoff et al. 2023 hold fixed while fitting R_D and R_N."""


@cache
def table(name):
    with (DATA / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        try:
            columns[key] = np.array(values, np.float64)
        except ValueError:
            columns[key] = np.array(values)
    return columns


@cache
def chinchilla():
    """240 of the 245 runs, without the five highest losses, as Besiroglu et al. 2024 fit them; tokens from 6 N D."""
    runs = dict(table("chinchilla.csv"))
    runs["tokens"] = runs["flops"] / (6 * runs["params"])
    kept = np.sort(np.argsort(runs["loss"], kind="stable")[:240])
    return {key: values[kept] for key, values in runs.items()}


@cache
def over_training(runs):
    """RedPajama runs of Gadre et al. 2024, nominal tokens: "five" to fit losses, "six" to fit errors, or "large"."""
    every = dict(table("over_training.csv"))
    every["tokens"] = every["params"] * 20 * every["multiple"]
    model, multiple = every["model"], every["multiple"]
    five = (np.char.startswith(model, "d=") & (multiple == 1)) | ((model == "d=96_l=8_h=4") & (multiple == 16))
    large = ((model == "open_lm_1b") & (multiple == 32)) | ((model == "open_lm_7b") & (multiple == 1))
    chosen = {"five": five, "six": five | ((model == "open_lm_1b") & (multiple == 1)), "large": large}[runs]
    return {name: values[chosen & (every["recipe"] == "rpj")] for name, values in every.items()}
