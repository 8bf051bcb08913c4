"""MinHash signatures of documents, over shingles of words.

The similarity that near duplicates are found by is the Jaccard similarity of two documents' sets of *shingles*: runs
of ``ngram`` consecutive words. A *signature* keeps, for each of ``bands * rows`` permutations of 32-bit integers, the
least permuted hash of a document's shingles; the share of equal places in two signatures estimates the similarity
(Broder 1997, "On the resemblance and containment of documents"), with a standard error of at most
``0.5 / sqrt(bands * rows)``.

Signatures are those of datasketch 2 (scheme ``affine32``), bit for bit, when it is given the same shingles and hash:

    MinHash(num_perm=bands * rows, seed=seed, hashfunc=lambda shingle: xxhash.xxh64_intdigest(shingle) & 0xFFFFFFFF)

where a shingle is its words, in UTF-8, with one space between them, and words are as :func:`.words.folded` says:
lower-cased, without diacritics, cut at every symbol, one letter each in scripts that write no spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from . import words
from .family import base_identity
from .hashing import xxh64
from .kernels import decode, inlined, kernel, text_buffers, text_column
from .words import DROPPED, MARK, SEPARATES, SOLO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .family import JSON

EMPTY = 0xFFFFFFFF
"""The least value of no shingle, as in datasketch."""


@dataclass(frozen=True)
class MinHash:
    """Score ``minhash``: a signature for finding near duplicates.

    A document of fewer than ``ngram`` words has one shingle of all its words. One without any word has no signature.

    Attributes:
        ngram: Words in a shingle.
        bands: Bands of a signature. Two documents that agree on all rows of a band become candidates.
        rows: Permutations in a band.
        seed: Of the permutations; datasketch's default is 1.

    Output columns:
        signature: fixed_size_binary[4 * bands * rows]; little-endian uint32; null for a text without words.
        shingles: int32; shingles of the text, repeats included.

    >>> one, two = MinHash(ngram=2).score(pa.record_batch({"text": ["The same text.", "the SAME téxt"]}))["signature"]
    >>> one == two
    True
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "minhash"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "shingles"

    ngram: int = 5
    bands: int = 14
    rows: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (("ngram", 1, 100), ("bands", 1, 4096), ("rows", 1, 4096), ("seed", 0, 2**32 - 1)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"minhash: {name} must be from {least} to {most}; it is {getattr(self, name)}.")
        if self.permutations > 65_536:
            raise ValueError(f"minhash: bands times rows may be at most 65536; {self.bands} times {self.rows} is more.")

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
            ValueError: There is no column ``text`` of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        signatures = np.full((len(column), self.permutations), EMPTY, np.uint32)
        shingles = np.zeros(len(column), np.int32)
        multipliers, offsets = permutations(self.permutations, self.seed)
        _sign(*text, words.folded(), words.flags(), self.ngram, multipliers, offsets, signatures, shingles)
        signature = signature_column(signatures, valid=shingles > 0)
        return pa.record_batch([signature, pa.array(shingles, mask=~text.valid)], schema=self.columns)


