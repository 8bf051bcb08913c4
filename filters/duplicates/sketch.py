"""Bottom-k sketches of documents: how much of one document is in another, whatever their lengths.

A signature of :mod:`.minhash` estimates the Jaccard similarity, which is small for a page and a longer one that
contains it. A sketch keeps the ``size`` least elements (hashes of shingles) of a document instead. Below the greatest
value that it has kept, a sketch is the whole document, so that the share of common values there estimates the
containment (Broder 1997, "On the resemblance and containment of documents"); a document of at most ``size`` different
shingles is kept whole, and compared exactly. :func:`..shingles.element_sets.containment_pairs` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..shingles import shingles
from ..shingles.element_sets import distinct_elements
from ..text import words
from ..text.buffers import text_column

if TYPE_CHECKING:
    from ..family import JSON


@dataclass(frozen=True)
class Sketch:
    """Score ``sketch``: the least elements of a text, for finding documents that contain others.

    Attributes:
        unit: What shingles are made of: ``words``, ``characters``, ``code`` or ``auto``, as for the score ``minhash``.
        ngram: Tokens in a shingle; by default 5 words, 20 characters or 8 tokens of code.
        size: Elements that a sketch keeps at most. A containment estimated from ``n`` values has a standard error of at
            most ``0.5 / sqrt(n)``.

    Output columns:
        sketch: binary; little-endian uint32, ascending and distinct; null for a text without tokens.
        elements: int32; distinct elements of the text, those not kept included; 0 for a text without tokens.

    >>> Sketch(ngram=2).score(pa.record_batch({"text": ["one two three two three"]}))["elements"].to_pylist()
    [3]
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "sketch"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "elements"

    unit: str = "auto"
    ngram: int | None = None
    size: int = 128

    def __post_init__(self) -> None:
        shingles.check("sketch", self.unit, self.ngram)
        if not 1 <= self.size <= 65_536:
            raise ValueError(f"sketch: size must be from 1 to 65536 elements; it is {self.size}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("sketch", pa.binary()), pa.field("elements", pa.int32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the Unicode tables behind words."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Sketches of the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings, or ``file_type`` is none; or the sketches of the batch
                come to more than 2 GiB, which a column of binary cannot hold.
        """
        found = shingles.elements(documents, self.unit, self.ngram)
        offsets, values, counts = distinct_elements(found.offsets, found.hashes, self.size)
        missing = np.asarray(text_column(documents).is_null().to_numpy(zero_copy_only=False), np.bool_)
        if 4 * int(offsets[-1]) > np.iinfo(np.int32).max:
            raise ValueError(f"Sketches of {len(counts)} documents come to over 2 GiB; score fewer at a time.")
        valid = pa.py_buffer(np.packbits(counts > 0, bitorder="little"))
        places, data = pa.py_buffer((4 * offsets).astype(np.int32)), pa.py_buffer(values.astype("<u4", copy=False))
        sketch = pa.Array.from_buffers(pa.binary(), len(counts), [valid, places, data])
        return pa.record_batch([sketch, pa.array(counts, mask=missing)], schema=self.columns)
