"""Clusters that lose their scheduler or workers, or whose workers stand still, in the middle of a build.

The build tells what is wrong and ends, or goes on without them; the same command then gives the same bytes, and nothing
that was finished is done again. `TOKENLADDER_ENGINES=1 pytest -m cluster tests/pipelines/faults/test_lost_workers.py`
needs Dask and Prism.
"""
# ruff: noqa: S311 moments drawn at random are no secrets

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import little
import pytest

from tokenladder.pipelines.engines import dask_wait

pytestmark = pytest.mark.cluster

PATIENCE = 120.0
"""Seconds after which what is waited for counts as lost."""

GATE = """
import os, time
import pyarrow.compute as pc

def length(documents, folder):
    inside = any("GATE" in text for text in documents["text"].to_pylist())
    if inside and not os.path.exists(folder + "/open"):
        with open(folder + "/waits", "w") as file:
            file.write(str(os.getppid()))
        while not os.path.exists(folder + "/open"):
            time.sleep(0.02)
    return {"length": pc.binary_length(documents["text"])}
"""
"""A score whose computation waits at one document until it is told to go on, and says which worker has it."""


@pytest.fixture(scope="module")
def clusters():
    if not os.environ.get("TOKENLADDER_ENGINES"):
        pytest.skip("set TOKENLADDER_ENGINES=1 to start engines of other processes")
    sys.path.append(str(Path(__file__).resolve().parents[3] / "bench"))
    try:
        import clusters
    finally:
        sys.path.pop()
    return clusters


@pytest.fixture
def dask(clusters, tmp_path):
    """Starts Dask clusters, which end with the test."""
    if (reason := clusters.absent("dask")) is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        yield lambda workers=2: stack.enter_context(clusters.dask_cluster(workers, tmp_path))


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """The folder of a study with a document, drawn, at which a worker waits."""
    folder = tmp_path_factory.mktemp("gate")
    rows = little.corpus(93, 40, copies=3, neighbours=12)
    rows[random.Random(93).randrange(len(rows))]["text"] += "\nGATE"
    for n in range(3):
        little.write_jsonl(folder / "a" / f"{n}.jsonl", rows[n::3])
    (folder / "mine.py").write_text(GATE)
    score = {"type": "function", "function": "mine:length", "arguments": {"folder": str(folder)}}
    keep = [{"score": "own", "min": 1}]
    little.write_study(folder, {"a": "a/*.jsonl"}, scores={"own": score}, recipes={"all": {"keep": keep}})
    return folder


@pytest.fixture(scope="module")
def whole(gate, tmp_path_factory):
    """Files of the same study, built without an engine."""
    (gate / "open").touch()
    return little.files(little.build(gate / "study.toml", tmp_path_factory.mktemp("whole") / "out").out)


@pytest.fixture
def closed(gate, whole):  # noqa: ARG001 which is built before, with the gate open
    """The gate, closed again."""
    for name in ("open", "waits"):
        (gate / name).unlink(missing_ok=True)
    return gate


def on(cluster):
    return ["--runner=DaskRunner", f"--dask_client_address={cluster.address}"]


def command(gate, out, beam):
    words = [sys.executable, "-m", "tokenladder", "build", str(gate / "study.toml"), "--out", str(out), "--", *beam]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def told(condition, build=None):
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        assert build is None or build.poll() is None, build.stderr.read()
        time.sleep(0.01)


def waiting(gate):
    """The number of the worker process that waits at the gate."""
    told(lambda: (gate / "waits").exists() and (gate / "waits").read_text())
    return int((gate / "waits").read_text())


def finished(out):
    return {path: stamp for path, stamp in little.stamps(out).items() if path.startswith(".store/")}


def goes_on(gate, out, beam, whole):
    """The same command again gives the same bytes, and writes nothing again that was finished."""
    assert not (out / "manifest.json").exists()
    before = {path: stamp for path, stamp in finished(out).items() if "/.tmp-" not in path}
    (gate / "open").touch()
    made = little.build(gate / "study.toml", out, beam=beam)
    after = little.stamps(out)
    assert [path for path, stamp in before.items() if after.get(path) != stamp] == []
    assert little.differing(little.files(out), whole) == []
    ledger = [row["record"] for row in made.ledger()]
    assert (len(ledger), len(set(ledger))) == (55, 55)
    left = [path for path in out.rglob(".tmp-*") if path.parent.name != "tasks"]  # whose process, this one, lives
    assert left == []


def test_a_killed_dask_scheduler_ends_the_build_with_a_message(closed, whole, dask, tmp_path):
    cluster, out = dask(), tmp_path / "out"
    with command(closed, out, on(cluster)) as build:
        waiting(closed)
        cluster.scheduler.kill()
        said = build.communicate(timeout=PATIENCE)[1]
        assert build.returncode == 1
    assert said.splitlines()[-2:] == [
        f"The Dask scheduler at {cluster.address} went away. Start it and its workers again, or name another one.",
        "Nothing half-written was left. The same command goes on from here.",
    ]
    assert "Traceback" not in said
    goes_on(closed, out, on(dask()), whole)


