"""Signatures as datasketch's objects, and back: for its indexes, and for signatures that were made with it.

Two sketches can be compared only if they were made with the same hash of a shingle, the same permutations and over the
same shingles. The first two are checked here as far as the objects tell; the third is the caller's to know. An object
that is made here goes on from where the signature is: its ``update`` takes a shingle as
:func:`..shingles.shingles.hash_shingle` does, tokens with one space between them, and gives what the score would have
given.

>>> import pyarrow as pa
>>> from tokenladder.filters.duplicates.minhash import MinHash
>>> batch = pa.record_batch({"text": ["Only one shingle here.", "Only one shingle"]})
>>> one, two = to_datasketch(MinHash(ngram=3).score(batch)["signature"])
>>> two.update(b"one shingle here")
>>> one.jaccard(two)
1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..shingles.shingles import hash_shingle
from .minhash import EMPTY, permutations, signature_column, signature_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import datasketch
    import pyarrow as pa


def to_datasketch(column: pa.FixedSizeBinaryArray, seed: int = 1, scheme: str = "affine32") -> list[datasketch.MinHash]:
    """Signatures as objects of datasketch.

    Args:
        column: ``n`` rows of fixed_size_binary[4 K], as the score ``minhash`` writes them.
        seed: That of the score.
        scheme: That of the score.

    Returns:
        ``n`` objects that share their permutations and own their values; an empty one for a null row.

    Raises:
        ValueError: The column holds no signatures, or there is no such scheme.
    """
    from datasketch import MinHash  # scipy comes with it

    matrix = signature_matrix(column)
    kind = np.uint64 if scheme == "legacy" else np.uint32
    shared = np.array(permutations(matrix.shape[1], seed, scheme))
    return [
        MinHash(seed=seed, scheme=scheme, hashvalues=row, permutations=shared, hashfunc=hash_shingle)
        for row in matrix.astype(kind)
    ]


def from_datasketch(
    sketches: Sequence[datasketch.MinHash], seed: int = 1, scheme: str = "affine32"
) -> pa.FixedSizeBinaryArray:
    """Objects of datasketch as signatures.

    Args:
        sketches: ``n`` objects of ``MinHash``, made with ``hashfunc=hash_shingle``, or of ``LeanMinHash``, which do not
            say what they were made with.
        seed: That they must have, so that they can be compared with a score's signatures.
        scheme: That they must have.

    Returns:
        ``n`` rows of fixed_size_binary[4 K]; null for an empty object.

    Raises:
        ValueError: There are none, or one was made in another way: the message says which one, and how.
    """
    if not len(sketches):
        raise ValueError("There is no sketch, so how many permutations a signature has is not known.")
    places = len(getattr(sketches[0], "hashvalues", ()))
    expected = np.array(permutations(places, seed, scheme))
    for number, sketch in enumerate(sketches):
        _check(sketch, f"Sketch {number}", places, seed, scheme, expected)
    values = np.array([sketch.hashvalues for sketch in sketches])
    if values.max(initial=0) > EMPTY:
        raise ValueError(f"A signature's values are of 32 bits; these reach {values.max()}.")
    return signature_column(values.astype(np.uint32), valid=(values != EMPTY).any(axis=1))


def _check(  # noqa: PLR0917
    sketch: datasketch.MinHash, name: str, places: int, seed: int, scheme: str, expected: np.ndarray
) -> None:
    from datasketch import LeanMinHash, MinHash

    if not isinstance(sketch, MinHash):
        raise ValueError(f"{name} is a {type(sketch).__name__}; signatures are made of MinHash and LeanMinHash.")  # noqa: TRY004
    if sketch.scheme != scheme:
        raise ValueError(
            f"{name} was made with the scheme {sketch.scheme!r}, not {scheme!r}: the two cannot be compared."
        )
    if sketch.seed != seed:
        raise ValueError(f"{name} was made with the seed {sketch.seed}, not {seed}: they have other permutations.")
    if len(sketch.hashvalues) != places:
        raise ValueError(f"{name} has {len(sketch.hashvalues)} permutations, and the first has {places}.")
    if isinstance(sketch, LeanMinHash):
        return
    if sketch.hashfunc != hash_shingle:
        made = getattr(sketch.hashfunc, "__qualname__", repr(sketch.hashfunc))
        raise ValueError(
            f"{name} was made with the hash function {made}; only those made with "
            "tokenladder.filters.shingles.shingles.hash_shingle can be compared with signatures."
        )
    if not np.array_equal(np.asarray(sketch.permutations), expected):
        raise ValueError(f"{name} was made with permutations of its own, not those of the seed {seed}.")
