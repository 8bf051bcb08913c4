"""Which documents of a part stand before a cut of the order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .schema import BUCKET_BITS, CANDIDATE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def buckets_of(priority: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The bucket of each priority: its top bits.

    >>> buckets_of(np.array([0, 2**63], np.uint64)).tolist()
    [0, 2048]
    """
    return (priority >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)


def wanted(choice: pa.Table, cutoffs: dict[str, int]) -> NDArray[np.bool_]:
    """Rows that the recipe kept and whose priority's bucket is below their stratum's cutoff.

    Args:
        choice: What `choose.choose_part` says of a part.
        cutoffs: The first bucket that is not wanted, by stratum; of a stratum that is not named nothing is wanted.
    """
    stratum = choice.column("stratum").combine_chunks().dictionary_encode()
    bounds = np.array([cutoffs.get(name, 0) for name in stratum.dictionary.to_pylist()] or [0], np.int64)
    kept: NDArray[np.bool_] = choice.column("code").to_numpy() == CANDIDATE
    kept &= buckets_of(choice.column("priority").to_numpy()) < bounds[stratum.indices.to_numpy(zero_copy_only=False)]
    return kept
