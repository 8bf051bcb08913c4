"""Transforms: the two shapes of pipeline that a build is made of. Nothing else of a build imports Beam.

The work itself is in functions without Beam that take a JSON payload and read and write files; these classes wire them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

_level = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)  # Beam warns of Google libraries that no one asked for
import apache_beam as beam  # noqa: E402 after the level is set
import grpc  # noqa: E402 Beam's
from apache_beam.metrics import Metrics  # noqa: E402 the same
from apache_beam.runners.worker import sdk_worker  # noqa: E402 the same

logging.getLogger().setLevel(_level)

from ..files import patience, store  # noqa: E402 after Beam
from ..watch import notes  # noqa: E402 after Beam
from . import dask_wait, failures, isolate, worker  # noqa: E402 after Beam
from .targets import resolve  # noqa: E402 the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for the `print` with which Beam's workers show the traceback that they also raise: it is told once."""


sdk_worker.print = _say_nothing


@contextlib.contextmanager
def _carrying() -> Iterator[None]:
    """Inside a worker: give errors for people a form that survives every runner, which keep only an error's text."""
    try:
        yield
    except (store.UserError, OSError) as error:
        kind = "UserError" if isinstance(error, store.UserError) else "OSError"
        raise RuntimeError(f"<<{json.dumps([kind, str(error)])}>>") from error


class ReadTasks(beam.DoFn):
    """From the number of a piece of a list to the tasks in it."""

    def __init__(self, listing: Listing) -> None:
        """Keep the list's path, and how many pieces it has."""
        self._path, self._pieces = listing.path, max(1, listing.pieces)

    def process(self, piece: int | bytes) -> Iterator[str]:
        """Yield one JSON text for each task of a piece; the empty impulse is that of the whole list."""
        with _carrying():
            tasks = store.read_bytes(self._path).decode().splitlines()
        yield from tasks[int(piece or 0) :: self._pieces]


class Checked(beam.DoFn):
    """What each worker asks itself before its first task, where workers may be other machines or environments."""

    def __init__(self, wanted: dict[str, str] | None, listing: str) -> None:
        """Keep what a worker must be equal to (nothing is asked if None), and a file that it must see."""
        self._wanted = wanted
        self._listing = listing

    def setup(self) -> None:
        """Refuse to work where the code is another one."""
        patience.ANSWERED.set()
        if self._wanted is not None:
            with _carrying():
                worker.check(self._wanted, self._listing)


class Work(Checked):
    """Runs one function on each task, in a child process or in this thread."""

    def __init__(self, stage: str, listing: Listing, target: str, *, isolated: bool) -> None:
        """Name the stage, and the function as `module:function`."""
        super().__init__(listing.wanted, listing.path)
        self._target = target
        self._isolated = isolated
        self._stage, self._notes = stage, listing.notes
        self._tasks = Metrics.counter("tokenladder", f"{stage} tasks")
        self._milliseconds = Metrics.distribution("tokenladder", f"{stage} milliseconds")

    def process(self, task: str) -> Iterator[str]:
        """Yield the function's value as JSON."""
        payload, began = json.loads(task), time.monotonic()
        with _carrying(), notes.notebook(self._notes).task(self._stage, payload) as note:
            if self._isolated:
                note.value = isolate.call(self._target, payload, watch=note.at)
            else:
                note.value = resolve(self._target)(payload)
        self._tasks.inc()
        self._milliseconds.update(int(1000 * (time.monotonic() - began)))
        yield json.dumps(note.value)

    def teardown(self) -> None:
        """Leave what was noted."""
        notes.notebook(self._notes).flush()


class Emit(Checked):
    """Runs one function on each task that yields (bucket, packed array) pairs."""

    def __init__(self, stage: str, listing: Listing, target: str) -> None:
        """Name the stage, and the function as `module:function`."""
        super().__init__(listing.wanted, listing.path)
        self._target = target
        self._bytes = Metrics.distribution("tokenladder", f"{stage} bytes of a value")

    def process(self, task: str) -> Iterator[tuple[int, bytes]]:
        """Yield what the function yields."""
        with _carrying():
            for bucket, value in resolve(self._target)(json.loads(task)):
                self._bytes.update(len(value))
                yield bucket, value


