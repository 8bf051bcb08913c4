"""The command `tokenladder report`."""

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
