"""Visible text of HTML and XML: how many characters of a file a reader would see.

StarCoder keeps HTML whose visible text is at least 100 characters and a fifth of the file (Li et al. 2023, "StarCoder:
may the source be with you!"), measured with Beautiful Soup. Here the text is not extracted, only counted, by the rules
below; entities count as they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import inlined, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..text.buffers import Text

_LESS, _GREATER, _SLASH, _BANG, _QUERY = 0x3C, 0x3E, 0x2F, 0x21, 0x3F
_HIDDEN = np.array([list(b"script\0"), list(b"style\0\0")], np.uint8)
"""Elements whose content nobody sees."""


def visible_characters(text: Text, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    r"""Characters outside tags, comments, and script and style elements.

    A tag begins with ``<`` and a letter, ``/``, ``!`` or ``?``, and ends with the next ``>``; a comment goes from
    ``<!--`` to ``-->``; a script or style element to the next tag that closes it. What is not closed goes to the end.

    Args:
        text: A column's buffers, of ``n`` rows.
        rows: bool[n]: which rows to look at.

    Returns:
        int64[n]; 0 for the other rows.

    >>> import pyarrow as pa
    >>> from ..text.buffers import text_buffers
    >>> page = "<p class='a'>Hello<!-- no --></p><script>var x</script> 1 < 2"
    >>> visible_characters(text_buffers(pa.array([page])), np.array([True])).tolist()
    [11]
    """
    counts = np.zeros(len(text.valid), np.int64)
    _count(text.offsets, text.data, text.valid & rows, _HIDDEN, counts)
    return counts


@kernel
def _count(offsets: Any, data: Any, valid: Any, hidden: Any, counts: Any) -> None:
    for row in range(len(valid)):
        if not valid[row]:
            continue
        index, stop = offsets[row], offsets[row + 1]
        while index < stop:
            if data[index] == _LESS and index + 1 < stop and _opens(data[index + 1]):
                index = _tag_end(data, index, stop, hidden)
            else:
                counts[row] += (data[index] & 0xC0) != 0x80
                index += 1


@inlined
def _opens(byte: Any) -> bool:
    lower = byte | 0x20
    return bool(0x61 <= lower <= 0x7A or byte in (_SLASH, _BANG, _QUERY))


@kernel
def _tag_end(data: Any, index: Any, stop: Any, hidden: Any) -> int:
    """One past the markup that begins at ``index``, with the whole of an element that is hidden."""
    if index + 3 < stop and data[index + 1] == _BANG and data[index + 2] == 0x2D and data[index + 3] == 0x2D:
        at = index + 4
        while at + 2 < stop and not (data[at] == 0x2D and data[at + 1] == 0x2D and data[at + 2] == _GREATER):
            at += 1
        return int(at + 3) if at + 2 < stop else int(stop)
    at = index + 1
    while at < stop and data[at] != _GREATER:
        at += 1
    if at >= stop:
        return int(stop)
    at += 1
    for element in range(len(hidden)):
        if _names(data, index + 1, stop, hidden[element]):
            while at < stop:
                if data[at] == _LESS and at + 1 < stop and data[at + 1] == _SLASH:  # noqa: SIM102 (and is slower to read)
                    if _names(data, at + 2, stop, hidden[element]):
                        while at < stop and data[at] != _GREATER:
                            at += 1
                        return int(min(at + 1, stop))
                at += 1
            return int(stop)
    return int(at)


@kernel
def _names(data: Any, index: Any, stop: Any, name: Any) -> bool:
    """Whether the tag at ``index`` has this name, in any case."""
    for each in range(len(name)):
        if name[each] == 0:
            break
        if index >= stop or (data[index] | 0x20) != name[each]:
            return False
        index += 1
    return bool(index >= stop or data[index] <= 0x20 or data[index] == _GREATER or data[index] == _SLASH)
