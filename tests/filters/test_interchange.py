from __future__ import annotations

import itertools

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import interchange, minhash
from tokenladder.filters.shingles.shingles import hash_shingle

SIGNATURES = st.lists(
    st.none() | st.lists(st.integers(0, 2**32 - 2), min_size=4, max_size=4), min_size=1, max_size=4
).map(lambda rows: pa.array([None if row is None else np.array(row, "<u4").tobytes() for row in rows], pa.binary(16)))
SCHEMES = st.sampled_from(minhash.SCHEMES)


def made(**fields):
    return datasketch.MinHash(**{"num_perm": 4, "hashfunc": hash_shingle, **fields})


@given(SIGNATURES, st.integers(0, 2**32 - 1), SCHEMES, st.integers(0, 1), st.booleans())
def test_signatures_come_back_as_they_were(column, seed, scheme, skipped, lean):
    column = column.slice(skipped) if len(column) > 1 else column
    sketches = interchange.to_datasketch(column, seed, scheme)
    assert [sketch.is_empty() for sketch in sketches] == column.is_null().to_pylist()
    assert {(sketch.seed, sketch.scheme, sketch.hashfunc) for sketch in sketches} == {(seed, scheme, hash_shingle)}
    if lean:
        sketches = [datasketch.LeanMinHash(sketch) for sketch in sketches]
    back = interchange.from_datasketch(sketches, seed, scheme)
    back.validate(full=True)
    assert back.to_pylist() == column.to_pylist()


@given(st.lists(st.sampled_from("abcdef"), min_size=3, max_size=30), SCHEMES)
def test_datasketch_goes_on_where_a_signature_is(words, scheme):
    family = minhash.MinHash(unit="words", ngram=2, seed=5, scheme=scheme)
    batch = pa.record_batch({"text": [" ".join(words), " ".join(words[:-1])]})
    whole, part = interchange.to_datasketch(family.score(batch)["signature"], 5, scheme)
    own = datasketch.MinHash(108, seed=5, scheme=scheme, hashfunc=hash_shingle)
    own.update_batch([" ".join(pair).encode() for pair in itertools.pairwise(words)])
    assert own.hashvalues.tolist() == whole.hashvalues.tolist()
    part.update(" ".join(words[-2:]).encode())
    assert part.jaccard(whole) == 1


@pytest.mark.parametrize(
    ("sketch", "message"),
    [
        (
            made(scheme="legacy"),
            "Sketch 1 was made with the scheme 'legacy', not 'affine32': the two cannot be compared",
        ),
        (made(scheme="affine64"), "Sketch 1 was made with the scheme 'affine64', not 'affine32'"),
        (made(seed=2), "Sketch 1 was made with the seed 2, not 1: they have other permutations"),
        (made(num_perm=5), "Sketch 1 has 5 permutations, and the first has 4"),
        (datasketch.MinHash(4), "Sketch 1 was made with the hash function sha1_hash32; only those made with "),
        (datasketch.LeanMinHash(made(seed=3)), "Sketch 1 was made with the seed 3, not 1"),
        (made(scheme="affine32", permutations=([1, 3, 5, 7], [1, 2, 3, 4])), "with permutations of its own, not those"),
        (
            datasketch.WeightedMinHash(1, np.zeros((4, 2))),
            "Sketch 1 is a WeightedMinHash; signatures are made of MinHash",
        ),
    ],
)
def test_a_sketch_that_was_made_otherwise_is_refused(sketch, message):
    with pytest.raises(ValueError, match=message):
        interchange.from_datasketch([made(), sketch])


def test_values_that_no_signature_holds_are_refused():
    wide = made(scheme="legacy", hashvalues=[1, 2, 3, 2**32])
    with pytest.raises(ValueError, match="A signature's values are of 32 bits; these reach 4294967296"):
        interchange.from_datasketch([wide], scheme="legacy")
    with pytest.raises(ValueError, match="There is no sketch, so how many permutations a signature has is not known"):
        interchange.from_datasketch([])
