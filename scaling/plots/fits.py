"""All pictures of `tokenladder fit`: those that the runs and the law have something to show in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..fits.report import Analysis
from ..runs.table import RunsTable
from .laws import cloud, frontiers
from .losses import isoflop, loss_over_tokens, repetition, residuals
from .style import save


def draw(
    table: RunsTable, analyses: Sequence[Analysis], out: Path, formats: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Write every picture that the runs and the law have something to show in.

    Args:
        table: The runs.
        analyses: Of one law.
        out: Folder of the pictures.
        formats: Of the files: `svg`, `pdf`, `png`.

    Returns:
        Names of the files, and why each picture that is not there is not.
    """
    law = analyses[0].fit.law
    runs = {one.recipe: one.runs for one in analyses}
    bands = {one.recipe: one.samples for one in analyses if one.samples is not None}
    wanted: list[tuple[str, Any]] = []
    if "tokens" in law.columns and law.target == "loss":
        fits = {one.recipe: one.fit for one in analyses}
        wanted.append((f"loss-{law.name}", lambda: loss_over_tokens(runs, fits, bands)))
    for one in analyses:
        name = f"{law.name}-{_safe(one.recipe)}" if one.recipe else law.name
        wanted.append((f"residuals-{name}", lambda one=one: residuals(one.fit, one.runs)))
        if one.samples is not None:
            wanted.append((f"cloud-{name}", lambda one=one: cloud(one.samples)))
        if set(law.columns) == {"params", "tokens"} and law.target == "loss":
            wanted.append((f"frontier-{name}", lambda one=one: frontiers(one.fit, one.runs, one.samples)))
            wanted.append((f"isoflop-{name}", lambda one=one: isoflop(one.runs, one.fit)))
        if "unique_tokens" in table.columns:
            wanted.append((f"repetition-{name}", lambda one=one: repetition(one.runs, one.fit)))
    written, left_out = [], []
    for name, make in wanted:
        try:
            figure = make()
        except ValueError as error:
            left_out.append(f"{name}: {error}")
        else:
            written += [path.name for path in save(figure, out, name, formats)]
    return written, left_out


def _safe(name: str) -> str:
    """A recipe's name in a file's name."""
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name).lstrip(".") or "recipe"
