"""From chosen documents to shards: TokenLadder's encode, place and pack against datatrove's DocumentTokenizer.

    python bench/encode.py --corpus DIR [--megabytes 100] [--rounds 3]

DIR is what corpus.py wrote. Half of the text is the main content of its pages, half are text files of the Python
packages that this environment holds, as Parquet; nothing is repeated. Both sides read it, tokenize it by the same
`tokenizer.json` with an end-of-document token after each document, and write the tokens in a shuffled order, on one
core, in turns within one run. datatrove comes from the package index into DIR/datatrove, an environment of its own.

Ours is a build in one process, without Beam; counted are the processor seconds of its stages `encode`, `place` and
`pack`, which write exact shards with the table of documents in each: with `input_ids` as lists and as binary. Theirs is
the whole command. From both is taken what the same takes for 20 documents: imports, and opening the tokenizer. *Packing
alone* is the stage `pack`, in MB of token ids of two bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
from plain_engine import PlainEngine, building_with

from tokenladder.pipelines.engines.allocators import settle
from tokenladder.tokenizers.huggingface import HuggingFaceTokenizer

import builds
import measure
from dedup_corpus import installed, up_to, web, write
from end_to_end import peer_python

PEER = Path(__file__).parent / "peer_encode.py"
LENGTH = 2048
STUDY = """\
name = "encode"
seed = 1
budgets = [{tokens}]
sequence_length = {length}
input_ids = {kind}

[tokenizer]
type = "huggingface"
path = {tokenizer}

[sources.text]
format = "parquet"
path = {path}

[recipes.all]
dedup = false
"""


class Stages(PlainEngine):
    """Counts processor seconds by stage, and of each shard."""

    spent: ClassVar[defaultdict[str, float]] = defaultdict(float)
    shards: ClassVar[list[float]] = []
    """MB of token ids a second, in the order in which shards are written."""

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Time the tasks, too."""
        for payload in payloads:
            seconds = self._timed(label, partial(super().each, label, target, [payload], isolated=isolated))
            if label == "pack":
                Stages.shards.append(payload["count"] * LENGTH * 2 / 1e6 / seconds)

    def exchange(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int = 0,
    ) -> None:
        """Time the exchange, too."""
        self._timed(label, partial(super().exchange, label, emit, reduces, payloads, volume))

    def _timed(self, label: str, work: Callable[[], object]) -> float:
        before = resource.getrusage(resource.RUSAGE_SELF)
        work()
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        Stages.spent[label] += seconds
        return seconds


def ours(documents: Path, tokenizer: Path, out: Path, kind: str) -> dict[str, Any]:
    """Build a study of one rung with all tokens; the seconds of its stages, and what it holds."""
    from tokenladder.pipelines.drivers import build as module
    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.study.file import parse
    from tokenladder.pipelines.watch.progress import Reporter

    fill = {"tokenizer": str(tokenizer), "path": f"{documents}/*.parquet", "kind": kind, "length": LENGTH}
    texts = {key: json.dumps(value) for key, value in fill.items()}
    study = parse(STUDY.format(tokens=count(documents, tokenizer), **texts), str(out / "study.toml"))
    with building_with(Stages):
        manifest = module.build(make_plan(study, str(out / "built")), Reporter(quiet=True))
    rung = manifest["recipes"]["all"]["rungs"][-1]
    counted = manifest["counts"]["text"]
    return {
        "stages": dict(Stages.spent),
        "shards": Stages.shards,
        "tokens": rung["tokens"],
        "text_bytes": counted["text_bytes"],
    }


