"""The best mixture by fitted laws, in `fit.json`, and a study that takes its weights from there."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.study.file import StudyError, load
from tokenladder.scaling.commands.fit import fit as command
from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.fits.mixtures import best_mixture
from tokenladder.scaling.laws.registry import LAWS, MIXTURES

STRATA = ("books", "code", "web")
TRUTHS = (
    {"c": 1.5, "t_books": 0.4, "t_code": 0.9, "t_web": -0.5},
    {"c": 1.0, "t_books": 0.3, "t_code": -1.2, "t_web": 1.1},
)


def runs(seed=2, count=40):
    shares = np.random.default_rng(seed).dirichlet(np.ones(3) * 2, count).T
    return {f"share_{name}": share for name, share in zip(STRATA, shares, strict=True)}


def fits():
    law, columns = MIXTURES["data-mixing"](STRATA), runs()
    return [fit(law, columns | {"loss": law.predict(truth, columns)}) for truth in TRUTHS]


def loss(some, shares):
    columns = {f"share_{name}": np.array([share]) for name, share in zip(STRATA, shares, strict=True)}
    return float(np.mean([one.predict(columns)[0] for one in some]))


@pytest.mark.parametrize("which", [[0], [1], [0, 1]])
def test_no_mixture_on_a_grid_inside_what_the_runs_had_is_better(which):
    some = [fits()[n] for n in which]
    found = best_mixture(some)
    assert sum(found.shares.values()) == pytest.approx(1, abs=1e-9)
    columns = runs()
    for name, share in found.shares.items():
        low, high = columns[f"share_{name}"].min(), columns[f"share_{name}"].max()
        assert found.within[name] == (low, high)
        assert low - 2e-6 <= share <= high + 2e-6
    assert found.loss == pytest.approx(loss(some, found.shares.values()))
    grid = np.linspace(0, 1, 41)
    inside = [
        (a, b, 1 - a - b)
        for a, b in itertools.product(grid, grid)
        if all(lo <= x <= hi for x, (lo, hi) in zip((a, b, 1 - a - b), found.within.values(), strict=True))
    ]
    assert len(inside) > 100
    assert found.loss <= min(loss(some, shares) for shares in inside) + 1e-6


def test_fits_of_other_laws_choose_no_mixture():
    tokens = np.geomspace(1e8, 1e11, 12)
    other = fit(LAWS["power-tokens"], {"tokens": tokens, "loss": 1.8 + 500 * tokens**-0.3})
    with pytest.raises(ValueError, match=r"^A mixture is chosen by fits of one mixture law over the same strata\.$"):
        best_mixture([other])


STUDY = """
name = "s"
budgets = ["10K"]
sequence_length = 64
tokenizer = { type = "bytes" }
sources.web = { format = "jsonl", path = "w.jsonl" }
sources.code = { format = "jsonl", path = "c.jsonl" }
sources.books = { format = "jsonl", path = "b.jsonl" }
recipes.best = { weights = "FILE" }
"""


def study(folder, name):
    (folder / "study.toml").write_text(STUDY.replace("FILE", name))
    return load(str(folder / "study.toml"))


def test_a_study_takes_the_mixture_of_all_losses_from_a_fit(tmp_path):
    columns = runs()
    law = MIXTURES["data-mixing"](STRATA)
    lines = ["recipe,params,tokens," + ",".join(columns) + ",loss"]
    for name, truth in zip(("news", "tests"), TRUTHS, strict=True):
        rows = np.stack([*columns.values(), law.predict(truth, columns)], axis=1)
        lines += [f"{name},1e8,1e9," + ",".join(map(repr, row)) for row in rows.tolist()]
    (tmp_path / "runs.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "laws"
    arguments = [str(tmp_path / "runs.csv"), "--law", "data-mixing", "--bootstraps", "0", "--out", str(out)]
    done = CliRunner().invoke(command, [*arguments, "--format", "svg"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "best mixture by data-mixing: books 0." in done.output
    told = json.loads((out / "fit.json").read_text())["mixtures"]
    assert {one["law"] for one in told} == {"data-mixing"}
    assert [one["recipe"] for one in told] == ["", "news", "tests"]
    assert told[0]["shares"] == pytest.approx(dict(best_mixture(fits()).shares), abs=2e-3)
    assert told[0]["loss"] > max(0, min(one["loss"] for one in told[1:]))
    assert study(tmp_path, "laws/fit.json").recipe("best").weights == told[0]["shares"]


def test_files_of_shares_and_of_bends_and_what_is_none(tmp_path):
    (tmp_path / "m.json").write_text('{"web": 0.5, "code": 0.5}')
    assert study(tmp_path, "m.json").recipe("best").weights == {"web": 0.5, "code": 0.5}
    (tmp_path / "m.toml").write_text("weights = [{ at = 0.5, web = 1.0 }, { at = 1.0, code = 1.0 }]\n")
    assert [bend.at for bend in study(tmp_path, "m.toml").recipe("best").weights] == [0.5, 1.0]
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "fit.json").write_text('{"fits": []}')
    (tmp_path / "sums.json").write_text('{"web": 0.5}')
    said = {
        "none.json": "recipes.best.weights: none.json: there is no such file",
        "bad.json": "recipes.best.weights: bad.json: cannot be read: Expecting property name",
        "fit.json": "recipes.best.weights: fit.json: cannot be read: this fit chose no mixture. Fit a law of mixtures",
        "sums.json": "recipes.best.weights: shares sum to 0.5. They must sum to 1",
    }
    for name, message in said.items():
        with pytest.raises(StudyError) as error:
            study(tmp_path, name)
        assert len(error.value.mistakes) == 1
        assert error.value.mistakes[0].startswith(message)


@pytest.mark.parametrize(
    ("name", "text", "mistake"),
    [
        ("w.json", '{"web": NaN, "code": 0.5}', "Out of range float values are not JSON compliant"),
        ("w.toml", "web = nan\ncode = 0.5", "Out of range float values are not JSON compliant"),
        ("w.toml", "web = 2020-01-01", "Object of type date is not JSON serializable"),
        ("w.json", '{"\\ud800": 1.0}', "'utf-8' codec can't encode"),
        ("w.json", '{"weights": null}', "holds no weights, but null. Write a table of shares, or a list of such"),
        ("w.json", '"other.json"', 'holds no weights, but "other.json"'),
        ("w.json", '{"fits": [], "mixtures": [{}]}', "its mixtures are not as tokenladder fit writes them. Fit again"),
        ("w.json", '{"fits": [], "mixtures": {"web": 1}}', "its mixtures are not as tokenladder fit writes them"),
    ],
)
def test_a_file_that_no_study_could_hold_is_a_mistake_of_the_study(tmp_path, name, text, mistake):
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError) as error:
        study(tmp_path, name)
    assert len(error.value.mistakes) == 1
    assert error.value.mistakes[0].startswith(f"recipes.best.weights: {name}: cannot be read: {mistake}")
