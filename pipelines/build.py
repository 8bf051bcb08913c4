"""Build: runs a plan, stage by stage. Whatever stands finished in the store is not done again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import filelock

from ..data_cards.card import render_card
from . import duplicates, intake, ladders, manifest, store
from .engine import Engine
from .parts import read_all
from .pool import PIPELINES, Pool
from .selection import choose_recipe, hold_out, tail
from .vocabulary import open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladders import Ladder
    from .plan import Plan
    from .progress import Reporter
    from .selection import Choices


def build(plan: Plan, report: Reporter, beam: Sequence[str] = ()) -> dict[str, Any]:
    """Build a study.

    Args:
        plan: What to do.
        report: Says what is done.
        beam: Beam's own options, the runner among them; never part of a fingerprint.

    Returns:
        The manifest.

    Raises:
        UserError: The study asks for what its input cannot give, or another build is running.
        BuildError: Too much of the input is unreadable, or duplicates wipe out a source.
        OSError: Something cannot be read or written; the same command goes on from there.
    """
    _check_folder(plan)
    with _Lock(plan.out):
        for folder in sorted({plan.out, plan.store.root}):
            store.sweep(folder)
        return _run(plan, report, Engine(plan.store.root, beam))


def _check_folder(plan: Plan) -> None:
    path = store.join(plan.out, "manifest.json")
    if not store.exists(path):
        return
    try:
        name = store.read_json(path)["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(f"{path}: is no manifest of a study. Choose another folder with --out.") from error
    if name != plan.study.settings.name:
        mine = plan.study.settings.name
        raise store.UserError(f"{plan.out}: holds the study '{name}', not '{mine}'. Choose another folder with --out.")


class _Lock:
    """One build at a time in a folder. The lock ends with its process, however that ends."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._lock: filelock.BaseFileLock | None = None

    def __enter__(self) -> None:
        if store.is_remote(self._out):
            return  # an object store has no locks: two builds write the same bytes under the same names
        path = store.join(self._out, ".build", "README")
        if not store.exists(path):
            store.write_bytes(path, b"Marks of finished files. Without them, shards and ledgers are written again.\n")
        self._lock = filelock.FileLock(store.join(self._out, ".build", "lock"), timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout as error:
            raise store.UserError(
                f"{self._out}: another build is running in this folder. Wait for it to end."
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


def _run(plan: Plan, report: Reporter, engine: Engine) -> dict[str, Any]:
    settings = plan.study.settings
    summaries = intake.read_sources(plan, engine, report)
    intake.check_rejected(summaries, settings.max_rejected)
    parts = intake.list_parts(plan, summaries)
    intake.score_parts(plan, parts, engine, report)
    identity = store.fingerprint([[part.source, part.id] for part in parts])
    pool = Pool(plan.store, parts, identity, [source.name for source in plan.sources], engine, report)
    clusters = duplicates.find_clusters(pool, settings.dedup, plan.signature)
    duplicates.check_wipe_out(pool, clusters, settings.dedup.on_wipe_out)
    tokenizer, model, pool = open_tokenizer(plan, pool)
    held, excluded = hold_out(plan, pool, settings.held_out, clusters) if settings.held_out else (None, None)
    planned: dict[str, tuple[Choices, Ladder]] = {}
    for name in settings.recipes:
        recipe = plan.study.recipe(name)
        dedup = recipe.dedup is not False
        choices = choose_recipe(plan, pool, name, recipe.keep, clusters, excluded=excluded, dedup=dedup)
        ladder = ladders.plan_ladder(
            pool,
            name,
            choices.folder,
            choices.identity,
            plan.study.rungs,
            settings.sequence_length,
            weights=recipe.weights,
            repeat=recipe.repeat or 1,
        )
        planned[name] = (choices, ladder)
    fingerprint = manifest.fingerprint(plan, summaries, tokenizer.identity())
    target = store.join(plan.out, "manifest.json")
    if store.exists(target) and store.read_json(target).get("fingerprint") != fingerprint:
        store.remove(target)  # what it lists is about to be replaced
    sequences = max(1, settings.shard_tokens // settings.sequence_length)
    held_shards = ladders.pack(pool, held, plan.out, "held_out/shards", "held_out/documents", sequences) if held else []
    made = {}
    for name, (choices, ladder) in planned.items():
        shards = ladders.pack(pool, ladder, plan.out, f"shards/{name}", f"documents/{name}", sequences)
        made[name] = manifest.Made(ladder, shards, _account(plan, pool, name, choices, ladder, held))
    _remove_others(plan.out, list(planned), held=held is not None)
    value = manifest.assemble(plan, fingerprint, summaries, tokenizer, held, held_shards, made)
    _publish(plan, value, model)
    return value


def _publish(plan: Plan, value: dict[str, Any], model: bytes) -> None:
    """Write what describes the result, and last the manifest; files that would not change are left alone."""
    files = {"study.toml": plan.study.text.encode(), "README.md": render_card(value).encode()}
    if model:
        files["tokenizer.model"] = model
    files["manifest.json"] = (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    for name, data in files.items():
        path = store.join(plan.out, name)
        if not store.exists(path) or store.read_bytes(path) != data:
            store.write_bytes(path, data)


def _account(  # noqa: PLR0917 what a ledger is made of
    plan: Plan, pool: Pool, name: str, choices: Choices, ladder: Ladder, held: Ladder | None
) -> list[dict[str, Any]]:
    """Write a recipe's ledgers; return for each its `path`, `sha256`, `source`, `rows` and `counts`."""
    rules = [str(rule) for rule in plan.study.recipe(name).keep]
    identity = store.fingerprint(
        [ladder.identity, tail(choices.folder), held and held.identity, rules, list(ladder.rungs)]
    )
    folder, marks = store.join(plan.out, "ledger", name), store.join(plan.out, ".build", "ledger", name)
    tasks = pool.tasks(
        choices=store.join(choices.folder, "choices"),
        places=store.join(ladder.folder, "places"),
        held_out=store.join(held.folder, "places") if held else None,
        rules=rules,
        rungs=list(ladder.rungs),
        ends=ladder.ends(plan.study.settings.sequence_length),
        identity=identity,
    )
    for task in tasks:
        task["ledger"] = store.join(folder, f"{task['ordinal']:05d}.parquet")
        task["marker"] = store.join(marks, f"{task['ordinal']:05d}.json")
    todo = [task for task in tasks if not ladders.is_marked(task, "ledger")]
    with pool.report.stage(f"account for {name}", len(todo), lambda: 0):
        pool.engine.each(f"account for {name}", f"{PIPELINES}.ledger:write_ledger", todo)
    ladders.remove_left(folder, {f"{n:05d}.parquet" for n in range(len(tasks))})
    ladders.remove_left(marks, {f"{n:05d}.json" for n in range(len(tasks))})
    markers = read_all(store.read_json, [task["marker"] for task in tasks])
    return [{"path": f"ledger/{name}/{n:05d}.parquet", **marker} for n, marker in enumerate(markers)]


def _remove_others(out: str, recipes: list[str], *, held: bool) -> None:
    """Delete shards, documents and ledgers of recipes that the study no longer has."""
    for kind in ("shards", "documents", "ledger", ".build/shards", ".build/ledger"):
        for name in store.names(store.join(out, kind)) - set(recipes):
            ladders.remove_left(store.join(out, kind, name), set())
    if not held:
        for kind in ("held_out/shards", "held_out/documents", ".build/held_out/shards"):
            ladders.remove_left(store.join(out, kind), set())
