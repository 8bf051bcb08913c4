"""The manifest: what a build made, with hashes. It depends on the study and its input alone, never on a machine."""

from __future__ import annotations

import collections
import importlib.metadata
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ..files import store
from ..files.schema import KEPT, OUTCOMES
from .plan import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...tokenizers.protocol import Tokenizer
    from .ladders import Ladder
    from .plan import Plan

LIBRARIES = ("fastwarc", "fasttext-new", "numpy", "pyarrow", "resiliparse", "sentencepiece", "tokenizers")

SHARD = ("path", "sequences", "tokens", "bytes", "sha256", "documents", "documents_sha256")
"""What the manifest says of a shard."""


@dataclass(frozen=True)
class Made:
    """What was written for one recipe.

    Attributes:
        ladder: Its ladder.
        shards: Each one's keys `SHARD`.
        checkpoints: States of the schedule, as `shards.checkpoints` gives them.
        ledgers: Each one's `path`, `sha256`, `source`, `rows`, `counts`, `masks`, `first_rungs`.
    """

    ladder: Ladder
    shards: list[dict[str, Any]]
    ledgers: list[dict[str, Any]]
    checkpoints: list[list[int]]


@dataclass(frozen=True)
class Duplicates:
    """What is known of near duplicates.

    Attributes:
        counts: Over the pool, by source and label; None where no documents were compared.
        in_rungs: Documents of each rung that come after a near duplicate of theirs, by recipe; none of a recipe where
            no documents were compared.
    """

    counts: dict[str, Any] | None
    in_rungs: dict[str, list[int]]


def fingerprint(plan: Plan, summaries: dict[str, dict[str, Any]], tokenizer: dict[str, Any]) -> str:
    """A name for the study and the content of its input; the same for copies of the input elsewhere."""
    study = plan.study
    return store.fingerprint(
        {
            "format": FORMAT,
            "settings": {**_said(asdict(study.settings)), "dedup": plan.dedup},
            "sources": [
                [source.name, source.source.identity(), [summaries[name]["digest"] for name, _ in source.slices]]
                for source in plan.sources
            ],
            "scores": {name: score.identity() for name, score in plan.study.scores.items()},
            "tokenizer": tokenizer,
        }
    )


