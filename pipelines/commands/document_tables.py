"""Documents for the terminal: why each is in or out, and what its rules and scores found."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ..ask.examine import NOT_ASKED
from .terminal import STRATA, printable, printable_text, show, titled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..ask.compare import Comparison, Overlap
    from ..ask.examine import Similar, Tried
    from ..ask.explain import Explanation, Verdict
    from ..ask.grep import Found
    from ..ask.sample import Drawn

WIDTH = 1 << 64
"""Priorities are below this."""

_STYLES = {"met": "green", "failed": "red"}


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _number(value: Any) -> str:
    """A value of a score, short."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    value = int(value) if isinstance(value, float) else value
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable(str(value), 60)


def show_explanations(explanations: Sequence[Explanation]) -> None:
    """What happened to each of some documents, and why."""
    console = _console()
    for one in explanations:
        console.print(printable(one.name), style="bold", markup=False)
        _line(console, "source", f"{one.source}, read from {printable(one.record)}")
        _line(console, "document", one.document or "none")
        if one.columns:
            _line(console, "", _listed(one.columns))
        for recipe, fate in one.fates.items():
            _line(console, printable(recipe), printable(fate))
            if recipe in one.verdicts:
                _show_verdict(console, one.verdicts[recipe])
        if one.cluster is not None:
            _line(console, "cluster", _cluster(one))
        for n, (score, columns) in enumerate(one.scores.items()):
            _line(console, "" if n else "scores", f"{printable(score)}: {_listed(columns)}")
        if one.text is not None:
            for n, line in enumerate(one.text.splitlines()):
                _line(console, "" if n else "text", printable(line))


def _line(console: Console, name: str, text: str) -> None:
    console.print(f"  {name:<9} {text}", markup=False, emoji=False)


def _listed(columns: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_number(value)}" for name, value in columns.items() if value is not None
    )


def _cluster(one: Explanation) -> str:
    cluster = one.cluster
    assert cluster is not None  # noqa: S101 the caller looked
    if cluster.leads:
        return f"{cluster.size:,} documents around this one"
    share = cluster.similarity
    how = f"{share:.0%} of it stands in" if cluster.contained else f"similarity {share:.2f} to"
    return f"{cluster.size:,} documents; {how} the leader, {cluster.leader}"


def _similar(similar: Similar | None) -> str:
    if similar is None:
        return ""
    named = {"estimated": similar.estimated, "exact": similar.exact}
    found = ", ".join(f"{value:.3f} {name}" for name, value in named.items() if value is not None)
    return f"; Jaccard similarity {found}" if found else ""


def _show_verdict(console: Console, verdict: Verdict) -> None:
    survivor = verdict.survivor
    if survivor is not None and survivor.name is not None:
        _line(console, "", f"near {printable(survivor.name)} ({survivor.source}){_similar(survivor.similar)}")
    rules = [tried for tried in verdict.rules if tried.outcome != NOT_ASKED]
    longest = min(60, max((len(tried.rule) for tried in rules), default=0))
    for tried in rules:
        text = Text(f"            {tried.outcome:<10}", _STYLES.get(tried.outcome, "dim"))
        console.print(text.append(f"  {printable(tried.rule):<{longest}}  {_found(tried)}".rstrip(), ""))
    if verdict.priority is not None:
        place = verdict.place
        where = f"priority {verdict.priority:,}: before it come {verdict.priority / WIDTH:.1%} of all documents"
        if place is not None:
            where = (
                f"begins in sequence {place.sequence:,} at token {place.position:,} ({place.shard}), after "
                f"{place.offset:,} tokens of {printable(place.stratum)}; priority {verdict.priority:,}"
            )
        _line(console, "", where)


def _found(tried: Tried) -> str:
    found = [_number(value) for value in (tried.label, tried.value) if value is not None]
    if tried.cut is not None:
        found.append(f"(the last one that is in has {_number(tried.cut)})")
    return " ".join(found)


