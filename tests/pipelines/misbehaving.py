"""Functions that do in a worker what bad input makes libraries do; named as `tokenladder.tests.pipelines.…`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from tokenladder.pipelines.files.store import UserError


def work(payload, *, at):
    """Go through records; some crash or hang, always or once. Returns what was done, and the process's number."""
    done = []
    for n in range(payload.get("records", 4)):
        if str(n) in payload["reject"]:
            continue
        at(n)
        if n in payload.get("crash", []):
            os.kill(os.getpid(), signal.SIGSEGV)
        if n in payload.get("crash_once", []):
            mark = Path(payload["folder"], str(n))
            if not mark.exists():
                mark.write_text("")
                os.kill(os.getpid(), signal.SIGABRT)
        if n in payload.get("hang", []):
            time.sleep(60)
        if n in payload.get("swell", []):
            bytearray(7 << 30)
        done.append(n)
    return {"done": done, "reject": payload["reject"], "pid": os.getpid()}


def note(payload, *, at):
    """Work, and write down what was done."""
    found = work(payload, at=at)
    Path(payload["folder"], "noted").write_text(json.dumps({name: found[name] for name in ("done", "reject")}))


def die(payload, **_):
    os._exit(payload["status"])


def fail(payload, **_):
    kind = {"UserError": UserError, "OSError": OSError, "ValueError": ValueError, "KeyError": KeyError}[payload["kind"]]
    raise kind("what is wrong: ä\nand a second line")


def chatter(payload, **_):
    print("noise on standard output")  # noqa: T201 as some libraries do
    sys.stdout.flush()
    os.write(1, b"more noise\n")
    return payload["value"]


def allocate(payload, **_):
    return len(bytearray(payload["bytes"]))


def write_name(payload):
    Path(payload["folder"], str(payload["name"])).write_text("done")


def emit_name(payload):
    for bucket in range(3):
        yield bucket, f"{payload['name']} ".encode()


def count_names(bucket, values, payload):
    names = sorted(b"".join(values).decode().split())
    yield bucket % 2, f"{bucket}:{'+'.join(names)}{payload['mark']} ".encode()


def write_bucket(bucket, values, payload):
    Path(payload["folder"], str(bucket)).write_text(" ".join(sorted(b"".join(values).decode().split())))
    return
    yield


def fail_with(payload):
    fail(payload)


def fail_in_bucket(_bucket, _values, payload):
    fail(payload)
    yield
