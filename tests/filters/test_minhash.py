from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenladder.filters.duplicates import minhash
from tokenladder.filters.shingles import shingles

import naive

# Few letters, so that shingles repeat and words run into symbols; then all of Unicode.
TEXT = st.text(st.sampled_from("ab Éé'’-中文กำ가ー\u0301\u00ad\u200b\n1٣Ⱥİ"), max_size=60) | st.text(max_size=60)
TEXTS = st.lists(st.none() | TEXT, max_size=5)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def signatures(scored):
    return [
        None if value is None else np.frombuffer(value, "<u4").tolist() for value in scored["signature"].to_pylist()
    ]


@given(
    TEXTS,
    st.integers(1, 4),
    st.sampled_from([(1, 1), (2, 3), (14, 8)]),
    st.integers(0, 2),
    st.tuples(st.integers(0, 9), st.sampled_from(minhash.SCHEMES)),
)
@example(["Ⱥ" * 40, "中" * 40, "ab" * 40, "a中" * 20], 2, (2, 3), 0, (1, "affine32"))
def test_signatures_are_those_that_datasketch_makes_of_the_elements(texts, ngram, shape, skipped, permuted):
    (bands, rows), (seed, scheme) = shape, permuted
    family = minhash.MinHash(unit="words", ngram=ngram, bands=bands, rows=rows, seed=seed, scheme=scheme)
    scored = family.score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    elements = [None if text is None else naive.elements(text, "words", ngram) for text in texts[skipped:]]
    assert signatures(scored) == [
        naive.datasketch_signature(each, bands * rows, seed, scheme) if each else None for each in elements
    ]
    assert scored["shingles"].to_pylist() == [None if each is None else len(each) for each in elements]


@given(
    st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=40), max_size=4),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.sampled_from(minhash.SCHEMES),
)
def test_permutations_of_any_hashes_are_datasketchs(lists, count, seed, scheme):
    offsets = np.cumsum([0, *map(len, lists)])
    hashes = np.array([value for each in lists for value in each], np.uint32)
    permuted = minhash.permute(hashes, offsets, count, seed, scheme)
    assert permuted.dtype == np.uint32
    assert permuted.tolist() == [naive.datasketch_signature(each, count, seed, scheme) for each in lists]


@pytest.mark.parametrize("scheme", minhash.SCHEMES)
def test_a_long_document_is_signed_as_datasketch_signs_it(scheme):
    text = " ".join(f"word{index % 701}" for index in range(3_000))
    scored = minhash.MinHash(scheme=scheme).score(batch([text]))
    elements = naive.elements(text, "words", 5)
    assert signatures(scored) == [naive.datasketch_signature(elements, 108, 1, scheme)]


