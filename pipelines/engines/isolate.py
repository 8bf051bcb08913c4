"""Work on untrusted input in long-lived child processes.

Extractors and classifiers are native code that hold the interpreter lock, and some input crashes or hangs them. Each
worker thread therefore borrows one child process, sends it a function's name and a JSON payload, and waits. Two threads
that parse the same pages take as long as one after the other (the lock); two children take half.

A child that dies, stands still or runs out of memory is replaced and its work done again. The record that it was at
twice is rejected by name; everything else is kept. Where it died outside any record, in a score or the tokens of a
whole batch, the work is done again with more care (`care`): each record is tried on its own first, and, where the batch
still kills, never with others. A record that kills a score twice has no value of that score, so that the rules which
ask for it drop it and say so; one that kills the tokenizer twice is rejected where its turn in the stream would come.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import json
import mmap
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from ..files.store import UserError
from ..watch.notes import name_of
from .child import ENCODING, OUT_OF_MEMORY, SCORING, score_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALL_SECONDS = 120.0
"""A child that stays at one record for so long is taken for hung."""

BATCH_STALLS = 8
"""A child that works on one batch for so many times as long is taken for hung, too: 16 minutes for at most 32 MiB; and
one that uses no processor for so long between records, where it reads, writes and waits for a store."""

ATTEMPTS = 3
"""How often work is tried that dies outside any record."""

MANY = 25
"""Records that kill one by one, with few or none between them that do not, before no other is tried."""

NOWHERE = -1
"""What the progress cell holds while no record is being worked on; below it are whole batches."""


class ChildDiedError(Exception):
    """A child crashed or hung.

    Attributes:
        ordinal: The record that it was at, that of a batch, or NOWHERE.
        how: `crashed (signal 11)`, `timed out`, ….
    """

    def __init__(self, ordinal: int, how: str) -> None:
        """Keep where and how."""
        super().__init__(f"{how} at record {ordinal}")
        self.ordinal = ordinal
        self.how = how


class Child:
    """One child process and the pipe to it."""

    def __init__(self) -> None:
        """Start the process; it imports what its first call needs."""
        self._cell = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as the child
        self._cell.write(NOWHERE.to_bytes(8, sys.byteorder, signed=True))
        self._cell.flush()
        self._map = mmap.mmap(self._cell.fileno(), 8)
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        self._process = subprocess.Popen(  # noqa: S603 this package's own module
            [sys.executable, "-P", "-m", "tokenladder.pipelines.engines.child", str(self._cell.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._cell.fileno()],
            env={**os.environ, **single, "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then closes the pipe
        )
        assert self._process.stdout is not None  # noqa: S101 both are pipes
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._buffer = b""

    def call(
        self, target: str, payload: dict[str, Any], stall: float, watch: Callable[[int], None] = lambda _: None
    ) -> Any:
        """Run `module:function` on a payload in the child.

        Raises:
            ChildDiedError: The child crashed, or stayed at one record for `stall` seconds.
            UserError: The function raised one.
            OSError: The function raised one.
            RuntimeError: The function raised anything else; the message holds the child's traceback.
        """
        self._map[:8] = NOWHERE.to_bytes(8, sys.byteorder, signed=True)
        assert self._process.stdin is not None  # noqa: S101 it is a pipe
        try:
            self._process.stdin.write(json.dumps({"target": target, "payload": payload}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        reply = json.loads(self._read_line(stall, watch))
        if "value" in reply:
            return reply["value"]
        kinds = {"UserError": UserError, "OSError": OSError}
        raise kinds.get(reply["kind"], RuntimeError)(reply["message"])

    def _read_line(self, stall: float, watch: Callable[[int], None]) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 it is a pipe
        seen, since, used = self._ordinal(), time.monotonic(), self._processor_time()
        batch = BATCH_STALLS * stall
        while b"\n" not in self._buffer:
            if self._selector.select(timeout=min(1.0, stall)):
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._died()
                self._buffer += chunk
            elif self._ordinal() != seen:
                seen, since = self._ordinal(), time.monotonic()
                if seen >= 0:
                    watch(seen)
            elif seen == NOWHERE and (now := self._processor_time()) != used:
                since, used = time.monotonic(), now
            elif (seen != NOWHERE or used) and time.monotonic() - since > (stall if seen >= 0 else batch):
                self.close()
                raise ChildDiedError(seen, "timed out")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _processor_time(self) -> tuple[str, ...]:
        """What the process has used of processors, user and system; empty where the machine does not tell."""
        try:
            with open(f"/proc/{self._process.pid}/stat", encoding="ascii", errors="replace") as file:
                return tuple(file.read().rpartition(")")[2].split()[11:13])
        except OSError:
            return ()

    def _ordinal(self) -> int:
        return int.from_bytes(self._map[:8], sys.byteorder, signed=True)

    def _died(self) -> ChildDiedError:
        code = self._process.wait()
        how = f"crashed (signal {-code})" if code < 0 else f"ended with status {code}"
        if code == OUT_OF_MEMORY:
            how = "ran out of memory"
        ordinal = self._ordinal()
        self.close()
        return ChildDiedError(ordinal, how)

    def close(self) -> None:
        """End the process, now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._map.close()
        self._cell.close()


