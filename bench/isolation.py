"""What child processes cost on clean input: CPU time of the same build with its work in children and without, in turns.

    python bench/isolation.py --corpus bench-data --rounds 3

The corpus is that of corpus.py. With children, a build reads, scores and encodes in processes that can be killed and
replaced; without, the same functions do it in the threads of the builder, where one hostile page would end it all. Both
start from nothing, give the same root hash, and count all processes, start-up included. What a child costs beside its
work is its start (its imports), so the share falls with the size of the corpus: of some sizes all are measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path

import builds
import measure

WITHOUT = """
import sys
from tokenladder.pipelines.engines import isolate
from tokenladder.pipelines.engines.targets import resolve
isolate.call = lambda target, payload, **_: resolve(target)(payload)
from tokenladder.pipelines.commands.cli import main
sys.argv[0] = "tokenladder"
main()
"""


def part(corpus: Path, out: Path, megabytes: int) -> Path:
    """A folder of links to the first files of the corpus, of at least so many MB as they are on disk."""
    folder = out / f"{megabytes}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = 0
    for file in sorted((corpus / "warc").glob("*.warc.gz")):
        if size >= megabytes * 1e6:
            break
        (folder / file.name).symlink_to(file.resolve())
        size += file.stat().st_size
    if size < megabytes * 1e6:
        raise SystemExit(f"{corpus}: holds {size / 1e6:.0f} MB of WARC, not {megabytes}. Make more by corpus.py.")
    return folder


def main() -> int:
    """Print a table of CPU seconds by size; exit status 1 if a root hash differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of corpus.py")
    parser.add_argument("--out", type=Path, default=Path("bench-isolation"), help="folder to fill")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[5, 20], help="of compressed WARC files")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    tokenizer = builds.tokenizer(asked.corpus)
    ways: dict[str, list[str | Path]] = {"with children": ["-m", "tokenladder"], "without": ["-c", WITHOUT]}
    print(f"{measure.machine()}\n\n| MB of WARC | with children, CPU s | without, CPU s | more | spread, CPU s |")
    print("| ---: | ---: | ---: | ---: | --- |")
    wrong = 0
    for megabytes in asked.megabytes:
        folder = part(asked.corpus, asked.out.resolve(), megabytes)
        values = {"warc": f"{folder}/*.warc.gz", "extractor": "resiliparse", "tokenizer": str(tokenizer.resolve())}
        budgets = [megabytes * 20_000, megabytes * 100_000]
        study = builds.study(folder / "study.toml", budgets=budgets, dedup=True, rules=builds.RULES, **values)
        used: dict[str, list[float]] = {name: [] for name in ways}
        roots = set()
        for n in range(asked.rounds + 1):  # the first compiles kernels and fills the cache of files
            for name, start in list(ways.items())[:: 1 if n % 2 else -1]:
                built = builds.build(study, folder / "built", start=start)
                roots.add(json.loads((folder / "built" / "manifest.json").read_text())["root_hash"])
                if n:
                    used[name].append(built.usage.cpu)
        with_children, without = (statistics.median(seconds) for seconds in used.values())
        wrong += len(roots) - 1
        spread = " and ".join(f"{min(seconds):.1f} to {max(seconds):.1f}" for seconds in used.values())
        more = f"{with_children / without - 1:+.1%}"
        print(f"| {megabytes} | {with_children:.1f} | {without:.1f} | {more} | {spread} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
