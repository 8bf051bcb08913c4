"""Kill builds over and over, at any moment and at every file, and see that each ends in the same bytes.

    python bench/kills.py --kills 200

A build of a small study of every stage is started; SIGKILL ends it; the same command is started again, and so on until
it comes to its end. Then the next build begins: in a new folder, or, each third, in that of another study's finished
result. Half of the kills come at a random moment, drawn with a seed: of the driver (with or without waiting for what
its child processes are at), of one child, or of all at once. The other half come just before or just after a certain
file is put in place, by the process that puts it: a child alone, a child and the driver, or the driver. Files are taken
from all that a whole build puts, until every one had its turn.

After each kill:

- every file that has its final name is whole, and a manifest that stands lists shards that have its hashes;
- nothing that stood finished at an earlier kill was written again (it has the inode that it had): parts with their
  scores, segments of tokens, choices, ladders, clusters, shards, ledgers.

After each build: every file of the result is that of a build that nobody disturbed, byte for byte, none has a temporary
name, and the bins of the manifest sum to the records of the input. At the end the stages that were hit are counted.
Builds run as forks of a process that has Beam imported, so that most of a build's time is its work. Exit status 1 if
anything does not hold.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kill_point

SHARE = 0.12
"""Mean time to a kill at a random moment, of the time that a whole build takes."""

ALONE = ("tokens", "counts", "spreads", "surveys", "pools")
"""Folders of the store whose files are each the finished work of one task."""

WORDS = ["bana", "tiro", "lusa", "mek", "dotro", "fen", "gila", "kumi", "nela", "pos", "rutek", "sira"]

STUDY = """
name = "kills"
seed = {seed}
budgets = [1280, 6400]
sequence_length = 64
shard_tokens = 1600
tokenizer = {{ type = "bytes" }}
held_out = {{ tokens = 640 }}
sources = {{ a = {{ format = "jsonl", path = "a*.jsonl" }}, b = {{ format = "jsonl", path = "b*.jsonl" }} }}
scores = {{ lengths = {{ type = "lengths" }}, gopher = {{ type = "gopher" }} }}
recipes = {{ all = {{ keep = [{{ score = "lengths.words", top = 0.9 }}] }} }}
curricula = {{ short-first = {{ recipe = "all", rung = 6400, sort = "lengths.words" }} }}
"""


def write_study(folder: Path, rng: random.Random) -> int:
    """Two studies of two sources, near duplicates, a held-out set, a `top` rule and a curriculum; gives the records."""
    texts = [
        " ".join(rng.choice(WORDS) + str(rng.randrange(99)) for _ in range(rng.randint(20, 120))) for _ in range(90)
    ]
    texts += [f"{text} and one more" for text in texts[:20]] + texts[20:30]
    for n in range(4):
        rows = [json.dumps({"id": f"d{at}", "text": text}) + "\n" for at, text in list(enumerate(texts))[n::4]]
        (folder / f"{'ab'[n % 2]}{n}.jsonl").write_text("".join(rows), encoding="utf-8")
    for name, seed in (("study", 5), ("other", 6)):
        (folder / f"{name}.toml").write_text(STUDY.format(seed=seed), encoding="utf-8")
    return len(texts)


def start(study: Path, out: Path, point: dict[str, Any] | None = None, log: Path | None = None) -> int:
    """Fork a build that is killed at a point, or tells of its files; its process number."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.environ |= {"KILL_DRIVER": str(os.getpid()), "KILL_LOG": str(log or "")}
        os.environ["KILL_POINT"] = json.dumps(point) if point else ""
        kill_point.arm()
        from tokenladder.pipelines.commands import cli

        with contextlib.suppress(SystemExit):
            cli.cli.main(["build", str(study), "--out", str(out), "--quiet"], standalone_mode=False)
            os._exit(0)
        os._exit(1)
    return pid


def wait(pid: int, seconds: float) -> int | None:
    """Exit status of a process, minus the signal that killed it; None if it runs on after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def children() -> list[int]:
    """Running child processes that builds of this benchmark started, orphans too: they have its environment."""
    mine, found = os.environ["PYTHONPATH"].encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                b"pipelines.engines.child" in (path / "cmdline").read_bytes()
                and mine in (path / "environ").read_bytes()
            ):
                found.append(int(path.name))
    return found


def wait_for_orphans() -> None:
    """They end with their pipe; what they were at, they finish."""
    while children():
        time.sleep(0.01)


def digest(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a result, by relative path."""
    files = {path.relative_to(out): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if name.parts[0] not in {".store", ".build"}
    }


