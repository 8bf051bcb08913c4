"""Why a build stops: whose folder it is, another build, unreadable input, wiped-out sources, too few tokens."""

from __future__ import annotations

import json
import subprocess
import sys

import little
import pytest

from tokenladder.pipelines.drivers import intake
from tokenladder.pipelines.drivers.pool import BuildError
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.lock import lock
from tokenladder.pipelines.files.schema import DROPPED, REJECTED


@pytest.fixture
def study(tmp_path):
    little.write_jsonl(tmp_path / "web.jsonl", little.corpus(1, 60, prefix="w"))
    return tmp_path


def build(folder, **settings):
    return little.build(little.write_study(folder, {"web": folder / "web.jsonl"}, **settings), folder / "out")


@pytest.mark.parametrize("content", ["{", '{"title": "x"}', "[]", "3", "\ufeff"])
def test_a_manifest_of_something_else(study, content):
    (study / "out").mkdir()
    (study / "out" / "manifest.json").write_text(content)
    with pytest.raises(store.UserError, match=r"out/manifest\.json: is no manifest of a study\. Choose another folder"):
        build(study)
    assert [path.name for path in (study / "out").iterdir()] == ["manifest.json"]
    assert (study / "out" / "manifest.json").read_text() == content


def test_the_folder_of_another_study(study):
    (study / "out").mkdir()
    (study / "out" / "manifest.json").write_text(json.dumps({"name": "other"}))
    with pytest.raises(
        store.UserError, match=r"out: holds the study 'other', not 'little'\. Choose another folder with"
    ):
        build(study)


def test_two_builds_in_one_folder(tmp_path):
    out = str(tmp_path)
    code = (
        "import sys; from tokenladder.pipelines.files.lock import lock\n"
        f"with lock({out!r}): print('in', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(store.UserError, match=r": another build is running in this folder\. Wait for it to end"),
            lock(out),
        ):
            pass
        other.kill()
    with lock(out):  # a lock ends with its process
        pass
    with lock(out):
        pass


def test_a_stratum_that_runs_short(study):
    with pytest.raises(store.UserError) as error:
        build(study, budgets=["640", "100K"])
    lines = str(error.value).splitlines()
    assert lines[0] == "all: the kept documents do not fill its largest rung."
    kept = sum(len(row["text"].encode()) + 1 for row in little.corpus(1, 60, prefix="w"))
    needed = (100_000 + 32) // 64 * 64
    assert lines[1] == f"  web: {needed - kept:,} tokens missing; {needed:,} needed, {kept:,} kept"
    passes = -(-needed // kept)
    least = kept // 10 ** (len(str(kept)) - 3) * 10 ** (len(str(kept)) - 3)
    hint = f"Lower the budgets to {least:,} tokens, loosen rules, change weights, or set repeat = {passes}."
    assert lines[2] == hint
    build(study, budgets=["640", str(least)])
    with pytest.raises(store.UserError, match="Lower the budgets, loosen rules"):  # not to less than one sequence
        build(study, budgets=["100K"], sequence_length=1 << 16, shard_tokens=1 << 16)
    with pytest.raises(store.UserError, match=rf"{kept:,} kept × {passes - 1} passes"):
        build(study, budgets=["640", "100K"], recipes={"all": {"repeat": passes - 1}})
    made = build(study, budgets=["640", "100K"], recipes={"all": {"repeat": passes}})
    assert made.rungs()["100K"]["repeated_tokens"] == needed - kept


def test_rules_that_keep_nothing(study):
    rules = {"keep": [{"score": "bytes", "min": 10**9}]}
    with pytest.raises(store.UserError, match=r"all: no document of any source is kept\. Loosen its rules or"):
        build(study, recipes={"all": rules})
    weighted = {"weights": {"web": 1.0}, **rules}
    with pytest.raises(store.UserError, match="all: no document of web is kept"):
        build(study, recipes={"all": weighted})


def test_weights_of_a_source_and_all_that_is_kept_of_it_are_told_apart_from_an_empty_source(study):
    weighted = {"weights": {"web": 0.8, "web/none": 0.2}}
    message = (
        r"all: weights name web and each of its strata that is kept, web/none: nothing is left for the share of web\. "
        r"Give the shares to its strata alone, or to web alone\."
    )
    with pytest.raises(store.UserError, match=message):
        build(study, strata=["source", "kind"], recipes={"all": weighted})


def test_input_without_documents(study):
    (study / "web.jsonl").write_text('{"text": ""}\n{"text": " "}\n')
    with pytest.raises(BuildError, match=r"The sources hold no document\. Records were dropped as: empty"):
        build(study)


def summary(rows, documents, *outcomes):
    return {
        "parts": [{"rows": rows, "documents": documents, "bytes": 0, "text_bytes": 0}],
        "outcomes": [{"outcome": o, "reason": r, "records": n, "bytes": 0} for o, r, n in outcomes],
    }


def test_unreadable_records():
    bad = [(REJECTED, "not UTF-8", 7), (REJECTED, "truncated", 3), (DROPPED, "empty", 9)]
    summaries = {"a": summary(60, 41, *bad), "b": summary(40, 40, (REJECTED, "truncated", 5))}
    intake.check_rejected(summaries, 0.15)
    with pytest.raises(BuildError) as error:
        intake.check_rejected(summaries, 0.1)
    assert str(error.value) == (
        "15 of 100 records are unreadable (15.0%), more than max_rejected = 0.1. Most often: "
        "8 × truncated; 7 × not UTF-8"
    )
    with pytest.raises(BuildError, match=r"hold no document. Records were dropped as: empty \(4\), minified \(1\)\."):
        intake.check_rejected({"a": summary(5, 0, (DROPPED, "minified", 1), (DROPPED, "empty", 4))}, 0.1)
    with pytest.raises(
        BuildError, match=r"document\. Records were dropped as: empty \(1\); rejected as: torn \(2\)\.$"
    ):
        intake.check_rejected({"a": summary(3, 0, (REJECTED, "torn", 2), (DROPPED, "empty", 1))}, 1)
    with pytest.raises(BuildError, match=r"document\. There were no records\.$"):
        intake.check_rejected({}, 1)
