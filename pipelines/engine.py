"""Beam, and nothing but: two shapes of pipeline over lists of tasks, on any runner.

The work itself is in functions without Beam that take a JSON payload and read and write files. `each` runs one over a
list of tasks. `exchange` has one function emit packed arrays under bucket numbers, and another reduce every bucket.
Lists of tasks are files, not constants of the graph, so a graph's size does not depend on the input.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any

_quiet = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)  # Beam warns of Google libraries that no one asked for
import apache_beam as beam  # noqa: E402 after the level is set
from apache_beam.options.pipeline_options import (  # noqa: E402
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)

logging.getLogger().setLevel(_quiet)

from . import isolate, store  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOCAL = ("DirectRunner", "FnApiRunner", "direct", None)
_CARRIED = re.compile(r'<<(\["(?:UserError|OSError)", ".*?"\])>>')
_logger = logging.getLogger(__name__)


def options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options from what follows `--` on the command line.

    Without a runner, or with DirectRunner, it is the FnApiRunner in threads, one for each processor. (DirectRunner by
    itself looks for a Prism binary first and falls back without a word.)

    Raises:
        UserError: Beam does not know the runner.
    """
    parsed = PipelineOptions(list(arguments))
    standard = parsed.view_as(StandardOptions)
    if standard.runner in LOCAL:
        if standard.runner == "DirectRunner":
            _logger.info("DirectRunner means Beam's FnApiRunner here")
        standard.runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
        direct = parsed.view_as(DirectOptions)
        if not any(argument.startswith("--direct_running_mode") for argument in arguments):
            direct.direct_running_mode = "multi_threading"
        if not any(argument.startswith("--direct_num_workers") for argument in arguments):
            direct.direct_num_workers = processors()
    return parsed


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve(target: str) -> Any:
    """The function that `module:function` names."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


@contextlib.contextmanager
def _carrying() -> Iterator[None]:
    """Inside a worker: give errors for people a form that survives every runner, which keep only an error's text."""
    try:
        yield
    except (store.UserError, OSError) as error:
        kind = "UserError" if isinstance(error, store.UserError) else "OSError"
        raise RuntimeError(f"<<{json.dumps([kind, str(error)])}>>") from error


@contextlib.contextmanager
def _unwrapping() -> Iterator[None]:
    """Around a pipeline: raise such an error again as what it was, without Beam's own report of it."""
    beams = logging.getLogger("apache_beam")
    level = beams.level
    beams.setLevel(logging.CRITICAL)
    try:
        yield
    except Exception as error:
        found = _CARRIED.search(str(error))
        if found is None:
            raise
        kind, message = json.loads(found[1])
        raise (store.UserError if kind == "UserError" else OSError)(message) from None
    finally:
        beams.setLevel(level)


class ReadTasks(beam.DoFn):
    """From the path of a list to its tasks."""

    def process(self, listing: str) -> Iterator[str]:
        """Yield one JSON text for each task."""
        yield from store.read_bytes(listing).decode().splitlines()


class Work(beam.DoFn):
    """Runs one function on each task, in a child process or in this thread."""

    def __init__(self, target: str, *, isolated: bool) -> None:
        """Name the function as `module:function`."""
        self._target = target
        self._isolated = isolated

    def process(self, task: str) -> Iterator[str]:
        """Yield the function's value as JSON."""
        payload = json.loads(task)
        with _carrying():
            value = isolate.call(self._target, payload) if self._isolated else resolve(self._target)(payload)
        yield json.dumps(value)


class Emit(beam.DoFn):
    """Runs one function on each task that yields (bucket, packed array) pairs."""

    def __init__(self, target: str) -> None:
        """Name the function as `module:function`."""
        self._target = target

    def process(self, task: str) -> Iterator[tuple[int, bytes]]:
        """Yield what the function yields."""
        with _carrying():
            yield from resolve(self._target)(json.loads(task))