def finished(out: Path, whole: Path) -> dict[str, int]:
    """Inode of each file that is a finished task's; writing one again gives it another.

    A task is finished when the file that it writes last stands. In the folder of the result that one must be what the
    undisturbed build in `whole` has, for an earlier study's may stand there.
    """
    place = out / ".store"
    names = {path.relative_to(out) for path in out.rglob("*") if path.is_file() and ".tmp-" not in str(path)}
    done: list[Path] = [out / name for name in names if name.parts[0] == ".store" and name.parts[1] in ALONE]
    for mark in place.glob("slices/*/*.json"):
        read, piece = mark.parent.name, mark.stem
        done += [mark, *(place / "parts" / read / piece).glob("*"), *(place / "scores").glob(f"*/{read}/{piece}/*")]
    for mark in place.glob("*/*/done.json"):
        done += mark.parent.rglob("*")
    for mark in place.glob("choices/*/histograms/*"):
        done += [mark, mark.parent.parent / "choices" / mark.name]
    for mark in (out / ".build").rglob("[0-9]*.json"):
        name, first = mark.relative_to(out / ".build"), whole / mark.relative_to(out)
        if first.exists() and mark.read_bytes() == first.read_bytes():
            path = str(name.with_suffix(".parquet"))
            done += [out / path, out / path.replace("shards", "documents")]
    found = {}
    for path in done:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and ".tmp-" not in str(path):
                found[str(path)] = path.stat().st_ino
    return found


def damaged(out: Path) -> list[str]:
    """Files with a final name that are not whole, and shards that are not what a manifest says."""
    bad = []
    for path in out.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if ".tmp-" in str(path) or not path.is_file():
                continue
            if path.suffix == ".parquet":
                data = path.read_bytes()
                bad += [] if len(data) > 12 and data[:4] == data[-4:] == b"PAR1" else [str(path)]
            elif path.suffix == ".json":
                try:
                    json.loads(path.read_bytes())
                except ValueError:
                    bad.append(str(path))
    if (out / "manifest.json").exists():
        manifest = json.loads((out / "manifest.json").read_bytes())
        rungs = [rung for recipe in manifest["recipes"].values() for rung in recipe["rungs"]]
        shards = {shard["path"]: shard["sha256"] for rung in rungs for shard in rung["shards"]}
        found = digest(out)
        bad += [f"{path} is listed" for path, sha256 in shards.items() if found.get(path) != sha256]
    return bad


