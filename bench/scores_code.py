"""Source code: speed of its scores, recall of planted faults, and what is suspected in clean files.

    python bench/scores_code.py [--megabytes 10] [--items 200] [--rounds 3]

Files are those of installed packages, in Python, C and C++ headers and JavaScript. One fault is put into each of those
that pass: data, brackets without their other halves, a licence's tag. A line of brackets that falls into a comment or a
string is no fault, and is not found. Everything is drawn from a fixed seed.
"""

from __future__ import annotations

import argparse
import base64
import random
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from tokenladder.filters.family import Family
from tokenladder.filters.provenance.licences import Licence
from tokenladder.filters.provenance.repository import Repository
from tokenladder.filters.source_code.starcoder import SourceCode
from tokenladder.filters.source_code.syntax import Syntax

from measure import machine

FOLDERS = (Path(sysconfig.get_paths()["purelib"]), Path(sysconfig.get_paths()["stdlib"]), Path("/usr/include"))
LANGUAGES = {".py": "Python", ".h": "C", ".hpp": "C++", ".js": "JavaScript"}
LARGEST = 100_000

File = tuple[str, str, str]  # name, language, text


def files(size: int) -> Iterator[File]:
    """Files in a fixed order of chance, until they hold `size` bytes."""
    found = [path for folder in FOLDERS for path in sorted(folder.rglob("*")) if path.suffix in LANGUAGES]
    random.Random(17).shuffle(found)  # noqa: S311 (a benchmark)
    for path in found:
        if size <= 0:
            return
        try:
            if path.is_symlink() or not 200 < path.stat().st_size < LARGEST:
                continue
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        size -= len(text.encode())
        yield "/".join(path.parts[-4:]), LANGUAGES[path.suffix], text


def batch(some: Sequence[File]) -> pa.RecordBatch:
    """Documents as a score takes them."""
    names, languages, texts = (list(each) for each in zip(*some, strict=True))
    return pa.record_batch({"text": pa.array(texts, pa.string()), "file_type": languages, "name": names})


def speed(families: Sequence[Family], documents: pa.RecordBatch, rounds: int) -> None:
    """MB of text in a second of one core, the best of the rounds."""
    size = sum(len(each.encode()) for each in documents["text"].to_pylist()) / 1e6
    print(f"\n{'score':<14}{'MB/CPU-s':>10}   of {size:.0f} MB in {len(documents)} files")
    for family in families:
        family.score(documents.slice(0, 1))  # compile
        best = float("inf")
        for _ in range(rounds):
            began = time.process_time()
            family.score(documents)
            best = min(best, time.process_time() - began)
        print(f"{family.type:<14}{size / best:>10.1f}")


def planted(some: Sequence[File], count: int) -> None:
    """The share of planted faults that are found under their name."""
    chance = random.Random(17)  # noqa: S311 (a benchmark)

    def blob(size: int) -> str:
        return base64.b64encode(chance.randbytes(size)).decode()

    def put(text: str, line: str) -> str:
        lines = text.split("\n")
        lines.insert(chance.randrange(len(lines) + 1), line)
        return "\n".join(lines)

    faults: dict[str, tuple[Family, str, str, Callable[[str], str]]] = {
        "1,000 bytes in base64": (SourceCode(), "reason", "long_line", lambda text: put(text, f"x = '{blob(1000)}'")),
        "the same in short lines": (
            SourceCode(),
            "reason",
            "encoded_run",
            lambda text: put(text, "\n".join(f"{blob(1000)[at : at + 76]}" for at in range(0, 1336, 76))),
        ),
        "more data than code": (
            SourceCode(),
            "reason",
            "encoded_data",
            lambda text: text + "".join(f"y = '{blob(60)}'\n" for _ in range(len(text) // 40)),
        ),
        "brackets on any line": (Syntax(max_error_share=0.0), "verdict", "error", lambda text: put(text, ") ] } = (")),
        "a licence's tag": (
            Licence(),
            "where",
            "header",
            lambda text: f"SPDX-License-Identifier: MIT\n{text}",
        ),
    }
    print(f"\n{'planted':<30}{'recall':>8}   of files that pass without")
    for name, (family, column, wanted, plant) in faults.items():
        values = family.score(batch(some))[column].to_pylist()
        hosts = [one for one, value in zip(some, values, strict=True) if value in {"pass", "none", "file"}][:count]
        spoilt = [(path, language, plant(text)) for path, language, text in hosts]
        found = family.score(batch(spoilt))[column].to_pylist()
        print(f"{name:<30}{found.count(wanted) / len(hosts):>8.3f}   {len(hosts)}")


def clean(some: Sequence[File]) -> None:
    """What is said of files as they are."""
    documents = batch(some)
    for family, column in ((SourceCode(), "reason"), (Syntax(), "verdict"), (Licence(), "where")):
        said = Counter(
            f"{language}: {value}"
            for (_, language, _), value in zip(some, family.score(documents)[column].to_pylist(), strict=True)
        )
        print(f"\n{family.type}: {dict(sorted(said.items()))}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=10, help="source code (default 10)")
    parser.add_argument("--items", type=int, default=200, help="files with each fault (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default 3)")
    arguments = parser.parse_args()
    some = list(files(arguments.megabytes * 1_000_000))
    print(machine())
    speed([SourceCode(), Licence(), Repository(), Syntax()], batch(some), arguments.rounds)
    planted(some, arguments.items)
    clean(some)


if __name__ == "__main__":
    main()
