"""Engines of other processes, for benchmarks and tests: found or started on this machine, and ended again."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

START_SECONDS = 120.0

END_WITH_INPUT = 'while read -r line; do :; done; kill -s TERM -- "-$1"; sleep 10; kill -s KILL -- "-$1"'
"""What ends a group of processes once the one that holds its standard input has died, kill -9 included."""

OPENED = (
    "java.io",
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.net",
    "java.nio",
    "java.time",
    "java.util",
)
"""Packages of Java's that Flink reaches into by reflection."""

QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java compiles itself once, and little: half of the processor time of a cluster that lives for minutes."""

TASK_MANAGER = {
    "taskmanager.numberOfTaskSlots": "2",
    "taskmanager.cpu.cores": "2",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.network.min": "32m",
    "taskmanager.memory.network.max": "32m",
    "taskmanager.memory.jvm-metaspace.size": "192m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
"""What Flink's own shell scripts work out for a TaskManager; one of two slots, small enough for a laptop."""


def prism() -> str | None:
    """The binary of Prism, from PATH or where `go install` puts it; None if it is not here."""
    places = [os.environ.get("PATH", ""), os.environ.get("GOBIN", ""), str(Path.home() / "go" / "bin")]
    return shutil.which("prism", path=os.pathsep.join(filter(None, places)))


def program(name: str) -> Path:
    """A program of this Python's environment."""
    return Path(sys.executable).parent / name


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(
    *command: object, port: int | None = None, log: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all that it starts, for as long as the body runs, and no longer than this process.

    Args:
        command: Program and arguments.
        port: Wait until it listens there.
        log: File for what it prints; nowhere by default.
        env: Added to this process's environment.

    Raises:
        RuntimeError: It ended, or nothing listens in time.
    """
    with Path(log or os.devnull).open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    words = ["sh", "-c", END_WITH_INPUT, "sh", str(process.pid)]
    null = subprocess.DEVNULL
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)
    try:
        if port is not None:
            _wait_for(port, process)
        yield process
    finally:
        guard.kill()
        guard.communicate()
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}: {process.args}")


class Dask(NamedTuple):
    """A Dask cluster: its address, and the processes of its scheduler and workers."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextlib.contextmanager
def dask_cluster(workers: int, folder: Path, *, threads: int = 1, preload: str | None = None) -> Iterator[Dask]:
    """A Dask scheduler with so many workers, each a process of its own.

    Args:
        workers: Processes.
        folder: For logs and what workers put aside.
        threads: Of each worker.
        preload: Python that a worker runs before anything else.
    """
    import distributed

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:

        def start(*words: object, port: int | None = None) -> subprocess.Popen[bytes]:
            return stack.enter_context(running(program("dask"), *words, port=port, log=folder / "dask.log"))

        words = ["--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show"]
        scheduler, started = start("scheduler", *words, port=port), []
        extra = ["--preload", preload] if preload else []
        for n in range(workers):
            place = ["--local-directory", folder / f"worker-{n}", "--no-dashboard", "--no-nanny"]
            started.append(start("worker", address, "--nthreads", threads, "--memory-limit", "0", *place, *extra))
        with distributed.Client(address, set_as_default=False, timeout=START_SECONDS) as client:
            client.wait_for_workers(workers, timeout=START_SECONDS)
        yield Dask(address, scheduler, started)


@contextlib.contextmanager
def worker_pool(folder: Path) -> Iterator[str]:
    """The address of a pool that starts workers for engines."""
    port = free_port()
    with running(program("tokenladder"), "worker-pool", f"--port={port}", port=port, log=folder / "pool.log"):
        yield f"localhost:{port}"


@contextlib.contextmanager
def prism_service(folder: Path) -> Iterator[str]:
    """The address of Prism's job service: the protocol of Flink's and Spark's job servers."""
    port = free_port()
    words = [f"--job_port={port}", "--serve_http=false", "--log_level=warn"]
    with running(prism(), *words, port=port, log=folder / "prism.log"):
        yield f"localhost:{port}"


def job_server(name: str) -> str | None:
    """The jar of Beam's job server of Flink or Spark, as TOKENLADDER_FLINK_JAR or TOKENLADDER_SPARK_JAR names it."""
    return os.environ.get(f"TOKENLADDER_{name.upper()}_JAR")


@contextlib.contextmanager
def flink_cluster(workers: int, folder: Path) -> Iterator[str]:
    """The address of a Flink JobManager with so many TaskManagers, all processes of their own, from the server's jars.

    Args:
        workers: TaskManagers, of two slots each.
        folder: For logs and the configuration.
    """
    rest, rpc = free_port(), free_port()
    config = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.memory.process.size": "900m",
    }
    config |= {"rest.address": "localhost", "rest.port": rest, "taskmanager.host": "localhost", **TASK_MANAGER}
    config["classloader.resolve-order"] = "parent-first"  # of the same jars: threads outlive a job's own classes
    conf = folder / "flink-conf"
    conf.mkdir(exist_ok=True)
    config["io.tmp.dirs"] = str(folder / "flink-tmp")  # a TaskManager that is ended leaves 150 MB of every job
    (conf / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in config.items()))
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    java = ["java", *QUICK_JAVA, "-Xmx512m", *opened, "-cp", job_server("flink")]
    runtime = "org.apache.flink.runtime"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder / "flink-tmp", ignore_errors=True)

        def start(name: str, port: int | None = None) -> None:
            words = [*java, f"{runtime}.{name}", "-c", conf]
            stack.enter_context(running(*words, port=port, log=folder / "flink.log"))

        start("entrypoint.StandaloneSessionClusterEntrypoint", rest)
        for _ in range(workers):
            start("taskexecutor.TaskManagerRunner")
        _wait_for_slots(rest, 2 * workers)
        yield f"localhost:{rest}"


