"""Change text where it is encoded: put masks in the place of what was found, and leave out what is cut.

An *edit* is a span of a text and what stands in its place: the mask of a name, or nothing. Spans come from several
scores and from repeated lines, so that they overlap: a private key's first line may be one that many documents repeat.
Nothing that any of them names may stay, so spans that overlap are changed together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..kernels import kernel
from .buffers import text_buffers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LENGTH_CLASSES = (16, 32, 64)
"""Lengths of masks in bytes; see :func:`mask_for`."""

CUT = -1
"""In the place of a name's number: nothing stands there."""

_MOST = 2**31 - 1  # bytes that a string column's 32-bit offsets can address


class Edits(NamedTuple):
    """Edits of ``n`` texts, in the order of the text; none overlaps another.

    Attributes:
        starts: list<int32>[n]; the first byte of each in its text.
        stops: list<int32>[n]; the byte behind its last.
        names: list<int8>[n]; the number of the name of what is masked, or ``CUT``.
    """

    starts: pa.ListArray
    stops: pa.ListArray
    names: pa.ListArray

    def take(self, rows: NDArray[np.int64]) -> Edits:
        """The edits of some of the texts."""
        return Edits(*(each.take(pa.array(rows)) for each in self))

    def counts(self, names: int) -> NDArray[np.int32]:
        """Masks of each name in each text: int32[n, names]."""
        offsets, number = lists(self.names)
        rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        flat = np.bincount(rows[number != CUT] * names + number[number != CUT], minlength=(len(offsets) - 1) * names)
        return flat.reshape(len(offsets) - 1, names).astype(np.int32)


