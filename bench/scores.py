"""All scores in one table: MB of text in a second of one core, beside the figures that they are to reach.

    python bench/scores.py [--megabytes 20] [--rounds 3] [--corpus DIR]

Text is what the installed packages hold (see `scores_private.py`), in batches of 1,000 documents; speeds are the best
of the rounds, kernels compiled. Evaluation sets have a million n-grams (see `scores_eval.py`). With `--corpus`, which
is what corpus.py wrote, all of `scores_*.py` run after it: recall, decisions beside datatrove's, finds in clean text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fasttext_new
import pyarrow as pa

from tokenladder import filters
from tokenladder.filters.measures import fasttext, kneser_ney

from measure import machine
from scores_eval import ANY, NGRAMS, SETS, WORD, paragraphs, write_sets
from scores_private import texts

BATCH = 1000
HERE = Path(__file__).parent
LISTS = HERE.parent / "tests" / "filters"
PARAMETERS = {
    "domains": {"files": [str(LISTS / "listed_domains.txt")]},
    "fasttext": {"model": fasttext.SHIPPED},
    "function": {"function": f"{LISTS / 'own_score.py'}:count"},
    "words_list": {"files": [str(LISTS / "listed_words.txt")]},
}
"""What scores cannot do without; the others are measured as a study has them that says nothing more."""

TARGETS = {
    "gopher, repetition, fineweb together": 40.0,
    "personal and secrets together": 60.0,
    "contamination": 60.0,
}
WITH_CORPUS = {"scores_text.py", "scores_bursts.py"}
TRAINED = 10_000_000  # characters that the language model of the perplexity score is trained on


def named(values: Sequence[str]) -> pa.RecordBatch:
    """Documents with the other columns that scores look at."""
    columns = {"text": pa.array(values, pa.string()), "name": [f"http://example.org/{n}" for n in range(len(values))]}
    nothing = pa.array([None] * len(values), pa.string())
    return pa.record_batch({**columns, **dict.fromkeys(("record", "file_type", "licence", "licence_id"), nothing)})


def seconds(work: Callable[[pa.RecordBatch], object], documents: pa.RecordBatch, rounds: int) -> float:
    """Processor time for all documents, the best of the rounds."""
    work(documents.slice(0, 10))
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for start in range(0, len(documents), BATCH):
            work(documents.slice(start, BATCH))
        best = min(best, time.process_time() - began)
    return best


def bare_fasttext(documents: pa.RecordBatch) -> Callable[[pa.RecordBatch], object]:
    """The library alone, which is given lists of lines that are ready."""
    path, *_ = fasttext._stamp(fasttext.SHIPPED)  # noqa: SLF001 (where the model is)
    model = fasttext_new.load_model(path)
    lines = [text.replace("\n", " ") for text in documents["text"].to_pylist()]
    ready = {start: lines[start : start + BATCH] for start in range(0, len(lines), BATCH)}
    ready_by_offset = {documents.slice(start, BATCH)["text"].offset: some for start, some in ready.items()}
    return lambda some: model.predict_batch(ready_by_offset[some["text"].offset][: len(some)], 1, 0.0, threads=1)


def sets_of(folder: Path, others: Sequence[str]) -> dict[str, dict[str, str]]:
    """Evaluation sets of so many n-grams."""
    chosen, left = [], NGRAMS
    for item in paragraphs(others, 8, 400, ANY):
        chosen.append(item)
        left -= max(0, len(WORD.findall(item)) - 4)
        if left <= 0:
            break
    return write_sets(folder, chosen, SETS)


def language_model(path: Path, others: Sequence[str]) -> float:
    """Train a language model of five words on other text; megabytes in a second of processor time."""
    size, sentences = 0, []
    began = time.process_time()
    for text in others:
        if size > TRAINED:
            break
        size += len(text.encode())
        sentences += [line.split() for line in text.splitlines() if line.strip()]
    with path.open("wb") as file:
        file.writelines(kneser_ney.arpa(kneser_ney.estimate(sentences)))
    return size / 1e6 / (time.process_time() - began)


def one_by_one(families: Sequence[Any]) -> Callable[[pa.RecordBatch], object]:
    """Several scores of each batch, as a build computes them: they share the statistics of its text."""
    return lambda some: [family.score(some) for family in families]


def table(documents: pa.RecordBatch, others: Sequence[str], folder: Path, rounds: int) -> None:
    """Measure every score and print the table."""
    size = sum(len(text.encode()) for text in documents["text"].to_pylist()) / 1e6
    parameters = {**PARAMETERS, "contamination": {"sets": sets_of(folder, others)}}
    for name, some in (("target", others[:200]), ("raw", documents["text"].to_pylist()[:200])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
    parameters["importance"] = {name: (str(folder / f"{name}.jsonl"),) for name in ("target", "raw")}
    parameters["perplexity"] = {"model": str(folder / "model.arpa")}
    trained = language_model(folder / "model.arpa", others)
    spent = {}
    print(f"{machine()}; {size:.0f} MB in {len(documents):,} documents\n")
    print("| score | MB per CPU-second | to reach |\n| --- | ---: | ---: |", flush=True)

    def told(name: str, took: float) -> None:
        spent[name] = took
        print(f"| {name} | {size / took:.1f} | {TARGETS.get(name, '')} |", flush=True)

    for name in sorted(filters.FAMILIES):
        try:
            family = filters.build(name, parameters.get(name, {}))
            told(name, seconds(family.score, documents, rounds))
        except ModuleNotFoundError as error:
            print(f"| {name} | left out | {error} |")
    for together in TARGETS:
        names = together.removesuffix(" together").replace(" and ", ", ").split(", ")
        if together not in spent and set(names) <= set(spent):
            told(together, seconds(one_by_one([filters.build(name, {}) for name in names]), documents, rounds))
    told("the bare fastText library", seconds(bare_fasttext(documents), documents, rounds))
    print(f"| training the model of perplexity | {trained:.1f} | |")
    more = spent["fasttext"] / spent["the bare fastText library"] - 1
    print(f"\nfasttext takes {more:+.1%} of the bare library's time more (to reach: 5 %).")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=20, help="text (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="what corpus.py wrote: run all of scores_*.py too")
    arguments = parser.parse_args()
    every = list(texts(3 * arguments.megabytes * 1_000_000))
    cut = next(n for n in range(len(every)) if sum(map(len, every[:n])) > arguments.megabytes * 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        table(named(every[:cut]), every[cut:], Path(name), arguments.rounds)
    if arguments.corpus is not None:
        for script in sorted(HERE.glob("scores_*.py")):
            more = ["--corpus", str(arguments.corpus)] if script.name in WITH_CORPUS else []
            print(f"\n## {script.name}\n", flush=True)
            subprocess.run([sys.executable, script, *more], check=True)


if __name__ == "__main__":
    main()
