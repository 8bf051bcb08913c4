from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.scaling.designs.fisher import PRIOR
from tokenladder.scaling.fits import report as fit_report
from tokenladder.scaling.fits.objectives import Huber
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.runs.table import make_table

import published


def run(*arguments, status=0):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], env={"COLUMNS": "160"})
    assert done.exit_code == status, done.output + repr(done.exception)
    return done.output


@pytest.fixture(scope="module")
def two_recipes(tmp_path_factory):
    """Runs of two recipes whose laws cross: B is 1.3 times, beta a little more."""
    rng = np.random.default_rng(6)
    law, rows = LAWS["chinchilla"], []
    for recipe, change in (("raw", {}), ("clean", {"B": PRIOR["B"] * 1.8, "beta": PRIOR["beta"] + 0.03})):
        for params in (1e7, 4e7, 1.6e8):
            for tokens in (2e8, 8e8, 3.2e9):
                for seed in (1, 2):
                    columns = {"params": np.array([params]), "tokens": np.array([tokens])}
                    loss = float(law.predict({**PRIOR, **change}, columns)[0] * np.exp(rng.normal(0, 0.002)))
                    rows.append({"recipe": recipe, "params": params, "tokens": tokens, "seed": seed, "loss": loss})
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_design_shows_shapes_and_writes_what_jobs_need(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text('name = "a"\nbudgets = ["1M"]\n')
    said = run(
        "design", "--flops", "1e19", "--sizes", "20M,40M,80M", "--shape", "rectangle", "--seeds", 2,
        "--difference", 0.01, "--study", study, "--out", tmp_path / "plan", "--recipe", "clean",
    )  # fmt: skip
    assert "rectangle *" in said
    assert "constant-ratio" in said
    assert "two recipes that differ by 0.01 of log loss" in said
    value = json.loads((tmp_path / "plan" / "design.json").read_text())
    rows = list(csv.DictReader((tmp_path / "plan" / "grid.csv").read_text().splitlines()))
    assert json.loads((tmp_path / "plan" / "grid.json").read_text())[0]["recipe"] == "clean"
    assert len(rows) == 3 * 4 * 2
    assert sum(float(row["flops"]) for row in rows) == pytest.approx(1e19, rel=0.02)
    assert sorted({int(row["tokens"]) for row in rows}) == value["budgets"]
    assert len(value["budgets"]) == 4
    assert f'"{rows[0]["rung"]}"' in study.read_text()
    assert value["shapes"]["constant-ratio"]["standard_errors"]["alpha"] is None  # three runs, five parameters
    assert value["comparison"]["power_in_one_cell"] == pytest.approx(0.59, abs=0.01)
    alpha = value["shapes"]["rectangle"]["standard_errors"]["alpha"]
    assert value["comparison"]["least_difference_of_exponents"]["alpha"] == pytest.approx(
        2.8016 * 2**0.5 * alpha, rel=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "20M,80M"], "doubt: this plan cannot predict the target at all."),
        (["--shape", "constant-ratio"], "doubt: some combination of parameters hardly changes any loss of this plan"),
    ],
)
def test_design_doubts_what_cannot_be_told(arguments, said):
    assert said in run("design", "--flops", "1e19", *arguments)


