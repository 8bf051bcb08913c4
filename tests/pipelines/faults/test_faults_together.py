"""Faults of all kinds in one build, again and again, by a seed: no document is lost or doubled, no work done twice."""
# ruff: noqa: S311 moments drawn at random are no secrets

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import little
import pytest

from tokenladder.pipelines.recount.verify import verify

TESTS = str(Path(little.__file__).parent)
KINDS = ("read", "full", "kill before", "kill after", "child")

ALONE = [[".store", name] for name in ("slices", "tokens", "counts", "spreads", "surveys", "pools")]
"""Folders whose files are each the finished work of one task; elsewhere `done.json` is put last."""

FAULTY = """
import errno, itertools, json, os, signal, sys, traceback
import little
import tokenladder.filters.measures.lengths, tokenladder.filters.duplicates.minhash, tokenladder.pipelines.formats.jsonl
import tokenladder.pipelines.drivers.build, tokenladder.pipelines.drivers.plan
from tokenladder.pipelines.engines import isolate
from tokenladder.pipelines.files import store

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def raising(number, words):
    def act():
        raise OSError(number, words)
    return act

def at(moment, function, before=None, after=None):
    calls = itertools.count()
    def faulty(*arguments, **options):
        now = next(calls) == moment
        if now and before is not None:
            before()
        value = function(*arguments, **options)
        if now and after is not None:
            after()
        return value
    return faulty

def isolated():
    # the work of children in children, one of which dies before its call
    each, call = little.Eager.each, isolate.Child.call
    killed = []
    def run(self, label, target, payloads, *, isolated=False):
        if not isolated:
            return each(self, label, target, payloads)
        for payload in payloads:
            isolate.call(target, payload)
    def lost(self, *arguments, **options):
        if not killed:
            killed.append(True)
            self._process.kill()
        return call(self, *arguments, **options)
    little.Eager.each, isolate.Child.call = run, lost

def arm(kind, moment):
    if kind == "read":
        store.open_input = at(moment, store.open_input, before=raising(errno.EIO, "Input/output error"))
    elif kind == "full":
        os.fsync = at(moment, os.fsync, before=raising(errno.ENOSPC, "No space left on device"))
    elif kind.startswith("kill"):
        os.replace = at(moment, os.replace, **{kind.partition(" ")[2]: die})
    else:
        isolated()

for line in sys.stdin:
    study, out, faults = json.loads(line)
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            for kind, moment in faults:
                arm(kind, moment)
            little.build(study, out)
        except OSError:
            status = 1
        except BaseException:
            traceback.print_exc()
            status = 3
        isolate.POOL.close()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Runs each line of its input as a build with faults, each a kind and at which of its calls, in a fork."""


@pytest.fixture(scope="module")
def attempt():
    """Runs a build with faults; 0 if it came to its end, 1 if it told of one, minus the signal that killed it."""
    path = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-c", FAULTY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:

        def run(study, out, faults):
            process.stdin.write(json.dumps([str(study), str(out), faults]) + "\n")
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = little.corpus(95, 60, copies=4, neighbours=12)
    for n in range(2):
        little.write_jsonl(folder / "a" / f"{n}.jsonl", rows[n::2])
    held = {"tokens": 10 * little.LENGTH}
    return little.write_study(folder, {"a": "a/*.jsonl"}, scores={"lengths": {"type": "lengths"}}, held_out=held)


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    """Files of a build that nothing disturbed."""
    return little.files(little.build(study, tmp_path_factory.mktemp("whole") / "out").out)


def finished(out):
    """Files of tasks that are finished, and as which file each stands: they, or the mark of their folder, are last."""
    marked = {str(path.parent.relative_to(out)) for path in out.glob(".store/*/*/done.json")}
    found = {path: stamp for path, stamp in little.stamps(out).items() if "/.tmp-" not in path}
    return {
        path: stamp
        for path, stamp in found.items()
        if path.split("/")[:2] in ALONE or "/".join(path.split("/")[:3]) in marked
    }


@pytest.mark.parametrize("seed", [96, pytest.param(97, marks=pytest.mark.slow)])
def test_no_fault_loses_or_doubles_a_document_or_work(study, whole, attempt, tmp_path, seed):
    rng, out, stood = random.Random(seed), tmp_path / "out", {}
    ends = []
    for n in range(4):
        # an error and a kill in every attempt, in turn one and the other first, later as the build comes further
        kinds = [rng.choice(KINDS[2:4]), rng.choice(KINDS[:2])]
        first, second = kinds if n % 2 == 0 else kinds[::-1]
        faults = [(first, rng.randrange(2 + 4 * n, 8 + 6 * n)), (second, rng.randrange(20 + 6 * n, 60 + 12 * n))]
        ends.append(attempt(study, out, [("child", 0), *faults] if n == 0 else faults))  # a child dies in the first
        assert ends[-1] in {0, 1, -9}
        now = finished(out)
        assert [path for path, stamp in stood.items() if now.get(path) != stamp] == []
        stood = now
        if (out / "manifest.json").exists():  # it is put last
            assert little.differing(little.files(out), whole) == []
    assert len(set(ends) - {0}) == 2  # both an error and a kill were met
    assert attempt(study, out, []) == 0
    now = finished(out)
    assert [path for path, stamp in stood.items() if now.get(path) != stamp] == []
    assert little.differing(little.files(out), whole) == []
    assert list(out.rglob(".tmp-*")) == []
    made = little.Result(out, json.loads((out / "manifest.json").read_text()))
    records = [row["record"] for row in made.ledger()]
    assert (len(records), len(set(records)), made.manifest["counts"]["a"]["records"]) == (76, 76, 76)
    assert [check.promise for check in verify(str(out)) if not check.holds] == []
