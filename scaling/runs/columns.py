"""The columns of a runs table: their names, units and meaning, spelled here alone; and the check that laws rely on.

A runs table is a mapping of column name → float64[runs]; all arrays have one length. Text columns (``recipe``,
``rung``) may stand in the same mapping as arrays of strings: laws never read them, groupings do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Runs: TypeAlias = Mapping[str, NDArray[Any]]

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "params": "parameters, embeddings and head included",
        "params_non_embedding": "parameters without the embedding table (and without a head tied to it)",
        "params_embedding": "parameters of the embedding table",
        "tokens": "tokens that training saw, repeats counted again",
        "unique_tokens": "distinct tokens among them",
        "epochs": "tokens over unique tokens",
        "flops": "floating-point operations of training",
        "steps": "optimiser steps",
        "batch_tokens": "tokens in one optimiser step",
        "loss": "nats per token, on held-out text",
        "train_loss": "nats per token, on training text",
        "unigram_loss": "nats per token, less those of a unigram model with the same vocabulary; below zero",
        "source_loss": "nats per token, on the distribution that is predicted from",
        "task_loss": "nats per byte or per token of a task's right answers",
        "error": "share of a task's answers that are wrong, 0 to 1",
        "accuracy": "share of a task's answers that are right, 0 to 1",
        "vocabulary": "entries of the tokenizer",
        "params_vocabulary": "parameters of the embedding and the head: vocabulary times width",
        "characters": "characters that training saw",
        "share": "share of the domain of interest in the mixture, 0 to 1",
        "quality": "quality of the data relative to the best, 0 to 1",
        "seed": "number of the random seed",
    }
)
"""Unit of each known column. Mixture laws also read columns ``share_NAME``, one for each stratum; they sum to one."""


def take(runs: Runs, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The given rows (indices or a mask) of every column.

    >>> take({"loss": np.array([3.0, 2.0])}, np.array([1]))["loss"]
    array([2.])
    """
    return {name: np.asarray(values)[rows] for name, values in runs.items()}


def length(runs: Runs) -> int:
    """How many runs the table has.

    Raises:
        ValueError: Columns of different lengths, or no columns.
    """
    sizes = {name: np.asarray(values).size for name, values in runs.items()}
    if not sizes:
        raise ValueError("The runs table has no columns.")
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"The columns of the runs table differ in length: {listed}.")
    return next(iter(sizes.values()))


def numbers(runs: Runs, names: Iterable[str], positive: Iterable[str] = ()) -> dict[str, Numbers]:
    """The named columns as float64, checked.

    Args:
        runs: The runs table.
        names: Columns that are wanted.
        positive: Those among them that must be above zero.

    Raises:
        ValueError: A column is missing, is not numeric, or has a value that is not finite or (in ``positive``) not
            above zero. The message names the column and the first such row, counted from 0.
    """
    length(runs)
    found: dict[str, Numbers] = {}
    above_zero = set(positive)
    for name in names:
        if name not in runs:
            have = ", ".join(runs)
            unit = f" ({UNITS[name]})" if name in UNITS else ""
            raise ValueError(f"The law needs the column {name!r}{unit}, but the runs table has only: {have}.")
        try:
            column = np.asarray(runs[name], np.float64).ravel()
        except (TypeError, ValueError) as error:
            raise ValueError(f"The column {name!r} must hold numbers: {error}.") from None
        wrong = ~np.isfinite(column)
        if name in above_zero:
            wrong |= ~(column > 0)
        if wrong.any():
            row = int(np.argmax(wrong))
            needs = "a finite number above zero" if name in above_zero else "a finite number"
            raise ValueError(f"The column {name!r} must hold {needs}, but row {row} has {column[row]}.")
        found[name] = column
    return found
