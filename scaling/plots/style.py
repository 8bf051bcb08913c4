"""What all pictures share: colours, sizes, and how they are saved.

Colours are those of Okabe & Ito (Color Universal Design), which people with any common colour blindness tell apart, and
every series has a marker or line of its own as well. Ordered values take cividis. Text stays text in SVG and PDF.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.columns import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""In the order of use; Okabe & Ito's yellow is left out, as it vanishes on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
FORMATS = ("svg", "pdf", "png")
WIDTH, HEIGHT = 6.4, 4.2
"""Inches of one panel."""

_STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 100,
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "tokenladder",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Our settings, for the time of a block; matplotlib's own come back after it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Pictures need matplotlib: pip install 'tokenladder[plots]'") from error
    with mpl.rc_context(_STYLE):
        yield


def panels(count: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; call it inside of :func:`style`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH if count == 1 else 0.8 * WIDTH * count, HEIGHT), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure as files; the same bytes for the same figure and versions.

    Args:
        figure: The figure.
        folder: Made if it is not there.
        name: Of the files, without ending.
        formats: `svg`, `pdf`, `png`.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    paths = []
    with style():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once: a third of the time went into doing it for each format
        for ending in formats:
            path = folder / f"{name}.{ending}"
            figure.savefig(path, metadata=undated[ending])
            paths.append(path)
    return paths


def ordered_colours(values: Sequence[float] | Numbers) -> tuple[list[Any], Any]:
    """A colour for each value on a log scale of cividis, and what a colour bar needs; the palest tenth is left out."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    shades = LinearSegmentedColormap.from_list("ordered", mpl.colormaps["cividis"](np.linspace(0, 0.9, 256)))
    low, high = float(np.min(values)), float(np.max(values))
    scale = ScalarMappable(LogNorm(low, high if high > low else low * 1.01), shades)
    return list(scale.to_rgba(np.asarray(values, np.float64))), scale


def short(value: float, figures: int = 3) -> str:
    """A count for axes, legends and tables.

    >>> short(1.5e9), short(70e6), short(123456), short(2e13)
    ('1.5B', '70M', '123K', '20T')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size:
            return f"{float(f'{value / size:.{figures}g}'):g}{unit}"
    return f"{float(f'{value:.{figures}g}'):g}"


def words(name: str) -> str:
    """A name from the user's data for a picture: no formula in it is set, none is hidden for its first sign.

    >>> words("_cheap"), words("clean"), len(words("$"))
    (' _cheap', 'clean', 2)
    """
    shown = "".join(sign if sign.isprintable() else "?" for sign in name).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def label_counts(axis: Any) -> None:
    """Ticks of a log axis as 10M, 1B, 3B."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    subs = (1.0,) if np.log10(high / low) > 2.5 else (1.0, 3.0) if np.log10(high / low) > 1 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(base=10, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())
