"""Marks of whole folders, and what is done where files are lost or damaged after all."""

from __future__ import annotations

import json
import shutil

import little
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import marks, store


def test_a_folder_that_lost_a_file_is_not_done(tmp_path):
    folder = str(tmp_path)
    assert not marks.is_done(folder)
    (tmp_path / "done.json").write_text('{"told": 1}')  # as it was written once
    assert marks.is_done(folder)
    store.write_json(f"{folder}/some/0.json", 0)
    marks.mark(folder, {"told": 1}, ["some", "none"])
    assert store.read_json(f"{folder}/done.json") == {"told": 1, "holds": {"some": 1, "none": 0}}
    assert marks.is_done(folder)
    (tmp_path / "some" / "0.json").unlink()
    assert not marks.is_done(folder)
    for damaged in ("", "[]", "\xff"):
        (tmp_path / "done.json").write_text(damaged, encoding="latin-1")
        assert not marks.is_done(folder)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.json"
    for damaged in (b"", b"{", b"\xff"):
        path.write_bytes(damaged)
        with pytest.raises(OSError, match=rf"^{path}: is damaged: "):
            store.read_json(str(path))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marks")
    little.write_jsonl(folder / "a.jsonl", little.corpus(1, 30, copies=3, neighbours=5))
    little.write_jsonl(folder / "b.jsonl", little.corpus(2, 30, prefix="b"))
    rung = 20 * little.LENGTH
    easy = {"recipe": "all", "rung": rung, "sort": "lengths.words"}
    return little.write_study(
        folder,
        {"a": "a.jsonl", "b": "b.jsonl"},
        budgets=[rung],
        scores={"lengths": {"type": "lengths"}},
        held_out={"tokens": 4 * little.LENGTH},
        curricula={"easy": easy},
    )


@pytest.fixture(scope="module")
def made(study):
    return little.build(study, study.parent / "out")


MARKED = ["choices/*/losers", "choices/*/histograms", "held_out/*/excluded", "clusters/*/members", "ladders/*/places"]
MARKED += ["ladders/*/order", "curricula/*/order"]


def test_files_that_were_lost_are_made_again(study, made, tmp_path):
    out = shutil.copytree(made.out, tmp_path / "out")
    lost = [max(out.glob(f".store/{where}/*")) for where in MARKED]
    for path in lost:
        path.unlink()
    shutil.rmtree(out / "shards")
    shutil.rmtree(out / "curricula")
    shutil.rmtree(out / "ledger")
    again = little.build(study, out)
    assert little.differing(little.files(again.out), little.files(made.out)) == []
    assert [path for path in lost if not path.exists()] == []


def test_what_to_do_about_a_damaged_file_is_told(study, made, tmp_path):
    out = shutil.copytree(made.out, tmp_path / "out")
    (path,) = out.glob(".store/pools/*.json")
    path.write_text("{")
    shutil.rmtree(out / "shards")
    done = CliRunner().invoke(cli, ["build", str(study), "--out", str(out), "--quiet"])
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == (
        "If it stands in a build's store, delete that store: the same command makes all of it again."
    )
    assert f"{path}: is damaged: " in done.output
    assert json.loads((out / "manifest.json").read_text()) == made.manifest
