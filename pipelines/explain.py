"""Explain: why a document is in or out of each recipe, from the ledgers of a result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from . import store
from .schema import DUPLICATE, KEPT, OVER_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 20
"""Documents shown; a piece of a name can mean many."""

NEAR = 3
"""Names that are offered where none is the one asked for."""

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Explanation:
    """One record's fate.

    Attributes:
        source: Where it is from.
        name: URL, path or its own id.
        record: File and position that it was read from.
        document: Hex of its id, None where the record gave no document.
        fates: By recipe, in words.
    """

    source: str
    name: str
    record: str
    document: str | None
    fates: dict[str, str]


def explain(out: str, wanted: str) -> list[Explanation]:
    """Find documents in a result's ledgers and say what decided about each.

    Args:
        out: Folder of a result.
        wanted: A document's id (32 hex digits), or its URL or path, or the end of one.

    Returns:
        At most `MOST`, in the order of the ledgers.

    Raises:
        UserError: The folder holds no result, or no record has that id or name.
    """
    out = store.absolute(out)
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    manifest = store.read_json(path)
    found: dict[tuple[str, str, str], Explanation] = {}
    for recipe, made in manifest["recipes"].items():
        for ledger in made["ledger"]:
            for row in _rows(store.join(out, ledger["path"]), wanted):
                key = (row["source"], row["name"], row["record"])
                if key not in found and len(found) >= MOST:
                    continue
                one = found.setdefault(key, Explanation(*key, row["document"], {}))
                one.fates[recipe] = _fate(row)
    if not found:
        near = _near(out, manifest, wanted)
        raise store.UserError(
            f"{out}: no record has the id or the name {wanted!r}. Give the 32 hex digits of a document, or its URL or "
            "path, or the end of one." + (f" Names like it: {', '.join(near)}" if near else "")
        )
    return list(found.values())


def _near(out: str, manifest: dict[str, Any], wanted: str) -> list[str]:
    """The first names with the same last part: a path is told from the folder of its source on, not from above it."""
    last = wanted.rstrip("/").rpartition("/")[2]
    found: list[str] = []
    for ledger in next(iter(manifest["recipes"].values()))["ledger"]:  # every recipe's names all records
        if last and len(found) < NEAR:
            names = store.read_table(store.join(out, ledger["path"]), ["name"]).column(0)
            same = pc.match_substring_regex(names, rf"(^|/){re.escape(last)}/?$")
            found += [name for name in names.filter(same).slice(0, NEAR).to_pylist() if name not in found]
    return found[:NEAR]


def _rows(path: str, wanted: str) -> Iterator[dict[str, Any]]:
    by_id = _ID.fullmatch(wanted) is not None
    column = store.read_table(path, ["document" if by_id else "name"]).column(0)
    mask = pc.equal(column, wanted) if by_id else pc.ends_with(column, wanted)
    if pc.any(mask).as_py():
        table: pa.Table = store.read_table(path)
        yield from table.filter(mask).to_pylist()


def _fate(row: dict[str, Any]) -> str:
    outcome = row["outcome"].replace("_", " ")
    if row["outcome"] == KEPT:
        masks = ", ".join(f"{n} {kind}" for kind, n in row.get("masks") or [])
        return f"kept: {row['tokens']:,} tokens, from rung {row['first_rung']} on" + (masks and f"; masked: {masks}")
    if row["outcome"] == DUPLICATE:
        return f"duplicate of {row['survivor']}" + (f", {row['reason']}" if row["reason"] else "")
    if row["outcome"] == OVER_BUDGET:
        return f"{outcome}: its stratum's share of the largest rung was full before its turn"
    near = f" ({row['survivor']})" if row["survivor"] not in {None, row["document"]} else ""
    return f"{outcome}: {row['reason']}{near}" if row["reason"] not in {None, "", outcome} else outcome
