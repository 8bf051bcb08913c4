"""The commands that write again what people look at: the report and the card."""

from __future__ import annotations

import click


@click.command(short_help="Write the report of a result again: one page to look at.")
@click.argument("out", type=click.Path())
@click.option("--to", "file", help="Where to write it; by default OUT/report.html.")
@click.option("--no-samples", is_flag=True, help="Leave out the texts of documents, to show the page to others.")
def report(out: str, file: str | None, *, no_samples: bool) -> None:
    """Write report.html of a result again, and print where it is.

    The page shows the funnel of each recipe, rungs and mixture, what other thresholds would do, scores, duplicates and
    samples. It is one file that needs no network. Every build writes it, too.

    Example: tokenladder report built --no-samples --to report.html
    """
    from .report import write_report

    click.echo(write_report(out, file, samples=not no_samples))


@click.command(short_help="Print the data card of a result, or write it again.")
@click.argument("out", type=click.Path())
@click.option("--write", is_flag=True, help="Write README.md and croissant.json into OUT in place of printing.")
def card(out: str, *, write: bool) -> None:
    """Print the data card of a result, with what people wrote into it, or write it again.

    Write your own words between the marks in OUT/README.md: every build keeps them.

    Example: tokenladder card built --write
    """
    from .card import make_card

    text = make_card(out, write=write)
    click.echo(f"{out}: README.md and croissant.json are written" if write else text)