class Pool:
    """The children of this process, lent to one thread each."""

    def __init__(self) -> None:
        """Start with none; they come as threads ask."""
        self._idle: collections.deque[Child] = collections.deque()
        self._lent: set[Child] = set()
        self._lock = threading.Lock()
        atexit.register(self.close)

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Child]:
        """A child for this thread; it is taken back unless it died."""
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or Child()
        with self._lock:
            self._lent.add(child)
        try:
            yield child
        except ChildDiedError:
            with self._lock:
                self._lent.discard(child)
            raise
        except BaseException as error:
            if isinstance(error, UserError | OSError | RuntimeError):
                self._give_back(child)
            else:
                child.close()
            raise
        else:
            self._give_back(child)

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._lent.discard(child)
            self._idle.append(child)

    def close(self) -> None:
        """End all children, those at work too."""
        with self._lock:
            for child in [*self._idle, *self._lent]:
                child.close()
            self._idle.clear()
            self._lent.clear()


POOL = Pool()


def call(
    target: str,
    payload: dict[str, Any],
    *,
    stall: float = STALL_SECONDS,
    watch: Callable[[int], None] = lambda _: None,
) -> Any:
    """Run `module:function` on a JSON payload in a child process, come what may.

    The payload's `reject` maps ordinals of records to reasons; a record at which a child died twice is added to it.
    `watch` is told every second which record is being worked on.

    Raises:
        UserError: The function raised one.
        OSError: The function raised one.
        ChildProcessError: Its child died several times outside any record, or at record after record.
        RuntimeError: The function raised anything else.
    """
    reject: dict[str, str] = dict(payload.get("reject", {}))
    deaths: collections.Counter[int] = collections.Counter()
    killing: list[int] = []
    while True:
        careful = {"careful": deaths[NOWHERE]} if deaths[NOWHERE] else {}
        try:
            with POOL.borrow() as child:
                return child.call(target, {**payload, **careful, "reject": reject}, stall, watch)
        except ChildDiedError as death:
            at = max(death.ordinal, NOWHERE)
            deaths[at] += 1
            if at == NOWHERE and deaths[NOWHERE] >= ATTEMPTS:
                raise _hopeless(target, payload, death, f"{ATTEMPTS} times, and not at one record") from death
            if at != NOWHERE and deaths[at] == 2:
                reject[str(at)] = f"{_doing(at)} {death.how}"
                killing = [*killing, at] if at >= SCORING else killing
                if len(killing) >= MANY and max(killing) - min(killing) < 2 * len(killing):
                    raise _hopeless(
                        target, payload, death, f"at {len(killing)} records, one after the other"
                    ) from death
            elif deaths[at] > ATTEMPTS:
                raise RuntimeError(
                    f"{target}: its process {death.how} at a record that was already rejected"
                ) from death


def _doing(ordinal: int) -> str:
    """What was done to a record."""
    return "encoding" if ordinal >= ENCODING else "scoring" if ordinal >= SCORING else "extraction"


def _hopeless(target: str, payload: dict[str, Any], death: ChildDiedError, where: str) -> ChildProcessError:
    """What to tell of work that no care brings to its end. It is an `OSError`, which every engine carries."""
    scores = [one["type"] for one in payload.get("scores", {}).values()] or [payload.get("type", "")]
    number = score_of(death.ordinal) if death.ordinal < NOWHERE else death.ordinal // SCORING - 1
    what = f"the score '{scores[number]}'" if death.ordinal != NOWHERE and 0 <= number < len(scores) else "what it uses"
    what = "the tokenizer" if "tokenizer" in payload else what
    return ChildProcessError(
        f"{target.removeprefix('tokenladder.')}: its process {death.how} {where}, while it worked on "
        f"{name_of(payload) or 'its task'}. That is hardly the input: look at {what}, its library's version and the "
        "memory of this machine, then run the same command again; what is finished is kept."
    )
