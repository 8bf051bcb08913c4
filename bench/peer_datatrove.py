"""datatrove's way from WARC files to counted tokens. Run by end_to_end.py, with the Python of datatrove's environment.

    python bench/peer_datatrove.py WARC_FOLDER TOKENIZER LANGUAGE_MODEL {trafilatura,resiliparse} LOG_FOLDER

Its own blocks with their own defaults, and English chosen by its LanguageFilter, so that what is not English costs it
nothing further. Prints a line of JSON with what came in and out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.extractors.base import BaseExtractor
from datatrove.pipeline.filters import GopherQualityFilter, LanguageFilter
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.tokens import TokensCounter


class Resiliparse(BaseExtractor):
    """The extractor that TokenLadder uses by default, in datatrove's sandbox."""

    name = "⛏ Resiliparse"
    _requires_dependencies = ("resiliparse",)

    def __init__(self) -> None:
        """Take datatrove's default time limit."""
        super().__init__(timeout=1)

    def extract(self, text: str) -> str:
        """Main content of a page as plain text."""
        from resiliparse.extract.html2text import extract_plain_text

        return extract_plain_text(text, preserve_formatting=True, main_content=True, alt_texts=False, links=False)


def main() -> None:
    """Run the pipeline in two tasks on two workers, and print its figures."""
    warc, tokenizer, model, extractor, logs = sys.argv[1:]
    language = LanguageFilter(languages=["en"])
    language.model.MODEL_URL = model  # it would download lid.176.bin; both sides get the same file instead
    executor = LocalPipelineExecutor(
        pipeline=[
            WarcReader(warc, glob_pattern="*.warc.gz"),
            Trafilatura() if extractor == "trafilatura" else Resiliparse(),
            language,
            GopherQualityFilter(),
            TokensCounter(tokenizer, count_eos_token=True),
        ],
        tasks=2,
        workers=2,
        logging_dir=logs,
    )
    reader, extraction, _, gopher, counter = json.loads(executor.run().to_json())
    figures = {
        "pages": total(reader, "documents"),
        "timeouts": total(extraction, "timeout"),
        "errors": total(extraction, "clean_error") + total(extraction, "broken_process"),
        "texts": total(extraction, "forwarded"),
        "documents": total(gopher, "forwarded"),
        "tokens": total(counter, "tokens"),
    }
    print(json.dumps(figures))


def total(step: dict[str, Any], figure: str) -> int:
    """One figure of datatrove's statistics; what never happened is not in them."""
    value = step["stats"].get(figure, 0)
    return int(value["total"] if isinstance(value, dict) else value)


if __name__ == "__main__":
    main()
