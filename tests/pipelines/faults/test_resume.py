"""Killed at any time, a build goes on where it stopped and ends in the same bytes; finished work is not done again."""
# ruff: noqa: S311 moments drawn at random are no secrets

from __future__ import annotations

import contextlib
import json
import os
import random
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import filelock
import little
import pytest

LENGTH = little.LENGTH
TESTS = str(Path(little.__file__).parent)

FORKS = """
import json, os, sys
import little
import tokenladder.filters.measures.lengths, tokenladder.filters.duplicates.minhash, tokenladder.pipelines.formats.jsonl
import tokenladder.pipelines.stages.choose, tokenladder.pipelines.stages.encode, tokenladder.pipelines.formats.extract
import tokenladder.pipelines.stages.hold_out, tokenladder.pipelines.stages.ladder, tokenladder.pipelines.stages.ledger
import tokenladder.pipelines.stages.pack, tokenladder.pipelines.stages.read, tokenladder.pipelines.stages.score
from tokenladder.pipelines.commands import cli, tables
from tokenladder.pipelines.drivers import build, plan
from tokenladder.pipelines.engines import transforms
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        name, *arguments = json.loads(line)
        little.build(*arguments) if name == "without Beam" else cli.cli.main([name, *arguments])
        sys.exit()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Runs each line of its input as a command, forked from a process that has Beam imported: the same command without the
four seconds that imports take when a machine is busy."""


class Commands:
    """Starts `tokenladder` commands, one at a time."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))},
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def start(self, *arguments):
        """The number of the process that runs the command."""
        self._process.stdin.write(json.dumps([str(one) for one in arguments]) + "\n")
        return int(self._process.stdout.readline())

    def ended(self, seconds):
        """Whether the command ends within so many seconds."""
        return bool(self._selector.select(seconds))

    def status(self):
        """Exit status of the command, or minus the signal that killed it."""
        return int(self._process.stdout.readline())

    def run(self, *arguments):
        self.start(*arguments)
        return self.status()

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._selector.close()


@pytest.fixture(scope="module")
def commands():
    one = Commands()
    yield one
    one.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of every stage: two formats, near duplicates, a held-out set, a `top` rule."""
    folder = tmp_path_factory.mktemp("study")
    rows = little.corpus(71, 60, prefix="a", copies=5, neighbours=24)
    for n in range(3):
        little.write_jsonl(folder / "a" / f"{n}.jsonl", rows[n::3])
    little.write_warc(folder / "b.warc.gz", little.corpus(72, 60, prefix="b", words=(30, 90)))
    return little.write_study(
        folder,
        {"a": "a/*.jsonl", "b": {"format": "warc", "path": "b.warc.gz"}},
        scores={"lengths": {"type": "lengths"}},
        held_out={"tokens": 10 * LENGTH},
        recipes={"all": {"weights": {"a": 0.4, "b": 0.6}, "keep": [{"score": "lengths.words", "top": 0.8}]}},
    )


@pytest.fixture(scope="module")
def undisturbed(study, commands, tmp_path_factory):
    """A build that nothing disturbed: its folder, its files, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start = time.monotonic()
    assert commands.run("build", study, "--out", folder / "out", "--quiet") == 0
    return Undisturbed(folder / "out", little.files(folder / "out"), time.monotonic() - start)


class Undisturbed(NamedTuple):
    out: Path
    files: dict[str, bytes]
    seconds: float


def temporary(folder):
    return [str(path) for path in Path(folder).rglob(".tmp-*")]


def children(pid):
    """Running child processes that work on input, of the process `pid`."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += path.read_text().split()
    return [int(one) for one in found if b"tokenladder.pipelines.engines.child" in command_line(one)]


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_until_gone(pids):
    """Orphans finish what they were at; wait for that, so that a test sees them leave nothing."""
    deadline = time.monotonic() + 30
    while any(b"tokenladder.pipelines.engines.child" in command_line(pid) for pid in pids):
        assert time.monotonic() < deadline, "a child outlived its parent"
        time.sleep(0.01)


def kill_at(seconds, pid, commands):
    """Kill the command after so many seconds, unless it ends before; wait for what it leaves."""
    orphans = []
    if not commands.ended(seconds):
        orphans = children(pid)
        os.kill(pid, signal.SIGKILL)
    assert commands.status() in {0, -signal.SIGKILL}
    wait_until_gone(orphans)


def stages(out):
    """What the store of a killed build holds: how far it came."""
    return frozenset(path.name for path in (out / ".store").iterdir()) if (out / ".store").exists() else None


def moments(count, reached, least):
    """Numbers of kills: `count` of them, and more where a busy machine let too few stages of the build be hit."""
    n = 0
    while n < count or (len(reached) < least and n < 6 * count):
        yield n
        n += 1