class Reduce(Checked):
    """Runs one function on all packed arrays of a bucket; it may yield pairs for a second exchange."""

    def __init__(self, stage: str, listing: Listing, target: str, payload: str) -> None:
        """Name the stage, and the function as `module:function`; the payload is the same for every bucket."""
        super().__init__(listing.wanted, listing.path)
        self._target = target
        self._payload = payload
        self._groups = Metrics.counter("tokenladder", f"{stage} groups")

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield what the function yields."""
        bucket, values = group
        self._groups.inc()
        with _carrying():
            yield from resolve(self._target)(bucket, values, json.loads(self._payload))


@dataclasses.dataclass
class Listing:
    """A list of tasks in the store.

    Attributes:
        path: The file, a JSON text a line; it is data, so a graph's size does not depend on it.
        pieces: Elements that the graph is made with, on an engine whose reshuffle does nothing (Dask); 0 elsewhere.
        wanted: What each worker must be equal to, or None.
        notes: The folder in which workers keep notes for people; none without.
    """

    path: str
    pieces: int = 0
    wanted: dict[str, str] | None = None
    notes: str = ""


class ListTasks(beam.PTransform):
    """The tasks of a list file, spread over the workers."""

    def __init__(self, listing: Listing) -> None:
        """Keep the list."""
        super().__init__()
        self._listing = listing

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[str]:
        """Read the list and break the fusion with what follows."""
        pieces = self._listing.pieces
        # an impulse is one transform, `Create` is six: of 0.3 s that a pipeline without work takes they were a fifth
        begin = beam.Create(range(pieces)) if pieces else beam.Impulse()  # which Dask does not know
        return (
            pipeline
            | "Name the pieces" >> begin
            | "Read the list" >> beam.ParDo(ReadTasks(self._listing)).with_output_types(str)
            | "Spread the tasks" >> beam.Reshuffle()
        )


class RunTasks(beam.PTransform):
    """Run one function on each task of a list."""

    def __init__(self, label: str, listing: Listing, target: str, *, isolated: bool) -> None:
        """Keep the stage's name, the list, and the function as `module:function`."""
        super().__init__(label)
        self._listing = listing
        self._work = Work(label, listing, target, isolated=isolated)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[str]:
        """Give each function's value as JSON."""
        tasks = pipeline | ListTasks(self._listing)
        return tasks | "Work" >> beam.ParDo(self._work).with_output_types(str)


class ExchangeArrays(beam.PTransform):
    """Have one function emit packed arrays under bucket numbers, and others reduce each bucket, one after the other."""

    def __init__(self, label: str, listing: Listing, emit: str, reduces: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Keep the stage's name, the list, and the functions as `module:function`."""
        super().__init__(label)
        self._listing = listing
        self._emit = Emit(label, listing, emit)
        self._reduces = [Reduce(label, listing, target, json.dumps(payload)) for target, payload in reduces]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[tuple[int, bytes]]:
        """Give what the last function yields; keys are typed, as an untyped one would silently be pickled."""
        pairs = pipeline | ListTasks(self._listing)
        pairs = pairs | "Emit" >> beam.ParDo(self._emit).with_output_types(tuple[int, bytes])
        for n, reduce in enumerate(self._reduces):
            pairs = pairs | f"Group {n}" >> beam.GroupByKey()
            pairs = pairs | f"Reduce {n}" >> beam.ParDo(reduce).with_output_types(tuple[int, bytes])
        return pairs


def run(
    transform: beam.PTransform,
    options: Any,
    *,
    say: Callable[[str], None],
    dry: bool = False,
    minding: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Run a pipeline of one transform to its end.

    Args:
        transform: The transform.
        options: Beam's; they may be changed.
        say: Tells the user a line, such as what is waited for.
        dry: Whether the options only have a job made: there is no end to wait for.
        minding: Opens what looks after the workers while the pipeline runs.

    Raises:
        Exception: Whatever the runner raises; errors of the work are in its text.
    """
    beams = logging.getLogger("apache_beam")
    level = beams.level
    beams.setLevel(logging.CRITICAL)  # what fails is raised, and told once
    _hush_channels()
    try:
        pipeline = beam.Pipeline(options=options)
        pipeline | transform
        with failures.quiet_jobs(), minding():
            try:
                result = pipeline.run()
            except OSError as error:
                raise dask_wait.explain(error, options) from None
            if dry:
                return
            if not hasattr(result, "client"):
                result.wait_until_finish()
                return
            try:
                dask_wait.wait(result.client, result.futures, say)
            finally:
                result.client.close()  # one for each pipeline, which nothing else closes
    finally:
        beams.setLevel(level)


@functools.cache
def _hush_channels() -> None:
    """From now on, say nothing of threads that read for a worker or a job: they may outlive the server they read from.

    So it is when a pipeline failed, when a server was killed, and with Flink and Spark when a pipeline is done. What is
    wrong comes from the runner.
    """
    otherwise = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        name = "" if failed.thread is None else failed.thread.name
        hung_up = name.startswith(("run_worker", "wait_until_finish")) and isinstance(failed.exc_value, grpc.RpcError)
        if name != "read_grpc_client_inputs" and not hung_up:
            otherwise(failed)

    threading.excepthook = tell
