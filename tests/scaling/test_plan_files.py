from __future__ import annotations

import csv
import io
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.study.budgets import parse_count, short
from tokenladder.scaling.designs.files import COLUMNS, as_csv, budgets_line, grid_rows, rung_name, with_budgets
from tokenladder.scaling.designs.grid import Grid

STUDY = """# A study.
name    = "a"
budgets = [
    "1M",
    "10M",  # enough
]
seed    = 1

[sources.web]
budgets = [ "not these" ]
"""


@given(st.integers(1, 10**15))
def test_rungs_are_named_as_a_study_names_them(tokens):
    assert rung_name(tokens) == short(tokens)
    assert parse_count(rung_name(tokens)) == tokens


def test_budgets_are_replaced_and_all_else_stays():
    changed = with_budgets(STUDY, [2_000_000, 1_580_000_000])
    assert changed == STUDY.replace('[\n    "1M",\n    "10M",  # enough\n]', '["2M", "1.58B"]')
    assert tomllib.loads(changed)["sources"]["web"]["budgets"] == ["not these"]


def test_budgets_come_first_where_there_are_none():
    assert with_budgets('[sources.web]\npath = "x"\n', [10**6]) == 'budgets = ["1M"]\n[sources.web]\npath = "x"\n'


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("name = ", "It is not a TOML file: "),
        ('budgets = ["]"]\n', "Its budgets are written in a way that is not understood. Write them yourself: "),
        ('"budgets" = ["2M"]\n', "Its budgets are written in a way that is not understood."),
    ],
)
def test_studies_that_are_not_understood(study, said):
    with pytest.raises(ValueError) as caught:
        with_budgets(study, [10**6])
    assert str(caught.value).startswith(said)


def test_a_grid_has_a_row_for_each_run():
    grid = Grid("rectangle", np.array([1e8, 1e8, 2e7]), np.array([4e9, 2e9, 2e9]), 2)
    rows = grid_rows(grid, ["raw", "clean"])
    assert len(rows) == 12
    assert [row["recipe"] for row in rows] == ["raw"] * 6 + ["clean"] * 6
    assert [(row["params"], row["rung"], row["seed"]) for row in rows[:6]] == [
        (20_000_000, "2B", 1), (20_000_000, "2B", 2), (100_000_000, "2B", 1),
        (100_000_000, "2B", 2), (100_000_000, "4B", 1), (100_000_000, "4B", 2),
    ]  # fmt: skip
    assert rows[4]["flops"] == 6 * 1e8 * 4e9
    assert rows[4]["warmup_tokens"] == 10**8
    assert rows[4]["learning_rate"] == float(f"{1.79 * 1e8**-0.713 * 4e9**0.307:.3g}")
    assert rows[4]["batch_tokens"] == int(float(f"{0.58 * 4e9**0.571:.3g}"))
    assert rows[4]["advice"] == "step-law"
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert list(read[0]) == list(COLUMNS)
    assert [int(row["tokens"]) for row in read] == [row["tokens"] for row in rows]


def test_a_run_outside_of_every_law_says_so():
    (row,) = grid_rows(Grid("rectangle", np.array([1e12]), np.array([1e13])), ["a"])
    assert row["advice"] == "step-law (outside)"


def test_the_line_of_a_study():
    assert tomllib.loads(budgets_line([10**6, 3 * 10**6])) == {"budgets": ["1M", "3M"]}
