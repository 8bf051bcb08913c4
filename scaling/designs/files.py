"""What a design writes: the `budgets` of a study, and the grid of runs for a trainer, as CSV and JSON."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN
from .grid import Grid
from .step_laws import nearest, warm_up_tokens

COLUMNS = (
    "recipe", "rung", "params", "tokens", "seed", "flops", "batch_tokens", "learning_rate", "warmup_tokens", "advice",
)  # fmt: skip
"""Of a grid; `advice` names the step law, with `outside` where the run lies beyond what it was fitted over."""

_BUDGETS = re.compile(r"^budgets\s*=\s*\[[^\]]*\]", re.MULTILINE)
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)


def rung_name(tokens: int) -> str:
    """A budget as a study writes it; always exact.

    >>> rung_name(1_580_000_000), rung_name(250_000), rung_name(1234)
    ('1.58B', '250K', '1234')
    """
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if tokens >= size and tokens * 100 % size == 0:
            return f"{tokens / size:.2f}".rstrip("0").rstrip(".") + unit
    return str(tokens)


def budgets_line(budgets: Iterable[int]) -> str:
    """The line of a study file.

    >>> budgets_line([100_000_000, 1_580_000_000])
    'budgets = ["100M", "1.58B"]'
    """
    names = ", ".join(f'"{rung_name(budget)}"' for budget in budgets)
    return f"budgets = [{names}]"


def with_budgets(study: str, budgets: Sequence[int]) -> str:
    r"""The text of a study file with its `budgets` replaced, or put first if it has none; all else stays.

    Args:
        study: TOML text.
        budgets: Tokens of each rung, ascending.

    Raises:
        ValueError: The text is not TOML, or writes its budgets in a way that is not understood.

    >>> with_budgets('name = "a"\nbudgets = ["1M"]  # small\n', [2_000_000])
    'name = "a"\nbudgets = ["2M"]  # small\n'
    """
    had = "budgets" in _parsed(study)
    first_table = _TABLE.search(_BUDGETS.sub(lambda found: " " * len(found[0]), study))
    end = first_table.start() if first_table else len(study)
    head, tail = study[:end], study[end:]
    line = budgets_line(budgets)
    changed = (_BUDGETS.sub(lambda _: line, head, count=1) if had else f"{line}\n{head}") + tail
    wanted = _parsed(study) | {"budgets": [rung_name(budget) for budget in budgets]}
    try:
        understood = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        understood = False
    if not understood:
        raise ValueError(f"Its budgets are written in a way that is not understood. Write them yourself: {line}")
    return changed


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"It is not a TOML file: {error}") from error


def grid_rows(grid: Grid, recipes: Sequence[str]) -> list[dict[str, Any]]:
    """One row a run, recipe by recipe, cheapest first: a trainer that stops early leaves whole small cells.

    Args:
        grid: The plan.
        recipes: Names of the recipes that every cell is trained on.
    """
    cells = sorted(
        zip(grid.params.tolist(), grid.tokens.tolist(), strict=True), key=lambda cell: (cell[0] * cell[1], cell)
    )
    return [
        _row(recipe, params, tokens, seed)
        for recipe in recipes
        for params, tokens in cells
        for seed in range(1, grid.seeds + 1)
    ]


def _row(recipe: str, params: float, tokens: float, seed: int) -> dict[str, Any]:
    said = nearest(params, tokens)
    return {
        "recipe": recipe,
        "rung": rung_name(int(tokens)),
        "params": int(params),
        "tokens": int(tokens),
        "seed": seed,
        "flops": float(f"{FLOPS_PER_PARAMETER_AND_TOKEN * params * tokens:.6g}"),
        "batch_tokens": int(float(f"{said.batch_tokens or 0:.3g}")),
        "learning_rate": float(f"{said.learning_rate or 0:.3g}"),
        "warmup_tokens": int(float(f"{warm_up_tokens(params, tokens):.3g}")),
        "advice": said.law + (" (outside)" if said.outside else ""),
    }


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """A grid's rows as CSV, with the columns `COLUMNS`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
