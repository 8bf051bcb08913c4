"""Progress of a build for people: counts, rates and time left; a live line on a terminal, plain lines elsewhere.

What is counted is finished files in the store, so it is the same on every engine.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TERMINAL_SECONDS = 0.5
PLAIN_SECONDS = 15.0

WIDE = 80
"""Columns of a terminal that has room for a bar, a rate and the time since the start."""


class _Rate(ProgressColumn):
    """How fast a stage goes: its speed in units, times what a unit holds."""

    def __init__(self, size: float, unit: str) -> None:
        super().__init__()
        self._size, self._unit = size, unit

    def render(self, task: Task) -> Text:
        """The rate, empty until something is finished."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed * self._size:.1f} {self._unit}")


class Reporter:
    """Says what a build does.

    Attributes:
        console: Where to; standard error, so that standard output stays for results.
        quiet: Say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Look at where standard error goes."""
        self.console = Console(stderr=True, highlight=False)
        self.quiet = quiet

    def say(self, line: str) -> None:
        """One line."""
        if not self.quiet:
            self.console.print(line, markup=False)

    @contextlib.contextmanager
    def stage(self, label: str, total: int, done: Callable[[], int], megabytes: float = 0.0) -> Iterator[None]:
        """Report on a stage while its body runs.

        Args:
            label: What is done, such as `read and score`.
            total: Units of work that are missing.
            done: Gives how many of them are finished by now.
            megabytes: What they amount to, for a rate.
        """
        if self.quiet or total == 0:
            yield
            return
        start = time.monotonic()
        stop = threading.Event()
        if self.console.is_terminal:
            rate = _Rate(megabytes / total, "MB/s") if megabytes else _Rate(1.0, "parts/s")
            wide = (BarColumn(), rate, TimeElapsedColumn()) if self.console.width >= WIDE else ()
            columns = (TextColumn("{task.description:<24}"), MofNCompleteColumn(), *wide, TimeRemainingColumn())
            live = Progress(*columns, console=self.console, transient=True)
            with live:
                task = live.add_task(label, total=total)
                watch = threading.Thread(
                    target=_watch,
                    args=(stop, TERMINAL_SECONDS, lambda: live.update(task, completed=_count(done))),
                )
                watch.start()
                try:
                    yield
                finally:
                    stop.set()
                    watch.join()
        else:
            self.say(f"{label}: {total} to do")
            line = lambda: self.say(_line(label, _count(done), total, megabytes, time.monotonic() - start))  # noqa: E731
            watch = threading.Thread(target=_watch, args=(stop, PLAIN_SECONDS, line))
            watch.start()
            try:
                yield
            finally:
                stop.set()
                watch.join()
        self.say(_line(label, total, total, megabytes, time.monotonic() - start))


def _count(done: Callable[[], int]) -> int:
    try:
        return done()
    except OSError:  # the count is for people: a listing that fails must not end the build
        return 0


def _watch(stop: threading.Event, seconds: float, tell: Callable[[], None]) -> None:
    pause = seconds
    while not stop.wait(pause):
        began = time.monotonic()
        tell()
        pause = max(seconds, 20 * (time.monotonic() - began))  # a listing of many keys is not asked for all the time


def _line(label: str, done: int, total: int, megabytes: float, seconds: float) -> str:
    line = f"{label}: {done} of {total}, {seconds:.1f} s"
    if megabytes and seconds and done:
        line += f", {megabytes * done / total / seconds:.1f} MB/s"
    if 0 < done < total:
        line += f", about {seconds * (total - done) / done:.0f} s left"
    return line
