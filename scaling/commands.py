"""The commands `design` and `fit`. What is heavy is imported when a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .fisher import Noise
    from .fit_report import Analysis, Decisions
    from .runs import RunsTable
    from .supply import Stratum


def _prior(law_name: str, given: dict[str, str], prior: Path | None) -> dict[str, float]:
    """The parameters that are assumed: given one by one, of an earlier fit, or the published ones."""
    from ..pipelines.files.store import UserError
    from .fisher import PRIOR
    from .registry import LAWS
    from .runs import as_number

    if law_name not in LAWS:
        raise UserError(f"--law: {law_name!r} is not known. Choose one of {', '.join(LAWS)}.")
    names = LAWS[law_name].names
    theta: dict[str, float] = dict(PRIOR) if set(PRIOR) == set(names) else {}
    if prior is not None:
        theta = _theta_of(prior, law_name)
    theta |= {name: as_number(value) for name, value in given.items()}
    if set(theta) != set(names):
        raise UserError(
            f"--theta: the law {law_name!r} has the parameters {', '.join(names)}; "
            f"assumed are {', '.join(theta) or 'none of them'}. Give each as --theta NAME=VALUE, or --prior fit.json."
        )
    return theta


def _theta_of(path: Path, law_name: str) -> dict[str, float]:
    from ..pipelines.files.store import UserError

    try:
        fits = json.loads(path.read_text(encoding="utf-8"))["fits"]
        found = [one["theta"] for one in fits if one["law"] == law_name]
        return {str(name): float(value) for name, value in found[0].items()}
    except FileNotFoundError as error:
        raise UserError(f"--prior: {path}: there is no such file.") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"--prior: {path} holds no fit of the law {law_name!r}. Give what `tokenladder fit` wrote."
        ) from error


def _strata(built: str | None, plan: Path | None, recipe: str | None) -> tuple[list[Stratum], list[str]]:
    """What is known of the text, and the recipes of the build or the plan."""
    from ..pipelines.files import store
    from .supply import strata_of_manifest, strata_of_plan

    if built is None and plan is None:
        return [], [recipe] if recipe else []
    try:
        if built is not None:
            value = store.read_json(store.join(store.absolute(built), "manifest.json"))
        else:
            value = json.loads(str(plan and plan.read_text(encoding="utf-8")))
        recipes = [recipe] if recipe else list(value["recipes"])
        reader = strata_of_manifest if built is not None else strata_of_plan
        return [stratum for name in recipes[:1] for stratum in reader(value, name)], recipes
    except FileNotFoundError as error:
        raise store.UserError(f"{built or plan}: there is no such build or plan.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(f"{built or plan}: {error}") from error


@click.command(short_help="Plan runs for a sum of FLOPs, and what they would tell.")
@click.option("--flops", required=True, callback=options.count, help="FLOPs of all runs together, such as 1e19.")
@click.option(
    "--sizes", default="6", callback=options.sizes, show_default=True, help="How many sizes, or a list: 20M,40M,80M."
)
@click.option(
    "--shape", default="best", show_default=True, help="rectangle, isoflop, over-training, constant-ratio or best."
)
@click.option("--rungs", default=4, show_default=True, help="Budgets for each size, or sums of FLOPs (isoflop).")
@click.option("--seeds", default=1, show_default=True, help="Runs in each cell.")
@click.option("--span", default=16.0, show_default=True, help="Largest budget over smallest.")
@click.option("--size-span", default=16.0, show_default=True, help="Largest size over smallest, if sizes are chosen.")
@click.option("--least-size", default="0", callback=options.count, help="No smaller model is trained.")
@click.option("--least-tokens", default="0", callback=options.count, help="No smaller budget is trained on.")
@click.option("--target", callback=options.target, help="What is to be predicted: parameters,tokens, such as 7B,140B.")
@click.option("--law", "law_name", default="chinchilla", show_default=True, help="The law that will be fitted.")
@click.option(
    "--theta", multiple=True, callback=options.names, metavar="NAME=VALUE", help="A parameter that is assumed."
)
@click.option("--prior", type=click.Path(path_type=Path), help="A fit.json, whose parameters are assumed.")
@click.option("--seed-noise", default=0.0024, show_default=True, help="Between seeds: standard deviation of log loss.")
@click.option("--misfit", default=0.0042, show_default=True, help="Between a cell and the law, likewise.")
@click.option("--difference", type=float, help="Power to tell two recipes apart that differ so much in log loss.")
@click.option("--built", help="A build, whose manifest tells how much text there is.")
@click.option("--plan", type=click.Path(path_type=Path), help="What `tokenladder plan --json` printed, likewise.")
@click.option("--recipe", help="The recipe; of a build or plan, by default all, and the first for its text.")
@click.option("--passes", default=1.0, show_default=True, help="How often text may be read.")
@click.option("--study", type=click.Path(path_type=Path), help="Write the budgets into this study file.")
@click.option("--out", type=click.Path(path_type=Path), help="Write grid.csv, grid.json and design.json here.")
@click.option("--json", "as_json", is_flag=True, help="Print the design as JSON.")
def design(  # noqa: PLR0917 one for each option
    flops: float,
    sizes: int | tuple[float, ...],
    shape: str,
    rungs: int,
    seeds: int,
    span: float,
    size_span: float,
    least_size: float,
    least_tokens: float,
    target: tuple[float, float] | None,
    law_name: str,
    theta: dict[str, str],
    prior: Path | None,
    seed_noise: float,
    misfit: float,
    difference: float | None,
    built: str | None,
    plan: Path | None,
    recipe: str | None,
    passes: float,
    study: Path | None,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Plan runs: sizes, budgets and seeds for a sum of FLOPs, and what they would tell.

    Shows each shape of grid with the standard errors that it would leave, the best one's cells with published advice on
    learning rate and batch size, and which budgets there is enough text for. Writes a study's budgets and the grid.

    Example: tokenladder design --flops 1e19 --sizes 6 --target 1B,20B --difference 0.01
    """
    from ..pipelines.files.store import UserError
    from .design_report import as_value, make_design
    from .designs import Wish
    from .fisher import Noise
    from .registry import LAWS
    from .tables import show_design

    assumed = _prior(law_name, theta, prior)
    strata, recipes = _strata(built, plan, recipe)
    try:
        noise: Noise = Noise(seed_noise, misfit)
        wish = Wish(flops, sizes, rungs, seeds, span, size_span, least_size, least_tokens)
        made = make_design(wish, LAWS[law_name], assumed, noise, shape, target, strata, passes)
        value = as_value(made, LAWS[law_name], difference)
        if as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        else:
            show_design(made, difference)
    except ValueError as error:
        raise UserError(f"This design cannot be made: {error}") from error
    if study is not None:
        _write_budgets(study, made.grid.budgets)
    if out is not None:
        _write_grid(out, value, made.grid, recipes or ["default"])


