"""Progress of a build for people: counts, rates and time left; a live line on a terminal, plain lines elsewhere.

What is counted is finished files in the store, so it is the same on every engine. The same goes into the journal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
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

from ..files.schema import REJECTED
from . import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .journal import Journal

TERMINAL_SECONDS = 0.5
PLAIN_SECONDS = 15.0

STILL_SECONDS = 600.0
"""A stage in which nothing was finished, and no record read, for so long is told of, with what is at work."""

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
        self._journal: Journal | None = None
        self._about = ""

    def say(self, line: str) -> None:
        """One line."""
        if not self.quiet:
            self.console.print(line, markup=False)

    @contextlib.contextmanager
    def to(self, journal: Journal) -> Iterator[None]:
        """Tell all that follows to a journal too, quiet or not, and how it ends."""
        self._journal = journal
        status = "failed"
        try:
            yield
            status = "done"
        finally:
            if journal.begun:
                journal.tell("end", status=status)
            self._journal = None

    @contextlib.contextmanager
    def about(self, what: str) -> Iterator[None]:
        """Name what the stages of the body are for, beside their own names."""
        before, self._about = self._about, f"{self._about} [{what}]"
        try:
            yield
        finally:
            self._about = before

    def tell_rejected(self, summaries: dict[str, Sequence[dict[str, Any]]]) -> None:
        """Tell the journal how many records of each source were unreadable.

        Args:
            summaries: By source, what its slices gave (`read.read_slice`).
        """
        if self._journal is not None:
            self._journal.tell("rejected", sources={name: _rejected(every) for name, every in summaries.items()})

    @contextlib.contextmanager
    def stage(self, label: str, total: int, done: Callable[[], int], megabytes: float = 0.0) -> Iterator[None]:
        """Report on a stage while its body runs.

        Args:
            label: What is done, such as `read and score`.
            total: Units of work that are missing.
            done: Gives how many of them are finished by now.
            megabytes: What they amount to, for a rate.
        """
        if total == 0:
            yield
            return
        one = _Stage(f"{label}{self._about}", total, megabytes)
        self._tell(one, 0)
        live = self.console.is_terminal and not self.quiet
        with self._live(one) if live else contextlib.nullcontext() as update:
            if not live:
                self.say(f"{one.label}: {total} to do")

            def tell() -> None:
                finished = _count(done)
                at_work = self._at_work(one.label)
                now = _activity(at_work)
                if one.stands_still((finished, now)):
                    self.say(_still(one.label, at_work))
                if update is not None:
                    update(finished, now)
                else:
                    self.say(_line(one.label, finished, total, megabytes, one.seconds()) + now)
                if one.is_due():
                    self._tell(one, finished)

            stop = threading.Event()
            watch = threading.Thread(target=_watch, args=(stop, TERMINAL_SECONDS if live else PLAIN_SECONDS, tell))
            watch.start()
            try:
                yield
            finally:
                stop.set()
                watch.join()
        self._tell(one, total)
        self.say(_line(one.label, total, total, megabytes, one.seconds()))

    @contextlib.contextmanager
    def _live(self, one: _Stage) -> Iterator[Callable[[int, str], None]]:
        rate = _Rate(one.megabytes / one.total, "MB/s") if one.megabytes else _Rate(1.0, "parts/s")
        wide = (BarColumn(), rate, TimeElapsedColumn()) if self.console.width >= WIDE else ()
        columns = (TextColumn("{task.description:<24}"), MofNCompleteColumn(), *wide, TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(escape(one.label), total=one.total)
            yield lambda finished, now: progress.update(
                task, completed=finished, description=escape(f"{one.label}{now}")
            )

    def _at_work(self, label: str) -> list[dict[str, Any]]:
        """The tasks of a stage that are at work, where their workers tell."""
        if self._journal is None or not self._journal.begun:
            return []
        plain = label.removesuffix(self._about)
        return [one for one in notes.read(self._journal.notes)["now"] if one["stage"] == plain]

    def _tell(self, one: _Stage, done: int) -> None:
        if self._journal is not None:
            self._journal.tell("stage", **one.describe(done))


class _Stage:
    """A stage that runs.

    Attributes:
        label: Its name.
        total: Units of work that were missing.
        megabytes: What they amount to, 0 where that is unknown.
    """

    def __init__(self, label: str, total: int, megabytes: float) -> None:
        self.label, self.total, self.megabytes = label, total, megabytes
        self._began = self._told = self._moved = time.monotonic()
        self._last: Any = None

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def stands_still(self, now: Any) -> bool:
        """Whether what is known of it has been the same for long; true once for each such time."""
        if now != self._last or time.monotonic() - self._moved > STILL_SECONDS:
            same = bool(now == self._last)
            self._last, self._moved = now, time.monotonic()
            return same
        return False

    def is_due(self) -> bool:
        """Whether the journal should hear of it again: as often as plain lines come."""
        if time.monotonic() - self._told < PLAIN_SECONDS:
            return False
        self._told = time.monotonic()
        return True

    def describe(self, done: int) -> dict[str, Any]:
        """What the journal has of it."""
        seconds = self.seconds()
        amount = self.megabytes * done / self.total if self.megabytes else done
        return {
            "stage": self.label,
            "done": done,
            "of": self.total,
            "seconds": round(seconds, 3),
            "rate": round(amount / seconds, 3) if done and seconds else None,
            "unit": "MB/s" if self.megabytes else "parts/s",
            "left": round(seconds * (self.total - done) / done, 1) if done else None,
        }


def _activity(at_work: Sequence[dict[str, Any]]) -> str:
    """How far the tasks at work are: what shows that a long one goes on."""
    records = [one["record"] for one in at_work]
    tasks = f"{len(records)} task{'' if len(records) == 1 else 's'}"
    return f", {sum(records):,} records into {tasks} at work" if sum(records) else ""


def _still(label: str, at_work: Sequence[dict[str, Any]]) -> str:
    """What to tell of a stage that stands still."""
    first = min(at_work, key=lambda one: float(one["since"]), default=None)
    since = "" if first is None else f"; longest at work: {first['worker']}, {first['task']}"
    return f"{label}: nothing was finished for {STILL_SECONDS / 60:.0f} min{since}. A worker that hangs can be ended."


def _rejected(summaries: Sequence[dict[str, Any]]) -> dict[str, int]:
    bad = sum(one["records"] for summary in summaries for one in summary["outcomes"] if one["outcome"] == REJECTED)
    return {"rejected": bad, "records": sum(part["rows"] for summary in summaries for part in summary["parts"])}


def _count(done: Callable[[], int]) -> int:
    try:
        return done()
    except OSError:  # the count is for people: a listing that fails must not end the build
        return 0


def _watch(stop: threading.Event, seconds: float, tell: Callable[[], None]) -> None:
    pause = seconds
    while not stop.wait(pause):
        began = time.monotonic()
        with contextlib.suppress(OSError):  # what is shown is for people: a store that is away ends the work, not this
            tell()
        pause = max(seconds, 20 * (time.monotonic() - began))  # a listing of many keys is not asked for all the time


def _line(label: str, done: int, total: int, megabytes: float, seconds: float) -> str:
    line = f"{label}: {done} of {total}, {seconds:.1f} s"
    if megabytes and seconds and done:
        line += f", {megabytes * done / total / seconds:.1f} MB/s"
    if 0 < done < total:
        line += f", about {seconds * (total - done) / done:.0f} s left"
    return line
