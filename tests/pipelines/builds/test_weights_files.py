"""Weights that a file gives: the result keeps what the file held, and `verify` reads the weights from there."""

from __future__ import annotations

import hashlib
import json

import little
import pytest

from tokenladder.pipelines.recount.verify import verify
from tokenladder.pipelines.study.weights import read_weights, weights_in

SHARES = "web = 0.3\ncode = 0.7\n"
BENDS = json.dumps([{"at": 0.5, "web": 1.0}, {"at": 1.0, "web": 0.25, "code": 0.75}])


def made(folder, **more):
    sources = {
        name: little.write_jsonl(folder / f"{name}.jsonl", little.corpus(1, 80, prefix=name))
        for name in ("web", "code")
    }
    recipes = {"all": {"weights": "mixes/m.toml"}, "less": {"base": "all", "keep": [{"score": "bytes", "max": 600}]}}
    recipes |= {"bent": {"weights": "bends.json"}, "plain": {"base": "all", "weights": {"web": 0.5, "code": 0.5}}}
    return little.build(little.write_study(folder, sources, **{"recipes": recipes, **more}), folder / "out")


def checks(result):
    return {one.promise: one.found for one in verify(str(result.out)) if not one.holds or "Weights" in one.promise}


@pytest.fixture
def built(tmp_path):
    (tmp_path / "mixes").mkdir()
    (tmp_path / "mixes" / "m.toml").write_text(SHARES)
    (tmp_path / "bends.json").write_text(BENDS)
    return made(tmp_path)


def test_a_result_holds_its_files_and_is_compared_with_them(tmp_path, built):
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (SHARES, BENDS)]
    copies = [f"weights/{digest}.{kind}" for digest, kind in zip(digests, ("toml", "json"), strict=True)]
    assert sorted(copies) == sorted(f"weights/{path.name}" for path in (built.out / "weights").iterdir())
    assert [(built.out / copy).read_text() for copy in copies] == [SHARES, BENDS]
    told = {name: recipe.get("weights_file") for name, recipe in built.manifest["recipes"].items()}
    toml = {"path": copies[0], "sha256": digests[0], "named": "mixes/m.toml"}
    assert told["all"] == told["less"] == toml
    assert told["bent"] == {"path": copies[1], "sha256": digests[1], "named": "bends.json"}
    assert told["plain"] is None
    for name in ("mixes/m.toml", "bends.json"):
        (tmp_path / name).unlink()
    same = "those of mixes/m.toml"
    assert checks(built) == {"Weights (all)": same, "Weights (less)": same, "Weights (bent)": "those of bends.json"}
    # what the file held is changed, then lost
    (built.out / copies[0]).write_text("web = 0.4\ncode = 0.6\n")
    found = checks(built)
    assert found["Files"] == f"{copies[0]}: its SHA-256 is not the manifest's"
    said = [f"{name} has {had} of the stream, the file says {says}" for name, had, says in (
        ("web", "0.300000", "0.400000"), ("code", "0.700000", "0.600000"),
    )]  # fmt: skip
    assert found["Weights (all)"] == "; ".join(said)
    (built.out / copies[0]).write_text('web = "all"')
    assert checks(built)["Weights (all)"].startswith(f"{copies[0]}: Invalid literal for Fraction: 'all'")
    (built.out / copies[0]).unlink()
    assert checks(built)["Weights (less)"] == f"{copies[0]}: is missing"
    (built.out / copies[1]).write_text(BENDS.replace("0.5,", "0.25,", 1)[:-1] + ', {"at": 1.0, "code": 1.0}]')
    assert checks(built)["Weights (bent)"] == "bends.json has weights at 3 places, the manifest at 2"
    # a study that says the weights itself leaves no copy
    again = made(tmp_path, recipes={"all": {"weights": {"web": 0.3, "code": 0.7}}})
    assert list((again.out / "weights").iterdir()) == []
    assert checks(again) == {}


def test_a_capital_ending_is_toml_too(tmp_path):
    (tmp_path / "W.TOML").write_text(SHARES)
    mistakes = []
    raw, files = read_weights({"recipes": {"all": {"weights": "W.TOML"}}}, str(tmp_path), mistakes)
    assert (raw["recipes"]["all"]["weights"], mistakes) == ({"web": 0.3, "code": 0.7}, [])
    assert files["all"].path.endswith(".toml")


@pytest.mark.parametrize(("data", "toml"), [(b"web = 1.0", True), (b'{"web": 1.0}', False)])
def test_a_file_may_begin_with_a_byte_order_mark(data, toml):
    assert weights_in(b"\xef\xbb\xbf" + data, toml=toml) == weights_in(data, toml=toml) == {"web": 1.0}
