"""Edits: spans that overlap become one, and texts are written with what stands in their place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.text import masks
from tokenladder.filters.text.masks import CUT, Edits

import naive

NAMES = ["email", "a_rather_long_name_of_a_kind", "x"]
INT32S, INT8S = pa.list_(pa.int32()), pa.list_(pa.int8())


def edits(starts, stops, names=None):
    names = names or [one and [CUT] * len(one) for one in starts]
    return Edits(pa.array(starts, INT32S), pa.array(stops, INT32S), pa.array(names, INT8S))


def names_of(number):
    return None if number == CUT else NAMES[number]


@st.composite
def drawn(draw):
    """Texts (some null), and spans in them; cuts do not overlap one another."""
    texts = draw(st.lists(st.none() | st.binary(max_size=90), max_size=5))
    spans = []
    for row, text in enumerate(texts):
        borders = sorted(draw(st.sets(st.integers(0, len(text or b"")), max_size=6)))
        spans += [(row, start, stop, CUT) for start, stop in zip(borders[::2], borders[1::2], strict=False)]
        for _ in range(draw(st.integers(0, 5)) if text else 0):
            start = draw(st.integers(0, len(text) - 1))
            spans.append((row, start, draw(st.integers(start + 1, len(text))), draw(st.integers(0, len(NAMES) - 1))))
    return texts, draw(st.permutations(spans))


@given(drawn(), st.integers(0, 2))
def test_spans_are_merged_and_put_in_as_by_hand(given, skipped):
    texts, spans = given
    columns = np.array(spans, np.int64).reshape(-1, 4).T
    found = masks.merge_spans(*columns, np.array([text is not None for text in texts], bool))
    raw = pa.array(texts, pa.binary())
    column = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers()).slice(skipped)
    found = found.take(np.arange(min(skipped, len(texts)), len(texts)))
    written = masks.apply_edits(column, found, NAMES).cast(pa.binary()).to_pylist()
    counts = found.counts(len(NAMES)).tolist()
    longer = [len(new) - len(old) if old is not None else 0 for old, new in zip(texts[skipped:], written, strict=True)]
    assert masks.growth(found, NAMES).tolist() == longer
    for row, text in enumerate(texts[skipped:]):
        own = sorted((start, stop, number) for at, start, stop, number in spans if at == row + skipped)
        wanted = naive.merged([(start, stop, names_of(number)) for start, stop, number in own])
        if text is None:
            assert (found.starts[row].as_py(), written[row]) == (None, None)
            continue
        seen = zip(*(each[row].as_py() for each in found), strict=True)
        assert [(start, stop, names_of(number)) for start, stop, number in seen] == wanted
        for start, stop, name in reversed(wanted):
            text = text[:start] + (b"" if name is None else naive.mask(name, stop - start)) + text[stop:]  # noqa: PLW2901
        assert written[row] == text
        assert counts[row] == [[name for _, _, name in wanted].count(name) for name in NAMES]


def test_a_key_whose_first_line_is_cut_is_masked_as_a_whole():
    text = "BEGIN KEY\nsecret\nEND KEY\nrest"
    spans = [(0, 0, 10, CUT), (0, 0, 24, 0), (0, 25, 29, CUT), (0, 26, 28, 0)]
    found = masks.merge_spans(*np.array(spans).T, np.array([True]))
    assert masks.apply_edits(pa.array([text]), found, ["key"]).to_pylist() == [f"[key{'_' * 27}]\n"]


def test_lists_may_be_slices_and_null():
    column = pa.array(["abcdef", "ghi", "jkl"])
    starts, stops = [[9], [1, 4], None, [0]], [[9], [2, 6], None, [3]]
    found = Edits(*(each.slice(1) for each in edits(starts, stops)))
    assert masks.apply_edits(column, found, []).to_pylist() == ["acd", "ghi", ""]
    assert masks.apply_edits(pa.array([], pa.string()), edits([], []), NAMES).to_pylist() == []


WRONG = "The edits of text 0 do not lie inside it, one after the other."


@pytest.mark.parametrize(
    ("starts", "stops", "message"),
    [
        ([[0], []], [[1], []], "1 texts need as many lists of edits, of one length each."),
        ([[0]], [[]], "1 texts need as many lists of edits, of one length each."),
        ([[1]], [[4]], WRONG),
        ([[-1]], [[1]], WRONG),
        ([[0, 1]], [[2, 3]], WRONG),
        ([[2]], [[1]], WRONG),
    ],
)
def test_wrong_edits_are_refused(starts, stops, message):
    with pytest.raises(ValueError, match="edits") as caught:
        masks.apply_edits(pa.array(["abc"]), edits(starts, stops), [])
    assert str(caught.value) == message
