"""The driver's side of choosing: recipes, and the held-out set that is cut before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import marks, store
from ..stages import choose
from ..stages.ladder import draws_seed, order_seed
from ..stages.tokenizer_sample import cutoffs
from ..stages.view import FARTHEST
from . import ladders
from .plan import FORMAT
from .pool import STAGES, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..study.study import HeldOut, Rule
    from .ladders import Ladder
    from .plan import Plan
    from .pool import Pool

RESERVED_BYTES = 16
"""Bytes of text for a token of the held-out set, before the tokenizer is known: tokenizers make 2 to 6 of most text."""


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks of the pool.

    Attributes:
        rules: Its rules, in order.
        dedup: Whether one document of each cluster survives, or all do.
        permutation: Which order of the documents.
        held_out: Whether it is the held-out set: one stratum, in an order of its own that is drawn by cluster.
    """

    rules: Sequence[Rule]
    dedup: bool = True
    held_out: bool = False
    permutation: int = 0


@dataclass(frozen=True)
class Choices:
    """What a recipe chose.

    Attributes:
        folder: Where `choices/NUMBER.parquet` and `histograms/NUMBER.parquet` are.
        identity: Fingerprint of everything that they depend on.
        recipe: What workers are told of it.
    """

    folder: str
    identity: str
    recipe: dict[str, Any]

    @property
    def told(self) -> dict[str, Any]:
        """The same without paths."""
        return {key: value for key, value in self.recipe.items() if key not in {"clusters", "excluded"}}

    @property
    def place(self) -> tuple[str, str]:
        """Folder and identity."""
        return self.folder, self.identity


def choose_recipes(
    plan: Plan, pool: Pool, wanted: dict[str, Wanted], clusters: str, excluded: str | None
) -> dict[str, Choices]:
    """Choose for all recipes together, except those for which that was done before.

    Args:
        plan: The plan.
        pool: The pool.
        wanted: By the recipe's name.
        clusters: Folder of the clusters.
        excluded: Folder of what may not be trained on, None where nothing is held out.
    """
    every = {name: _prepare(plan, pool, one, clusters, excluded) for name, one in wanted.items()}
    todo = [one for one in every.values() if not marks.is_done(one.folder)]
    for one in every.values():
        if one not in todo:
            one.recipe["cuts"].update(store.read_json(store.join(one.folder, "done.json")).get("cuts", {}))
    if not todo:
        return every
    module, folders = f"{STAGES}.choose", [one.folder for one in todo]
    if any(rule["top"] is not None and rule["by"] == "tokens" for one in todo for rule in one.recipe["rules"]):
        _count_tokens(pool)
    for n in range(max(len(one.recipe["rules"]) for one in todo)):
        _rank(pool, todo, n)
    tasks = [
        task
        for number, one in enumerate(todo)
        if one.recipe["dedup"]
        for task in pool.tasks(recipe=one.recipe, number=number, ranges=pool.ranges)
    ]
    reduces = [(f"{module}:eliminate", {}), (f"{module}:write_losers", {"folders": folders})]
    pool.engine.exchange("find survivors", f"{module}:emit_rivals", reduces, tasks)
    last = [
        (numbered(store.join(one.folder, "histograms"), task["ordinal"]), task)
        for one in todo
        for task in pool.tasks(recipe=one.recipe, folder=one.folder)
    ]
    pool.run_missing("choose", f"{module}:choose_part", last)
    for one in todo:
        marks.mark(one.folder, {"cuts": one.recipe["cuts"]}, ["choices", "histograms", "losers"])
    return every


def _prepare(plan: Plan, pool: Pool, wanted: Wanted, clusters: str, excluded: str | None) -> Choices:
    recipe: dict[str, Any] = {
        "rules": plan.rules(wanted.rules),
        "cuts": {},
        "seed": plan.draw_seed if wanted.held_out else order_seed(plan.study.settings.seed, wanted.permutation),
        "draws": draws_seed(plan.study.settings.seed),
        "strata": [["source"]] if wanted.held_out else plan.strata(),
        "one_stratum": wanted.held_out,
        "dedup": wanted.dedup,
        "draw": "cluster" if wanted.held_out else "document",
    }
    if pool.cut:
        recipe["cut"] = pool.cut
    far = [(n, rule) for n, rule in enumerate(recipe["rules"]) if rule["value"] == [FARTHEST]]
    for n, rule in far:
        rule["value"] = [FARTHEST, str(n)]
        recipe["signatures"] = [plan.signature, plan.dedup["bands"] * plan.dedup["rows"]]
    by_tokens = any(rule["by"] == "tokens" for rule in recipe["rules"])
    tokens = pool.tokenizer["fingerprint"] if by_tokens else None
    depends = [FORMAT, pool.identity, recipe, tokens, tail(clusters), excluded and tail(excluded)]
    identity = store.fingerprint(depends)
    recipe |= {"identity": identity} if far else {}
    return Choices(
        pool.store.path("choices", identity), identity, {**recipe, "clusters": clusters, "excluded": excluded}
    )