class Reduce(beam.DoFn):
    """Runs one function on all packed arrays of a bucket; it may yield pairs for a second exchange."""

    def __init__(self, target: str, payload: str) -> None:
        """Name the function as `module:function`; the payload is the same for every bucket."""
        self._target = target
        self._payload = payload

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield what the function yields."""
        bucket, values = group
        with _carrying():
            yield from resolve(self._target)(bucket, values, json.loads(self._payload))


class Tasks(beam.PTransform):
    """The tasks of a list file, spread over the workers."""

    def __init__(self, listing: str) -> None:
        """Keep the path of the list."""
        super().__init__()
        self._listing = listing

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[str]:
        """Read the list and break the fusion with what follows."""
        return (
            pipeline
            | "Name the list" >> beam.Create([self._listing])
            | "Read the list" >> beam.ParDo(ReadTasks()).with_output_types(str)
            | "Spread the tasks" >> beam.Reshuffle()
        )


class Engine:
    """Runs lists of tasks through Beam.

    Attributes:
        folder: Where lists of tasks are written; every worker must reach it.
        arguments: Beam's own options; never part of a fingerprint.
    """

    def __init__(self, folder: str, arguments: Sequence[str] = ()) -> None:
        """Check the options now, so that a wrong one fails before work starts."""
        self.folder = folder
        self.arguments = tuple(arguments)
        self._options = functools.partial(options, self.arguments)
        self._options()

    def _listing(self, label: str, payloads: Sequence[dict[str, Any]]) -> str:
        lines = "".join(json.dumps(payload, sort_keys=True) + "\n" for payload in payloads)
        name = store.fingerprint(lines)
        path = store.join(self.folder, "tasks", f"{label.replace(' ', '-')}-{name}.jsonl")
        store.write_bytes(path, lines.encode())
        return path

    def each(self, label: str, target: str, payloads: Sequence[dict[str, Any]], *, isolated: bool = False) -> None:
        """Run `target` once for each payload; nothing happens for an empty list.

        Args:
            label: The stage's name, for people.
            target: `module:function`, a function of one JSON payload that reads and writes files.
            payloads: The tasks.
            isolated: Whether to run in child processes: native code that holds the lock, or untrusted input.

        Raises:
            OSError: A task could not read or write.
            RuntimeError: A task failed otherwise.
        """
        if not payloads:
            return
        listing = self._listing(label, payloads)
        with _unwrapping(), beam.Pipeline(options=self._options()) as pipeline:
            (
                pipeline
                | f"{label}: list" >> Tasks(listing)
                | f"{label}: work" >> beam.ParDo(Work(target, isolated=isolated)).with_output_types(str)
            )
        store.remove(listing)

    def exchange(
        self, label: str, emit: str, reduces: Sequence[tuple[str, dict[str, Any]]], payloads: Sequence[dict[str, Any]]
    ) -> None:
        """Run `emit` on each payload, then each function of `reduces` on each bucket of what came before.

        Packed arrays of a bucket arrive in any order: the functions sort.

        Args:
            label: The stage's name, for people.
            emit: `module:function`: payload → pairs of a bucket's number and packed bytes.
            reduces: `module:function`: (bucket, values, payload) → pairs for the next one, or nothing.
            payloads: The tasks of `emit`.
        """
        if not payloads:
            return
        listing = self._listing(label, payloads)
        with _unwrapping(), beam.Pipeline(options=self._options()) as pipeline:
            pairs = (
                pipeline
                | f"{label}: list" >> Tasks(listing)
                | f"{label}: emit" >> beam.ParDo(Emit(emit)).with_output_types(tuple[int, bytes])
            )
            for n, (target, payload) in enumerate(reduces):
                pairs = (
                    pairs
                    | f"{label}: group {n}" >> beam.GroupByKey()
                    | f"{label}: reduce {n}"
                    >> beam.ParDo(Reduce(target, json.dumps(payload))).with_output_types(tuple[int, bytes])
                )
        store.remove(listing)