def _head(told: dict[str, Any]) -> str:
    """One line on a document, from the ledger."""
    outcome = told["outcome"].replace("_", " ")
    why = f": {printable(told['reason'])}" if told["reason"] not in {None, outcome} else ""
    tokens = f", {told['tokens']:,} tokens from rung {told['first_rung']} on" if told["tokens"] else ""
    return f"{told['document'] or 'no document'}  {told['source']}  {told['recipe']}: {outcome}{why}{tokens}"


def show_sample(drawn: Iterable[Drawn], characters: int) -> None:
    """Documents one after the other, each with the beginning of its text."""
    console = _console()
    for one in drawn:
        console.print(printable(one.told["name"]), style="bold", markup=False)
        console.print(_head(one.told), style="dim", markup=False)
        if one.text is not None:
            console.print(printable_text(one.text[:characters]), markup=False, emoji=False)
            if len(one.text) > characters:
                console.print(f"… {len(one.text) - characters:,} more characters", style="dim", markup=False)
        console.print()


def show_found(found: Iterable[Found]) -> int:
    """Lines with a match below their documents; returns the number of documents."""
    console, count = _console(), 0
    for count, one in enumerate(found, start=1):  # noqa: B007 the last one is returned
        console.print(printable(one.told["name"]), style="bold", markup=False)
        console.print(_head(one.told), style="dim", markup=False)
        for match in one.matches:
            text = Text(f"{match.line:>7,}: ", "dim")
            text.append(printable(match.text[: match.start]), "")
            text.append(printable(match.text[match.start : match.end]), "bold red")
            text.append(printable(match.text[match.end :]), "")
            console.print(text, emoji=False)
        if one.more:
            console.print("         and further lines", style="dim")
    return count


def show_comparison(found: Comparison, samples: int) -> None:
    """What two recipes share, and what parts them."""
    console = _console()
    console.print(f"A  {printable(found.a)}\nB  {printable(found.b)}\n", markup=False)
    table = titled("documents and tokens", "rungs", "in both", "tokens", "only A", "tokens", "only B", "tokens")
    for one in [*found.rungs, *([] if found.all in _unnamed(found) else [found.all])]:
        cells = (one.both, one.tokens_both_a, one.only_a, one.tokens_only_a, one.only_b, one.tokens_only_b)
        table.add_row(one.rung or "largest", *(f"{cell:,}" for cell in cells))
    show(table)
    if found.all.tokens_both_a != found.all.tokens_both_b:
        told = f"Each has its own tokenizer: what both have is {found.all.tokens_both_b:,} tokens by B's; shares, too,"
        console.print(f"{told} are of each one's own tokens.", markup=False)
    console.print()
    shifts = titled("mixture", "stratum", "A", "B", "shift")
    for shift in found.strata[:STRATA]:
        shifts.add_row(
            escape(printable(shift.stratum)), f"{shift.a:.2%}", f"{shift.b:.2%}", f"{100 * (shift.b - shift.a):+.2f}"
        )
    show(shifts)
    console.print()
    for mine, other, groups in (("A", "B", found.only_a), ("B", "A", found.only_b)):
        console.print(f"only {mine}: what {other} says of it", style="bold")
        for group in groups:
            outcome = group.outcome.replace("_", " ")
            why = f"{outcome}: {group.reason}" if group.reason not in {None, outcome} else outcome
            line = f"  {printable(why)}: {group.documents:,} documents, {group.tokens:,} tokens"
            console.print(line, markup=False, emoji=False)
            for drawn in group.samples[:samples]:
                line = f"    {drawn.document}  {drawn.tokens:>7,}  {printable(drawn.name)} ({drawn.source})"
                console.print(line, style="dim", markup=False, emoji=False)
        if not groups:
            console.print("  nothing")
        console.print()


def _unnamed(found: Comparison) -> list[Overlap]:
    """The overlaps without their names: the largest rungs' may be one of them."""
    return [dataclasses.replace(one, rung=None) for one in found.rungs]
