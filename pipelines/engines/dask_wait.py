"""Waiting for a Dask cluster: what is done when its scheduler or its workers die or stand still.

Dask cancels all that a client waits for when the scheduler goes away, and Beam's runner takes what was cancelled for
done: a build would go on with outputs that are not there. A cluster without workers keeps its tasks for ever, and a
worker that stands still is given up after Dask's `distributed.scheduler.worker-ttl`, five minutes by default. So a
build waits here: it looks at the cluster every few seconds, tells what it waits for, and ends where nothing can come.
"""

from __future__ import annotations

import logging
import queue
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 5.0
"""Between two looks at the cluster while nothing ends."""

TELL_SECONDS = 30.0
"""A worker or scheduler that said nothing for so long is told of; healthy ones report twice a second or so."""

GIVE_UP_SECONDS = 300.0
"""So long a build waits for a scheduler that does not answer, and for a first worker where there is none."""


def hush() -> None:
    """Have Dask say nothing of connections that it lost: what that means for a build is told once, here."""
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm", "distributed.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def explain(error: OSError, options: Any) -> OSError:
    """What to tell of a pipeline that could not be sent; on other engines than Dask the error itself."""
    given = options.get_all_options()
    where = given.get("address") or given.get("scheduler_file")
    return gone(where, f" ({error})") if where else error


def gone(where: str, how: str = "") -> OSError:
    """What to tell of a scheduler that is not there any more."""
    return OSError(
        f"The Dask scheduler at {where} went away{how}. Start it and its workers again, or name another one."
    )


def wait(client: Any, futures: Any, say: Callable[[str], None]) -> None:
    """Wait until all futures are finished.

    Args:
        client: Dask's.
        futures: Its futures.
        say: Tells the user a line.

    Raises:
        OSError: The scheduler is gone or does not answer, there are no workers, or a task took worker after worker
            with it.
        Exception: Whatever a task raised.
    """
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    where = client.scheduler.address if client.scheduler else "its address"
    cluster = _Cluster(client, where, say)
    left = len(futures)
    while left:
        try:
            future = ended.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            cluster.look()
            continue
        left -= 1
        try:
            error = None if future.status == "finished" else future.exception(timeout=LOOK_SECONDS)
        except CancelledError:
            error = None
        if isinstance(error, KilledWorker):
            raise OSError(
                f"Dask gave a task up: {error.allowed_failures + 1} workers died with it, the last at"
                f" {error.last_worker.address}. Look at the workers' logs and at the memory of their machines."
            ) from None
        if error is not None:
            raise error
        if future.status != "finished":
            raise gone(where)


class _Cluster:
    """What is known of a cluster's health."""

    def __init__(self, client: Any, where: str, say: Callable[[str], None]) -> None:
        self._client, self._where, self._say = client, where, say
        self._answered = self._manned = time.monotonic()
        self._told: set[str] = set()

    def look(self) -> None:
        """Ask the scheduler for its workers; tell what is wrong, once, and end the wait where it stays so."""
        try:
            found = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=LOOK_SECONDS)
        except (OSError, TimeoutError):  # one that is gone cancels the futures; one that hangs does not
            silent = time.monotonic() - self._answered
            if silent > GIVE_UP_SECONDS:
                raise OSError(
                    f"The Dask scheduler at {self._where} has not answered for {silent:.0f} s. Look at its process; end"
                    " it and start another one."
                ) from None
            if silent > TELL_SECONDS:
                self._tell("scheduler", f"The Dask scheduler at {self._where} has not answered for {silent:.0f} s")
            return
        now = self._answered = time.monotonic()
        self._told.discard("scheduler")
        workers = found["workers"]
        if workers:
            self._manned = now
            self._told.discard("workers")
        elif now - self._manned > GIVE_UP_SECONDS:
            raise OSError(
                f"The Dask scheduler at {self._where} has had no workers for {now - self._manned:.0f} s. Start some:"
                f" `dask worker {self._where}`."
            )
        else:
            self._tell("workers", f"Dask: all workers are gone; waiting for one: `dask worker {self._where}`")
        latest = max((one["last_seen"] for one in workers.values()), default=0.0)  # by the scheduler's clock
        for address in sorted(workers):
            silent = latest - workers[address]["last_seen"]
            if silent > TELL_SECONDS:
                self._tell(
                    address,
                    f"Dask: the worker {address} has said nothing for {silent:.0f} s; the scheduler gives its tasks to"
                    " others after its worker-ttl, or when that process is ended",
                )
            else:
                self._told.discard(address)

    def _tell(self, what: str, line: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._say(line)
