"""The driver's side of a ladder: how many sequences of each stratum, how much to encode, where shards are cut.

What it comes to for ten billion documents, all of one stratum and all within the budget: the driver holds one histogram
of 4,096 buckets for each stratum, 64 KB. The exchange moves 48 bytes a document to the groups, 480 GB, and 22 bytes
back to the parts, 220 GB. A group is a bucket at least: 4,096 groups of 2.4 million documents, of which the largest is
120 MB as it comes and some four times that while it is sorted. A ladder of a hundredth of the pool moves some two
hundredths of that, because documents beyond its needs are neither encoded nor sent. Budgets in bytes or documents take
a second exchange to the groups, of 56 or 48 bytes a document, before it is known how many sequences they come to, and
with pieces or best-fit packing a third, of 68 or 60 bytes a piece.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import marks, store
from ..stages.ladder import BUCKETS
from .drafts import Draft, Ladder, Wanted, histogram, make_draft
from .pool import STAGES, numbered
from .reach import ReachingDraft, make_reaching_draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..stages.ladder import Group
    from .pool import Pool

__all__ = ["Draft", "Ladder", "Wanted", "histogram", "plan_ladders"]


def plan_ladders(pool: Pool, wanted: Sequence[Wanted], length: int) -> dict[str, Ladder]:
    """Encode as much as is needed, place every document, and say what each rung holds; for all recipes together.

    Args:
        pool: What all stages share.
        wanted: One for each recipe.
        length: Tokens in a sequence.

    Returns:
        Ladders by the recipes' names.

    Raises:
        UserError: A stratum is empty or runs short; all of them are named with what is missing.
    """
    drafts = [
        make_draft(pool, one, length) if one.unit == "tokens" else make_reaching_draft(pool, one, length)
        for one in wanted
    ]
    todo = [draft for draft in drafts if not marks.is_done(draft.ladder.folder)]
    short = todo
    while short:
        with pool.report.about("further") if short is not todo else contextlib.nullcontext():
            _encode(pool, short)
        short = [draft for draft in short if draft.falls_short() or draft.rescale(length)]
    _fit(pool, [draft for draft in todo if draft.wanted.fit and draft.wanted.unit == "tokens"])
    mistakes = [line for draft in todo for line in draft.shortage()]
    if mistakes:
        raise store.UserError("\n".join(mistakes))
    for draft in todo:
        available, strata = draft.available, draft.ladder.strata
        unpadded = [int(draft.tokens[stratum].sum()) for stratum in strata] if draft.fitted else []
        draft.ladder = dataclasses.replace(draft.ladder, available=[available[s] for s in strata], unpadded=unpadded)
    _reach(pool, [draft for draft in todo if isinstance(draft, ReachingDraft)])
    _order(pool, "place", todo, "write_places")
    for draft in todo:
        if isinstance(draft, ReachingDraft):
            draft.measure()
        known = ("available", "weights", "counts", "rescaled", *(["unpadded"] if draft.ladder.unpadded else []))
        told = {key: getattr(draft.ladder, key) for key in known}
        if isinstance(draft, ReachingDraft):
            told |= {"course": draft.ladder.course, "reached": draft.ladder.reached}
            told["sequences"] = list(draft.ladder.rungs.values())  # a file's keys are sorted, rungs are not
        marks.mark(draft.ladder.folder, told, ["order", "places", "refused"])
    return {draft.wanted.name: _done(draft.ladder) for draft in drafts}


def _done(ladder: Ladder) -> Ladder:
    told = store.read_json(store.join(ladder.folder, "done.json"))
    told.pop("holds", None)
    if "sequences" in told:
        told["rungs"] = dict(zip(ladder.rungs, told.pop("sequences"), strict=True))
    return dataclasses.replace(ladder, **told)


def _counted_by(draft: Draft) -> list[object]:
    """What counts depend on beside the documents: how these are cut, and whether their bytes are counted."""
    return ([draft.piece] if draft.piece else []) + (["bytes"] if draft.in_bytes else [])


def _encode(pool: Pool, drafts: Sequence[Draft]) -> None:
    """Encode up to the cutoffs of all drafts, each document once, and count what that gave."""
    depends = [[draft.wanted.identity, draft.cutoffs, *_counted_by(draft)] for draft in drafts]
    folder = pool.store.path("counts", store.fingerprint([pool.tokenizer["fingerprint"], depends]))
    recipes = [
        {
            "choices": store.join(draft.wanted.choices, "choices"),
            "cutoffs": draft.cutoffs,
            "counts": store.join(folder, str(n)),
            "piece": draft.piece,
            "bytes": draft.in_bytes,
        }
        for n, draft in enumerate(drafts)
    ]
    last = store.join(folder, str(len(drafts) - 1))  # a task writes there after all others
    listed = [(numbered(last, task["ordinal"]), task) for task in pool.tasks(tokenizer=pool.tokenizer, recipes=recipes)]
    pool.run_missing("encode", f"{STAGES}.encode:encode_part", listed, isolated=True)
    empty = np.zeros(BUCKETS, np.int64)
    for draft, recipe in zip(drafts, recipes, strict=True):
        documents, tokens = histogram(str(recipe["counts"]), "tokens")
        draft.documents = {stratum: documents.get(stratum, empty) for stratum in draft.text_bytes}
        draft.tokens = {stratum: tokens.get(stratum, empty) for stratum in draft.text_bytes}
        if isinstance(draft, ReachingDraft):
            found = histogram(str(recipe["counts"]), "text_bytes")[1] if draft.in_bytes else documents
            draft.measured = {stratum: found.get(stratum, empty) for stratum in draft.text_bytes}
        draft.complete = {stratum: bucket == BUCKETS for stratum, bucket in draft.cutoffs.items()}


def _fit(pool: Pool, drafts: Sequence[Draft]) -> None:
    """Count the sequences that each group of documents makes: where a group begins depends on all groups before it."""
    if not drafts:
        return
    tasks, plans, volume = [], [], 0
    for number, draft in enumerate(drafts):
        plans.append(store.join(draft.ladder.folder, "fit.json"))
        draft.fitted = draft.groups()
        store.write_json(plans[-1], draft.plan(draft.fitted, pool))
        tasks += _tasks(pool, draft, plans[-1], number)
        volume += draft.volume
    module, folders = f"{STAGES}.ladder", [draft.ladder.folder for draft in drafts]
    done = lambda: sum(len(store.names(store.join(folder, "fitted"))) for folder in folders)  # noqa: E731
    with pool.report.stage("fit", sum(len(draft.fitted) for draft in drafts), done):
        reduces = [(f"{module}:count_fitted", {"folders": folders, "plans": plans})]
        pool.engine.exchange("fit", f"{module}:emit_order", reduces, tasks, volume)
    for draft in drafts:
        folder, bases = store.join(draft.ladder.folder, "fitted"), [0] * len(draft.ladder.strata)
        for n, group in enumerate(draft.fitted):
            tokens = draft.count(n, store.read_json(store.join(folder, f"{n:05d}.json")))
            draft.fitted[n] = dataclasses.replace(group, base=bases[group.stratum], tokens=tokens)
            bases[group.stratum] += tokens


def _tasks(pool: Pool, draft: Draft, plan: str, number: int) -> list[dict[str, Any]]:
    choices = store.join(draft.wanted.choices, "choices")
    more = {"edits": pool.edits} if draft.in_bytes else {}
    return pool.tasks(choices=choices, tokenizer=pool.tokenizer["fingerprint"], plan=plan, number=number, **more)


def _reach(pool: Pool, drafts: Sequence[ReachingDraft]) -> None:
    """Order more documents than are needed, to see which of them reach the budgets in bytes and documents."""
    folders = [draft.ladder.folder for draft in drafts]
    for draft in drafts:
        draft.ladder = dataclasses.replace(draft.ladder, folder=store.join(draft.ladder.folder, "reach"))
    listed = _order(pool, "reach", drafts) if drafts else []
    for draft, folder, groups in zip(drafts, folders, listed, strict=True):
        draft.find(groups)
        draft.ladder = dataclasses.replace(draft.ladder, folder=folder)
    _fit(pool, [draft for draft in drafts if draft.cuts])
    for draft in drafts:
        draft.finish()


def _order(pool: Pool, label: str, drafts: Sequence[Draft], *then: str) -> list[list[Group]]:
    """Order the documents of all drafts in one exchange, and write each ladder's plan.

    Args:
        pool: The pool.
        label: What the stage is called.
        drafts: The drafts.
        then: What is done with the places in the order.

    Returns:
        For each draft its groups.
    """
    tasks, volume, every = [], 0, []
    for number, draft in enumerate(drafts):
        volume += draft.volume
        every.append(draft.fitted or draft.groups())
        path = store.join(draft.ladder.folder, "plan.json")
        store.write_json(path, draft.plan(every[-1], pool))
        tasks += _tasks(pool, draft, path, number)
    folders = {"folders": [draft.ladder.folder for draft in drafts], "pieces": [draft.cuts for draft in drafts]}
    module = f"{STAGES}.ladder"
    reduces = [(f"{module}:{step}", folders) for step in ("order_group", *then)]
    done = lambda: sum(len(store.names(store.join(draft.ladder.folder, "order"))) for draft in drafts)  # noqa: E731
    with pool.report.stage(label, sum(map(len, every)), done):
        pool.engine.exchange(label, f"{module}:emit_order", reduces, tasks, volume)
    return every