def test_design_reads_what_text_there_is(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"sources": {"web": {"bytes": 4e9}}, "recipes": {"raw": {"weights": None}}}))
    said = run("design", "--flops", "1e19", "--sizes", "20M,40M,80M", "--shape", "rectangle", "--plan", plan)
    assert "web" in said
    assert "cannot be had with 1 pass at most: 1.35B, 3.42B, 8.62B" in " ".join(said.split()) or "cannot be had" in said
    enough = run("design", "--flops", "1e17", "--sizes", "20M,40M", "--shape", "rectangle", "--plan", plan)
    assert "cannot be had" not in enough


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--flops", "lots"], "'lots' is no count. Write 70000000, 70M or 7e7"),
        (["--flops", "1e19", "--target", "7B,0"], "'7B,0': write parameters,tokens, such as 7B,140B"),
        (["--flops", "1e19", "--shape", "star"], "The shape 'star' is not known. Choose one of best, rectangle"),
        (["--flops", "1e5", "--least-size", "1M"], "FLOPs pay for no run"),
        (["--flops", "1e19", "--law", "newton"], "--law: 'newton' is not known. Choose one of chinchilla"),
        (["--flops", "1e19", "--law", "gadre"], "the law 'gadre' has the parameters a, b, E, eta; assumed are none"),
        (["--flops", "1e19", "--theta", "A"], "'A': write NAME=VALUE"),
        (["--flops", "1e19", "--prior", "nowhere.json"], "--prior: nowhere.json: there is no such file."),
        (["--flops", "1e19", "--study", "nowhere.toml"], "--study: nowhere.toml: there is no such study file."),
        (["--flops", "1e19", "--built", "nowhere"], "nowhere: there is no such build or plan."),
        (["--flops", "1e19", "--seed-noise", "0", "--misfit", "0"], "Noise needs standard deviations of log loss"),
        (["--flops", "1e19", "--passes", "0"], "passes: text is read once or more, not 0 times."),
        (["--flops", "1e19", "--seeds", "0"], "seeds: 0 is too little. Give a larger one."),
    ],
)  # fmt: skip
def test_mistakes_of_design(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in " ".join(run("design", *arguments, status=2).split())


def test_fit_reproduces_chinchillas_replication_and_is_a_prior(tmp_path):
    out = tmp_path / "laws"
    said = run(
        "fit", published.DATA / "chinchilla.csv", "--drop-highest", 5, "--law", "chinchilla", "--law", "gadre",
        "--bootstraps", 0, "--profiles",
    )  # fmt: skip
    assert "0.34731" in said
    assert "95 % by profile" in said
    assert "Huber (δ = 0.001) of log loss: 0.001018274 over 240 runs" in said
    assert "error on the largest runs" in said
    assert said.index("note: tokens: flops / (6 × params)") < said.index("chinchilla")
    fixed = run(
        "fit", published.DATA / "chinchilla.csv", "--fix", "E=1.8", "--law", "chinchilla", "--drop-highest", 5,
        "--bootstraps", 20, "--group", "params", "--objective", "absolute",
    )  # fmt: skip
    assert "least absolute deviations" in fixed
    assert "\nE " not in fixed
    table = make_table([{"params": 7e7, "tokens": 1e9 * n, "loss": 3 + 1 / n} for n in range(1, 9)], "x", {})
    made = fit_report.analyse(table, "power-tokens", objective=Huber(), fixed={}, samples=10)
    out.mkdir()
    (out / "fit.json").write_text(json.dumps(fit_report.as_value(table, made, None), allow_nan=False))
    planned = run(
        "design", "--flops", "1e19", "--law", "power-tokens", "--prior", out / "fit.json", "--shape", "over-training"
    )
    assert "over-training *" in planned


def test_fit_compares_recipes(tmp_path, two_recipes):
    out = tmp_path / "laws"
    said = run("fit", two_recipes, "--bootstraps", 20, "--format", "svg", "--out", out)
    value = json.loads((out / "fit.json").read_text())
    assert {one["recipe"] for one in value["fits"]} == {"raw", "clean"}
    decisions = value["decisions"]
    assert decisions["cell"] == {"params": 1.6e8, "tokens": 3.2e9}
    assert decisions["seed_noise"]["deviation"] == pytest.approx(0.002, rel=0.5)
    assert [one["recipe"] for one in decisions["ranks"]] == sorted(
        ("raw", "clean"), key=lambda recipe: next(r["log_loss"] for r in decisions["ranks"] if r["recipe"] == recipe)
    )
    (pair,) = decisions["differences"]
    assert pair["seeds"] == [2, 2]
    assert len(decisions["accuracies"]) == 8
    (crossing,) = decisions["crossings"]
    assert crossing["at"][0] == pytest.approx(1.8 ** (1 / 0.03), rel=0.9)
    names = {path.name for path in out.iterdir()}
    assert f"fit.json and {len(names) - 1} pictures" in said
    assert {"loss-chinchilla.svg", "residuals-chinchilla-raw.svg", "cloud-chinchilla-clean.svg"} <= names
    assert "isoflop-chinchilla-raw.svg" in names
    assert "places that noise leaves" in said
    assert "tokens where the laws cross at 160M parameters" in said


def test_pooled_recipes_get_one_fit(two_recipes):
    said = run("fit", two_recipes, "--pooled", "--bootstraps", 0, "--recipe", "raw", "--recipe", "clean")
    assert said.count("chinchilla: L = ") == 1
    assert "over 36 runs" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--law", "newton"], "cannot be fitted: raw: The law 'newton' is not known. Choose one of chinchilla"),
        (["--law", "data-mixing"], "The law 'data-mixing' needs a column share_NAME for each stratum, two or more."),
        (["--fix", "Z=1"], "has no parameter 'Z'"),
        (["--recipe", "dirty"], "has no recipe 'dirty'. There are: clean, raw."),
        (["--drop-highest", "36"], "36 of 36 runs cannot be left out."),
        (["--bootstraps", "3"], "3 bootstraps make no interval. Give 10 or more, or 0 for none."),
        (["--group", "lab"], "The runs have no column 'lab' to draw by."),
        (["--delta", "0"], "Huber's delta is the largest residual that is squared"),
        (["--column", "loss"], "'loss': write NAME=VALUE"),
        (["--column", "loss=nll"], "no column is named 'nll'"),
    ],
)
def test_mistakes_of_fit(two_recipes, arguments, said):
    if arguments[1] in {"newton", "data-mixing", "Z=1"}:
        arguments = [*arguments, "--recipe", "raw"]
    assert said in " ".join(run("fit", two_recipes, "--bootstraps", 0, *arguments, status=2).split())


def test_no_runs_table():
    assert "there is no such runs table." in run("fit", "nowhere.csv", status=2)


def test_without_matplotlib_the_numbers_are_written(tmp_path, two_recipes, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run("fit", two_recipes, "--bootstraps", 0, "--pooled", "--out", tmp_path / "laws", status=2)
    assert "fit.json, but no pictures. Pictures need matplotlib: pip install 'tokenladder[plots]'" in said
    assert [path.name for path in (tmp_path / "laws").iterdir()] == ["fit.json"]


def test_a_picture_that_cannot_be_drawn_says_why(tmp_path):
    rows = "".join(f"{n}e7,{n}e9,{3 + 1 / n}\n" for n in range(1, 9))
    (tmp_path / "runs.csv").write_text(f"params,tokens,loss\n{rows}")
    said = run(
        "fit", tmp_path / "runs.csv", "--law", "power-params", "--law", "chinchilla-tied", "--bootstraps", 0,
        "--out", tmp_path / "laws", "--format", "svg",
    )  # fmt: skip
    assert "no picture isoflop-chinchilla-tied: No three sizes were trained with the same FLOPs" in said
