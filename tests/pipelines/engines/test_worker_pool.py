"""Pools: workers report to their engine, and end with it, with their pool, or when the engine asks; no others do."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
import psutil
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)

SECONDS = 60


class Engine(
    beam_fn_api_pb2_grpc.BeamFnControlServicer,
    beam_fn_api_pb2_grpc.BeamFnLoggingServicer,
    beam_provision_api_pb2_grpc.ProvisionServiceServicer,
):
    """What a worker of Flink or Spark talks with: says where to report, and hangs up when told."""

    def __init__(self):
        self.reported, self.over = queue.Queue(), threading.Event()

    def GetProvisionInfo(self, _request, context):  # noqa: N802 Beam's name
        self.reported.put(("asks", dict(context.invocation_metadata())["worker_id"]))
        info = beam_provision_api_pb2.ProvisionInfo(control_endpoint=self.place, logging_endpoint=self.place)
        return beam_provision_api_pb2.GetProvisionInfoResponse(info=info)

    def Control(self, _requests, context):  # noqa: N802 Beam's name
        self.reported.put(("work", dict(context.invocation_metadata())["worker_id"]))
        self.over.wait(SECONDS)
        yield from ()

    def Logging(self, requests, context):  # noqa: N802 Beam's name
        self.reported.put(("log", dict(context.invocation_metadata())["worker_id"]))
        for _ in requests:
            pass
        yield from ()


@contextlib.contextmanager
def engine():
    """An engine of this process that serves."""
    one = Engine()
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(one, server)
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(one, server)
    beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(one, server)
    one.place = endpoints_pb2.ApiServiceDescriptor(url=f"localhost:{server.add_insecure_port('localhost:0')}")
    server.start()
    try:
        yield one
    finally:
        one.over.set()
        server.stop(None).wait()


@contextlib.contextmanager
def a_pool(folder):
    """A pool of the command line, started in a folder whose modules are not for it: its process and its address."""
    (folder / "random.py").write_text("raise SystemExit('a module of the folder was loaded')")
    command = [Path(sys.executable).parent / "tokenladder", "worker-pool", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            yield process, process.stdout.readline().rpartition("=")[2].strip()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """What starts and stops workers of one pool, and its process."""
    with a_pool(tmp_path_factory.mktemp("pool")) as (process, address), grpc.insecure_channel(address) as channel:
        yield beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel), psutil.Process(process.pid)


def start(pool, one, name):
    """A worker of this name that has reported: its process."""
    before = set(workers(pool[1]))
    request = beam_fn_api_pb2.StartWorkerRequest(
        worker_id=name, control_endpoint=one.place, provision_endpoint=one.place, logging_endpoint=one.place
    )
    assert pool[0].StartWorker(request).error == ""
    assert {one.reported.get(timeout=SECONDS) for _ in range(3)} == {("asks", name), ("log", name), ("work", name)}
    (worker,) = set(workers(pool[1])) - before
    return worker


def stop(pool, name):
    pool[0].StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=name))


def workers(process):
    """Processes that a pool has forked."""
    return [worker for child in process.children() for worker in child.children()]


def test_workers_report_to_their_engines_and_end_when_these_hang_up(pool):
    with engine() as one, engine() as other:
        first, second = start(pool, one, "1-1"), start(pool, other, "2-1")
        one.over.set()
        first.wait(SECONDS)
        assert second.is_running()
    second.wait(SECONDS)


def test_an_engine_stops_its_worker(pool):
    with engine() as one:
        worker = start(pool, one, "3-1")
        stop(pool, "3-1")
        worker.wait(SECONDS)
        stop(pool, "3-1")
        stop(pool, "unknown")


def test_of_workers_of_one_name_none_is_ended_for_another(pool):
    with engine() as one, engine() as other:
        first, second = start(pool, one, "4-1"), start(pool, other, "4-1")
        stop(pool, "4-1")
        assert first.is_running()
        assert second.is_running()
        one.over.set()
        first.wait(SECONDS)
        assert second.is_running()
        stop(pool, "4-1")
        second.wait(SECONDS)


def test_a_worker_that_ended_itself_is_not_mistaken_for_one_of_its_name(pool):
    with engine() as one, engine() as other:
        first, second = start(pool, one, "5-1"), start(pool, other, "5-1")
        one.over.set()
        first.wait(SECONDS)
        stop(pool, "5-1")
        third = start(pool, other, "5-1")
        stop(pool, "5-1")
        assert second.is_running()
        assert third.is_running()
        stop(pool, "5-1")
        second.wait(SECONDS)
        third.wait(SECONDS)


def test_workers_that_have_ended_hold_nothing(pool):
    held = []
    for name in ("6-1", "7-1", "8-1"):
        with engine() as one:
            worker = start(pool, one, name)
            held.append(pool[1].num_fds())
        worker.wait(SECONDS)
    assert held[2] <= held[1]


def test_workers_end_with_their_pool(tmp_path):
    with a_pool(tmp_path) as (process, address), grpc.insecure_channel(address) as channel, engine() as one:
        mine = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel), psutil.Process(process.pid)
        worker = start(mine, one, "1-1")
        process.terminate()
        assert process.wait(SECONDS) == 0
        worker.wait(SECONDS)


def test_a_pool_that_cannot_load_its_modules(tmp_path):
    (tmp_path / "broken.py").write_text("print('no such library'); raise SystemExit(3)")
    code = "from tokenladder.pipelines.engines.worker_pool import WorkerPool; WorkerPool(['broken'])"
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.stdout == "no such library\n"
    assert "UserError: The process from which workers are forked does not start (" in ended.stderr


def test_a_port_that_is_taken_is_named(pool):
    taken = pool[1].net_connections()[0].laddr.port
    command = [Path(sys.executable).parent / "tokenladder", "worker-pool", "--port", str(taken)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    said = f"No pool can listen at localhost:{taken}: another program does, or it is not of this machine."
    assert ended.stderr.splitlines()[-1] == said
