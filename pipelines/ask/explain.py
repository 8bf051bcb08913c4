"""Explain: why a document is in or out of each recipe, from the ledgers of a result and what its store still holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from ..files import store
from ..files.schema import DUPLICATE, KEPT, OVER_BUDGET
from ..stages import keys, lookup
from ..stages.evidence import Evidence, open_evidence
from .examine import (
    Cluster,
    Place,
    Similar,
    Tried,
    cluster_of,
    find_place,
    locate,
    read_row,
    scores_of,
    similar,
    try_rules,
)
from .texts import matching, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST = 20
"""Documents shown; a piece of a name can mean many."""

DETAILED = 3
"""Documents whose rules, scores and texts are told where more than one is found."""

NEAR = 3
"""Names that are offered where none is the one asked for."""

LINES, LINE = 5, 200
"""First lines of a text that are told, and characters of each."""

_ID = re.compile(r"[0-9a-f]{32}")
_COLUMNS = ("kind", "file_type", "licence", "licence_id", "date", "hidden", "payload", "view", "bytes")


@dataclass(frozen=True)
class Survivor:
    """The document that one is a near duplicate of.

    Attributes:
        document: Hex of its id.
        source: Its source; None where it is of an earlier build, or the store is gone.
        name: Its name, likewise.
        similar: How alike both are, likewise.
    """

    document: str
    source: str | None = None
    name: str | None = None
    similar: Similar | None = None


@dataclass(frozen=True)
class Verdict:
    """What one recipe made of a record.

    Attributes:
        outcome: The ledger's.
        reason: Likewise.
        survivor: What it is a near duplicate of, if it is.
        tokens: Its tokens, where it stands in the stream.
        first_rung: The first rung that holds it.
        rules: What each rule of the recipe says of it, whether or not an earlier one decided.
        priority: Its place in the order of all documents is by this number, the least first.
        place: Where it stands in the stream.
    """

    outcome: str
    reason: str | None
    survivor: Survivor | None
    tokens: int | None
    first_rung: str | None
    rules: list[Tried] = field(default_factory=list)
    priority: int | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Explanation:
    """One record's fate.

    Attributes:
        source: Where it is from.
        name: URL, path or its own id.
        record: File and position that it was read from.
        document: Hex of its id, None where the record gave no document.
        fates: By recipe, in words.
        verdicts: By recipe, in full.
        columns: What reading told of it: kind, file type, licence …; empty without the store.
        scores: Numbers and labels of every score, by score and column; likewise.
        cluster: Its cluster; None where it is alone, or without the store.
        text: The first lines of what is encoded of it; None without the store.
    """

    source: str
    name: str
    record: str
    document: str | None
    fates: dict[str, str]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    cluster: Cluster | None = None
    text: str | None = None


def read_manifest(out: str) -> dict[str, Any]:
    """The manifest of a result as plain values.

    Raises:
        UserError: The folder holds none.
    """
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    try:
        manifest: dict[str, Any] = store.read_json(path)
        manifest["recipes"], manifest["fingerprint"]  # what every reader asks for
    except (ValueError, KeyError, TypeError) as error:
        raise store.UserError(f"{path}: is no manifest of a build. Build the study again.") from error
    return manifest


def explain(out: str, wanted: str) -> list[Explanation]:
    """Find documents in a result's ledgers and say what decided about each.

    The store's index finds an id, a name, or the end of one; without it, and for what it does not know, all names are
    read, and then, for words, all texts.

    Args:
        out: Folder of a result.
        wanted: A document's id (32 hex digits), or its URL or path, or the end of one, or some words of its text.

    Returns:
        At most `MOST`, in the order of the ledgers.

    Raises:
        UserError: The folder holds no result, or no record has that id, name or text.
        OSError: A file of the result or its store is missing or damaged.
    """
    out = store.absolute(out)
    manifest = read_manifest(out)
    if not wanted.strip() or any("\ud800" <= sign <= "\udfff" for sign in wanted):  # bytes that are not UTF-8
        raise store.UserError(f"{wanted!r}: is no name. Give an id, a URL or path, the end of one, or words of a text.")
    evidence = open_evidence(out, manifest)
    places = _find(out, manifest, evidence, wanted)
    if not places:
        near = _near(out, manifest, wanted)
        raise store.UserError(
            f"{out}: no record has the id or the name {wanted!r}. Give the 32 hex digits of a document, or its URL or "
            "path, or the end of one." + (f" Names like it: {', '.join(near)}" if near else "")
        )
    return [
        _explain(out, manifest, evidence if n < DETAILED else None, ordinal, row)
        for n, (ordinal, row) in enumerate(places)
    ]


def _find(out: str, manifest: dict[str, Any], evidence: Evidence | None, wanted: str) -> list[tuple[int, int]]:
    """Part and row of the first records that are meant, in the order of the ledgers."""
    if evidence is not None and store.exists(store.join(evidence.place.path(evidence.said["index"]), "done.json")):
        found = _find_indexed(evidence, wanted)
        if found or _ID.fullmatch(wanted):
            return found
    found = _first(_scan(out, manifest, wanted))
    if not found and evidence is not None and len(wanted.split()) > 1:
        pattern = r"(?s)" + r"\s+".join(map(re.escape, wanted.split()))
        found = _first((hit.ordinal, hit.row) for hit in matching(evidence, pattern, as_read=True))
    return found


def _first(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [place for place, _ in zip(places, range(MOST), strict=False)]


def _find_indexed(evidence: Evidence, wanted: str) -> list[tuple[int, int]]:
    folder = evidence.place.path(evidence.said["index"])
    by_id = _ID.fullmatch(wanted) is not None
    bare = wanted.rstrip("/")
    hashes = [int(wanted[:16], 16)] if by_id else [lookup.hash_end(wanted)]
    if bare.startswith("/"):  # a file's own path: names begin at the folder of their source
        hashes.append(lookup.hash_name(bare.rpartition("/")[2]))
    for hashed in hashes:
        found: list[tuple[int, int]] = []
        candidates = lookup.find(folder, hashed)
        numbers = keys.ordinals(candidates)
        for ordinal in np.unique(numbers).tolist():
            rows = keys.rows(candidates[numbers == ordinal])
            path = evidence.place.documents(evidence.parts[ordinal].id)
            column = store.read_table(path, ["document" if by_id else "name"]).column(0).take(rows)
            means = (lambda one: one.hex() == wanted) if by_id else (lambda one: _means(one.rstrip("/"), bare))
            found += [(ordinal, row) for row, one in zip(rows.tolist(), column.to_pylist(), strict=True) if means(one)]
            if len(found) >= MOST:
                break
        if found:
            return found[:MOST]
    return []


def _means(name: str, wanted: str) -> bool:
    """Whether a name is what was asked for: as a whole, by its last components, or a path in front of them."""
    return name == wanted or name.endswith(f"/{wanted}") or (wanted.startswith("/") and wanted.endswith(f"/{name}"))


def _scan(out: str, manifest: dict[str, Any], wanted: str) -> Iterator[tuple[int, int]]:
    """Part and row of records by reading all ids or names of the first recipe's ledgers; every recipe's have all."""
    by_id = _ID.fullmatch(wanted) is not None
    for ordinal, ledger in enumerate(next(iter(manifest["recipes"].values()))["ledger"]):
        column = store.read_table(store.join(out, ledger["path"]), ["document" if by_id else "name"]).column(0)
        mask = pc.equal(column, wanted) if by_id else pc.ends_with(column, wanted)
        for row in np.flatnonzero(mask.fill_null(False).to_numpy()).tolist():
            yield ordinal, row


def _near(out: str, manifest: dict[str, Any], wanted: str) -> list[str]:
    """The first names with the same last part, then those that hold it anywhere, in whatever case.

    A path is told from the folder of its source on, not from above it; and of an address one may know a part.
    """
    last = wanted.rstrip("/").rpartition("/")[2]
    same: list[str] = []
    within: list[str] = []
    for ledger in next(iter(manifest["recipes"].values()))["ledger"]:
        if last and len(same) < NEAR:
            names = store.read_table(store.join(out, ledger["path"]), ["name"]).column(0)
            held = names.filter(pc.match_substring(names, last, ignore_case=True))
            ending = held.filter(pc.match_substring_regex(held, rf"(^|/){re.escape(last)}/?$"))
            same += ending.slice(0, NEAR).to_pylist()
            within += held.slice(0, NEAR).to_pylist()
    return list(dict.fromkeys([*dict.fromkeys(same), *within]))[:NEAR]


def _explain(out: str, manifest: dict[str, Any], evidence: Evidence | None, ordinal: int, row: int) -> Explanation:
    """What is known of one record; in short where there is no evidence."""
    fates, verdicts, survivors = {}, {}, {}
    ledger: dict[str, Any] = {}
    for recipe, made in manifest["recipes"].items():
        ledger = read_row(store.join(out, made["ledger"][ordinal]["path"]), row)
        fates[recipe] = _fate(ledger)
        survivor = ledger["survivor"] if ledger["survivor"] != ledger["document"] else None
        if survivor is not None and survivor not in survivors:
            survivors[survivor] = _survivor(evidence, survivor, (ordinal, row))
        rules: list[Tried] = []
        priority, place = None, None
        if evidence is not None and ledger["document"] is not None:
            rules, priority = try_rules(evidence, recipe, ordinal, row)
            place = find_place(evidence, recipe, ordinal, row) if ledger["outcome"] == KEPT else None
        verdicts[recipe] = Verdict(
            ledger["outcome"],
            ledger["reason"],
            survivors.get(survivor),
            ledger["tokens"],
            ledger["first_rung"],
            rules,
            priority,
            place,
        )
    named = (ledger["source"], ledger["name"], ledger["record"], ledger["document"])
    if evidence is None:
        return Explanation(*named, fates, verdicts)
    path = evidence.place.documents(evidence.parts[ordinal].id)
    columns = read_row(path, row, list(_COLUMNS))
    (text,) = read_texts(evidence, ordinal, np.array([row]))
    return Explanation(
        *named,
        fates,
        verdicts,
        {name: value for name, value in columns.items() if value is not None},
        scores_of(evidence, ordinal, row) if text is not None else {},
        cluster_of(evidence, ordinal, row),
        None if text is None else first_lines(text),
    )


def first_lines(text: str) -> str:
    r"""The first lines of a text, each cut, without blank ones.

    >>> first_lines("\n one\n\ntwo\n")
    'one\ntwo'
    """
    lines = (line.strip() for line in text[: 1 << 16].splitlines())
    chosen = [line for line, _ in zip(filter(None, lines), range(LINES), strict=False)]
    return "\n".join(line if len(line) <= LINE else f"{line[:LINE]}…" for line in chosen)


def _survivor(evidence: Evidence | None, document: str, of: tuple[int, int]) -> Survivor:
    found = None if evidence is None else locate(evidence, document)
    if evidence is None or found is None:
        return Survivor(document)
    part = evidence.parts[found[0]]
    name = read_row(evidence.place.documents(part.id), found[1], ["name"])["name"]
    return Survivor(document, part.source, name, similar(evidence, of, found))


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
