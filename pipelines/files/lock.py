"""One build at a time in a folder.

On a local disk it is a lock of the operating system, which ends with its process. An object store has none, and pyarrow
no conditional put, so there each build puts a mark with a name of its own and then lists all marks: S3 and Google Cloud
Storage list what was put before, so of two builds that start together at least one sees the other (and both may, and
then both refuse). A mark is put again every half minute; one that is older than two minutes, by the store's own clock,
is of a build that is gone. A build that was frozen for longer, with its machine, is not protected when it wakes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import filelock

from . import store
from .temporaries import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 120
"""A mark that is older is of a build that is gone. Killed builds of this machine are known at once."""


@contextlib.contextmanager
def lock(out: str) -> Iterator[None]:
    """Hold a folder while the body runs.

    Raises:
        UserError: Another build holds it.
    """
    with _leased(out) if store.is_remote(out) else _locked(out):
        yield


@contextlib.contextmanager
def _locked(out: str) -> Iterator[None]:
    path = store.join(out, ".build", "README")
    if not store.exists(path):
        store.write_bytes(path, b"Marks of finished files. Without them, shards and ledgers are written again.\n")
    held = filelock.FileLock(store.join(out, ".build", "lock"), timeout=0)
    try:
        held.acquire()
    except filelock.Timeout as error:
        raise store.UserError(f"{out}: another build is running in this folder. Wait for it to end.") from error
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def _leased(out: str) -> Iterator[None]:
    folder, mine = store.join(out, ".build", "builds"), f"{socket.gethostname()}@{os.getpid()}"
    path = store.join(folder, mine)
    store.write_bytes(path, b"")
    stop = threading.Event()
    keeper = threading.Thread(target=_renew, args=(path, stop), daemon=True)
    try:
        _refuse(out, folder, mine)
        keeper.start()
        yield
    finally:
        stop.set()
        if keeper.ident is not None:
            keeper.join()
        with contextlib.suppress(OSError):
            store.remove(path)


def _refuse(out: str, folder: str, mine: str) -> None:
    marks = {file.path.rpartition("/")[2]: file for file in store.list_files(folder)}
    for name, file in sorted(marks.items()):
        host, _, pid = name.rpartition("@")
        age = (marks[mine].modified - file.modified) / 1e9
        if name == mine or not host or not pid.isdigit():
            continue
        if age > LEASE_SECONDS or (host == socket.gethostname() and not is_alive(int(pid))):
            store.remove(file.path)
            continue
        raise store.UserError(
            f"{out}: another build is running in this folder ({host}, process {pid}, which told so {max(0, age):.0f} "
            f"seconds ago). Wait for it to end; if it was killed, for {LEASE_SECONDS} seconds."
        )


def _renew(path: str, stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 4):
        with contextlib.suppress(OSError):  # the next one may succeed; what the build itself writes is tried on its own
            store.write_bytes(path, b"")
