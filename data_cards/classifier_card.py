"""The card of a quality classifier, made from its report alone. Every name may come from elsewhere and is escaped."""

from __future__ import annotations

import json
from typing import Any

from .markdown import numbers, plain, table_of, yaml_string

_COUNTS = {
    "read": "read",
    "drawn": "drawn",
    "copies": "copies",
    "near_duplicates": "near duplicates",
    "contradicting": "in two classes",
    "train": "trained on",
    "held_out": "measured on",
}


def render_classifier_card(report: dict[str, Any]) -> str:
    """A model's README.md.

    Args:
        report: As `report.json` holds it.
    """
    name = report["name"]
    model = report["models"]["model.bin"]
    front = [
        "---",
        f"pretty_name: {yaml_string(name)}",
        "library_name: fasttext",
        "tags:",
        "- text-classification",
        "---",
    ]
    scored = report["scored"]
    if scored is None:
        what = (
            f"A fastText classifier that tells {plain(report['positive'])} from "
            f"{', '.join(plain(label) for label in report['labels'][1:])}."
        )
        value = f"label = {json.dumps(report['positive'])}"
        rule = '{ score = "quality", top = 0.1 }'
    else:
        what = (
            f"A fastText classifier of {plain(scored['score'])} in {len(scored['bins'])} bins; the mean of the bins by "
            "probability is the score."
        )
        value = "expected = true"
        rule = f'{{ score = "quality.expected", min = {scored["threshold"]:g} }}'
    use = f'[scores.quality]\ntype  = "fasttext"\nmodel = "model.bin"\n{value}\n\n[recipes.good]\nkeep = [{rule}]'
    documents = table_of(
        ("class", *_COUNTS.values()),
        [(plain(label), *numbers(*(counts[key] for key in _COUNTS))) for label, counts in report["documents"].items()],
    )
    at = table_of(
        ("at least", "precision", "recall", "share taken"),
        [
            (f"{one['threshold']:g}", f"{one['precision']:.3f}", f"{one['recall']:.3f}", f"{one['share']:.3f}")
            for one in model["at"]
        ],
        texts=0,
    )
    figures = [f"area under the ROC curve {model['auc']:.4f}"] if model["auc"] is not None else []
    figures.append(f"accuracy {model['accuracy']:.4f}")
    if scored is not None:
        figures.append(f"mean absolute error {model['mean_absolute_error']:.3f}")
        figures.append(f"correlation {model['correlation']:.3f}")
    files = table_of(
        ("file", "bytes", "area under the ROC curve", "accuracy", "SHA-256"),
        [
            (file, *numbers(one["bytes"]), f"{one['auc'] or 0:.4f}", f"{one['accuracy']:.4f}", f"`{one['sha256']}`")
            for file, one in report["models"].items()
        ],
    )
    training = ", ".join(f"{key} {value}" for key, value in report["training"].items())
    measured = (
        f"On {report['held_out']:.0%} of the documents, kept from training: {', '.join(figures)}. None of these nearly "
        "equals one that was trained on: of each group of near duplicates one document was used."
    )
    versions = ", ".join(f"{key} {value}" for key, value in report["versions"].items())
    made = f"Trained with one thread and seed {report['seed']}: {training}. Versions: {versions}."
    sections = [
        f"# {plain(name)}\n\n{what}\n\n```toml\n{use}\n```",
        f"## Measured\n\n{measured}\n\n{at}\n\n![ROC curve](roc.svg)",
        f"## Documents\n\n{documents}",
        f"## Files\n\n{files}\n\n{made}",
    ]
    return "\n\n".join(["\n".join(front), *sections]) + "\n"
