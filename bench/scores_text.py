"""Gopher's, FineWeb's and C4's heuristics: speed, and the same decisions as datatrove's, on the same documents.

    python bench/scores_text.py --corpus DIR [--megabytes 15] [--rounds 3] [--chunks 2400000]

DIR is what corpus.py wrote. Documents are the main content of its pages, those that the language model finds English.
datatrove comes from the package index into DIR/datatrove, an environment of its own, and judges them by its own classes
with their own defaults. Speeds are MB of text in a second of one core, without start-up, on both sides; ours are of
all figures of every document, the best of the rounds, while datatrove's chain leaves out what an earlier filter drops.

With --chunks, made words follow, none of them twice, and the memory of the process is shown as the memo of spaCy's
words fills and is emptied.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenladder.filters.measures.fasttext import FastText
from tokenladder.filters.rules.c4 import C4
from tokenladder.filters.rules.fineweb import FineWeb
from tokenladder.filters.rules.gopher import Gopher
from tokenladder.filters.rules.repetition import Repetition
from tokenladder.filters.text.english import english

import measure
from dedup_corpus import web
from end_to_end import peer_python

Words = Literal["unicode", "english"]
PEER = Path(__file__).parent / "peer_heuristics.py"
ROWS = 1000
PAIRS = 8  # of reasons that differ, shown for each family


def documents(corpus: Path, megabytes: int) -> pa.RecordBatch:
    """English documents in the corpus' order, until they hold so many megabytes."""
    found: list[str] = []
    missing = megabytes * 1_000_000
    language = FastText("lid.176.ftz")
    pages = (document.text for document in web(corpus / "warc"))
    while missing > 0 and (some := list(itertools.islice(pages, ROWS))):
        for text, row in zip(some, language.score(batch_of(some)).to_pylist(), strict=True):
            if missing > 0 and row["label"] == "en" and row["probability"] >= 0.65:
                found.append(text)
                missing -= len(text.encode())
    return batch_of(found)


def batch_of(texts: Sequence[str]) -> pa.RecordBatch:
    """Documents as a score takes them."""
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def chain(words: Words) -> list[Any]:
    """The three scores whose speed is measured."""
    return [Repetition(words=words), Gopher(words=words), FineWeb(words=words)]


def seconds(families: Sequence[Any], whole: pa.RecordBatch) -> float:
    """Processor seconds of the scores, batch by batch as a build computes them."""
    began = time.process_time()
    for start in range(0, len(whole), ROWS):
        batch = whole.slice(start, ROWS)
        for family in families:
            family.score(batch)
    return time.process_time() - began


def speeds(whole: pa.RecordBatch, rounds: int) -> dict[str, float]:
    """Name → seconds, the best of the rounds; the first round with spaCy's words, whose memo is empty, by itself."""
    tiny = batch_of(["A text, to compile what there is."])
    found: dict[str, float] = {}
    for words in ("unicode", "english"):
        for family in (*chain(words), C4(words=words)):
            family.score(tiny)
    found["english, nothing known"] = seconds(chain("english"), whole)
    for words in ("unicode", "english"):
        found[words] = min(seconds(chain(words), whole) for _ in range(rounds))
        for family in (*chain(words), C4(words=words)):
            found[f"{words}, {family.type}"] = min(seconds([family], whole) for _ in range(rounds))
    return found


def decisions(whole: pa.RecordBatch, verdicts: dict[str, list[str]], words: Words) -> None:
    """Print how many decisions and reasons are datatrove's, and which are not."""
    for family in (*chain(words), C4(words=words)):
        ours, theirs = family.score(whole)["reason"].to_pylist(), verdicts[family.type]
        pairs = list(zip(theirs, ours, strict=True))
        same = sum((one == "pass") == (other == "pass") for one, other in pairs)
        equal = sum(one == other for one, other in pairs)
        print(f"| {words} | {family.type} | {theirs.count('pass'):,} | {ours.count('pass'):,} | {same:,} | {equal:,} |")
        differing = Counter((one, other) for one, other in pairs if one != other)
        for (one, other), count in differing.most_common(PAIRS):
            print(f"|  | {one} → {other} |  |  |  | {count} |")


def lines_differ(whole: pa.RecordBatch, theirs: Sequence[dict[str, Any]]) -> int:
    """Documents whose lines C4 counts otherwise; of those that datatrove counts to the end."""
    different = 0
    for row, their in zip(C4(words="english").score(whole).to_pylist(), theirs, strict=True):
        ours = {name.removesuffix("_lines"): row[name] for name in row if name.endswith("_lines") and row[name]}
        long = ours.pop("long", 0)
        if their["reason"] in {"pass", "too_few_sentences"}:
            different += ours | ({"total": row["lines"]} if row["lines"] else {}) != their["lines"]
        different += (long >= 3) != their["paragraphs"]
    return different


def memory(chunks: int) -> None:
    """Print the resident memory as so many different chunks pass, a line for each 200,000."""
    families = chain("english")[:2]
    print("| chunks seen | chunks known | resident MB |")
    print("| ---: | ---: | ---: |")
    for first in range(0, chunks, 50_000):
        names = [f"{n * 2_654_435_761 % (1 << 32):x}" for n in range(first, first + 50_000)]  # a bijection: all differ
        batch = batch_of([" ".join(names[at : at + 500]) for at in range(0, len(names), 500)])
        for family in families:
            family.score(batch)
        seen = first + len(names)
        if seen % 200_000 == 0:
            resident = psutil.Process().memory_info().rss / 1e6
            print(f"| {seen:,} | {english().known:,} | {resident:.0f} |", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=15, help="text, at most (default 15)")
    parser.add_argument("--rounds", type=int, default=3, help="times each score runs (default 3)")
    parser.add_argument("--chunks", type=int, default=0, help="different words to watch the memory with (default 0)")
    arguments = parser.parse_args()
    whole = documents(arguments.corpus, arguments.megabytes)
    size = pc.sum(pc.binary_length(whole["text"])).as_py() / 1e6
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "documents.parquet", Path(folder) / "verdicts.json"
        pq.write_table(pa.table(whole.columns, whole.schema.names), source)
        measure.run([peer_python(arguments.corpus / "datatrove"), PEER, source, target])
        found = json.loads(target.read_text())
    ours = speeds(whole, arguments.rounds)
    print(f"{len(whole):,} English documents, {size:.1f} MB; {measure.machine()}; datatrove 0.10.1\n")
    slow = found["seconds"]["chain"]
    print("| Gopher repetition, Gopher quality, FineWeb | MB per CPU-second | against datatrove's chain |")
    print("| --- | ---: | ---: |")
    print(f"| datatrove, in a chain | {size / slow:.3f} | 1 |")
    print(f"| datatrove, all three on every document | {size / found['seconds']['each']:.3f} | |")
    for name, took in ours.items():
        print(f"| TokenLadder, {name} | {size / took:.1f} | {slow / took:.0f} |")
    memo = english()
    print(f"\nThe memo of spaCy's words holds {memo.known:,} chunks.\n")
    verdicts = {**found["verdicts"], "c4": [each["reason"] for each in found["c4"]]}
    print("| words | score | datatrove passes | TokenLadder passes | same decision | same reason |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for words in ("english", "unicode"):
        decisions(whole, verdicts, words)
    print(f"\nDocuments whose lines C4 counts otherwise: {lines_differ(whole, found['c4'])}.")
    if arguments.chunks:
        print()
        memory(arguments.chunks)


if __name__ == "__main__":
    main()