def test_datasketch_signs_text_alike_with_our_hash_function():
    from datasketch import MinHash

    text = "It was the best of times; it was the worst of times."
    sketch = MinHash(num_perm=108, hashfunc=shingles.hash_shingle)
    sketch.update_batch(naive.shingles(text, 5))
    assert signatures(minhash.MinHash().score(batch([text]))) == [sketch.hashvalues.tolist()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The QUICK brown-fox, don't!", ["the", "quick", "brown", "fox", "don", "t"]),
        ("Café cafe\u0301 CAFÉ", ["cafe", "cafe", "cafe"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zero", "width"]),
        ("foo_bar 3.14", ["foo", "bar", "3", "14"]),
        ("東京は日本の首都", list("東京は日本の首都")),
        ("ภาษาไทย", list("ภาษาไทย")),
        ("abc中文def", ["abc", "中", "文", "def"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी", ["हिनदी"]),
        ("... --- 🙂", []),
    ],
)
def test_words_are_folded(text, words):
    assert naive.folded_words(text) == words
    one = minhash.MinHash(ngram=1).score(batch([text]))
    assert one["shingles"].to_pylist() == [len(words)]
    elements = [naive.element([word]) for word in words]
    assert signatures(one) == [naive.datasketch_signature(elements, 108, 1, "affine32") if words else None]


def test_a_short_document_has_one_shingle_and_one_without_words_has_no_signature():
    scored = minhash.MinHash(ngram=5).score(batch(["three short words", "", " .. ", None]))
    assert scored["shingles"].to_pylist() == [1, 0, 0, None]
    assert scored["signature"].is_null().to_pylist() == [False, True, True, True]


def test_a_text_that_is_not_utf8_is_signed_without_reading_past_it():
    raw = pa.array([b"caf\xe9", b"\xf0\x9f\x99", b"ok \xc3", b"\xff\xfe"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    scored = minhash.MinHash(ngram=1).score(pa.record_batch({"text": broken}))
    assert scored["shingles"].to_pylist() == [1, 0, 1, 0]


def test_every_kind_of_string_column_gives_the_same():
    texts = ["one two three", None, "中文"]
    plain = minhash.MinHash().score(batch(texts))
    for kind in (pa.large_string(), pa.string_view()):
        assert minhash.MinHash().score(pa.record_batch({"text": pa.array(texts, kind)})) == plain


@given(TEXTS)
def test_signatures_come_back_as_a_matrix(texts):
    column = minhash.MinHash(bands=2, rows=3).score(batch(["x", *texts]))["signature"].slice(1)
    matrix = minhash.signature_matrix(column)
    assert matrix.shape == (len(texts), 6)
    empty = [minhash.EMPTY] * 6
    elements = [naive.elements(text or "", "words", 5) for text in texts]
    expected = [naive.datasketch_signature(each, 6, 1, "affine32") if each else empty for each in elements]
    assert matrix.tolist() == expected


@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2), st.randoms(use_true_random=False))
def test_band_hashes_equal_the_slow_twin(count, bands, rows, spare, random):
    places = bands * rows + spare
    signed = np.array([random.randrange(2**32) for _ in range(count * places)], np.uint32).reshape(count, places)
    hashes = minhash.band_hashes(signed, bands, rows)
    assert hashes.shape == (count, bands)
    for row in range(count):
        for band in range(bands):
            data = signed[row, band * rows : (band + 1) * rows].astype("<u4").tobytes()
            assert int(hashes[row, band]) == naive.xxh64(data, band)


def test_estimates_lie_near_the_true_similarity():
    # Documents of 2,000 distinct words, of which a known number is shared; 1,024 places: standard error under 0.016.
    family = minhash.MinHash(ngram=1, bands=128, rows=8)
    for shared in (200, 1_000, 1_800):
        texts = [
            " ".join(f"s{index}" for index in range(shared))
            + "".join(f" {own}{index}" for index in range(2_000 - shared))
            for own in "ab"
        ]
        one, two = minhash.signature_matrix(family.score(batch(texts))["signature"])
        true = shared / (4_000 - shared)
        assert abs(float(minhash.estimated_jaccard(one, two)) - true) < 0.06


def test_optimal_bands_are_those_of_datasketch():
    from datasketch import MinHashLSH

    for threshold, permutations in ((0.5, 64), (0.7, 108), (0.8, 108), (0.9, 64)):
        index = MinHashLSH(threshold=threshold, num_perm=permutations)
        assert minhash.optimal_bands(threshold, permutations) == (index.b, index.r)


def test_identity_names_all_that_the_output_depends_on():
    from tokenladder.filters.text.words import UNICODE

    assert minhash.MinHash(ngram=3).identity() == {
        "type": "minhash",
        "version": 2,
        "unit": "auto",
        "ngram": 3,
        "bands": 18,
        "rows": 6,
        "seed": 1,
        "scheme": "affine32",
        "unicode": UNICODE,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ngram": 0}, "minhash: ngram must be from 1 to 64; it is 0"),
        ({"unit": "word"}, "minhash: unit must be one of words, characters, code, auto; it is 'word'"),
        ({"scheme": "affine64"}, "minhash: scheme must be one of affine32, legacy; it is 'affine64'"),
        ({"bands": 0}, "minhash: bands must be from 1 to 4096; it is 0"),
        ({"rows": -1}, "minhash: rows must be from 1 to 4096; it is -1"),
        ({"seed": -1}, "minhash: seed must be from 0 to 4294967295; it is -1"),
        ({"bands": 4096, "rows": 17}, "minhash: bands times rows may be at most 65536; 4096 times 17 is more"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        minhash.MinHash(**fields)


def test_mistakes_in_calls_say_what_was_given():
    matrix = np.zeros((1, 4), np.uint32)
    with pytest.raises(ValueError, match="3 bands of 2 rows need 6 places; these signatures have 4"):
        minhash.band_hashes(matrix, 3, 2)
    with pytest.raises(ValueError, match="Signatures of 4 and of 3 places cannot be compared"):
        minhash.estimated_jaccard(matrix, matrix[:, :3])
    with pytest.raises(ValueError, match=r"threshold 1\.5 and 108 permutations were given"):
        minhash.optimal_bands(1.5, 108)
    with pytest.raises(ValueError, match=r"No two bands of 16 permutations serve a threshold of 0\.9; take more"):
        minhash.optimal_bands(0.9, 16)
    with pytest.raises(ValueError, match="scheme must be one of affine32, legacy; it is 'sha1'"):
        minhash.permutations(4, 1, "sha1")
    with pytest.raises(ValueError, match="ascend from at least 0 to at most 1, the number of values"):
        minhash.permute(np.zeros(1, np.uint32), np.array([0, 2]), 4)
    with pytest.raises(ValueError, match="this column is string"):
        minhash.signature_matrix(pa.array([], pa.string()))
    with pytest.raises(ValueError, match=r"this column is fixed_size_binary\[3\]"):
        minhash.signature_matrix(pa.array([], pa.binary(3)))
    with pytest.raises(ValueError, match="reads the column 'text', but the batch holds these columns: name, bytes"):
        minhash.MinHash().score(pa.record_batch({"name": ["a"], "bytes": [1]}))
    with pytest.raises(ValueError, match="reads the column 'text' as text, but it holds int64"):
        minhash.MinHash().score(pa.record_batch({"text": [1]}))
