"""Charts of the report: SVG shapes without any text, so that they can be stretched to the width of any screen.

What they mean stands beside them: axes are HTML, and each chart has a table. Colours are classes (`f0` … `f7` to fill,
`s0` … `s7` to draw) that the page's style gives, from the palette of Okabe and Ito, which colour-blind people can tell
apart; lines differ by their dashes, too.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = 8
"""Colours, after which they come again."""

WIDTH, HEIGHT = 1000, 200


def _svg(inside: str, label: str, height: int = HEIGHT, kind: str = "plot") -> Markup:
    hidden = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" focusable="false" {}>{}</svg>'
    ).format(kind, WIDTH, height, hidden, Markup(inside))  # noqa: S704 shapes made of numbers alone


def stack(shares: Sequence[float], label: str = "", first: int = 0) -> Markup:
    """One bar, cut into shares of the whole.

    Args:
        shares: Each from 0 to 1; together at most 1.
        label: What a screen reader says; nothing where a table beside it holds the numbers.
        first: Colour of the first share.

    >>> "width" in stack([0.5])
    True
    """
    pieces, at = [], 0.0
    for n, share in enumerate(shares):
        colour = (first + n) % COLOURS
        width = WIDTH * share
        pieces.append(f'<rect class="f{colour}" x="{_n(at)}" width="{_n(width)}" height="10"/>')
        at += width
    return _svg("".join(pieces), label, 10, "bar")


def histogram(bars: Sequence[float], lines: Sequence[Sequence[float]], marks: Sequence[float], label: str) -> Markup:
    """Bars, with the outlines of other histograms over them, and vertical lines.

    Args:
        bars: Heights, of any unit.
        lines: Heights of as many bars each, in the same unit.
        marks: Places of vertical lines, from 0 to 1.
        label: What a screen reader says.
    """
    top = max([*bars, *(height for line in lines for height in line)], default=0) or 1
    wide = WIDTH / len(bars)
    shapes = [_bars(bars, top, wide, "f7")]
    for n, line in enumerate(lines):
        points = []
        for at, height in enumerate(line):
            y = _n(HEIGHT - height / top * HEIGHT)
            points.append(f"{_n(at * wide)},{y} {_n((at + 1) * wide)},{y}")
        shapes.append(f'<polyline class="s{n % COLOURS} line" points="{" ".join(points)}"/>')
    return _svg("".join(shapes) + _lines(marks), label)


def two_bars(behind: Sequence[float], front: Sequence[float], marks: Sequence[float], label: str) -> Markup:
    """Bars, in front of each its part that matters, and vertical lines at places from 0 to 1."""
    top = max([*behind, *front], default=0) or 1
    wide = WIDTH / len(behind)
    return _svg(_bars(behind, top, wide, "f7") + _bars(front, top, wide, "f0") + _lines(marks), label)


def _lines(places: Sequence[float]) -> str:
    return "".join(
        f'<line class="mark" x1="{_n(x * WIDTH)}" x2="{_n(x * WIDTH)}" y1="0" y2="{HEIGHT}"/>' for x in places
    )


def _bars(heights: Sequence[float], top: float, wide: float, kind: str) -> str:
    return "".join(
        f'<rect class="{kind}" x="{_n(at * wide)}" y="{_n(HEIGHT - height / top * HEIGHT)}" width="{_n(wide * 0.96)}" '
        f'height="{_n(height / top * HEIGHT)}"/>'
        for at, height in enumerate(heights)
        if height
    )


def areas(places: Sequence[float], shares: Sequence[Sequence[float]], label: str) -> Markup:
    """Shares that make a whole, along a line.

    Args:
        places: From 0 to 1, in order.
        shares: At each place, those of all layers; they sum to 1.
        label: What a screen reader says.
    """
    shapes, below = [], [0.0] * len(places)
    for layer in range(len(shares[0])):
        above = [low + row[layer] for low, row in zip(below, shares, strict=True)]
        there = [f"{_n(x * WIDTH)},{_n(HEIGHT - HEIGHT * y)}" for x, y in zip(places, above, strict=True)]
        back = [f"{_n(x * WIDTH)},{_n(HEIGHT - HEIGHT * y)}" for x, y in zip(places, below, strict=True)]
        shapes.append(f'<polygon class="f{layer % COLOURS}" points="{" ".join([*there, *reversed(back)])}"/>')
        below = above
    return _svg("".join(shapes), label)


def band(places: Sequence[float], rows: Sequence[Sequence[float]], label: str) -> Markup:
    """Quantiles along a line: two bands and a line.

    Args:
        places: From 0 to 1, in order.
        rows: At each place five numbers, the least first.
        label: What a screen reader says.
    """
    low, high = min(row[0] for row in rows), max(row[4] for row in rows)
    scale = HEIGHT / ((high - low) or 1)

    def points(column: int) -> list[str]:
        return [
            f"{_n(x * WIDTH)},{_n(HEIGHT - (row[column] - low) * scale)}" for x, row in zip(places, rows, strict=True)
        ]

    shapes = [
        f'<polygon class="f{colour}" points="{" ".join([*points(one), *reversed(points(other))])}"/>'
        for colour, one, other in ((7, 0, 4), (1, 1, 3))
    ]
    shapes.append(f'<polyline class="s0 line" points="{" ".join(points(2))}"/>')
    return _svg("".join(shapes), label)


def place_of(value: float, edges: Sequence[float]) -> float | None:
    """Where a value stands among bars of equal width, from 0 to 1; None beyond them.

    >>> place_of(3.0, [0.0, 2.0, 4.0, 8.0])
    0.5
    """
    for n, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= value <= high:
            return (n + (value - low) / ((high - low) or 1)) / (len(edges) - 1)
    return None


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
