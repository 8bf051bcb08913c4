"""The driver's side of the tokenizer: open it, or train it on the study's own text first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from ..tokenizers.fast_path import PROBES
from ..tokenizers.loading import load_bytes
from ..tokenizers.sections import TokenizerSection
from . import store
from .plan import FORMAT
from .pool import PIPELINES, numbered
from .tokenizer_sample import sampled_texts, share_below

if TYPE_CHECKING:
    from ..tokenizers.protocol import Tokenizer
    from ..tokenizers.training import Train
    from .plan import Plan
    from .pool import Pool


FAST = {"fastokens": "Hugging Face's tokenizers", "gigatoken": "SentencePiece"}
"""Faster engines, and what they are compared with when a tokenizer is opened."""


def open_tokenizer(plan: Plan, pool: Pool) -> tuple[Tokenizer, bytes, Pool]:
    """The study's tokenizer, its model (empty where there is none), and the pool with what workers need of it.

    Raises:
        UserError: The text is too little for the vocabulary that is asked for.
    """
    section, model = plan.study.tokenizer, plan.tokenizer_model
    parameters = getattr(section, "train", None)
    if parameters is not None:
        model = _train(pool, parameters)
    tokenizer = load_bytes(section, model)
    engine = getattr(tokenizer, "engine", None)
    if engine in FAST:
        pool.report.say(f"tokenizer: encoded by {engine}, which gives the ids of {FAST[engine]} on {PROBES:,} probes")
    fingerprint = store.fingerprint(tokenizer.identity())
    path = pool.store.path("tokenizers", f"{fingerprint}.model") if model else ""
    if path and not store.exists(path):
        store.write_bytes(path, model)
    text = TypeAdapter(TokenizerSection).dump_json(section).decode()
    fingerprint = store.fingerprint([fingerprint, pool.edits]) if pool.edits else fingerprint
    spec = {"fingerprint": fingerprint, "section": text, "model": path, "edits": pool.edits}
    return (
        tokenizer,
        model,
        dataclasses.replace(pool, tokenizer=spec, dtype=tokenizer.dtype.name, input_ids=plan.study.settings.input_ids),
    )


def _train(pool: Pool, parameters: Train) -> bytes:
    from ..tokenizers.training import train

    name = store.fingerprint([FORMAT, pool.identity, parameters, *([pool.edits] if pool.edits else [])])
    path = pool.store.path("trained", f"{name}.model")
    if store.exists(path):
        return store.read_bytes(path)
    folder = pool.store.path("samples", name)
    below = share_below(parameters.sample_bytes, sum(part.text_bytes for part in pool.parts) - pool.cut_bytes)
    target = f"{PIPELINES}.tokenizer_sample:sample_part"
    tasks = [
        (numbered(folder, task["ordinal"]), task) for task in pool.tasks(folder=folder, below=below, edits=pool.edits)
    ]
    pool.run_missing("sample text", target, tasks)
    with pool.report.stage("train the tokenizer", 1, lambda: 0):
        try:
            model = train(sampled_texts(folder), parameters)
        except ValueError as error:
            raise store.UserError(f"tokenizer.train: {error}") from error
    store.write_bytes(path, model)
    return model
