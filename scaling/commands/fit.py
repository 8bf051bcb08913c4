"""The command `fit`. What is heavy is imported when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..fits.report import Analysis, Decisions
    from ..runs.table import RunsTable

OBJECTIVES = ("huber", "absolute", "squares")


@click.command(short_help="Fit scaling laws to runs, and say how sure they are.")
@click.argument("runs")
@click.option(
    "--law", "laws", multiple=True, default=("chinchilla",), show_default=True, help="A law; several compare."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write fit.json and pictures here.")
@click.option("--json", "as_json", is_flag=True, help="Print what fit.json holds.")
@click.option(
    "--column", "columns", multiple=True, callback=options.names, metavar="OURS=THEIRS", help="Which column is what."
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    default=("svg", "pdf", "png"),
    show_default=True,
    type=click.Choice(["svg", "pdf", "png"]),
    help="Of the pictures.",
)
@click.option("--loss-unit", type=click.Choice(["nats", "bits"]), help="Of the losses, per token.")
@click.option("--recipe", "recipes", multiple=True, help="Only these recipes.")
@click.option("--pooled", is_flag=True, help="One fit for all recipes together.")
@click.option("--drop-highest", default=0, show_default=True, help="Leave out so many runs of the highest loss.")
@click.option(
    "--objective", default="huber", show_default=True, type=click.Choice(OBJECTIVES), help="What is made small."
)
@click.option("--delta", default=1e-3, show_default=True, help="Where Huber's squares end, in log loss.")
@click.option("--fix", multiple=True, callback=options.names, metavar="NAME=VALUE", help="Hold a parameter.")
@click.option("--bootstraps", default=1000, show_default=True, help="Resampled fits for the intervals; 0 for none.")
@click.option("--profiles", is_flag=True, help="Intervals by profile likelihood, too.")
@click.option("--group", help="Draw runs that share this column together: seed, params …")
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
def fit(  # noqa: PLR0917 one for each option
    runs: str,
    laws: tuple[str, ...],
    out: Path | None,
    formats: tuple[str, ...],
    columns: dict[str, str],
    loss_unit: str | None,
    recipes: tuple[str, ...],
    pooled: bool,  # noqa: FBT001 click gives it by name
    drop_highest: int,
    objective: str,
    delta: float,
    fix: dict[str, str],
    bootstraps: int,
    profiles: bool,  # noqa: FBT001 the same
    group: str | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Fit scaling laws to a table of RUNS, and say how sure they are.

    RUNS is CSV, Parquet or JSON: of the reference trainer (or its folder), or an export of W&B or MLflow. With several
    recipes each gets its fit, and they are compared: beyond seed noise, by how small a run, and where they cross.

    Example: tokenladder fit runs.csv --law chinchilla --law gadre --out laws
    """
    from ...pipelines.files.store import UserError
    from ..fits.objectives import Huber, LeastAbsolute, LeastSquares, Objective
    from ..fits.report import analyse, as_value, decide
    from ..runs.table import as_number, read_runs, without

    table = without(read_runs(runs, columns, loss_unit), recipes, drop_highest)
    try:
        made: Objective = LeastAbsolute() if objective == "absolute" else LeastSquares()
        if objective == "huber":
            made = Huber(delta)
        fixed = {name: as_number(value) for name, value in fix.items()}
        found = [
            analyse(
                table,
                law,
                objective=made,
                fixed=fixed,
                samples=bootstraps,
                groups=group,
                seed=seed,
                pooled=pooled,
                profiled=profiles,
            )
            for law in dict.fromkeys(laws)
        ]  # fmt: skip
        decisions = decide(table, [] if pooled else found[0])
    except ValueError as error:
        raise UserError(f"{runs}: cannot be fitted: {error}") from error
    every = [one for analyses in found for one in analyses]
    for note in table.notes:
        click.echo(f"note: {note}", err=as_json)
    if as_json:
        click.echo(json.dumps(as_value(table, every, decisions), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show_fits(every, decisions, several=len(found) > 1)
    if out is not None:
        _write_fit(out, table, found, decisions, formats)


def _show_fits(found: Sequence[Analysis], decisions: Decisions | None, *, several: bool) -> None:
    from ..fits.report import mixtures
    from .tables import show_analysis, show_comparison, show_decisions

    for one in found:
        show_analysis(one)
    if several:
        show_comparison(found)
    if decisions is not None:
        show_decisions(decisions)
    for best in mixtures(found):
        shares = ", ".join(f"{stratum} {share:g}" for stratum, share in best["shares"].items())
        of = f" of {best['recipe']}" if best["recipe"] else ""
        click.echo(f"best mixture by {best['law']}: {shares}; predicted loss{of} {best['loss']:.4f}")


def _write_fit(
    out: Path,
    table: RunsTable,
    found: Sequence[Sequence[Analysis]],
    decisions: Decisions | None,
    formats: Sequence[str],
) -> None:
    """The numbers first: they stay where pictures cannot be drawn."""
    from ...pipelines.files import store
    from ..fits.report import as_value
    from ..plots.fits import draw

    value = as_value(table, [one for analyses in found for one in analyses], decisions)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    store.write_bytes(str((out / "fit.json").absolute()), (text + "\n").encode())
    try:
        drawn = [draw(table, analyses, out, formats) for analyses in found]
    except ModuleNotFoundError as error:
        raise store.UserError(f"wrote {out / 'fit.json'}, but no pictures. {error}") from error
    missing: dict[str, list[str]] = {}
    for name, _, reason in (text.partition(": ") for _, left_out in drawn for text in left_out):
        missing.setdefault(reason, []).append(name)
    for reason, names in missing.items():
        click.echo(f"no picture {', '.join(names)}: {reason}", err=True)
    click.echo(f"wrote {out}: fit.json and {sum(len(written) for written, _ in drawn)} pictures", err=True)