@pytest.mark.slow  # 20 builds are killed and built again
@pytest.mark.parametrize(("first", "kills"), [("nothing", 7), ("scores", 13)])
def test_killed_at_twenty_moments_a_build_ends_in_the_same_bytes(study, undisturbed, commands, tmp_path, first, kills):  # noqa: PLR0917
    """Seven while it reads and scores, which takes half of the time; thirteen in builds that find the scores done."""
    files, seconds = undisturbed.files, undisturbed.seconds
    rng, reached = random.Random(f"{73}{first}"), set()
    for n in moments(kills, reached, 2):
        out = tmp_path / str(n)
        if first == "scores":
            for folder in ("slices", "parts", "scores"):
                shutil.copytree(undisturbed.out / ".store" / folder, out / ".store" / folder)
        pid = commands.start("build", study, "--out", out, "--quiet")
        kill_at(seconds / 2 * (n % kills + rng.random()) / kills, pid, commands)
        reached.add(stages(out))
        if n == kills // 2:
            assert commands.run("build", study, "--out", out, "--quiet") == 0
        else:
            little.build(study, out)
        assert little.differing(little.files(out), files) == [], f"killed at moment {n} of {kills}"
        assert temporary(out) == []
    assert len(reached) >= 2  # stages of the build that the moments fell into


def test_killed_at_any_moment_a_build_without_beam_ends_in_the_same_bytes(study, undisturbed, commands, tmp_path):
    rng, reached = random.Random(74), set()
    seconds = []
    for n in range(2):
        start = time.monotonic()
        assert commands.run("without Beam", study, tmp_path / f"whole{n}") == 0
        seconds.append(time.monotonic() - start)
    for n in moments(8, reached, 3):
        out = tmp_path / str(n)
        pid = commands.start("without Beam", study, out)
        kill_at(min(seconds) * (n % 8 + rng.random()) / 8, pid, commands)
        reached.add(stages(out))
        little.build(study, out)
        assert little.differing(little.files(out), undisturbed.files) == [], f"killed at moment {n} of 8"
        assert temporary(out) == []
    assert len(reached) >= 3


def test_killed_again_and_again_the_command_ends_in_the_same_bytes(study, undisturbed, tmp_path):
    files, seconds = undisturbed.files, undisturbed.seconds
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tokenladder", "build", str(study), "--out", str(out), "--quiet"]
    for moment in (0.1, 0.5):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (out / ".build" / "lock").exists():
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds * moment)
            orphans = children(process.pid)
            process.kill()
        wait_until_gone(orphans)
    assert subprocess.run(command, check=False).returncode == 0
    assert little.differing(little.files(out), files) == []
    assert temporary(out) == []


@pytest.mark.parametrize("moment", [0.0, 0.3])
def test_a_killed_child_costs_nothing(study, undisturbed, commands, tmp_path, moment):
    files, seconds = undisturbed.files, undisturbed.seconds
    pid = commands.start("build", study, "--out", tmp_path / "out", "--quiet")
    while not children(pid) and not commands.ended(0.01):
        pass
    assert not commands.ended(moment * seconds)
    for child in children(pid)[:1]:
        os.kill(child, signal.SIGKILL)
    assert commands.status() == 0
    assert little.differing(little.files(tmp_path / "out"), files) == []
    assert temporary(tmp_path / "out") == []


def test_what_a_killed_process_left_half_written_is_swept(study, undisturbed, tmp_path):
    from tokenladder.pipelines.files import store

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    mine = f"{store.TEMPORARY}{socket.gethostname()}"
    left = [tmp_path / "out" / place / f"{mine}@{gone.pid}-1-0-x" for place in ("shards/all", ".store/parts", ".")]
    other = tmp_path / "out" / "shards" / "all" / f"{store.TEMPORARY}another.machine@1-1-0-x"
    for path in [*left, other]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    (tmp_path / "out" / ".build").mkdir()
    little.build(study, tmp_path / "out")
    assert temporary(tmp_path / "out") == [str(other)]  # whose owner cannot be asked
    other.unlink()
    assert little.differing(little.files(tmp_path / "out"), undisturbed.files) == []


def test_a_second_build_writes_nothing(study, tmp_path):
    little.build(study, tmp_path / "out")
    before = little.stamps(tmp_path / "out")
    little.build(study, tmp_path / "out", beam=["--direct_num_workers=1"])
    assert little.stamps(tmp_path / "out") == before


def changed(before, after):
    """Folders of the store with files that are new or were written again."""
    return {name.split("/")[1] for name in after if name.startswith(".store/") and before.get(name) != after[name]}


