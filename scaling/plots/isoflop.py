"""IsoFLOP valleys for pictures: runs of different sizes that cost about the same, and a parabola through the bottom.

Numbers to publish come from :mod:`..reconcile.frontier`, which needs equal FLOPs; here sums within 10 % count as one,
so that runs which were read off a figure can be shown too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..runs.columns import Numbers, Runs

SAME_SUM = 0.04
"""Runs whose FLOPs differ by less, in powers of ten, stand in one valley (some 10 %)."""

NEAR = 5.0
"""Sizes within this factor of the lowest measured one shape the parabola; further out, valleys are steeper than one."""


@dataclass(frozen=True)
class Valley:
    """Runs that cost the same.

    Attributes:
        flops: What each costs, in the geometric mean.
        rows: int64[runs], where they stand in the table.
        parabola: Loss as a polynomial of the logarithm of size, highest power first, of the runs near the bottom.
        near: The least and the largest size that shaped it.
        lowest: The size at the bottom; None where the parabola has none between those two.
    """

    flops: float
    rows: Numbers
    parabola: tuple[float, float, float]
    near: tuple[float, float]
    lowest: float | None


def find_valleys(runs: Runs) -> list[Valley]:
    """Sums of FLOPs that three sizes or more share, ascending.

    Args:
        runs: A table with `params`, `flops` and `loss`.

    >>> params = np.array([1e8, 2e8, 4e8, 8e8])
    >>> runs = {"params": params, "flops": np.full(4, 1e19), "loss": 3 + 0.1 * np.log(params / 3e8) ** 2}
    >>> [f"{valley.lowest:.3g}" for valley in find_valleys(runs)]
    ['3e+08']
    """
    logs = np.log10(np.asarray(runs["flops"], np.float64))
    params, loss = (np.asarray(runs[name], np.float64) for name in ("params", "loss"))
    order = np.argsort(logs, kind="stable")
    cuts = np.flatnonzero(np.diff(logs[order]) > SAME_SUM) + 1
    found = []
    for rows in np.split(order, cuts):
        bottom = params[rows][np.argmin(loss[rows])]
        near = rows[np.abs(np.log(params[rows] / bottom)) <= np.log(NEAR) + 1e-9]
        # A sum that creeps up run by run is no valley, however many sizes it has.
        if np.unique(params[near]).size < 3 or np.ptp(logs[rows]) > 3 * SAME_SUM:
            continue
        bend, slope, level = (float(one) for one in np.polyfit(np.log(params[near]), loss[near], 2))
        ends = float(params[near].min()), float(params[near].max())
        lowest = float(np.exp(-slope / (2 * bend))) if bend > 0 else None
        inside = lowest is not None and ends[0] < lowest < ends[1]
        flops = float(10 ** logs[rows].mean())
        found.append(Valley(flops, np.sort(rows), (bend, slope, level), ends, lowest if inside else None))
    return found
