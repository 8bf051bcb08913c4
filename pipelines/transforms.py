"""Transforms: the two shapes of pipeline that a build is made of. Nothing else of a build imports Beam.

The work itself is in functions without Beam that take a JSON payload and read and write files; these classes wire them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

_level = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)  # Beam warns of Google libraries that no one asked for
import apache_beam as beam  # noqa: E402 after the level is set
from apache_beam.options.pipeline_options import (  # noqa: E402
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.worker import sdk_worker  # noqa: E402 the same

logging.getLogger().setLevel(_level)

from . import isolate, store  # noqa: E402 after Beam
from .processors import processors  # noqa: E402 the same
from .targets import resolve  # noqa: E402 the same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOCAL = ("DirectRunner", "FnApiRunner", "direct", None)
_logger = logging.getLogger(__name__)


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for the `print` with which Beam's workers show the traceback that they also raise: it is told once."""


sdk_worker.print = _say_nothing


def options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options from what follows `--` on the command line.

    Without a runner, or with DirectRunner, it is the FnApiRunner in threads, one for each processor. (DirectRunner by
    itself looks for a Prism binary first and falls back without a word.)

    Raises:
        UserError: Beam does not know the runner, or an option's value is none.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # argparse prints all that it knows and ends the process
            parsed = PipelineOptions(list(arguments))
            parsed.get_all_options()
    except SystemExit as error:
        told = said.getvalue().strip().rpartition("error: ")[2]
        raise store.UserError(f"After --, Beam's own options: {told}") from error
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
    try:
        beam.runners.create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise store.UserError(f"--runner={standard.runner}: {error}") from error
    return parsed


def is_local(arguments: Sequence[str]) -> bool:
    """Whether the runner groups in the memory of this one machine.

    >>> is_local([]), is_local(["--runner=DataflowRunner"])
    (True, False)
    """
    parsed = PipelineOptions(list(arguments)).view_as(StandardOptions)
    return any(str(parsed.runner).endswith(name) for name in map(str, LOCAL))


@contextlib.contextmanager
def _carrying() -> Iterator[None]:
    """Inside a worker: give errors for people a form that survives every runner, which keep only an error's text."""
    try:
        yield
    except (store.UserError, OSError) as error:
        kind = "UserError" if isinstance(error, store.UserError) else "OSError"
        raise RuntimeError(f"<<{json.dumps([kind, str(error)])}>>") from error


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


class ListTasks(beam.PTransform):
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


class RunTasks(beam.PTransform):
    """Run one function on each task of a list."""

    def __init__(self, label: str, listing: str, target: str, *, isolated: bool) -> None:
        """Keep the stage's name, the path of the list, and the function as `module:function`."""
        super().__init__(label)
        self._listing = listing
        self._work = Work(target, isolated=isolated)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[str]:
        """Give each function's value as JSON."""
        tasks = pipeline | ListTasks(self._listing)
        return tasks | "Work" >> beam.ParDo(self._work).with_output_types(str)


class ExchangeArrays(beam.PTransform):
    """Have one function emit packed arrays under bucket numbers, and others reduce each bucket, one after the other."""

    def __init__(self, label: str, listing: str, emit: str, reduces: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Keep the stage's name, the path of the list, and the functions as `module:function`."""
        super().__init__(label)
        self._listing = listing
        self._emit = Emit(emit)
        self._reduces = [Reduce(target, json.dumps(payload)) for target, payload in reduces]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[tuple[int, bytes]]:
        """Give what the last function yields; keys are typed, as an untyped one would silently be pickled."""
        pairs = pipeline | ListTasks(self._listing)
        pairs = pairs | "Emit" >> beam.ParDo(self._emit).with_output_types(tuple[int, bytes])
        for n, reduce in enumerate(self._reduces):
            pairs = pairs | f"Group {n}" >> beam.GroupByKey()
            pairs = pairs | f"Reduce {n}" >> beam.ParDo(reduce).with_output_types(tuple[int, bytes])
        return pairs


def run(transform: beam.PTransform, arguments: Sequence[str]) -> None:
    """Run a pipeline of one transform to its end.

    Raises:
        Exception: Whatever the runner raises; errors of the work are in its text.
    """
    beams = logging.getLogger("apache_beam")
    level = beams.level
    beams.setLevel(logging.CRITICAL)  # what fails is raised, and told once
    try:
        with beam.Pipeline(options=options(arguments)) as pipeline:
            pipeline | transform
    except BaseException:
        _hush_channels()
        raise
    finally:
        beams.setLevel(level)


@functools.cache
def _hush_channels() -> None:
    """From now on, say nothing of threads that read for a worker: those of a failed pipeline outlive its servers."""
    otherwise = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is None or failed.thread.name != "read_grpc_client_inputs":
            otherwise(failed)

    threading.excepthook = tell
