"""Object stores of this machine, each a process of its own, and a front that injects what real ones do on bad days."""
# ruff: noqa: S311, N815 seeded faults are no secrets; names that http.server calls

from __future__ import annotations

import contextlib
import http.client
import http.server
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

MOTO = """
import sys, threading
from moto.server import ThreadedMotoServer
from moto.s3.models import s3_backends
server = ThreadedMotoServer("127.0.0.1", int(sys.argv[1]), verbose=False)
backend = s3_backends["123456789012"]["aws"]
backend.create_bucket("corpora", "us-east-1")
for n in range(int(sys.argv[2])):
    backend.put_object("corpora", f"many/{n % 100:02d}/{n:06d}.jsonl", b"x")
server.start()
sys.stdin.read()
server.stop()
"""
"""An S3 server with a bucket, and so many objects in it; it ends when its standard input does."""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(command, port):
    """A server, once it answers."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, f"{command[0]} ended"
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.terminate()


@contextlib.contextmanager
def s3_server(keys=0):
    pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]'")
    port = free_port()
    with running([sys.executable, "-W", "ignore", "-c", MOTO, str(port), str(keys)], port) as address:
        yield address


@contextlib.contextmanager
def gs_server(folder):
    """A gs server that holds the buckets that are folders of `folder`."""
    program = shutil.which("fake-gcs-server")
    if program is None:
        pytest.skip("fake-gcs-server is not on PATH: go install github.com/fsouza/fake-gcs-server@latest")
    port = free_port()
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "filesystem"]
    command += ["-filesystem-root", str(folder), "-public-host", f"127.0.0.1:{port}"]
    with running(command, port) as address:
        yield address


class Front:
    """Stands before an S3 server, counts requests, and answers a share of them with a fault.

    Attributes:
        address: Where it listens.
        share: Of the requests that fail.
        requests: How many came, by method and kind of fault (`ok` for none).
    """

    KINDS = ("503", "500", "reset", "cut", "slow")

    def __init__(self, behind, share=0.0, seed=0):
        self.share, self.requests = share, {}
        self._behind, self._rng, self._lock = behind, random.Random(seed), threading.Lock()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _any(self):
                front.answer(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _draw(self, method):
        with self._lock:
            kind = self._rng.choice(self.KINDS) if self._rng.random() < self.share else "ok"
            self.requests[method, kind] = self.requests.get((method, kind), 0) + 1
        return kind

    def faults(self):
        return sum(count for (_, kind), count in self.requests.items() if kind != "ok")

    def answer(self, handler):
        body = _body(handler)
        kind = self._draw(handler.command)
        if kind == "reset":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if kind in {"503", "500"}:
            name = "SlowDown" if kind == "503" else "InternalError"
            text = f"<Error><Code>{name}</Code><Message>injected</Message></Error>"
            _send(handler, int(kind), {}, text.encode())
            return
        if kind == "slow":
            time.sleep(0.2)
        status, headers, data = self._forward(handler, body)
        # S3 names the answer's root so; moto does not, and Arrow takes any other root for an error
        data = data.replace(b"CompleteMultipartUploadResponse", b"CompleteMultipartUploadResult")
        _send(handler, status, headers, data, cut=kind == "cut")

    def _forward(self, handler, body):
        connection = http.client.HTTPConnection(self._behind, timeout=60)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in DROPPED}
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), data


DROPPED = {"connection", "content-length", "transfer-encoding", "expect", "server", "date"}


def _body(handler):
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    pieces = []
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        pieces.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(pieces)


def _send(handler, status, headers, data, *, cut=False):
    handler.send_response(status)
    length = headers.get("Content-Length", str(len(data))) if handler.command == "HEAD" else str(len(data))
    for name, value in headers.items():
        if name.lower() not in DROPPED:
            handler.send_header(name, value)
    handler.send_header("Content-Length", length)
    handler.end_headers()
    if handler.command == "HEAD":
        return
    if cut and len(data) > 1:
        handler.wfile.write(data[: len(data) // 2])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)
        return
    handler.wfile.write(data)