def sums(out: Path, records: int) -> bool:
    """Whether the bins of each recipe sum to the records of the input."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    counted = sum(one["records"] for one in manifest["counts"].values())
    rows = [sum(one["rows"] for one in recipe["ledger"]) for recipe in manifest["recipes"].values()]
    return counted == records and all(one == records for one in rows)


def stage(out: Path, pid: int) -> str:
    """The stage that a build was at, from its journal."""
    from tokenladder.pipelines.watch import journal

    lines = journal.read(str(out))
    stages = [line for line in lines if line["event"] == "stage"]
    if not stages or lines[0].get("pid") != pid:
        return "before any stage"
    last = stages[-1]
    return str(last["stage"]) if last["done"] < last["of"] else f"after {last['stage']}"


def _same(path: Path, whole: Path) -> bool:
    """Whether a file stands, and is that of the undisturbed build where that one kept it."""
    return path.exists() and (not whole.exists() or path.read_bytes() == whole.read_bytes())


@dataclass
class Run:
    """What all builds share, and what was found.

    Attributes:
        folder: Of the studies and builds.
        rng: Draws.
        seconds: That a whole build takes.
        files: Paths of the files that a whole build puts in place, in order.
        most: Kills to come to.
        turns: Places in `files`, and when, that still have their turn.
        kills: By kind.
        stages: Kills by stage.
        again: Files that were finished and written again.
        bad: Files that were seen half-written or wrongly listed.
    """

    folder: Path
    rng: random.Random
    seconds: float
    files: list[str]
    most: int
    turns: list[tuple[int, str]] = field(default_factory=list)
    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    stages: collections.Counter[str] = field(default_factory=collections.Counter)
    again: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Kills that are still to come."""
        return self.most - self.kills.total()

    def point(self, out: Path) -> dict[str, Any] | None:
        """The next place at which a build in this folder is killed: one of the first that it has not come to yet."""
        whole = self.folder / "whole"
        if not self.turns:
            self.turns = [(n, when) for n in range(len(self.files)) for when in ("before", "after")]
        drawn = sorted(self.rng.sample(self.turns, min(40, len(self.turns))))
        ahead = [(at, when) for at, when in drawn if not _same(out / self.files[at], whole / self.files[at])]
        if not ahead:
            return None
        at, when = ahead[len(ahead) // 8]  # near by, so that a build is killed many times
        self.turns.remove((at, when))
        mark = self.folder / f"mark-{self.kills.total()}"
        path = str(out / self.files[at])
        return {"path": path, "when": when, "driver": self.rng.random() < 0.7, "mark": str(mark)}

    def build(self, out: Path) -> int:
        """Build with kills until the build ends; its exit status."""
        stood: dict[str, int] = {}
        while True:
            point = self.point(out) if self.left > 0 and self.rng.random() < 0.5 else None
            pid = start(self.folder / "study.toml", out, point)
            status = self._at_point(pid, out, point) if point is not None else self._at_moment(pid, out)
            patient = status != -signal.SIGKILL or self.rng.random() < 0.5
            if patient:
                wait_for_orphans()
                now = finished(out, self.folder / "whole")
                self.again += [path for path, inode in stood.items() if now.get(path) != inode]
                stood = now
            self.bad += damaged(out)
            if status != -signal.SIGKILL:
                return status

    def _at_point(self, pid: int, out: Path, point: dict[str, Any]) -> int:
        status = wait(pid, 3600)
        if Path(point["mark"]).exists():
            self.kills["at a file" if status == -signal.SIGKILL else "child at a file"] += 1
            self.stages[stage(out, pid) if status == -signal.SIGKILL else "child at a file"] += 1
        assert status is not None, "a build hangs"  # noqa: S101
        return status

    def _at_moment(self, pid: int, out: Path) -> int:
        spared = True
        while True:
            status = wait(pid, self.rng.expovariate(1 / (SHARE * self.seconds)) if self.left > 0 else 3600)
            if status is not None:
                return status
            found = children()
            if not (found and spared and self.rng.random() < 0.3):
                break
            os.kill(self.rng.choice(found), signal.SIGKILL)
            spared = False  # for the rest of this run: a record that kills twice is rejected
            self.kills["child"] += 1
            self.stages[stage(out, pid)] += 1
        every = found if self.rng.random() < 0.5 else []
        self.kills["driver and children" if every else "driver"] += 1
        for one in [pid, *every]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        wait(pid, 60)
        self.stages[stage(out, pid)] += 1
        return -signal.SIGKILL


def prepare(folder: Path) -> tuple[float, list[str], set[str]]:
    """Build both studies undisturbed: the seconds of one, the files that it puts in place, and its stages."""
    from tokenladder.pipelines.watch import journal

    assert wait(start(folder / "other.toml", folder / "other"), 3600) == 0, "the undisturbed build fails"  # noqa: S101
    began = time.monotonic()
    log = folder / "files"
    assert wait(start(folder / "study.toml", folder / "whole", log=log), 3600) == 0, "the build fails"  # noqa: S101
    seconds = time.monotonic() - began
    put = dict.fromkeys(line.removeprefix(f"{folder / 'whole'}/") for line in log.read_text().splitlines())
    stages = {str(line["stage"]) for line in journal.read(str(folder / "whole")) if line["event"] == "stage"}
    return seconds, [path for path in put if not path.startswith(("/", ".build/notes"))], stages


def main() -> int:
    """Run builds until there were so many kills; print what held."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=7)
    asked = arguments.parse_args()
    rng = random.Random(asked.seed)  # noqa: S311 moments are no secrets
    import tokenladder.pipelines.drivers.build
    import tokenladder.pipelines.engines.transforms  # noqa: F401 imported before the forks

    with tempfile.TemporaryDirectory(prefix="tokenladder-kills-") as name:
        folder = Path(name)
        (folder / "site").mkdir()
        arms = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import kill_point; kill_point.arm()\n"
        (folder / "site" / "sitecustomize.py").write_text(arms)
        os.environ["PYTHONPATH"] = str(folder / "site")
        records = write_study(folder, rng)
        seconds, files, stages = prepare(folder)
        run = Run(folder, rng, seconds, files, asked.kills)
        expected, builds, wrong = digest(folder / "whole"), 0, []
        while run.left > 0:
            out = folder / str(builds)
            if builds % 3 == 2:
                shutil.copytree(folder / "other", out)
            status = run.build(out)
            left = [str(path) for path in out.rglob(".tmp-*")]
            made = digest(out)
            differ = sorted(name for name in made | expected if made.get(name) != expected.get(name))
            if status or differ or left or not sums(out, records):
                wrong.append({"build": builds, "status": status, "left": left, "differ": differ})
            builds += 1
            told = f"{run.kills.total()} kills in {builds} builds, {len(wrong)} wrong, {len(run.again)} written again"
            print(f"{told}, {len(run.bad)} not whole", flush=True)
            shutil.rmtree(out)
        print(f"whole build {seconds:.1f} s; kills {dict(sorted(run.kills.items()))}")
        turns = 2 * len(files) - len(run.turns)
        print(f"{len(files)} files are put in place; {turns} of the moments before and after them had their turn")
        print("kills by stage: " + ", ".join(f"{one} {n}" for one, n in sorted(run.stages.items())))
        print("stages that were not hit: " + (", ".join(sorted(stages - set(run.stages))) or "none"))
        print("written again: " + (", ".join(sorted(set(run.again))[:20]) or "nothing"))
        print("not whole: " + (", ".join(sorted(set(run.bad))[:20]) or "nothing"))
        print("all builds ended in the same bytes" if not wrong else json.dumps(wrong, indent=1))
    return 1 if wrong or run.again or run.bad else 0


if __name__ == "__main__":
    sys.exit(main())
