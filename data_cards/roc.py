"""The ROC curve of a classifier as a small SVG picture, written plainly: the same bytes on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 320
"""Units of the square in which the curve stands."""

_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 32, 16, 48
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def render_roc(points: Sequence[Sequence[float]], area: float | None) -> str:
    """A picture of the curve.

    Args:
        points: Shares of the negatives and of the positives that are taken, from (0, 0) to (1, 1).
        area: Under the curve; None where it is not known.
    """
    curve = " ".join(f"{_x(wrong):.1f},{_y(right):.1f}" for wrong, right in points)
    width, height = _LEFT + SIDE + _RIGHT, _TOP + SIDE + _BOTTOM
    title = "ROC curve" if area is None else f"ROC curve, area {area:.3f}"
    look = 'font-family="sans-serif" font-size="12" fill="#222"'
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>',
        f"<title>{title}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT + SIDE / 2:g}" y="20" text-anchor="middle" font-size="14">{title}</text>',
    ]
    for tick in _TICKS:
        x, y = f"{_x(tick):g}", f"{_y(tick):g}"
        lines += [
            f'<path d="M{x} {_TOP}V{_TOP + SIDE}M{_LEFT} {y}H{_LEFT + SIDE}" stroke="#ddd"/>',
            f'<text x="{x}" y="{_TOP + SIDE + 16}" text-anchor="middle">{tick:g}</text>',
            f'<text x="{_LEFT - 6}" y="{_y(tick) + 4:g}" text-anchor="end">{tick:g}</text>',
        ]
    middle = _TOP + SIDE / 2
    turned = f'x="14" y="{middle:g}" text-anchor="middle" transform="rotate(-90 14 {middle:g})"'
    lines += [
        f'<path d="M{_x(0):g} {_y(0):g}L{_x(1):g} {_y(1):g}" stroke="#888" stroke-dasharray="4 4"/>',
        f'<polyline points="{curve}" fill="none" stroke="#0b62a4" stroke-width="2"/>',
        f'<text x="{_LEFT + SIDE / 2:g}" y="{height - 10}" text-anchor="middle">share of negatives taken</text>',
        f"<text {turned}>share of positives taken</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _x(share: float) -> float:
    return _LEFT + SIDE * share


def _y(share: float) -> float:
    return _TOP + SIDE * (1 - share)
