"""The driver's side of the census: what the pool is made of, and what each recipe makes of it."""

from __future__ import annotations

import collections
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..stages import census
from .plan import FORMAT
from .pool import DOCUMENTS_PER_RANGE, STAGES

if TYPE_CHECKING:
    from .plan import Plan
    from .pool import Pool
    from .selection import Choices

VERSION = 1
"""Raised whenever the same result can be described in other words."""

PLACE = ("group", "stratum", "dimension")

COUNTED = frozenset({"licence", "repository"})
"""Types of scores by whose label documents are counted, besides classifiers and strata."""

MOST = 10
"""Values that the manifest lists of a dimension, the most common ones."""


def describe(
    plan: Plan, pool: Pool, choices: dict[str, Choices], ledgers: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Count documents of the pool and of each recipe's largest rung, by stratum.

    Args:
        plan: The plan.
        pool: The pool.
        choices: Of each recipe.
        ledgers: Of each recipe, for each part its `path` and `sha256`.

    Returns:
        `pool` and `recipes.NAME`: for each stratum and dimension (host, top-level domain, year, licence, and each label
        of strata and of classifiers, `licence` and `repository` scores) `documents` that have a value, `values` that
        there are, `effective` (how many equally common values would be as diverse: the exponential of Shannon's
        entropy, Hill's number of order 1), and `most`, the most common ones with their documents and bytes; and under
        `means` those of `variety` scores.
    """
    labels = plan.labels() | {
        name: [plan.score_of[name], str(score.LABEL)]
        for name, score in plan.study.scores.items()
        if score.type in COUNTED
    }
    means = {
        f"{name}.{column}": [plan.score_of[name], column]
        for name, score in plan.study.scores.items()
        if score.type == "variety"
        for column in ("type_token", "entropy", "bigram_entropy")
    }
    hashes = [[one["sha256"] for one in ledgers[name]] for name in choices]
    names = [list(choices), hashes, [one.identity for one in choices.values()], labels, means]
    folder = pool.store.path("census", store.fingerprint([FORMAT, VERSION, pool.identity, names]))
    done = store.join(folder, "done.json")
    if not store.exists(done):
        recipes = [
            {
                "name": name,
                "choices": store.join(one.folder, "choices"),
                "ledgers": [store.join(plan.out, ledger["path"]) for ledger in ledgers[name]],
            }
            for name, one in choices.items()
        ]
        tasks = pool.tasks(
            labels=labels, means=means, recipes=recipes, ranges=max(1, pool.documents // DOCUMENTS_PER_RANGE)
        )
        module = f"{STAGES}.census"
        with pool.report.stage("describe", len(tasks), lambda: 0):
            reduces = [(f"{module}:sum_counts", {"folder": folder})]
            volume = 100 * pool.documents * (1 + len(choices))  # an address for each, at most
            pool.engine.exchange("describe", f"{module}:emit_counts", reduces, tasks, volume)
        store.write_json(done, _described(store.join(folder, "counts")))
    found = store.read_json(done)
    return {"pool": found.pop(census.POOL, {}), "recipes": {name: found.get(name, {}) for name in choices}}


def _described(folder: str) -> dict[str, Any]:
    """Groups, strata and dimensions from the sums of all ranges; what is kept of each is its most common values."""
    paths = [store.join(folder, name) for name in sorted(store.names(folder))]
    out: dict[str, Any] = {}
    sizes: dict[tuple[str, ...], collections.Counter[int]] = collections.defaultdict(collections.Counter)
    most: dict[tuple[str, ...], list[dict[str, Any]]] = collections.defaultdict(list)
    for table in map(store.read_table, paths):
        told = table.filter(pc.is_valid(table.column("value")))
        counts = told.group_by([*PLACE, "documents"], use_threads=False).aggregate([("amount", "count")])
        for row in counts.to_pylist():
            sizes[*(row[name] for name in PLACE)][row["documents"]] += row["amount_count"]
        for row in _first(told).to_pylist():
            key = tuple(row.pop(name) for name in PLACE)
            listed = [*most[key], {"value": row["value"], "documents": row["documents"], "bytes": row["amount"]}]
            most[key] = sorted(listed, key=lambda one: (-one["documents"], one["value"]))[:MOST]
        for row in table.filter(pc.is_null(table.column("value"))).to_pylist():
            means = out.setdefault(row["group"], {}).setdefault(row["stratum"], {}).setdefault("means", {})
            means[row["dimension"]] = round(row["amount"] / row["documents"] / census.MILLION, 4)
    for (group, stratum, dimension), counted in sizes.items():
        place = out.setdefault(group, {}).setdefault(stratum, {})
        place[dimension] = {
            "documents": sum(size * times for size, times in counted.items()),
            "values": counted.total(),
            "effective": _effective(counted),
            "most": most[group, stratum, dimension],
        }
    return out


def _first(table: pa.Table) -> pa.Table:
    """The rows of the most common values of each place."""
    table = table.sort_by(
        [*((name, "ascending") for name in PLACE), ("documents", "descending"), ("value", "ascending")]
    )
    whole = pc.binary_join_element_wise(*(table.column(name) for name in PLACE), "\0").combine_chunks()
    runs = pc.run_end_encode(whole).run_ends.to_numpy()
    starts = np.r_[0, runs][:-1]  # none of nothing: where only means are told
    inside = np.arange(table.num_rows) - np.repeat(starts, np.diff(np.r_[0, runs])) < MOST
    return table.filter(pa.array(inside))


def _effective(sizes: collections.Counter[int]) -> float:
    """How many equally common values are as diverse as these, given how often each count comes.

    >>> _effective(collections.Counter({5: 4})), _effective(collections.Counter({1: 1, 99: 1}))
    (4.0, 1.0576)
    """
    documents = sum(size * times for size, times in sizes.items())
    spread = math.fsum(times * size * math.log(size) for size, times in sorted(sizes.items()))
    return float(f"{math.exp(math.log(documents) - spread / documents):.5g}")
