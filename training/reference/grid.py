"""Whole grids of runs: which there are, in which order, on how many processes, and their table `runs.csv`."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from ...pipelines.files import store
from ..rung import read_manifest
from .settings import COLUMNS, Run, need_torch
from .shape import nearest_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from .train import Machine


def rungs_of(out: str, wanted: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(recipe, rung) of the names that a person gives: `RECIPE-RUNG`, a recipe for all of its rungs, a curriculum.

    Args:
        out: Folder of the build.
        wanted: Names; all rungs of all recipes where there are none.

    Raises:
        UserError: A name is of nothing in the build.
    """
    manifest = read_manifest(out)
    recipes = {name: [(name, rung["name"]) for rung in recipe["rungs"]] for name, recipe in manifest["recipes"].items()}
    curricula = {name: [(name, one["rung"])] for name, one in manifest.get("curricula", {}).items()}
    pairs = {f"{recipe}-{rung}": [(recipe, rung)] for every in recipes.values() for recipe, rung in every}
    known = pairs | recipes | curricula
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise store.UserError(f"{out}: has no rung or recipe {unknown[0]!r}. It has: {', '.join(known)}.")
    return list(dict.fromkeys(pair for name in wanted or recipes for pair in known[name]))


def cross(rungs: Iterable[tuple[str, str]], sizes: Sequence[str], seeds: Iterable[int], like: Run) -> list[Run]:
    """Every rung at every size with every seed, the cheap ones first."""
    return [
        replace(like, recipe=recipe, rung=rung, size=size, seed=seed)
        for size in sizes
        for recipe, rung in rungs
        for seed in seeds
    ]


