"""The commands that write again what people look at: the report and the card."""

from __future__ import annotations

import json

import click


@click.command(short_help="Write the report of a result again: one page to look at.")
@click.argument("out", type=click.Path())
@click.option("--to", "file", help="Where to write it; by default OUT/report.html.")
@click.option("--no-samples", is_flag=True, help="Leave out the texts of documents, to show the page to others.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers behind the page as JSON, and write nothing.")
@click.option("--quiet", is_flag=True, help="Do not print where the page is.")
def report(out: str, file: str | None, *, no_samples: bool, as_json: bool, quiet: bool) -> None:
    """Write report.html of a result again, and print where it is.

    The page shows the funnel of each recipe, rungs and mixture, what other thresholds would do, scores, duplicates and
    samples. It is one file that needs no network. Every build writes it, too.

    Example: tokenladder report built --no-samples --to report.html
    """
    from ..drivers.report import read_report, write_report

    if as_json:
        click.echo(json.dumps(read_report(out, samples=not no_samples), ensure_ascii=False))
        return
    page = write_report(out, file, samples=not no_samples)
    if not quiet:
        click.echo(page)


@click.command(short_help="Print the data card of a result, or write it again.")
@click.argument("out", type=click.Path())
@click.option("--write", is_flag=True, help="Write README.md and croissant.json into OUT in place of printing.")
@click.option("--json", "as_json", is_flag=True, help="Print croissant.json, what the card tells machines, instead.")
@click.option("--quiet", is_flag=True, help="Do not say what is written.")
def card(out: str, *, write: bool, as_json: bool, quiet: bool) -> None:
    """Print the data card of a result, with what people wrote into it, or write it again.

    Write your own words between the marks in OUT/README.md: every build keeps them.

    Example: tokenladder card built --write
    """
    from ..drivers.card import CARD, CROISSANT, make_card

    files = make_card(out, write=write)
    if as_json or not write:
        click.echo(files[CROISSANT if as_json else CARD], nl=not as_json)
    elif not quiet:
        click.echo(f"{out}: README.md and croissant.json are written")
