"""The tools of dedup.py: how each is installed and run, and what it said.

Each peer gets an environment of its own below the corpus, made once. One that cannot be installed is named, with the
last line of what its installer said, and left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

import measure
from dedup_truth import Verdict

HERE = Path(__file__).parent
OURS = "TokenLadder"
WORDS = "TokenLadder, words"
"""The same with shingles of words for code too, as the peers have them and as the truth is."""
MARKS = "TokenLadder, marks"
"""The same, but it writes which rows are duplicates, and of which, in place of the rows that stay."""
OWN = {OURS: [], WORDS: ["--unit", "words"], MARKS: ["--list"]}
COMMAND_LINE = (sys.executable, "-m", "tokenladder", "dedup", "--quiet", "--workers", "1")
BY_CARGO = "duplodocus"
PACKAGES = {
    "datatrove": ("datatrove[io,processing]==0.10.1", "spacy>=3.8,<4"),
    "datasketch": ("datasketch==2.0.0", "xxhash", "pyarrow"),
    "rensa": ("rensa==0.5.0", "pyarrow"),
    "gaoya": ("gaoya==0.2.2", "pyarrow"),
    "text-dedup": ("text-dedup==0.4.0",),
    "data-juicer": ("py-data-juicer==1.6.1", "aiohttp", "ray", "pyarrow"),  # it imports these two, and asks for neither
    "dolma": ("dolma==1.2.1",),
    "nemo-curator": ("nemo-curator[text-cpu]==1.4.0", "transformers<6"),
}
WITHOUT = {"dolma", "nemo-curator"}
"""Those that find no near duplicates here: Dolma's filters find equal texts, and NeMo Curator's MinHash needs a GPU."""
REPOSITORY = "https://github.com/allenai/duplodocus"
REVISION = "8d791ba4c7ec317fe2df7c273885376a699523ca"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",  # pyarrow's pool, too
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",  # nothing here is on a hub
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


class UnavailableError(Exception):
    """A tool that cannot be installed or does not run; says why."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A removal of near duplicates.

    Attributes:
        cpu: Processor seconds of all processes of the tool.
        wall: Seconds.
        verdict: What it said.
    """

    cpu: float
    wall: float
    verdict: Verdict


def one_core() -> None:
    """Keep this process and all that it starts to one processor and one thread of each library."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ.update(ONE_THREAD)


def install(name: str, folder: Path) -> Path:
    """The program that runs a peer, installed into the folder unless it is there.

    Raises:
        UnavailableError: It cannot be installed.
    """
    program = folder / "bin" / ("duplodocus" if name == BY_CARGO else "python")
    if (folder / "complete").exists():
        return program
    if name == BY_CARGO:
        steps = [["cargo", "install", "--quiet", "--git", REPOSITORY, "--rev", REVISION, "--root", str(folder)]]
    else:
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(program), "-m", "pip", "install", "--quiet", *PACKAGES[name]],
        ]
    for step in steps:
        try:
            subprocess.run(step, check=True, text=True, capture_output=True)
        except FileNotFoundError as error:
            raise UnavailableError(f"{step[0]} is not installed") from error
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout).strip().splitlines() or [f"exit status {error.returncode}"]
            raise UnavailableError(said[-1].strip()) from error
    (folder / "complete").touch()
    return program


def command(name: str, program: Path) -> list[str | Path]:
    """What runs a tool that is in Python; the arguments `dedup` or `sign` follow."""
    if name == OURS:
        return [sys.executable, HERE / "dedup_ours.py"]
    return [program, HERE / "peer_dedup.py", name]


def signing_seconds(name: str, program: Path, documents: Path) -> float:
    """Processor seconds of a tool's signatures alone, from texts in memory.

    Raises:
        UnavailableError: The tool has no such step, or it failed.
    """
    if name in {BY_CARGO, "data-juicer"}:
        raise UnavailableError("its command makes no signatures alone")
    return float(json.loads(checked([*command(name, program), "sign", documents]).output.splitlines()[-1])["cpu"])


def dedup(name: str, program: Path, documents: Path, out: Path) -> Run:
    """Remove near duplicates with a tool; its output stands in `out` afterwards.

    Raises:
        UnavailableError: The tool failed.
    """
    shutil.rmtree(out, ignore_errors=True)
    if name in OWN:
        usage = checked([*COMMAND_LINE, documents, "--out", out, *OWN[name]])
        return Run(usage.cpu, usage.wall, verdict(listed(documents, out)))
    out.mkdir(parents=True)
    if name == BY_CARGO:
        return dedup_by_duplodocus(program, documents, out)
    usage = checked([*command(name, program), "dedup", documents, out])
    return Run(usage.cpu, usage.wall, verdict(json.loads((out / "verdict.json").read_text())))


def listed(documents: Path, out: Path) -> list[int]:
    """The number of each document's survivor, from TokenLadder's list of duplicates."""
    rows = {file.name: pq.read_metadata(file).num_rows for file in sorted(documents.glob("*.parquet"))}
    first = dict(zip(rows, itertools.accumulate(rows.values(), initial=0), strict=False))
    survivor = list(range(sum(rows.values())))
    for row in pq.read_table(out / "duplicates.parquet").to_pylist():
        survivor[first[row["file"]] + row["row"]] = first[row["leader_file"]] + row["leader_row"]
    return survivor


def dedup_by_duplodocus(program: Path, documents: Path, out: Path) -> Run:
    """Removal by duplodocus, over JSONL: it reads no Parquet. Time is of its own process, without that conversion.

    A second run, not timed, marks clusters in place of removing rows.
    """
    (out / "input").mkdir()
    for file in sorted(documents.glob("*.parquet")):
        rows = pq.read_table(file).to_pylist()
        (out / "input" / f"{file.stem}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def run(target: str, *more: str) -> measure.Usage:
        words = [
            "--threads",
            "1",
            "minhash-memory",
            "--input-dir",
            out / "input",
            "--storage-dir",
            out / f"{target}-work",
        ]
        words += ["--output-dir", out / target, "--text-key", "text", "--num-buckets", "18", "--bucket-size", "6"]
        return checked([program, *words, "--ngram-size", "5", "--tokenizer", "uniseg", *more])

    usage = run("kept", "--remove-duplicates", "true")
    run("marked", "--annotate", "true", "--annotate-key", "mark", "--remove-duplicates", "false")
    number = {name: n for n, name in enumerate(pq.read_table(documents, columns=["id"]).column(0).to_pylist())}
    kept = {number[row["id"]] for row in rows_of(out / "kept")}
    cluster = {number[row["id"]]: row["mark"]["cc_id"] for row in rows_of(out / "marked") if row.get("mark")}
    return Run(usage.cpu, usage.wall, Verdict(cluster, sorted(set(number.values()) - kept)))


def rows_of(folder: Path) -> Iterator[dict[str, object] | object]:
    """All records of a folder of JSONL."""
    for file in sorted(folder.rglob("*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


def checked(words: Sequence[str | Path]) -> measure.Usage:
    """Run a command to its end.

    Raises:
        UnavailableError: It failed, and what it said last.
    """
    try:
        return measure.run(words)
    except SystemExit as error:
        lines = [line.strip() for line in str(error).splitlines() if "Error" in line]
        raise UnavailableError(lines[-1] if lines else str(error)[-300:]) from error


def verdict(roots: list[int]) -> Verdict:
    """What the numbers of each document's survivor say."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for document, root in enumerate(roots):
        members[root].append(document)
    cluster = {document: root for root, inside in members.items() if len(inside) > 1 for document in inside}
    return Verdict(cluster, [document for document, root in enumerate(roots) if root != document])
