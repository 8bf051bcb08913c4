"""Contamination: speed against a million n-grams, recall of rewritten items by injection, and finds in clean text.

    python bench/scores_eval.py [--megabytes 40] [--items 400] [--rounds 3] [--settings]

Text is what the installed packages hold (see `scores_private.py`). Paragraphs of some of these files are the items of
50 evaluation sets; the other files are the documents. For recall, items of which no document holds anything are put
between the lines of documents, one each, rewritten as the first column says. All is drawn from a fixed seed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import textwrap
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from tokenladder.filters.lists.contamination import Contamination

from measure import machine
from scores_private import batch, texts

SETS = 50
NGRAMS = 1_000_000
BATCH = 1000
WORD = re.compile(r"\w+")
MARKS = str.maketrans({".": " –", ",": ";", ":": ",", "(": "[", ")": "]", '"': "“", "'": "’"})
ANY = re.compile("")
PROSE = re.compile(r"^[A-Z].*[.?!:]$", re.DOTALL)


def paragraphs(documents: Sequence[str], least: int, most: int, form: re.Pattern[str] = PROSE) -> list[str]:
    """Paragraphs of so many words and of this form, each once, in order."""
    found = {}
    for document in documents:
        for each in re.split(r"\n\s*\n", document):
            if least <= len(WORD.findall(each)) <= most and form.match(each.strip()):
                found[" ".join(each.split())] = None
    return list(found)


def write_sets(folder: Path, items: Sequence[str], count: int) -> dict[str, dict[str, str]]:
    """The items as evaluation sets of JSON lines."""
    sets = {}
    for number in range(count):
        path = folder / f"set{number}.jsonl"
        path.write_text("".join(json.dumps({"question": item}) + "\n" for item in items[number::count]))
        sets[f"set{number}"] = {"path": str(path)}
    return sets


class Rewriter:
    """Ways to write an item anew.

    Attributes:
        ways: By name: text → text.
    """

    def __init__(self, seed: int) -> None:
        """Begin a stream of choices."""
        chance = self.chance = random.Random(seed)  # noqa: S311 (a benchmark)
        self.ways: dict[str, Callable[[str], str]] = {
            "as it is": lambda text: text,
            "wrapped at 30 columns": lambda text: textwrap.fill(text, 30),
            "one word a line, indented": lambda text: "\n    ".join(text.split()),
            "upper case": str.upper,
            "other punctuation": lambda text: text.translate(MARKS),
            "accents decomposed, no-break spaces": lambda text: unicodedata.normalize("NFD", text).replace(
                " ", "\u00a0"
            ),
            "as a quotation, > before lines": lambda text: textwrap.fill(
                text, 60, initial_indent="> ", subsequent_indent="> "
            ),
            "hyphens at line ends": self.hyphened,
            "1 word in 20 replaced": lambda text: self.replaced(text, 0.05),
            "1 word in 10 replaced": lambda text: self.replaced(text, 0.1),
            "1 word in 5 replaced": lambda text: self.replaced(text, 0.2),
            "1 word in 10 swapped with the next": self.swapped,
            "1 word in 10 left out": lambda text: " ".join(w for w in text.split() if chance.random() >= 0.1),
            "sentences in other order": self.shuffled,
            "the first half": lambda text: " ".join(text.split()[: len(text.split()) // 2]),
        }

    def replaced(self, text: str, share: float) -> str:
        """The text with so many words replaced by others of its own."""
        words = text.split()
        return " ".join(self.chance.choice(words) if self.chance.random() < share else word for word in words)

    def swapped(self, text: str) -> str:
        """The text with neighbours exchanged."""
        words = text.split()
        for place in range(len(words) - 1):
            if self.chance.random() < 0.1:
                words[place], words[place + 1] = words[place + 1], words[place]
        return " ".join(words)

    def shuffled(self, text: str) -> str:
        """The text with its sentences in another order."""
        sentences = re.split(r"(?<=[.?!:;])\s", text)
        self.chance.shuffle(sentences)
        return " ".join(sentences)

    def hyphened(self, text: str) -> str:
        """The text in lines of 40 columns, the last word of each cut in two where it is long."""
        lines = textwrap.wrap(text, 40)
        cut = [re.sub(r"(\w{3,})(\w{3,})$", r"\1-\n\2", line) for line in lines]
        return "\n".join(cut)


def inside(text: str, item: str, chance: random.Random) -> str:
    """The text with the item between two of its lines."""
    lines = text.split("\n")
    place = chance.randint(0, len(lines))
    return "\n".join([*lines[:place], "", item, "", *lines[place:]])


def speed(folder: Path, items: Sequence[str], documents: pa.RecordBatch, rounds: int) -> None:
    """MB of text in a second of one core, against a million n-grams; batches of 1,000 documents."""
    chosen, left = [], NGRAMS
    for item in items:
        chosen.append(item)
        left -= max(0, len(WORD.findall(item)) - 4)
        if left <= 0:
            break
    family = Contamination(write_sets(folder, chosen, SETS))  # type: ignore[arg-type] # tables are taken too
    began = time.process_time()
    family.score(documents.slice(0, 1))
    loaded = time.process_time() - began
    ngrams = len(family._loaded().ngrams.offsets) - 1  # noqa: SLF001 (what it is measured against)
    size = sum(len(each.encode()) for each in documents["text"].to_pylist()) / 1e6
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for start in range(0, len(documents), BATCH):
            family.score(documents.slice(start, BATCH))
        best = min(best, time.process_time() - began)
    print(
        f"{size / best:.0f} MB/CPU-s: {size:.0f} MB in {len(documents)} documents against {ngrams:,} n-grams of "
        f"{len(chosen):,} items in {SETS} sets, which took {loaded:.1f} CPU-s to read"
    )


def recall(folder: Path, items: Sequence[str], hosts: Sequence[str], settings: Sequence[dict[str, float]]) -> None:
    """The share of items that are found again, for each way of writing and each setting."""
    sets = write_sets(folder, items, 1)
    families = [Contamination(sets, **setting) for setting in settings]  # type: ignore[arg-type] # as before
    heads = [f"n {one.ngram}, {one.min_overlap:g}" for one in families]
    print(f"\n{'item written':<38}" + "".join(f"{head:>10}" for head in heads) + f"   recall ({len(items)} items)")
    rewriter = Rewriter(17)
    for name, way in rewriter.ways.items():
        placed = batch([inside(host, way(item), rewriter.chance) for host, item in zip(hosts, items, strict=True)])
        cells = []
        for family in families:
            found = family.score(placed)["items"].to_pylist()
            cells.append(sum(number in row for number, row in enumerate(found)) / len(items))
        print(f"{name:<38}" + "".join(f"{cell:>10.3f}" for cell in cells))


def alarms(folder: Path, items: Sequence[str], documents: Sequence[str], settings: Sequence[dict[str, float]]) -> None:
    """How many clean documents hold an item of another file, for each setting."""
    sets = write_sets(folder, items, 1)
    print(f"\nDocuments of {len(documents)} that hold one of {len(items):,} items before any is put in:")
    for setting in settings:
        family = Contamination(sets, **setting)  # type: ignore[arg-type] # as before
        found = family.score(batch(documents))["items"].to_pylist()
        hit = sum(map(bool, found))
        print(f"  {setting}: {hit} documents, {len({item for row in found for item in row})} items")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=40, help="clean text (default 40)")
    parser.add_argument("--items", type=int, default=400, help="items that are put in (default 400)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    parser.add_argument("--settings", action="store_true", help="other lengths of n-grams and shares, too")
    arguments = parser.parse_args()
    every = list(texts(3 * arguments.megabytes * 1_000_000))
    cut = next(n for n in range(len(every)) if sum(map(len, every[:n])) > arguments.megabytes * 1_000_000)
    documents, others = every[:cut], every[cut:]
    settings: list[dict[str, float]] = [{}, {"min_overlap": 0.3}]
    if arguments.settings:
        settings = [{"ngram": n, "min_overlap": share} for n in (5, 8, 13) for share in (0.3, 0.5, 0.7)]
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speed(folder, paragraphs(others, 8, 400, ANY), batch(documents), arguments.rounds)
        prose = paragraphs(others, 15, 120)
        clean = Contamination(write_sets(folder, prose, 1), min_overlap=0.01)  # type: ignore[arg-type] # as before
        known = {item for row in clean.score(batch(documents))["items"].to_pylist() for item in row}
        unknown = [item for number, item in enumerate(prose) if number not in known]
        hosts = [text for text in documents if 500 < len(text) < 50_000][: arguments.items]
        chosen = random.Random(17).sample(unknown, len(hosts))  # noqa: S311 (a benchmark)
        (folder / "recall").mkdir()
        recall(folder / "recall", chosen, hosts, settings)
        (folder / "alarms").mkdir()
        alarms(folder / "alarms", prose, documents, settings)


if __name__ == "__main__":
    main()
