"""The runs table: read from CSV, Parquet or JSON, from our trainer or an export of W&B or MLflow, and checked.

A table of runs is where most wrong laws begin: parameters in millions, bits taken for nats, one run listed twice. So
each check names the rows and says what would work, and all of them are shown at once.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pipelines.files import store
from .checks import Review
from .columns import Runs, take
from .names import FINISHED, TEXT, match_columns

_SUFFIX = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_COUNT = re.compile(r"^([\d_]*\.?\d+(?:e[+-]?\d+)?)\s*([KMBT]?)$", re.IGNORECASE)
_LEAST = {"params": 1e3, "params_non_embedding": 100.0, "tokens": 1e3, "unique_tokens": 1e3, "flops": 1e6}
"""Below this a count is taken for one in millions or billions: no language model is smaller."""

_POSITIVE = (*_LEAST, "params_embedding", "epochs", "steps", "batch_tokens", "loss", "train_loss", "vocabulary")


@dataclass(frozen=True)
class RunsTable:
    """Runs as read and checked.

    Attributes:
        columns: Column name → float64[runs], and str[runs] for names such as `recipe`; units as in
            :data:`.columns.UNITS`.
        notes: What was derived, converted or left out, for people.
        path: Where it was read from.
    """

    columns: dict[str, NDArray[Any]]
    notes: tuple[str, ...]
    path: str

    def __len__(self) -> int:
        return len(self.columns["loss"])

    def recipes(self) -> list[str]:
        """Names of the recipes, sorted; one empty name where the table tells none apart.

        Returns:
            At least one name.
        """
        return sorted(set(self.columns["recipe"].tolist())) if "recipe" in self.columns else [""]

    def of_recipe(self, recipe: str) -> dict[str, NDArray[Any]]:
        """The columns of one recipe's runs; all runs for the empty name of a table without recipes."""
        if "recipe" not in self.columns:
            return dict(self.columns)
        return take(self.columns, self.columns["recipe"] == recipe)


def read_runs(path: str, chosen: Mapping[str, str] | None = None, loss_unit: str | None = None) -> RunsTable:
    """Read a runs table and check it.

    Args:
        path: CSV (`.csv`, `.tsv`), Parquet, JSON or JSON Lines; local or on an object store. A folder stands for the
            `runs.csv` inside it, which the reference trainer writes.
        chosen: Our column → the file's, where names are not recognised.
        loss_unit: `nats` or `bits` per token, where the file does not tell; bits are converted.

    Raises:
        UserError: There is no such file, it cannot be read, or its runs are not usable; all mistakes at once.
    """
    place = store.absolute(path)
    if Path(place).is_dir() or not (place.rpartition("/")[2].count(".") or Path(place).is_file()):
        place = store.join(place, "runs.csv")
    try:
        data = store.read_bytes(place)
        rows, numbers = _parse(place, data)
    except FileNotFoundError as error:
        raise store.UserError(f"{place}: there is no such runs table.") from error
    except (OSError, ValueError) as error:
        raise store.UserError(f"{place}: cannot be read as a table of runs: {error}") from error
    except RecursionError as error:
        raise store.UserError(f"{place}: cannot be read as a table of runs: nested too deep") from error
    if not rows:
        raise store.UserError(f"{place}: holds no runs.")
    return make_table(rows, place, chosen or {}, loss_unit, numbers)


def _parse(path: str, data: bytes) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows, and the line or row number of each as a person counts them."""
    ending = path.rpartition(".")[2].lower()
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pq.read_table(pa.BufferReader(data)).to_pylist()
        return [_flat(row) for row in rows], list(range(1, len(rows) + 1))
    text = data.decode("utf-8-sig")
    if ending in {"jsonl", "ndjson"}:
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        return [_flat(json.loads(line)) for _, line in lines], [n for n, _ in lines]
    if ending == "json":
        return _parse_json(json.loads(text))
    if ending not in {"csv", "tsv"}:
        raise ValueError("the name ends in none of .csv, .tsv, .parquet, .json, .jsonl")
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if ending == "tsv" else ",", strict=True)
    header = reader.fieldnames or ()
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"two columns are named {twice[0]!r}")
    found, lines_of = [], []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has not as many fields as the header")
            found.append(dict(row))
            lines_of.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return found, lines_of


def _parse_json(value: Any) -> tuple[list[dict[str, Any]], list[int]]:
    """A list of runs, or pandas' mapping of column → (row → value or list of values)."""
    if isinstance(value, dict) and all(isinstance(column, dict | list) for column in value.values()):
        columns = {name: list(c.values()) if isinstance(c, dict) else c for name, c in value.items()}
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("its columns differ in length")
        value = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if not isinstance(value, list):
        raise ValueError("not a list of runs, nor a mapping of columns")  # noqa: TRY004 a mistake in a file
    return [_flat(row) for row in value], list(range(1, len(value) + 1))


