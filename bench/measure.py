"""CPU time and memory of a command with all of the processes that it starts (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a command used.

    Attributes:
        cpu: Seconds of processor time, user and system, of the command and everything that it started, including
            processes that outlived their parent.
        wall: Seconds.
        first: Peak resident memory of the command's own process in MB (10⁶ bytes); 0 unless memory was asked for.
        largest: The same for the largest of the processes that it started.
        processes: How many processes were seen at once, at most.
        output: What it printed.
    """

    cpu: float
    wall: float
    first: float
    largest: float
    processes: int
    output: str


def run(command: Sequence[str | Path], *, folder: Path | None = None, memory: bool = False) -> Usage:
    """Run a command to its end and say what it used.

    Orphans of the command become children of this process, which waits for them, so that their time counts too.

    Args:
        command: Program and arguments.
        folder: Working directory.
        memory: Whether to look at the memory of every process, 20 times a second.

    Raises:
        SystemExit: It failed; its output is printed.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    words = [str(word) for word in command]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        peaks = Peaks(process.pid)
        if memory:
            peaks.start()
        output, _ = process.communicate()
        wall = time.monotonic() - began
        peaks.stop()
    reap_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{' '.join(words)}\n{output}\nexit status {process.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    others = [peak for pid, peak in peaks.of.items() if pid != process.pid]
    return Usage(cpu, wall, peaks.of.get(process.pid, 0.0), max(others, default=0.0), peaks.most, output)


def reap_orphans(grace: float = 10.0) -> None:
    """Wait for processes that the command left behind; after `grace` seconds, end them."""
    deadline = time.monotonic() + grace
    while psutil.Process().children():
        if time.monotonic() > deadline:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)


class Peaks(threading.Thread):
    """Looks at a process and its descendants until stopped.

    Attributes:
        of: Peak resident memory by process id, in MB. The kernel keeps the peak, so that looking now and then misses
            only what a process gains in its last moments.
        most: Processes at once.
    """

    def __init__(self, pid: int) -> None:
        """Look at this process."""
        super().__init__(daemon=True)
        self.of: dict[int, float] = {}
        self.most = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        """Look, sleep, look again."""
        while not self._ended.wait(SAMPLE_SECONDS):
            with contextlib.suppress(psutil.NoSuchProcess):
                pids = [self._pid, *(child.pid for child in psutil.Process(self._pid).children(recursive=True))]
                self.most = max(self.most, len(pids))
                for pid in pids:
                    self.of[pid] = max(self.of.get(pid, 0.0), peak(pid))

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        if self.is_alive():
            self.join()


def peak(pid: int) -> float:
    """Peak resident memory of a process in MB, as the kernel keeps it; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def machine() -> str:
    """The machine in a line: processor, cores, memory, Python."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    gigabytes = psutil.virtual_memory().total / 1e9
    return f"{len(os.sched_getaffinity(0))} cores of {model}, {gigabytes:.0f} GB, Python {sys.version.split()[0]}"
