"""Train the n-gram language model that a `perplexity` score reads, on a recipe's own text or on files."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...filters.measures.kneser_ney import LONGEST, arpa, estimate
from ...filters.measures.perplexity import Perplexity, cut_pieces
from ..files import store
from ..files.folders import need_folder
from .tokenizer_texts import sample
from .train_tokenizer import given_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .tokenizer_texts import Text

SPACES = re.compile("[\\0\\t\\r ]+")
"""What KenLM takes to stand between words, inside a line."""

MODEL = "model.arpa"


@dataclasses.dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        order: Words of the longest n-gram.
        least: How often n-grams of three words and more must stand in the text to be kept.
        least_word: How often a word must; a rarer one counts as unknown.
        lower: Whether text is lower-cased first; say the same in the score.
        sentencepiece: A SentencePiece model whose pieces are the words; say the same in the score.
    """

    order: int = 5
    least: int = 2
    least_word: int = 1
    lower: bool = False
    sentencepiece: str | None = None

    def __post_init__(self) -> None:
        """Check the figures.

        Raises:
            UserError: One is out of range.
        """
        if not 1 <= self.order <= LONGEST:
            raise store.UserError(f"--order {self.order}: a model has n-grams of 1 to {LONGEST} words.")
        if not 1 <= self.least_word <= self.least:
            raise store.UserError(
                f"--least-word {self.least_word}, --least {self.least}: both are at least 1, and an n-gram stands no "
                "more often than its words, so that --least is not the smaller one."
            )


def train_perplexity(
    given: Sequence[str], recipe: str | None, size: int, training: Training, folder: str
) -> dict[str, Any]:
    """Train a model; write `model.arpa` and `report.json`. The same text gives the same bytes.

    Args:
        given: The folder of a finished build, or files and folders of text.
        recipe: Of a build, whose text; by default the first.
        size: Bytes of text to train on; it takes some 70 bytes of memory for each.
        training: How.
        folder: Where to, local.

    Returns:
        What `report.json` says: the text, n-grams of each length, discounts, and, where KenLM is installed, the mean
        perplexity and bits per byte of one document in ten, which was not trained on.

    Raises:
        UserError: There is no such build, recipe or file, the text has no words, or the folder holds something else.
    """
    out = Path(folder)
    _check_folder(out)
    texts, origin = given_texts(given, recipe, size)
    seen, unseen = sample(texts, size)
    try:
        model = estimate(_sentences(seen, training), training.order, (training.least_word, *_upto(training)))
    except ValueError as error:
        raise store.UserError(f"{origin}: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / store.temporary_name(MODEL)
    with temporary.open("wb") as file:
        file.writelines(arpa(model))
    os.replace(temporary, out / MODEL)
    settings = dataclasses.asdict(training)
    if training.sentencepiece is not None:
        settings["sentencepiece"] = Path(training.sentencepiece).name
    report = {
        "text": origin,
        "trained_on": {"documents": len(seen), "bytes": sum(len(one.text.encode()) for one in seen)},
        "training": settings,
        "ngrams": [len(one.words) for one in model.orders],
        "discounts": [[round(step, 6) for step in steps] for steps in model.discounts],
        "without_counts_for_discounts": model.fallback,
        "measured": _measured(unseen, training, out / MODEL),
    }
    store.write_bytes(str(out / "report.json"), (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    return report


def _upto(training: Training) -> tuple[int, int]:
    """Least counts of two words, and of more."""
    return training.least_word, training.least


def _check_folder(out: Path) -> None:
    need_folder(str(out), "--out")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    if found and MODEL not in found:
        shown = ", ".join(sorted(found)[:3])
        raise store.UserError(f"{out}: holds files that no training made ({shown}). Choose a new folder with --out.")


def _sentences(texts: Iterable[Text], training: Training) -> list[list[str]]:
    """Words of each line that is not blank, as the score cuts them."""
    lines = [line for one in texts for line in one.text.splitlines() if line and not line.isspace()]
    if training.lower:
        lines = [line.lower() for line in lines]
    if training.sentencepiece is not None:
        return cut_pieces(training.sentencepiece)(lines)
    return [[word for word in SPACES.split(line) if word] for line in lines]


def _measured(texts: Sequence[Text], training: Training, path: Path) -> dict[str, Any] | None:
    """Means over documents that were not trained on; None without KenLM, or without such a document."""
    score = Perplexity(str(path), sentencepiece=training.sentencepiece, lower=training.lower)
    try:
        found = score.score(pa.record_batch({"text": pa.array([one.text for one in texts], pa.string())}))
    except ModuleNotFoundError:
        return None
    if not texts:
        return None
    means = {name: round(float(found.column(name).to_numpy().mean()), 4) for name in found.schema.names}
    return {"documents": len(texts), **means}
