"""What a study of 1 TB, 100 TB and 1 PB of raw pages needs, from counts and rates of builds that run here.

    python bench/scale.py [--parts 1 2 6]

Builds the same kind of study three times, of more and more parts, in one process and with every shuffle and every call
of the store counted. What grows with the documents must be the same for each document at all three sizes, and what
grows with the parts the same for each part: the first table shows that. The second multiplies it out.

What it assumes is in `Assumed`: change it to your corpus. What does not follow from a multiplication:

- The driver keeps the list of parts, and for each stage one task a part: some kB a part. At 1 PB that is a few GB, and
  the list of tasks, one file, is as large. It grows as the data does, on one machine. To bound it takes three changes:
  `Pool.tasks` would yield one task after the other, and what all of a stage have in common (a recipe's rules, most of a
  task's bytes) stand once, in the head of the list; `Pool.run_missing` would compare the files that stand folder by
  folder of a thousand parts, in place of one set of all names; and `Engine.each` would write lists of at most some
  100,000 tasks, each an element of the graph's `Create`, as `Listing.pieces` is for Dask. Packing then needs the list
  of parts by ranges of their numbers, a file each, of which a shard's writer opens those that its documents are in.
- Components: up to 50 million edges the driver finds them in its memory (1.6 GB); beyond, they are found by exchanges
  (alternating large-star and small-star) whose groups are as bounded as all others, in a number of rounds that grows
  with the logarithm of the longest chain. Only counts pass through the driver.
- Largest group: ranges of hashes are made as many as there are 16,384 documents, so a group has as many records at 1 PB
  as here; but one band's hash that a large share of all documents has (an empty page) stays in one group.
- Elements: a part sends one value to each range that it has a record for, so where there are more ranges than parts
  have records to send, values hold a record or two and are as many as records: 10^11 at 1 PB, which no longer packs.
- Packing: the writer of a shard reads the list of parts, so the bytes that it reads for lists grow with parts times
  shards, which is faster than the data; and it asks for each part's documents with one range, which for large pools is
  one request a document. Both are in the table. A ladder that is a small part of its pool makes them small.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plain_engine import PlainEngine, building_with

TERA = 1e12


@dataclasses.dataclass(frozen=True)
class Assumed:
    """The corpus and the prices.

    Attributes:
        text_share: Bytes of text for a byte of raw HTML.
        document_bytes: Text of a document.
        part_bytes: Text of a part.
        bytes_per_token: Of text.
        ladder_share: Of the pool's tokens, what the largest rung holds.
        shard_tokens: Tokens in a shard.
        raw_rate: Raw MB a second of one core, everything included (README, "Speed").
        core_hour: Dollars.
        put, get: Dollars for a million requests; listings are priced as puts.
    """

    text_share: float = 0.1
    document_bytes: float = 5000
    part_bytes: float = 128 * 2**20
    bytes_per_token: float = 4.2
    ladder_share: float = 0.1
    shard_tokens: float = 16e6
    raw_rate: float = 5.0
    core_hour: float = 0.04
    put: float = 5.0
    get: float = 0.4


class Counting(PlainEngine):
    """Counts what a shuffle moves."""

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Begin at nothing."""
        super().__init__(folder, arguments)
        self.tasks: Counter[str] = Counter()
        self.task_bytes: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()
        MADE.append(self)

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Count the tasks, too."""
        self._count(label, payloads)
        super().each(label, target, payloads, isolated=isolated)

    def exchange(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int = 0,
    ) -> None:
        """Count the tasks, too."""
        self._count(label, payloads)
        super().exchange(label, emit, reduces, payloads, volume)

    def grouped(self, label: str, groups: Mapping[int, Sequence[bytes]]) -> None:
        """Count values and bytes, and the largest group."""
        sizes = [sum(len(value) for value in values) for values in groups.values()]
        self.values[label] += sum(len(values) for values in groups.values())
        self.bytes[label] += sum(sizes)
        self.largest[label] = max([self.largest[label], *sizes])

    def _count(self, label: str, payloads: Sequence[dict[str, Any]]) -> None:
        self.tasks[label] += len(payloads)
        self.task_bytes[label] += sum(len(json.dumps(payload)) + 1 for payload in payloads)


MADE: list[Counting] = []


@dataclasses.dataclass(frozen=True)
class Measured:
    """One build: its parts, documents and seconds, what its engine counted, and the calls of the store."""

    parts: int
    documents: int
    seconds: float
    engine: Counting
    calls: Counter[str]


def count_calls(calls: Counter[str]) -> None:
    """Count what on an object store would be requests, by kind."""
    from tokenladder.pipelines.files import store

    kinds = {"write_bytes": "put", "open_input": "get", "names": "list", "exists": "head", "size": "head"}
    for name, kind in kinds.items():
        setattr(store, name, _counted(getattr(store, name), calls, kind))


def _counted(function: Callable[..., Any], calls: Counter[str], kind: str) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        calls[kind] += 1
        return function(*arguments, **options)

    return run


def measure(folder: Path, parts: int, calls: Counter[str]) -> Measured:
    """Build a study of so many parts of 8,192 documents, the rows of a batch: the smallest that a part can be."""
    from tokenladder.pipelines.drivers import build as module
    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.study.file import load
    from tokenladder.pipelines.watch.progress import Reporter

    rng = random.Random(parts)  # noqa: S311 documents drawn at random are no secrets
    words = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "s", "la", "ro", "mi")]
    folder.mkdir()
    for n in range(parts):
        texts = [" ".join(rng.choices(words, k=rng.randint(20, 60))) for _ in range(ROWS)]
        texts[5] = texts[4] + " and more"
        rows = (json.dumps({"id": f"{n}/{at}", "text": text}) + "\n" for at, text in enumerate(texts))
        (folder / f"{n:04d}.jsonl").write_text("".join(rows), encoding="utf-8")
    study = folder / "study.toml"
    study.write_text(
        f"""
