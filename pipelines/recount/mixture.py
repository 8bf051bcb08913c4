"""Recount a mixture: how far each stratum is from its weight in every prefix of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .result_files import ONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .result_files import Recipe

ROUNDING = 1e-5
"""Sequences by which sums of weights in 64-bit floats may be off after 2**30 of them: 2**-23 and some."""


class Mixture:
    """What is due to each stratum, and what it had, along the stream.

    Attributes:
        faults: One line for each stratum and shard in which it is more than a sequence off.
        furthest: The greatest distance so far, in sequences.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Take the weights, and the course along which they change, from what the manifest says of a recipe."""
        self.faults: list[str] = []
        self.furthest = 0.0
        self._strata = sorted(recipe.strata)
        self._off = np.zeros(len(self._strata), np.int64)  # of constant weights: in units of 2**-32 sequences
        self._given = np.zeros(len(self._strata), np.int64)
        self._weights = np.array([recipe.strata[name].weight for name in self._strata], np.int64)
        self._places = np.array([bend.sequences for bend in recipe.course], np.float64)
        self._bends = [[bend.weights.get(name, 0) / ONE for bend in recipe.course] for name in self._strata]
        sums = [sum(one.weight for one in recipe.strata.values())]
        sums += [sum(bend.weights.values()) for bend in recipe.course]
        self.faults += [f"the weights sum to {one}, not to {ONE}" for one in sums if one != ONE]
        if (np.diff(self._places) < 0).any():
            self.faults.append("the places at which weights change do not ascend")

    def count(self, codes: NDArray[np.int64], first: int) -> None:
        """Go on by some sequences.

        Args:
            codes: int64 of shape (n,): the stratum of each, by its place among the sorted names.
            first: Sequences before them.
        """
        for n, name in enumerate(self._strata if len(codes) else ()):
            picks = codes == n
            off = self._changing(n, picks, first) if self._bends[n] else self._constant(n, picks)
            far = int(np.abs(off).argmax())
            self.furthest = max(self.furthest, abs(float(off[far])))
            if abs(off[far]) > 1 + (ROUNDING if self._bends[n] else 0):
                by = f"{off[far]:+.2f} sequences off its weight"
                self.faults.append(f"after {first + far + 1:,} sequences, {name} is {by}")

    def _constant(self, n: int, picks: NDArray[np.bool_]) -> NDArray[np.float64]:
        off = self._off[n] + np.cumsum(picks * ONE - self._weights[n])
        self._off[n] = off[-1]
        return off / ONE  # type: ignore[no-any-return] # float64: exact, for 2**33 has 34 bits

    def _changing(self, n: int, picks: NDArray[np.bool_], first: int) -> NDArray[np.float64]:
        """Sequences beyond the area below the weights, in trapezia: exact, because they are cut at every bend."""
        ends = np.arange(first + 1, first + len(picks) + 1, dtype=np.float64)
        given = self._given[n] + np.cumsum(picks)
        self._given[n] = given[-1]
        return given - area(self._places, self._bends[n], ends)  # type: ignore[no-any-return] # float64


def area(places: NDArray[np.float64], heights: list[float], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area below a line of straight pieces from 0 to each end; before and after its bends it is level.

    >>> area(np.array([2.0, 4.0]), [1.0, 0.0], np.array([1.0, 3.0, 9.0]))
    array([1.  , 2.75, 3.  ])
    """
    at, high = np.r_[0.0, places, np.inf], np.r_[heights[0], heights, heights[-1]]
    total, out = 0.0, np.zeros(len(ends))
    for left, right, low, up in zip(at[:-1], at[1:], high[:-1], high[1:], strict=True):
        inside = (ends > left) & (ends <= right)
        slope = (up - low) / (right - left) if right > left else 0.0
        x = ends[inside] - left
        out[inside] = total + x * (low + slope * x / 2)
        if np.isfinite(right):
            total += (right - left) * (low + up) / 2
    return out
