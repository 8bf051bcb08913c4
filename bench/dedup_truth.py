"""What is true about near duplicates: the exact similarity of all pairs from .5 on, and how well a tool found them.

A document's set is that of TokenLadder's MinHash for words: the shingles of 5 consecutive words, folded as
`tokenladder.filters.text.words.folded` says, or one shingle of all words where there are fewer. It is computed here by
regular expressions and sorting, without the kernels that are judged. A text without any word is its own only shingle.
Shingles are compared by 64-bit hashes.

All pairs are found by prefix filtering (Bayardo, Ma, Srikant 2007, "Scaling up all pairs similarity search"), which
misses none: if two sets have a Jaccard similarity of t, they share an element among the first |A| - ⌈t |A|⌉ + 1 of
each, in any common order of the elements; with the rarest elements first, few others are looked at.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenladder.filters.hashing import fmix64
from tokenladder.filters.kernels import kernel
from tokenladder.filters.text import words

NGRAM = 5
LEAST = 0.5
"""All pairs at least so similar are found."""
BINS = ((1.0, 1.01), (0.9, 1.0), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))
SOLO = "\x00"


class Fold(dict[int, str | None]):
    """What `str.translate` makes of each character, filled as characters come."""

    def __missing__(self, point: int) -> str | None:
        """Look the character up in the tables of words."""
        folded = int(words.folded()[point])
        value: str | None = chr(folded)
        if folded == words.DROPPED:
            value = None
        elif folded == words.SEPARATES:
            value = " "
        elif words.flags()[point] & words.SOLO:
            value = SOLO + chr(folded)
        self[point] = value
        return value


FOLD = Fold()
MARKS = "".join(map(chr, np.flatnonzero(words.flags() & words.MARK).tolist()))
WORDS = re.compile(f"{SOLO}.[{re.escape(MARKS)}]*|[^ {SOLO}]+", re.DOTALL)


def folded_words(text: str) -> list[str]:
    """The words of a text.

    >>> folded_words("Crème-brûlée 日本")
    ['creme', 'brulee', '日', '本']
    """
    return [word.replace(SOLO, "") for word in WORDS.findall(text.translate(FOLD))]


@dataclasses.dataclass(frozen=True)
class Sets:
    """The sets of `n` documents.

    Attributes:
        offsets: int64[n + 1]; set `i` is `elements[offsets[i] : offsets[i + 1]]`.
        elements: int32; ascending in each set. The rarer an element, the smaller.
    """

    offsets: NDArray[np.int64]
    elements: NDArray[np.int32]


def shingle_sets(texts: Sequence[str], ngram: int = NGRAM) -> Sets:
    """The set of shingles of each text."""
    numbers: dict[str, int] = {}
    sequence: list[int] = []
    sizes = np.empty(len(texts), np.int64)
    for n, text in enumerate(texts):
        found = folded_words(text) or [f"{SOLO}{text}"]
        sequence.extend(numbers.setdefault(word, len(numbers)) for word in found)
        sizes[n] = len(found)
    word = np.array(sequence, np.uint64)
    ends = np.cumsum(sizes)
    left = np.repeat(ends, sizes) - np.arange(len(word))  # words from here to the end of the text
    short = np.minimum(np.repeat(sizes, sizes), ngram)
    hashes = np.zeros(len(word), np.uint64)
    for step in range(ngram):
        # In a text of fewer words the hash stops at the last one.
        taken = np.flatnonzero((step < short) & (left >= short))
        hashes[taken] = fmix64(hashes[taken] * np.uint64(3) + word[taken + step] + np.uint64(step + 1))
    document = np.repeat(np.arange(len(texts)), sizes)[left >= short]
    hashes = hashes[left >= short]
    order = np.lexsort((hashes, document))
    document, hashes = document[order], hashes[order]
    first = np.r_[True, (document[1:] != document[:-1]) | (hashes[1:] != hashes[:-1])]
    document, hashes = document[first], hashes[first]
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    elements = rank[inverse]
    elements = elements[np.lexsort((elements, document))]
    return Sets(np.r_[0, np.cumsum(np.bincount(document, minlength=len(texts)))], elements)


@kernel
def _jaccard(offsets: Any, elements: Any, a: Any, b: Any) -> float:
    """The Jaccard similarity of two sets."""
    i, j, common = offsets[a], offsets[b], 0
    while i < offsets[a + 1] and j < offsets[b + 1]:
        x, y = elements[i], elements[j]
        common += x == y
        i += x <= y
        j += y <= x
    return float(common / (offsets[a + 1] - offsets[a] + offsets[b + 1] - offsets[b] - common))


@kernel
def _jaccards(offsets: Any, elements: Any, left: Any, right: Any, result: Any) -> None:
    for n in range(len(left)):
        result[n] = _jaccard(offsets, elements, left[n], right[n])


def jaccard(sets: Sets, left: Sequence[int], right: Sequence[int]) -> NDArray[np.float64]:
    """Jaccard similarities of pairs of documents, float64[len(left)]."""
    result = np.empty(len(left))
    _jaccards(sets.offsets, sets.elements, np.array(left, np.int64), np.array(right, np.int64), result)
    return result


@kernel
def _similar(offsets: Any, elements: Any, order: Any, prefixes: Any, starts: Any, least: float) -> Any:  # noqa: PLR0917
    """Pairs of different sets at `least`; `order` is by size, `starts` where an element's list of sets begins."""
    sizes = offsets[1:] - offsets[:-1]
    postings = np.empty(starts[-1], np.int64)
    low = starts[:-1].copy()  # sets before it are too small for all that come
    high = starts[:-1].copy()
    seen = np.full(len(sizes), -1, np.int64)
    room = 1 << 16
    pairs = np.empty((room, 2), np.int64)
    scores = np.empty(room)
    found = 0
    for b in order:
        for at in range(offsets[b], offsets[b] + prefixes[b]):
            element = elements[at]
            while low[element] < high[element] and sizes[postings[low[element]]] < least * sizes[b]:
                low[element] += 1
            for entry in range(low[element], high[element]):
                a = postings[entry]
                if seen[a] == b:
                    continue
                seen[a] = b
                score = _jaccard(offsets, elements, a, b)
                if score < least:
                    continue
                if found == room:
                    room *= 2
                    more, most = np.empty((room, 2), np.int64), np.empty(room)
                    more[:found], most[:found] = pairs, scores
                    pairs, scores = more, most
                pairs[found, 0], pairs[found, 1], scores[found] = min(a, b), max(a, b), score
                found += 1
            postings[high[element]] = b
            high[element] += 1
    return pairs[:found], scores[:found]


