"""An engine in plain loops, in place of Beam's: for benchmarks that count or time stages one by one."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tokenladder.pipelines.drivers import build
from tokenladder.pipelines.engines.targets import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class PlainEngine:
    """The engine's methods; every payload is copied through JSON, as it is on its way to a worker."""

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Take what the other takes."""
        self.folder, self.arguments = folder, tuple(arguments)
        self.notes = ""

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Run `target` once for each payload."""
        del label, isolated
        for payload in payloads:
            resolve(target)(json.loads(json.dumps(payload)))

    def exchange(
        self,
        label: str,
        emit: str,
        reduces: Sequence[tuple[str, dict[str, Any]]],
        payloads: Sequence[dict[str, Any]],
        volume: int = 0,
    ) -> None:
        """Run `emit` on each payload, then each function of `reduces` on each bucket of what came before."""
        del volume
        pairs = [pair for payload in payloads for pair in resolve(emit)(json.loads(json.dumps(payload)))]
        for target, payload in reduces:
            groups: defaultdict[int, list[bytes]] = defaultdict(list)
            for bucket, value in pairs:
                groups[bucket].append(value)
            self.grouped(label, groups)
            pairs = [pair for item in groups.items() for pair in resolve(target)(*item, payload) or ()]

    def grouped(self, label: str, groups: Mapping[int, Sequence[bytes]]) -> None:
        """Look at what one shuffle of a stage brought together."""


@contextlib.contextmanager
def building_with(engine: type[PlainEngine]) -> Iterator[None]:
    """Builds inside the body run on this engine."""
    before = build.Engine
    build.Engine = engine  # type: ignore[misc,assignment]  # it has what a build calls
    try:
        yield
    finally:
        build.Engine = before  # type: ignore[misc]  # as it was
