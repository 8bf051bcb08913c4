"""The driver's side of reading and scoring: what of a plan's input is not in the store yet."""

from __future__ import annotations

import collections
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..files import store
from ..files.parts import Part, missing, read_all
from ..files.schema import DROPPED, REJECTED
from .pool import STAGES, BuildError

if TYPE_CHECKING:
    from ..engines.engine import Engine
    from ..watch.progress import Reporter
    from .plan import Plan


def read_sources(plan: Plan, engine: Engine, report: Reporter) -> dict[str, dict[str, Any]]:
    """Read and score every slice that was not read before.

    Returns:
        What each slice gave, by its fingerprint (`read.read_slice`), in the plan's order.

    Raises:
        OSError: An input cannot be read now.
    """
    folder = plan.store.path("slices")
    every = {name: (source, piece) for source in plan.sources for name, piece in source.slices}
    # the largest first: engines that part the list beforehand give every worker as much, the others end together
    todo = sorted(missing(folder, every, ".json"), key=lambda name: -every[name][1].bytes)
    tasks = [
        {
            "store": plan.store.root,
            "id": name,
            "source": asdict(every[name][0].source),
            "slice": every[name][1].to_json(),
            "scores": plan.scores,
        }
        for name in todo
    ]
    megabytes = sum(every[name][1].bytes for name in todo) / 1e6
    with report.stage("read and score", len(todo), lambda: len(todo) - len(missing(folder, todo, ".json")), megabytes):
        engine.each("read and score", f"{STAGES}.read:read_slice", tasks, isolated=True)
    names = list(every)
    found = read_all(store.read_json, [store.join(folder, f"{name}.json") for name in names])
    summaries = dict(zip(names, found, strict=True))
    if todo:
        report.tell_rejected({one.name: [summaries[name] for name, _ in one.slices] for one in plan.sources})
    return summaries


def list_parts(plan: Plan, summaries: dict[str, dict[str, Any]]) -> list[Part]:
    """All parts in the order of sources, slices and rows."""
    return [
        Part(source=source.name, id=f"{name}/{n:05d}", **part)
        for source in plan.sources
        for name, _ in source.slices
        for n, part in enumerate(summaries[name]["parts"])
    ]


def check_rejected(summaries: dict[str, dict[str, Any]], most: float) -> None:
    """Stop where the input is not what the study takes it for.

    Args:
        summaries: What each slice gave.
        most: Largest share of records that may be unreadable.

    Raises:
        BuildError: More are, or no record gave a document.
    """
    parts = [part for summary in summaries.values() for part in summary["parts"]]
    reasons: dict[str, collections.Counter[str]] = {REJECTED: collections.Counter(), DROPPED: collections.Counter()}
    for summary in summaries.values():
        for one in summary["outcomes"]:
            reasons[one["outcome"]][one["reason"]] += one["records"]
    rows, rejected = sum(part["rows"] for part in parts), reasons[REJECTED].total()
    if rejected > most * rows:
        worst = sorted(reasons[REJECTED].items(), key=lambda item: (-item[1], item[0]))[:5]
        raise BuildError(
            f"{rejected:,} of {rows:,} records are unreadable ({rejected / rows:.1%}), more than max_rejected = "
            f"{most:g}. Most often: " + "; ".join(f"{n:,} × {reason}" for reason, n in worst)
        )
    if not any(part["documents"] for part in parts):
        told = [f"{outcome} as: {_listed(reasons[outcome])}" for outcome in (DROPPED, REJECTED) if reasons[outcome]]
        why = f"Records were {'; '.join(told)}" if told else "There were no records"
        raise BuildError(f"The sources hold no document. {why}.")


def _listed(reasons: collections.Counter[str]) -> str:
    return ", ".join(f"{reason} ({n:,})" for reason, n in sorted(reasons.items()))


def score_parts(plan: Plan, parts: list[Part], engine: Engine, report: Reporter) -> None:
    """Compute those scores of those parts that are not in the store: new ones of parts that were read before."""
    place = plan.store
    ids = list(dict.fromkeys(part.id for part in parts))
    todo = [
        (fingerprint, part)
        for fingerprint in plan.scores
        for part in missing(place.path("scores", fingerprint), ids, ".parquet")
    ]
    tasks = [
        {"store": place.root, "part": part, "fingerprint": fingerprint, **plan.scores[fingerprint]}
        for fingerprint, part in todo
    ]

    def done() -> int:
        return sum(store.exists(place.score(fingerprint, part)) for fingerprint, part in todo)

    with report.stage("score", len(tasks), done):
        engine.each("score", f"{STAGES}.score:score_part", tasks, isolated=True)
