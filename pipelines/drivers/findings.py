"""The driver's side of the survey: the numbers behind the report, of all parts together."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..files.parts import read_all
from ..stages import bins, choose, survey
from .plan import FORMAT
from .pool import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..study.study import Rule
    from .plan import Plan
    from .pool import Pool
    from .selection import Choices

VERSION = 1
"""Raised whenever the same result can be described by other numbers."""

SAMPLED_PARTS = 16
"""Parts of a source that give samples, evenly spread: each is a file of text to read, 128 MiB at most."""

MOST_SAMPLES = 600
"""Records shown in all; with 500 characters each they are at most 1.5 MB of a report."""

MOST_LABELS = 20
"""Labels shown of a score; the rest are one row."""

SLICES = 48
"""Slices of a curriculum's stream of which the difficulty is told."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def gather(  # noqa: PLR0917 everything that a report tells
    plan: Plan,
    pool: Pool,
    choices: dict[str, Choices],
    clusters: str,
    ledgers: dict[str, list[dict[str, Any]]],
    curricula: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Everything that the report shows and the manifest does not tell.

    Args:
        plan: The plan.
        pool: The pool.
        choices: Of each recipe.
        clusters: Folder of the clusters.
        ledgers: Of each recipe, for each part its `path` and `sha256`.
        curricula: What the manifest tells of each.

    Returns:
        `values` and `labels` (of each score's columns, documents by source and kept documents by recipe), `tokens` (of
        kept documents), `kept` (documents, bytes of text and tokens by recipe), `rules` (by recipe), `overlaps`,
        `clusters`, `samples`, `sampled_parts` (how many, of how many) and `curricula`.
    """
    every = {name: plan.study.rules(name) for name in choices}
    values, labels = _columns(plan, every)
    recipes: list[dict[str, Any]] = [
        {"name": name, "recipe": {**one.recipe, "cuts": _cuts(one)}, "ledger": ledgers[name]}
        for name, one in choices.items()
    ]
    hashes = [[one["sha256"] for one in ledgers[name]] for name in choices]
    known = [FORMAT, VERSION, pool.identity, hashes, [one.identity for one in choices.values()]]
    identity = store.fingerprint([*known, clusters.rpartition("/")[2], values, labels, pool.edits])
    folder = pool.store.path("surveys", identity)
    sampled = _sampled([part.source for part in pool.parts])
    tasks = pool.tasks(clusters=clusters, values=values, labels=labels, edits=pool.edits)
    named = []
    for n, task in enumerate(tasks):
        task["recipes"] = [{**one, "ledger": store.join(plan.out, one["ledger"][n]["path"])} for one in recipes]
        task["samples"] = n in sampled
        task["path"] = store.join(folder, f"{n:07d}.json")
        named.append((task["path"], task))
    pool.run_missing("survey", f"{STAGES}.survey:survey_part", named)
    found = [
        (part.source, value)
        for part, value in zip(pool.parts, read_all(store.read_json, [path for path, _ in named]), strict=True)
    ]
    return {
        "values": {address: _values(found, address) for address in values},
        "labels": {address: _labels(found, address) for address in labels},
        "tokens": bins.chart(_summed([one["tokens"] for _, one in found])),
        "rules": {
            name: [_rule(found, name, n, rule, recipes) for n, rule in enumerate(rules)]
            for name, rules in every.items()
        },
        "kept": {name: np.sum([one["kept"][name] for _, one in found], axis=0).tolist() for name in every},
        "overlaps": _overlaps([one["overlaps"] for _, one in found]),
        "clusters": _clusters([one["clusters"] for _, one in found]),
        "samples": _samples([one["samples"] for _, one in found]),
        "sampled_parts": [len(sampled), len(pool.parts)],
        "curricula": {name: _difficulty(plan.out, one) for name, one in curricula.items()},
    }


def _columns(plan: Plan, rules: Mapping[str, Sequence[Rule]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Places of the columns of numbers and of labels: each score's own, and those that rules and curricula name."""
    values, labels = {"text_bytes": ["text_bytes"]}, dict[str, list[str]]()
    for name, score in plan.study.scores.items():
        if score.VALUE is not None:
            values[name] = [plan.score_of[name], score.VALUE]
        if score.LABEL is not None:
            labels[name] = [plan.score_of[name], score.LABEL]
    asked = {rule.score for every in rules.values() for rule in every}
    asked |= {one.sort for one in plan.study.settings.curricula.values() if one.sort}
    for address in sorted(asked):
        name, _, column = address.partition(".")
        if column and name in plan.score_of:
            kind = plan.study.scores[name].columns.field(column).type
            target = labels if pa.types.is_string(kind) or pa.types.is_boolean(kind) else values
            target[address] = [plan.score_of[name], column]
    return values, labels


