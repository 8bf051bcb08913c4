"""The driver's side of the tokenizer: open it, or train it on the study's own text first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from ...tokenizers.fast_path import PROBES
from ...tokenizers.loading import load_bytes
from ...tokenizers.sections import TokenizerSection
from ..files import store
from ..stages.tokenizer_sample import cutoffs, quotas, sampled_texts
from ..study.weights import means
from . import ladders
from .drafts import factor
from .plan import FORMAT
from .pool import STAGES, numbered
from .selection import Wanted, choose_recipes, reserve
from .shares import stratum_weights, tempered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...tokenizers.protocol import Tokenizer
    from ...tokenizers.training import Train
    from ..study.study import Recipe
    from .plan import Plan
    from .pool import Pool
    from .selection import Choices


FAST = {"fastokens": "Hugging Face's tokenizers", "gigatoken": "SentencePiece"}
"""Faster engines, and what they are compared with when a tokenizer is opened."""


def open_tokenizer(plan: Plan, pool: Pool, clusters: str) -> tuple[Tokenizer, bytes, Pool]:
    """The study's tokenizer, its model (empty where there is none), and the pool with what workers need of it.

    Args:
        plan: The plan.
        pool: The pool.
        clusters: Folder of the clusters.

    Raises:
        UserError: The text is too little for the vocabulary that is asked for.
    """
    section, model = plan.study.tokenizer, plan.tokenizer_model
    parameters = getattr(section, "train", None)
    if parameters is not None:
        model, pool = _train(plan, pool, clusters, parameters)
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
    spec: dict[str, Any] = {"fingerprint": fingerprint, "section": text, "model": path, "edits": pool.edits}
    spec["end"] = tokenizer.end_of_document
    return (
        tokenizer,
        model,
        dataclasses.replace(pool, tokenizer=spec, dtype=tokenizer.dtype.name, input_ids=plan.study.settings.input_ids),
    )


def _train(plan: Plan, pool: Pool, clusters: str, parameters: Train) -> tuple[bytes, Pool]:
    """Train on the text of one recipe, its strata in the shares of its weights, without what may be held out."""
    from ...tokenizers.training import train

    name, held, excluded = plan.study.trained_on, plan.study.settings.held_out, None
    if held is not None:
        reserved, excluded = reserve(plan, pool, held, clusters)
        pool = dataclasses.replace(pool, reserved=reserved)
    recipe = plan.study.recipe(name)
    wanted = Wanted(plan.study.rules(name), recipe.dedup is not False, permutation=recipe.permutation or 0)
    choices = choose_recipes(plan, pool, {name: wanted}, clusters, excluded)[name]
    needed, text_bytes = _quotas(choices, recipe, max(plan.study.settings.budgets), parameters.sample_bytes)
    identity = store.fingerprint([FORMAT, choices.identity, parameters, needed, *([pool.edits] if pool.edits else [])])
    path = pool.store.path("trained", f"{identity}.model")
    if store.exists(path):
        return store.read_bytes(path), pool
    folder = pool.store.path("samples", identity)
    common = {"choices": store.join(choices.folder, "choices"), "cutoffs": cutoffs(needed, text_bytes)}
    tasks = [
        (numbered(folder, task["ordinal"]), task) for task in pool.tasks(folder=folder, edits=pool.edits, **common)
    ]
    pool.run_missing("sample text", f"{STAGES}.tokenizer_sample:sample_part", tasks)
    with pool.report.stage("train the tokenizer", 1, lambda: 0):
        try:
            model = train(sampled_texts(folder, needed), parameters)
        except ValueError as error:
            raise store.UserError(f"tokenizer.train: {name}: {error}") from error
    store.write_bytes(path, model)
    return model, pool


def _quotas(
    choices: Choices, recipe: Recipe, largest: int, sample: int
) -> tuple[dict[str, int], dict[str, NDArray[np.int64]]]:
    """Bytes of each stratum in the sample, and the bytes that there are by bucket of priority."""
    _, text_bytes = ladders.histogram(store.join(choices.folder, "histograms"), "text_bytes")
    kept = {name: int(sizes.sum()) * factor(recipe.rehydrate, name) for name, sizes in text_bytes.items()}
    shares, _ = stratum_weights(means(recipe.weights, largest), kept)
    if recipe.weights is None and recipe.alpha is not None:
        shares = tempered(shares, recipe.alpha)
    if not shares:
        raise store.UserError("tokenizer.train: its recipe keeps no document. Loosen its rules.")
    return quotas(sample, shares), text_bytes
