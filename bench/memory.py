"""How memory and processor time of `tokenladder build` grow with the corpus, and Beam's share of the time.

    python bench/memory.py --out DIR [--megabytes 25] [--times 1 4 16]

Makes corpora of corpus.py below DIR, each TIMES copies of the same pages with changed words, and builds the same study
of each: all scores, near duplicates, a budget that grows with the corpus. Memory is the peak of each process, as the
kernel keeps it. Starting up costs the same at any size, so time is also given per further 100 MB over the smallest. The
largest is then built by the same functions in plain loops, without Beam; the difference is Beam's share.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import builds
import corpus
import measure

HTML_BYTES_PER_TOKEN = 80  # of the budget; the pages hold two to three times as many tokens before rules
WITHOUT_BEAM = Path(__file__).parent / "without_beam.py"


def made(folder: Path, megabytes: int, copies: int) -> int:
    """Make the corpus unless it is there; its bytes of HTML."""
    if not (folder / "corpus.json").exists():
        corpus.make(folder, megabytes, copies)
    return int(json.loads((folder / "corpus.json").read_text())["html_bytes"])


def study(folder: Path, tokenizer: Path, size: int) -> Path:
    """A study with near duplicates found and no rule, so that all that a build does is done to every page."""
    largest = size // HTML_BYTES_PER_TOKEN
    return builds.study(
        folder / "study.toml",
        budgets=[largest // 8, largest // 4, largest // 2, largest],
        tokenizer=tokenizer,
        warc=folder / "warc" / "*.warc.gz",
        extractor="resiliparse",
        dedup=True,
        rules="[]",
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for corpora and builds")
    parser.add_argument("--megabytes", type=int, default=25, help="HTML of the smallest corpus (default 25)")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16], help="sizes (default 1 4 16)")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    # Packages are downloaded once, for the first corpus.
    folders = {times: out / f"times-{times}" for times in arguments.times}
    for times, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "packages").exists():
            (out / "packages").mkdir(exist_ok=True)
            (folder / "packages").symlink_to(out / "packages")
        made(folder, arguments.megabytes, times)
    first = next(iter(folders.values()))
    tokenizer = builds.tokenizer(first)
    builds.build(study(first, tokenizer, made(first, 0, 0)), first / "built")  # compiles the kernels

    print(f"{measure.machine()}\n")
    heads = "corpus", "MB of HTML", "documents", "CPU s", "CPU s per further 100 MB"
    print("|", " | ".join((*heads, "main process MB", "largest worker MB", "processes")), "|")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    before: tuple[float, int] | None = None
    for times, folder in folders.items():
        size = made(folder, 0, 0)
        built = builds.build(study(folder, tokenizer, size), folder / "built", memory=True)
        usage = built.usage
        further = "" if before is None else f"{(usage.cpu - before[0]) / (size - before[1]) * 1e8:.1f}"
        before = before or (usage.cpu, size)
        print(
            f"| {times}× | {size / 1e6:.0f} | {built.pages:,} | {usage.cpu:.1f} | {further} "
            f"| {usage.first:.0f} | {usage.largest:.0f} | {usage.processes} |",
            flush=True,
        )
    plain = builds.build(folder / "study.toml", folder / "built-plain", start=[WITHOUT_BEAM]).usage
    roots = {
        json.loads((folder / name / "manifest.json").read_text())["root_hash"] for name in ("built", "built-plain")
    }
    if len(roots) != 1:
        sys.exit(f"with and without Beam the builds of {folder} differ: {', '.join(sorted(roots))}")
    share = (usage.cpu - plain.cpu) / usage.cpu
    print(f"\nThe largest corpus without Beam: {plain.cpu:.1f} CPU s; Beam's share is {share:.1%}.")


if __name__ == "__main__":
    main()
