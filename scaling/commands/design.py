"""The command `design`. What is heavy is imported when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from ..designs.fisher import Noise
    from ..designs.supply import Stratum


def _prior(law_name: str, given: dict[str, str], prior: Path | None) -> dict[str, float]:
    """The parameters that are assumed: given one by one, of an earlier fit, or the published ones."""
    from ...pipelines.files.store import UserError
    from ..designs.fisher import PRIOR
    from ..laws.registry import LAWS
    from ..runs.table import as_number

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
    from ...pipelines.files.store import UserError

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
    from ...pipelines.files import store
    from ..designs.supply import strata_of_manifest, strata_of_plan

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
    from ...pipelines.files.store import UserError
    from ..designs.fisher import Noise
    from ..designs.grid import Wish
    from ..designs.report import as_value, make_design
    from ..laws.registry import LAWS
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
    from ...pipelines.files import store
    from ..designs.files import with_budgets

    try:
        changed = with_budgets(study.read_text(encoding="utf-8"), budgets)
    except FileNotFoundError as error:
        raise store.UserError(f"--study: {study}: there is no such study file.") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise store.UserError(f"--study: {study}: {error}") from error
    store.write_bytes(str(study.absolute()), changed.encode())
    click.echo(f"wrote {study}: {len(budgets)} budgets", err=True)


def _write_grid(out: Path, value: dict[str, Any], grid: Any, recipes: list[str]) -> None:
    from ...pipelines.files import store
    from ..designs.files import as_csv, grid_rows

    rows = grid_rows(grid, recipes)
    out.mkdir(parents=True, exist_ok=True)
    store.write_bytes(str((out / "grid.csv").absolute()), as_csv(rows).encode())
    for name, content in (("grid.json", rows), ("design.json", value)):
        store.write_bytes(
            str((out / name).absolute()), (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        )
    click.echo(f"wrote {out}: design.json, grid.csv and grid.json ({len(rows)} runs)", err=True)