def lists(column: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets from 0 and the values of a column of lists; a null is an empty list.

    >>> offsets, values = lists(pa.array([[4, 5], None, [6]]))
    >>> offsets.tolist(), values.tolist()
    ([0, 2, 2, 3], [4, 5, 6])
    """
    counts = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.r_[0, np.cumsum(counts)].astype(np.int64), values.astype(np.int64)


def merge_spans(
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    names: NDArray[np.int64],
    valid: NDArray[np.bool_],
) -> Edits:
    """Spans that may overlap, as edits that do not.

    What is to be masked inside of a cut is gone with it. Of all others that overlap, one edit is made, under the name
    of what begins first; of those that begin at one place, of the longest; of these, of the least number.

    Args:
        rows: int64[s]; the text of each span.
        starts: int64[s]; its first byte in its text.
        stops: int64[s]; the byte behind its last.
        names: int64[s]; the number of its name, or ``CUT``.
        valid: bool[n]; which texts are not null.

    >>> spans = (np.array(each) for each in ([0, 0, 0], [0, 2, 6], [4, 8, 8], [3, -1, 5]))
    >>> [each.to_pylist() for each in merge_spans(*spans, np.array([True]))]
    [[[0]], [[8]], [[3]]]
    """
    order = np.lexsort((names, -stops, starts, rows))
    columns = [np.ascontiguousarray(each[order], np.int64) for each in (rows, starts, stops, names)]
    used = _merge(*columns)
    counts = np.bincount(columns[0][:used], minlength=len(valid))
    offsets = pa.array(np.r_[0, np.cumsum(counts)].astype(np.int32))
    kinds = (np.int32, np.int32, np.int8)
    values = [pa.array(each[:used].astype(kind)) for each, kind in zip(columns[1:], kinds, strict=True)]
    return Edits(*(pa.ListArray.from_arrays(offsets, each, mask=pa.array(~valid)) for each in values))


@kernel
def _merge(rows: Any, starts: Any, stops: Any, names: Any) -> int:
    used = 0
    for n in range(len(rows)):
        last = used - 1
        if used and rows[last] == rows[n] and starts[n] < stops[last]:
            if names[last] < 0 and stops[n] <= stops[last]:
                continue
            if names[last] < 0:
                names[last] = names[n]
            stops[last] = max(stops[last], stops[n])
        else:
            rows[used], starts[used], stops[used], names[used] = rows[n], starts[n], stops[n], names[n]
            used += 1
    return used


def mask_for(name: str, size: int) -> bytes:
    """What stands in the place of ``size`` bytes: their kind, filled up to the least length class that both fit into.

    What fits into no class has the last one.

    >>> mask_for("email", 20), len(mask_for("private_key", 1700))
    (b'[email_________________________]', 64)
    """
    needed = max(size, len(name) + 2)
    length = next((limit for limit in LENGTH_CLASSES if needed <= limit), LENGTH_CLASSES[-1])
    return b"[" + name.encode().ljust(length - 2, b"_") + b"]"


def growth(edits: Edits, names: Sequence[str]) -> NDArray[np.int64]:
    """By how many bytes its edits make each text longer; below 0 where it gets shorter.

    Args:
        edits: Of ``n`` texts.
        names: What the edits' numbers stand for.

    >>> spans = (np.array(each) for each in ([0, 0], [0, 6], [4, 8], [CUT, 0]))
    >>> growth(merge_spans(*spans, np.array([True])), ["email"])
    array([10])
    """
    (offsets, starts), (_, stops), (_, numbers) = (lists(each) for each in edits)
    sizes = stops - starts
    least = np.array([*(len(name.encode()) + 2 for name in names), 0], np.int64)[numbers]  # CUT is -1: the last
    classes = np.array([*LENGTH_CLASSES, LENGTH_CLASSES[-1]])
    masks = classes[np.searchsorted(np.array(LENGTH_CLASSES), np.maximum(sizes, least))]
    before = np.r_[0, np.cumsum(np.where(numbers == CUT, 0, masks) - sizes)]
    return before[offsets[1:]] - before[offsets[:-1]]  # type: ignore[no-any-return] # int64


class Masked(NamedTuple):
    """A column with masks in it.

    Attributes:
        column: As many rows as before; null where they were null.
        counts: int32[rows, names]; how many masks of each name stand in each row.
    """

    column: pa.StringArray
    counts: NDArray[np.int32]


def apply_edits(column: pa.StringArray, edits: Edits, names: Sequence[str]) -> pa.StringArray:
    """Texts with their edits.

    Args:
        column: ``n`` texts; slices and nulls included.
        edits: Of each text; slices and nulls included.
        names: What the edits' numbers stand for.

    Returns:
        ``n`` texts; null where they were.

    Raises:
        ValueError: There are not as many lists as texts, an edit does not lie inside its text, after the one before, or
            the result would be larger than a column of strings can be (2 GiB).

    >>> column, one = pa.array(["Ask ada@b.org, later."]), [pa.array([each]) for each in ([4, 13], [13, 20], [0, CUT])]
    >>> apply_edits(column, Edits(*one), ["email"])[0].as_py()
    'Ask [email_________].'
    """
    text = text_buffers(column)
    (first, starts), (same, stops), (also, numbers) = (lists(each) for each in edits)
    if len(first) != len(column) + 1 or not (np.array_equal(first, same) and np.array_equal(first, also)):
        raise ValueError(f"{len(column)} texts need as many lists of edits, of one length each.")
    if not len(starts):
        return column
    masks = [b"", *(mask_for(name, size) for name in names for size in LENGTH_CLASSES)]
    places = np.r_[0, np.cumsum([len(mask) for mask in masks])]
    needed = np.maximum(stops - starts, np.array([len(name) + 2 for name in names] or [0])[numbers])
    which = np.minimum(np.searchsorted(LENGTH_CLASSES, needed), len(LENGTH_CLASSES) - 1)
    which = np.where(numbers == CUT, 0, 1 + len(LENGTH_CLASSES) * numbers + which)
    size = int(text.offsets[-1] - text.offsets[0] + (np.diff(places)[which] - (stops - starts)).sum())
    if size > _MOST:
        raise ValueError(
            f"With its masks the column would hold {size} bytes, and a column of strings can hold {_MOST}; "
            "mask smaller batches."
        )
    out, offsets = np.empty(max(size, 0), np.uint8), np.zeros(len(column) + 1, np.int32)
    data = np.frombuffer(b"".join(masks), np.uint8)
    wrong = _apply(*text, first, starts, stops, which, places, data, offsets, out)
    if wrong >= 0:
        raise ValueError(f"The edits of text {wrong} do not lie inside it, one after the other.")
    bits = pa.py_buffer(np.packbits(text.valid, bitorder="little")) if column.null_count else None
    return pa.StringArray.from_buffers(len(column), pa.py_buffer(offsets), pa.py_buffer(out), bits)


@kernel
def _apply(  # noqa: PLR0917 a kernel takes columns
    offsets: Any,
    data: Any,
    valid: Any,
    firsts: Any,
    starts: Any,
    stops: Any,
    which: Any,
    places: Any,
    masks: Any,
    out_offsets: Any,
    out: Any,
) -> int:
    """Copy what lies between the edits, and their masks; the first text whose edits are wrong, or -1."""
    for row in range(len(valid)):
        last = 0
        for edit in range(firsts[row], firsts[row + 1]):
            if starts[edit] < last or stops[edit] < starts[edit] or stops[edit] > offsets[row + 1] - offsets[row]:
                return row
            last = stops[edit]
    at = 0
    for row in range(len(valid)):
        if valid[row]:
            index, stop = offsets[row], offsets[row + 1]
            for edit in range(firsts[row], firsts[row + 1]):
                begin = offsets[row] + starts[edit]
                out[at : at + begin - index] = data[index:begin]
                at += begin - index
                index = offsets[row] + stops[edit]
                left, right = places[which[edit]], places[which[edit] + 1]
                out[at : at + right - left] = masks[left:right]
                at += right - left
            out[at : at + stop - index] = data[index:stop]
            at += stop - index
        out_offsets[row + 1] = at
    return -1
