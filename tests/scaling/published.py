"""Published runs for tests, as runs tables; see data/SOURCE.md."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"


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
