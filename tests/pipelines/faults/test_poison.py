"""Texts that end the process of a score or of the tokenizer: the build goes on, exact, however the input is cut."""

from __future__ import annotations

import little
import pytest

from tokenladder.pipelines.ask.explain import explain
from tokenladder.pipelines.engines import isolate
from tokenladder.pipelines.engines.child import ENCODING
from tokenladder.pipelines.recount.verify import verify

EACH = little.Eager.each

MINE = """
import os, signal
import pyarrow.compute as pc

def length(documents):
    if "DEADLY" in " ".join(documents["text"].to_pylist()):
        os.kill(os.getpid(), signal.SIGSEGV)
    return {"length": pc.binary_length(documents["text"])}
"""


@pytest.fixture(autouse=True)
def children(monkeypatch):
    """Isolated work in children of this test's own, and a tokenizer that some texts kill."""
    own = isolate.Pool()
    monkeypatch.setattr(isolate, "POOL", own)
    each = little.Eager.each

    def watched(self, label, target, payloads, *, isolated=False):
        if not isolated:
            return each(self, label, target, payloads)
        for payload in self._shuffled(payloads):
            isolate.call(target.replace("pipelines.stages.encode:", "tests.pipelines.deadly_tokenizer:"), payload)
        return None

    monkeypatch.setattr(little.Eager, "each", watched)
    yield
    own.close()


def write(folder, rows, files):
    (folder / "mine.py").parent.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(MINE)
    for n in range(files):
        little.write_jsonl(folder / f"a{n}.jsonl", rows[n::files])
    score = {"type": "function", "function": "mine:length"}
    keep = [{"score": "length", "min": 1}]
    return little.write_study(
        folder, {"a": "a*.jsonl"}, scores={"length": score}, recipes={"all": {"keep": keep, "dedup": False}}
    )


@pytest.mark.slow  # children die five times and start again
def test_texts_that_kill_a_score_or_the_tokenizer(tmp_path):
    plain = little.corpus(31, 80)
    first = little.ordered([f"KILLS {n} {plain[0]['text']}" for n in range(30)])[0]  # whose turn comes soon
    deadly = {"score": f"DEADLY {plain[0]['text']}", "tokenizer": first}
    together = {"id": "together", "text": f"KILLS-TOGETHER {plain[0]['text']}"}
    rows = [*plain, together, *({"id": name, "text": text} for name, text in deadly.items())]
    whole = little.build(write(tmp_path / "plain", [*plain, together], 1), tmp_path / "plain" / "out")
    made = little.build(write(tmp_path / "cut", rows, 2), tmp_path / "cut" / "out")
    bins = made.bins()
    assert bins["score"] == ("dropped", "length min 1: scoring crashed (signal 11)")
    assert bins["tokenizer"] == ("rejected", "encoding crashed (signal 11)")
    assert bins["together"] == whole.bins()["together"]
    assert [check.promise for check in verify(str(made.out)) if not check.holds] == []
    (explained,) = explain(str(made.out), "score")
    assert explained.fates == {"all": "dropped: length min 1: scoring crashed (signal 11)"}
    assert explained.scores == {"length": {"length": None, "killed": "scoring crashed (signal 11)"}}
    assert list(made.out.rglob(".tmp-*")) == []
    shards = [{name: data for name, data in little.files(one.out).items() if "shards" in name} for one in (made, whole)]
    assert little.differing(*shards) == []  # however the input is cut, as if the texts were not there


@pytest.mark.parametrize("budgets", [[20 * little.LENGTH, 60 * little.LENGTH], ["1KB", "3KB"]])
def test_a_stratum_none_of_whose_texts_can_be_encoded(tmp_path, monkeypatch, budgets):
    def refusing(self, label, target, payloads, *, isolated=False):
        for payload in payloads:
            if isolated and target.endswith("encode:encode_part") and payload["part"]["source"] == "b":
                rows = range(payload["part"]["rows"])
                payload["reject"] = {str(ENCODING + row): "encoding crashed (signal 11)" for row in rows}
        return EACH(self, label, target, payloads)

    monkeypatch.setattr(little.Eager, "each", refusing)
    sources = {
        name: little.write_jsonl(tmp_path / f"{name}.jsonl", little.corpus(5, count, prefix=name))
        for name, count in (("a", 60), ("b", 9))
    }
    recipes = {"all": {"rescale": True, "weights": {"a": 0.9, "b": 0.1}}}
    made = little.build(little.write_study(tmp_path, sources, recipes=recipes, budgets=budgets), tmp_path / "out")
    told = {one for name, one in made.bins().items() if name.startswith("b")}
    assert told == {("rejected", "encoding crashed (signal 11)")}  # each had its turn
    assert ("over_budget", None) in made.bins().values()  # of what could be encoded, some had none
    assert [check.promise for check in verify(str(made.out)) if not check.holds] == []
    assert "| rejected: ended the tokenizer's process | 0 | 9 |" in (made.out / "README.md").read_text()
