"""A runner that was chosen: what it does, and what is looked at in its workers and their storage before work starts."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..files import store
from . import worker


class DryRun(Exception):  # noqa: N818 it ends a build that did what was asked
    """A job was made, and nothing was to be run."""


@dataclasses.dataclass
class Runner:
    """A runner that can be started.

    Attributes:
        name: As people write it.
        options: Beam's; use a copy for each pipeline, for some runners change them.
        local: Whether it groups in the memory of this process.
        elsewhere: Whether its workers may be on other machines.
        dry: Whether it only makes a job and runs nothing.
        pieces: Into how many elements a list of tasks is cut when the graph is made; 0 where the engine spreads them.
        say: What the user should know, a line each.
        job_service: Whether pipelines are sent to a job service, which gives errors back as its own texts.
        serve: Starts the engine's job server, unless it runs, and gives its address; one for all pipelines of a build.
        server_log: Gives what that job server has printed.
        minding: Opens what looks after the workers while a job runs, where the engine itself does not do it well.
        look: Runs a function with arguments on every worker, where the engine can; it raises what the function raises.
    """

    name: str
    options: Any
    local: bool = False
    elsewhere: bool = False
    dry: bool = False
    pieces: int = 0
    say: list[str] = dataclasses.field(default_factory=list)
    job_service: bool = False
    serve: Callable[[], str] | None = None
    server_log: Callable[[], bytes] | None = None
    minding: Callable[[], AbstractContextManager[None]] = nullcontext
    look: Callable[..., None] | None = None

    def settings(self, tasks: int) -> tuple[Any, int]:
        """Options of one pipeline, and the pieces of its list of tasks."""
        options, pieces = copy.deepcopy(self.options), min(self.pieces, tasks)
        if self.serve is not None:
            from apache_beam.options.pipeline_options import PortableOptions

            options.view_as(PortableOptions).job_endpoint = self.serve()
        if self.name == "DaskRunner":
            from apache_beam.runners.dask.dask_runner import DaskOptions

            options.view_as(DaskOptions).npartitions = pieces
        return options, pieces


def check_storage(runner: Runner, paths: Iterable[str], *, shared: bool) -> None:
    """See that workers of other machines reach what they read and write.

    Args:
        runner: The runner.
        paths: The result, the store and the sources, as the study and the command give them.
        shared: Whether the user says that all machines see them under the same names.

    Raises:
        UserError: A path is on a local disk; all such are named.
    """
    here = [path for path in paths if not store.is_remote(path)]
    if runner.elsewhere and here and not shared and not runner.dry:
        raise store.UserError(
            f"{runner.name} may run on other machines, which do not see {', '.join(here)}. Use s3:// or gs:// paths, or"
            " say --shared (before --) if every worker has these folders under the same names."
        )


def check_workers(runner: Runner, path: str) -> None:
    """Look at all workers now, where the engine lets us; elsewhere each looks at itself before its first task.

    Args:
        runner: The runner.
        path: A file in the store.

    Raises:
        UserError: A worker has another version of something, or does not see the store.
    """
    if runner.look is None:
        return
    try:
        runner.look(worker.check, worker.identity(), path)
    except store.UserError:
        raise
    except Exception as error:
        absent = missing_package(error)
        if absent is None:
            raise
        raise absent from None


def missing_package(error: Exception) -> store.UserError | None:
    """What to say where workers do not have this package at all; None for another error."""
    if "No module named 'tokenladder" not in str(error):
        return None
    return store.UserError("The workers do not have this package: install the same version in their environment.")
