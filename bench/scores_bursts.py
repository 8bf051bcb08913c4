"""Bursts of one phrase: how many planted ones are found, what is taken for one in clean pages, and what it costs.

    python bench/scores_bursts.py --corpus DIR [--megabytes 60] [--seed 1]

DIR is what corpus.py wrote. Phrases of made words and of words of the corpus are put into its pages, each into so many
pages of one host or of three, at a place drawn by chance between two words, in capitals every third time. A page counts
as found where the score says a phrase of it. Clean pages are those of the same corpus before anything was put in. The
study is built three times in one store: without `[bursts]`, with it, and once more with nothing to do, so that the
stage's processor time is what the second build took more than the third.
"""
# ruff: noqa: S311 places drawn at random are no secrets

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tokenladder.filters.provenance.hosts import hosts
from tokenladder.pipelines.formats.extract import ExtractionError, extract

import measure
from dedup_corpus import WORD

LENGTHS = (6, 8, 12)
COUNTS = (20, 50, 250)
STUDY = """name = "bursts"
budgets = ["100K"]
sequence_length = 256
tokenizer = {{ type = "bytes" }}
{section}
[sources.web]
format = "parquet"
path   = "{path}"
id     = "url"
[recipes.all]
dedup = false
[recipes.clean]
dedup = false
keep = [{rule}]
"""


def pages(corpus: Path, megabytes: int) -> list[dict[str, str]]:
    """Main content of pages with their addresses, in the corpus' order, until they hold so many megabytes."""
    found: list[dict[str, str]] = []
    missing = megabytes * 1_000_000
    for file in sorted((corpus / "warc").glob("*.warc.gz")):
        with file.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                try:
                    text = extract(record.reader.read())
                except ExtractionError:
                    continue
                if text.strip() and missing > 0:
                    found.append({"url": record.headers["WARC-Target-URI"], "text": text})
                    missing -= len(text.encode())
    return found


def phrases(rows: Sequence[dict[str, str]], rng: random.Random) -> list[tuple[int, int, int, str]]:
    """Words, pages and hosts of each phrase, and what it says: made words, and words of the corpus."""
    common = WORD.findall(" ".join(row["text"] for row in rows[:200]))
    common = [word for word in common if word.upper().lower() == word.lower()]  # in capitals, "ß" is another word
    letters = "abdefghiklmnoprstuvz"
    out = []
    for count in COUNTS:
        for length in LENGTHS:
            made = ["".join(rng.choices(letters, k=rng.randint(4, 9))) for _ in range(length)]
            out.append((length, count, 1, " ".join(made)))
            out.append((length, count, 3, " ".join(rng.choices(common, k=length))))
    return out


def plant(
    rows: Sequence[dict[str, str]], wanted: Sequence[tuple[int, int, int, str]], rng: random.Random
) -> tuple[list[dict[str, str]], list[set[str]]]:
    """Pages with the phrases in them, and the addresses that each went to."""
    texts = {row["url"]: row["text"] for row in rows}
    of_host: dict[str, list[str]] = {}
    for row, host in zip(rows, hosts(pa.array([row["url"] for row in rows])).to_pylist(), strict=True):
        of_host.setdefault(host, []).append(row["url"])
    there: list[set[str]] = []
    for _, count, spread, phrase in wanted:
        for host, those in of_host.items():  # one phrase a page: another one could stand inside it
            of_host[host] = [url for url in those if not there or url not in there[-1]]
        large = sorted(host for host, those in of_host.items() if len(those) >= count)
        chosen = [url for host in rng.sample(large, spread) for url in of_host[host]]
        there.append(set(rng.sample(chosen, count)))
        for n, url in enumerate(sorted(there[-1])):
            lines = texts[url].split("\n")
            at = rng.choice([n for n, line in enumerate(lines) if line.strip()])
            words = lines[at].split(" ")
            words.insert(rng.randint(0, len(words)), phrase if n % 3 else phrase.upper())
            lines[at] = " ".join(words)
            texts[url] = "\n".join(lines)
    return [{"url": row["url"], "text": texts[row["url"]]} for row in rows], there


def built(folder: Path, rows: Sequence[dict[str, str]]) -> tuple[set[str], dict[str, Any], float]:
    """Addresses of pages with a burst, what the manifest tells, and processor seconds of finding them."""
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "pages.parquet")
    took = []
    for section, rule in (("", ""), *[("[bursts]", '{ score = "bursts", max = 0 }')] * 2):
        (folder / "study.toml").write_text(STUDY.format(path=folder / "pages.parquet", section=section, rule=rule))
        command = [
            sys.executable,
            "-m",
            "tokenladder",
            "build",
            folder / "study.toml",
            "--out",
            folder / "out",
            "--quiet",
        ]
        took.append(measure.run(command).cpu)
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    found = set()
    for ledger in manifest["recipes"]["clean"]["ledger"]:
        table = pq.read_table(folder / "out" / ledger["path"], columns=["name", "outcome"]).to_pylist()
        found |= {row["name"] for row in table if row["outcome"] == "dropped"}
    return found, manifest["bursts"], took[1] - took[2]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=60, help="text, at most (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the phrases and places (default 1)")
    arguments = parser.parse_args()
    rows = list({row["url"]: row for row in pages(arguments.corpus, arguments.megabytes)}.values())
    size = sum(len(row["text"].encode()) for row in rows) / 1e6
    rng = random.Random(arguments.seed)
    wanted = phrases(rows, rng)
    planted, there = plant(rows, wanted, rng)
    with tempfile.TemporaryDirectory() as name:
        clean, told, seconds = built(Path(name) / "clean", rows)
        found, _, _ = built(Path(name) / "planted", planted)
    print(f"{len(rows):,} pages, {size:.1f} MB; {measure.machine()}\n")
    print(
        f"Clean pages with a burst: {len(clean):,} ({len(clean) / len(rows):.2%}); "
        f"{size / seconds:.1f} MB per CPU-second"
    )
    for one in told["most"]:
        print(f"  {one['documents']:,} documents, {one['hosts']} hosts: {one['sample']}")
    print("\n| words | put into pages | of hosts | of words | found |")
    print("| ---: | ---: | ---: | --- | ---: |")
    for (length, count, spread, _), urls in zip(wanted, there, strict=True):
        kind = "made" if spread == 1 else "of the corpus"
        print(f"| {length} | {count} | {spread} | {kind} | {len(urls & found) / count:.0%} |")
    every = set().union(*there)
    print(f"\nFound in all: {len(every & found) / len(every):.1%} of {len(every):,} pages.")
    print(f"Of other pages, more than in clean ones: {len(found - every - clean):,}.")


if __name__ == "__main__":
    main()