def _flat(row: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables (`config`, `summary`) as names with dots."""
    if not isinstance(row, dict):
        raise ValueError(f"a run must be a table of names and values, not {str(row)[:60]!r}")  # noqa: TRY004
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def make_table(
    rows: Sequence[Mapping[str, Any]],
    path: str,
    chosen: Mapping[str, str],
    loss_unit: str | None = None,
    numbers: Sequence[int] | None = None,
) -> RunsTable:
    """Runs as plain rows made a checked table.

    Args:
        rows: One mapping a run.
        path: What messages call the table.
        chosen: Our column → theirs.
        loss_unit: `nats`, `bits` or None.
        numbers: Line or row of each run, for messages; 1, 2, … if not given.

    Raises:
        UserError: The runs are not usable; all mistakes at once.
    """
    given = list(dict.fromkeys(name for row in rows for name in row))
    try:
        matched = match_columns(given, chosen)
    except ValueError as error:
        raise store.UserError(f"{path}: {error}.") from error
    review = Review(list(numbers or range(1, len(rows) + 1)))
    if "state" in matched:
        rows = _finished(rows, matched["state"], review)
    for ours, theirs in matched.items():
        cells = [row.get(theirs) for row in rows]
        if ours in TEXT:
            review.columns[ours] = np.array(["" if cell is None else str(cell) for cell in cells], np.str_)
        elif ours != "state":
            review.add(ours, theirs, cells, np.array([as_number(cell) for cell in cells]))
    review.finish(loss_unit)
    if review.mistakes:
        count = "1 mistake" if len(review.mistakes) == 1 else f"{len(review.mistakes)} mistakes"
        raise store.UserError(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in review.mistakes))
    return RunsTable(review.columns, tuple(review.notes), path)


def _finished(rows: Sequence[Mapping[str, Any]], state: str, review: Review) -> Sequence[Mapping[str, Any]]:
    """Only the runs whose loss is final."""
    done = [str(row.get(state) or "").strip().lower() in FINISHED for row in rows]
    if all(done):
        return rows
    if not any(done):
        raise store.UserError(f"No run is finished: the column {state!r} says {rows[0].get(state)!r} of the first.")
    review.notes.append(f"{done.count(False)} of {len(rows)} runs left out: not finished (column {state!r})")
    review.at = [line for line, keep in zip(review.at, done, strict=True) if keep]
    return [row for row, keep in zip(rows, done, strict=True) if keep]


def without(table: RunsTable, recipes: Sequence[str] = (), highest: int = 0) -> RunsTable:
    """The table with only some recipes, and without the runs of the highest loss.

    Args:
        table: The runs.
        recipes: Those to keep; none for all.
        highest: How many runs to leave out; runs that diverged pull a fit far off.

    Raises:
        UserError: A recipe is not in the table, or no run is left.
    """
    columns, notes = table.columns, list(table.notes)
    unknown = sorted(set(recipes) - set(table.recipes()))
    if unknown:
        known = ", ".join(filter(None, table.recipes())) or "none, as there is no column recipe"
        raise store.UserError(f"{table.path}: has no recipe {unknown[0]!r}. There are: {known}.")
    if recipes:
        columns = take(columns, np.isin(columns["recipe"], list(recipes)))
    if not 0 <= highest < len(columns["loss"]):
        raise store.UserError(f"{table.path}: {highest} of {len(columns['loss'])} runs cannot be left out.")
    if highest:
        order = np.argsort(columns["loss"], kind="stable")
        columns = take(columns, np.sort(order[: len(order) - highest]))
        notes.append(f"{highest} runs of the highest loss left out")
    return RunsTable(columns, tuple(notes), table.path)


def as_number(cell: Any) -> float:
    """A number as people write it; NaN for an empty cell or one that is no number.

    >>> as_number("70M"), as_number("1.5e9"), as_number(3), as_number("large")
    (70000000.0, 1500000000.0, 3.0, nan)
    """
    if isinstance(cell, bool) or cell is None:
        return math.nan
    if isinstance(cell, str):
        found = _COUNT.match(cell.strip())
        if found:
            return float(found[1].replace("_", "")) * _SUFFIX[found[2].upper()]
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def rows_of(runs: Runs) -> list[dict[str, Any]]:
    """A table's runs as plain rows, for JSON and CSV."""
    columns = {name: np.asarray(values).tolist() for name, values in runs.items()}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def finite(value: Any) -> Any:
    """A value for JSON, which has no infinity: null for each number that is not finite, inside of lists and tables too.

    >>> finite({"a": [1.5, math.inf], "b": "clean"})
    {'a': [1.5, None], 'b': 'clean'}
    """
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
