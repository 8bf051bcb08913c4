"""A score that some texts kill, computed in a worker as the stages do; named as `tokenladder.tests.pipelines.…`."""

from __future__ import annotations

import os
import signal
import time

import pyarrow as pa

from tokenladder.pipelines.engines.care import Care
from tokenladder.pipelines.stages.families import score_carefully


class Deadly:
    """A score that some texts kill, always or only among others."""

    def __init__(self, payload):
        self._payload = payload

    def score(self, documents):
        texts = [int(text) for text in documents.column("text").to_pylist() if text is not None]
        for how, kill in (("crash", segfault), ("hang", lambda: time.sleep(60)), ("swell", swell)):
            if set(texts) & set(self._payload.get(how, [])):
                kill()
        if len(texts) > 1 and set(texts) & set(self._payload.get("crash_together", [])):
            segfault()
        return documents


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def swell():
    bytearray(7 << 30)


def score(payload, *, at):
    """Score records in batches, as the stages do; returns what came, what was rejected, and how careful it was."""
    care, marks, killed, family = Care.of(payload, at), [], {}, Deadly(payload)
    for first in range(0, payload["records"], payload["batch"]):
        texts = [str(n) for n in range(first, min(first + payload["batch"], payload["records"]))]
        scored, lost = score_carefully(family, pa.record_batch({"text": pa.array(texts)}), 0, first, care)
        killed |= {str(first + row): reason for row, reason in lost.items()}
        marks.append([None if text is None else int(text) for text in scored.column("text").to_pylist()])
    return {"marks": marks, "reject": payload["reject"], "killed": killed, "careful": care.level}
