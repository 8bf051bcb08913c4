"""The driver's side of choosing: recipes, and the held-out set that is cut before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import choose, ladders, store
from .plan import FORMAT
from .pool import PIPELINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ladders import Ladder
    from .plan import Plan
    from .pool import Pool
    from .study import HeldOut, Rule


@dataclass(frozen=True)
class Choices:
    """What a recipe chose.

    Attributes:
        folder: Where `choices/NUMBER.parquet` and `histograms/NUMBER.parquet` are.
        identity: Fingerprint of everything that they depend on.
    """

    folder: str
    identity: str


def choose_recipe(
    plan: Plan,
    pool: Pool,
    name: str,
    rules: Sequence[Rule],
    clusters: str,
    *,
    excluded: str | None,
    dedup: bool = True,
    hold_out: bool = False,
) -> Choices:
    """Choose for one recipe, unless that was done before.

    Args:
        plan: The plan.
        pool: The pool.
        name: The recipe's name, for people.
        rules: Its rules, in order.
        clusters: Folder of the clusters.
        excluded: Folder of what may not be trained on, None where nothing is held out.
        dedup: Whether one document of each cluster survives, or all do.
        hold_out: Whether this is the held-out set: one stratum, in an order of its own that is drawn by cluster.
    """
    recipe: dict[str, Any] = {
        "rules": plan.rules(rules),
        "cuts": {},
        "seed": plan.draw_seed if hold_out else plan.study.settings.seed,
        "strata": [["source"]] if hold_out else plan.strata(),
        "one_stratum": hold_out,
        "dedup": dedup,
        "draw": "cluster" if hold_out else "document",
    }
    by_tokens = any(rule["top"] is not None and rule["by"] == "tokens" for rule in recipe["rules"])
    tokens = pool.tokenizer["fingerprint"] if by_tokens else None
    depends = [FORMAT, pool.identity, recipe, tokens, tail(clusters), excluded and tail(excluded)]
    identity = store.fingerprint(depends)
    folder = pool.store.path("choices", identity)
    recipe |= {"clusters": clusters, "excluded": excluded}
    if store.exists(store.join(folder, "done.json")):
        return Choices(folder, identity)
    if by_tokens:
        _count_tokens(pool)
    module = f"{PIPELINES}.choose"
    for n, rule in enumerate(recipe["rules"]):
        if rule["top"] is not None:
            tops = store.join(folder, "tops", str(n))
            tasks = pool.tasks(recipe=recipe, rule=n, tokens=tokens)
            rank = (f"{module}:rank_top", {"folder": tops})
            pool.engine.exchange(f"rank {name} by {rule['text']}", f"{module}:emit_top", [rank], tasks)
            recipe["cuts"][str(n)] = choose.find_cut(tops, rule["top"])
    if dedup:
        reduces = [(f"{module}:eliminate", {}), (f"{module}:write_losers", {"folder": folder})]
        tasks = pool.tasks(recipe=recipe, ranges=pool.ranges)
        pool.engine.exchange(f"find survivors of {name}", f"{module}:emit_rivals", reduces, tasks)
    done_in = store.join(folder, "histograms")
    pool.each_part(f"choose {name}", f"{module}:choose_part", done_in, recipe=recipe, folder=folder)
    store.write_json(store.join(folder, "done.json"), {"recipe": name})
    return Choices(folder, identity)


def _count_tokens(pool: Pool) -> None:
    """Encode every document of the pool: a share of tokens cannot be known otherwise."""
    mark = pool.store.path("counts", store.fingerprint([pool.identity, pool.tokenizer["fingerprint"]]), "done.json")
    if store.exists(mark):
        return
    tasks = pool.tasks(choices=None, tokenizer=pool.tokenizer, cutoffs={}, counts=None)
    with pool.report.stage("count tokens", len(tasks), lambda: 0):
        pool.engine.each("count tokens", f"{PIPELINES}.encode:encode_part", tasks, isolated=True)
    store.write_json(mark, {})


def hold_out(plan: Plan, pool: Pool, held: HeldOut, clusters: str) -> tuple[Ladder, str]:
    """Draw the held-out set, and find what may not be trained on because of it.

    Returns:
        Its ladder, of one rung; and the folder of what is excluded.
    """
    choices = choose_recipe(plan, pool, "held_out", held.keep, clusters, excluded=None, hold_out=True)
    length, threshold = plan.study.settings.sequence_length, plan.study.settings.dedup.threshold
    budgets = {"held_out": held.tokens}
    ladder = ladders.plan_ladder(pool, "held_out", choices.folder, choices.identity, budgets, length)
    identity = store.fingerprint([FORMAT, ladder.identity, tail(clusters), plan.signature, threshold])
    folder = pool.store.path("held_out", identity)
    excluded = store.join(folder, "excluded")
    if store.exists(store.join(folder, "done.json")):
        return ladder, excluded
    places = store.join(ladder.folder, "places")
    common: dict[str, Any] = {"family": plan.signature, "clusters": clusters, "places": places, "folder": folder}
    drawn = store.names(places)
    inside = [task for task in pool.tasks(**common) if f"{task['ordinal']:07d}.parquet" in drawn]
    pool.engine.each("gather the held-out set", f"{PIPELINES}.hold_out:gather_part", inside)
    pool.each_part("hold out", f"{PIPELINES}.hold_out:exclude_part", excluded, threshold=threshold, **common)
    store.write_json(store.join(folder, "done.json"), {})
    return ladder, excluded


def tail(path: str) -> str:
    """A path in the store without the store: the part that is the same wherever it stands.

    >>> tail("/data/store/clusters/0a1b")
    'clusters/0a1b'
    """
    return "/".join(path.split("/")[-2:])
