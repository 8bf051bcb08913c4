"""Near duplicates: TokenLadder against other tools on the same documents in the same run.

    python bench/dedup.py --corpus DIR [--megabytes 100] [--peers datatrove,gaoya] [--only kernel,recall] [--rounds 3]

DIR is what corpus.py wrote; the documents and the planted duplicates are made there once (dedup_corpus.py). Parts:

kernel       signatures from texts in memory: MB of text per CPU-second
end-to-end   Parquet in, kept rows out: MB of text per CPU-second of the whole process, with start-up and without it
             (the time of 20 documents)
recall       planted pairs in one cluster, by exact Jaccard similarity; pairs left; removals that are right
grouping     band records of 1, 10 and 100 million synthetic signatures (--millions), through files
wipe-out     859,000 documents that share one band and are otherwise different

All run on one core, one after the other in each round; figures are medians. Peers that do not install, or that fail,
are named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

import dedup_corpus
import dedup_peers
import dedup_truth
import measure
from dedup_peers import OURS, Run, UnavailableError

PARTS = ("kernel", "end-to-end", "recall", "grouping", "wipe-out")
PEERS = (*(name for name in dedup_peers.PACKAGES if name not in dedup_peers.WITHOUT), dedup_peers.BY_CARGO)
WIPE_OUT = (429_500, 859_000, 1_718_000)


def tools(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """TokenLadder and the peers that can be installed, each with the program that runs it."""
    found = {OURS: Path(sys.executable)}
    for name in names:
        try:
            found[name] = dedup_peers.install(name, folder / name)
        except UnavailableError as error:
            print(f"{name} cannot be installed here: {error}", flush=True)
    return found


def kernel(programs: Mapping[str, Path], documents: Path, megabytes: float, rounds: int) -> str:
    """Table of signatures alone."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, program in programs.items():
            try:
                seconds.setdefault(name, []).append(dedup_peers.signing_seconds(name, program, documents))
            except UnavailableError as error:
                print(f"{name}, kernel: {error}", flush=True)
    speeds = {name: megabytes / statistics.median(taken) for name, taken in seconds.items() if taken}
    lines = ["| signatures | MB per CPU-second | ratio to TokenLadder |", "| --- | ---: | ---: |"]
    return "\n".join(
        lines + [f"| {name} | {speed:.1f} | {speed / speeds[OURS]:.3f} |" for name, speed in speeds.items()]
    )


def removals(programs: Mapping[str, Path], folder: Path, rounds: int) -> dict[str, tuple[list[Run], list[Run]]]:
    """For each tool its runs on all documents, and on the tiny corpus for its start-up, in turns."""
    runs: dict[str, tuple[list[Run], list[Run]]] = {}
    for number in range(rounds):
        for name, program in programs.items():
            if number and name not in runs:
                continue  # it failed before
            out = folder / "out" / name
            try:
                if not number:
                    dedup_peers.dedup(name, program, folder / "tiny", out)  # byte code, compiled kernels
                small = dedup_peers.dedup(name, program, folder / "tiny", out)
                whole = dedup_peers.dedup(name, program, folder / "documents", out)
            except UnavailableError as error:
                print(f"{name} failed: {error}", flush=True)
                continue
            print(f"  {name}: {whole.cpu:.2f} CPU s, of them start-up {small.cpu:.2f}", file=sys.stderr, flush=True)
            runs.setdefault(name, ([], []))
            runs[name][0].append(whole)
            runs[name][1].append(small)
            shutil.rmtree(out)
    return runs


