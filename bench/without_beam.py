"""`tokenladder` with plain loops in the place of Beam: the same functions on the same tasks, to see what Beam adds.

    python bench/without_beam.py build STUDY --out OUT

Tasks run in threads, one for each processor, as Beam's local runner is set to do; what is grouped by key is grouped in
a dictionary. Apache Beam is not even imported. For measuring only: it has no retries, and keeps every group in memory.
"""

from __future__ import annotations

import os
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def resolve(target: str) -> Any:
    """The function that `module:function` names."""
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)


class Engine:
    """The methods of `tokenladder.pipelines.engines.engine.Engine`, in plain loops."""

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Take what the other takes; the folder for lists of tasks is not needed."""
        self.folder = folder
        self.arguments = tuple(arguments)

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Run `target` once for each payload."""
        del label
        if isolated:
            from tokenladder.pipelines.engines import isolate

            self._map(lambda payload: isolate.call(target, payload), payloads)
        else:
            self._map(resolve(target), payloads)

    def exchange(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int = 0,
    ) -> None:
        """Run `emit` on each payload, then each function of `reduces` on each bucket of what came before."""
        del label, volume
        pairs = [pair for pairs in self._map(lambda payload: list(resolve(emit)(payload)), payloads) for pair in pairs]
        for target, payload in reduces:
            buckets: defaultdict[int, list[bytes]] = defaultdict(list)
            for bucket, value in pairs:
                buckets[bucket].append(value)

            def reduce(
                item: tuple[int, list[bytes]], target: str = target, payload: dict[str, Any] = payload
            ) -> list[tuple[int, bytes]]:
                return list(resolve(target)(*item, payload) or ())

            pairs = [pair for pairs in self._map(reduce, list(buckets.items())) for pair in pairs]

    def _map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(processors()) as pool:
            return list(pool.map(function, items))


def main() -> None:
    """Put the loops in the place of the module with Beam, then run the command."""
    module = types.ModuleType("tokenladder.pipelines.engines.engine")
    vars(module).update(Engine=Engine)
    sys.modules[module.__name__] = module
    from tokenladder.pipelines.commands.cli import cli

    status = 0
    try:
        cli(sys.argv[1:], prog_name="tokenladder")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    if "apache_beam" in sys.modules:
        sys.exit("Apache Beam was imported: this is no measure of a build without it")
    sys.exit(status)


if __name__ == "__main__":
    main()
