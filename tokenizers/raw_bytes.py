"""Bytes as tokens, as in ByT5 (Xue et al. 2022): no file, nothing to train, and no text that it cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .protocol import JSON, Ids, Offsets, Texts, check_texts, text_ids, text_offsets

VERSION = 1


class ByteTokenizer:
    """UTF-8 bytes as ids 0 to 255, and 256 as the end of a document.

    >>> import pyarrow as pa
    >>> tokenizer = ByteTokenizer()
    >>> tokenizer.encode(pa.array(["hé", ""]))
    (array([0, 3, 3]), array([104, 195, 169], dtype=uint16))
    >>> tokenizer.decode(np.array([104, 195, 169, 256]))
    'hé'
    """

    vocabulary_size = 257
    end_of_document = 256
    dtype: np.dtype[Any] = np.dtype(np.uint16)

    def encode(self, texts: Texts) -> tuple[Offsets, Ids]:
        """Encode a column; see `Tokenizer.encode`. One widening copy of the column's bytes, no loop."""
        check_texts(texts)
        starts = text_offsets(texts)
        data: Any = texts.buffers()[2] if len(texts) else None
        if data is None:
            return starts - starts[0], np.empty(0, np.uint16)
        letters = np.frombuffer(data, np.uint8)[starts[0] : starts[-1]]
        return starts - starts[0], letters.astype(np.uint16)

    def decode(self, ids: NDArray[Any]) -> str:
        """Join the bytes; ones that are not UTF-8, as where a sequence was cut, become U+FFFD."""
        return bytes(text_ids(ids, self.vocabulary_size, self.end_of_document)).decode(errors="replace")

    def identity(self) -> dict[str, JSON]:
        """Name the scheme: there is no file and no library."""
        return {"type": "bytes", "version": VERSION, "end_of_document": self.end_of_document}