def end_to_end(runs: Mapping[str, tuple[list[Run], list[Run]]], megabytes: float) -> str:
    """Table of whole processes."""
    lines = [
        "| Parquet → kept rows | CPU s | start-up | MB per CPU-second | without start-up | ratio to TokenLadder |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    taken = {name: statistics.median(run.cpu for run in whole) for name, (whole, _) in runs.items()}
    for name, (_, small) in runs.items():
        started = statistics.median(run.cpu for run in small)
        rest = megabytes / max(taken[name] - started, 0.001)
        lines.append(
            f"| {name} | {taken[name]:.2f} | {started:.2f} | {megabytes / taken[name]:.2f} | {rest:.1f} "
            f"| {taken[OURS] / taken[name]:.3f} |"
        )
    return "\n".join(lines)


def recall(runs: Mapping[str, tuple[list[Run], list[Run]]], folder: Path) -> str:
    """Table of what the tools found, by exact similarity."""
    texts = pq.read_table(folder / "documents", columns=["text"]).column(0).to_pylist()
    planted = [(row["copy"], row["original"]) for row in pq.read_table(folder / "planted.parquet").to_pylist()]
    known = dedup_truth.truth(texts)
    print(f"{len(planted):,} planted pairs; {len(known.pairs):,} pairs of different sets from a similarity of .5")
    names = [f"{low:g}–{min(high, 1):g}" if low < 1 else "1" for low, high in dedup_truth.BINS]
    lines = [
        f"| recall of planted pairs | {' | '.join(names)} | all ≥ .8 | ≥ .8 left | removed | right at ≥ .7 |",
        "| --- |" + " ---: |" * (len(names) + 4),
    ]
    for name, (whole, _) in runs.items():
        found = dedup_truth.score(known, planted, whole[0].verdict)
        cells = [f"{value:.3f}" for value in (*found.recall, found.high, found.left)]
        lines.append(f"| {name} | {' | '.join(cells)} | {found.removed:,} | {found.precision:.3f} |")
    return "\n".join(lines)


def scale(what: str, sizes: Sequence[int], folder: Path) -> str:
    """Table of dedup_scale.py at these sizes."""
    lines = [
        f"| {what} | CPU s | CPU s per million | peak MB | {'removed' if what == 'wipe-out' else 'in components'} |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes:
        shutil.rmtree(folder / "scale", ignore_errors=True)
        arguments = [what, str(size), folder / "scale"]
        usage = measure.run([sys.executable, Path(__file__).parent / "dedup_scale.py", *arguments], memory=True)
        result = json.loads(usage.output.splitlines()[-1])
        each = result["cpu"] / result["records"] * 1e6
        lines.append(
            f"| {result['records']:,} | {result['cpu']:.1f} | {each:.3f} | {usage.first:.0f} | {result['found']:,} |"
        )
    shutil.rmtree(folder / "scale", ignore_errors=True)
    return "\n".join(lines)


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of a list of names with commas between them, for argparse."""

    def parse(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)} here; choose from {', '.join(known)}")
        return chosen

    return parse


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=100, help="text before copies are planted (default 100)")
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=f"default {','.join(PEERS)}")
    parser.add_argument("--only", type=names(PARTS), default=list(PARTS), help=f"default {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="times each tool runs, in turns (default 3)")
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10, 100], help="of signatures, for grouping")
    arguments = parser.parse_args()
    only = arguments.only
    corpus = arguments.corpus.resolve()
    print(measure.machine())
    dedup_peers.one_core()
    if {"kernel", "end-to-end", "recall"} & set(only):
        programs = tools(arguments.peers, corpus / "dedup-peers")
        folder = dedup_corpus.make(corpus, arguments.megabytes)
        texts = pq.read_table(folder / "documents", columns=["text"]).column(0)
        megabytes = sum(len(text.as_buffer()) for text in texts) / 1e6
        print(
            f"{len(texts):,} documents, {megabytes:.1f} MB of text; one core; {arguments.rounds} rounds\n", flush=True
        )
        del texts
        if "kernel" in only:
            print(kernel(programs, folder / "documents", megabytes, arguments.rounds), flush=True)
        if {"end-to-end", "recall"} & set(only):
            programs |= dict.fromkeys(dedup_peers.OWN, Path(sys.executable))
            runs = removals(programs, folder, arguments.rounds if "end-to-end" in only else 1)
            if "end-to-end" in only:
                print(f"\n{end_to_end(runs, megabytes)}", flush=True)
            if "recall" in only:
                print(f"\n{recall(runs, folder)}", flush=True)
    if "grouping" in only:
        print(f"\n{scale('grouping', arguments.millions, corpus)}", flush=True)
    if "wipe-out" in only:
        print(f"\n{scale('wipe-out', WIPE_OUT, corpus)}", flush=True)


if __name__ == "__main__":
    main()
