# ruff: noqa: ARG001 the fixture `torch` skips a test where PyTorch is missing
from __future__ import annotations

import csv
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builds_for_training import make
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files.store import UserError
from tokenladder.scaling.runs.table import read_runs
from tokenladder.training import Cache
from tokenladder.training.reference.grid import cross, from_design, rungs_of, write_table
from tokenladder.training.reference.settings import COLUMNS, Optimisation, Run
from tokenladder.training.reference.shape import Shape

WITHOUT = "PyTorch is not installed: pip install 'tokenladder[torch]'"
RUN = Run("all", "2", "1x8", optimisation=Optimisation(batch_tokens=48))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A build whose text is easy: each token is the one before and 1, but for the ends of documents."""
    folder = tmp_path_factory.mktemp("built")
    make(folder / "out", {"all": [20, 20]}, held_out=[6])
    return folder / "out"


def test_rates_rise_and_fall():
    cosine, wsd = (Optimisation(learning_rate=1.0, warm_up=0.1, schedule=name) for name in ("cosine", "wsd"))
    assert [cosine.rate(step, 100, 8) for step in (0, 4, 9, 99)] == pytest.approx([0.1, 0.5, 1.0, 0.1])
    assert [wsd.rate(step, 100, 8) for step in (4, 50, 80, 90, 99)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.05])
    assert Optimisation(warm_up=0.0).rate(0, 1, 100) == pytest.approx(0.002)


def test_settings_that_no_run_can_have_are_all_told():
    with pytest.raises(UserError, match=r"0 tokens in a batch.*learning rate of -1.*'linear'.*over 1.0 of the steps"):
        Optimisation(0, -1.0, "linear", 1.0)


def test_rungs_are_named_alone_or_by_recipe(built):
    assert rungs_of(str(built)) == [("all", "1"), ("all", "2")]
    assert rungs_of(str(built), ["all-2", "all"]) == [("all", "2"), ("all", "1")]
    with pytest.raises(UserError, match=r"has no rung or recipe 'al'. It has: all-1, all-2, all."):
        rungs_of(str(built), ["al"])


def test_a_grid_is_every_cell():
    runs = cross([("a", "1"), ("a", "2")], ["1x8", "2x8"], range(2), RUN)
    assert [run.name for run in runs[:3]] == ["a-1_1x8_seed0", "a-1_1x8_seed1", "a-2_1x8_seed0"]
    assert len(set(runs)) == 8


def test_commands_are_printed_one_a_run(built, monkeypatch):
    arguments = ["train-reference", str(built), "--size", "1x8", "--seeds", "2", "--rung", "all-1", "--print"]
    monkeypatch.setattr("sys.argv", ["tokenladder", *arguments])
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0
    assert shown.output.splitlines() == [
        f"tokenladder train-reference {built} --size 1x8 --seeds 2 --rung all-1 --only {n}  # all-1_1x8_seed{n}"
        for n in range(2)
    ]
    shown = CliRunner().invoke(cli, [*arguments[:-1], "--only", "2"])
    assert (shown.exit_code, "numbered from 0 to 1" in shown.output) == (2, True)


def test_the_table_is_what_the_laws_read(tmp_path):
    row = dict.fromkeys(COLUMNS, 1.0)
    row |= {"recipe": "all", "rung": "1", "params": 20000, "params_non_embedding": 15000, "params_embedding": 5000}
    row |= {"tokens": 50_000, "unique_tokens": 50_000, "flops": 6 * 20000 * 50_000, "batch_tokens": 4096, "loss": 4.0}
    row |= {"vocabulary": 1000, "train_loss": 4.1, "bits_per_byte": 4 / math.log(2) / 2.5, "bytes_per_token": 2.5}
    for n in range(2):
        (tmp_path / "runs" / f"r{n}").mkdir(parents=True)
        value = {"identity": "x", "row": row | {"run": f"r{n}", "seed": n}}
        (tmp_path / "runs" / f"r{n}" / "result.json").write_text(json.dumps(value))
    with Path(write_table(str(tmp_path))).open(newline="") as file:
        assert [line["run"] for line in csv.DictReader(file)] == ["r0", "r1"]
    table = read_runs(str(tmp_path))
    assert table.columns["loss"].tolist() == [4.0, 4.0]
    assert table.columns["params_non_embedding"].tolist() == [15000, 15000]


def test_without_torch_the_command_says_what_to_install(built, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = CliRunner().invoke(cli, ["train-reference", str(built), "--runs", str(tmp_path)])
    assert shown.exit_code == 2
    assert "pip install 'tokenladder[torch]'" in shown.output


@pytest.mark.parametrize("quiet", [False, True])
def test_what_training_says_can_be_left_out(built, tmp_path, monkeypatch, quiet):
    monkeypatch.setattr(
        "tokenladder.training.reference.grid.run_grid", lambda *given: given[-1]("0 of 1 runs are done")
    )
    arguments = ["train-reference", str(built), "--runs", str(tmp_path), "--device", "cpu", *["--quiet"] * quiet]
    shown = CliRunner().invoke(cli, arguments)
    assert (shown.exit_code, shown.output) == (0, "0 of 1 runs are done\n" * (not quiet) + f"{tmp_path}/runs.csv\n")


# with PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=WITHOUT)


@pytest.fixture
def machine(torch, tmp_path):
    from tokenladder.training.reference.train import Machine

    return Machine(device="cpu", cache=Cache(str(tmp_path / "cache")))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", ["1x8", "3x32", "2x64"])
def test_parameters_are_counted_as_the_model_has_them(torch, size, tied):
    from tokenladder.training.reference.model import Decoder

    shape = Shape.parse(size, 100, tied=tied)
    model = Decoder(shape)
    assert sum(p.numel() for p in model.parameters()) == shape.params
    assert model.embedding.weight.numel() == shape.params_embedding == shape.params - shape.params_non_embedding


@pytest.mark.parametrize(("size", "message"), [("4", "is no size"), ("2x33", "a multiple of 32"), ("1x7", "is even")])
def test_sizes_that_no_model_has_are_refused(size, message):
    with pytest.raises(UserError, match=message):
        Shape.parse(size, 100)


def test_the_loss_sees_no_later_token_and_masks_see_one_document(torch):
    from tokenladder.training.reference.model import Decoder

    model = Decoder(Shape.parse("2x32", 50), seed=1)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 50, (1, 12)))
    ignored = torch.full((1, 12), -100)

    def loss(changed, at, **extra):
        labels = ignored.clone()
        labels[0, at] = 7
        return model(changed, labels, **extra).item()

    other = ids.clone()
    other[0, 6:] = (ids[0, 6:] + 1) % 50
    assert loss(ids, 5) == loss(other, 5)
    assert loss(ids, 6) != loss(other, 6)
    numbers = torch.tensor([[0] * 4 + [1] * 8])
    mask = (numbers[:, :, None] == numbers[:, None, :]).tril()
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]])
    before = ids.clone()
    before[0, :4] = 9
    assert loss(ids, 8, mask=mask, positions=positions) == loss(before, 8, mask=mask, positions=positions)
    alone = model(ids[:, 4:], torch.where(torch.arange(8) == 4, 7, -100)[None]).item()
    assert loss(ids, 8, mask=mask, positions=positions) == pytest.approx(alone, rel=1e-5)


def test_a_stopped_run_ends_with_the_same_bits(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    whole = Trainer(str(built), RUN, str(tmp_path / "whole"), machine)
    whole.train()
    for stop in (3, 4, None):
        broken = Trainer(str(built), RUN, str(tmp_path / "broken"), machine)
        broken.train(stop=stop)
    assert (broken.step, broken.position) == (whole.step, whole.position) == (10, 40)
    assert broken.evaluate() == whole.evaluate()
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, broken.model.state_dict()[name])
    again = Trainer(str(built), replace(RUN, seed=5), str(tmp_path / "broken"), machine)
    with pytest.raises(UserError, match="is of a run with other settings or other data"):
        again.train()


def test_pieces_of_a_step_sum_to_the_step(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    losses = []
    for micro in (12, 24, 48):
        trainer = Trainer(str(built), RUN, str(tmp_path / str(micro)), replace(machine, micro_tokens=micro))
        trainer.train(stop=4)
        losses.append(trainer.evaluate())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_training_learns_and_exactly_the_tokens_that_were_asked_for(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    run = replace(RUN, tokens=12 * 43, optimisation=Optimisation(48, learning_rate=0.03, schedule="wsd"))
    trainer = Trainer(str(built), run, str(tmp_path / "run"), machine)
    begun = trainer.evaluate()
    assert begun == pytest.approx(math.log(50), abs=0.1)
    trainer.train()
    assert (trainer.step, trainer.position) == (11, 43)
    assert trainer.evaluate() < begun - 0.1
    row = trainer.result(2.0)
    assert list(row) == list(COLUMNS)
    assert (row["tokens"], row["unique_tokens"], row["epochs"], row["steps"]) == (516, 480, 516 / 480, 11)
    assert row["bits_per_byte"] == pytest.approx(row["loss"] / math.log(2) / 2)
    with pytest.raises(UserError, match="5 tokens are less than one sequence of 12"):
        Trainer(str(built), replace(RUN, tokens=5), str(tmp_path / "none"), machine)


def test_padding_is_no_token_of_a_run(torch, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    make(tmp_path / "padded", {"all": [10]}, held_out=[4], padded=True)
    path = tmp_path / "padded" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recipes"]["all"]["rungs"][0] |= {"padding_tokens": 20, "unique_tokens": 100}
    path.write_text(json.dumps(manifest))
    for sequences, tokens, epochs in ((10, 100, 1.0), (20, 200, 2.0), (15, 150, 1.5)):
        run = replace(RUN, rung="1", tokens=12 * sequences)
        row = Trainer(str(path.parent), run, str(tmp_path / str(sequences)), machine).result(2.0)
        assert (row["tokens"], row["unique_tokens"], row["epochs"]) == (tokens, 100, epochs)


def test_masked_runs_train(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    trainer = Trainer(str(built), replace(RUN, masked=True, shuffled=False), str(tmp_path / "run"), machine)
    trainer.train()
    assert trainer.evaluate() < math.log(50) + 0.1


def test_a_loss_that_is_no_number_is_told(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    run = replace(RUN, optimisation=Optimisation(48, learning_rate=1e30))
    with pytest.raises(UserError, match=r"all-2_1x8_seed0: the loss is nan at step \d+. Lower the learning rate"):
        Trainer(str(built), run, str(tmp_path / "run"), machine).train()


def test_a_run_that_fails_stops_no_other(torch, built, tmp_path, machine, monkeypatch):
    from tokenladder.training.reference import train
    from tokenladder.training.reference.grid import run_grid

    monkeypatch.setattr(train, "held_out_bytes", lambda _out, _rung: 2.0)
    wild = replace(RUN, rung="1", seed=3, optimisation=Optimisation(48, learning_rate=1e30))
    said = []
    with pytest.raises(UserError, match=r"^1 of 2 runs failed; the others are done:\nall-1_1x8_seed3: the loss is nan"):
        run_grid(str(built), [wild, RUN], str(tmp_path), machine, 1, said.append)
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == [RUN.name]
    assert [line.split(":")[0] for line in said[1:]] == [wild.name, RUN.name]


def test_a_held_out_loss_that_is_no_number_is_told(torch, built, tmp_path, machine, monkeypatch):
    from tokenladder.training.reference.train import Trainer

    trainer = Trainer(str(built), RUN, str(tmp_path / "run"), machine)
    monkeypatch.setattr(trainer, "evaluate", lambda: math.inf)
    with pytest.raises(UserError, match=r"all-2_1x8_seed0: the held-out loss is inf\. Lower the learning rate"):
        trainer.result(2.0)


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_one_before_stays(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    folder = tmp_path / "run"
    Trainer(str(built), RUN, str(folder), machine).train(stop=2)
    before = (folder / "checkpoint.pt").read_bytes()

    def full(_state, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail] . file write failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(
            OSError, match=r"checkpoint\.pt: the checkpoint of step 3 cannot be written: .* Make room; the one before"
        ):
            Trainer(str(built), RUN, str(folder), machine).train(stop=3)
    assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]
    assert (folder / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("device", ["tpu", "meta:nowhere", "cuda"])
def test_a_device_that_is_not_here_is_told(torch, device):
    from tokenladder.training.reference.train import Machine

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("There is a GPU here.")
    with pytest.raises(UserError, match=f"--device {device} cannot be used here: .* Give cpu, or auto"):
        Machine(device).torch_device()


def test_a_long_run_says_how_far_it_is(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    said = []
    Trainer(str(built), RUN, str(tmp_path / "run"), replace(machine, checkpoint_seconds=0)).train(say=said.append)
    assert len(said) == 9
    assert re.fullmatch(r"all-2_1x8_seed0: step 1 of 10, training loss \d\.\d{4}", said[0])


def test_a_damaged_checkpoint_is_told(torch, built, tmp_path, machine):
    from tokenladder.training.reference.train import Trainer

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"not one")
    with pytest.raises(UserError, match=r"checkpoint\.pt: is no checkpoint"):
        Trainer(str(built), RUN, str(tmp_path / "run"), machine).train()


def test_a_design_becomes_runs(built, tmp_path):
    path = tmp_path / "design.csv"
    path.write_text("params,tokens,seeds\n3000,240,2\n12000,900,1\n")
    runs = from_design(str(path), str(built), [], RUN)
    assert [(run.rung, run.tokens, run.seed) for run in runs] == [("1", None, 0), ("1", None, 1), ("2", 900, 0)]
    for run, wish in zip(runs, (3000, 3000, 12000), strict=True):
        assert 0.5 < Shape.parse(run.size, 50).params / wish < 2
    path.write_text("params,tokens,recipe\n3000,240,none\n")
    with pytest.raises(UserError, match=r"has no recipe 'none'. It has: all"):
        from_design(str(path), str(built), [], RUN)
    path.write_text("size\n1\n")
    with pytest.raises(UserError, match="is no design, a CSV with params and tokens"):
        from_design(str(path), str(built), [], RUN)
    path.write_text("params,tokens\n10,240\n")
    with pytest.raises(UserError, match="10 parameters are too few for a vocabulary of 50"):
        from_design(str(path), str(built), [], RUN)


def test_the_grid_that_the_command_design_wrote_is_trained(torch, tmp_path, monkeypatch):
    from tokenladder.training.reference import train

    monkeypatch.setenv("TOKENLADDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "held_out_bytes", lambda _out, _rung: 2.0)  # the build by hand has no tokenizer
    sizes = ["--sizes", "1K,3K", "--shape", "rectangle", "--rungs", "2", "--span", "4"]
    shown = CliRunner().invoke(cli, ["design", *sizes, "--flops", "4e7", "--out", str(tmp_path / "plan")])
    assert shown.exit_code == 0, shown.output
    with (tmp_path / "plan" / "grid.csv").open(newline="") as file:
        budgets = sorted({int(row["tokens"]) for row in csv.DictReader(file)})
    ends = [round(budget / 12) for budget in budgets]  # a build of these budgets, to the nearest sequence
    shards = np.diff([0, *ends]).tolist()
    make(tmp_path / "out", {"clean": shards, "raw": shards}, held_out=[4])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for recipe in manifest["recipes"].values():
        for rung, budget in zip(recipe["rungs"], budgets, strict=True):
            rung["requested_tokens"] = budget
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    grid = ["--grid", str(tmp_path / "plan" / "grid.csv"), "--batch-tokens", "48", "--device", "cpu"]
    runs = ["--runs", str(tmp_path / "runs"), "--rung", "clean"]
    shown = CliRunner().invoke(cli, ["train-reference", str(tmp_path / "out"), *grid, *runs])
    assert shown.exit_code == 0, shown.output
    assert "0 of 4 runs are done, 4 to train" in shown.output
    with (tmp_path / "runs" / "runs.csv").open(newline="") as file:
        found = [(row["run"], row["tokens"]) for row in csv.DictReader(file)]
    assert found == [
        (f"clean-{n}_{size}_seed1", str(12 * end)) for n, end in enumerate(ends, 1) for size in ("1x16", "1x8")
    ]


def test_a_grid_names_its_recipes(built, tmp_path):
    path = tmp_path / "design.csv"
    path.write_text("params,tokens,recipe\n3000,240,all\n3001,240,all\n")  # two sizes that are nearest to one model
    assert len(from_design(str(path), str(built), ["all"], RUN)) == 1
    with pytest.raises(UserError, match=r"has no recipe 'al'. It has: all"):
        from_design(str(path), str(built), ["al"], RUN)


def test_finished_runs_are_not_trained_again(torch, built, tmp_path, machine, monkeypatch):
    from tokenladder.training.reference import train
    from tokenladder.training.reference.grid import run_grid

    monkeypatch.setattr(train, "held_out_bytes", lambda _out, _rung: 2.0)  # the build by hand has no tokenizer
    runs, said = cross([("all", "1"), ("all", "2")], ["1x8"], [0], RUN), []
    rows = run_grid(str(built), runs[:1], str(tmp_path), machine, 1, said.append)
    more = run_grid(str(built), runs, str(tmp_path), machine, 1, said.append)
    assert more[0] == rows[0]
    assert said[0] == "0 of 1 runs are done, 1 to train"
    assert said[2] == "1 of 2 runs are done, 1 to train"
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["all-1_1x8_seed0", "all-2_1x8_seed0"]
    assert not list(tmp_path.rglob("checkpoint.pt"))
    other = [replace(runs[0], shuffled=False)]
    with pytest.raises(UserError, match="other settings or other data"):
        run_grid(str(built), other, str(tmp_path), machine, 1, said.append)


def test_a_file_in_the_place_of_the_runs_is_told_before_any(built, tmp_path):
    (tmp_path / "file").write_text("x")
    done = CliRunner().invoke(cli, ["train-reference", str(built), "--runs", str(tmp_path / "file" / "x")])
    told = f"--runs {tmp_path}/file/x: {tmp_path}/file is a file, so no folder can stand there. Name another one."
    assert (done.exit_code, done.output.strip()) == (2, told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "4", "--seeds", "3"], "'4' is no size. Write LAYERSxWIDTH, such as 4x128."),
        (["--seeds", "0"], "--seeds 0: nothing would be trained. Give 1 or more."),
        (["--processes", "0"], "--processes 0: nothing would be trained. Give 1 or more."),
    ],
)
def test_what_no_run_can_have_is_told_once(built, tmp_path, options, message):
    done = CliRunner().invoke(cli, ["train-reference", str(built), "--runs", str(tmp_path), *options])
    assert (done.exit_code, done.output.strip()) == (2, message)
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_here_is_told_before_any_run(torch, built, tmp_path, machine):
    from tokenladder.training.reference.grid import run_grid

    with pytest.raises(UserError, match=r"^--device tpu cannot be used here: .* Give cpu, or auto\.$"):
        run_grid(str(built), [RUN, replace(RUN, seed=4)], str(tmp_path), replace(machine, device="tpu"), 2, str)