def test_a_dask_scheduler_killed_at_a_drawn_moment(closed, whole, dask, tmp_path):
    (closed / "open").touch()
    cluster, out = dask(), tmp_path / "out"
    moment = random.Random(94).randrange(8, 30)  # files in the store; a whole build has some fifty

    def kill():
        told(lambda: len(finished(out)) >= moment)
        cluster.scheduler.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(OSError, match=r"^The Dask scheduler at tcp://\S+ went away( \(.*\))?\. Start it"):
        little.build(closed / "study.toml", out, beam=on(cluster))
    killer.join()
    goes_on(closed, out, on(dask()), whole)


def test_a_killed_dask_worker_costs_nothing(closed, whole, dask, tmp_path):
    cluster, out = dask(), tmp_path / "out"

    def kill():
        os.kill(waiting(closed), signal.SIGKILL)
        (closed / "open").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    made = little.build(closed / "study.toml", out, beam=on(cluster))
    killer.join()
    assert little.differing(little.files(made.out), whole) == []
    assert sorted(worker.poll() is None for worker in cluster.workers) == [False, True]


def test_a_dask_worker_that_stands_still_is_told_and_ended_by_hand(closed, whole, dask, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_wait, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(dask_wait, "TELL_SECONDS", 3.0)
    cluster, out, said = dask(), tmp_path / "out", []
    from tokenladder.pipelines.watch.progress import Reporter

    monkeypatch.setattr(Reporter, "say", lambda _, line: said.append(line))
    silent = []

    def stop():
        silent.append(waiting(closed))
        os.kill(silent[0], signal.SIGSTOP)
        (closed / "open").touch()
        told(lambda: any("has said nothing for" in line for line in said))
        os.kill(silent[0], signal.SIGKILL)

    stopper = threading.Thread(target=stop)
    stopper.start()
    made = little.build(closed / "study.toml", out, beam=on(cluster))
    stopper.join()
    assert little.differing(little.files(made.out), whole) == []
    (line,) = {line for line in said if "has said nothing for" in line}
    assert line.startswith("Dask: the worker tcp://127.0.0.1:")
    assert line.endswith("gives its tasks to others after its worker-ttl, or when that process is ended")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["no workers", "a scheduler that stands still"])
def test_a_cluster_that_can_do_nothing_is_waited_for_but_not_for_ever(closed, whole, dask, tmp_path, monkeypatch, how):  # noqa: PLR0917
    monkeypatch.setattr(dask_wait, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(dask_wait, "GIVE_UP_SECONDS", 4.0)
    cluster, out = dask(1), tmp_path / "out"
    victim = cluster.workers[0] if how == signal.SIGKILL else cluster.scheduler

    def stop():
        waiting(closed)
        victim.send_signal(how)

    stopper = threading.Thread(target=stop)
    stopper.start()
    message = r"has had no workers for \d+ s\. Start some: `dask worker tcp://|has not answered for \d+ s\. Look at its"
    with pytest.raises(OSError, match=message):
        little.build(closed / "study.toml", out, beam=on(cluster))
    stopper.join()
    goes_on(closed, out, on(dask()), whole)


@pytest.fixture
def prism(clusters, tmp_path):
    """What follows `--` for Prism with worker processes."""
    if (reason := clusters.absent("prism-process")) is not None:
        pytest.skip(reason)
    with clusters.engine("prism-process", tmp_path) as beam:
        yield beam


def ancestors(pid, last):
    """The numbers of the processes that started a process, up to another one, which is not among them."""
    found = []
    while pid != last:
        found.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_prism_and_its_workers_end_with_a_killed_driver(closed, whole, prism, tmp_path):
    out = tmp_path / "out"
    with command(closed, out, prism) as build:
        started = ancestors(waiting(closed), build.pid)
        assert len(started) >= 3  # a worker, Prism, and what attends it
        build.kill()
    told(lambda: all(map(is_gone, started)))
    goes_on(closed, out, None, whole)


def test_a_worker_of_prism_that_stands_still_is_named_and_can_be_ended(closed, whole, prism, tmp_path):
    from tokenladder.pipelines.watch.status import status

    out = tmp_path / "out"
    with command(closed, out, prism) as build:
        worker = waiting(closed)
        os.kill(worker, signal.SIGSTOP)
        (now,) = status(str(out))["now"]
        assert (now["stage"], now["worker"].rpartition("@")[2]) == ("read and score", str(worker))
        os.kill(worker, signal.SIGKILL)
        said = build.communicate(timeout=PATIENCE)[1]
        assert build.returncode == 1
    assert (
        "PrismRunner: the job of the stage 'read and score' failed: a worker process ended, or its connection" in said
    )
    assert "Traceback" not in said
    goes_on(closed, out, None, whole)
