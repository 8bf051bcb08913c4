"""Importance of documents: how much more likely a text is in a target than in the raw pool.

The method is DSIR (Xie et al. 2023, https://arxiv.org/abs/2302.03169): words and pairs of words are hashed into
buckets; target and raw text are two distributions over the buckets; a document's importance is the logarithm of the
ratio of its likelihoods. Resampling without replacement is then a ``top`` rule on the importance with Gumbel noise.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..hashing import fmix64, hash_text
from ..shingles import shingles
from ..text import words
from ..text.buffers import text_buffers, text_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

LARGEST_FILE = 1 << 30
"""Bytes of the largest file of example text; two distributions over ten thousand buckets need far less."""

UNIT = 1 << 20
"""Logarithms are whole numbers over this, so that their sum is the same in any order."""

LN2 = 0.6931471805599453


@dataclass(frozen=True)
class Importance:
    """Score ``importance``: how much more a text is like target text than like raw text.

    Attributes:
        target: Files of text as it is wanted: JSON Lines with a field ``text`` where the name ends in ``.jsonl``, else
            plain text.
        raw: Files of text as the pool has it, in the same forms; a sample of some megabytes is enough.
        buckets: Of hashed words and pairs of words.
        seed: Another one is another draw.

    Output columns:
        weight: float64; the sum over words and pairs of ``log(target share / raw share)`` of their buckets, one count
            being added to each bucket. It grows with the length of a text, as a likelihood does.
        mean: float64; the same for each word or pair; 0 without words.
        draw: float64; ``weight`` with Gumbel noise that the text itself gives. The documents with the greatest values
            are a sample without replacement in which each is drawn in proportion to ``exp(weight)``.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "importance"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "draw"

    target: tuple[str, ...]
    raw: tuple[str, ...]
    buckets: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "raw"):
            if not getattr(self, name) or not all(getattr(self, name)):
                raise ValueError(f"importance: {name} must name at least one file of text.")
        if not 2 <= self.buckets <= 1 << 24:
            raise ValueError(f"importance: buckets must be from 2 to {1 << 24}; it is {self.buckets}.")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"importance: seed must be from 0 to 2^63 - 1; it is {self.seed}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field(name, pa.float64()) for name in ("weight", "mean", "draw")])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, the files' hashes (not their paths), the Unicode tables.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A file is too large.
        """
        known: dict[str, JSON] = {
            name: [*sorted(_digest(*_stamped(file)) for file in getattr(self, name))] for name in ("target", "raw")
        }
        return {**base_identity(self), **known, "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The importance of the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: There is no column ``text`` of strings, or a file holds no words or is not what its name says.
        """
        column = text_column(documents)
        ratios = _ratios(tuple(map(_stamped, self.target)), tuple(map(_stamped, self.raw)), self.buckets)
        total, counts = np.zeros(len(column), np.int64), np.zeros(len(column), np.int64)
        for ngram in (1, 2):
            offsets, found = _hashed(documents, ngram, self.buckets)
            running = np.r_[0, np.cumsum(ratios[found])]
            total += running[offsets[1:]] - running[offsets[:-1]]
            counts += np.diff(offsets)
        weight = total / UNIT
        uniform = ((hash_text(column, self.seed) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
        drawn = weight - logarithm(-logarithm(uniform))
        missing = ~text_buffers(column).valid
        arrays = [pa.array(each, mask=missing) for each in (weight, weight / np.maximum(counts, 1), drawn)]
        return pa.record_batch(arrays, schema=self.columns)


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithms of positive numbers, the same on every machine, to 1e-15.

    Libraries differ in the last bit of a logarithm, which could change who is drawn. This takes nothing but additions,
    multiplications and divisions, which IEEE 754 fixes.

    >>> logarithm(np.array([1.0, 2.0, 0.001])).round(12).tolist()
    [0.0, 0.69314718056, -6.907755278982]
    """
    mantissa, exponent = np.frexp(values)
    small = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    t = (mantissa - 1) / (mantissa + 1)  # below 0.172, so that t^21 / 21 is below 1e-17
    square, series = t * t, np.zeros_like(t)
    for power in range(19, 0, -2):
        series = series * square + 1.0 / power
    return np.asarray(2 * t * series + exponent * LN2, np.float64)


def _hashed(documents: pa.RecordBatch, ngram: int, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bucket of every word (1) or pair of words (2), and where each document's begin."""
    found = shingles.elements(documents, "words", ngram)
    hashes = fmix64(found.hashes.astype(np.uint64) + np.uint64(ngram << 32))
    return found.offsets, (hashes % np.uint64(buckets)).astype(np.int64)


@functools.cache
def _ratios(
    target: tuple[tuple[str, int, int], ...], raw: tuple[tuple[str, int, int], ...], buckets: int
) -> NDArray[np.int64]:
    """Of each bucket ``log(target share / raw share)``, in whole numbers over ``UNIT``."""
    shares = []
    for files in (target, raw):
        counts = np.ones(buckets, np.int64)  # one is added to each, so that no share is zero
        for file in files:
            texts = pa.record_batch({"text": _texts(file[0])})
            for ngram in (1, 2):
                counts += np.bincount(_hashed(texts, ngram, buckets)[1], minlength=buckets)
        if counts.sum() == buckets:
            raise ValueError(f"importance: no word is in {', '.join(name for name, _, _ in files)}.")
        shares.append(logarithm(counts / counts.sum()))
    return np.round((shares[0] - shares[1]) * UNIT).astype(np.int64)


def _texts(file: str) -> pa.Array:
    lines = Path(file).read_bytes().splitlines()
    try:
        if not file.endswith(".jsonl"):
            return pa.array([line.decode() for line in lines], pa.string())
        return pa.array([json.loads(line)["text"] for line in lines if line.strip()], pa.string())
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        form = "JSON Lines with a field 'text'" if file.endswith(".jsonl") else "UTF-8"
        raise ValueError(f"importance: {file} is not {form}: {error}") from error


def _stamped(file: str) -> tuple[str, int, int]:
    """A file's path, size and time of change, which together say that it need not be read again."""
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"importance: there is no file {file}.")
    status = path.stat()
    if status.st_size > LARGEST_FILE:
        raise ValueError(f"importance: {file} has {status.st_size} bytes; give a sample of at most {LARGEST_FILE}.")
    return str(path), status.st_size, status.st_mtime_ns


@functools.cache
def _digest(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
