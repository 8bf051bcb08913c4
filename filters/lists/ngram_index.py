"""An index of n-grams: which items of many passages share how much with a document, straight from Arrow's buffers.

Words are those of MinHash (:mod:`..shingles.folding`): lower-cased, without diacritics, cut at every symbol. So
wrapping, case, punctuation and accents change no n-gram. An n-gram's hash is a polynomial in the 64-bit hashes of its
words, which rolls along a text at one step a word, whatever n is. A Bloom filter of one bit for each hash (Bloom 1970)
that fits into the second-level cache turns 15 of 16 n-grams away before the table, which does not fit, is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..hashing import finalised
from ..kernels import inlined, kernel
from ..shingles.folding import fold_text, mark_words
from ..shingles.hashes import hash_tokens, longest_piece, piece_end, scratch
from ..text import words
from ..text.buffers import text_buffers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_ITEMS = 16
"""Items of one set that an n-gram speaks for, the first ones. A passage under many questions is found by these; without
a bound, each use of a set's standing phrase would count for thousands of items."""

REACH = 64
"""Words before and after what is found of an item in which its answer is looked for."""

_BITS_PER_NGRAM = 16
_BASE = np.uint64(0x9E3779B97F4A7C15)
_ROW, _ITEM, _ANSWERED = range(3)


class Index(NamedTuple):
    """The n-grams of ``i`` items; ``g`` distinct ones.

    Attributes:
        spans: int64[s]; the lengths of n-grams, ascending, in words.
        bits: uint64[b]; the Bloom filter, b a power of two.
        keys: uint64[t]; hashes in a table with open addressing, 0 for a free place; t a power of two.
        numbers: int32[t]; the number of each hash.
        offsets: int64[g + 1]; the items of n-gram ``k`` are ``items[offsets[k] : offsets[k + 1]]``.
        items: int32[offsets[g]].
        totals: int32[i]; distinct n-grams that are looked for of each item; 0 for one that is too short.
        needed: int32[i]; how many of them a document has at least, for the item to be found in it.
        answers: uint64[i]; hash of the answer's words; 0 where there is none.
        answer_sizes: int64[i]; words of the answer.
    """

    spans: NDArray[np.int64]
    bits: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    totals: NDArray[np.int32]
    needed: NDArray[np.int32]
    answers: NDArray[np.uint64]
    answer_sizes: NDArray[np.int64]


class Matches(NamedTuple):
    """What ``n`` documents share with an index.

    Attributes:
        overlap: float32[n]; the greatest share of an item's n-grams that the document has.
        longest: int32[n]; words of the document's longest run of indexed n-grams.
        ngrams: int32[n]; distinct indexed n-grams of the document.
        best: int32[n]; of the items that are found, the one with the greatest share, the first of equals; -1 for none.
        rows: int64[m]; ascending: the document of each item that is found.
        items: int32[m]; ascending within a document.
        answered: bool[m]; whether the item's answer stands near.
    """

    overlap: NDArray[np.float32]
    longest: NDArray[np.int32]
    ngrams: NDArray[np.int32]
    best: NDArray[np.int32]
    rows: NDArray[np.int64]
    items: NDArray[np.int32]
    answered: NDArray[np.bool_]


