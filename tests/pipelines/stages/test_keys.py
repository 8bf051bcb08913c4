"""Keys and packed arrays: there and back."""

from __future__ import annotations

import itertools
import tempfile

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import Part, Store
from tokenladder.pipelines.stages import keys, ledger

identities = st.lists(st.none() | st.binary(min_size=16, max_size=16), max_size=20)


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 2**32 - 1)))
def test_keys_hold_part_and_row(ordinal, rows):
    packed = keys.keys(ordinal, np.array(rows, np.int64))
    assert packed.dtype == np.uint64
    assert packed.tolist() == [ordinal * 2**32 + row for row in rows]
    assert keys.ordinals(packed).tolist() == [ordinal] * len(rows)
    assert keys.rows(packed).tolist() == rows


@given(identities, st.integers(0, 5), st.booleans())
def test_ids_as_numbers_and_back(ids, cut, chunked):
    column = pa.array(ids, pa.binary(16)).slice(cut)
    array = keys.id_array(pa.chunked_array([column, column.slice(1)]) if chunked else column)
    expected = ids[cut:] + (ids[cut + 1 :] if chunked else [])
    zero = b"\0" * 16
    assert [one.tobytes() for one in array] == [one or zero for one in expected]
    mask = np.array([one is None for one in expected], bool)
    assert keys.id_column(array, mask).to_pylist() == expected
    assert keys.id_column(array).to_pylist() == [one or zero for one in expected]


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1))
def test_the_order_of_ids_is_the_order_of_their_digits(ids):
    array = keys.id_array(pa.array(ids, pa.binary(16)))
    order = np.lexsort((array["low"], array["high"]))
    assert [ids[n] for n in order] == sorted(ids)
    assert [keys.hexadecimal(one) for one in array] == [one.hex() for one in ids]


@given(identities, st.integers(0, 5))
def test_ids_in_hexadecimal(ids, cut):
    column = pa.array(ids, pa.binary(16)).slice(cut)
    expected = [None if one is None else one.hex() for one in ids[cut:]]
    assert ledger.hexadecimal(column).to_pylist() == expected
    assert ledger.hexadecimal(pa.chunked_array([column, column])).to_pylist() == 2 * expected


@given(st.permutations(["left", "right", "a", "z"]), st.integers(0, 3))
def test_a_repository_comes_before_or_after_another_with_all_its_files(folders, ordinal):
    names = [f"{folder}/{n}.py" for folder in folders for n in range(20)]
    part = Part("code", "0", len(names), len(names), 0, 0)
    with tempfile.TemporaryDirectory() as root:
        place = Store(root)
        store.write_table(place.documents("0"), pa.table({"name": pa.array(names, pa.string())}))
        found = dict(zip(names, keys.ties(place, part, ordinal).tolist(), strict=True))
    assert len(set(found.values())) == len(names)
    assert {tie >> 48 for tie in found.values()} == {ordinal}
    order = [name.split("/")[0] for name in sorted(names, key=found.__getitem__)]
    assert [folder for folder, _ in itertools.groupby(order)] == ["z", "left", "right", "a"]


@given(hnp.arrays(np.int64, st.integers(0, 50), elements=st.integers(0, 7)))
def test_split_by_bucket_and_joined_again(buckets):
    array = np.arange(len(buckets)).astype("<u4")
    pairs = list(keys.split(array, buckets))
    assert [bucket for bucket, _ in pairs] == sorted(set(buckets.tolist()))
    for bucket, data in pairs:
        assert keys.joined([data], "<u4").tolist() == np.flatnonzero(buckets == bucket).tolist()
    assert sorted(keys.joined((data for _, data in pairs), "<u4").tolist()) == array.tolist()
