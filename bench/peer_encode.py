"""datatrove's way from Parquet to shuffled tokens. Run by encode.py, with the Python of datatrove's environment.

    python bench/peer_encode.py DOCUMENTS TOKENIZER OUT

Its own reader and DocumentTokenizer with their own defaults, as one task on one worker.
"""

from __future__ import annotations

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.tokens import DocumentTokenizer


def main() -> None:
    """Run the pipeline."""
    documents, tokenizer, out = sys.argv[1:]
    LocalPipelineExecutor(
        pipeline=[
            ParquetReader(documents, glob_pattern="*.parquet"),
            DocumentTokenizer(
                f"{out}/tokens",
                tokenizer_name_or_path=tokenizer,
                local_working_dir=f"{out}/working",
                eos_token="<|endoftext|>",  # noqa: S106 a token of text, no password
                seed=1,
            ),
        ],
        tasks=1,
        workers=1,
        logging_dir=f"{out}/logs",
    ).run()


if __name__ == "__main__":
    main()
