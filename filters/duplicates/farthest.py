"""Farthest-first order: each next document is the one that is least like all before it.

The first k of the order are a greedy choice of k centres; no document is farther from its nearest centre than twice
what the best k centres could reach (T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance",
Theoretical Computer Science 38, 1985). The distance is 1 minus the Jaccard similarity that MinHash signatures estimate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distances_when_chosen(signatures: NDArray[np.uint32]) -> NDArray[np.float64]:
    """How far each document is from the nearest of those that farthest-first order puts before it.

    In that order the distances never rise. The first document is the first row; of equally far ones the first row comes
    first. It takes n² × K / 2 comparisons: 25 ms for 2,048 documents and 108 places.

    Args:
        signatures: uint32 of shape (n, K).

    Returns:
        float64 of shape (n,), from 0 to 1; 1 for the first row.

    Raises:
        ValueError: The signatures have no places.

    >>> distances_when_chosen(np.array([[1, 2], [1, 3], [8, 9], [1, 2]], np.uint32)).tolist()
    [1.0, 0.5, 1.0, 0.0]
    """
    if signatures.ndim != 2 or not signatures.shape[1]:
        raise ValueError(f"Signatures of shape {signatures.shape} cannot be compared; they need places.")
    differing = np.empty(len(signatures), np.int64)
    _choose(np.ascontiguousarray(signatures), differing)
    return differing / signatures.shape[1]  # type: ignore[no-any-return] # an array


@kernel
def _choose(signatures: Any, differing: Any) -> None:
    count, places = signatures.shape
    nearest = np.full(count, places, np.int64)
    left = np.arange(count)  # rows that are not chosen yet, ascending
    while len(left):
        best = 0
        for n in range(1, len(left)):
            if nearest[left[n]] > nearest[left[best]]:
                best = n
        chosen = left[best]
        differing[chosen] = nearest[chosen]
        left = np.concatenate((left[:best], left[best + 1 :]))
        for other in left:
            unlike = 0
            for place in range(places):
                unlike += signatures[other, place] != signatures[chosen, place]
            nearest[other] = min(nearest[other], unlike)
