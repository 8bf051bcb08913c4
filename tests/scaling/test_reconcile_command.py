from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.scaling.laws.registry import LAWS
from tokenladder.scaling.reconcile.reconcile import Reading, simulate, with_embeddings
from tokenladder.scaling.reconcile.report import changes, make_reading, work_out

import published

ISOFLOP = published.DATA / "isoflop.csv"
KAPLAN = ["--from", "tuning=base", "--from", "warm_up=long", "--from", "decay=kaplan", "--from", "count=kaplan"]
CAUSES = [
    "--cause", "last layer's FLOPs: count=standard", "--cause", "warm-up: warm_up=short",
    "--cause", "schedule: decay=chinchilla", "--cause", "tuning: tuning=tuned, decay=const",
]  # fmt: skip


def run(*arguments, status=0):
    done = CliRunner().invoke(cli, ["reconcile", *map(str, arguments)], env={"COLUMNS": "160"})
    assert done.exit_code == status, done.output + repr(done.exception)
    return done.output


def test_porians_way_as_a_command(tmp_path):
    said = run(
        ISOFLOP, *KAPLAN, *CAUSES, "--names", "Kaplan", "Chinchilla", "--claimed", 0.5, "--out", tmp_path / "out"
    )
    value = json.loads((tmp_path / "out" / "reconcile.json").read_text())
    exponents = [value["start"]["exponent"], *(step["after"] for step in value["steps"])]
    assert exponents == pytest.approx([0.834, 0.700, 0.606, 0.572, 0.497, 0.5], abs=0.01)
    assert [step["cause"] for step in value["steps"]] == [
        "last layer's FLOPs", "warm-up", "schedule", "tuning", "unexplained",
    ]  # fmt: skip
    assert [view["view"] for view in value["views"]] == ["size", "data", "compute", "surface"]
    assert value["frontier"]["exponent"] == pytest.approx(0.497, abs=0.01)
    assert value["break"]["p_value"] > 0.05
    assert "from Kaplan to Chinchilla" in said
    assert (tmp_path / "out" / "waterfall.svg").exists()
    assert "Chinchilla" in (tmp_path / "out" / "waterfall.svg").read_text()


def test_two_published_laws_as_a_command(tmp_path):
    said = run("besiroglu-2024", "kaplan-2020", "--out", tmp_path / "out")
    assert [line.split()[:2] for line in said.splitlines() if "embeddings" in line or "range" in line] == [
        ["range", "of"], ["embeddings", "left"],
    ]  # fmt: skip
    assert "Besiroglu et al. 2024: Chinchilla Scaling: A replication attempt, arXiv:2404.10102; 4.4e+07" in said
    value = json.loads((tmp_path / "out" / "reconcile.json").read_text())
    assert [value["start"]["exponent"], value["steps"][1]["after"], value["end"]["exponent"]] == pytest.approx(
        [0.5126, 0.787, 0.73], abs=1e-3
    )
    assert (tmp_path / "out" / "waterfall.svg").exists()


def test_a_fit_stands_beside_a_paper(tmp_path):
    arguments = [str(published.DATA / "chinchilla.csv"), "--drop-highest", "5", "--bootstraps", "0", "--format", "svg"]
    done = CliRunner().invoke(cli, ["fit", *arguments, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    fitted = tmp_path / "fit.json"
    said = run(fitted, "hoffmann-2022")
    assert "chinchilla fitted to 240 runs; " in " ".join(said.split())
    assert "constants" in said
    assert "0.452" in said  # .28 / (.34 + .28) of the published constants
    value = json.loads(fitted.read_text())
    value["fits"] = [{**value["fits"][0], "recipe": name} for name in ("raw", "top10")]
    fitted.write_text(json.dumps(value))
    assert "there are " + f"{fitted}:raw, {fitted}:top10" in " ".join(run(fitted, "kaplan-2020", status=2).split())
    assert "unexplained +0.000" in " ".join(run(f"{fitted}:raw", f"{fitted}:top10").split())


def test_mistakes_in_naming_laws(tmp_path):
    known = "kaplan-2020, hoffmann-2022, besiroglu-2024"
    said = run("nobody-2020", "kaplan-2020", status=2)
    assert f"'nobody-2020' is neither a published law ({known}) nor a fit.json that exists." in said
    (tmp_path / "x.json").write_text("[]")
    said = run(tmp_path / "x.json", "kaplan-2020", status=2)
    assert "is not what `tokenladder fit` writes: give its fit.json." in said
    assert "Give one table of runs, or two laws; not 3 names." in run("a", "b", "c", status=2)
    assert "leave out all options but --out" in run("besiroglu-2024", "kaplan-2020", "--claimed", 0.5, status=2)
    said = run("kaplan-2020", "besiroglu-2024", status=2)
    assert "Kaplan et al. 2020 gives no surface to read in another way: name it second." in said


def test_readings_from_words():
    runs = {"recipe": np.array(["a", "b"]), "seed": np.array([1.0, 2.0]), "flops": np.ones(2), "other": np.ones(2)}
    given = {"method": "surface", "law": "gadre", "least_flops": "1e18", "flops": "other", "recipe": "a", "seed": "2"}
    made = make_reading(given, runs)
    assert (made.method, made.law.name, made.least_flops, made.flops) == ("surface", "gadre", 1e18, "other")
    assert dict(made.only) == {"recipe": "a", "seed": 2.0}
    assert changes({"recipe": "b"}, runs) == {"only": {"recipe": "b"}}
    assert make_reading({"recipe": "b"}, runs, made).only["seed"] == 2.0


def test_a_frontier_by_law_or_envelope():
    sizes, budgets = np.geomspace(1e6, 1e10, 30), np.geomspace(1e17, 1e21, 9)
    theta = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
    runs = simulate(LAWS["chinchilla"], theta, sizes, budgets, count=with_embeddings)
    runs["with_embeddings"] = with_embeddings(runs["params"])
    law = work_out(runs, Reading(), {"asking a law": {"method": "surface"}})
    assert law.frontier is None
    assert law.bend is None
    envelope = work_out(runs, Reading(), {"embeddings counted": {"size": "with_embeddings", "method": "envelope"}})
    assert envelope.frontier.flops.size == 9
    assert envelope.way.steps[0].after < envelope.way.steps[0].before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--cause'"),
        (["--cause", "tuning"], "'tuning': write 'CAUSE: NAME=VALUE, NAME=VALUE'"),
        (["--cause", "x: tuning=best"], "tuning=best: no run has that. The column 'tuning' holds base, tuned."),
        (
            ["--cause", "x: method=magic"],
            "method=magic: is not known. Choose one of isoflop, parabola, envelope, surface.",
        ),
        (["--cause", "x: least_flops=few"], "least_flops=few: not a number. Write least_flops=1e19."),
        (["--cause", "x: colour=red"], "colour=red: there is no such choice or column. There are: method, law, size"),
        (["--cause", "x: least_flops=1e30"], "After changing x: No run is left with"),
    ],
)
def test_mistakes(arguments, said):
    assert said in " ".join(run(ISOFLOP, *KAPLAN, *arguments, status=2).split())
