"""Jobs that fail on engines behind a job service: a short message, all of it in a file."""

from __future__ import annotations

import logging
import threading

import grpc
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.engines import failures, runner, transforms
from tokenladder.pipelines.engines.engine import Engine
from tokenladder.pipelines.files import store

HEAD = "Pipeline BeamApp-root-1_2 failed in state FAILED: "
JAVA = "\n\tat org.apache.beam.A.call(A.java:149)\n\tat java.base/java.lang.Thread.run(Thread.java:840)"
SPARK = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 3 in stage 1.0 failed 1 times, (executor):"
)
CANCELLED = "org.apache.beam.vendor.grpc.v1p60p1.io.grpc.StatusRuntimeException: CANCELLED: client cancelled"


def python(error):
    """What a worker sends of an error, as Java wraps it."""
    first = f'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    work()\n{error}\n'
    second = f"{first}\nDuring handling of the above exception, another exception occurred:\n\n{first}".rstrip()
    return (
        f"java.lang.RuntimeException: Error received from SDK harness for instruction 2: {second} [while running 'W']\n"
    )


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (HEAD + python("ValueError: one\nand two"), "ValueError: one\nand two"),
        (f"{SPARK} java.util.concurrent.ExecutionException: {python('KeyError: 7')}{JAVA}\n\nDriver:", "KeyError: 7"),
        (f"{HEAD}{SPARK} a.b.ExecutionException: x: no{JAVA}\nCaused by: java.io.IOException: full{JAVA}\n\t... 3 more",
         "IOException: full"),
        (f"{HEAD}java.io.IOException: code 125 for 'docker run'{JAVA}", "IOException: code 125 for 'docker run'"),
        (f"{SPARK} a.b.ExecutionException: {CANCELLED}{JAVA}\nCaused by: {CANCELLED}{JAVA}",
         "a worker process ended, or its connection broke (CANCELLED: client cancelled)"),
        (HEAD + "unknown error", "unknown error"),
        ("", "no reason was given"),
        ("Traceback (most recent call last)", "Traceback (most recent call last)"),
        ("x" * 9999, "x" * failures.WIDTH),
    ],
    ids=["flink", "spark", "cause", "first", "worker", "unknown", "nothing", "cut", "long"],
)  # fmt: skip
def test_the_last_error_of_what_java_says(said, last):
    assert failures.last_error(said) == last


class GoneError(Exception):
    def details(self):
        return "Socket closed"


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine whose job service says of each job what a test wants."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def make(said, server_log=None):
        def run(*_, **__):
            raise said

        one = Engine(str(tmp_path / "store"))
        one.runner = runner.Runner("FlinkRunner", None, job_service=True, server_log=server_log)
        monkeypatch.setattr(transforms, "run", run)
        return one

    return make


def test_a_failed_job_is_told_in_three_lines_and_kept_whole(engine, tmp_path):
    whole = HEAD + python("ValueError: wröng") + JAVA
    with pytest.raises(failures.JobError) as error:
        engine(RuntimeError(whole), lambda: b"[main] INFO started").each("read", "no:function", [{}])
    (log,) = tmp_path.glob("*.log")
    assert str(error.value) == (
        "FlinkRunner: the job of the stage 'read' failed: ValueError: wröng\n"
        f"The whole error and the job server's log: {log}\n"
        "Finished parts are kept: the same command goes on from here."
    )
    assert log.name.startswith("tokenladder-FlinkRunner-")
    assert log.read_text() == f"{whole}\n\nThe job server:\n[main] INFO started"


def test_where_no_file_can_be_written_the_failure_is_told_all_the_same(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(failures.JobError) as error:
        engine(RuntimeError(HEAD + "java.io.IOException: full")).each("read", "no:function", [{}])
    told = str(error.value).splitlines()
    assert told[0] == "FlinkRunner: the job of the stage 'read' failed: IOException: full"
    assert told[1].startswith("The whole error: not kept ([Errno 2] No such file or directory: ")


def test_a_job_service_that_goes_away(engine, tmp_path):
    with pytest.raises(failures.JobError) as error:
        engine(GoneError("<_MultiThreadedRendezvous of RPC …>")).exchange("connect", "no:function", [], [{}])
    (log,) = tmp_path.glob("*.log")
    assert str(error.value).splitlines()[:2] == [
        "FlinkRunner: the job of the stage 'connect' failed: its job service answers no more (Socket closed)",
        f"The whole error: {log}",
    ]


def test_a_job_service_that_never_answers(engine):
    with pytest.raises(failures.JobError, match=r"failed: its job service does not answer \(FutureTimeoutError\)\n"):
        engine(grpc.FutureTimeoutError()).each("read", "no:function", [{}])


def test_an_error_for_people_stays_what_it_was(engine, tmp_path):
    carried = r'RuntimeError: <<["UserError", "what is wrong: \u00e4\nand more"]>>'
    with pytest.raises(store.UserError) as error:
        engine(RuntimeError(HEAD + python(carried) + JAVA)).each("read", "no:function", [{}])
    assert str(error.value) == "what is wrong: ä\nand more"
    assert list(tmp_path.glob("*.log")) == []


def test_the_command_shows_no_traceback(monkeypatch):
    def fail(*_, **__):
        raise failures.JobError("FlinkRunner: the job of the stage 'read' failed: full")

    monkeypatch.setattr("tokenladder.pipelines.study.file.load", fail)
    result = CliRunner().invoke(cli, ["plan", "study.toml"])
    assert (result.exit_code, result.output) == (1, "FlinkRunner: the job of the stage 'read' failed: full\n")


def test_what_beam_logs_of_jobs_is_kept_from_the_root_logger(caplog):
    def say():
        for place in ("portable_runner.py", "other.py"):
            record = logging.LogRecord("root", logging.ERROR, place, 1, place, (), None)
            logging.getLogger().handle(record)

    with failures.quiet_jobs():
        say()
    assert caplog.messages == ["other.py"]
    say()
    assert caplog.messages == ["other.py", "portable_runner.py", "other.py"]


def test_threads_that_read_from_a_server_that_is_gone_are_not_told_of(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: told.append(str(failed.exc_value)))
    transforms._hush_channels.__wrapped__()
    failed = [
        ("wait_until_finish_read", grpc.RpcError("gone")),
        ("run_worker_1", grpc.RpcError("gone")),
        ("wait_until_finish_read", ValueError("of another kind")),
        ("mine", grpc.RpcError("in another thread")),
    ]

    def fail(error):
        raise error

    for name, error in failed:
        thread = threading.Thread(target=fail, args=[error], name=name)
        thread.start()
        thread.join()
    assert told == ["of another kind", "in another thread"]
