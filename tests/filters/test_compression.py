from __future__ import annotations

import json
import zlib

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures.compression import Compression

import naive

TEXTS = st.lists(st.none() | st.text(max_size=200), max_size=6)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def ratio(text, compress, first_bytes):
    if text is None:
        return None
    raw = text.encode()[:first_bytes]
    return float(np.float32(len(compress(raw)) / len(raw))) if raw else 0.0


@given(TEXTS, st.sampled_from([None, 1, 20]), st.integers(0, 2))
def test_ratios_are_those_of_the_libraries(texts, first_bytes, skipped):
    codecs = {
        "zlib": lambda raw: zlib.compress(raw, 6),
        "zstd": lambda raw: zstandard.ZstdCompressor(level=3).compress(raw),
    }
    for codec, compress in codecs.items():
        family = Compression(codec=codec, first_bytes=first_bytes)
        scored = family.score(batch(texts).slice(skipped))
        assert scored.schema == family.columns
        assert scored["ratio"].to_pylist() == [ratio(text, compress, first_bytes) for text in texts[skipped:]]


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_repetition_is_low_and_variety_high(codec):
    varied = "".join(chr(97 + naive.xxh64(b"%d" % index) % 26) for index in range(2_000))
    low, high = Compression(codec=codec).score(batch(["over and over " * 200, varied]))["ratio"].to_pylist()
    assert low < 0.05
    assert high > 0.4


def test_the_level_counts():
    assert Compression(level=0).score(batch(["a" * 1_000]))["ratio"].to_pylist() == [pytest.approx(1.011)]


def test_identity_names_the_library_and_the_level_that_is_used():
    assert Compression().identity() == {
        "type": "compression",
        "version": 1,
        "codec": "zlib",
        "level": 6,
        "first_bytes": None,
        "files": [],
        "library": zlib.ZLIB_RUNTIME_VERSION,
    }
    assert Compression(codec="zstd").identity()["library"] == ".".join(map(str, zstandard.ZSTD_VERSION))
    assert Compression(level=6).identity() == Compression().identity()


def words(name, count):
    """Texts of a made language of its own."""
    vocabulary = [f"{name}{naive.xxh64(b'%d' % n) % 10**6:x}" for n in range(60)]
    rows = ([vocabulary[naive.xxh64(b"%d/%d" % (row, n)) % 60] for n in range(40)] for row in range(count))
    return [" ".join(row) for row in rows]


def test_a_dictionary_of_the_domain_makes_its_documents_smaller(tmp_path):
    path = tmp_path / "domain.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in words("ab", 400)))
    family = Compression(codec="zstd", files=(str(path),))
    scored = family.score(batch([words("ab", 401)[400], words("zy", 1)[0], "", None])).to_pydict()
    assert (
        scored["ratio"]
        == Compression(codec="zstd")
        .score(batch([words("ab", 401)[400], words("zy", 1)[0], "", None]))["ratio"]
        .to_pylist()
    )
    assert scored["gain"][0] > 0.4
    assert abs(scored["gain"][1]) < 0.15
    assert scored["gain"][2:] == [0, None]
    assert family.identity()["files"] != Compression(codec="zstd").identity()["files"]
    assert str(tmp_path) not in str(family.identity())


def test_too_little_text_makes_no_dictionary(tmp_path):
    path = tmp_path / "domain.txt"
    path.write_text("one\n\ntwo\n")
    with pytest.raises(ValueError, match=r"compression: 2 texts of 6 bytes in .*domain\.txt make no dictionary"):
        Compression(codec="zstd", files=(str(path),)).score(batch(["x"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"codec": "gzip"}, "compression: codec must be zlib or zstd; it is 'gzip'"),
        ({"level": 10}, "compression: level of zlib must be from 0 to 9; it is 10"),
        ({"codec": "zstd", "level": 0}, "compression: level of zstd must be from 1 to 19; it is 0"),
        ({"files": ("x",)}, "compression: files need codec = \"zstd\"; it is 'zlib'"),
        ({"first_bytes": 0}, "compression: first_bytes must be at least 1; it is 0"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Compression(**fields)
