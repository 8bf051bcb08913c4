"""A pool of workers on one machine: what `EXTERNAL` environments of Flink, Spark and other portable engines ask.

Beam's own pool starts an interpreter for each worker, which then imports Beam, 1.5 to 4 CPU-seconds; a build is some
twenty jobs, each with workers of its own. Here one process imports all that once, and workers are forked from it. And
it takes engines' processes of one machine that give their workers the same names, as Flink's TaskManagers and Spark's
executors do: it never ends a worker that another one may have meant.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc

from ..files.errors import UserError
from . import transforms, worker  # noqa: F401 the first loads Beam without its warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.context import ForkServerProcess

LOADED = (f"{__package__}.warm", "apache_beam.runners.worker.sdk_worker_main")
"""Modules that the process has loaded from which workers are forked."""

END_SECONDS = 5.0
"""How long a worker has to end by itself before it is killed."""

HUNG_UP = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
"""What calls end with whose engine has no more work, or is gone."""

ENDPOINTS = ("control", "logging", "artifact", "provision")


class WorkerPool:
    """Beam's service `BeamFnExternalWorkerPool`: starts workers and ends them."""

    def __init__(self, loaded: Sequence[str] = LOADED) -> None:
        """Start the process that workers are forked from, and wait until it has loaded its modules.

        Args:
            loaded: Modules to load there.

        Raises:
            UserError: It cannot load them.
        """
        os.environ["PYTHONSAFEPATH"] = "1"  # or modules of the folder where the pool was started would come first
        self._fork = multiprocessing.get_context("forkserver")
        self._fork.set_forkserver_preload([*loaded])
        self._lock = threading.Lock()
        self._workers: dict[str, _Namesakes] = {}
        first = self._fork.Process(target=_nothing)
        try:
            first.start()
            first.join()
        except (OSError, EOFError) as error:
            raise UserError(
                f"The process from which workers are forked does not start ({error!r}); see above."
            ) from error
        if first.exitcode != 0:
            raise UserError(f"A worker that had nothing to do ended with exit status {first.exitcode}; see above.")

    def StartWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802 Beam's name
        """Start a worker that reports where the request says."""
        from apache_beam.portability.api import beam_fn_api_pb2

        try:
            words = [f"--id={request.worker_id}"]
            words += [f"--{name}_endpoint={getattr(request, f'{name}_endpoint').url}" for name in ENDPOINTS]
            process = self._fork.Process(target=_work, args=(words,), name=request.worker_id, daemon=True)
            with self._lock:
                process.start()
                for known in self._workers.values():
                    known.forget()
                self._workers.setdefault(request.worker_id, _Namesakes()).add(process)
        except Exception:  # noqa: BLE001 the engine tells it
            return beam_fn_api_pb2.StartWorkerResponse(error=traceback.format_exc())
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _context: Any) -> Any:  # noqa: N802 Beam's name
        """End the workers of this name once all are stopped that were started; each ends with its engine's call."""
        from apache_beam.portability.api import beam_fn_api_pb2

        with self._lock:
            known = self._workers.get(request.worker_id)
            ending = known.stop() if known else []
            if known and not known.awaited:
                del self._workers[request.worker_id]
        for one in ending:
            _end(one)
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            running = [one for known in self._workers.values() for one in known.running()]
        for one in running:
            one.terminate()
        for one in running:
            _end(one)


class _Namesakes:
    """Workers of one name, of several engines perhaps, none of which says which of them it stops."""

    def __init__(self) -> None:
        self.awaited = 0
        self._processes: list[ForkServerProcess] = []

    def add(self, process: ForkServerProcess) -> None:
        self.awaited += 1
        self._processes.append(process)

    def forget(self) -> None:
        """Let go of those that have ended: each holds two file descriptors."""
        self._processes = self.running()

    def running(self) -> list[ForkServerProcess]:
        return [one for one in self._processes if one.is_alive()]

    def stop(self) -> list[ForkServerProcess]:
        """What is to be ended when one more of them is stopped."""
        self.awaited -= 1
        return [] if self.awaited else self.running()


def _work(arguments: list[str]) -> None:
    """What a worker does; its log goes to the engine, and not to where the pool writes."""
    logging.getLogger().handlers.clear()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C at the pool: it ends without a traceback
    threading.excepthook = _tell
    try:
        worker.main(arguments)
    except grpc.RpcError as error:
        if not _hung_up(error):
            raise


def _tell(arguments: Any) -> None:
    """Say what ended a thread, unless the engine did."""
    if not _hung_up(arguments.exc_value):
        threading.__excepthook__(arguments)


def _hung_up(error: BaseException | None) -> bool:
    return isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call) and error.code() in HUNG_UP


def _nothing() -> None:
    """What a process does that shows that processes can be started."""


def _end(process: ForkServerProcess) -> None:
    process.terminate()
    process.join(END_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


@contextlib.contextmanager
def serving(host: str, port: int, loaded: Sequence[str] = LOADED) -> Iterator[int]:
    """A pool that serves for as long as the body runs.

    Args:
        host: Which of this machine's addresses; whoever reaches it can run code here.
        port: Or 0 for a free one.
        loaded: As of `WorkerPool`.

    Yields:
        The port.

    Raises:
        UserError: Something else listens there, this is not an address of this machine, or workers do not start.
    """
    from apache_beam.portability.api import beam_fn_api_pb2_grpc

    options = [("grpc.so_reuseport", 0), ("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(), options=options)
    where = f"[{host}]" if ":" in host and not host.startswith("[") else host
    try:
        bound = server.add_insecure_port(f"{where}:{port}")
    except RuntimeError as error:
        raise UserError(
            f"No pool can listen at {host}:{port}: another program does, or it is not of this machine."
        ) from error
    pool = WorkerPool(loaded)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.start()
    try:
        yield bound
    finally:
        server.stop(None)
        pool.close()


def interrupted() -> threading.Event:
    """What SIGTERM and Ctrl-C set from now on, in place of ending this process."""
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: event.set())
    return event
