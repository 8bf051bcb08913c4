"""Explain and compare at scale: questions about a synthetic result of ten million documents.

    python bench/explain.py FOLDER --millions 10      makes the result where it is missing, asks, and prints a table

The result has what a build leaves: parts with names and short texts, one score, choices, places, the ledgers of two
recipes, and the index, which is made by the functions of a build. Each question is a command of its own, so that its
time includes starting Python; each is asked of documents drawn from all parts, after one that is not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenladder.filters.hashing import fmix64, mix64
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import Part, Store
from tokenladder.pipelines.files.schema import LEDGER, PART
from tokenladder.pipelines.stages import evidence, keys, lookup

import measure

ROWS = 100_000
"""Documents of a part."""

TOKENS = 500
LENGTH = 2000
SEQUENCES = ROWS * TOKENS // LENGTH
"""Of a shard: what the documents of a part would fill."""

RECIPES = {"all": 0.9, "best": 0.6}
"""Of each recipe the share of documents that its rule keeps."""

FILES = "choices/{}/choices", "ladders/{}/places"


def write_part(place: Store, out: str, number: int) -> Part:
    """Documents, a score, and what two recipes made of them."""
    rows = np.arange(number * ROWS, (number + 1) * ROWS, dtype=np.uint64)
    ids = np.empty(ROWS, keys.ID)
    ids["high"], ids["low"] = fmix64(rows + np.uint64(1)), fmix64(rows + np.uint64(1 << 40))
    numbers = rows.tolist()
    names = [f"https://host{n % 9973}.example/section/{n % 89}/page-{n}.html" for n in numbers]
    texts = [f"This is document {n}.\nIt has a second line, too.\n" for n in numbers]
    columns = {
        "document": keys.id_column(ids),
        "text": pa.array(texts),
        "name": pa.array(names),
        "record": pa.array([f"crawl-{number:05d}.warc.gz:{n}" for n in numbers]),
        "bytes": pa.array(np.full(ROWS, 900)),
        "kind": pa.repeat("page", ROWS),
        "text_bytes": pa.array(np.full(ROWS, 50)),
    }
    table = pa.table([columns.get(field.name, pa.nulls(ROWS, field.type)) for field in PART], schema=PART)
    part = Part("web", f"read/slice/{number:05d}", ROWS, ROWS, 900 * ROWS, 50 * ROWS)
    store.write_table(place.documents(part.id), table, row_group_size=8192)
    quality = (fmix64(rows + np.uint64(1 << 41)) >> np.uint64(11)).astype(np.float64) / 2**53
    store.write_table(place.score("quality", part.id), pa.table({"value": quality.astype(np.float32)}))
    for recipe, share in RECIPES.items():
        write_recipe(place, f"{out}/ledger/{recipe}/{number:05d}.parquet", recipe, columns, ids, quality < share)
    return part


def write_recipe(  # noqa: PLR0917 what a recipe's files are made of
    place: Store, ledger: str, recipe: str, columns: dict, ids: np.ndarray, kept: np.ndarray
) -> None:
    """Choices and places of one recipe in one part, and its ledger."""
    number = int(Path(ledger).stem)
    priority = mix64(7, ids["high"].astype("<u8"), ids["low"].astype("<u8"))
    choice = pa.table({"code": (~kept).astype(np.int16), "stratum": pa.repeat("web", ROWS), "priority": priority})
    store.write_table(place.path(FILES[0].format(recipe), f"{number:07d}.parquet"), choice)
    at = np.flatnonzero(kept).astype(np.uint32)
    offset = (number * ROWS + at.astype(np.int64)) * TOKENS
    tokens = np.full(len(at), TOKENS, np.int64)
    places = pa.table({"row": at, "stratum": np.zeros(len(at), np.uint16), "offset": offset, "tokens": tokens})
    store.write_table(place.path(FILES[1].format(recipe), f"{number:07d}.parquet"), places)
    stands = {"sequence": offset // LENGTH, "position": (offset % LENGTH).astype(np.int32)}
    stands |= {"document": columns["document"].take(pa.array(at)), "offset": np.zeros(len(at), np.int64)}
    store.write_table(ledger.replace("/ledger/", "/documents/"), pa.table({**stands, "length": tokens}))
    told = {
        "document": pa.array([one.hex() for one in columns["document"].to_pylist()]),
        "source": pa.repeat("web", ROWS),
        "outcome": pa.array(np.where(kept, "kept", "dropped")),
        "reason": pa.array(np.where(kept, None, f"quality max {RECIPES[recipe]}"), pa.string()),
        "tokens": pa.array(np.where(kept, TOKENS, 0), mask=~kept),
        "first_rung": pa.array(np.where(kept, "5B", None), pa.string()),
    }
    every = {**{name: columns[name] for name in ("name", "record", "bytes")}, **told}
    table = pa.table([every.get(field.name, pa.nulls(ROWS, field.type)) for field in LEDGER], schema=LEDGER)
    store.write_table(ledger, table)


def write_result(out: str, millions: int) -> None:
    """All of a result, and the index, whose time is printed."""
    place = Store(f"{out}/.store")
    parts = [write_part(place, out, number) for number in range(millions * 10**6 // ROWS)]
    store.write_json(place.path("pools/all.json"), {"parts": [part.to_json() for part in parts]})
    began, files = time.process_time(), 1 + millions * 10**6 // lookup.DOCUMENTS_PER_FILE
    groups: dict[int, list[bytes]] = {}
    for ordinal, part in enumerate(parts):
        task = {"store": place.root, "part": part.to_json(), "ordinal": ordinal, "files": files}
        for bucket, data in lookup.emit_entries(task):
            groups.setdefault(bucket, []).append(data)
    folder = place.path("indexes/all")
    for bucket, data in groups.items():
        list(lookup.sort_entries(bucket, data, {"folder": folder}))
    store.write_json(store.join(folder, "done.json"), {"files": files})
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(f"index: {time.process_time() - began:.1f} CPU-seconds, {size / 1e6:.0f} MB, {files} files")
    write_manifest(out, place, millions)


def write_manifest(out: str, place: Store, millions: int) -> None:
    """What is read of the manifest, and where the store has what."""
    parts = millions * 10**6 // ROWS
    said: dict = {"recipes": {}, "fingerprint": "0", "sequence_length": LENGTH, "root_hash": "0"}
    told: dict = {"fingerprint": "0", "store": place.root, "listing": "pools/all.json", "clusters": "clusters/none"}
    told |= {"excluded": None, "index": "indexes/all", "sources": ["web"], "dedup": {}, "edits": {}, "recipes": {}}
    told["scores"] = {"quality": {"fingerprint": "quality", "type": "fasttext", "label": None, "value": "value"}}
    for recipe, share in RECIPES.items():
        ledger = [{"path": f"ledger/{recipe}/{n:05d}.parquet", "rows": ROWS, "source": "web"} for n in range(parts)]
        shards = [{"path": f"shards/{n}", "documents": f"documents/{recipe}/{n:05d}.parquet"} for n in range(parts)]
        rung = {"name": "5B", "shards": [{**shard, "sequences": SEQUENCES} for shard in shards]}
        said["recipes"][recipe] = {"strata": {"web": {"weight": 1 << 32, "of": 1 << 32}}, "rungs": [rung]}
        starts = [[n * SEQUENCES] for n in range(1, parts)]
        said["recipes"][recipe] |= {"checkpoints": starts, "ledger": ledger, "counts": {}}
        rule = {"label": None, "value": ["quality", "value"], "labels": None, "min": None, "max": share, "top": None}
        rule |= {"near": None, "within": None, "by": "documents", "sources": None, "text": f"quality max {share}"}
        chosen = {"rules": [rule], "cuts": {}, "seed": 7, "draws": 0, "strata": [["source"]], "one_stratum": False}
        chosen |= {"dedup": True, "draw": "document"}
        folders = {"choices": f"choices/{recipe}", "ladder": f"ladders/{recipe}"}
        told["recipes"][recipe] = {**folders, "recipe": chosen}
    store.write_json(f"{out}/manifest.json", said)
    evidence.tell(out, told)


def ask(out: str, wanted: list[str]) -> tuple[float, float, float]:
    """Median and slowest wall time, and median CPU time, of `explain` in processes of its own."""
    used = [measure.run([sys.executable, "-m", "tokenladder", "explain", out, one, "--json"]) for one in wanted]
    for one, asked in zip(used, wanted, strict=True):
        (found,) = json.loads(one.output)
        if asked not in {found["document"], found["name"], found["name"].rpartition("/")[2]}:
            raise SystemExit(f"{asked} was asked for, {found['name']} found")
    walls = [one.wall for one in used[1:]]
    return statistics.median(walls), max(walls), statistics.median(one.cpu for one in used[1:])


def main() -> None:
    """Make, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--millions", type=int, default=10)
    parser.add_argument("--questions", type=int, default=12)
    given = parser.parse_args()
    out = str((given.folder / f"{given.millions}M").absolute())
    if not Path(out, "manifest.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        write_result(out, given.millions)
    numbers = [n * given.millions * 10**6 // given.questions + 77 for n in range(given.questions)]
    rows = np.array(numbers, np.uint64)
    highs, lows = fmix64(rows + np.uint64(1)).tolist(), fmix64(rows + np.uint64(1 << 40)).tolist()
    ids = [f"{high:016x}{low:016x}" for high, low in zip(highs, lows, strict=True)]
    names = [f"https://host{n % 9973}.example/section/{n % 89}/page-{n}.html" for n in numbers]
    print("| question | median s | slowest s | median CPU-seconds |\n| --- | ---: | ---: | ---: |")
    for what, wanted in (("id", ids), ("URL", names), ("end of a URL", [name.rpartition("/")[2] for name in names])):
        median, slowest, cpu = ask(out, wanted)
        print(f"| explain by {what} | {median:.2f} | {slowest:.2f} | {cpu:.2f} |")
    used = measure.run([sys.executable, "-m", "tokenladder", "--help"])
    print(f"| `tokenladder --help`, to start with | {used.wall:.2f} | | {used.cpu:.2f} |")
    memory = measure.run([sys.executable, "-c", COMPARE, out], memory=True)
    print(
        f"| diff of two recipes | {memory.wall:.1f} | | {memory.cpu:.1f} |\npeak memory of diff: {memory.first:.0f} MB"
    )


COMPARE = """
import sys
from tokenladder.pipelines.ask import compare
compare._shifts = lambda *_: []
found = compare.compare(f"{sys.argv[1]}:all", f"{sys.argv[1]}:best")
print(found.all)
"""


if __name__ == "__main__":
    main()
