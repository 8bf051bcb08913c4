"""Build: runs a plan, stage by stage. Whatever stands finished in the store is not done again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...filters import kernels
from ...tokenizers.loading import FILES
from ..engines.engine import Engine
from ..engines.runner import check_storage
from ..files import lock, store
from ..files.parts import read_all
from ..stages import earlier, evidence
from ..watch.journal import COMPILING, Journal
from . import (
    boilerplate,
    bursts,
    contaminated,
    curricula,
    diversity,
    duplicates,
    findings,
    index,
    intake,
    ladders,
    manifest,
    mixture,
    shards,
)
from .card import card_files, withdraw_card
from .pool import STAGES, Pool
from .report import PAGE, report_files
from .selection import Wanted, choose_recipes, hold_out, tail
from .vocabulary import open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..watch.progress import Reporter
    from .ladders import Ladder
    from .plan import Plan
    from .selection import Choices


def build(plan: Plan, report: Reporter, beam: Sequence[str] = (), *, shared: bool = False) -> dict[str, Any]:
    """Build a study.

    Args:
        plan: What to do.
        report: Says what is done.
        beam: Beam's own options, the runner among them; never part of a fingerprint.
        shared: Whether workers on other machines see local folders under the same names.

    Returns:
        The manifest.

    Raises:
        UserError: The study asks for what its input cannot give, or another build is running.
        BuildError: Too much of the input is unreadable, or duplicates wipe out a source.
        OSError: Something cannot be read or written; the same command goes on from there.
    """
    _check_folder(plan)
    for line in plan.notes:
        report.say(f"note: {line}")
    with lock.lock(plan.out):
        _sweep(plan)
        engine = Engine(plan.store.root, beam)
        if beam:
            check_storage(engine.runner, _places(plan), shared=shared)
            for line in engine.runner.say:
                report.say(line)
        if not kernels.are_compiled():
            report.say(COMPILING)
        journal = Journal(plan.out, plan.study.settings.name)
        engine.notes, engine.say = journal.notes, report.say
        with report.to(journal):
            made = _run(plan, report, engine)
        _sweep(plan)  # of children that died, and of those that an earlier driver's death left running at the start
        return made


def _sweep(plan: Plan) -> None:
    for folder in sorted({plan.out, plan.store.root}):
        store.sweep(folder)


def _places(plan: Plan) -> list[str]:
    """The folders and files that workers use, without what lies inside another."""
    asked = [plan.out, plan.store.root, *(path for one in plan.sources for path in one.source.paths)]
    return [path for n, path in enumerate(asked) if not any(path.startswith(f"{one}/") for one in asked[:n])]


def _check_folder(plan: Plan) -> None:
    path = store.join(plan.out, "manifest.json")
    if not store.exists(path):
        found = store.names(plan.out) - {".store"}
        if found and ".build" not in found:
            shown = ", ".join(sorted(found)[:3])
            raise store.UserError(
                f"{plan.out}: holds files that no build made ({shown}). Choose an empty or new folder with --out."
            )
        return
    try:
        name = store.read_json(path)["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(f"{path}: is no manifest of a study. Choose another folder with --out.") from error
    if name != plan.study.settings.name:
        mine = plan.study.settings.name
        raise store.UserError(f"{plan.out}: holds the study '{name}', not '{mine}'. Choose another folder with --out.")


def _run(plan: Plan, report: Reporter, engine: Engine) -> dict[str, Any]:
    settings = plan.study.settings
    summaries = intake.read_sources(plan, engine, report)
    intake.check_rejected(summaries, settings.max_rejected)
    parts = intake.list_parts(plan, summaries)
    intake.score_parts(plan, parts, engine, report)
    identity = store.fingerprint([[part.source, part.id] for part in parts])
    pool = Pool(plan.store, parts, identity, [source.name for source in plan.sources], engine, report, masks=plan.masks)
    earlier.tell_pool(plan.out, tail(pool.listing()))
    clusters = duplicates.find_clusters(plan, pool)
    counts = mixture.count_duplicates(plan, pool, clusters) if plan.signature else None
    if counts is not None and any(plan.study.recipe(name).dedup is not False for name in settings.recipes):
        mixture.check_wipe_out(plan, pool, clusters, counts)
    plan, pool, repeated_lines = boilerplate.find_repeated_lines(plan, pool, clusters)
    plan, burst_phrases = bursts.find_bursts(plan, pool, clusters)
    tokenizer, model, pool = open_tokenizer(plan, pool, clusters)
    held, excluded = hold_out(plan, pool, settings.held_out, clusters) if settings.held_out else (None, None)
    recipes = {name: plan.study.recipe(name) for name in settings.recipes}
    wanted = {
        name: Wanted(plan.study.rules(name), recipe.dedup is not False, permutation=recipe.permutation or 0)
        for name, recipe in recipes.items()
    }
    choices = choose_recipes(plan, pool, wanted, clusters, excluded)
    asked = [
        ladders.Wanted(
            name,
            *choices[name].place,
            plan.study.rungs,
            recipe.weights,
            recipe.repeat or 1,
            recipe.rehydrate,
            alpha=1.0 if recipe.alpha is None else recipe.alpha,
            rescale=bool(recipe.rescale),
            piece=settings.piece_tokens,
            fit=settings.packing == "best-fit",
            unit=settings.budget_unit,
        )
        for name, recipe in recipes.items()
    ]
    planned = ladders.plan_ladders(pool, asked, settings.sequence_length)
    fingerprint = manifest.fingerprint(plan, summaries, tokenizer.identity())
    target = store.join(plan.out, "manifest.json")
    if store.exists(target) and store.read_json(target).get("fingerprint") != fingerprint:
        _withdraw(plan.out)
    sequences = max(1, settings.shard_tokens // settings.sequence_length)
    targets = [shards.Target(planned[name], f"shards/{name}", f"documents/{name}") for name in recipes]
    if held:
        targets.append(shards.Target(held, "held_out/shards", "held_out/documents"))
    ordered = curricula.order_documents(plan, pool, planned, clusters)
    packed = shards.pack(pool, [*targets, *(one.target for one in ordered)], plan.out, sequences)
    orders = {
        one.name: curricula.describe(
            plan.out,
            one,
            shards_of,
            settings.sequence_length,
            settings.begins_every,
            fits=settings.packing == "best-fit",
        )
        for one, shards_of in zip(ordered, packed[len(targets) :], strict=True)
    }
    ledgers = _account(plan, pool, choices, planned, held)
    described = diversity.describe(plan, pool, choices, ledgers)
    made = {
        name: manifest.Made(planned[name], packed[n], ledgers[name], shards.checkpoints(planned[name], sequences))
        for n, name in enumerate(recipes)
    }
    repeating = [planned[name] for name, recipe in recipes.items() if recipe.dedup is False and plan.signature]
    in_rungs = mixture.count_in_rungs(pool, clusters, repeating, settings.sequence_length)
    if plan.signature:
        in_rungs |= {name: [0] * len(settings.budgets) for name, recipe in recipes.items() if recipe.dedup is not False}
    held_shards = packed[len(recipes)] if held else []
    _remove_others(plan.out, list(planned), held=held is not None)
    _remove_orders(plan.out, curricula.files_of(ordered, list(orders.values())))
    value = manifest.assemble(
        plan,
        fingerprint,
        summaries,
        tokenizer,
        held,
        held_shards,
        made,
        manifest.Duplicates(counts, in_rungs),
        repeated_lines,
        orders,
    )
    value["bursts"] = burst_phrases
    value["diversity"] = described
    value["contamination"] = contaminated.count_found(plan, pool)
    said = _evidence(plan, pool, fingerprint, clusters, excluded)
    said["recipes"] = {
        name: {"choices": tail(one.folder), "ladder": tail(planned[name].folder), "recipe": one.told}
        for name, one in choices.items()
    }
    evidence.tell(plan.out, said)
    _publish(plan, value, model, findings.gather(plan, pool, choices, clusters, ledgers, orders))
    return value


def _evidence(plan: Plan, pool: Pool, fingerprint: str, clusters: str, excluded: str | None) -> dict[str, Any]:
    """Where what decided is kept, but for the recipes."""
    return {
        "fingerprint": fingerprint,
        "store": plan.store.root,
        "listing": tail(pool.listing()),
        "clusters": tail(clusters),
        "excluded": excluded and "/".join(excluded.split("/")[-3:]),
        "index": tail(index.index_pool(pool)),
        "sources": list(pool.sources),
        "scores": plan.described_scores,
        "dedup": plan.dedup,
        "edits": pool.edits,
    }


def _withdraw(out: str) -> None:
    """Remove what lists files that are about to be replaced."""
    withdraw_card(out)
    for name in (PAGE, "manifest.json"):
        store.remove(store.join(out, name))


def _publish(plan: Plan, value: dict[str, Any], model: bytes, found: dict[str, Any]) -> None:
    """Write what describes the result, and last the manifest; files that would not change are left alone."""
    files = {"study.toml": plan.study.text.encode(), **card_files(plan.out, value)}
    files |= report_files(value, found)
    if model:
        files[FILES[plan.study.tokenizer.type]] = model
    mixtures = [file for name in plan.study.settings.recipes if (file := plan.study.weights_file(name))]
    files |= {file.path: file.data for file in mixtures}
    for name in sorted(store.names(store.join(plan.out, "weights"))):
        if f"weights/{name}" not in files:
            store.remove(store.join(plan.out, "weights", name))
    for name in sorted(set(FILES.values()) - set(files)):
        store.remove(store.join(plan.out, name))  # of an earlier tokenizer
    files["manifest.json"] = (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    for name, data in files.items():
        path = store.join(plan.out, name)
        if not store.exists(path) or store.read_bytes(path) != data:
            store.write_bytes(path, data)


def _account(
    plan: Plan, pool: Pool, choices: dict[str, Choices], planned: dict[str, Ladder], held: Ladder | None
) -> dict[str, list[dict[str, Any]]]:
    """Write all ledgers; return for each recipe theirs: `path`, `sha256`, `source`, `rows` and `counts`."""
    tasks = {name: _ledger_tasks(plan, pool, name, choices[name], ladder, held) for name, ladder in planned.items()}
    todo = [task for every in tasks.values() for task in every if not shards.is_marked(task, "ledger")]
    done = lambda: sum(shards.is_marked(task, "ledger") for task in todo)  # noqa: E731 a name for a stage's count
    with pool.report.stage("account", len(todo), done):
        pool.engine.each("account", f"{STAGES}.ledger:write_ledger", todo)
    out = {}
    for name, every in tasks.items():
        for kind in ("ledger", "marker"):
            folder = every[0][kind].rpartition("/")[0]
            shards.remove_left(folder, {task[kind].rpartition("/")[2] for task in every})
        markers = read_all(store.read_json, [task["marker"] for task in every])
        out[name] = [{"path": f"ledger/{name}/{n:05d}.parquet", **marker} for n, marker in enumerate(markers)]
    return out


def _ledger_tasks(  # noqa: PLR0917 what a ledger is made of
    plan: Plan, pool: Pool, name: str, choices: Choices, ladder: Ladder, held: Ladder | None
) -> list[dict[str, Any]]:
    rules = [str(rule) for rule in plan.study.rules(name)]
    identity = [ladder.identity, choices.identity, held and held.identity, rules, list(ladder.rungs), pool.edits]
    tasks = pool.tasks(
        choices=store.join(choices.folder, "choices"),
        places=store.join(ladder.folder, "places"),
        refused=store.join(ladder.folder, "refused"),
        held_out=store.join(held.folder, "places") if held else None,
        rules=rules,
        rungs=list(ladder.rungs),
        ends=ladder.ends(plan.study.settings.sequence_length),
        edits=pool.edits,
        identity=store.fingerprint(identity),
    )
    for task in tasks:
        number = f"{task['ordinal']:05d}"
        task["ledger"] = store.join(plan.out, "ledger", name, f"{number}.parquet")
        task["marker"] = store.join(plan.out, ".build", "ledger", name, f"{number}.json")
    return tasks


def _remove_others(out: str, recipes: list[str], *, held: bool) -> None:
    """Delete shards, documents and ledgers of recipes that the study no longer has."""
    for kind in ("shards", "documents", "ledger", ".build/shards", ".build/ledger"):
        for name in store.names(store.join(out, kind)) - set(recipes):
            shards.remove_left(store.join(out, kind, name), set())
    if not held:
        for kind in ("held_out/shards", "held_out/documents", ".build/held_out/shards"):
            shards.remove_left(store.join(out, kind), set())


def _remove_orders(out: str, wanted: set[str]) -> None:
    """Delete what curricula of an earlier study left."""
    for folder in ("curricula", ".build/curricula"):
        for file in store.list_files(store.join(out, folder)):
            if file.path.removeprefix(f"{out.rstrip('/')}/") not in wanted:
                store.remove(file.path)
