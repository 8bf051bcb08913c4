"""MinHash signatures of documents, over shingles of words, of characters or of the tokens of source code.

The similarity that near duplicates are found by is the Jaccard similarity of two documents' sets of *shingles*: runs
of ``ngram`` consecutive tokens (:mod:`..shingles.shingles`). A *signature* keeps, for each of ``bands * rows``
permutations of 32-bit integers, the least permuted hash of a document's shingles; the share of equal places in two
signatures estimates the similarity (Broder 1997, "On the resemblance and containment of documents"), with a standard
error of at most ``0.5 / sqrt(bands * rows)``.

Signatures are those of datasketch 2, bit for bit, when it is given the same shingles and hash:

    MinHash(num_perm=bands * rows, seed=seed, scheme=scheme, hashfunc=hash_shingle)

with :func:`..shingles.shingles.hash_shingle`, where a shingle is its tokens in UTF-8 with one space between them.
:mod:`.interchange` makes the one of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..hashing import xxh64
from ..kernels import inlined, kernel
from ..shingles import shingles
from ..shingles.element_sets import checked_offsets
from ..shingles.hashes import fmix32
from ..text import words
from ..text.buffers import text_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import JSON

EMPTY = 0xFFFFFFFF
"""The least value of no shingle, as in datasketch."""

SCHEMES = ("affine32", "legacy")
"""Families of permutations, as datasketch names them: today's, and the one of its versions before 2."""

_PRIME = (1 << 61) - 1  # of the scheme legacy


