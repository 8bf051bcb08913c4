"""datatrove's heuristic filters over texts. Run by scores_text.py, with the Python of datatrove's environment.

    python bench/peer_heuristics.py DOCUMENTS.parquet VERDICTS.json

Reads the column `text`. Writes what each filter makes of each document, what C4's counts of its lines, the processor
seconds of Gopher's repetition and quality filters and FineWeb's in a chain (a document that one drops costs the next
ones nothing), those of the three on every document, and those of Gopher's two in a chain.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter

CHAIN: dict[str, BaseFilter] = {
    "repetition": GopherRepetitionFilter(),
    "gopher": GopherQualityFilter(),
    "fineweb": FineWebQualityFilter(),
}


class CountingC4(C4QualityFilter):
    """C4's filter, which also says what became of one document's lines."""

    def __init__(self) -> None:
        """Take datatrove's defaults."""
        super().__init__()
        self.lines: Counter[str] = Counter()

    def stat_update(self, *labels: str, value: int = 1, **_: Any) -> None:
        """Count here, and not in datatrove's statistics of the whole run."""
        self.lines.update({label.removeprefix("line-").removeprefix("filter-"): value for label in labels})


def verdict(step: BaseFilter, text: str) -> str:
    """The reason, or `pass`."""
    kept = step.filter(Document(text=text, id=""))
    return "pass" if kept is True else kept[1].removeprefix("gopher_")


def c4(texts: list[str]) -> list[dict[str, Any]]:
    """C4's verdict and counts of lines, and that of its filter of paragraphs."""
    quality, paragraphs = CountingC4(), C4ParagraphFilter()
    found = []
    for text in texts:
        quality.lines = Counter()
        reason = verdict(quality, text)
        found.append({"reason": reason, "lines": quality.lines, "paragraphs": verdict(paragraphs, text) == "pass"})
    return found


def main() -> None:
    """Judge, and write what was found."""
    source, target = map(Path, sys.argv[1:])
    texts = pq.read_table(source)["text"].to_pylist()
    for step in CHAIN.values():  # spaCy is loaded
        verdict(step, texts[0])
    seconds = {"chain": 0.0, "each": 0.0, "gopher": 0.0}
    verdicts: dict[str, list[str]] = {name: [] for name in CHAIN}
    for text in texts:
        chained = True
        for name, step in CHAIN.items():
            began = time.process_time()
            verdicts[name].append(verdict(step, text))
            took = time.process_time() - began
            seconds["each"] += took
            seconds["chain"] += took * chained
            seconds["gopher"] += took * (chained and name != "fineweb")
            chained = chained and verdicts[name][-1] == "pass"
    target.write_text(json.dumps({"seconds": seconds, "verdicts": verdicts, "c4": c4(texts)}))


if __name__ == "__main__":
    main()
