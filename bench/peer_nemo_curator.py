"""NeMo Curator's stages over Parquet. Run by peers.py, with the Python of NeMo Curator's environment.

    python bench/peer_nemo_curator.py {equal,rules,tokens} DOCUMENTS OUT [TOKENIZER]

Its stages are called one after the other in this process: what Ray costs is not counted.

equal    its `ExactDeduplicationWorkflow`; imported only, for it needs RAPIDS and a GPU
rules    Gopher's rules, of its English pipeline of heuristics, with the thresholds that stand there
tokens   `MegatronTokenizerWriter`
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
from nemo_curator.stages.text.filters import DocumentFilter, ScoreFilter
from nemo_curator.stages.text.filters.heuristic import (
    BulletsFilter,
    CommonEnglishWordsFilter,
    EllipsisFilter,
    MeanWordLengthFilter,
    SymbolsToWordsFilter,
    WordCountFilter,
    WordsWithoutAlphabetsFilter,
)
from nemo_curator.stages.text.filters.heuristic.repetition import (
    RepeatedLinesByCharFilter,
    RepeatedLinesFilter,
    RepeatedParagraphsByCharFilter,
    RepeatedParagraphsFilter,
    RepeatingDuplicateNGramsFilter,
    RepeatingTopNGramsFilter,
)
from nemo_curator.tasks import DocumentBatch


def gopher() -> list[DocumentFilter]:
    """The rules of Rae et al. 2021, table A1, in the order of its pipeline."""
    return [
        SymbolsToWordsFilter(0.1),
        RepeatedLinesFilter(0.7),
        RepeatedParagraphsFilter(0.7),
        RepeatedLinesByCharFilter(0.8),
        RepeatedParagraphsByCharFilter(0.8),
        WordCountFilter(50, 100_000),
        WordsWithoutAlphabetsFilter(0.8),
        CommonEnglishWordsFilter(2),
        MeanWordLengthFilter(3, 10),
        EllipsisFilter(0.3),
        *(RepeatingTopNGramsFilter(n, share) for n, share in ((2, 0.2), (3, 0.18), (4, 0.16))),
        *(RepeatingDuplicateNGramsFilter(n, (20 - n) / 100) for n in range(5, 11)),
        BulletsFilter(0.9),
    ]


def main() -> None:
    """Run what the arguments name."""
    step, documents, out, *rest = sys.argv[1:]
    if step == "equal":
        from nemo_curator.stages.deduplication.exact.workflow import ExactDeduplicationWorkflow

        raise SystemExit(f"{ExactDeduplicationWorkflow.__name__} can be imported here, which peers.py did not expect")
    batches = [
        DocumentBatch(dataset_name="documents", data=pq.read_table(file), _metadata={"source_files": [str(file)]})
        for file in sorted(Path(documents, "parquet").glob("*.parquet"))
    ]
    if step == "rules":
        stage = ScoreFilter(gopher(), text_field="text")
        stage.setup()
        for n, batch in enumerate(batches):
            pq.write_table(stage.process(batch).to_pyarrow(), f"{out}/kept/{n:05d}.parquet")
        return
    from nemo_curator.stages.text.io.writer.megatron_tokenizer import MegatronTokenizerWriter

    model = Path(out) / "model"
    model.mkdir()
    shutil.copyfile(rest[0], model / "tokenizer.json")
    (model / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}'
    )
    writer = MegatronTokenizerWriter(path=f"{out}/tokens", model_identifier=str(model), append_eod=True)
    writer.setup()
    for batch in batches:
        writer.process(batch)


if __name__ == "__main__":
    main()
