"""What the report's tables and charts hold, as plain rows made from the manifest and the findings."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from . import charts
from .refusals import REFUSED, WORDS, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

LOSSES = {
    "rejected": "rejected as unreadable",
    "duplicate": "near duplicate of a survivor",
    "held_out": "held out, or near to what is",
    "over_budget": "over budget",
    REFUSED: WORDS,
}
"""Outcomes that are one step of the funnel each; what is dropped has a step for each rule."""

DIMENSIONS = {"host": "Hosts", "top_level_domain": "Top-level domains", "year": "Years", "licence": "Licences"}

CLASSES = ("1", "2", "3", "4-5", "6-10", "11-100", "101-1000", "1001+")


def totals(manifest: dict[str, Any]) -> dict[str, int]:
    """Sums over all sources."""
    keys = ("records", "documents", "bytes", "text_bytes")
    return {key: sum(one[key] for one in manifest["counts"].values()) for key in keys}


def funnel(recipe: dict[str, Any]) -> dict[str, Any]:
    """From all records to the kept ones, step by step.

    Args:
        recipe: A recipe of the manifest.

    Returns:
        `records`, `documents` that are kept, their `tokens`, and `steps`: `text`, `why` (reasons inside it and their
        records), `lost` (by source), `all` (what is lost) and `left`.
    """
    counts = dict(sorted(recipe["counts"].items()))
    outcomes = {source: told_apart(one["outcomes"]) for source, one in counts.items()}
    rules = {rule: re.sub(r" is pass( \(.*\))?$", ": ", rule) for rule in recipe["rules"]}
    before: dict[str, dict[str, int]] = {}
    by_rule: dict[str, dict[str, dict[str, int]]] = {rule: {} for rule in rules}
    for source, bins in outcomes.items():
        for reason, records in bins["dropped"]["reasons"].items():
            rule = next(
                (r for r, start in rules.items() if reason == r or (start != r and reason.startswith(start))), None
            )
            target = before if rule is None else by_rule[rule]
            target.setdefault(reason, {})[source] = records
    steps = [("no document, or nothing left of it", before), *by_rule.items()]
    for outcome, words in LOSSES.items():
        lost = {source: bins[outcome]["records"] for source, bins in outcomes.items() if bins[outcome]["records"]}
        reasons: dict[str, dict[str, int]] = {}
        for source, bins in outcomes.items():
            for reason, records in bins[outcome]["reasons"].items():
                reasons.setdefault(reason, {})[source] = records
        told = sum(n for one in reasons.values() for n in one.values())
        if told < sum(lost.values()):  # a reason is not given for each
            rest = {s: n - sum(one.get(s, 0) for one in reasons.values()) for s, n in lost.items()}
            reasons[""] = rest
        steps.append((words, reasons))
    left = sum(one["records"] for one in counts.values())
    out: dict[str, Any] = {"records": left, "sources": list(counts), "steps": []}
    first = len(steps) - len(LOSSES)
    order = [steps[0], steps[first], *steps[1:first], *steps[first + 1 :]]  # unreadable records are no documents either
    for text, reasons in order:
        lost = {source: sum(one.get(source, 0) for one in reasons.values()) for source in counts}
        every = sum(lost.values())
        if not every and text not in rules:
            continue
        why = sorted(
            ((reason, sum(one.values())) for reason, one in reasons.items() if reason), key=lambda r: (-r[1], r[0])
        )
        step = {"text": text, "rule": text in rules, "lost": lost, "all": every, "from": left, "left": left - every}
        out["steps"].append(step | {"why": why if len(why) > 1 or (why and why[0][0] != text) else []})
        left -= every
    out["kept"] = {source: bins["kept"]["records"] for source, bins in outcomes.items()}
    out["documents"] = sum(out["kept"].values())
    out["tokens"] = sum(bins["kept"].get("tokens", 0) for bins in outcomes.values())
    return out


def strata(manifest: dict[str, Any]) -> list[str]:
    """The strata of all recipes, by the largest weight that one gives: each has one place and colour throughout."""
    largest: dict[str, float] = {}
    for recipe in manifest["recipes"].values():
        for name, one in recipe["strata"].items():
            largest[name] = max(one["weight"] / one["of"], largest.get(name, 0.0))
    return sorted(largest, key=lambda name: (-largest[name], name))


def mixture(recipe: dict[str, Any], names: Sequence[str], most: int) -> dict[str, Any]:
    """Shares of strata in each rung, and along the stream at its shards' borders.

    Args:
        recipe: Of the manifest.
        names: The strata of all recipes, in order; the recipe may lack some.
        most: So many are told one by one, the others together.
    """
    weights = recipe["strata"]
    shown, rest = names[:most], names[most:]

    def told(value: dict[str, float]) -> list[float]:
        """Of strata, as the page shows them."""
        few = [value.get(name, 0) for name in shown]
        return few + ([sum(value.get(name, 0) for name in rest)] if rest else [])

    rungs = []
    for rung in recipe["rungs"]:
        amounts = told({name: one["tokens"] for name, one in rung["strata"].items()})
        rungs.append({**rung, "amounts": amounts, "shares": [n / rung["tokens"] for n in amounts]})
    places, shares = _along(recipe)
    return {
        "strata": [*shown, *([f"{len(rest)} smaller ones"] if rest else [])],
        "weights": told({name: one["weight"] / one["of"] for name, one in weights.items()}),
        "rungs": rungs,
        "places": places,
        "along": [told(dict(zip(weights, row, strict=True))) for row in shares],
        "course": bool(recipe.get("course")),
        "padded": "padding_tokens" in rungs[-1],
    }


def _along(recipe: dict[str, Any]) -> tuple[list[float], list[list[float]]]:
    """Places of the stream from 0 to 1, and shares of strata there.

    Of weights that change, these; else what strata have of the stream up to each place, where a shard begins.
    """
    weights, total = recipe["strata"], recipe["rungs"][-1]["sequences"]
    if recipe.get("course"):
        bends = [(bend["sequences"] / total, bend["weights"]) for bend in recipe["course"]]
        bends = [(0.0, bends[0][1]), *bends, (1.0, bends[-1][1])]
        rows = [[told.get(name, 0) / weights[name]["of"] for name in weights] for _, told in bends]
        return [min(1.0, place) for place, _ in bends], rows
    points = {tuple(row) for row in recipe.get("checkpoints", ())}
    points |= {tuple(rung["strata"][name]["sequences"] for name in weights) for rung in recipe["rungs"]}
    counts = [row for row in sorted(points, key=sum) if sum(row)]
    first = [one["weight"] / one["of"] for one in weights.values()]
    return [0.0, *(sum(row) / total for row in counts)], [first, *([n / sum(row) for n in row] for row in counts)]


def values(found: dict[str, Any], recipes: Sequence[str]) -> list[dict[str, Any]]:
    """For each score a chart: all documents as bars, those that recipes keep as lines, each as shares of its own."""
    marks: dict[str, list[tuple[float, str]]] = {}
    for name in recipes:
        for rule in found["rules"][name]:
            for bound in ("min", "max"):
                if rule[bound] is not None and rule["near"] is None:
                    marks.setdefault(rule["score"], []).append((rule[bound], f"{name}: {rule['text']}"))
            if rule["min"] is None:  # else its only cut is there
                cuts = rule["cuts"][:MOST_CUTS]
                marks.setdefault(rule["score"], []).extend((cut, f"{name}: {rule['text']}") for cut in cuts)
    out = []
    for address, chart in sorted(found["values"].items(), key=lambda item: (item[0] != "text_bytes", item[0])):
        if chart is None:
            continue
        groups = sorted(chart["counts"])
        pool = [
            sum(column) for column in zip(*(chart["counts"][g] for g in groups if g.startswith("source ")), strict=True)
        ]
        kept = {name: chart["counts"][f"recipe {name}"] for name in recipes}
        lines = [[n / (sum(counts) or 1) for n in counts] for counts in kept.values()]
        places = [(charts.place_of(value, chart["edges"]), words) for value, words in marks.get(address, [])]
        told = [(place, words) for place, words in places if place is not None]
        out.append(
            {
                "name": "length of the text in bytes" if address == "text_bytes" else address,
                "edges": chart["edges"],
                "log": chart["log"],
                "bars": [n / (sum(pool) or 1) for n in pool],
                "lines": lines,
                "marks": [place for place, _ in told],
                "rules": sorted({words for _, words in told}),
                "ticks": ticks(chart["edges"]),
                "columns": [*(g.removeprefix("source ") for g in groups if g.startswith("source ")), *kept],
                "rows": list(
                    zip(*(chart["counts"][g] for g in groups if g.startswith("source ")), *kept.values(), strict=True)
                ),
            }
        )
    return out


def ticks(edges: Sequence[float]) -> list[float]:
    """Five edges at equal distances, the first and the last among them."""
    last = len(edges) - 1
    return [edges[n * last // 4] for n in range(5)] if last >= 4 else [edges[0], edges[-1]]


def labels(found: dict[str, Any], recipes: Sequence[str]) -> list[dict[str, Any]]:
    """For each score with labels, the documents of each, in the pool and in recipes."""
    out = []
    for address, groups in sorted(found["labels"].items()):
        sources = sorted(group for group in groups if group.startswith("source "))
        names = list(dict.fromkeys(label for group in groups.values() for label in group))
        pool = {label: sum(groups[source].get(label, 0) for source in sources) for label in names}
        names = [label for label in sorted(pool, key=lambda label: (not label, -pool[label], label)) if pool[label]]
        kept = [groups[f"recipe {name}"] for name in recipes]
        sums = [sum(pool.values()), *(sum(one.values()) for one in kept)]
        rows = [[label, [pool[label], *(one.get(label, 0) for one in kept)]] for label in names]
        if len(rows) > 1:
            out.append({"name": address, "rows": rows, "sums": sums})
    return out


def rules(manifest: dict[str, Any], found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """For each rule of each recipe what it sees; those with numbers have `data` for the page to try thresholds with."""
    out: dict[str, list[dict[str, Any]]] = {}
    counter = itertools.count()
    for name in sorted(manifest["recipes"]):
        _, size, tokens = found["kept"][name]
        out[name] = []
        for rule in found["rules"][name]:
            segments = rule["segments"]
            one: dict[str, Any] = {**rule, "data": None, "bounds": [b for b in ("min", "max") if rule[b] is not None]}
            if segments and len(segments["low"]) > 1:
                edges, seen, passing = _bars(segments)
                one |= {"seen": seen, "passing": passing, "ticks": ticks(edges), "edges": edges}
                marked = [rule[b] for b in one["bounds"]] or rule["cuts"][:MOST_CUTS]
                one["marks"] = [p for value in marked if (p := charts.place_of(value, edges)) is not None]
                inside = segments["counts"][segments["min_at"] : segments["max_at"]]
                one["passed"], one["others"] = sum(r[2] for r in inside), sum(r[2] for r in segments["counts"])
                if one["bounds"]:
                    one["number"] = next(counter)
                    ratio = round(tokens / size, 4) if size else 0
                    one["data"] = {"segments": segments, "edges": edges, "tokens_per_byte": ratio}
                    one["data"] |= {bound: rule[bound] for bound in one["bounds"]}
            out[name].append(one)
    return out


BARS = 48

MOST_CUTS = 12
"""Thresholds of one `top` rule that are drawn, where it has one for each stratum; the least ones."""


def _bars(segments: dict[str, Any]) -> tuple[list[float], list[int], list[int]]:
    """Segments put together into bars, of about as many segments each."""
    low, counts = segments["low"], segments["counts"]
    step = -(-len(low) // BARS)
    edges = [low[n] for n in range(0, len(low), step)] + [segments["high"]]
    columns = [[sum(row[c] for row in counts[n : n + step]) for n in range(0, len(low), step)] for c in (0, 2)]
    return edges, columns[0], columns[1]


def diversity(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Hosts, domains, years, licences and labels of each stratum, before any rule and in each recipe's largest rung."""
    told = manifest.get("diversity") or {"pool": {}, "recipes": {}}
    out = []
    strata = sorted(
        told["pool"],
        key=lambda s: (-max((d["documents"] for k, d in told["pool"][s].items() if k != "means"), default=0), s),
    )
    for stratum in strata[:12]:
        dimensions = told["pool"][stratum]
        for dimension in sorted(dimensions.keys() - {"means"}):
            one = dimensions[dimension]
            if one["values"] < 2:
                continue
            after = {name: (kept.get(stratum) or {}).get(dimension) for name, kept in sorted(told["recipes"].items())}
            rows = []
            for value in one["most"]:
                shares = [
                    next(
                        (m["documents"] / kept["documents"] for m in kept["most"] if m["value"] == value["value"]), None
                    )
                    if kept
                    else None
                    for kept in after.values()
                ]
                rows.append([value["value"], value["documents"], value["documents"] / one["documents"], shares])
            out.append(
                {
                    "stratum": stratum,
                    "name": DIMENSIONS.get(dimension, f"Labels of {dimension}"),
                    "documents": one["documents"],
                    "values": one["values"],
                    "effective": [one["effective"], *(kept["effective"] if kept else None for kept in after.values())],
                    "rows": rows,
                }
            )
    return out