def build_index(  # noqa: PLR0917 (what an index is made of)
    passages: Sequence[str],
    owners: Sequence[int],
    answers: Sequence[str],
    sets: Sequence[int],
    ngram: int,
    shortest: int,
    min_overlap: float,
    enough: int,
) -> Index:
    """Index passages by their n-grams.

    Args:
        passages: Texts to look for.
        owners: The item of each passage, from 0, ascending.
        answers: The answer of each of ``i`` items, "" for none.
        sets: The set of each item.
        ngram: Words of an n-gram.
        shortest: Words of a passage that is looked for, and of what is found of an item, at least; a passage of fewer
            than ``ngram`` is a single n-gram.
        min_overlap: Share of an item's n-grams that a document has, for the item to be found.
        enough: N-grams of an item that are always enough.
    """
    offsets, tokens = hash_words(pa.array(passages, pa.string()))
    sizes = np.diff(offsets)
    spans = np.where(sizes >= shortest, np.minimum(sizes, ngram), 0)
    counts = np.where(spans > 0, sizes - spans + 1, 0)
    hashes = np.empty(int(counts.sum()), np.uint64)
    _hash_runs(offsets, tokens, spans, hashes)
    distinct, numbers = np.unique(hashes, return_inverse=True)
    owner = np.repeat(np.asarray(owners, np.int64), counts)
    pairs = np.unique(numbers.astype(np.int64) * max(1, len(answers)) + owner)
    number, item = pairs // max(1, len(answers)), pairs % max(1, len(answers))
    # The items of an n-gram that are of one set stand together, because the items of a set do.
    sets_of = np.asarray(sets, np.int64)[item] if len(item) else item
    begins = np.r_[True, (np.diff(number) != 0) | (np.diff(sets_of) != 0)][: len(pairs)]
    starts = np.flatnonzero(begins)
    rank = np.arange(len(pairs)) - np.repeat(starts, np.diff(np.r_[starts, len(pairs)]))
    number, item = number[rank < MOST_ITEMS], item[rank < MOST_ITEMS]
    totals = np.bincount(item, minlength=len(answers)).astype(np.int32)
    least = np.minimum(totals, max(1, shortest - ngram + 1))
    needed = np.clip(np.ceil(min_overlap * totals - 1e-9), least, np.maximum(least, enough)).astype(np.int32)
    answer_offsets, answer_tokens = hash_words(pa.array(answers, pa.string()))
    answer_sizes = np.diff(answer_offsets)
    answered = np.empty(int(np.count_nonzero(answer_sizes)), np.uint64)
    _hash_runs(answer_offsets, answer_tokens, answer_sizes, answered)
    answer_hashes = np.zeros(len(answers), np.uint64)
    answer_hashes[answer_sizes > 0] = answered
    places = 1 << max(4, (2 * len(distinct)).bit_length())
    keys, values = np.zeros(places, np.uint64), np.zeros(places, np.int32)
    bits = np.zeros(1 << max(0, (_BITS_PER_NGRAM * len(distinct) // 64).bit_length()), np.uint64)
    _fill(distinct, bits, keys, values)
    return Index(
        np.unique(spans[spans > 0]),
        bits,
        keys,
        values,
        np.searchsorted(number, np.arange(len(distinct) + 1)).astype(np.int64),
        item.astype(np.int32),
        totals,
        needed,
        answer_hashes,
        answer_sizes,
    )


def find(index: Index, column: pa.StringArray) -> Matches:
    """What each document shares with the index.

    Args:
        index: Of :func:`build_index`.
        column: ``n`` texts; slices and nulls included. A null shares nothing.
    """
    text = text_buffers(column)
    rows = len(column)
    overlap = np.zeros(rows, np.float32)
    figures = np.zeros((rows, 3), np.int32)
    figures[:, 2] = -1
    lengths = np.where(text.valid, np.diff(text.offsets), 0)
    tokens = np.empty(int(lengths.max(initial=0)) + 64, np.uint64)
    room = scratch(int(longest_piece(*text)))
    found = _match(*text, words.folded(), words.flags(), room, tokens, index, overlap, figures)
    return Matches(
        overlap,
        figures[:, 0],
        figures[:, 1],
        figures[:, 2],
        found[:, _ROW],
        found[:, _ITEM].astype(np.int32),
        found[:, _ANSWERED] != 0,
    )


def hash_words(column: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The hash of every folded word of every text.

    Args:
        column: ``n`` texts; slices and nulls included.

    Returns:
        int64[n + 1] and uint64[offsets[n]]; a null has none.

    >>> offsets, hashes = hash_words(pa.array(["Naïve, words.", None, "naive WORDS"]))
    >>> offsets.tolist(), bool((hashes[:2] == hashes[2:]).all())
    ([0, 2, 2, 4], True)
    """
    text = text_buffers(column)
    offsets = np.zeros(len(column) + 1, np.int64)
    hashes = np.empty(int(text.offsets[-1] - text.offsets[0]) + 64, np.uint64)
    room = scratch(int(longest_piece(*text)))
    _hash_rows(*text, words.folded(), words.flags(), room, offsets, hashes)
    return offsets, hashes[: offsets[-1]].copy()


@inlined
def _mixed(value: Any) -> Any:
    return max(finalised(value), np.uint64(1))  # 0 is a free place of the table


@kernel
def _power(span: Any) -> Any:
    """What the word that leaves a run of ``span`` was multiplied by."""
    power = np.uint64(1)
    for _ in range(span - 1):
        power *= _BASE
    return power


@kernel
def _hash_document(  # noqa: PLR0917 (a kernel takes columns)
    data: Any, first: Any, stop: Any, fold: Any, flags: Any, room: Any, tokens: Any
) -> Any:
    """Hash the words of ``data[first:stop]``, a piece at a time; how many."""
    made = np.int64(0)
    index = first
    while index < stop:
        end = piece_end(data, first, index, stop)
        size = fold_text(data, index, end, fold, flags, room.text)
        count = mark_words(room.text, size, room.starts, room.ends)
        hash_tokens(room.text, room.starts, room.ends, count, tokens[made:])
        made += np.int64(count)
        index = end
    return made


@kernel
def _hash_rows(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any, data: Any, valid: Any, fold: Any, flags: Any, room: Any, out_offsets: Any, hashes: Any
) -> None:
    made = 0
    for row in range(len(valid)):
        if valid[row]:
            first, stop = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
            made += _hash_document(data, first, stop, fold, flags, room, hashes[made:])
        out_offsets[row + 1] = made


@kernel
def _hash_runs(offsets: Any, tokens: Any, spans: Any, out: Any) -> None:
    """Hash every run of ``spans[row]`` words of every row, one row after the other; a span of 0 has none."""
    made = 0
    for row in range(len(spans)):
        span = spans[row]
        if span == 0:
            continue
        power = _power(span)
        value = np.uint64(0)
        for place in range(offsets[row], offsets[row + 1]):
            if place - offsets[row] >= span:
                value -= tokens[place - span] * power
            value = value * _BASE + tokens[place]
            if place - offsets[row] >= span - 1:
                out[made] = _mixed(value)
                made += 1


@kernel
def _fill(distinct: Any, bits: Any, keys: Any, numbers: Any) -> None:
    mask = np.uint64(len(keys) - 1)
    words_mask = np.uint64(len(bits) - 1)
    for number in range(len(distinct)):
        value = distinct[number]
        bits[(value >> np.uint64(38)) & words_mask] |= np.uint64(1) << (value >> np.uint64(32) & np.uint64(63))
        place = value & mask
        while keys[place]:
            place = (place + np.uint64(1)) & mask
        keys[place] = value
        numbers[place] = number


@inlined
def _number(index: Any, value: Any) -> int:
    """The number of an n-gram's hash, or -1."""
    word = index.bits[(value >> np.uint64(38)) & np.uint64(len(index.bits) - 1)]
    if not (word >> (value >> np.uint64(32) & np.uint64(63))) & np.uint64(1):
        return -1
    mask = np.uint64(len(index.keys) - 1)
    place = value & mask
    while index.keys[place]:
        if index.keys[place] == value:
            return int(index.numbers[place])
        place = (place + np.uint64(1)) & mask
    return -1


@kernel
def _has_run(tokens: Any, first: Any, stop: Any, span: Any, wanted: Any) -> bool:
    """Whether a run of ``span`` of the words from ``first`` to ``stop`` has this hash."""
    power = _power(span)
    value = np.uint64(0)
    for place in range(first, stop):
        if place - first >= span:
            value -= tokens[place - span] * power
        value = value * _BASE + tokens[place]
        if place - first >= span - 1 and _mixed(value) == wanted:
            return True
    return False


@kernel
def _match(  # noqa: PLR0917 (a kernel takes columns)
    offsets: Any,
    data: Any,
    valid: Any,
    fold: Any,
    flags: Any,
    room: Any,
    tokens: Any,
    index: Any,
    overlap: Any,
    figures: Any,
) -> Any:
    """Fill ``overlap`` and ``figures`` (longest, n-grams, best item); return int64[m, 3]: items that are found."""
    seen = np.zeros(len(index.offsets), np.uint32)  # the last row, from 1, that had the n-gram
    counts = np.zeros(len(index.totals), np.int32)
    span_of = np.empty((len(index.totals), 2), np.int64)  # first and last word of what is found of an item
    touched = np.empty(len(index.totals), np.int32)
    found = np.empty((256, 3), np.int64)
    pairs = 0
    for row in range(len(valid)):
        if not valid[row]:
            continue
        first, stop = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        count = _hash_document(data, first, stop, fold, flags, room, tokens)
        stamp = np.uint32(row + 1)
        distinct = longest = many = 0
        for span in index.spans:
            power = _power(span)
            value = np.uint64(0)
            run = 0
            for place in range(count):
                if place >= span:
                    value -= tokens[place - span] * power
                value = value * _BASE + tokens[place]
                if place < span - 1:
                    continue
                number = _number(index, _mixed(value))
                if number < 0:
                    run = 0
                    continue
                run += 1
                longest = max(longest, run + span - 1)
                if seen[number] == stamp:
                    continue
                seen[number] = stamp
                distinct += 1
                for at in range(index.offsets[number], index.offsets[number + 1]):
                    item = index.items[at]
                    if counts[item] == 0:
                        touched[many] = item
                        many += 1
                        span_of[item, 0] = place - span + 1
                        span_of[item, 1] = place + 1
                    counts[item] += 1
                    span_of[item, 0] = min(span_of[item, 0], place - span + 1)
                    span_of[item, 1] = max(span_of[item, 1], place + 1)
        figures[row, 0] = longest
        figures[row, 1] = distinct
        best = np.float32(-1)
        items = np.sort(touched[:many])
        for item in items:
            share = np.float32(counts[item]) / np.float32(index.totals[item])
            overlap[row] = max(overlap[row], share)
            if counts[item] >= index.needed[item]:
                if share > best:
                    best = share
                    figures[row, 2] = item
                if pairs == len(found):
                    longer = np.empty((2 * pairs, 3), np.int64)
                    longer[:pairs] = found
                    found = longer
                size = index.answer_sizes[item]
                low, high = max(0, span_of[item, 0] - REACH), min(count, span_of[item, 1] + REACH)
                found[pairs, _ROW] = row
                found[pairs, _ITEM] = item
                found[pairs, _ANSWERED] = size > 0 and _has_run(tokens, low, high, size, index.answers[item])
                pairs += 1
            counts[item] = 0
    return found[:pairs].copy()
