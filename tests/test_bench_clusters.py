"""Services that a benchmark starts: they end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"

STARTS = """
import time
import clusters
with clusters.running("sh", "-c", "sleep 60 & echo $!; wait", log=clusters.Path("log")):
    while not clusters.Path("log").read_text().endswith("\\n"):
        time.sleep(0.01)
    print("started", flush=True)
    {then}
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, None])
def test_what_a_service_started_ends_with_the_benchmark(tmp_path, how):
    program = STARTS.format(then="time.sleep(60)" if how else "pass")
    begun = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": BENCH}
    )
    assert begun.stdout.readline() == b"started\n"
    pid = int((tmp_path / "log").read_text())
    if how:
        begun.send_signal(how)
    begun.communicate()
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)
