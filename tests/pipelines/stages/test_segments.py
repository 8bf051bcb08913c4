"""Segments: what a store lost of them is encoded again."""

from __future__ import annotations

import numpy as np
import pytest

from tokenladder.pipelines.files.parts import Store
from tokenladder.pipelines.stages import segments


@pytest.mark.parametrize("lost", [segments.INDEX, segments.TOKENS])
def test_a_segment_of_which_a_file_was_lost_does_not_exist(tmp_path, lost):
    place = Store(str(tmp_path))
    for rows, ids in (([0, 2], [1, 2, 3]), ([1], [4, 5])):
        offsets = np.array([0, 1, 3] if len(rows) == 2 else [0, 2])
        segments.write(place, "t", "p", np.array(rows), offsets, np.array(ids, np.uint16))
    assert segments.counts(place, "t", "p", 3).tolist() == [1, 2, 2]
    (path,) = (path for path in (tmp_path / "tokens/t/p").glob(f"*{lost}") if path.stat().st_size in {4, 20})
    path.unlink()
    assert segments.counts(place, "t", "p", 3).tolist() == [1, 0, 2]