def duplicates(manifest: dict[str, Any], found: dict[str, Any]) -> dict[str, Any] | None:
    """Near duplicates by source and the source of what they are like; clusters by size; the largest ones."""
    told = manifest["duplicates"]
    if told is None:
        return None
    names = sorted(told["sources"])
    leaders = sorted({leader for one in told["sources"].values() for leader in one["leaders"]} | set(names))
    sizes = found["clusters"]["sizes"]
    return {
        "leaders": leaders,
        "rows": [
            (name, told["sources"][name], [told["sources"][name]["leaders"].get(s, 0) for s in leaders])
            for name in names
        ],
        "most": max((n for one in told["sources"].values() for n in one["leaders"].values()), default=0) or 1,
        "sizes": [(name, sizes.get(name, 0)) for name in CLASSES],
        "all": sum(sizes.values()) or 1,
        "largest": found["clusters"]["largest"],
    }


def curricula(manifest: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each curriculum with the quantiles of its difficulty along the stream."""
    out = []
    for name, one in sorted(manifest.get("curricula", {}).items()):
        slices = found["curricula"].get(name, [])
        told = {"slices": slices, "places": [row[0] for row in slices], "quantiles": [row[2:] for row in slices]}
        out.append({"name": name, **one, **told})
    return out


def lost(manifest: dict[str, Any]) -> list[tuple[str, str, str, int, int]]:
    """Records that gave no document: source, outcome, reason, how many, and the source's records."""
    return [
        (source, one["outcome"], one["reason"], one["records"], counts["records"])
        for source, counts in sorted(manifest["counts"].items())
        for one in sorted(counts["without_document"], key=lambda row: (-row["records"], row["reason"]))
    ]


def comparison(manifest: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """For each pair of recipes: what both keep, and why the other lacks what one has."""
    out = []
    sizes = {name: found["kept"][name] for name in manifest["recipes"]}
    for one, other in itertools.combinations(sorted(manifest["recipes"]), 2):
        sides = []
        for a, b in ((one, other), (other, one)):
            rows = found["overlaps"][a][b]
            both = [(n, tokens) for outcome, _, n, tokens in rows if outcome == "kept"]
            shared = both[0] if both else (0, 0)
            sides.append({"name": a, "other": b, "shared": shared, "rows": [row for row in rows if row[0] != "kept"]})
        documents = [sizes[name][0] for name in (one, other)]
        tokens = [sizes[name][2] for name in (one, other)]
        both_documents, both_tokens = sides[0]["shared"]
        union = sum(tokens) - both_tokens
        out.append(
            {
                "names": (one, other),
                "both": (both_documents, both_tokens),
                "only": [(d - both_documents, t - both_tokens) for d, t in zip(documents, tokens, strict=True)],
                "shares": [
                    part / (union or 1) for part in (tokens[0] - both_tokens, both_tokens, tokens[1] - both_tokens)
                ],
                "sides": sides,
            }
        )
    return out
