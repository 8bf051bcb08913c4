"""Train a quality classifier: a fastText model with its measured precision and recall, and a card."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ... import __version__
from ...data_cards.classifier_card import render_classifier_card
from ...data_cards.roc import render_roc
from ...filters.measures.fasttext import FastText
from ..files import store
from ..files.folders import need_folder
from .quality_documents import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .quality_documents import Drawn
    from .quality_file import QualityFile

THRESHOLDS = tuple(n / 10 for n in range(1, 10))
"""Probabilities at which precision and recall are told."""

KEPT = 100_000
"""Words and n-grams that a compressed model keeps: to quantize 2 million took minutes."""

POINTS = 200
"""Points of the ROC curve that the report holds, at most."""


def train(wanted: QualityFile, out: str) -> dict[str, Any]:
    """Train and measure a model, and write its folder.

    Training takes one thread, so that the same documents and seed give the same bytes.

    Args:
        wanted: What to train on, and how.
        out: Folder to fill, local: `model.bin` (and `model.ftz`), `report.json`, `roc.svg`, `held_out.parquet` (id,
            label and value of each document that was kept from training) and `README.md`.

    Returns:
        The report.

    Raises:
        UserError: Documents cannot be read, are too few, or the folder holds something else.
    """
    folder = Path(out)
    _check_folder(folder)
    drawn = draw(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    names = ["model.bin", *(["model.ftz"] if wanted.model.compress else [])]
    _learn(wanted, drawn, folder)
    models = {name: _measure(wanted, drawn, folder / name) for name in names}
    values = models[names[0]].pop("values")
    for one in models.values():
        one.pop("values", None)
    report = {
        "name": wanted.name,
        "labels": wanted.labels,
        "positive": wanted.labels[0] if wanted.scored is None else None,
        "scored": _plain(wanted.scored),
        "seed": wanted.seed,
        "held_out": wanted.held_out,
        "training": dataclasses.asdict(wanted.model),
        "documents": drawn.counts,
        "models": models,
        "versions": {"tokenladder": __version__, "fasttext-new": _engine_version()},
    }
    held = np.flatnonzero(drawn.held_out)
    table = pa.table(
        {
            "document": [drawn.ids[n].hex() for n in held],
            "label": [wanted.labels[drawn.labels[n]] for n in held],
            "value": pa.array(values, pa.float32()),
        }
    )
    pq.write_table(table, folder / "held_out.parquet")
    (folder / "roc.svg").write_text(render_roc(models[names[0]]["roc"], models[names[0]]["auc"]), encoding="utf-8")
    (folder / "README.md").write_text(render_classifier_card(report), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def _plain(scored: Any) -> dict[str, Any] | None:
    """What a report says of scored documents: no path of this machine."""
    if scored is None:
        return None
    return {"score": scored.score, "bins": list(scored.bins), "threshold": _threshold(scored)}


def _threshold(scored: Any) -> float:
    return float(np.mean([scored.bins[0], scored.bins[-1]])) if scored.threshold is None else float(scored.threshold)


def _check_folder(folder: Path) -> None:
    need_folder(str(folder), "--out")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if found and "report.json" not in found:
        shown = ", ".join(sorted(found)[:3])
        raise store.UserError(f"{folder}: holds files that no training made ({shown}). Choose a new folder with --out.")


def _engine_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("fasttext-new")


def _learn(wanted: QualityFile, drawn: Drawn, folder: Path) -> None:
    """Write the model, whole or not at all."""
    import fasttext_new

    settings = wanted.model
    with tempfile.TemporaryDirectory(dir=folder, prefix=".training-") as name:
        lines = Path(name) / "train.txt"
        with lines.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for text, label, held in zip(drawn.texts, drawn.labels.tolist(), drawn.held_out.tolist(), strict=True):
                if not held:
                    file.write(f"__label__{wanted.labels[label]} {_line(text)}\n")
        model: Any = fasttext_new.train_supervised(
            str(lines),
            thread=1,
            seed=wanted.seed,
            dim=settings.dim,
            epoch=settings.epoch,
            lr=settings.lr,
            wordNgrams=settings.word_ngrams,
            minCount=settings.min_count,
            bucket=settings.bucket,
            verbose=0,
        )
        model.save_model(str(Path(name) / "model.bin"))
        if settings.compress:
            model.quantize(str(lines), cutoff=KEPT, retrain=False, dsub=2, thread=1, verbose=0)
            model.save_model(str(Path(name) / "model.ftz"))
        for path in (folder / "model.bin", folder / "model.ftz"):
            path.unlink(missing_ok=True)
        for path in sorted(Path(name).glob("model.*")):
            os.replace(path, folder / path.name)


def _line(text: str) -> str:
    """A text as one line of training; what looks like a label in it is none."""
    return text.replace("\n", " ").replace("__label__", "__ label __")


def _measure(wanted: QualityFile, drawn: Drawn, path: Path) -> dict[str, Any]:
    """How a model does on the documents that were kept from training."""
    held = np.flatnonzero(drawn.held_out)
    labels = drawn.labels[held]
    texts = pa.record_batch({"text": pa.array([drawn.texts[n] for n in held], pa.string())})
    told: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": FastText(str(path)).identity()["model"]}
    if wanted.scored is not None:
        scored = FastText(str(path), expected=True).score(texts)
        values = scored.column("expected").to_numpy(zero_copy_only=False).astype(np.float64)
        given = np.array(wanted.scored.bins)[labels]
        threshold = _threshold(wanted.scored)
        truth = given >= threshold
        thresholds = [(low + high) / 2 for low, high in zip(wanted.scored.bins, wanted.scored.bins[1:], strict=False)]
        told["mean_absolute_error"] = round(float(np.abs(values - given).mean()), 4)
        told["correlation"] = round(_correlation(values, given), 4)
    else:
        positive = wanted.labels[0]
        scored = FastText(str(path), label=positive).score(texts)
        values = scored.column("probability").to_numpy(zero_copy_only=False).astype(np.float64)
        truth = labels == 0
        thresholds = list(THRESHOLDS)
    guesses = [wanted.labels.index(label) if label else -1 for label in scored.column("label").to_pylist()]
    told["accuracy"] = round(float((np.array(guesses) == labels).mean()), 4)
    told["auc"], told["roc"] = roc(values, truth)
    told["at"] = [_at(values, truth, threshold) for threshold in thresholds]
    told["values"] = values
    return told


def _at(values: NDArray[np.float64], truth: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """Precision and recall of "at least this"."""
    taken = values >= threshold
    right = int(np.count_nonzero(taken & truth))
    return {
        "threshold": round(threshold, 4),
        "precision": round(right / max(1, int(taken.sum())), 4),
        "recall": round(right / max(1, int(truth.sum())), 4),
        "share": round(float(taken.mean()), 4),
    }


def _correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, two)[0, 1]) if one.std() and two.std() else 0.0


def roc(values: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float | None, list[list[float]]]:
    """The receiver operating characteristic of "at least this value".

    Args:
        values: float64[n].
        truth: bool[n]; which are positive.

    Returns:
        The area under the curve, None where all are of one kind; and points (share of the negatives taken, share of the
        positives taken) from (0, 0) to (1, 1), at most `POINTS` of them.

    >>> roc(np.array([0.9, 0.8, 0.3, 0.3]), np.array([True, False, True, False]))
    (0.625, [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [1.0, 1.0]])
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None, [[0.0, 0.0], [1.0, 1.0]]
    order = np.argsort(-values, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(values[order])), len(values) - 1]  # ties are taken together
    right = np.r_[0, np.cumsum(truth[order])[last]] / positives
    wrong = np.r_[0, np.cumsum(~truth[order])[last]] / negatives
    area = float(np.sum(np.diff(wrong) * (right[1:] + right[:-1]) / 2))
    shown = np.unique(np.linspace(0, len(right) - 1, min(POINTS, len(right))).round().astype(np.int64))
    points = [[round(float(wrong[n]), 5), round(float(right[n]), 5)] for n in shown]
    return round(area, 5), points