@dataclass(frozen=True)
class MinHash:
    """Score ``minhash``: a signature for finding near duplicates.

    A document of fewer than ``ngram`` tokens has one shingle of all of them. One without a token (an empty text, or one
    of nothing but signs) has no signature.

    Attributes:
        unit: What shingles are made of: ``words``, ``characters``, ``code`` (tokens of a programming language), or
            ``auto``: code where the column ``file_type`` names a programming language, else words.
        ngram: Tokens in a shingle, whatever they are; by default 5 words, 20 characters or 8 tokens of code.
        bands: Bands of a signature. Two documents that agree on all rows of a band become candidates.
        rows: Permutations in a band.
        seed: Of the permutations; datasketch's default is 1.
        scheme: Of the permutations: ``affine32``, or ``legacy`` to compare with signatures of datasketch before
            version 2, at less than half the speed.

    Output columns:
        signature: fixed_size_binary[4 * bands * rows]; little-endian uint32; null for a text without tokens.
        shingles: int32; shingles of the text, repeats included.

    >>> one, two = MinHash(ngram=2).score(pa.record_batch({"text": ["The same text.", "the SAME téxt"]}))["signature"]
    >>> one == two
    True
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "minhash"
    VERSION: ClassVar[int] = 2
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "shingles"

    unit: str = "auto"
    ngram: int | None = None
    bands: int = 18
    rows: int = 6
    seed: int = 1
    scheme: str = "affine32"

    def __post_init__(self) -> None:
        shingles.check("minhash", self.unit, self.ngram)
        for name, least, most in (("bands", 1, 4096), ("rows", 1, 4096), ("seed", 0, 2**32 - 1)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"minhash: {name} must be from {least} to {most}; it is {getattr(self, name)}.")
        if self.permutations > 65_536:
            raise ValueError(f"minhash: bands times rows may be at most 65536; {self.bands} times {self.rows} is more.")
        _check_scheme(self.scheme)

    @property
    def permutations(self) -> int:
        """Places in a signature."""
        return self.bands * self.rows

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("signature", pa.binary(4 * self.permutations)), pa.field("shingles", pa.int32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and the Unicode tables behind words."""
        return {**base_identity(self), "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Signatures of the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings, or ``file_type`` is none.
        """
        found = shingles.elements(documents, self.unit, self.ngram)
        signatures = permute(found.hashes, found.offsets, self.permutations, self.seed, self.scheme)
        counts = np.diff(found.offsets).astype(np.int32)
        missing = np.asarray(text_column(documents).is_null().to_numpy(zero_copy_only=False), np.bool_)
        signature = signature_column(signatures, valid=counts > 0)
        return pa.record_batch([signature, pa.array(counts, mask=missing)], schema=self.columns)


@cache
def permutations(count: int, seed: int, scheme: str = "affine32") -> tuple[NDArray[Any], NDArray[Any]]:
    """Datasketch's permutations: ``h → a h + b``, modulo 2^32 with an odd ``a``, or modulo 2^61 - 1 for ``legacy``.

    Returns:
        ``count`` of ``a`` and ``count`` of ``b``, read only; uint32, or uint64 for ``legacy``; from numpy's
        ``RandomState``, whose stream is frozen.

    Raises:
        ValueError: There is no such scheme.

    >>> multipliers, _ = permutations(112, 1)
    >>> bool((multipliers % 2 == 1).all())
    True
    """
    _check_scheme(scheme)
    generator = np.random.RandomState(seed)
    multipliers: NDArray[Any]
    offsets: NDArray[Any]
    if scheme == "legacy":
        pairs = [
            (generator.randint(1, _PRIME, dtype=np.uint64), generator.randint(0, _PRIME, dtype=np.uint64))
            for _ in range(count)
        ]
        multipliers, offsets = np.array(pairs, np.uint64).T.copy()
    else:
        multipliers = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        offsets = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    multipliers.flags.writeable = False
    offsets.flags.writeable = False
    return multipliers, offsets


def permute(
    hashes: NDArray[np.uint32], offsets: NDArray[np.int64], count: int, seed: int = 1, scheme: str = "affine32"
) -> NDArray[np.uint32]:
    """Signatures from elements: for each permutation the least permuted hash of each document.

    Args:
        hashes: uint32[m]; 32-bit hashes of the shingles of all documents, as datasketch's ``hashfunc`` gives them.
        offsets: int64[n + 1]; those of document ``i`` are ``hashes[offsets[i] : offsets[i + 1]]``.
        count: Permutations.
        seed: Of the permutations, 0 to 2^32 - 1.
        scheme: One of :data:`SCHEMES`.

    Returns:
        uint32[n, count]; datasketch's ``hashvalues``. All ``EMPTY`` for a document without elements.

    Raises:
        ValueError: There is no such scheme, or the offsets do not ascend within the hashes.

    >>> permute(np.array([7, 8], np.uint32), np.array([0, 2, 2]), 2)[1].tolist()
    [4294967295, 4294967295]
    """
    hashes = np.ascontiguousarray(hashes, np.uint32)
    offsets = checked_offsets(offsets, len(hashes))
    multipliers, additions = permutations(count, seed, scheme)
    signatures = np.full((len(offsets) - 1, count), EMPTY, np.uint32)
    sign = _sign_legacy if scheme == "legacy" else _sign_affine
    sign(hashes, offsets, multipliers, additions, signatures)
    return signatures


def _check_scheme(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"minhash: scheme must be one of {', '.join(SCHEMES)}; it is {scheme!r}.")


def signature_column(signatures: NDArray[np.uint32], valid: NDArray[np.bool_]) -> pa.FixedSizeBinaryArray:
    """Signatures as an Arrow column.

    Args:
        signatures: uint32[n, K].
        valid: bool[n]; where False, the row is null.

    Returns:
        ``n`` rows of fixed_size_binary[4 K], little-endian. :func:`signature_matrix` is the way back.
    """
    rows, places = signatures.shape
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(signatures, "<u4"))
    array = pa.Array.from_buffers(pa.binary(4 * places), rows, [bits, data])
    return cast("pa.FixedSizeBinaryArray", array)


def signature_matrix(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint32]:
    """Signatures as a matrix.

    Args:
        column: ``n`` rows of fixed_size_binary[4 K], as the score writes them.

    Returns:
        uint32[n, K]; a null row is all ``EMPTY``, and equal to no document that has a word.

    Raises:
        ValueError: The column holds no signatures.

    >>> column = MinHash(bands=1, rows=3).score(pa.record_batch({"text": ["one word", None]}))["signature"]
    >>> signature_matrix(column).shape
    (2, 3)
    """
    width = column.type.byte_width if pa.types.is_fixed_size_binary(column.type) else 1
    if width % 4:
        raise ValueError(f"Signatures are fixed_size_binary of 4 bytes a permutation; this column is {column.type}.")
    places = width // 4
    data = column.buffers()[1]
    if not len(column) or data is None:
        return np.zeros((0, places), np.uint32)
    matrix = np.frombuffer(memoryview(data), "<u4", len(column) * places, column.offset * width).reshape(-1, places)
    matrix = matrix.astype(np.uint32, copy=False)
    if column.null_count:
        matrix = matrix.copy()
        matrix[column.is_null().to_numpy(zero_copy_only=False)] = EMPTY
    return matrix


def band_hashes(signatures: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """The key of each band of each signature: candidates share one.

    Args:
        signatures: uint32[n, K] with ``K >= bands * rows``.
        bands: Bands; band ``j`` is places ``j * rows`` to ``(j + 1) * rows``.
        rows: Places in a band.

    Returns:
        uint64[n, bands]: xxHash64, with the band's number as seed, of the band's little-endian bytes.

    Raises:
        ValueError: Signatures are too short.

    >>> band_hashes(np.zeros((1, 4), np.uint32), bands=2, rows=2).shape
    (1, 2)
    """
    count, places = signatures.shape
    if bands < 1 or rows < 1 or bands * rows > places:
        raise ValueError(f"{bands} bands of {rows} rows need {bands * rows} places; these signatures have {places}.")
    data = np.ascontiguousarray(signatures, "<u4").reshape(-1).view(np.uint8)
    hashes = np.empty((count, bands), np.uint64)
    _hash_bands(data, places, rows, hashes)
    return hashes


def estimated_jaccard(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The share of equal places: the estimate of the Jaccard similarity.

    Args:
        left: uint32[..., K].
        right: uint32[..., K]; broadcast against ``left``.

    Returns:
        float64[...], from 0 to 1.

    Raises:
        ValueError: Signatures of different lengths.

    >>> float(estimated_jaccard(np.array([1, 2, 3, 4], np.uint32), np.array([1, 2, 3, 9], np.uint32)))
    0.75
    """
    if left.shape[-1] != right.shape[-1]:
        raise ValueError(f"Signatures of {left.shape[-1]} and of {right.shape[-1]} places cannot be compared.")
    return cast("NDArray[np.float64]", np.asarray(left == right).mean(axis=-1))


def optimal_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands and rows that make the fewest mistakes around a similarity, as datasketch chooses them.

    Args:
        threshold: Jaccard similarity, from 0 to 1, above which two documents are to become candidates.
        permutations: Places that a signature may have; at least 2.

    Returns:
        ``(bands, rows)``, ``bands * rows <= permutations``, with the least sum of the probabilities of false positives
        below the threshold and false negatives above it.

    Raises:
        ValueError: A figure is out of range.

    >>> optimal_bands(0.7, 112)
    (12, 9)
    """
    if not 0 <= threshold <= 1 or permutations < 2:
        raise ValueError(
            "Bands are chosen for a threshold from 0 to 1 and at least 2 permutations; "
            f"threshold {threshold} and {permutations} permutations were given."
        )
    from datasketch import MinHashLSH  # its integrals need scipy, which no signature does

    try:
        index = MinHashLSH(threshold=threshold, num_perm=permutations)
    except ValueError as error:  # the best it finds is a single band
        raise ValueError(
            f"No two bands of {permutations} permutations serve a threshold of {threshold}; take more permutations."
        ) from error
    return int(index.b), int(index.r)


@inlined
def _affine(multiplier: Any, value: Any, addition: Any) -> Any:
    return np.uint32(np.uint32(multiplier * value) + addition)


@kernel
def _sign_affine(hashes: Any, offsets: Any, multipliers: Any, additions: Any, signatures: Any) -> None:
    """Lower each place to its least permuted hash; eight hashes a pass, to load and store each place less often."""
    mixed = np.empty(256, np.uint32)
    for row in range(len(offsets) - 1):
        signature = signatures[row]
        for first in range(offsets[row], offsets[row + 1], 256):
            part = hashes[first : min(first + 256, offsets[row + 1])]
            for index in range(len(part)):
                mixed[index] = fmix32(part[index])
            whole = len(part) // 8 * 8
            for start in range(0, whole, 8):
                h = mixed[start : start + 8]
                h0, h1, h2, h3, h4, h5, h6, h7 = h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
                for place in range(len(signature)):
                    a = multipliers[place]
                    b = additions[place]
                    least01 = min(_affine(a, h0, b), _affine(a, h1, b))
                    least23 = min(_affine(a, h2, b), _affine(a, h3, b))
                    least45 = min(_affine(a, h4, b), _affine(a, h5, b))
                    least67 = min(_affine(a, h6, b), _affine(a, h7, b))
                    least = min(min(least01, least23), min(least45, least67))  # noqa: PLW3301 (a tree is quicker)
                    signature[place] = min(signature[place], least)
            for last in range(whole, len(part)):
                h0 = mixed[last]
                for place in range(len(signature)):
                    signature[place] = min(signature[place], _affine(multipliers[place], h0, additions[place]))


@kernel
def _sign_legacy(hashes: Any, offsets: Any, multipliers: Any, additions: Any, signatures: Any) -> None:
    """The same modulo 2^61 - 1, of a product modulo 2^64, as datasketch has it."""
    prime = np.uint64(_PRIME)
    for row in range(len(offsets) - 1):
        signature = signatures[row]
        for index in range(offsets[row], offsets[row + 1]):
            value = np.uint64(hashes[index])
            for place in range(len(signature)):
                product = multipliers[place] * value + additions[place]
                product = (product & prime) + (product >> np.uint64(61))
                product = product - prime if product >= prime else product
                signature[place] = min(signature[place], np.uint32(product & np.uint64(EMPTY)))


@kernel
def _hash_bands(data: Any, places: int, rows: int, hashes: Any) -> None:
    for row in range(hashes.shape[0]):
        for band in range(hashes.shape[1]):
            start = 4 * (row * places + band * rows)
            hashes[row, band] = xxh64(data, start, start + 4 * rows, np.uint64(band))
