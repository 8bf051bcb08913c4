"""Disks that fill and files that cannot be read, at moments drawn with a seed: the next build gives the same bytes."""
# ruff: noqa: S311 moments drawn at random are no secrets

from __future__ import annotations

import errno
import os
import random

import little
import pytest

from tokenladder.pipelines.files import store


class Faulty:
    """A function that counts its calls, and fails from one of them on."""

    def __init__(self, function, error):
        self.function, self._error = function, error
        self.calls, self.last = 0, None

    def __call__(self, *arguments, **options):
        self.calls += 1
        if self.last is not None and self.calls > self.last:
            raise self._error
        return self.function(*arguments, **options)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rows = little.corpus(91, 60, copies=4, neighbours=12)
    for n in range(2):
        little.write_jsonl(folder / "a" / f"{n}.jsonl", rows[n::2])
    held = {"tokens": 10 * little.LENGTH}
    return little.write_study(folder, {"a": "a/*.jsonl"}, scores={"lengths": {"type": "lengths"}}, held_out=held)


FULL = OSError(errno.ENOSPC, "No space left on device")
LOST = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(("where", "name", "error"), [(os, "fsync", FULL), (store, "open_input", LOST)])
def test_faults_at_any_moment_lose_and_double_nothing(study, tmp_path, monkeypatch, where, name, error):  # noqa: PLR0917
    whole = Faulty(getattr(where, name), error)
    monkeypatch.setattr(where, name, whole)
    undisturbed = little.build(study, tmp_path / "whole")
    records = undisturbed.manifest["counts"]["a"]["records"]
    rng = random.Random(f"92{name}")
    for moment in rng.sample(range(1, whole.calls), 2):
        out = tmp_path / str(moment)
        failing = Faulty(whole.function, error)
        failing.last = moment
        monkeypatch.setattr(where, name, failing)
        with pytest.raises(OSError, match=error.strerror):
            little.build(study, out)
        assert list(out.rglob(".tmp-*")) == []
        assert not (out / "manifest.json").exists()
        finished = {path: stamp for path, stamp in little.stamps(out).items() if path.startswith(".store/")}
        monkeypatch.setattr(where, name, whole.function)
        made = little.build(study, out)
        assert little.differing(little.files(out), little.files(undisturbed.out)) == []
        after = little.stamps(out)
        assert [path for path, stamp in finished.items() if after[path] != stamp] == []  # nothing is done twice
        ledger = [row["record"] for row in made.ledger()]
        assert (len(ledger), len(set(ledger))) == (records, records)
