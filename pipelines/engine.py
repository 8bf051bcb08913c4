"""The engine: runs lists of tasks through Beam, on any runner.

Lists of tasks are files, not constants of the graph, so a graph's size does not depend on the input. Beam is imported
when there is something to run: it takes two seconds, and a build that finds everything done needs none of it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from . import spill, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apache_beam import PTransform

SPILL_BYTES = 256 << 20
"""Bytes of an exchange above which a runner of one machine is given files in place of its own grouping."""

_CARRIED = re.compile(r'<<(\["(?:UserError|OSError)", ".*?"\])>>')


class Engine:
    """Runs lists of tasks.

    Attributes:
        folder: Where lists of tasks are written; every worker must reach it.
        arguments: Beam's own options; never part of a fingerprint.
    """

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Check the options now, so that a wrong one fails before work starts.

        Raises:
            UserError: Beam does not know an option's value.
        """
        self.folder = folder
        self.arguments = tuple(arguments)
        if arguments:
            from .transforms import options

            options(self.arguments)

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
            RuntimeError: A task failed otherwise.
        """
        if payloads:
            from .transforms import RunTasks

            listing = self._listing(label, payloads)
            self._run(RunTasks(label, listing, target, isolated=isolated))
            store.remove(listing)

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
            RuntimeError: A task failed otherwise.
        """
        if payloads and volume > SPILL_BYTES and self._is_local():
            self._spill(label, emit, reduces, payloads, volume)
        elif payloads:
            from .transforms import ExchangeArrays

            listing = self._listing(label, payloads)
            self._run(ExchangeArrays(label, listing, emit, reduces))
            store.remove(listing)

    def _is_local(self) -> bool:
        from .transforms import is_local

        return is_local(self.arguments)

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

    def _run(self, transform: PTransform) -> None:
        """Run a pipeline, and raise an error of its work again as what it was: runners keep only an error's text."""
        from .transforms import run

        try:
            run(transform, self.arguments)
        except Exception as error:
            found = _CARRIED.search(str(error))
            if found is None:
                raise
            kind, message = json.loads(found[1])
            raise (store.UserError if kind == "UserError" else OSError)(message) from None
