"""Scores of odd values: infinite, no numbers, whole ones that no float holds, and labels that would rule a terminal."""

from __future__ import annotations

import json
import re

import little
import pytest

from tokenladder.data_cards.report import visible
from tokenladder.pipelines.commands.tables import show_manifest
from tokenladder.pipelines.drivers.report import PAGE

MINE = """
import pyarrow as pa

def odd(documents):
    sizes = [len(text) for text in documents["text"].to_pylist()]
    odd = [float("inf"), float("-inf"), float("nan")]
    return {
        "value": pa.array([odd[n % 6] if n % 6 < 3 else float(n) for n in sizes], pa.float64()),
        "large": pa.array([2**63 - 1 - n for n in sizes], pa.int64()),
        "label": pa.array([f"\\x1b[31m\\u202e{n % 2}" for n in sizes], pa.string()),
    }
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "mine.py").write_text(MINE)
    study = little.write_study(
        folder,
        {"web": little.write_jsonl(folder / "web.jsonl", little.corpus(3, 80))},
        budgets=[5 * little.LENGTH, 15 * little.LENGTH],
        scores={"odd": {"type": "function", "function": "mine:odd"}},
        strata=["source", "odd.label"],
        recipes={"all": {}, "some": {"keep": [{"score": "odd.value", "min": 3}, {"score": "odd.large", "min": 1e18}]}},
        curricula={"large": {"recipe": "all", "rung": 15 * little.LENGTH, "sort": "odd.large"}},
    )
    return little.build(study, folder / "out")


def test_the_page_holds_what_a_browser_takes_for_json(built):
    def never(value):
        raise AssertionError(value)

    text = re.search(r'id="data">(.*?)</script>', (built.out / PAGE).read_text(), re.DOTALL)[1]
    samples = json.loads(text, parse_constant=never)["samples"]
    values = {sample["scores"]["odd.value"] for sample in samples}
    assert {"inf", "-inf", None} < values
    labels = [sample["scores"]["odd"] for sample in samples if sample["scores"]["odd"] is not None]
    assert labels == [visible(label) for label in labels]


def test_a_label_rules_no_terminal(built, capsys):
    show_manifest(built.manifest)
    shown = capsys.readouterr().out
    assert "[31m" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
