"""The command `reconcile`. What is heavy is imported when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from ..reconcile.reconcile import Waterfall


@click.command(short_help="Say why two studies of the best size disagree.")
@click.argument("studies", nargs=-1, required=True, metavar="RUNS | FIRST SECOND")
@click.option(
    "--from", "start", multiple=True, callback=options.names, metavar="NAME=VALUE", help="A choice of the first study."
)
@click.option(
    "--cause",
    "causes",
    multiple=True,
    callback=options.causes,
    metavar="'CAUSE: NAME=VALUE, …'",
    help="What the second does otherwise; in order.",
)
@click.option("--names", nargs=2, help="Of the two studies.")
@click.option("--claimed", type=float, help="The exponent that the second published.")
@click.option(
    "--column", "columns", multiple=True, callback=options.names, metavar="OURS=THEIRS", help="Which column is what."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write reconcile.json and a waterfall here.")
@click.option("--json", "as_json", is_flag=True, help="Print what reconcile.json holds.")
def reconcile(  # noqa: PLR0917 one for each option
    studies: tuple[str, ...],
    start: dict[str, str],
    causes: dict[str, dict[str, str]],
    names: tuple[str, str] | None,
    claimed: float | None,
    columns: dict[str, str],
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Say why two studies of the best size disagree, and by how much each cause explains.

    With one table of RUNS, both are readings of it. A choice is a column's value (recipe=raw), or how runs are read:
    method (isoflop, parabola, envelope, surface), size and flops (which column counts), law, least_flops, most_flops,
    most_epochs.

    FIRST and SECOND are published laws (kaplan-2020, hoffmann-2022, besiroglu-2024) or fits that `tokenladder fit`
    wrote (laws/fit.json, or laws/fit.json:RECIPE): constants, counting of embeddings and range are the causes.

    Example: tokenladder reconcile runs.csv --from size=params_non_embedding --cause 'embeddings counted: size=params'

    Example: tokenladder reconcile besiroglu-2024 kaplan-2020
    """
    if len(studies) > 2:
        raise click.UsageError(f"Give one table of runs, or two laws; not {len(studies)} names.")
    if len(studies) == 1:
        if not causes:
            raise click.UsageError("Missing option '--cause': what the second study does otherwise.")
        _read_one_table(studies[0], start, causes, names or ("first", "second"), claimed, columns, out, as_json=as_json)
    elif start or causes or columns or names or claimed is not None:
        raise click.UsageError(
            "Two laws are compared by their own choices: leave out all options but --out and --json."
        )
    else:
        _read_two_laws(studies[0], studies[1], out, as_json=as_json)


def _read_one_table(  # noqa: PLR0917 the command's options
    runs: str,
    start: dict[str, str],
    causes: dict[str, dict[str, str]],
    names: tuple[str, str],
    claimed: float | None,
    columns: dict[str, str],
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    from ...pipelines.files.store import UserError
    from ..reconcile.report import as_value, changes, make_reading, work_out
    from ..runs.table import read_runs
    from .tables import show_reconciliation

    table = read_runs(runs, columns)
    try:
        reading = make_reading(start, table.columns)
        changed = {name: changes(given, table.columns) for name, given in causes.items()}
        made = work_out(table.columns, reading, changed, names=names, claimed=claimed)
    except ValueError as error:
        raise UserError(f"{runs}: cannot be reconciled: {error}") from error
    if as_json:
        _print(as_value(made))
    else:
        show_reconciliation(made)
    if out is not None:
        _write(as_value(made), made.way, out)


def _print(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _read_two_laws(first: str, second: str, out: Path | None, *, as_json: bool) -> None:
    from ...pipelines.files.store import UserError
    from ..reconcile.papers import between, find
    from ..reconcile.report import way_as_value
    from .tables import show_way

    try:
        one, other = find(first), find(second)
        way = between(one, other)
    except ValueError as error:
        raise UserError(f"{first} and {second} cannot be reconciled: {error}") from error
    value = way_as_value(way) | {"sources": [one.source, other.source]}
    if as_json:
        _print(value)
    else:
        show_way(way)
        for paper in (one, other):
            click.echo(f"{paper.name}: {paper.source}; {paper.sizes[0]:.3g} to {paper.sizes[1]:.3g} parameters")
    if out is not None:
        _write(value, way, out)


def _write(value: dict[str, Any], way: Waterfall, out: Path) -> None:
    """The numbers first: they stay where pictures cannot be drawn."""
    from ...pipelines.files import store
    from ..plots.laws import waterfall
    from ..plots.style import save
    from ..reconcile.report import steps

    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    store.write_bytes(str((out / "reconcile.json").absolute()), (text + "\n").encode())
    try:
        files = save(waterfall(steps(way), way.end), out, "waterfall")
    except ModuleNotFoundError as error:
        raise store.UserError(f"wrote {out / 'reconcile.json'}, but no pictures. {error}") from error
    click.echo(f"wrote {out}: reconcile.json and {len(files)} pictures", err=True)