def corpus_of(corpus: Path, megabytes: int) -> Path:
    """The folder of the documents, made once."""
    folder = corpus / f"encode-{megabytes}"
    if not (folder / "tiny").exists():
        pages = up_to(web(corpus / "warc"), megabytes * 500_000)
        left = megabytes * 1_000_000 - sum(len(page.text.encode()) for page in pages)
        folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")} | {str(Path(sysconfig.__file__).parent)}
        documents = pages + up_to(installed(sorted(map(Path, folders))), left)
        size = write(documents, folder / "documents")
        print(f"{len(documents):,} documents, {size / 1e6:.0f} MB", file=sys.stderr)
        write(documents[:: len(documents) // 20], folder / "tiny")
    return folder


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.update(RAYON_NUM_THREADS="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    settle()  # as `tokenladder build` does


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=100, help="text, 10⁶ bytes (default 100)")
    parser.add_argument("--rounds", type=int, default=3, help="times each side runs, in turns (default 3)")
    parser.add_argument("--ours", nargs=3, metavar=("DOCUMENTS", "OUT", "KIND"), help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help="without datatrove")
    arguments = parser.parse_args()
    corpus = arguments.corpus.resolve()
    _one_core()
    tokenizer = builds.tokenizer(corpus)
    if arguments.ours:
        documents, out, kind = arguments.ours
        print(json.dumps(ours(Path(documents), tokenizer, Path(out), kind)))
        return
    folder = corpus_of(corpus, arguments.megabytes)
    python = None if arguments.alone else peer_python(corpus / "datatrove")
    runs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    theirs: list[float] = []
    for _ in range(arguments.rounds):
        for kind in ("list", "binary"):
            runs[kind].append(_our_run(corpus, folder, kind))
        if python:
            used = [_peer_run(python, folder / name, tokenizer) for name in ("documents", "tiny")]
            theirs.append(used[0] - used[1])
    _report(runs, theirs, arguments.rounds)


def _our_run(corpus: Path, folder: Path, kind: str) -> dict[str, Any]:
    found = []
    for name in ("tiny", "documents"):
        with tempfile.TemporaryDirectory(dir=corpus) as out:
            words = [sys.executable, __file__, "--corpus", corpus, "--ours", folder / name, out, kind]
            found.append(json.loads(measure.run(words).output.splitlines()[-1]))
    tiny, run = found
    run["seconds"] = {name: run["stages"][name] - tiny["stages"][name] for name in ("encode", "place", "pack")}
    return run  # type: ignore[no-any-return] # a dict


def count(documents: Path, tokenizer: Path) -> int:
    """Tokens of all documents, in whole sequences."""
    engine, total = HuggingFaceTokenizer(tokenizer.read_bytes()), 0
    for path in sorted(documents.glob("*.parquet")):
        column = pq.read_table(path, columns=["text"]).column(0).combine_chunks()
        total += len(engine.encode(column)[1]) + len(column)
    return total // LENGTH * LENGTH


def _peer_run(python: Path, documents: Path, tokenizer: Path) -> float:
    with tempfile.TemporaryDirectory(dir=documents.parent) as out:
        return measure.run([python, PEER, documents, tokenizer, out]).cpu


def _report(runs: dict[str, list[dict[str, Any]]], theirs: Sequence[float], rounds: int) -> None:
    megabytes = runs["list"][0]["text_bytes"] / 1e6
    print(f"{megabytes:.0f} MB of text; {measure.machine()}; one core; medians of {rounds} rounds\n")
    print("| | CPU s | MB of text per CPU-second | times datatrove |\n| --- | ---: | ---: | ---: |")
    peer = statistics.median(theirs) if theirs else 0.0

    def row(name: str, seconds: float) -> None:
        times = f"{peer / seconds:.1f}" if peer else ""
        print(f"| {name} | {seconds:.2f} | {megabytes / seconds:.1f} | {times} |")

    if peer:
        row("datatrove 0.10.1, DocumentTokenizer", peer)
    for kind, found in runs.items():
        row(f"TokenLadder, {kind}", statistics.median(sum(run["seconds"].values()) for run in found))
    for kind, found in runs.items():
        spent = {name: statistics.median(run["seconds"][name] for run in found) for name in found[0]["seconds"]}
        tokens = found[0]["tokens"] * 2 / 1e6
        shares = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in spent.items())
        print(f"\n{kind}: {shares}; packing alone {tokens / spent['pack']:.0f} MB of token ids per CPU-second")
        by_shard = [statistics.median(rates) for rates in zip(*(run["shards"] for run in found), strict=True)]
        told = ", ".join(f"{rate:.0f}" for rate in by_shard)
        print(f"shard by shard: {told}; their median {statistics.median(by_shard):.0f}")


if __name__ == "__main__":
    main()
