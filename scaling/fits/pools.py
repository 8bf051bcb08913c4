"""How many quality buckets to train on at a budget, from a fit of the filtering law to each bucket (Goyal et al. 2024).

Few good buckets win while they last; as they repeat, their utility halves every tau epochs, and worse buckets that are
fresh catch up. So the best filter depends on the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..laws.data import FILTERING, MOST_EPOCHS
from ..runs.columns import Numbers


def pool_losses(buckets: Sequence[Mapping[str, float]], tokens: Numbers, bucket_tokens: float) -> Numbers:
    """Loss of training on all of some buckets of equal size.

    Utilities of the buckets are averaged in each epoch of the pool. A pool of p buckets has p times the tokens, so each
    bucket is seen p times less often than alone, and its half-life is p times as long, as counted in the pool's epochs.

    Args:
        buckets: Parameters of ``LAWS["filtering"]`` for each bucket; ``k`` and ``E`` are one and the same for all.
        tokens: float64[budgets], tokens of training.
        bucket_tokens: Unique tokens of each bucket.

    Returns:
        float64[budgets], nats.

    Raises:
        ValueError: No bucket, buckets that differ in ``k`` or ``E``, or too many epochs.

    >>> bucket = {"k": 50.0, "E": 1.7, "b": 0.2, "tau": 4.0}
    >>> alone = FILTERING.predict(bucket, {"tokens": np.array([5e9]), "unique_tokens": np.array([1e9])})
    >>> bool(np.allclose(pool_losses([bucket], np.array([5e9]), 1e9), alone))
    True
    """
    if not buckets:
        raise ValueError("A pool needs one bucket or more.")
    vectors = np.array([FILTERING.vector(bucket) for bucket in buckets])
    scale, floor, utility, half_life = vectors.T
    if np.ptp(scale) > 1e-9 * scale[0] or np.ptp(floor) > 1e-9 * floor[0]:
        raise ValueError(
            "The buckets of a pool must share k and E: fit them with both fixed, so that only b and tau differ."
        )
    unique = bucket_tokens * len(buckets)
    epochs = np.asarray(tokens, np.float64) / unique
    last = int(np.ceil(epochs.max()))
    if last > MOST_EPOCHS:
        raise ValueError(
            f"Epochs are added up one by one, at most {MOST_EPOCHS:,}, but the largest budget has {last:,}."
        )
    total = utility.mean() * np.log(np.minimum(tokens, unique))
    for epoch in range(1, last):
        worth = (utility * 2.0 ** (-epoch / (half_life * len(buckets)))).mean()
        total = total + worth * np.log(np.clip(epochs, epoch, epoch + 1) / epoch)
    return np.asarray(floor[0] + scale[0] * np.exp(-total), np.float64)


def best_pools(
    buckets: Sequence[Mapping[str, float]], tokens: Numbers, bucket_tokens: float
) -> tuple[Numbers, Numbers]:
    """How many of the best buckets to train on at each budget.

    Args:
        buckets: As for :func:`pool_losses`; they are ranked by ``b``, best first.
        tokens: float64[budgets].
        bucket_tokens: Unique tokens of each bucket.

    Returns:
        int64[budgets], how many buckets, and float64[buckets, budgets], the loss with so many.
    """
    ranked = sorted(buckets, key=lambda bucket: -bucket["b"])
    losses = np.array([pool_losses(ranked[:count], tokens, bucket_tokens) for count in range(1, len(ranked) + 1)])
    return losses.argmin(0) + 1, losses
