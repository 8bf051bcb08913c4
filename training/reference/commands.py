"""The command `train-reference`. What it needs is imported when it runs."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from ...pipelines.commands import complete

if TYPE_CHECKING:
    from .settings import Run


@click.command("train-reference", short_help="Train small decoders on the rungs of a result.")
@click.argument("out")
@click.option("--runs", "folder", default="runs", help="Folder of the runs and their table.", show_default=True)
@click.option(
    "--rung",
    "wanted",
    multiple=True,
    help="RECIPE-RUNG, or a recipe for all its rungs; all by default.",
    shell_complete=complete.recipes_and_streams,
)
@click.option("--size", "sizes", multiple=True, help="LAYERSxWIDTH, such as 4x128 (the default).")
@click.option("--seeds", default=1, help="Runs of each cell.", show_default=True)
@click.option("--grid", help="A design in place of these: a CSV with params and tokens. --rung then names recipes.")
@click.option("--batch-tokens", default=4096, help="Tokens of a step.", show_default=True)
@click.option("--learning-rate", type=float, help="The highest; 0.2 / width by default.")
@click.option("--schedule", type=click.Choice(["cosine", "wsd"]), default="cosine", show_default=True)
@click.option("--untied", is_flag=True, help="Give the head a table of its own.")
@click.option("--stream-order", is_flag=True, help="Train in the order of the shards, not shuffled.")
@click.option("--masked", is_flag=True, help="Stop attention at the borders of documents.")
@click.option("--processes", default=1, help="Runs at a time, one core each.", show_default=True)
@click.option("--device", default="auto", help="cpu, cuda, or a GPU where there is one (auto).", show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Compile the model.")
@click.option("--bfloat16", is_flag=True, help="Multiply in bfloat16.")
@click.option("--only", type=int, multiple=True, help="Numbers of the runs to train, as --print shows them.")
@click.option("--print", "printed", is_flag=True, help="Print one command for each run, and train nothing.")
@click.option("--quiet", is_flag=True, help="Say nothing but where the table is.")
def train_reference(  # noqa: PLR0917 a command's options
    out: str,
    folder: str,
    wanted: tuple[str, ...],
    sizes: tuple[str, ...],
    seeds: int,
    grid: str | None,
    batch_tokens: int,
    learning_rate: float | None,
    schedule: str,
    untied: bool,  # noqa: FBT001 click gives them by name
    stream_order: bool,  # noqa: FBT001
    masked: bool,  # noqa: FBT001
    processes: int,
    device: str,
    compiled: bool,  # noqa: FBT001
    bfloat16: bool,  # noqa: FBT001
    only: tuple[int, ...],
    printed: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
) -> None:
    """Train small decoders on the rungs of OUT and write the table of runs that `fit` reads.

    Every rung at every size with every seed, measured on the held-out set. Finished runs are kept, and stopped ones go
    on from their checkpoint: the same command again does what is left. --print shows a command for each run; a Slurm
    array runs `--only $SLURM_ARRAY_TASK_ID`.

    Example: tokenladder train-reference built --size 2x64 --size 4x128 --seeds 3 --processes 8
    """
    from ...pipelines.files.folders import need_folder
    from ...pipelines.files.store import UserError
    from .settings import Optimisation, Run
    from .shape import Shape

    for option, count in (("seeds", seeds), ("processes", processes)):
        if count < 1:
            raise UserError(f"--{option} {count}: nothing would be trained. Give 1 or more.")
    for size in sizes:  # said once here, not by each run
        Shape.parse(size, 256)
    like = Run(
        recipe="",
        rung="",
        size="",
        tied=not untied,
        shuffled=not stream_order,
        masked=masked,
        optimisation=Optimisation(batch_tokens, learning_rate, schedule),  # type: ignore[arg-type]  # click.Choice gives str
    )
    need_folder(folder, "--runs")
    try:
        runs = _runs(out, wanted, sizes or ("4x128",), seeds, grid, like)
        if only and not all(0 <= n < len(runs) for n in only):
            raise UserError(f"--only {' '.join(map(str, only))}: the runs are numbered from 0 to {len(runs) - 1}.")
        if printed:
            _print(runs)
            return
        from .grid import run_grid
        from .train import Machine

        machine = Machine(device, compiled=compiled, bfloat16=bfloat16)
        chosen = [runs[n] for n in only] if only else runs
        run_grid(out, chosen, folder, machine, processes, lambda line: None if quiet else click.echo(line, err=True))
    except ModuleNotFoundError as error:
        raise UserError(str(error)) from error
    click.echo(f"{folder}/runs.csv")


def _runs(  # noqa: PLR0917 all that tells runs apart
    out: str, wanted: tuple[str, ...], sizes: tuple[str, ...], seeds: int, grid: str | None, like: Run
) -> list[Run]:
    from .grid import cross, from_design, rungs_of

    return from_design(grid, out, wanted, like) if grid else cross(rungs_of(out, wanted), sizes, range(seeds), like)


def _print(runs: list[Run]) -> None:
    """The command that is running, once for each run."""
    given = [word for word in sys.argv[1:] if word != "--print"]
    for n, run in enumerate(runs):
        click.echo(f"tokenladder {shlex.join([*given, '--only', str(n)])}  # {run.name}")