def _said(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without what is younger than the format and not asked for: studies keep their fingerprint."""
    young = {"bursts": None, "budget_unit": "tokens"}
    held = settings["held_out"]
    if held is not None and held["bytes"] is None:
        settings = {**settings, "held_out": {name: value for name, value in held.items() if name != "bytes"}}
    return {name: value for name, value in settings.items() if name not in young or value != young[name]}


def assemble(  # noqa: PLR0917 everything that a manifest tells
    plan: Plan,
    fingerprint: str,
    summaries: dict[str, dict[str, Any]],
    tokenizer: Tokenizer,
    held_out: Ladder | None,
    held_out_shards: list[dict[str, Any]],
    made: dict[str, Made],
    duplicates: Duplicates,
    repeated_lines: dict[str, Any] | None,
    curricula: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The manifest as plain values."""
    settings = plan.study.settings
    length = settings.sequence_length
    value: dict[str, Any] = {
        "name": settings.name,
        "fingerprint": fingerprint,
        "versions": {"tokenladder": __version__, "format": FORMAT}
        | {library: importlib.metadata.version(library) for library in LIBRARIES},
        "seed": settings.seed,
        "sequence_length": length,
        "tokenizer": {
            "identity": tokenizer.identity(),
            "vocabulary_size": tokenizer.vocabulary_size,
            "end_of_document": tokenizer.end_of_document,
            "dtype": tokenizer.dtype.name,
        },
        "scores": {name: score.identity() for name, score in plan.study.scores.items()},
        "dedup": plan.dedup,
        "duplicates": duplicates.counts,
        "repeated_lines": repeated_lines,
        "masks": plan.masked,
        "counts": _counts(plan, summaries),
        "held_out": None,
        "recipes": {name: _recipe(one, length, duplicates.in_rungs.get(name)) for name, one in made.items()},
        "curricula": curricula,
    }
    if settings.packing != "concatenate":
        value["packing"] = settings.packing
    if settings.input_ids != "list":
        value["input_ids"] = settings.input_ids
    if settings.max_document_sequences is not None:
        value["max_document_sequences"] = settings.max_document_sequences
    if held_out is not None and settings.held_out is not None:
        sequences = sum(held_out.rungs.values())
        requested, unit = settings.held_out.size
        value["held_out"] = {
            **_requested(requested, unit, held_out.reached),
            "tokens": sequences * length,
            "sequences": sequences,
            "shards": _listed(held_out_shards),
        }
    for name, recipe in value["recipes"].items():
        own = plan.study.recipe(name)
        recipe["rules"] = [str(rule) for rule in plan.study.rules(name)]
        for key in ("permutation", "disjoint", "simulate", "alpha"):
            if getattr(own, key) is not None:
                recipe[key] = getattr(own, key)
        file = plan.study.weights_file(name)
        if file is not None:
            recipe["weights_file"] = {"path": file.path, "sha256": file.sha256, "named": file.named}
        ladder = made[name].ladder
        for n, requested in enumerate(plan.study.rungs.values()):
            recipe["rungs"][n] |= _requested(requested, settings.budget_unit, ladder.reached[n:])
    value["root_hash"] = root_hash(value)
    return value


def root_hash(manifest: dict[str, Any]) -> str:
    """One hash over all shards, ledgers and counts; equal on every engine.

    Args:
        manifest: A manifest, with or without its root hash.
    """
    held = manifest["held_out"] or {"shards": []}
    curricula = {
        name: [shard["sha256"] for shard in one["shards"]] for name, one in manifest.get("curricula", {}).items()
    }
    return store.fingerprint(
        [
            manifest["counts"],
            [shard["sha256"] for shard in held["shards"]],
            {
                name: [
                    [shard["sha256"] for shard in recipe["rungs"][-1]["shards"]],
                    [ledger["sha256"] for ledger in recipe["ledger"]],
                    recipe["counts"],
                ]
                for name, recipe in manifest["recipes"].items()
            },
            *([curricula] if curricula else []),
        ]
    )


def _counts(plan: Plan, summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Records, documents and bytes as they were read, by source."""
    out = {}
    for source in plan.sources:
        every = [summaries[name] for name, _ in source.slices]
        parts = [part for summary in every for part in summary["parts"]]
        lost: collections.Counter[tuple[str, str]] = collections.Counter()
        for summary in every:
            for one in summary["outcomes"]:
                lost[one["outcome"], one["reason"]] += one["records"]
        out[source.name] = {
            "records": sum(part["rows"] for part in parts),
            "bytes": sum(part["bytes"] for part in parts),
            "documents": sum(part["documents"] for part in parts),
            "text_bytes": sum(part["text_bytes"] for part in parts),
            "without_document": [
                {"outcome": outcome, "reason": reason, "records": n} for (outcome, reason), n in sorted(lost.items())
            ],
        }
    return out


def _listed(shards: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: shard[key] for key in SHARD} for shard in shards]


def _recipe(made: Made, length: int, duplicates: list[int] | None) -> dict[str, Any]:
    ladder = made.ladder
    rungs: list[dict[str, Any]] = []
    documents = 0
    for n, (name, sequences) in enumerate(ladder.rungs.items()):
        strata, shards, held = {}, [], 0
        for shard in made.shards:
            if held >= sequences:
                break
            shards.append(shard)
            held += shard["sequences"]
        padding = np.sum([shard.get("padding", [0] * len(ladder.strata)) for shard in shards], axis=0).tolist()
        most = ladder.unpadded or ladder.available
        for stratum, count, available, padded in zip(ladder.strata, ladder.counts[n], most, padding, strict=True):
            tokens = count * length
            unique = min(tokens - padded, available)
            strata[stratum] = {"tokens": tokens, "sequences": count, "unique_tokens": unique}
            if ladder.unpadded:
                strata[stratum]["padding_tokens"] = padded
        documents += sum(ledger["first_rungs"][n] for ledger in made.ledgers)
        unique = sum(stratum["unique_tokens"] for stratum in strata.values())
        rungs.append(
            {
                "name": name,
                "tokens": sequences * length,
                "sequences": sequences,
                "unique_tokens": unique,
                "repeated_tokens": sequences * length - unique - sum(padding),
                **({"padding_tokens": sum(padding)} if ladder.unpadded else {}),
                "documents": documents,
                "duplicates": None if duplicates is None else duplicates[n],
                "strata": strata,
                "shards": _listed(shards),
            }
        )
    return {
        "strata": {s: {"weight": w, "of": 1 << 32} for s, w in zip(ladder.strata, ladder.weights, strict=True)},
        "rescaled": ladder.rescaled,
        **({"course": _course(ladder)} if ladder.course else {}),
        **({"budget_course": _named(ladder, ladder.along)} if ladder.along else {}),
        "checkpoints": made.checkpoints,
        "rungs": rungs,
        "counts": _outcomes(made.ledgers),
        "ledger": [{key: ledger[key] for key in ("path", "sha256", "rows", "source")} for ledger in made.ledgers],
    }


def _requested(count: int, unit: str, reached: list[int]) -> dict[str, Any]:
    """What a rung was to have, and where that is not tokens, what it has of it: of the documents that begin in it."""
    return (
        {"requested_tokens": count} if unit == "tokens" else {"unit": unit, "requested": count, "reached": reached[0]}
    )


def _course(ladder: Ladder) -> list[dict[str, Any]]:
    """How weights change: at each bend its place in sequences, and each stratum's weight there.

    Where budgets are in bytes or documents, and weights change along these, `at` is the place in them, and `weights`
    are shares of tokens.
    """
    return _named(ladder, ladder.course)


def _named(ladder: Ladder, bends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bends with the names of strata."""
    return [{**bend, "weights": dict(zip(ladder.strata, bend["weights"], strict=True))} for bend in bends]


def _outcomes(ledgers: list[dict[str, Any]]) -> dict[str, Any]:
    """Records, bytes and tokens in each bin of the ledger, by source, with the reasons inside."""
    out: dict[str, Any] = {}
    for ledger in ledgers:
        source = out.setdefault(
            ledger["source"],
            {
                "records": 0,
                "bytes": 0,
                "outcomes": {name: {"records": 0, "bytes": 0, "reasons": {}} for name in OUTCOMES},
            },
        )
        source["records"] += ledger["rows"]
        for name, masks in ledger["masks"].items():
            told = source["outcomes"][KEPT].setdefault("masks", {}) if masks else {}
            told[name] = told.get(name, 0) + masks
        for row in ledger["counts"]:
            one = source["outcomes"][row["outcome"]]
            source["bytes"] += row["bytes"]
            one["records"] += row["records"]
            one["bytes"] += row["bytes"]
            if row["outcome"] == KEPT:
                one["tokens"] = one.get("tokens", 0) + row["tokens"]
            elif row["reason"] is not None:
                one["reasons"][row["reason"]] = one["reasons"].get(row["reason"], 0) + row["records"]
    return out