def test_a_changed_threshold_runs_the_recipe_alone(study, tmp_path):
    copy = study.with_name("tighter.toml")
    copy.write_text(study.read_text())
    little.build(copy, tmp_path / "out")
    before = little.stamps(tmp_path / "out")
    copy.write_text(study.read_text().replace('"top" = 0.8', '"top" = 0.7'))
    little.build(copy, tmp_path / "out")
    after = little.stamps(tmp_path / "out")
    assert set(before) - set(after) == set()
    assert changed(before, after) <= {"census", "choices", "counts", "tokens", "ladders", "surveys"}
    fresh = little.build(copy, tmp_path / "fresh")
    assert little.differing(little.files(tmp_path / "out"), little.files(fresh.out)) == []


def test_a_new_recipe_and_another_study_share_what_was_computed(study, tmp_path):
    copy = study.with_name("more.toml")
    little.build(study, tmp_path / "one", store=tmp_path / "store")
    before = little.stamps(tmp_path)
    more = study.read_text().replace('recipes = {"all"', 'recipes = {"raw" = {"repeat" = 2}, "all"')
    copy.write_text(more.replace('name = "little"', 'name = "another"'))
    little.build(copy, tmp_path / "two", store=tmp_path / "store")
    after = little.stamps(tmp_path)
    written = {name.split("/")[1] for name in after if name.startswith("store/") and before.get(name) != after[name]}
    assert written <= {"census", "choices", "counts", "tokens", "ladders", "surveys"}
    assert {name: stamp for name, stamp in after.items() if name in before} == before
    one, two = little.files(tmp_path / "one"), little.files(tmp_path / "two")
    same = [name for name in one if name.split("/")[0] in {"shards", "documents", "ledger", "held_out"}]
    assert [name for name in same if one[name] != two.get(name)] == []


def test_a_new_score_reads_no_input_again(study, tmp_path):
    copy = study.with_name("scored.toml")
    copy.write_text(study.read_text())
    little.build(copy, tmp_path / "out")
    before = little.stamps(tmp_path / "out")
    scores = 'scores = {"squeeze" = {"type" = "compression"}, '
    copy.write_text(study.read_text().replace("scores = {", scores))
    little.build(copy, tmp_path / "out")
    after = little.stamps(tmp_path / "out")
    assert changed(before, after) == {"scores", "surveys"}
    old = {name for name in before if name.startswith(".store/")}
    assert {name: after[name] for name in old} == {name: before[name] for name in old}


def test_a_missing_or_foreign_shard_is_written_again(study, undisturbed, tmp_path):
    out = tmp_path / "out"
    little.build(study, out)
    for path in ("shards/all/00000.parquet", "documents/all/00001.parquet", "ledger/all/00000.parquet", "README.md"):
        (out / path).unlink()
    little.build(study, out)
    assert little.differing(little.files(out), undisturbed.files) == []


def test_a_second_build_in_the_same_folder_is_refused(study, undisturbed, tmp_path):
    out = tmp_path / "out"
    little.build(study, out)
    command = [sys.executable, "-m", "tokenladder", "build", str(study), "--out", str(out)]
    with filelock.FileLock(out / ".build" / "lock"):
        second = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == f"{out}: another build is running in this folder. Wait for it to end.\n"
    assert little.differing(little.files(out), undisturbed.files) == []


def test_the_folder_of_another_study_is_left_alone(study, tmp_path):
    little.build(study, tmp_path / "out")
    before = little.stamps(tmp_path / "out")
    other = study.with_name("other.toml")
    other.write_text(study.read_text().replace('name = "little"', 'name = "other"'))
    with pytest.raises(Exception) as caught:
        little.build(other, tmp_path / "out")
    assert type(caught.value).__name__ == "UserError"
    out = tmp_path / "out"
    assert str(caught.value) == f"{out}: holds the study 'little', not 'other'. Choose another folder with --out."
    (out / "manifest.json").write_text("{}")
    with pytest.raises(
        Exception, match=r"manifest\.json: is no manifest of a study\. Choose another folder with --out\."
    ):
        little.build(study, out)
    assert {name: stamp for name, stamp in little.stamps(out).items() if name != "manifest.json"} == {
        name: stamp for name, stamp in before.items() if name != "manifest.json"
    }


def test_what_dies_while_a_build_runs_leaves_nothing(study, tmp_path, monkeypatch):
    from tokenladder.pipelines.drivers import build
    from tokenladder.pipelines.files import store

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as orphan:
        left = tmp_path / "out" / ".store" / "counts" / f"{store.TEMPORARY}{socket.gethostname()}@{orphan.pid}-1-0-x"
        left.parent.mkdir(parents=True)
        left.write_text("half")
        (tmp_path / "out" / ".build").mkdir()
        own = build._run

        def run(*arguments):
            assert left.exists()  # whose owner lives
            orphan.kill()
            orphan.wait()
            return own(*arguments)

        monkeypatch.setattr(build, "_run", run)
        little.build(study, tmp_path / "out")
    assert temporary(tmp_path / "out") == []
