"""Job servers of Flink, Spark and Prism: started when the first pipeline of a build runs, and one for all of them.

Beam's own runners start a Java machine for each pipeline, a dozen for a build, which all live until the process ends.
One takes 5 to 30 seconds to start on two cores and some 300 MB. Most of its processor time was Java's compiling of
itself: `QUICK_JAVA` halved it, from 33 to 19 seconds of four jobs without work on Flink, from 26 to 14 on Spark.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from typing import IO, TYPE_CHECKING, Any

from ..files import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVERS = {"flink": "FlinkJarJobServer", "spark": "SparkJarJobServer", "prism": "PrismJobServer"}
"""Beam's classes that know a server's command, by engine."""

START_SECONDS = 180.0
"""How long a job server may take until it answers; the first Java machine of a busy laptop took 30."""

LINES = 12
"""Lines of what a job server said last that are shown when it does not start."""

LOG_BYTES = 4 << 20
"""Bytes of what a job server printed that are kept for a person when a job fails."""

LOST = b"process failed while running"
"""What Prism prints of a worker process that ended; before it tells the end of a job, whose workers it ends, too."""

LOST_SECONDS = 15.0
"""So long a job may go on after that: a healthy one ends at once, and Beam waits 10 s for the last messages of one."""

QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""What Java is told: compile once, and collect in one thread. The work is in Python, and the server is gone soon."""


class JobServer:
    """A job server that is started when it is first asked for; it ends with this object, and with this process."""

    def __init__(self, engine: str, options: Any) -> None:
        """Keep which one, and Beam's options, which name its jar, Java, ports and the cluster's address.

        Args:
            engine: `flink`, `spark` or `prism`.
            options: Beam's.
        """
        self._engine = engine
        self._options = options
        self._address: str | None = None
        self._end: weakref.finalize[..., JobServer] | None = None
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> str:
        """`HOST:PORT` of its job service, which answers there; one that died since the last pipeline is started anew.

        Raises:
            UserError: Its jar cannot be fetched, or it did not start; with what it said last.
        """
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        if self._address is None:
            module = importlib.import_module(f"apache_beam.runners.portability.{self._engine}_runner")
            server = getattr(module, SERVERS[self._engine])(self._options)
            try:
                (program, *words), address = server.subprocess_cmd_and_endpoint()
            except (RuntimeError, OSError, ValueError) as error:  # its jar is at an address, and cannot be fetched
                raise store.UserError(f"The job server of {self._engine} cannot be started: {error}") from error
            quick = () if self._engine == "prism" else QUICK_JAVA
            self._start([str(word) for word in (program, *quick, *words)], address)
            self._address = address
        return self._address

    def _start(self, command: Sequence[str], address: str) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 of no name, so that nothing is left; it is closed with the server
        process = subprocess.Popen(  # noqa: S603 Beam's own command
            [sys.executable, "-P", "-m", "tokenladder.pipelines.engines.attended", *command],
            stdin=subprocess.PIPE,  # its end, when this process ends
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the server
        )
        self._end = weakref.finalize(self, _end, process, log)  # a program of many builds has no Java of an earlier one
        self._log, self._process = log, process
        if not _answers(address, process):
            status = process.poll()
            said = self.said().decode(errors="replace").splitlines()[-LINES:]
            self.stop()
            how = "does not answer" if status is None else f"ended with exit status {status}"
            first = f"The job server of {self._engine} {how}: {' '.join(command)}"
            raise store.UserError("\n".join([first, *said]))

    def said(self) -> bytes:
        """What it has printed, the last `LOG_BYTES` of it; nothing if it does not run."""
        if self._log is None:
            return b""
        size = os.fstat(self._log.fileno()).st_size
        # by position: the server writes on where the file's own one is
        return os.pread(self._log.fileno(), LOG_BYTES, max(0, size - LOG_BYTES))

    @contextlib.contextmanager
    def minding_workers(self) -> Iterator[None]:
        """In the body, which runs a job, end Prism where a worker process ended and the job does not.

        Prism 2.77 learns of a worker's death in two ways at once. By one it fails the job; by the other, as often as
        not, it waits for an answer for ever and uses a processor for that.

        Raises:
            ChildProcessError: That was so, whatever the body raised.
        """
        over, ended = threading.Event(), threading.Event()
        log, process = self._log, self._process
        assert log is not None  # noqa: S101 it runs
        assert process is not None  # noqa: S101 the same
        begin = os.fstat(log.fileno()).st_size

        def watch() -> None:
            position, before, since = begin, b"", None
            while not over.wait(LOST_SECONDS / 10):
                new = os.pread(log.fileno(), LOG_BYTES, position)
                position += len(new)
                if since is None and LOST in before + new:
                    since = time.monotonic()
                before = new[-len(LOST) :]
                if since is not None and time.monotonic() - since > LOST_SECONDS:
                    ended.set()
                    _hang_up(process)
                    return

        watcher = threading.Thread(target=watch, name="minds workers", daemon=True)
        watcher.start()
        try:
            yield
        except Exception as error:
            if not ended.is_set():
                raise
            raise ChildProcessError("SDK worker disconnected") from error
        finally:
            over.set()
            watcher.join()

    def stop(self) -> None:
        """End it, if it was started."""
        if self._end is not None:
            self._end()
            self._end = self._log = self._address = self._process = None


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """End a server by closing the standard input of the one who attends it."""
    log.close()
    _hang_up(process)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 it is a pipe
    with contextlib.suppress(OSError):
        process.stdin.close()
    process.wait()


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something listens at the address, while the process lives."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=1).close()
            return True
        time.sleep(0.1)
    return False
