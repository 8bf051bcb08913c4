"""The commands that ask about a result and its documents."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from . import complete

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTCOMES = ("kept", "dropped", "duplicate", "over_budget", "held_out", "rejected")
"""As `schema.OUTCOMES`, which would bring Arrow: `--help` does without."""

LOOKING = frozenset({"diff", "explain", "grep", "sample", "status"})
"""Commands that look something up, and should answer at once."""


@click.command(short_help="Say why a document is in or out of each recipe.")
@click.argument("out", type=click.Path())
@click.argument("document")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def explain(out: str, document: str, *, as_json: bool) -> None:
    """Say why DOCUMENT is in or out of each recipe: its id, its URL or path, or the end of one, or words of its text.

    Tells what each rule and score found of it, its near duplicates, and where it stands in the stream. An id or a name
    is found by an index; for words of a text, all texts are read.

    Example: tokenladder explain built json/decoder.py
    """
    import dataclasses

    from ..ask.explain import explain as look
    from .document_tables import show_explanations

    found = look(out, document)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        show_explanations(found)


def _which(command: Any) -> Any:
    """The options by which records are chosen."""
    options = [
        click.option("--recipe", help="The recipe; the first one by default.", shell_complete=complete.recipes),
        click.option("--rung", help="Only what stands in this rung.", shell_complete=complete.rungs),
        click.option("--stratum", help="Only what is of this stratum.", shell_complete=complete.strata),
        click.option("--source", help="Only what is of this source.", shell_complete=complete.sources),
        click.option(
            "--outcome",
            "outcomes",
            multiple=True,
            type=click.Choice([*OUTCOMES, "all"]),
            help="Only these bins of the ledger.  [default: kept; all with --rule]",
        ),
        click.option("--rule", help="Only what a reason with these words dropped or rejected."),
        click.option("--as-read", is_flag=True, help="Texts as they were read, before lines are cut and finds masked."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _wanted(given: dict[str, Any]) -> Any:
    from ..ask.records import Wanted

    default = () if given["rule"] is not None else ("kept",)
    outcomes = () if "all" in given["outcomes"] else given["outcomes"] or default
    return Wanted(given["recipe"], given["rung"], given["stratum"], given["source"], outcomes, given["rule"])


@click.command(short_help="Show some documents, drawn by a seed.")
@click.argument("out", type=click.Path())
@click.option("--count", default=10, type=click.IntRange(1), show_default=True, help="How many.")
@click.option(
    "--seed", default=0, type=click.IntRange(0, (1 << 64) - 1), show_default=True, help="Another seed draws others."
)
@click.option("--characters", default=500, type=click.IntRange(0), show_default=True, help="Shown of each text.")
@_which
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each, with its whole text.")
def sample(out: str, count: int, seed: int, characters: int, *, as_read: bool, as_json: bool, **which: Any) -> None:
    """Show documents of OUT that fit, drawn by a hash of seed and content: the same ones wherever they stand.

    Example: tokenladder sample built --rule gopher --count 3
    """
    from ..ask.sample import as_lines
    from ..ask.sample import sample as draw
    from .document_tables import show_sample

    drawn = draw(out, _wanted(which), count, seed, as_read=as_read)
    if as_json:
        _print_lines(as_lines(drawn))
    else:
        show_sample(drawn, characters)


@click.command(short_help="Find a pattern in the texts of documents.")
@click.argument("pattern")
@click.argument("out", type=click.Path())
@click.option("-i", "--ignore-case", is_flag=True, help="A letter stands for both its cases.")
@click.option("-l", "--names", is_flag=True, help="Print the names of documents alone.")
@click.option("-c", "--count", "counts", is_flag=True, help="Print the number of documents alone.")
@click.option("--most", default=100, type=click.IntRange(0), show_default=True, help="Documents shown; 0 for all.")
@click.option("--lines", default=3, type=click.IntRange(1), show_default=True, help="Lines of each.")
@_which
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each document.")
def grep(
    pattern: str,
    out: str,
    most: int,
    lines: int,
    *,
    ignore_case: bool,
    names: bool,
    counts: bool,
    as_read: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Find PATTERN, of RE2, in the texts of documents of OUT that fit; ^ and $ stand for the ends of lines.

    Exit status 1 if nothing is found.

    Example: tokenladder grep -i 'subscribe to our (newsletter|channel)' built --outcome dropped
    """
    import dataclasses
    import itertools

    from ..ask.grep import grep as search
    from .document_tables import show_found
    from .terminal import printable

    found = search(out, pattern, _wanted(which), lines, ignore_case=ignore_case, as_read=as_read)
    shown = itertools.islice(found, None if counts or not most else most)
    if counts:
        count = sum(1 for _ in shown)
        click.echo(f"{count:,}")
    elif as_json:
        count = _print_lines(dataclasses.asdict(one) for one in shown)
    elif names:
        listed = [printable(one.told["name"]) for one in shown]
        count = len(listed)
        click.echo("\n".join(listed))
    else:
        count = show_found(shown)
        if most and count == most and next(found, None) is not None:
            click.echo(f"More than {most:,} documents; --most 0 shows all.", err=True)
    if not count:
        sys.exit(1)


