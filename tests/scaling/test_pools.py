from __future__ import annotations

import numpy as np
import pytest

from tokenladder.scaling.fits.pools import best_pools, pool_losses

GOOD = {"k": 50.0, "E": 1.7, "b": 0.20, "tau": 3.0}
FAIR = GOOD | {"b": 0.19}
POOR = GOOD | {"b": 0.17}


def test_a_pool_is_added_up_epoch_by_epoch():
    total = 0.0
    seen = 1.0
    for epoch, stop in enumerate((2e9, 4e9, 5e9)):
        worth = (0.20 * 2 ** (-epoch / 6) + 0.17 * 2 ** (-epoch / 6)) / 2
        total += worth * np.log(stop / seen)
        seen = stop
    assert pool_losses([GOOD, POOR], np.array([5e9]), 1e9) == pytest.approx([1.7 + 50 * np.exp(-total)])


def test_the_best_filter_depends_on_the_budget():
    counts, losses = best_pools([POOR, GOOD, FAIR], np.array([1e9, 1e10, 1e11]), 1e9)
    assert counts[0] == 1
    assert (np.diff(counts) >= 0).all()
    assert counts[-1] > 1
    assert losses.shape == (3, 3)
    np.testing.assert_array_equal(losses[0], pool_losses([GOOD], np.array([1e9, 1e10, 1e11]), 1e9))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"^A pool needs one bucket or more.$"):
        pool_losses([], np.array([1e9]), 1e9)
    with pytest.raises(ValueError, match=r"^The buckets of a pool must share k and E: fit them with both fixed"):
        pool_losses([GOOD, GOOD | {"E": 1.8}], np.array([1e9]), 1e9)
    with pytest.raises(
        ValueError, match=r"^Epochs are added up one by one, at most 10,000, but the largest budget has 100,000.$"
    ):
        pool_losses([GOOD], np.array([1e14]), 1e9)