def _cuts(choices: Choices) -> dict[str, Any]:
    """Where the `top` rules of a recipe cut, which an earlier build may have found."""
    found = dict(choices.recipe["cuts"])
    for n, rule in enumerate(choices.recipe["rules"]):
        if rule["top"] is not None and str(n) not in found:
            found[str(n)] = choose.find_cuts(store.join(choices.folder, "tops", str(n)), rule["top"])
    return found


def _sampled(sources: list[str]) -> set[int]:
    """Numbers of the parts that give samples."""
    out = set[int]()
    for source in set(sources):
        mine = [n for n, one in enumerate(sources) if one == source]
        out.update(mine[at * len(mine) // SAMPLED_PARTS] for at in range(SAMPLED_PARTS))
    return out


Found = list[tuple[str, dict[str, Any]]]


def _grouped(found: Found, kind: str, address: str) -> list[dict[str, Any]]:
    """What parts tell of a column, their documents under the name of their source."""
    out = []
    for source, one in found:
        groups = dict(one[kind][address])
        out.append({f"source {source}": groups.pop("source"), **groups})
    return out


def _summed(tables: list[dict[str, list[list[int]]]]) -> dict[str, dict[int, int]]:
    out: dict[str, dict[int, int]] = {}
    for table in tables:
        for group, rows in table.items():
            mine = out.setdefault(group, {})
            for number, count in rows:
                mine[number] = mine.get(number, 0) + count
    return out


def _values(found: Found, address: str) -> dict[str, Any] | None:
    return bins.chart(_summed(_grouped(found, "values", address)))


def _labels(found: Found, address: str) -> dict[str, dict[str, int]]:
    """The most common labels in each group; all others are under the empty name."""
    counts: dict[str, collections.Counter[str]] = {}
    for one in _grouped(found, "labels", address):
        for group, labels in one.items():
            counts.setdefault(group, collections.Counter()).update(labels)
    pool = collections.Counter[str]()
    for group, counted in counts.items():
        pool.update(counted if group.startswith("source ") else {})
    most = sorted(pool, key=lambda label: (-pool[label], label))[:MOST_LABELS]
    out = {}
    for group, counted in counts.items():
        out[group] = {label: counted[label] for label in most}
        rest = counted.total() - sum(out[group].values())
        out[group] |= {"": rest} if rest else {}
    return out


def _rule(found: Found, name: str, n: int, rule: Rule, recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """What a rule sees: its bounds, documents and bytes by value in segments, and by label."""
    ones = [one["rules"][name][n] for _, one in found]
    sums: dict[tuple[int, int], list[int]] = {}
    labels: dict[str, list[int]] = {}
    for one in ones:
        for number, passes, *counts in one["bins"]:
            mine = sums.get((number, passes), [0] * 4)
            sums[number, passes] = [a + b for a, b in zip(mine, counts, strict=True)]
        for label, counts in one["labels"].items():
            labels[label] = [a + b for a, b in zip(labels.get(label, [0] * 4), counts, strict=True)]
    least, most, cuts = rule.min, rule.max, list[float]()
    if rule.top is not None:
        recipe = next(one["recipe"] for one in recipes if one["name"] == name)
        cuts = sorted(bins.value_of(cut[0]) for cut in recipe["cuts"][str(n)].values())
        least = cuts[0] if rule.within is None and cuts else None
    allowed = [rule.is_] if rule.is_ is not None else list(rule.in_ or ())
    listed = sorted(labels, key=lambda label: (label not in allowed, -labels[label][0], label))
    return {
        "text": str(rule),
        "score": rule.score,
        "top": rule.top,
        "near": rule.near,
        "min": least,
        "max": most,
        "cuts": cuts,
        "segments": bins.segments(sums, least, most),
        "allowed": allowed,
        "labels": [[label, *labels[label]] for label in listed[: max(MOST_LABELS, len(allowed))]],
    }


def _overlaps(every: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, list[list[Any]]]]:
    sums: dict[str, dict[str, dict[tuple[str, str], list[int]]]] = {}
    for one in every:
        for name, others in one.items():
            for other, rows in others.items():
                mine = sums.setdefault(name, {}).setdefault(other, {})
                for outcome, reason, documents, tokens in rows:
                    before = mine.get((outcome, reason), [0, 0])
                    mine[outcome, reason] = [before[0] + documents, before[1] + tokens]
    return {
        name: {
            other: [[*why, *counts] for why, counts in sorted(rows.items(), key=lambda item: (-item[1][1], item[0]))]
            for other, rows in others.items()
        }
        for name, others in sums.items()
    }


def _clusters(every: list[dict[str, Any]]) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    largest: dict[str, dict[str, Any]] = {}
    for one in every:
        for name, documents in one["sizes"].items():
            sizes[name] = sizes.get(name, 0) + documents
        for cluster, told in one["largest"].items():
            mine = largest.setdefault(cluster, {"size": told["size"], "members": []})
            members = sorted([*mine["members"], *told["members"]], key=lambda member: member[0])
            mine["members"] = members[: survey.MEMBERS]  # its leader first
    most = sorted(largest.items(), key=lambda item: (-item[1]["size"], item[0]))[: survey.CLUSTERS]
    return {"sizes": sizes, "largest": [{"leader": name, **one} for name, one in most]}


def _samples(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each reason of each recipe the records of the least hash; fewer of each where there are many reasons."""
    groups: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
    for number, one in enumerate(every):
        for name, outcome, reason, rows in one.get("groups", ()):
            ranked = groups.setdefault((name, outcome, reason), [])
            ranked += [(order, number, row) for order, row in rows]
    ranked_groups = [sorted(rows)[: survey.SAMPLES] for _, rows in sorted(groups.items())]
    taken: dict[tuple[int, int], None] = {}
    for turn in range(survey.SAMPLES):
        for rows in ranked_groups:
            if turn < len(rows) and len(taken) < MOST_SAMPLES:
                taken[rows[turn][1:]] = None
    records = [every[number]["records"][str(row)] for number, row in sorted(taken)]
    return sorted(records, key=lambda record: record["document"] is None)  # what has a text comes first


def _difficulty(out: str, one: dict[str, Any]) -> list[list[Any]]:
    """Of each slice of a curriculum's stream: where it begins (a share), documents, and quantiles of the difficulty."""
    columns = ["sequence", "offset", "difficulty"]
    paths = [store.join(out, shard["documents"]) for shard in one["shards"]]
    tables = read_all(lambda path: store.read_table(path, columns), paths)
    documents = pa.concat_tables(tables)
    documents = documents.filter(pc.equal(documents.column("offset"), 0))
    where = documents.column("sequence").to_numpy() * SLICES // max(1, one["sequences"])
    difficulty = np.asarray(documents.column("difficulty").to_numpy(), np.float64)
    told = []
    for number in range(SLICES):
        mine = difficulty[(where == number) & ~np.isnan(difficulty)]
        if len(mine):
            spread = np.quantile(mine, QUANTILES, method="inverted_cdf").tolist()
            told.append([number / SLICES, len(mine), *(float(f"{value:.6g}") for value in spread)])
    return told
