"""What benchmarks of `tokenladder build` share: a study over a corpus of corpus.py, its tokenizer, its figures."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tokenizers import ByteLevelBPETokenizer
from tokenladder.pipelines.formats.extract import ExtractionError, extract

import measure

VOCABULARY = 32_000
TRAINING_CHARACTERS = 20_000_000
RULES = '[{ score = "language", is = "en", min = 0.65 }, { score = "gopher", is = "pass" }]'
STUDY = """\
name = "bench"
seed = 1
budgets = {budgets}
sequence_length = 512

[tokenizer]
type = "huggingface"
path = {tokenizer}

[sources.web]
format = "warc"
path = {warc}
extract = {extractor}

[scores.language]
type = "fasttext"
model = "lid.176.ftz"

[scores.gopher]
type = "gopher"

[recipes.web]
dedup = {dedup}
repeat = 8
keep = {rules}
"""


@dataclasses.dataclass(frozen=True)
class Built:
    """A build and what it used.

    Attributes:
        usage: Processor time and memory.
        outcomes: Documents by outcome, from the ledger.
        reasons: Documents that were dropped or rejected, by reason.
        tokens: Different tokens in the largest rung.
    """

    usage: measure.Usage
    outcomes: Counter[str]
    reasons: Counter[str]
    tokens: int

    @property
    def pages(self) -> int:
        """Records read."""
        return self.outcomes.total()

    @property
    def kept(self) -> int:
        """Documents that passed every rule, whether or not the budget had room for them."""
        return self.outcomes["kept"] + self.outcomes["over_budget"]


def texts(files: Sequence[Path]) -> Iterator[str]:
    """Main content of the pages, up to what a tokenizer is trained on."""
    taken = 0
    for file in files:
        with file.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                try:
                    text = extract(record.reader.read())
                except ExtractionError:
                    continue
                taken += len(text)
                yield text
                if taken > TRAINING_CHARACTERS:
                    return


def tokenizer(corpus: Path) -> Path:
    """A byte-level BPE tokenizer trained on the corpus, made once."""
    path = corpus / "tokenizer.json"
    if not path.exists():
        model = ByteLevelBPETokenizer()
        files = sorted((corpus / "warc").glob("*.warc.gz"))
        model.train_from_iterator(
            texts(files), vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False
        )
        model.save(str(path))
    return path


def study(path: Path, **values: object) -> Path:
    """Write a study file; `values` fill STUDY."""
    path.parent.mkdir(parents=True, exist_ok=True)
    filled = {key: value if key == "rules" else json.dumps(value, default=str) for key, value in values.items()}
    path.write_text(STUDY.format(**filled))
    return path


def build(
    file: Path,
    out: Path,
    *,
    memory: bool = False,
    start: Sequence[str | Path] = ("-m", "tokenladder"),
    beam: Sequence[str] = (),
) -> Built:
    """Build the study into a new folder.

    Args:
        file: The study.
        out: Where to; what is there is removed first.
        memory: Whether to look at the memory of every process.
        start: Arguments of the interpreter in front of the command line's own.
        beam: Beam's options.
    """
    shutil.rmtree(out, ignore_errors=True)
    usage = measure.run([sys.executable, *start, "build", file, "--out", out, "--", *beam], memory=memory)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for ledger in sorted((out / "ledger" / "web").glob("*.parquet")):
        for row in pq.read_table(ledger, columns=["outcome", "reason"]).to_pylist():
            outcomes[row["outcome"]] += 1
            if row["outcome"] in ("dropped", "rejected"):
                reasons[row["reason"]] += 1
    rungs = json.loads((out / "manifest.json").read_text())["recipes"]["web"]["rungs"]
    return Built(usage, outcomes, reasons, rungs[-1]["unique_tokens"])
