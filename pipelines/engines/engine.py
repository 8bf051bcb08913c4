"""The engine: runs lists of tasks through Beam, on any runner.

Lists of tasks are files, not constants of the graph, so a graph's size does not depend on the input. Beam is imported
when there is something to run: it takes two seconds, and a build that finds everything done needs none of it.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

from ..files import store
from . import failures, runners, spill, worker
from .runner import DryRun, check_workers, missing_package

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apache_beam import PTransform

    from .runner import Runner
    from .transforms import Listing

SPILL_BYTES = 256 << 20
"""Bytes of an exchange above which a runner of one machine is given files in place of its own grouping."""

_CARRIED = re.compile(r'<<(\["(?:UserError|OSError)", ".*?"\])>>')


class Engine:
    """Runs lists of tasks.

    Attributes:
        folder: Where lists of tasks are written; every worker must reach it.
        arguments: Beam's own options; never part of a fingerprint.
        notes: Folder in which workers keep notes for people; none unless a build names it.
        say: Tells the user a line; nobody unless a build does.
    """

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Check the options, and what the runner needs, now: what is missing is said before work starts.

        Raises:
            UserError: Beam does not know an option's value, or something that the runner needs is missing.
        """
        self.folder = folder
        self.arguments = tuple(arguments)
        self.notes = ""
        self.say: Callable[[str], None] = lambda _: None
        if arguments:
            if not self.runner.local:
                worker.identity()  # of what is loaded now: workers must have the same, whenever their job comes
            self._look_at_workers()

    @functools.cached_property
    def runner(self) -> Runner:
        """The runner; without options the first use imports Beam."""
        return runners.choose(self.arguments)

    def _look_at_workers(self) -> None:
        if self.runner.look is not None:
            probe = self._listing("workers", [])
            check_workers(self.runner, probe)
            store.remove(probe)

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Run `target` once for each payload; nothing happens for an empty list.

        Args:
            label: The stage's name, for people.
            target: `module:function`, a function of one JSON payload that reads and writes files.
            payloads: The tasks.
            isolated: Whether to run in child processes: native code that holds the lock, or untrusted input.

        Raises:
            UserError: A task raised one.
            OSError: A task could not read or write.
            RuntimeError: A task failed otherwise; a JobError, made for people, where a job service said so.
        """
        if payloads:
            from .transforms import RunTasks

            listing, options = self._listed(label, payloads)
            self._run(RunTasks(label, listing, target, isolated=isolated), options)
            store.remove(listing.path)

    def exchange(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int = 0,
    ) -> None:
        """Run `emit` on each payload, then each function of `reduces` on each bucket of what came before.

        Packed arrays of a bucket arrive in any order: the functions sort. A runner of this machine keeps all that it
        groups in memory, so what is large goes over files there (`spill`).

        Args:
            label: The stage's name, for people.
            emit: `module:function`: payload → pairs of a bucket's number and packed bytes.
            reduces: `module:function`: (bucket, values, payload) → pairs for the next one, or nothing.
            payloads: The tasks of `emit`.
            volume: Bytes that it moves, roughly.

        Raises:
            UserError: A task raised one.
            OSError: A task could not read or write.
            RuntimeError: A task failed otherwise; a JobError, made for people, where a job service said so.
        """
        if payloads and volume > SPILL_BYTES and self.runner.local:
            self._spill(label, emit, reduces, payloads, volume)
        elif payloads:
            from .transforms import ExchangeArrays

            listing, options = self._listed(label, payloads)
            self._run(ExchangeArrays(label, listing, emit, reduces), options)
            store.remove(listing.path)

    def _spill(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int,
    ) -> None:
        chunks = spill.chunks_of(volume)
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", label)
        folders = [  # of temporary names, so that they are swept if this process dies
            store.join(self.folder, "exchanges", store.temporary_name(f"{name}-{n}")) for n in range(len(reduces))
        ]

        def path(step: int, n: int) -> str | None:
            return store.join(folders[step], f"{n:07d}") if step < len(reduces) else None

        tasks = [
            {"target": emit, "payload": one, "path": path(0, n), "chunks": chunks} for n, one in enumerate(payloads)
        ]
        self.each(label, f"{spill.__name__}:emit", tasks)
        for step, (target, payload) in enumerate(reduces):
            common: dict[str, Any] = {"folder": folders[step], "target": target, "payload": payload, "chunks": chunks}
            tasks = [{**common, "chunk": n, "path": path(step + 1, n)} for n in range(chunks)]
            self.each(label, f"{spill.__name__}:reduce", tasks)
            store.remove_folder(folders[step])

    def _listing(self, label: str, payloads: Sequence[dict[str, Any]]) -> str:
        lines = "".join(json.dumps(payload, sort_keys=True) + "\n" for payload in payloads)
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", label)[:80]
        path = store.join(self.folder, "tasks", store.temporary_name(f"{name}.jsonl"))  # swept if this process dies
        store.write_bytes(path, lines.encode())
        return path

    def _listed(self, label: str, payloads: Sequence[dict[str, Any]]) -> tuple[Listing, Any]:
        """The list of tasks as a pipeline takes it, and the pipeline's options."""
        from .transforms import Listing

        options, pieces = self.runner.settings(len(payloads))
        wanted = None if self.runner.local else worker.identity()
        return Listing(self._listing(label, payloads), pieces, wanted, self.notes), options

    def _run(self, transform: PTransform, options: Any) -> None:
        """Run a pipeline, and raise an error of its work again as what it was: runners keep only an error's text."""
        from .transforms import run

        try:
            run(transform, options, say=self.say, dry=self.runner.dry, minding=self.runner.minding)
        except Exception as error:
            found = _CARRIED.search(str(error))
            if found is None:
                absent = missing_package(error)
                if absent is not None:
                    raise absent from None
                if self.runner.job_service:
                    raise failures.told(self.runner.name, transform.label, error, self.runner.server_log) from None
                raise
            kind, message = json.loads(found[1])
            raise (store.UserError if kind == "UserError" else OSError)(message) from None
        if self.runner.dry:
            raise DryRun(f"Dry run: the job of the stage '{transform.label}' was made. Nothing was run.")
