from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures.lengths import Lengths

import naive

TEXT = st.text(st.sampled_from("ab1 '中\u0301\r\n\x0b\x85\u2028\t-"), max_size=60) | st.text(max_size=60)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@given(st.lists(st.none() | TEXT, max_size=6), st.integers(0, 2))
def test_sizes_equal_the_slow_twin(texts, skipped):
    scored = Lengths().score(batch(texts).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == Lengths().columns
    nothing = dict.fromkeys(Lengths().columns.names)
    expected = [
        nothing
        if text is None
        else {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in naive.lengths(text).items()}
        for text in texts[skipped:]
    ]
    assert scored.to_pylist() == expected


def test_sizes_of_a_page():
    row = Lengths().score(batch(["Zwei Wörter\r\n\nund 3 mehr"])).to_pylist()[0]
    assert row["mean_line_length"] == pytest.approx(7.0)
    assert row["alphanumeric"] == pytest.approx(18 / 24)
    del row["mean_line_length"], row["alphanumeric"]
    assert row == {"characters": 24, "bytes": 25, "words": 5, "lines": 3, "max_line_length": 11}


def test_identity_names_the_unicode_tables():
    assert set(Lengths().identity()) == {"type", "version", "unicode"}