@cache
def permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The permutations ``h → a h + b mod 2^32`` of datasketch's scheme ``affine32``; every ``a`` is odd.

    Returns:
        uint32[count] of ``a`` and uint32[count] of ``b``, read only; from numpy's ``RandomState``, whose stream is
        frozen.

    >>> multipliers, _ = permutations(112, 1)
    >>> bool((multipliers % 2 == 1).all())
    True
    """
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    offsets = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    multipliers.flags.writeable = False
    offsets.flags.writeable = False
    return multipliers, offsets


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
    data = np.frombuffer(np.ascontiguousarray(signatures, "<u4").tobytes(), np.uint8)
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
def _put(text: Any, at: int, point: Any) -> int:
    """Write a code point as UTF-8; the index after it."""
    if point < 0x80:
        text[at] = point
        return at + 1
    if point < 0x800:
        text[at] = 0xC0 | (point >> 6)
        text[at + 1] = 0x80 | (point & 0x3F)
        return at + 2
    if point < 0x10000:
        text[at] = 0xE0 | (point >> 12)
        text[at + 1] = 0x80 | ((point >> 6) & 0x3F)
        text[at + 2] = 0x80 | (point & 0x3F)
        return at + 3
    text[at] = 0xF0 | (point >> 18)
    text[at + 1] = 0x80 | ((point >> 12) & 0x3F)
    text[at + 2] = 0x80 | ((point >> 6) & 0x3F)
    text[at + 3] = 0x80 | (point & 0x3F)
    return at + 4


@kernel
def _fold_words(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, start: Any, stop: Any, fold: Any, flags: Any, text: Any, starts: Any, ends: Any
) -> int:
    """Write a document's folded words with one space between them; mark where each starts and ends. How many words."""
    at = 0
    count = 0
    inside = False
    solo = False
    index = start
    while index < stop:
        point, index = decode(data, index, stop)
        folded = np.int64(fold[point])
        if folded == DROPPED:
            continue
        if folded == SEPARATES:
            if inside:
                ends[count - 1] = at
                inside = False
            continue
        flag = flags[point]
        alone = (flag & SOLO) != 0
        if inside and (alone or (solo and not flag & MARK)):
            ends[count - 1] = at
            inside = False
        if not inside:
            if count:
                text[at] = 0x20
                at += 1
            starts[count] = at
            count += 1
            inside = True
            solo = alone
        at = _put(text, at, folded)
        # The rest of a word in ASCII, which has no letter that stands alone: without this loop, signing English takes
        # a fifth longer.
        while not solo and index < stop and data[index] < 0x80 and fold[data[index]] > DROPPED:
            text[at] = fold[data[index]]
            at += 1
            index += 1
    if inside:
        ends[count - 1] = at
    return count


@inlined
def _fmix32(value: Any) -> Any:
    """MurmurHash3's 32-bit finaliser, which datasketch applies once to every hash before it permutes."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel
def _permute(hashes: Any, multipliers: Any, offsets: Any, signature: Any) -> None:
    """Lower each place of ``signature`` to its least permuted hash; four hashes a pass, to load and store each less."""
    whole = len(hashes) // 4 * 4
    for first in range(0, whole, 4):
        h0, h1, h2, h3 = hashes[first], hashes[first + 1], hashes[first + 2], hashes[first + 3]
        for place in range(len(signature)):
            a = multipliers[place]
            b = offsets[place]
            least = min(signature[place], np.uint32(np.uint32(a * h0) + b), np.uint32(np.uint32(a * h1) + b))
            signature[place] = min(least, np.uint32(np.uint32(a * h2) + b), np.uint32(np.uint32(a * h3) + b))
    for last in range(whole, len(hashes)):
        h0 = hashes[last]
        for place in range(len(signature)):
            signature[place] = min(signature[place], np.uint32(np.uint32(multipliers[place] * h0) + offsets[place]))


@kernel
def _sign(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    fold: Any,
    flags: Any,
    ngram: int,
    multipliers: Any,
    additions: Any,
    signatures: Any,
    shingles: Any,
) -> None:
    longest = 0
    for row in range(len(valid)):
        if valid[row]:
            longest = max(longest, offsets[row + 1] - offsets[row])
    # Folding grows a text to at most twice its bytes: by one byte a letter ("Ⱥ" from 2 to 3), and by one space a letter
    # that stands alone (3 bytes).
    # A word takes two bytes of text at least: a letter and what separates it, or one letter of three bytes.
    text = np.empty(2 * longest + 8, np.uint8)
    starts = np.empty(longest // 2 + 2, np.uint32)
    ends = np.empty(longest // 2 + 2, np.uint32)
    hashes = np.empty(longest // 2 + 2, np.uint32)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        count = _fold_words(data, offsets[row], offsets[row + 1], fold, flags, text, starts, ends)
        if count == 0:
            continue
        span = min(ngram, count)
        for first in range(count - span + 1):
            whole = xxh64(text, starts[first], ends[first + span - 1], np.uint64(0))
            hashes[first] = _fmix32(np.uint32(whole & np.uint64(0xFFFFFFFF)))
        _permute(hashes[: count - span + 1], multipliers, additions, signatures[row])
        shingles[row] = count - span + 1


@kernel
def _hash_bands(data: Any, places: int, rows: int, hashes: Any) -> None:
    for row in range(hashes.shape[0]):
        for band in range(hashes.shape[1]):
            start = 4 * (row * places + band * rows)
            hashes[row, band] = xxh64(data, start, start + 4 * rows, np.uint64(band))
