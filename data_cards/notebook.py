"""Tables for notebooks: what `_repr_html_` of studies, plans, builds, rungs and fits returns.

All text is escaped: names of sources, rules and labels may come from a corpus. No script, style sheet or address is
written, so a notebook that is shared shows what its author saw and fetches nothing.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NUMBER = re.compile(r"[-+−–]?\d|–$")

STRATA = 12
"""Strata that are shown, those with the most tokens; a language score can make two hundred."""


def page(title: str, *pieces: str) -> str:
    """A heading and what stands below it; the pieces are HTML already, the title is not.

    >>> page("a < b", table("", ["n"], [["1"]]))[:33]
    '<div><strong>a &lt; b</strong><ta'
    """
    return f"<div><strong>{escape(title)}</strong>{''.join(pieces)}</div>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """One table; columns of numbers are set to the right. Nothing where there are no rows.

    Args:
        caption: Above the table; may be empty.
        columns: Heads.
        rows: Cells; whole numbers get separators of thousands.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    sides = ["right" if all(map(_NUMBER.match, column)) else "left" for column in zip(*cells, strict=True)]
    sides[0] = "left"
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(first)}</th>'
        + "".join(
            f'<td style="text-align:{side}">{escape(cell)}</td>' for side, cell in zip(sides[1:], rest, strict=True)
        )
        + "</tr>"
        for first, *rest in cells
    )
    said = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    head = "".join(
        f'<th scope="col" style="text-align:{side}">{escape(column)}</th>'
        for side, column in zip(sides, columns, strict=True)
    )
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def line(text: str) -> str:
    """One line of text."""
    return f"<div>{escape(text)}</div>"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def show_plan(described: Mapping[str, Any]) -> str:
    """What `Plan.describe` gives: what there is to read, and the rungs that will be."""
    sources = [
        (name, one["format"], one["files"], f"{one['bytes'] / 1e6:,.1f}", one["slices"], one["to_read"])
        for name, one in described["sources"].items()
    ]
    rungs = [
        (name, rung, size["requested"], size.get("tokens", size.get("unit")), len(recipe["rules"]))
        for name, recipe in described["recipes"].items()
        for rung, size in recipe["rungs"].items()
    ]
    scores = ", ".join(f"{name} ({one['type']})" for name, one in described["scores"].items())
    return page(
        f"plan of {described['study']}",
        table("sources", ("source", "format", "files", "MB", "slices", "still to read"), sources),
        table("rungs", ("recipe", "rung", "requested", "exact", "rules"), rungs),
        line(f"scores: {scores or 'none'}"),
        line(f"result: {described['out']}"),
        line(f"store: {described['store']}"),
        *(line(f"note: {one}") for one in described["notes"]),
    )


def show_manifest(manifest: Mapping[str, Any], out: str) -> str:
    """A finished build: where the records of each recipe went, its rungs and their mixture."""
    pieces = []
    for name, recipe in manifest["recipes"].items():
        counts: dict[str, int] = {}
        for source in recipe["counts"].values():
            for outcome, cell in source["outcomes"].items():
                counts[outcome] = counts.get(outcome, 0) + cell["records"]
        heads = [outcome.replace("_", " ") for outcome in counts]
        pieces.append(table(f"{name}: records", ("", *heads), [("all sources", *counts.values())]))
        ranked = sorted((-one["weight"], stratum) for stratum, one in recipe["strata"].items())
        largest = [stratum for _, stratum in ranked[:STRATA]]
        rows = [
            (
                rung["name"],
                rung["tokens"],
                rung["sequences"],
                rung["repeated_tokens"],
                *(rung["strata"][stratum]["tokens"] for stratum in largest),
            )
            for rung in recipe["rungs"]
        ]
        heads = ["rung", "tokens", "sequences", "repeated", *largest]
        pieces.append(table(f"{name}: rungs, and the tokens of its strata", heads, rows))
    orders = [
        (f"{name}-{one['rung']}", one["recipe"], one["sort"], one["tokens"])
        for name, one in manifest.get("curricula", {}).items()
    ]
    pieces.append(table("curricula", ("curriculum", "of", "sort", "tokens"), orders))
    held = manifest["held_out"]
    if held:
        pieces.append(line(f"held out: {held['tokens']:,} tokens"))
    return page(
        f"{manifest['name']}, built", *pieces, line(f"folder: {out}"), line(f"root hash: {manifest['root_hash']}")
    )


def show_study(
    name: str,
    facts: Mapping[str, object],
    sources: Iterable[Sequence[object]],
    scores: Iterable[Sequence[object]],
    recipes: Iterable[Sequence[object]],
) -> str:
    """A study as it was written.

    Args:
        name: Its name.
        facts: What holds for all of it.
        sources: Name, format, paths.
        scores: Name, type.
        recipes: Name, weights, rules.
    """
    return page(
        f"study {name}",
        *(line(f"{key}: {value}") for key, value in facts.items()),
        table("sources", ("source", "format", "path"), sources),
        table("scores", ("score", "type"), scores),
        table("recipes", ("recipe", "weights", "rules, in order"), recipes),
    )


def show_rung(name: str, length: int, dtype: str, entry: Mapping[str, Any]) -> str:
    """A rung as the manifest has it: `entry` gives tokens, sequences, shards and strata."""
    strata = [(stratum, one["tokens"]) for stratum, one in sorted(entry.get("strata", {}).items())]
    return page(
        f"rung {name}",
        line(f"{entry['tokens']:,} tokens: {entry['sequences']:,} sequences of {length:,}, {dtype}"),
        line(f"in {len(entry['shards']):,} shards"),
        table("mixture", ("stratum", "tokens"), strata),
    )
