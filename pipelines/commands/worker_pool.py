"""The command `worker-pool`; what it runs is imported when it runs."""

from __future__ import annotations

import click


@click.command("worker-pool", short_help="Start workers for engines on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=50000,
    show_default=True,
    help="Where it listens; 0 for a free port.",
)
@click.option("--host", default="localhost", show_default=True, help="Who reaches it can run code on this machine.")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def worker_pool(port: int, host: str, *, quiet: bool) -> None:
    """Start workers for Flink, Spark and other portable engines that build with --environment_type=EXTERNAL.

    One runs on each worker machine, until SIGTERM or Ctrl-C; engines then start their workers from one loaded process,
    in place of an interpreter for each worker of each stage.

    Example: tokenladder worker-pool --port 50000
    """
    import pkgutil

    from .. import stages
    from ..engines.worker_pool import LOADED, interrupted, serving

    own = [f"{stages.__name__}.{module.name}" for module in pkgutil.iter_modules(stages.__path__)]
    own.append("numba")  # which stages import with their first kernel
    end = interrupted()
    with serving(host, port, [*LOADED, *own]) as bound:
        if not quiet:
            click.echo(f"Workers are started for engines with --environment_config={_seen(host)}:{bound}")
        end.wait()


def _seen(host: str) -> str:
    """How programs of this machine reach a pool that listens there."""
    return "localhost" if host in {"0.0.0.0", "::", "[::]"} else host  # noqa: S104 compared
