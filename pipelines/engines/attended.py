"""A command that ends when the process that started it does, however that one ends.

`python -m tokenladder.pipelines.engines.attended COMMAND …` runs the command until its standard input closes: a pipe to
the process that started it closes at that one's death, kill -9 included. Without this, a server would outlive it for
good. What the command started itself, such as an engine's workers, ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 10.0
"""How long a command may take to end when it is asked to."""


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    """Wait until standard input closes, then end the process."""
    while os.read(sys.stdin.fileno(), 1 << 12):
        pass
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> int:
    """Run the command that the arguments are; its exit status."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 as asked for
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: process.terminate())
    threading.Thread(target=_end_with_input, args=[process], daemon=True).start()
    status = process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return status


if __name__ == "__main__":
    sys.exit(main())