def _rank(pool: Pool, todo: Sequence[Choices], n: int) -> None:
    """Find the cuts of those recipes whose rule number `n` is a `top` rule, in one exchange."""
    module, tops = f"{STAGES}.choose", [store.join(one.folder, "tops", str(n)) for one in todo]
    ranked = [
        (number, one)
        for number, one in enumerate(todo)
        if n < len(one.recipe["rules"]) and one.recipe["rules"][n]["top"] is not None
    ]
    _measure(pool, [one for one in ranked if one[1].recipe["rules"][n]["value"][0] == FARTHEST], n)
    bits = min(16, pool.ranges.bit_length())  # a probability spans some ten octaves, most documents one or two
    tasks = [
        task
        for number, one in ranked
        for task in pool.tasks(
            recipe=one.recipe, rule=n, number=number, bits=bits, tokens=pool.tokenizer.get("fingerprint")
        )
    ]
    reduces = [(f"{module}:rank_top", {"folders": tops})]
    volume = pool.documents * len(ranked) * choose.TOP.itemsize
    pool.engine.exchange("rank", f"{module}:emit_top", reduces, tasks, volume)
    for number, one in ranked:
        one.recipe["cuts"][str(n)] = choose.find_cuts(tops[number], one.recipe["rules"][n]["top"])


def _measure(pool: Pool, far: Sequence[tuple[int, Choices]], n: int) -> None:
    """Measure how far documents are from those before them, for recipes whose rule number `n` goes by that."""
    if not far:
        return
    (family, places), module = far[0][1].recipe["signatures"], f"{STAGES}.farthest"
    tasks = [
        task
        for number, one in far
        for task in pool.tasks(recipe=one.recipe, rule=n, number=number, ranges=pool.ranges, family=family)
    ]
    folders = {number: store.join(one.folder, FARTHEST, str(n)) for number, one in far}
    every = [folders.get(number, "") for number in range(max(folders) + 1)]
    reduces = [(f"{module}:measure_group", {"places": places}), (f"{module}:write_distances", {"folders": every})]
    volume = pool.documents * len(far) * (24 + 4 * places)
    with pool.report.stage("compare", len(tasks), lambda: sum(len(store.names(folder)) for folder in folders.values())):
        pool.engine.exchange("compare", f"{module}:emit_signatures", reduces, tasks, volume)


def _count_tokens(pool: Pool) -> None:
    """Encode every document of the pool: a share of tokens cannot be known otherwise."""
    mark = pool.store.path("counts", store.fingerprint([pool.identity, pool.tokenizer["fingerprint"]]), "done.json")
    if not store.exists(mark):
        tasks = pool.tasks(tokenizer=pool.tokenizer, recipes=[])
        with pool.report.stage("count tokens", len(tasks), lambda: 0):
            pool.engine.each("count tokens", f"{STAGES}.encode:encode_part", tasks, isolated=True)
        store.write_json(mark, {})


def hold_out(plan: Plan, pool: Pool, held: HeldOut, clusters: str) -> tuple[Ladder, str]:
    """Draw the held-out set, and find what may not be trained on because of it.

    Returns:
        Its ladder, of one rung; and the folder of what is excluded.
    """
    wanted = {"held_out": Wanted(held.keep, held_out=True)}
    length, threshold = plan.study.settings.sequence_length, plan.study.settings.dedup.threshold
    with pool.report.about("held-out set"):  # the recipes' stages have the same names
        choices = choose_recipes(plan, pool, wanted, clusters, None)["held_out"]
        want = ladders.Wanted("held_out", *choices.place, {"held_out": held.size[0]}, unit=held.size[1])
        ladder = ladders.plan_ladders(pool, [want], length)["held_out"]
    identity = store.fingerprint([FORMAT, ladder.identity, tail(clusters), plan.signature, threshold])
    folder, places = pool.store.path("held_out", identity), store.join(ladder.folder, "places")
    if pool.reserved:
        _check_reserved(pool, places, held)
    return ladder, _exclude(plan, pool, clusters, folder, places, "hold out")


