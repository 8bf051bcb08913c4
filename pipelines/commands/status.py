"""The commands `status OUT` and `build --status OUT`."""

from __future__ import annotations

import json

import click


@click.command("status", short_help="Show how far a build is.")
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status_command(out: str, *, as_json: bool) -> None:
    """Show how far the build in OUT is: stages, rates, time left, rejected records, the slowest parts.

    From any terminal, while it runs or afterwards. A dashboard may follow OUT/.build/progress.jsonl.

    Example: tokenladder status built
    """
    from ..watch.status import show, status

    found = status(out)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


def show_and_end(ctx: click.Context, _parameter: click.Parameter, out: str | None) -> None:
    """`build --status OUT`: show how far that build is, and build nothing."""
    if out is not None and not ctx.resilient_parsing:
        from ..watch.status import show, status

        show(status(out))
        ctx.exit()