name = "scale"
budgets = [{parts * ROWS * 50}]
sequence_length = 256
shard_tokens = {ROWS * 100}
tokenizer = {{ type = "bytes" }}
held_out = {{ tokens = {parts * 1024} }}
sources = {{ web = {{ format = "jsonl", path = "*.jsonl", part_bytes = 1 }} }}
scores = {{ gopher = {{ type = "gopher" }} }}
recipes = {{ all = {{ keep = [{{ score = "gopher.words", top = 0.9 }}] }} }}
""",
        encoding="utf-8",
    )
    calls.clear()
    began = time.process_time()
    with building_with(Counting):
        manifest = module.build(make_plan(load(str(study)), str(folder / "out"), None), Reporter(quiet=True))
    documents = sum(one["documents"] for one in manifest["counts"].values())
    slices = len(list((folder / "out" / ".store" / "parts").rglob("*.parquet")))
    return Measured(slices, documents, time.process_time() - began, MADE[-1], Counter(calls))


def show_measured(builds: Sequence[Measured]) -> None:
    """What each shuffle and the store took, for each document and each part, at all sizes."""
    print("parts                        " + "".join(f"{one.parts:>14,}" for one in builds))
    print("documents                    " + "".join(f"{one.documents:>14,}" for one in builds))
    for label in sorted(builds[-1].engine.bytes):
        per = "".join(f"{one.engine.bytes[label] / one.documents:>14.1f}" for one in builds)
        print(f"{label + ', bytes/document':<29}{per}")
        print(f"{'   values/part':<29}" + "".join(f"{one.engine.values[label] / one.parts:>14.1f}" for one in builds))
        print(f"{'   largest group, bytes':<29}" + "".join(f"{one.engine.largest[label]:>14,}" for one in builds))
    for kind in sorted(builds[-1].calls):
        print(f"{kind + 's/part':<29}" + "".join(f"{one.calls[kind] / one.parts:>14.1f}" for one in builds))
    lists = [sum(one.engine.task_bytes.values()) / one.parts for one in builds]
    print(f"{'lists of tasks, bytes/part':<29}" + "".join(f"{one:>14,.0f}" for one in lists))
    print(f"{'CPU ms/document':<29}" + "".join(f"{1000 * one.seconds / one.documents:>14.2f}" for one in builds))


def slope(builds: Sequence[Measured], value: Callable[[Measured], float], of: Callable[[Measured], float]) -> float:
    """What one more part or document adds, between the two largest builds."""
    first, last = builds[-2:]
    return (value(last) - value(first)) / (of(last) - of(first))


def show_projected(builds: Sequence[Measured], assumed: Assumed) -> None:
    """The same multiplied out."""
    from tokenladder.pipelines.drivers.pool import DOCUMENTS_PER_RANGE

    sizes = [1 * TERA, 100 * TERA, 1000 * TERA]
    rows: dict[str, list[str]] = defaultdict(list)
    per_document = {
        label: slope(builds, lambda one, label=label: one.engine.bytes[label], lambda one: one.documents)  # type: ignore[misc]  # its type is open
        for label in builds[-1].engine.bytes
    }
    per_part = {
        kind: slope(builds, lambda one, kind=kind: one.calls[kind], lambda one: one.parts)  # type: ignore[misc]  # the same
        for kind in builds[-1].calls
    }
    lists = slope(builds, lambda one: max(one.engine.task_bytes.values()), lambda one: one.parts)
    for raw in sizes:
        text = raw * assumed.text_share
        documents, parts = text / assumed.document_bytes, text / assumed.part_bytes
        tokens = assumed.ladder_share * text / assumed.bytes_per_token
        shards = tokens / assumed.shard_tokens
        in_ladder = documents * assumed.ladder_share
        gets = per_part["get"] * parts + raw / (4 << 20) + min(in_ladder, shards * parts)
        puts = (per_part["put"] + per_part["list"]) * parts
        heads = per_part["head"] * parts
        hours = raw / 1e6 / assumed.raw_rate / 3600
        rows["documents"].append(f"{documents:.1e}")
        rows["parts"].append(f"{parts:,.0f}")
        for label, size in sorted(per_document.items()):
            rows[f"{label}: GB shuffled"].append(f"{size * documents / 1e9:,.1f}")
        ranges = documents / DOCUMENTS_PER_RANGE
        values = parts * min(ranges, 19 * documents / parts)  # 18 bands and the document's own record
        rows["find candidates: values"].append(f"{values:.1e}")
        rows["groups of a shuffle"].append(f"{documents / DOCUMENTS_PER_RANGE:,.0f}")
        rows["largest group of even hashes, MB"].append(f"{DOCUMENTS_PER_RANGE * max(per_document.values()) / 1e6:.1f}")
        rows["longest list of tasks, MB"].append(f"{lists * parts / 1e6:,.1f}")
        rows["shards"].append(f"{shards:,.0f}")
        rows["lists of parts read by packing, GB"].append(f"{shards * parts * PART_JSON / 1e9:,.1f}")
        rows["million GETs"].append(f"{gets / 1e6:,.2f}")
        rows["million PUTs and LISTs"].append(f"{puts / 1e6:,.3f}")
        rows["million HEADs"].append(f"{heads / 1e6:,.3f}")
        rows["core-hours"].append(f"{hours:,.0f}")
        cost = hours * assumed.core_hour + (gets + heads) / 1e6 * assumed.get + puts / 1e6 * assumed.put
        rows["dollars, without storage"].append(f"{cost:,.0f}")
    print(f"\n{'raw input':<42}" + "".join(f"{size / TERA:>14,.0f} TB" for size in sizes))
    for name, values in rows.items():
        print(f"{name:<42}" + "".join(f"{value:>17}" for value in values))


ROWS = 8192

PART_JSON = 190
"""Bytes of a part in the list of parts."""


def main() -> None:
    """Measure and multiply."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--parts", type=int, nargs=3, default=[1, 2, 6])
    asked = arguments.parse_args()
    calls: Counter[str] = Counter()
    count_calls(calls)
    with tempfile.TemporaryDirectory(prefix="tokenladder-scale-") as name:
        measure(Path(name) / "warm", 1, calls)
        builds = [measure(Path(name) / str(parts), parts, calls) for parts in asked.parts]
    show_measured(builds)
    show_projected(builds, Assumed())


if __name__ == "__main__":
    main()
