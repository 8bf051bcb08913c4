"""Job servers of Flink and Spark: started when the first pipeline of a build runs, and one for all of its pipelines.

Beam's own runners start a Java machine for each pipeline, a dozen for a build, which all live until the process ends.
One takes 5 to 30 seconds to start on two cores and some 300 MB.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from ..files import store

if TYPE_CHECKING:
    from collections.abc import Sequence

START_SECONDS = 180.0
"""How long a job server may take until it answers; the first Java machine of a busy laptop took 30."""

LINES = 12
"""Lines of what a job server said last that are shown when it does not start."""


class JobServer:
    """A job server that is started when it is first asked for, and ended with this process."""

    def __init__(self, engine: str, options: Any) -> None:
        """Keep which one, and Beam's options, which name its jar, Java, ports and the cluster's address.

        Args:
            engine: `flink` or `spark`.
            options: Beam's.
        """
        self._engine = engine
        self._options = options
        self._address: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> str:
        """`HOST:PORT` of its job service, which answers there.

        Raises:
            UserError: Its jar cannot be fetched, or it did not start; with what it said last.
        """
        if self._address is None:
            module = importlib.import_module(f"apache_beam.runners.portability.{self._engine}_runner")
            server = getattr(module, f"{self._engine.capitalize()}JarJobServer")(self._options)
            try:
                command, address = server.subprocess_cmd_and_endpoint()
            except (RuntimeError, OSError, ValueError) as error:  # its jar is at an address, and cannot be fetched
                raise store.UserError(f"The job server of {self._engine} cannot be started: {error}") from error
            self._start([str(word) for word in command], address)
            self._address = address
        return self._address

    def _start(self, command: Sequence[str], address: str) -> None:
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(  # noqa: S603 Beam's own command
                [sys.executable, "-P", "-m", "tokenladder.pipelines.engines.attended", *command],
                stdin=subprocess.PIPE,  # its end, when this process ends
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the server
            )
            self._process = process
            atexit.register(self.stop)
            if not _answers(address, process):
                status = process.poll()
                self.stop()
                log.seek(0)
                said = log.read().decode(errors="replace").splitlines()[-LINES:]
                how = "does not answer" if status is None else f"ended with exit status {status}"
                first = f"The job server of {self._engine} {how}: {' '.join(command)}"
                raise store.UserError("\n".join([first, *said]))

    def stop(self) -> None:
        """End it, if it was started."""
        if self._process is not None:
            assert self._process.stdin is not None  # noqa: S101 it is a pipe
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._process = self._address = None
            atexit.unregister(self.stop)


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
