"""Dolma, Data-Juicer and NeMo Curator: the steps that each shares with TokenLadder and can run here, on one input.

    python bench/peers.py --corpus DIR [--megabytes 10] [--rounds 3] [--steps rules,tokens] [--peers dolma,datatrove]

DIR is what corpus.py wrote. Documents are the main content of its pages that the language model finds English; every
tenth stands there a second time. The steps, each from the documents to what is kept of them:

equal    equal documents removed; TokenLadder's `dedup` removes near duplicates, too
rules    Gopher's rules of quality and repetition (Data-Juicer: other rules)
tokens   tokens by one `tokenizer.json`, each document's end marked, in the tool's own layout

Near duplicates by MinHash are dedup.py's, WARC to tokens end_to_end.py's. Each peer gets an environment of its own
below DIR. All run on one core, one after the other in each round; a figure is the median processor time of all
processes of a command, less that of the same command on 20 documents, which is given by itself. What cannot run is
named with what it said. JSONL for Dolma and Parquet for the others hold the same rows; neither conversion counts.
Our rules and tokens and datatrove's rules are timed inside their process: of ours, start-up is nearly all.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dedup import names

import builds
import dedup_peers
import measure
from dedup_peers import UnavailableError, checked
from scores_text import documents as english_documents

HERE = Path(__file__).parent
OURS = "TokenLadder"
STEPS = ("equal", "rules", "tokens")
PEERS = ("datatrove", "dolma", "data-juicer", "nemo-curator")
SCRIPTS = {name: HERE / f"peer_{name.replace('-', '_')}.py" for name in PEERS[1:]}
LACKS = {
    ("equal", "datatrove"): "not measured: it removes equal documents in three stages of its own; see dedup.py",
    ("tokens", "data-juicer"): "has no step that writes tokens",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One command.

    Attributes:
        cpu: Processor seconds of all its processes.
        kept: Ids of the documents that it kept; none for tokens.
        tokens: Tokens that it wrote.
    """

    cpu: float
    kept: frozenset[str] = frozenset()
    tokens: int = 0