def _exclude(plan: Plan, pool: Pool, clusters: str, folder: str, places: str, label: str) -> str:  # noqa: PLR0917
    """Find what is, or is near, the documents at some places; returns the folder of the rows of each part."""
    excluded = store.join(folder, "excluded")
    if marks.is_done(folder):
        return excluded
    common = {"family": plan.signature, "clusters": clusters, "places": places, "folder": folder}
    drawn = store.names(places)
    inside = [task for task in pool.tasks(**common) if f"{task['ordinal']:07d}.parquet" in drawn]
    pool.engine.each("gather the held-out set", f"{STAGES}.hold_out:gather_part", inside)
    threshold = plan.study.settings.dedup.threshold
    tasks = [(numbered(excluded, task["ordinal"]), task) for task in pool.tasks(threshold=threshold, **common)]
    pool.run_missing(label, f"{STAGES}.hold_out:exclude_part", tasks)
    marks.mark(folder, {}, ["excluded"])
    return excluded


def reserve(plan: Plan, pool: Pool, held: HeldOut, clusters: str) -> tuple[str, str]:
    """Find what a tokenizer may not be trained on, before it is known how many tokens the held-out documents have.

    These are the first documents of the draw, of `RESERVED_BYTES` for each token that is to be held out, though of no
    more than half of the text; and whatever is near them.

    Returns:
        Folder of the rows that are set aside, and of those that are excluded with them.

    Raises:
        UserError: Nothing can be held out.
    """
    wanted = {"held_out": Wanted(held.keep, held_out=True)}
    choices = choose_recipes(plan, pool, wanted, clusters, None)["held_out"]
    _, text_bytes = ladders.histogram(store.join(choices.folder, "histograms"), "text_bytes")
    if not text_bytes:
        raise store.UserError("held_out: no document of any source is kept. Loosen its rules.")
    half = {stratum: int(sizes.sum()) // 2 for stratum, sizes in text_bytes.items()}
    asked = RESERVED_BYTES * held.tokens if held.tokens is not None else 2 * held.size[0]
    needed = {stratum: max(1, min(asked, size)) for stratum, size in half.items()}
    threshold = plan.study.settings.dedup.threshold
    identity = [FORMAT, "reserved", choices.identity, needed, tail(clusters), plan.signature, threshold]
    folder = pool.store.path("held_out", store.fingerprint(identity))
    places = store.join(folder, "places")
    common = {"choices": store.join(choices.folder, "choices"), "cutoffs": cutoffs(needed, text_bytes)}
    tasks = [(numbered(places, task["ordinal"]), task) for task in pool.tasks(folder=folder, **common)]
    pool.run_missing("set aside", f"{STAGES}.hold_out:reserve_part", tasks)
    return places, _exclude(plan, pool, clusters, folder, places, "set aside")


def _check_reserved(pool: Pool, places: str, held: HeldOut) -> None:
    """Stop where the held-out set has documents that the tokenizer could have been trained on.

    Raises:
        UserError: It has.
    """
    for name in sorted(store.names(places)):
        drawn, kept = (store.read_table(store.join(folder, name), ["row"]) for folder in (places, pool.reserved))
        if not np.isin(drawn.column(0).to_numpy(), kept.column(0).to_numpy()).all():
            raise store.UserError(
                f"held_out.{held.size[1]}: {held.size[0]:,} take more text than was set aside before the tokenizer was "
                "trained: "
                f"{RESERVED_BYTES} bytes for each token, and half of the text at most. Hold out fewer, or train the "
                "tokenizer first (train-tokenizer) and name its file."
            )


def tail(path: str) -> str:
    """A path in the store without the store: the part that is the same wherever it stands.

    >>> tail("/data/store/clusters/0a1b")
    'clusters/0a1b'
    """
    return "/".join(path.split("/")[-2:])
