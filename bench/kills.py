"""Kill builds at random moments, over and over, and see that each ends in the same bytes with nothing done twice.

    python bench/kills.py --kills 200

A build of a small study of every stage is started; after a random while (drawn with a seed) it is killed with SIGKILL:
the driver, or one of its child processes; then the same command is started again, and so on until it comes to its end.
Then the next build begins in a new folder. After each build:

- every file of the result is that of a build that nobody disturbed, byte for byte, and none has a temporary name;
- no file of the store that stood finished at a kill was written again afterwards (its inode is the same);
- the bins of the manifest sum to the records of the input.

Builds run as forks of a process that has Beam imported, so that most of a build's time is its work. Exit status 1 if
anything does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHARE = 0.35
"""Mean time to a kill, of the time that a whole build takes."""

KEPT = ("slices", "parts", "scores", "tokens", "choices")
"""Folders of the store whose files are each the finished work of one task."""

WORDS = ["bana", "tiro", "lusa", "mek", "dotro", "fen", "gila", "kumi", "nela", "pos", "rutek", "sira"]


def write_study(folder: Path, rng: random.Random) -> tuple[Path, int]:
    """A study with two sources, near duplicates, a held-out set and a `top` rule; also how many records it has."""
    texts = [
        " ".join(rng.choice(WORDS) + str(rng.randrange(99)) for _ in range(rng.randint(20, 120))) for _ in range(90)
    ]
    texts += [f"{text} and one more" for text in texts[:20]] + texts[20:30]
    for n in range(4):
        rows = [json.dumps({"id": f"d{at}", "text": text}) + "\n" for at, text in list(enumerate(texts))[n::4]]
        (folder / f"{'ab'[n % 2]}{n}.jsonl").write_text("".join(rows), encoding="utf-8")
    study = folder / "study.toml"
    study.write_text(
        """
name = "kills"
seed = 5
budgets = [1280, 6400]
sequence_length = 64
shard_tokens = 1600
tokenizer = { type = "bytes" }
held_out = { tokens = 640 }
sources = { a = { format = "jsonl", path = "a*.jsonl" }, b = { format = "jsonl", path = "b*.jsonl" } }
scores = { lengths = { type = "lengths" }, gopher = { type = "gopher" } }
recipes = { all = { keep = [{ score = "lengths.words", top = 0.9 }] } }
""",
        encoding="utf-8",
    )
    return study, len(texts)


def start(study: Path, out: Path) -> int:
    """Fork a build; its process number."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        from tokenladder.pipelines import cli

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


def children(pid: int) -> list[int]:
    """Running child processes that work on input."""
    found: list[str] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += path.read_text().split()
    return [int(one) for one in found if b"pipelines.child" in command(int(one))]


def command(pid: int) -> bytes:
    """Command line of a process, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def digest(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a result, by relative path."""
    files = {path.relative_to(out): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if name.parts[0] not in {".store", ".build"}
    }


def finished(out: Path) -> dict[str, int]:
    """Inode of each finished file of the store; writing one again gives it another."""
    paths = [path for kind in KEPT for path in (out / ".store" / kind).rglob("*") if not path.name.startswith(".tmp-")]
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[str(path)] = path.stat().st_ino
    return found


def build_killed(study: Path, out: Path, seconds: float, rng: random.Random, left: int) -> dict[str, Any]:
    """Build with kills until the build ends; how many there were, and what was written twice."""
    kills: dict[str, int] = {"driver": 0, "child": 0}
    again: list[str] = []
    stages: set[str] = set()
    stood: dict[str, int] = {}
    while True:
        pid = start(study, out)
        status, orphans = None, []
        if sum(kills.values()) < left:
            status = wait(pid, rng.expovariate(1 / (SHARE * seconds)))
            orphans = children(pid) if status is None else []
            if status is None and orphans and rng.random() < 0.3:  # one of a run: a record that kills twice is rejected
                os.kill(rng.choice(orphans), signal.SIGKILL)
                kills["child"] += 1
                status = wait(pid, rng.expovariate(1 / (SHARE * seconds)))
                orphans = children(pid) if status is None else []
            if status is None and sum(kills.values()) < left:
                os.kill(pid, signal.SIGKILL)
                kills["driver"] += 1
                wait(pid, 60)
                while any(command(one) for one in orphans):  # they end with their pipe; what they were at, they finish
                    time.sleep(0.01)
                status = -signal.SIGKILL
        if status is None:
            status = wait(pid, 3600)
        if (out / ".store").exists():
            stages.add(",".join(sorted(path.name for path in (out / ".store").iterdir())))
        again += [path for path, inode in finished(out).items() if stood.get(path, inode) != inode]
        stood |= finished(out)
        if status == 0:
            return {"kills": kills, "again": again, "stages": stages}
        if status != -signal.SIGKILL:
            return {"kills": kills, "again": again, "stages": stages, "status": status}


def sums(out: Path, records: int) -> bool:
    """Whether the bins of each recipe sum to the records of the input."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    counted = sum(one["records"] for one in manifest["counts"].values())
    rows = [sum(one["rows"] for one in recipe["ledger"]) for recipe in manifest["recipes"].values()]
    return counted == records and all(one == records for one in rows)


def main() -> int:
    """Run builds until there were so many kills; print what held."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=7)
    asked = arguments.parse_args()
    rng = random.Random(asked.seed)  # noqa: S311 moments are no secrets
    import tokenladder.pipelines.build
    import tokenladder.pipelines.transforms  # noqa: F401 imported before the forks

    with tempfile.TemporaryDirectory(prefix="tokenladder-kills-") as name:
        folder = Path(name)
        study, records = write_study(folder, rng)
        seconds = []
        for n in range(2):  # the first compiles kernels
            began = time.monotonic()
            assert wait(start(study, folder / f"whole{n}"), 3600) == 0, "the undisturbed build fails"  # noqa: S101
            seconds.append(time.monotonic() - began)
        expected = digest(folder / "whole1")
        kills = {"driver": 0, "child": 0}
        builds, wrong, again = 0, [], 0
        stages: set[str] = set()
        while sum(kills.values()) < asked.kills:
            out = folder / str(builds)
            found = build_killed(study, out, seconds[1], rng, asked.kills - sum(kills.values()))
            for kind, count in found["kills"].items():
                kills[kind] += count
            stages |= found["stages"]
            again += len(found["again"])
            left = list(out.rglob(".tmp-*"))
            whole = "status" not in found and digest(out) == expected and not left and sums(out, records)
            if not whole:
                wrong.append({"build": builds, "status": found.get("status"), "left": [str(path) for path in left]})
            builds += 1
            told = f"{sum(kills.values())} kills in {builds} builds, {len(wrong)} wrong, {again} files written again"
            print(told, flush=True)
        print(f"whole build {seconds[1]:.1f} s; kills {kills}; {len(stages)} different states of the store were hit")
        print("all builds ended in the same bytes" if not wrong else json.dumps(wrong, indent=1))
    return 1 if wrong or again else 0


if __name__ == "__main__":
    sys.exit(main())