def _write_budgets(study: Path, budgets: list[int]) -> None:
    from ..pipelines.files import store
    from .plan_files import with_budgets

    try:
        changed = with_budgets(study.read_text(encoding="utf-8"), budgets)
    except FileNotFoundError as error:
        raise store.UserError(f"--study: {study}: there is no such study file.") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise store.UserError(f"--study: {study}: {error}") from error
    store.write_bytes(str(study.absolute()), changed.encode())
    click.echo(f"wrote {study}: {len(budgets)} budgets", err=True)


def _write_grid(out: Path, value: dict[str, Any], grid: Any, recipes: list[str]) -> None:
    from ..pipelines.files import store
    from .plan_files import as_csv, grid_rows

    rows = grid_rows(grid, recipes)
    out.mkdir(parents=True, exist_ok=True)
    store.write_bytes(str((out / "grid.csv").absolute()), as_csv(rows).encode())
    for name, content in (("grid.json", rows), ("design.json", value)):
        store.write_bytes(
            str((out / name).absolute()), (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        )
    click.echo(f"wrote {out}: design.json, grid.csv and grid.json ({len(rows)} runs)", err=True)


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
    from ..pipelines.files.store import UserError
    from .fit_report import analyse, as_value, decide
    from .objectives import Huber, LeastAbsolute, LeastSquares, Objective
    from .runs import as_number, read_runs, without

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
    from .fit_report import mixtures
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
    from ..pipelines.files import store
    from .fit_report import as_value, draw

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