def _print_lines(values: Iterable[Any]) -> int:
    count = 0
    for value in values:
        click.echo(json.dumps(value, ensure_ascii=False))
        count += 1
    return count


@click.command(short_help="Say where two recipes part, and why.")
@click.argument("first", metavar="OUT:RECIPE", shell_complete=complete.recipes_of_builds)
@click.argument("second", metavar="OUT:RECIPE", shell_complete=complete.recipes_of_builds)
@click.option("--samples", default=3, type=click.IntRange(0, 10), show_default=True, help="Documents shown of a group.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with ten documents of a group.")
def diff(first: str, second: str, samples: int, *, as_json: bool) -> None:
    """Say which documents two recipes share, which only one has and what parts them, of one build or of two.

    Documents are the same where their texts are. A group is what one recipe has and the other has not for one reason:
    its first rule that the documents fail.

    Example: tokenladder diff built:everything built:clean
    """
    import dataclasses

    from ..ask.compare import compare
    from .document_tables import show_comparison

    found = compare(first, second)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    else:
        show_comparison(found, samples)


@click.command(short_help="Check every promise that a result makes.")
@click.argument("out", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing but what does not hold.")
def verify(out: str, *, as_json: bool, quiet: bool) -> None:
    """Check every promise that can be checked from a result: budgets, nesting, mixture, hashes, ledger, held-out set.

    Counts again from the shards themselves. Exit status 1 if anything does not hold.

    Example: tokenladder verify built
    """
    import dataclasses

    from ..recount.verify import verify as check
    from .tables import show_checks

    checks = check(out)
    shown = [one for one in checks if not (quiet and one.holds)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in shown], indent=2, ensure_ascii=False))
    elif shown:
        show_checks(shown)
    if not all(one.holds for one in checks):
        sys.exit(1)


@click.command(short_help="Show sequences as text.")
@click.argument("out", type=click.Path())
@click.argument("recipe", shell_complete=complete.recipes_and_streams)
@click.argument("sequences", default="0")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each sequence.")
def decode(out: str, recipe: str, sequences: str, *, as_json: bool) -> None:
    """Show SEQUENCES of RECIPE as text, with the borders and names of documents.

    SEQUENCES is 7 for one, 7:10 for three, 7: for all from there on. RECIPE may be a rung (RECIPE-RUNG), a curriculum,
    or held_out.

    Example: tokenladder decode built clean 0:2
    """
    import dataclasses

    from ..ask.decode import decode as look
    from .tables import show_sequence

    found = look(out, recipe, sequences)
    if as_json:
        _print_lines(dataclasses.asdict(one) for one in found)
    else:
        for one in found:
            show_sequence(one)
