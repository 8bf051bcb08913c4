"""Bins for charts: the fine bins of a survey put together into bars and segments, none of them split."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .survey import bin_of, lower_edge

if TYPE_CHECKING:
    from collections.abc import Callable

BARS = 48
"""Bars of a logarithmic chart, at most; a linear one has up to 64."""

SEGMENTS = 240
"""Places at which a threshold can be tried, at most, besides its own."""

SPREAD = 8
"""Values are shown by their logarithm where the 99th percentile is more than so many times the median."""

DIGITS = 6
"""Significant digits of edges."""


def value_of(descending: int) -> float:
    """The number that `view.descending` made this of.

    >>> from tokenladder.pipelines.stages.view import descending
    >>> [value_of(int(code)) for code in descending(np.array([0.25, -3.0, 0.0]))]
    [0.25, -3.0, 0.0]
    """
    bits = descending if descending >> 63 else ~descending & ((1 << 63) - 1)
    return float(np.array([bits], np.uint64).view(np.float64)[0])


def chart(groups: dict[str, dict[int, int]]) -> dict[str, Any] | None:
    """Histograms of some groups over the same bars.

    Args:
        groups: For each group, counts by the number of the bin (`survey.bin_of`).

    Returns:
        `edges` (one more than there are bars), `log` (whether a bar's ends have a ratio rather than a distance) and
        `counts` by group; None where there is no value.

    >>> chart({"web": {0: 3, 32736: 2}})["edges"][-2:]
    [1.0, 1.03125]
    """
    total: dict[int, int] = {}
    for counts in groups.values():
        for number, count in counts.items():
            total[number] = total.get(number, 0) + count
    if not total:
        return None
    log = _is_spread(total)
    bar, edge = _logarithmic(total) if log else _linear(total)
    placed = {number: bar(number) for number in total if number or not log}
    first, last = min(placed.values()), max(placed.values())
    zero = int(log and 0 in total)  # no logarithm: a bar of its own
    edges = [0.0] * zero + [edge(key) for key in range(first, last + 2)]
    out = {group: [0] * (len(edges) - 1) for group in groups}
    for group, counts in groups.items():
        for number, count in counts.items():
            out[group][placed[number] - first + zero if number in placed else 0] += count
    return {"edges": [_short(one) for one in edges], "log": log, "counts": out}


def _is_spread(total: dict[int, int]) -> bool:
    numbers = sorted(number for number in total if number > 0)
    if min(total) < 0 or not numbers or lower_edge(numbers[-1]) <= 1:
        return False
    ends = np.cumsum([total[number] for number in numbers])
    middle, high = (numbers[int(np.searchsorted(ends, share * ends[-1]))] for share in (0.5, 0.99))
    return lower_edge(high) > SPREAD * lower_edge(middle)


def _linear(total: dict[int, int]) -> tuple[Callable[[int], int], Callable[[int], float]]:
    """Bars of one width, a power of two that every fine bin of these numbers fits into."""
    lowest, highest = lower_edge(min(total)), lower_edge(max(total) + 1)
    largest = max(-lowest, highest)
    width = 2.0 ** math.ceil(math.log2(largest)) / (32 if lowest < 0 else 64)
    return lambda number: math.floor(lower_edge(number) / width), lambda key: key * width


def _logarithmic(total: dict[int, int]) -> tuple[Callable[[int], int], Callable[[int], float]]:
    """Bars of an equal part of an octave, or of some octaves."""
    shift, least, most = 0, min(number for number in total if number), max(total)
    while (most >> shift) - (least >> shift) >= BARS:
        shift += 1
    return lambda number: number >> shift, lambda key: lower_edge(key << shift)


def segments(sums: dict[tuple[int, int], list[int]], least: float | None, most: float | None) -> dict[str, Any] | None:
    """The values that a rule sees, cut into segments, with a cut at each of its bounds.

    Args:
        sums: Counts by the number of the bin and whether its values pass.
        least: The rule's lower bound, inclusive.
        most: Its upper bound, inclusive.

    Returns:
        `low` (where each segment begins), `high` (where the last ends), `counts` (of each segment), `min_at` and
        `max_at` (the first segment that passes, and the first after it that does not); None without values.

    >>> segments({(0, 0): [2], (32736, 0): [1], (32736, 1): [5]}, 1.01, None)["counts"]
    [[2], [1], [5]]
    """
    if not sums:
        return None
    shift = 0
    while len({number >> shift for number, _ in sums}) > SEGMENTS:
        shift += 1
    rows: dict[tuple[int, int], list[int]] = {}
    for (number, passes), counts in sums.items():
        key = number >> shift, _side(number, passes, least, most)
        rows[key] = [a + b for a, b in zip(rows.get(key, [0] * len(counts)), counts, strict=True)]
    places = sorted(rows)
    low = [_short(_begin(key << shift, side, least, most)) for key, side in places]
    sides = [side for _, side in places]
    return {
        "low": low,
        "high": _short(lower_edge((places[-1][0] + 1) << shift)),
        "counts": [rows[place] for place in places],
        "min_at": sides.count(-1),
        "max_at": len(sides) - sides.count(1),
    }


def _side(number: int, passes: int, least: float | None, most: float | None) -> int:
    """-1 below what passes, 0 for what passes, 1 above."""
    if passes or (least is None and most is None):
        return 0
    if least is not None and (most is None or number <= int(bin_of(np.array([least]))[0])):
        return -1
    return 1


def _begin(number: int, side: int, least: float | None, most: float | None) -> float:
    edge = lower_edge(number)
    if side == 0 and least is not None:
        return max(edge, least)
    return max(edge, most) if side == 1 and most is not None else edge


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
