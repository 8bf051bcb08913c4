import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.pipelines.stages import order_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("ladder"))


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=40),
    st.integers(0, 50),
    st.tuples(st.integers(0, 300), st.integers(1, 300)),
    st.integers(1, 7),
)
@settings(max_examples=100, deadline=None)
def test_every_document_of_a_range_is_read_and_few_others(folder, spans, base, wanted, rows):
    tokens = np.array([held for held, _ in spans])
    offsets = base + np.cumsum([0, *(held + room for held, room in spans[:-1])])
    path = order_files.path_of(folder, "00000")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(order_files, "ROW_GROUP", rows)
        order_files.write(path, {"tokens": tokens, "offset": offsets})
    begin, stop = wanted[0], sum(wanted)
    table = order_files.read(path, begin, stop)
    found = table.column("offset").to_numpy()
    inside = offsets[(offsets < stop) & (offsets + tokens > begin)]
    assert np.isin(inside, found).all()
    assert (np.diff(found) > 0).all()
    assert len(found) <= len(inside) + 2 * rows + rows  # at both ends, and one of a gap


def test_a_long_file_is_read_in_part(folder):
    path = order_files.path_of(folder, "00001")
    order_files.write(path, {"offset": 10 * np.arange(100_000), "tokens": np.full(100_000, 10)})
    assert pq.ParquetFile(path).metadata.num_row_groups == 7
    assert len(order_files.read(path, 500_000, 500_001)) == order_files.ROW_GROUP


def test_a_file_of_no_documents_is_read(folder):
    path = order_files.path_of(folder, "00002")
    order_files.write(path, {"offset": np.zeros(0, np.int64), "tokens": np.zeros(0, np.int64)})
    assert order_files.read(path, 0, 5).num_rows == 0
