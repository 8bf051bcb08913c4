"""A tokenizer that some texts kill, always or only among others; named as `tokenladder.tests.pipelines.…`."""

from __future__ import annotations

import os
import signal

from tokenladder.pipelines.stages import encode

TOKENIZER = encode.tokenizer


class Deadly:
    """The study's tokenizer, but for texts that say KILLS or KILLS-TOGETHER."""

    def __init__(self, whole):
        self.dtype, self.end_of_document, self._encode = whole.dtype, whole.end_of_document, whole.encode

    def encode(self, texts):
        read = " ".join(texts.to_pylist())
        if "KILLS " in read or ("KILLS-TOGETHER" in read and len(texts) > 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        return self._encode(texts)


def encode_part(payload, *, at):
    encode.tokenizer = lambda section, model: Deadly(TOKENIZER(section, model))
    return encode.encode_part(payload, at=at)