def from_design(path: str, out: str, recipes: Sequence[str], like: Run) -> list[Run]:
    """The runs of a design: a CSV with `params` and `tokens`, and if it likes `seed` or `seeds` and `recipe`.

    The model is the one whose parameters come nearest. The rung is the one whose budget was these tokens, as
    `tokenladder design` writes them into a study, whole; else the smallest that holds them, or the largest, in further
    epochs. Rows that come to the same run are one. A design's published advice, its columns `batch_tokens` and
    `learning_rate`, is not followed: its rules were fitted to far larger models.

    Args:
        path: The design, such as the `grid.csv` of `tokenladder design`.
        out: Folder of the build.
        recipes: Recipes to train, all by default: each row on all of them, or on the one that it names.
        like: What the runs have in common.

    Raises:
        UserError: The file is no design, or names what the build does not have.
    """
    manifest = read_manifest(out)
    every = manifest["recipes"]
    try:
        rows = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8")), strict=True))
        cells = [(float(row["params"]), int(float(row["tokens"])), _named(row, every), _seeds(row)) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise store.UserError(f"{path}: is no design, a CSV with params and tokens: {error!r}.") from error
    unknown = [name for name in [*recipes, *(row for _, _, row, _ in cells if row)] if name not in every]
    if unknown:
        raise store.UserError(f"{out}: has no recipe {unknown[0]!r}. It has: {', '.join(every)}.")
    runs = []
    for params, tokens, named, seeds in cells:
        shape = nearest_shape(params, manifest["tokenizer"]["vocabulary_size"], tied=like.tied)
        for recipe in recipes or every if named is None else {named} & {*(recipes or every)}:
            rung, exact = _rung(every[recipe]["rungs"], tokens)
            runs += [
                replace(like, recipe=recipe, rung=rung, size=shape.name, tokens=exact, seed=seed) for seed in seeds
            ]
    return list(dict.fromkeys(runs))


def _named(row: dict[str, str], recipes: Collection[str]) -> str | None:
    """The recipe of a row; `default` is what a design says where it was told none."""
    name = row.get("recipe")
    return None if not name or (name == "default" and name not in recipes) else name


def _rung(rungs: Sequence[dict[str, Any]], tokens: int) -> tuple[str, int | None]:
    """A rung's name, and how many tokens of it; None for all, which are the budget to the nearest whole sequence."""
    for one in rungs:
        if tokens in (one["tokens"], one.get("requested_tokens")):
            return one["name"], None
    return next((one for one in rungs if one["tokens"] >= tokens), rungs[-1])["name"], tokens


def _seeds(row: dict[str, str]) -> list[int]:
    if row.get("seed"):
        return [int(float(row["seed"]))]
    return list(range(int(float(row.get("seeds") or 1))))


def run_grid(  # noqa: PLR0917 all by name
    out: str,
    runs: Sequence[Run],
    folder: str,
    machine: Machine,
    processes: int,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Train all runs, each in a process of its own where there are several, and write `runs.csv`.

    Args:
        out: Folder of the build.
        runs: What to train. Finished ones are not trained again.
        folder: Of the runs; the table stands in it.
        machine: How each is computed.
        processes: How many at a time.
        say: Is told each finished run.

    Returns:
        The rows of these runs, in their order.

    Raises:
        UserError: Some runs cannot be trained, as where a loss is no number; all others are, before it is raised.
    """
    from .train import finished

    todo = [run for run in runs if finished(out, run, run_folder(folder, run)) is None]
    say(f"{len(runs) - len(todo)} of {len(runs)} runs are done, {len(todo)} to train")
    if todo:
        need_torch()
        machine.torch_device()  # what is wrong with it is said once, not by each run
    failed = []
    for n, (run, result) in enumerate(_results(out, todo, folder, machine, processes, say), 1):
        if isinstance(result, store.UserError):
            failed.append(str(result))
            say(str(result))
        elif processes > 1 and len(todo) > 1:  # a run in this process says so itself
            say(f"{n} of {len(todo)}: {run.name}: {result['loss']:.4f} nats per token")
        write_table(folder)
    write_table(folder)
    if failed:
        raise store.UserError("\n".join([_failed(len(failed), len(todo)), *failed]))
    return [json.loads((Path(run_folder(folder, run)) / "result.json").read_text())["row"] for run in runs]


def _failed(failed: int, runs: int) -> str:
    """What stands above the mistakes.

    >>> _failed(1, 1), _failed(2, 2), _failed(1, 3)
    ('The run failed:', 'All 2 runs failed:', '1 of 3 runs failed; the others are done:')
    """
    if failed < runs:
        return f"{failed} of {runs} runs failed; the other{'s are' if runs - failed > 1 else ' is'} done:"
    return "The run failed:" if runs == 1 else f"All {runs} runs failed:"


def _results(  # noqa: PLR0917 as above
    out: str, todo: Sequence[Run], folder: str, machine: Machine, processes: int, say: Callable[[str], None]
) -> Iterator[tuple[Run, dict[str, Any] | store.UserError]]:
    """Each run's row or what was wrong with it, as they end. A run that cannot be trained stops no other."""
    from .train import train_run

    if processes == 1 or len(todo) <= 1:
        for run in todo:
            try:
                yield run, train_run(out, run, run_folder(folder, run), machine, say)
            except store.UserError as error:
                yield run, error
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        waiting = {pool.submit(train_run, out, run, run_folder(folder, run), machine): run for run in todo}
        try:
            for future in as_completed(waiting):
                try:
                    yield waiting[future], future.result()
                except store.UserError as error:
                    yield waiting[future], error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def run_folder(folder: str, run: Run) -> str:
    """Where a run's files stand."""
    return str(Path(folder) / "runs" / run.name)


def write_table(folder: str) -> str:
    """`runs.csv` from the results of all finished runs of a folder, in the order of their names.

    Returns:
        Its path.
    """
    target = Path(folder) / "runs.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(str(Path(folder) / ".runs.lock")):  # a grid may be trained by several commands
        results = sorted((Path(folder) / "runs").glob("*/result.json"))
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(json.loads(path.read_text())["row"] for path in results)
        store.write_bytes(str(target), text.getvalue().encode())
    return str(target)
