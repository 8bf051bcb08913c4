"""One study on every engine that can be had here: equal root hashes, wall and CPU time, what an engine costs a part.

    python bench/engines.py --out DIR [--engines ENGINE …] [--workers 1 2 4 16] [--storage s3 gs] [--megabytes 4]

Makes the corpus and the study of `tokenladder quickstart` below DIR (a small one: `--megabytes` of source files, in
eight WARC files), builds it on each engine with each number of workers, and compares the manifests. Services are
started and ended here: Prism, a worker pool, a Dask scheduler and workers, Flink and Spark inside their job
servers (TOKENLADDER_FLINK_JAR and TOKENLADDER_SPARK_JAR name these; bench/job_servers puts them together); with
`--storage`, a server of s3:// or gs://. Engines that are not installed are named. CPU time is that of the command and
of all services, start-up included. Then each engine runs empty tasks, which tells what it costs a part. Exit status 1
if a root hash differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import clusters

import measure

WHERE = ("loopback", "process", "external")
JAVA = tuple(f"{kind}-{where}" for kind in ("flink", "spark") for where in (*WHERE, "cluster"))
COUNTED = ("multi_threading", "multi_processing", "dask", *JAVA)
"""Engines whose number of workers is the user's; Prism runs eight bundles at once in one process."""

ENGINES = ("in_memory", *COUNTED, *(f"prism-{where}" for where in WHERE))

TASKS = 400
NOTHING = "json:dumps"


def make_study(out: Path, megabytes: float) -> Path:
    """A small quickstart below `out`, unless it is there."""
    from tokenladder.pipelines.quickstart.corpus import Limits, make_corpus, study_text

    study = out / "study.toml"
    if not study.exists():
        make_corpus(out / "corpus", limits=Limits(total=int(megabytes * 1e6), crawl=max(1, int(megabytes * 1e6) // 8)))
        tokens = int(megabytes * 60_000)
        budgets = f"budgets = {[tokens // 4, tokens // 2, tokens]}"
        lines = (budgets if line.startswith("budgets") else line for line in study_text().splitlines())
        study.write_text("\n".join(lines) + "\n")
    return study


def cpu() -> float:
    """Seconds of processor time of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def runs(engines: Sequence[str], workers: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Engines with their numbers of workers."""
    for name in engines:
        yield from itertools.product([name], workers if name in COUNTED else [0])


def build(study: Path, out: str, beam: Sequence[str]) -> tuple[str, float]:
    """Build the study; its root hash and the seconds of the command."""
    from tokenladder.pipelines.files import store

    usage = measure.run([clusters.program("tokenladder"), "build", study, "--out", out, "--quiet", "--", *beam])
    return store.read_json(store.join(out, "manifest.json"))["root_hash"], usage.wall


def spend(beam: Sequence[str], folder: Path, tasks: int) -> None:
    """Run empty tasks: what `--tasks` does in a process of its own."""
    from tokenladder.pipelines.engines.engine import Engine

    Engine(str(folder), beam).each("nothing", NOTHING, [{"n": n} for n in range(tasks)])


def overhead(name: str, out: Path) -> float:
    """CPU milliseconds for each further empty task on an engine of two workers."""
    used = []
    for tasks in (1, TASKS):
        before = cpu()
        with clusters.engine(name, out) as beam:
            command = [sys.executable, __file__, "--out", out / "nothing", "--tasks", str(tasks)]
            measure.run([*command, "--beam", json.dumps(beam)])
        measure.reap_orphans()
        used.append(cpu() - before)
    return (used[1] - used[0]) / (TASKS - 1) * 1e3


def compare(study: Path, arguments: argparse.Namespace) -> int:
    """Build on every engine, print the table, and say how many root hashes differ from the first."""
    out: Path = arguments.out
    print(f"\n{measure.machine()}\n\n| engine | workers | storage | root hash | wall s | CPU s |")
    print("| --- | ---: | --- | --- | ---: | ---: |")
    seen: list[str] = []
    places = ["local", *arguments.storage]
    todo = [(name, count, "local") for name, count in runs(arguments.engines, arguments.workers)]
    todo += [(name, 2, place) for place in places[1:] for name in arguments.engines if name in COUNTED]
    for name, count, place in todo:
        if reason := clusters.absent(name) or clusters.absent(place):
            print(f"| {name} | {count or ''} | {place} | {reason} | | |", flush=True)
            continue
        folder = out / f"{name}-{count}-{place}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        before = cpu()
        with contextlib.ExitStack() as stack:
            root = str(folder / "built")
            if place != "local":
                root, env = stack.enter_context(clusters.storage(place, folder))
                os.environ.update(env)
                root += "/built"
            found, wall = build(study, root, stack.enter_context(clusters.engine(name, folder, count or 2)))
        measure.reap_orphans()
        seen.append(found)
        print(f"| {name} | {count or ''} | {place} | {found[:12]} | {wall:.1f} | {cpu() - before:.1f} |", flush=True)
    differ = sum(one != seen[0] for one in seen)
    print(f"\n{len(seen)} builds, {differ} of which differ from the first\n")
    return differ


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the corpus and builds")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, help="which (default all)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 16], help="numbers of workers")
    parser.add_argument("--storage", nargs="*", choices=["s3", "gs"], default=[], help="build there, too")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of source files (default 4)")
    parser.add_argument("--no-overhead", action="store_true", help="leave out what an engine costs a part")
    parser.add_argument("--tasks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--beam", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    if arguments.tasks:
        spend(arguments.beam, arguments.out, arguments.tasks)
        return
    study = make_study(arguments.out, arguments.megabytes)
    build(study, str(arguments.out / f"warm-up-{time.time_ns()}"), [])  # compiles kernels
    differ = compare(study, arguments)
    if not arguments.no_overhead:
        print("| engine | CPU ms a part |\n| --- | ---: |")
        for name in arguments.engines:
            print(f"| {name} | {clusters.absent(name) or f'{overhead(name, arguments.out):.1f}'} |", flush=True)
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
