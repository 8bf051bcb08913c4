"""A score that some texts kill, computed in a worker as the stages do; named as `tokenladder.tests.pipelines.…`."""

from __future__ import annotations

import os
import signal
import time

import pyarrow as pa

from tokenladder.pipelines.families import score_batch, score_carefully


class Deadly:
    """A score that some texts kill; a hang is one only where a record is on its own, for nothing watches a batch."""

    def __init__(self, payload):
        self._payload = payload

    def score(self, documents):
        for text in documents.column("text").to_pylist():
            if text is not None and int(text) in self._payload.get("crash", []):
                os.kill(os.getpid(), signal.SIGSEGV)
            if text is not None and int(text) in self._payload.get("hang", []):
                os._exit(1) if documents.num_rows > 1 else time.sleep(60)
            if text is not None and int(text) in self._payload.get("swell", []):
                bytearray(7 << 30)
        return documents


def score(payload, *, at):
    """Score records in batches, as the stages do; returns what came, and what was rejected."""
    reject = {int(ordinal): reason for ordinal, reason in payload["reject"].items()}
    marks, family = [], Deadly(payload)
    for first in range(0, payload["records"], payload["batch"]):
        texts = [str(n) for n in range(first, min(first + payload["batch"], payload["records"]))]
        batch = pa.record_batch({"text": pa.array(texts)})
        if payload.get("careful"):
            scored = score_carefully(family, batch, 0, first, reject, at)
        else:
            scored = score_batch(family, batch)
        marks.append([None if text is None else int(text) for text in scored.column("text").to_pylist()])
    return {"marks": marks, "reject": payload["reject"]}