@dataclasses.dataclass(frozen=True)
class Truth:
    """All pairs of documents with a Jaccard similarity of at least LEAST.

    Attributes:
        sets: The documents' sets.
        same: int64[n]; the first document with the same set, which stands for all of them in `pairs`.
        pairs: int64[p, 2]; numbers of documents, the smaller first, only those that stand for themselves.
        scores: float64[p]; their similarities.
    """

    sets: Sets
    same: NDArray[np.int64]
    pairs: NDArray[np.int64]
    scores: NDArray[np.float64]


def truth(texts: Sequence[str], least: float = LEAST) -> Truth:
    """All pairs of texts that are at least so similar, by prefix filtering: none is missed."""
    sets = shingle_sets(texts)
    first: dict[bytes, int] = {}
    same = np.empty(len(texts), np.int64)
    for n in range(len(texts)):
        same[n] = first.setdefault(sets.elements[sets.offsets[n] : sets.offsets[n + 1]].tobytes(), n)
    sizes = np.diff(sets.offsets)
    leading = np.flatnonzero(same == np.arange(len(texts)))
    order = leading[np.argsort(sizes[leading], kind="stable")]
    prefixes = sizes - np.ceil(least * sizes - 1e-9).astype(np.int64) + 1
    # An element's list needs room for each set that has it in its prefix.
    starts = np.zeros(int(sets.elements.max(initial=-1)) + 2, np.int64)
    taken = np.concatenate(
        [np.zeros(0, np.int32), *(sets.elements[sets.offsets[n] : sets.offsets[n] + prefixes[n]] for n in leading)]
    )
    starts[1:] = np.cumsum(np.bincount(taken, minlength=len(starts) - 1))
    pairs, scores = _similar(sets.offsets, sets.elements, order, prefixes, starts, least)
    return Truth(sets, same, pairs, scores)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a tool said.

    Attributes:
        cluster: For each document that is not alone, the name of its cluster.
        removed: Documents that it removed.
    """

    cluster: Mapping[int, object]
    removed: Sequence[int]

    def together(self, a: int, b: int) -> bool:
        """Whether two documents are in one cluster."""
        return a in self.cluster and b in self.cluster and self.cluster[a] == self.cluster[b]


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a tool did.

    Attributes:
        recall: For each of BINS, the share of planted pairs that are in one cluster; nan where there is none.
        high: The same for all planted pairs from a similarity of .8 on.
        left: Of all pairs from .8 on, natural ones too, the share of which both are kept; documents of equal sets
            count as pairs with one of them.
        removed: Documents removed.
        precision: The share of removed documents that are at least .7 similar to another document of their cluster.
    """

    recall: tuple[float, ...]
    high: float
    left: float
    removed: int
    precision: float


def score(known: Truth, planted: Sequence[tuple[int, int]], verdict: Verdict) -> Score:
    """Recall of planted pairs, pairs that were left, and precision of removals."""
    similarity = jaccard(known.sets, [a for a, _ in planted], [b for _, b in planted])
    joined = np.array([verdict.together(a, b) for a, b in planted], bool)

    def recall(low: float, high: float) -> float:
        chosen = joined[(similarity >= low) & (similarity < high)]
        return float(chosen.mean()) if len(chosen) else math.nan

    removed = set(verdict.removed)
    kept = Counter(int(known.same[n]) for n in range(len(known.same)) if n not in removed)
    high = known.pairs[known.scores >= 0.8]
    pairs = len(high) + len(known.same) - len(set(known.same.tolist()))
    both = sum(a in kept and b in kept for a, b in high.tolist()) + kept.total() - len(kept)
    return Score(
        tuple(recall(*limits) for limits in BINS),
        recall(0.8, 1.01),
        both / max(1, pairs),
        len(removed),
        precision(known, verdict),
    )


def precision(known: Truth, verdict: Verdict, least: float = 0.7) -> float:
    """The share of removed documents that are so similar to another of their cluster; 1 where none was removed."""
    members: defaultdict[object, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for document, cluster in verdict.cluster.items():
        members[cluster][int(known.same[document])] += 1
    near: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in known.pairs[known.scores >= least].tolist():
        near[a].append(b)
        near[b].append(a)
    good = 0
    for document in verdict.removed:
        inside = members[verdict.cluster.get(document, object())]
        stands_for = int(known.same[document])
        good += inside[stands_for] > 1 or any(other in inside for other in near[stands_for])
    return good / len(verdict.removed) if verdict.removed else 1.0
