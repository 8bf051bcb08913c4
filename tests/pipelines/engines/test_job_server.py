"""Job servers: started once, ended with this process however it ends, and what they said when they do not start."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time

import apache_beam as beam
import pytest

from tokenladder.pipelines.engines import runners
from tokenladder.pipelines.engines.job_server import JobServer
from tokenladder.pipelines.files import store

LISTENS = """
import os, socket, sys, time
with open(os.path.join(os.path.dirname(__file__), "started"), "a") as file:
    file.write(f"{os.getpid()}\\n")
print("serving", flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--job-port") + 1])))
time.sleep(60)
"""
LOSES_WORKERS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--job-port") + 1])))
server.accept()
while connection := server.accept()[0]:
    print("process failed while running", flush=True)
    connection.sendall(b"1")
    if connection.recv(1) == b"2":
        connection.recv(1)
"""
DIES = "import sys; print('one', *sys.argv[1:4]); print('Error: no main class'); sys.exit(3)"


@pytest.fixture
def chosen(tmp_path):
    """A runner whose Java is a program of Python's."""

    def make(program, engine="flink", *more):
        jar, java = tmp_path / "server.jar", tmp_path / "java"
        jar.touch()
        java.write_text(f"#!{sys.executable}\n{program}\n")
        java.chmod(0o755)
        given = [f"--{engine}_job_server_jar={jar}", f"--job_server_java_launcher={java}", *more]
        return runners.choose([f"--runner={engine.capitalize()}Runner", *given])

    return make


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid):
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_all_pipelines_have_one_job_server(chosen, tmp_path, engine):
    runner = chosen(LISTENS, engine)
    assert not (tmp_path / "started").exists()  # a build that finds everything done needs none
    from apache_beam.options.pipeline_options import PortableOptions

    first, second = (runner.settings(1)[0].view_as(PortableOptions).job_endpoint for _ in range(2))
    assert first == second
    socket.create_connection(("127.0.0.1", int(first.rpartition(":")[2])), timeout=5).close()
    (pid,) = map(int, (tmp_path / "started").read_text().split())
    assert runner.server_log() == b"serving\n"
    runner.serve.__self__.stop()
    assert not alive(pid)
    assert runner.server_log() == b""


def test_a_job_server_that_died_between_two_pipelines_is_started_anew(chosen, tmp_path):
    runner = chosen(LISTENS)
    server = runner.serve.__self__
    server.address()
    os.kill(int((tmp_path / "started").read_text()), signal.SIGKILL)
    server._process.wait(20)
    second = server.address()
    socket.create_connection(("127.0.0.1", int(second.rpartition(":")[2])), timeout=5).close()
    pids = [int(pid) for pid in (tmp_path / "started").read_text().split()]
    assert [alive(pid) for pid in pids] == [False, True]


def test_a_job_server_ends_with_the_build_that_started_it(chosen, tmp_path):
    runner = chosen(LISTENS)
    runner.settings(1)
    pid = int((tmp_path / "started").read_text())
    del runner
    gc.collect()
    assert not alive(pid)


def test_the_end_of_a_long_log_is_kept(chosen, monkeypatch):
    monkeypatch.setattr("tokenladder.pipelines.engines.job_server.LOG_BYTES", 5)
    runner = chosen(LISTENS)
    runner.settings(1)
    assert runner.server_log() == b"ving\n"


def test_a_job_server_that_does_not_start_says_why(chosen, tmp_path):
    runner = chosen(DIES, "spark", "--spark_master_url=local[2]")
    with pytest.raises(store.UserError) as error:
        runner.settings(1)
    told = str(error.value).splitlines()
    assert told[0].startswith(f"The job server of spark ended with exit status 3: {tmp_path / 'java'} -XX:Tiered")
    assert "--spark-master-url local[2]" in told[0]
    assert told[-1] == "Error: no main class"


def test_a_server_ends_where_a_worker_was_lost_and_the_job_goes_on(chosen, monkeypatch):
    monkeypatch.setattr("tokenladder.pipelines.engines.job_server.LOST_SECONDS", 0.2)
    runner = chosen(LOSES_WORKERS)
    server = runner.serve.__self__
    host, _, port = server.address().rpartition(":")
    with server.minding_workers(), socket.create_connection((host, int(port)), timeout=20) as job:
        assert job.recv(1) == b"1"  # it lost a worker, and ends at once
    with pytest.raises(RuntimeError, match="of its own"), server.minding_workers():
        raise RuntimeError("of its own")

    def hangs():
        with server.minding_workers(), socket.create_connection((host, int(port)), timeout=20) as job:
            job.sendall(b"2")
            while job.recv(1):
                pass
            raise RuntimeError("its job service answers no more")

    with pytest.raises(ChildProcessError, match=r"^SDK worker disconnected$"):
        hangs()
    assert runner.server_log() == b"process failed while running\n" * 2


def test_a_jar_of_another_version_is_told(chosen, tmp_path):
    jars = [tmp_path / f"beam-runners-flink-1.20-job-server-{version}.jar" for version in ("2.34.0", beam.__version__)]
    for jar in jars:
        jar.touch()
    said = [chosen(DIES, "flink", f"--flink_job_server_jar={jar}").say for jar in jars]
    assert said == [[f"{jars[0]} is of Beam 2.34.0, and Beam here is {beam.__version__}: it may fail"], []]


def test_a_jar_that_cannot_be_fetched(chosen, tmp_path):
    with socket.socket() as taken:  # nothing listens
        taken.bind(("127.0.0.1", 0))
        jar = f"http://127.0.0.1:{taken.getsockname()[1]}/{tmp_path.name}.jar"  # in no cache of Beam's
        with pytest.raises(store.UserError, match=rf"The job server of flink cannot be started: .*{jar}"):
            chosen(DIES, "flink", f"--flink_job_server_jar={jar}").settings(1)


def test_a_job_server_that_never_answers(chosen, monkeypatch):
    monkeypatch.setattr("tokenladder.pipelines.engines.job_server.START_SECONDS", 0.5)
    with pytest.raises(store.UserError, match=r"The job server of flink does not answer: .*java -XX:.* -jar "):
        chosen("import time; print('still loading', flush=True); time.sleep(60)").settings(1)


def test_a_command_ends_when_who_started_it_is_killed():
    code = (
        "import subprocess, sys, time\n"
        "attended = [sys.executable, '-P', '-m', 'tokenladder.pipelines.engines.attended']\n"
        "tell = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "subprocess.Popen([*attended, sys.executable, '-c', tell], stdin=subprocess.PIPE)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
        pid = int(driver.stdout.readline())
        driver.send_signal(signal.SIGKILL)
        assert ends(pid)


def test_a_command_keeps_its_exit_status():
    command = [sys.executable, "-P", "-m", "tokenladder.pipelines.engines.attended", sys.executable, "-c", "exit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(20) == 7


def test_a_job_server_that_was_not_started_needs_no_end():
    JobServer("flink", None).stop()