def _wait_for_slots(port: int, slots: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/overview") as reply:
            if json.load(reply)["slots-total"] >= slots:
                return
        time.sleep(0.2)
    raise RuntimeError(f"Flink at port {port} has no {slots} slots after {START_SECONDS:.0f} s")


@contextlib.contextmanager
def spark_cluster(workers: int, folder: Path) -> Iterator[str]:
    """The address of a Spark master with so many workers, all processes of their own, from the server's jars.

    Args:
        workers: Processes of one core each, which start an executor for each job.
        folder: For logs, and the folder that Spark takes for its installation.
    """
    port = free_port()
    home = folder / "spark-home"
    home.mkdir(exist_ok=True)
    jar = Path(job_server("spark") or "").resolve()
    (home / "jars").mkdir(exist_ok=True)
    (home / "jars" / jar.name).symlink_to(jar)
    env = {"SPARK_HOME": str(home), "SPARK_SCALA_VERSION": "2.12", "SPARK_LOCAL_IP": "127.0.0.1"}
    env["SPARK_WORKER_DIR"] = str(folder / "spark-work")
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (*OPENED, "sun.nio.ch")]
    java = ["java", *QUICK_JAVA, "-Xmx512m", *opened, "-cp", jar]
    with contextlib.ExitStack() as stack:

        def start(*words: object, port: int | None = None) -> None:
            stack.enter_context(running(*java, *words, port=port, log=folder / "spark.log", env=env))

        deploy = "org.apache.spark.deploy"
        start(f"{deploy}.master.Master", "--host", "localhost", "--port", port, "--webui-port", free_port(), port=port)
        address = f"spark://localhost:{port}"
        for _ in range(workers):
            own = free_port()
            where = ["--host", "localhost", "--port", own, "--webui-port", free_port()]
            start(f"{deploy}.worker.Worker", *where, "--cores", 1, "--memory", "1200m", address, port=own)
        yield address