def make(corpus: Path, megabytes: int) -> Path:
    """The documents as Parquet and as JSONL, whole and 20 of them, made once."""
    folder = corpus / f"peers-{megabytes}"
    if (folder / "complete").exists():
        return folder
    texts = english_documents(corpus, megabytes)["text"].to_pylist()
    texts += texts[::10]
    for name, some in (("documents", texts), ("tiny", texts[:: len(texts) // 20][:20])):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name / "parquet").mkdir(parents=True)
        (folder / name / "jsonl" / "documents").mkdir(parents=True)
        rows = [{"id": f"{n:08d}", "text": text, "source": "web"} for n, text in enumerate(some)]
        pq.write_table(pa.Table.from_pylist(rows), folder / name / "parquet" / "00000.parquet")
        with gzip.open(folder / name / "jsonl" / "documents" / "00000.jsonl.gz", "wt") as stream:
            stream.writelines(f"{json.dumps(row)}\n" for row in rows)
    (folder / "complete").touch()
    return folder


def old_form(tokenizer: Path) -> Path:
    """The tokenizer with each merge as one string, as Dolma's release of tokenizers, under 0.20, has them."""
    path = tokenizer.with_name("tokenizer-old-form.json")
    content = json.loads(tokenizer.read_text())
    merges = content["model"]["merges"]
    content["model"]["merges"] = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    path.write_text(json.dumps(content))
    return path


def run(step: str, tool: str, python: Path, documents: Path, *, out: Path, tokenizer: Path) -> Run:
    """One step by one tool, into an empty folder.

    Raises:
        UnavailableError: It failed, and what it said last.
    """
    shutil.rmtree(out, ignore_errors=True)
    (out / "kept").mkdir(parents=True)
    if tool.startswith(OURS):
        return run_ours(step, tool, documents, out, tokenizer)
    if tool == "datatrove":
        return run_datatrove(step, python, documents, out, tokenizer)
    shutil.rmtree(documents / "jsonl" / "attributes", ignore_errors=True)
    words: list[str | Path] = [python, SCRIPTS[tool], step, documents, out]
    usage = checked([*words, *([old_form(tokenizer)] if step == "tokens" else [])])
    return Run(usage.cpu, ids(out / "kept"), written(out / "tokens"))


def run_ours(step: str, tool: str, documents: Path, out: Path, tokenizer: Path) -> Run:
    """Our command line for equal documents, our scores over Parquet for rules, all stages of a build for tokens."""
    if step == "equal":
        usage = checked([*dedup_peers.COMMAND_LINE, documents / "parquet", "--out", out / "kept"])
        return Run(usage.cpu, ids(out / "kept"))
    if step == "rules":
        usage = checked([sys.executable, HERE / "peers_ours.py", tool.rpartition(" ")[2], documents, out])
        return Run(json.loads(usage.output.splitlines()[-1])["cpu"], ids(out / "kept"))
    words = [
        sys.executable,
        HERE / "encode.py",
        "--corpus",
        tokenizer.parent,
        "--ours",
        documents / "parquet",
        out,
        "list",
    ]
    found = json.loads(checked(words).output.splitlines()[-1])
    return Run(sum(found["stages"].values()), tokens=found["tokens"])


def run_datatrove(step: str, python: Path, documents: Path, out: Path, tokenizer: Path) -> Run:
    """Datatrove's filters, timed in their process, or its DocumentTokenizer."""
    if step == "rules":
        source = documents / "parquet" / "00000.parquet"
        checked([python, HERE / "peer_heuristics.py", source, out / "verdicts.json"])
        found = json.loads((out / "verdicts.json").read_text())
        both = zip(*(found["verdicts"][name] for name in ("repetition", "gopher")), strict=True)
        verdicts = [reasons == ("pass", "pass") for reasons in both]
        kept = pq.read_table(source, columns=["id"]).column(0).filter(pa.array(verdicts))
        return Run(found["seconds"]["gopher"], frozenset(kept.to_pylist()))
    usage = checked([python, HERE / "peer_encode.py", documents / "parquet", tokenizer, out])
    return Run(usage.cpu, tokens=written(out / "tokens"))


def ids(folder: Path) -> frozenset[str]:
    """Ids of the rows that a folder holds, in any of the tools' formats."""
    found: set[str] = set()
    for file in sorted(folder.iterdir()):
        if file.suffix == ".parquet" and file.name != "duplicates.parquet":
            found.update(pq.read_table(file, columns=["id"]).column(0).to_pylist())
        elif file.name.endswith((".jsonl", ".json.gz")) and "stats" not in file.name:
            content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            found.update(json.loads(line)["id"] for line in content.splitlines())
    return frozenset(found)


def written(folder: Path) -> int:
    """Tokens of two bytes in the files that datatrove, Dolma and NeMo Curator write."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in {".ds", ".npy", ".bin"}) // 2


def tools(step: str, programs: dict[str, Path]) -> dict[str, Path]:
    """What runs a step, ours first."""
    ours = [f"{OURS}, unicode", f"{OURS}, english"] if step == "rules" else [OURS]
    return dict.fromkeys(ours, Path(sys.executable)) | programs


def measured(
    step: str, programs: dict[str, Path], folder: Path, tokenizer: Path, rounds: int
) -> dict[str, tuple[list[Run], list[Run]] | str]:
    """For each tool its runs on all documents and on 20, or why there are none."""
    found: dict[str, tuple[list[Run], list[Run]] | str] = {}
    for number in range(rounds):
        for tool, python in tools(step, programs).items():
            if number and isinstance(found[tool], str):
                continue
            if (step, tool) in LACKS:
                found[tool] = LACKS[step, tool]
                continue
            arguments = step, tool, python
            places = {"out": folder / "out", "tokenizer": tokenizer}
            try:
                if tool.startswith(OURS) and not number:  # compiles kernels; pip has compiled the peers' byte code
                    run(*arguments, folder / "documents", **places)
                small = run(*arguments, folder / "tiny", **places)
                whole = run(*arguments, folder / "documents", **places)
            except UnavailableError as error:
                found[tool] = f"does not run here: {error}"
                continue
            print(f"  {step}, {tool}: {whole.cpu:.1f} CPU s, {small.cpu:.1f} for 20", file=sys.stderr, flush=True)
            runs = found.setdefault(tool, ([], []))
            for known, new in zip(runs, (whole, small), strict=True):
                known.append(new)
    return found


def table(step: str, found: dict[str, tuple[list[Run], list[Run]] | str], count: int, megabytes: float) -> str:
    """Markdown: one row for each tool."""
    lines = [
        f"| {step} | MB per CPU-second | start-up, CPU s | kept, or tokens | as datatrove | as TokenLadder |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    known = {tool: runs[0][0] for tool, runs in found.items() if not isinstance(runs, str)}

    def same(one: Run, other: str) -> str:
        if other not in known or not one.kept:
            return ""
        return f"{count - len(one.kept ^ known[other].kept):,}"

    ours = next(iter(found))
    for tool, runs in found.items():
        if isinstance(runs, str):
            lines.append(f"| {tool} | {runs} | | | | |")
            continue
        whole, small = (statistics.median(one.cpu for one in some) for some in runs)
        first = known[tool]
        out = f"{len(first.kept) or first.tokens:,}"
        speed = megabytes / max(whole - small, 0.001)
        lines.append(
            f"| {tool} | {speed:.2f} | {small:.1f} | {out} | {same(first, 'datatrove')} | {same(first, ours)} |"
        )
    return "\n".join(lines)


def versions(programs: dict[str, Path]) -> str:
    """The releases that were measured."""
    found = []
    for name, python in programs.items():
        distribution = dedup_peers.PACKAGES[name][0].partition("=")[0].partition("[")[0]
        code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
        version = subprocess.run([python, "-c", code], check=True, text=True, capture_output=True).stdout.strip()
        found.append(f"{name} {version}")
    return ", ".join(found)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="what corpus.py wrote")
    parser.add_argument("--megabytes", type=int, default=10, help="text before copies, 10⁶ bytes (default 10)")
    parser.add_argument("--rounds", type=int, default=3, help="times each tool runs, in turns (default 3)")
    parser.add_argument("--steps", type=names(STEPS), default=list(STEPS), help=f"default {','.join(STEPS)}")
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=f"default {','.join(PEERS)}")
    arguments = parser.parse_args()
    corpus = arguments.corpus.resolve()
    print(measure.machine())
    folder, tokenizer = make(corpus, arguments.megabytes), builds.tokenizer(corpus)
    programs: defaultdict[str, Path] = defaultdict(Path)
    for name in arguments.peers:
        try:
            programs[name] = dedup_peers.install(name, corpus / "dedup-peers" / name)
        except UnavailableError as error:
            print(f"{name} cannot be installed here: {error}", flush=True)
    dedup_peers.one_core()
    texts = pq.read_table(folder / "documents" / "parquet", columns=["text"]).column(0)
    megabytes = pc.sum(pc.binary_length(texts)).as_py() / 1e6
    print(f"{len(texts):,} documents, {megabytes:.1f} MB; one core; {arguments.rounds} rounds; {versions(programs)}")
    for step in arguments.steps:
        found = measured(step, programs, folder, tokenizer, arguments.rounds)
        print(f"\n{table(step, found, len(texts), megabytes)}", flush=True)


if __name__ == "__main__":
    main()
