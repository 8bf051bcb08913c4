"""Ladders at scale, without text: plan synthetic documents into a ladder, and count budget errors of random studies.

    python bench/ladder_scale.py plan MILLIONS FOLDER      one size; prints a line of JSON
    python bench/ladder_scale.py studies COUNT FOLDER      random studies, built and verified
    python bench/ladder_scale.py lazy FOLDER               what a 1 % ladder encodes
    python bench/ladder_scale.py all FOLDER --sizes 1,10   each in a process of its own; prints the tables

`plan` writes what choosing and encoding would have left (choices, histograms, counts of tokens) and then runs the
functions of a build, through Beam, up to every document's place in the stream: sums of histograms, groups, the exchange
that sorts them, and the places sent back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
from plain_engine import PlainEngine, building_with

from tokenladder.filters.hashing import fmix64, mix64
from tokenladder.pipelines.drivers import build, ladders
from tokenladder.pipelines.drivers.plan import make_plan
from tokenladder.pipelines.drivers.pool import Pool
from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import Part, Store
from tokenladder.pipelines.files.schema import BUCKET_BITS
from tokenladder.pipelines.recount import verify
from tokenladder.pipelines.stages import keys, segments
from tokenladder.pipelines.study.file import load
from tokenladder.pipelines.watch.progress import Reporter

import measure

ROWS = 100_000
"""Documents of a part: some 400 MB of text, three times a real one."""

LENGTH = 2048
STRATA = ("books", "code", "web")
SHARES = (0.1, 0.3, 1.0)
"""Cumulative shares of documents."""

MEAN_TOKENS = 1000
SPECS: dict[str, Any] = {"fingerprint": "synthetic", "section": "{}", "model": ""}


def write_part(place: Store, number: int) -> Part:
    """What the stages before leave of one part: ids and names, choices, a histogram, and counts of tokens."""
    rows = np.arange(number * ROWS, (number + 1) * ROWS, dtype=np.uint64)
    ids = np.empty(ROWS, keys.ID)
    ids["high"], ids["low"] = fmix64(rows + np.uint64(1)), fmix64(rows + np.uint64(1 << 40))
    priority = mix64(7, ids["high"].astype("<u8"), ids["low"].astype("<u8"))
    draw = (fmix64(rows + np.uint64(1 << 41)) >> np.uint64(11)).astype(np.float64) / 2**53
    stratum = pa.array(STRATA).take(pa.array(np.searchsorted(SHARES, draw, side="right").clip(max=2)))
    sizes = (fmix64(rows + np.uint64(1 << 42)) >> np.uint64(11)).astype(np.float64) / 2**53
    tokens = (1 - MEAN_TOKENS * np.log1p(-sizes)).astype(np.int64)  # as skewed as pages are
    part = Part("web", f"read/slice{number:05d}/00000", ROWS, ROWS, 4 * ROWS, int(4 * tokens.sum()))
    names = pc.binary_join_element_wise("http://example.org/", pa.array(rows).cast(pa.string()), "")
    document = {"document": keys.id_column(ids), "name": names, "text_bytes": 4 * tokens}
    store.write_table(place.documents(part.id), pa.table(document))
    choice = {"code": np.zeros(ROWS, np.int16), "stratum": stratum, "priority": priority}
    store.write_table(place.path("choices", "c", "choices", f"{number:07d}.parquet"), pa.table(choice))
    buckets = (priority >> np.uint64(64 - BUCKET_BITS)).astype(np.uint16)
    counted = pa.table({"stratum": stratum, "bucket": buckets, "text_bytes": 4 * tokens})
    groups = counted.group_by(["stratum", "bucket"]).aggregate([("text_bytes", "count"), ("text_bytes", "sum")])
    histogram = groups.rename_columns(["stratum", "bucket", "documents", "text_bytes"])
    store.write_table(place.path("choices", "c", "histograms", f"{number:07d}.parquet"), histogram)
    index = np.empty(ROWS, segments.ENTRY)
    index["row"], index["start"], index["tokens"] = np.arange(ROWS), np.cumsum(tokens) - tokens, tokens
    store.write_bytes(place.path("tokens", SPECS["fingerprint"], part.id, f"all{segments.INDEX}"), index.tobytes())
    return part


def plan_scale(millions: float, folder: Path) -> dict[str, Any]:
    """Plan so many million documents into a ladder of seven rungs, the largest of nine tenths of the tokens."""
    place = Store(str(folder / "store"))
    parts = [write_part(place, n) for n in range(round(millions * 1e6 / ROWS))]
    tokens = sum(part.text_bytes for part in parts) // 4
    engine = Engine(place.root, ["--direct_num_workers=2"])
    pool = Pool(place, parts, "synthetic", ["web"], engine, Reporter(quiet=True), tokenizer=SPECS, dtype="uint16")
    budgets = {f"r{n}": int(0.9 * tokens / 10 ** ((6 - n) / 2)) for n in range(7)}
    weights = {"books": 0.1, "code": 0.2, "web": 0.7}
    wanted = ladders.Wanted("synthetic", place.path("choices", "c"), "c", budgets, weights)
    began, wall = _cpu(), time.monotonic()
    ladder = ladders.plan_ladders(pool, [wanted], LENGTH)["synthetic"]
    ends = ladder.ends(LENGTH)
    exact = all(sum(row) == round(budgets[name] / LENGTH) * LENGTH for name, row in zip(budgets, ends, strict=True))
    placed = sum(len(store.read_table(file.path)) for file in store.list_files(store.join(ladder.folder, "order")))
    return {
        "millions": millions,
        "cpu": _cpu() - began,
        "wall": time.monotonic() - wall,
        "gigatokens": sum(ends[-1]) / 1e9,
        "placed": placed,
        "exact": exact,
        "peak": measure.peak(os.getpid()),
    }


def _cpu() -> float:
    """Processor seconds of this process and of those that it keeps."""
    children = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(child.cpu_times()[:2]) for child in children)


def random_study(rng: random.Random, folder: Path) -> Path:
    """A study of one to four sources with random sizes, weights, budgets and sequence length."""
    names = ["a", "b", "c", "d"][: rng.randint(1, 4)]
    sizes: dict[str, int] = {}
    folder.mkdir(parents=True)
    for name in names:
        words = [[f"w{rng.randrange(5000)}" for _ in range(rng.randint(3, 120))] for _ in range(rng.randint(30, 90))]
        texts = [" ".join(document) for document in words]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(lines)
        sizes[name] = sum(len(text) + 1 for text in texts)
    draws = [rng.random() + 0.05 for _ in names]
    weights = {name: round(one / sum(draws), 6) for name, one in zip(names, draws, strict=True)}
    weights[names[0]] = round(1 - sum(weights[name] for name in names[1:]), 6)
    most = int(min(sizes[name] / weights[name] for name in names) * 3)
    length = rng.choice([16, 64, 100, 512])
    budgets = sorted({rng.randint(length, max(length + 1, most)) for _ in range(rng.randint(1, 5))})
    shares = ", ".join(f"{name} = {weight:.6f}" for name, weight in weights.items())
    sources = "\n".join(f'sources.{name} = {{ format = "jsonl", path = "{name}.jsonl" }}' for name in names)
    text = (
        f'name = "random"\nseed = {rng.randrange(10**6)}\nbudgets = {budgets}\nsequence_length = {length}\n'
        f'tokenizer = {{ type = "bytes" }}\n{sources}\n'
        f"recipes.all = {{ weights = {{ {shares} }}, repeat = 5, dedup = false }}\n"
    )
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def random_studies(count: int, folder: Path) -> dict[str, Any]:
    """Build and verify random studies; count tokens by which any rung misses its budget, and checks that fail."""
    rungs = error = failed = 0
    furthest = 0.0
    for n in range(count):
        rng = random.Random(n)  # noqa: S311 no secret
        study = random_study(rng, folder / str(n))
        out = str(folder / str(n) / "out")
        with building_with(PlainEngine):
            manifest = build.build(make_plan(load(str(study)), out), Reporter(quiet=True))
        length = manifest["sequence_length"]
        for rung in manifest["recipes"]["all"]["rungs"]:
            nearest = max(1, (2 * rung["requested_tokens"] + length) // (2 * length)) * length
            error += abs(rung["tokens"] - nearest)
            rungs += 1
        for check in verify.verify(out):
            failed += not check.holds
            if check.promise.startswith("Mixed"):
                furthest = max(furthest, float(check.found.split("within ")[1].split()[0]))
        shutil.rmtree(folder / str(n))
    return {"studies": count, "rungs": rungs, "error_tokens": error, "failed_checks": failed, "furthest": furthest}


def lazy(folder: Path) -> dict[str, Any]:
    """Encode for a rung of 1 % of a pool, then for one of 90 %: documents and tokens encoded."""
    rng = random.Random(1)  # noqa: S311 no secret
    folder.mkdir(parents=True, exist_ok=True)
    texts = [" ".join(f"w{rng.randrange(9000)}" for _ in range(rng.randint(50, 400))) for _ in range(40_000)]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    pool = sum(len(text) + 1 for text in texts)
    head = 'name = "lazy"\nsequence_length = 512\ntokenizer = { type = "bytes" }\n'
    head += 'sources.a = { format = "jsonl", path = "a.jsonl" }\nrecipes.all = { dedup = false }\n'
    encoded = {}
    for name, share in (("1 %", 0.01), ("90 %", 0.9)):
        (folder / "study.toml").write_text(f"budgets = [{int(share * pool)}]\n" + head)
        out = folder / name.replace(" ", "").replace("%", "")
        plan = make_plan(load(str(folder / "study.toml")), str(out))
        with building_with(PlainEngine):
            build.build(plan, Reporter(quiet=True))
        files = [file.path for file in store.list_files(store.join(plan.store.root, "tokens"))]
        every = [path for path in files if path.endswith(segments.INDEX)]
        encoded[name] = sum(int(np.fromfile(path, segments.ENTRY)["tokens"].sum()) for path in every)
    return {"pool_tokens": pool, "encoded": encoded, "share": encoded["1 %"] / pool}


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["plan", "studies", "lazy", "all"])
    parser.add_argument("rest", nargs="+")
    parser.add_argument("--sizes", default="1,10")
    arguments = parser.parse_args()
    folder = Path(arguments.rest[-1])
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    if arguments.what == "plan":
        print(json.dumps(plan_scale(float(arguments.rest[0]), folder)))
    elif arguments.what == "studies":
        print(json.dumps(random_studies(int(arguments.rest[0]), folder)))
    elif arguments.what == "lazy":
        print(json.dumps(lazy(folder)))
    else:
        every(folder, arguments.sizes.split(","))


def every(folder: Path, sizes: list[str]) -> None:
    """All parts, each in a process of its own."""
    print(measure.machine(), "\n")
    me = [sys.executable, str(Path(__file__).resolve())]
    print("| million documents | CPU s | µs a document | peak MB | placed | exact |")
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    for size in sizes:
        told = json.loads(measure.run([*me, "plan", size, folder / "plan"]).output.splitlines()[-1])
        each = told["cpu"] / told["millions"]
        print(
            f"| {size} | {told['cpu']:.1f} | {each:.2f} | {told['peak']:,.0f} | {told['placed']:,} | {told['exact']} |"
        )
        shutil.rmtree(folder / "plan")
    for what in (["studies", "200"], ["lazy"]):
        print("\n" + measure.run([*me, *what, folder / what[0]]).output.splitlines()[-1])


if __name__ == "__main__":
    main()