@contextlib.contextmanager
def engine(name: str, folder: Path, workers: int = 2) -> Iterator[list[str]]:
    """What follows `--` for an engine, which runs for as long as the body.

    Args:
        name: `in_memory`, `multi_threading`, `multi_processing`, `dask`, or `prism-`, `flink-` or `spark-` with
            `loopback`, `process` or `external`; Flink and Spark run inside their job servers, but for `flink-cluster`
            and `spark-cluster`, whose servers are processes of their own.
        folder: For logs.
        workers: Threads or processes; Prism chooses for itself.
    """
    kind, _, where = name.partition("-")
    mine = ["--runner=PrismRunner", f"--prism_location={prism()}"]
    if name == "dask":
        with dask_cluster(workers, folder) as dask:
            yield ["--runner=DaskRunner", f"--dask_client_address={dask.address}"]
    elif name == "flink-cluster":
        with worker_pool(folder) as pool, flink_cluster(workers, folder) as address:
            yield [
                "--runner=FlinkRunner",
                f"--flink_master={address}",
                f"--flink_job_server_jar={job_server(kind)}",
                f"--parallelism={workers}",
                "--environment_type=EXTERNAL",
                f"--environment_config={pool}",
            ]
    elif name == "spark-cluster":
        with worker_pool(folder) as pool, spark_cluster(workers, folder) as address:
            nothing = folder / "nothing.jar"  # for each job: the cluster has the class path
            zipfile.ZipFile(nothing, "w").close()
            yield [
                "--runner=SparkRunner",
                f"--spark_master_url={address}",
                f"--spark_job_server_jar={job_server(kind)}",
                f"--files_to_stage={nothing}",
                "--environment_type=EXTERNAL",
                f"--environment_config={pool}",
            ]
    elif kind in {"flink", "spark"}:
        count = f"--parallelism={workers}" if kind == "flink" else f"--spark_master_url=local[{workers}]"
        with worker_pool(folder) if where == "external" else contextlib.nullcontext() as pool:
            config = [f"--environment_config={pool}"] if pool else []
            jar = f"--{kind}_job_server_jar={job_server(kind)}"
            yield [f"--runner={kind.capitalize()}Runner", jar, count, f"--environment_type={where.upper()}", *config]
    elif name == "prism-external":
        with worker_pool(folder) as pool, prism_service(folder) as service:
            where = [f"--job_endpoint={service}", "--environment_type=EXTERNAL", f"--environment_config={pool}"]
            yield ["--runner=PortableRunner", *where]
    elif name.startswith("prism-"):
        yield [*mine, f"--environment_type={where.upper()}"]
    else:
        yield [f"--direct_running_mode={name}", f"--direct_num_workers={workers}"]


@contextlib.contextmanager
def storage(name: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """An object store of this machine that holds an empty bucket: its address, and the environment of who uses it.

    Args:
        name: `s3` (moto's server) or `gs` (fake-gcs-server).
        folder: For logs.
    """
    port = free_port()
    where = f"http://127.0.0.1:{port}"
    if name == "s3":
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        env = {"AWS_ENDPOINT_URL": where, "AWS_EC2_METADATA_DISABLED": "true", **keys}
        words: list[object] = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        make = f"fs.S3FileSystem(endpoint_override='{where}', allow_bucket_creation=True).create_dir('bench')"
    else:
        env = {"CLOUD_STORAGE_EMULATOR_ENDPOINT": where, "STORAGE_EMULATOR_HOST": where, "NO_GCE_CHECK": "true"}
        words = ["fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory"]
        words += ["-public-host", f"127.0.0.1:{port}"]
        make = "fs.GcsFileSystem(anonymous=True, project_id='bench').create_dir('bench')"
    with running(*words, port=port, log=folder / f"{name}.log"):
        code = f"from pyarrow import fs; {make}"
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, check=True)
        yield f"{name}://bench", env


def absent(name: str) -> str | None:
    """Why an engine or a storage cannot be started here, or None."""
    if name.startswith("prism-") and prism() is None:
        return "no Prism: go install github.com/apache/beam/sdks/v2/go/cmd/prism at the version of Beam here"
    kind = name.partition("-")[0]
    if kind in {"flink", "spark"} and job_server(kind) is None:
        return f"no jar: TOKENLADDER_{kind.upper()}_JAR names Beam's job server of {kind.capitalize()}"
    if name == "dask" and not program("dask").exists():
        return "no Dask: pip install 'tokenladder[dask]'"
    if name == "s3" and importlib.util.find_spec("moto") is None:
        return "no moto: pip install 'moto[server]'"
    if name == "gs" and shutil.which("fake-gcs-server") is None:
        return "no fake-gcs-server: go install github.com/fsouza/fake-gcs-server@latest"
    return None
