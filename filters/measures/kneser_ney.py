r"""An n-gram language model by interpolated, modified Kneser–Ney smoothing, and the ARPA file that holds it.

Chen and Goodman 1999, "An Empirical Study of Smoothing Techniques for Language Modeling", as Heafield et al. 2013,
"Scalable Modified Kneser-Ney Language Model Estimation", estimate it in KenLM's ``lmplz``:

* The count of an n-gram shorter than the longest is that of the different words before it; one that begins a sentence
  has none before it and keeps its own.
* Each order has three discounts, for counts of one, two, and three or more, from its counts of counts.
* The chance of a word is its discounted share after its context, and what the discounts took times its chance after the
  context that is one word shorter; that of a word alone is mixed with all words being alike, the unknown one included.
* What is pruned gives its whole count to the shorter context, so that chances still sum to one.

The package ``kenlm`` reads models; no library that trains them comes as a wheel and is quick: this counts by sorting
numbers in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"

LONGEST = 6
"""Words in an n-gram at most: so many KenLM reads as it is built for its package."""

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where counts of counts give none, as for very little text; ``lmplz`` offers the same."""

_FIRST, _LAST, _OTHER = range(3)  # numbers of <s>, </s> and <unk>
_NEVER = -99.0
"""What an ARPA file says of the beginning of a sentence, which is never predicted."""

_ROWS = 1 << 18
"""N-grams that are written at a time."""


class Order(NamedTuple):
    """The n-grams of one length, ``g`` of them, by their words' numbers.

    Attributes:
        words: int64[g, n].
        chance: float64[g]; logarithm to the base 10.
        back: float64[g]; the same of what the shorter context's chance is multiplied by; 0 where nothing follows.
    """

    words: NDArray[np.int64]
    chance: NDArray[np.float64]
    back: NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """What was estimated.

    Attributes:
        vocabulary: The words, by number.
        orders: N-grams, one word long and so on.
        discounts: Of each order, for counts of one, two, and three or more.
        fallback: Lengths whose discounts are `FALLBACK`.
    """

    vocabulary: pa.StringArray
    orders: list[Order]
    discounts: list[tuple[float, ...]]
    fallback: list[int]


def estimate(sentences: Sequence[Sequence[str]], order: int = 5, least: Sequence[int] = (1, 1, 2)) -> Model:
    """Estimate a model. The same sentences in any order give the same one.

    Args:
        sentences: Words of each; words that an ARPA file reserves count as the unknown one.
        order: Words of the longest n-gram, 1 to 6.
        least: How often n-grams of one word, two words and so on must stand in the text to be kept; the last figure is
            that of all longer ones. Rarer words count as the unknown one.

    Returns:
        The model.

    Raises:
        ValueError: The order is out of range, figures of ``least`` are below 1 or descend, or there is no word.

    >>> model = estimate([["a", "b"], ["a", "c"]], order=2, least=(1,))
    >>> [len(one.words) for one in model.orders]
    [6, 5]
    """
    if not 1 <= order <= LONGEST:
        raise ValueError(f"An n-gram model has from 1 to {LONGEST} words; {order} were asked for.")
    if not least or min(least) < 1 or list(least) != sorted(least):
        raise ValueError(f"Least counts are at least 1 and do not descend; they are {', '.join(map(str, least))}.")
    if not any(sentences):
        raise ValueError("There is no word to train a language model on.")
    vocabulary, text = _numbered(sentences, least[0])
    counted = _count(text, order)
    discounts: list[tuple[float, ...]] = []
    fallback: list[int] = []
    orders: list[Order] = []
    probabilities = np.zeros(0)
    shorter: NDArray[np.int64] = np.zeros(0, np.int64)  # where each n-gram of the length before went; -1 if it was cut
    for n, (grams, own) in enumerate(_adjusted(counted), 1):
        kept = np.ones(len(own), bool) if n == 1 else grams.times >= least[min(n, len(least)) - 1]
        steps, fell = _discounts(own[own > 0])
        discounts.append(steps)
        fallback += [n] if fell else []
        taken = np.where(kept, np.array((0.0, *steps))[np.minimum(own, 3)], own)
        if n == 1:
            total = own.sum()
            alike = 1.0 / (len(vocabulary) - 1)  # <s> is no word that comes
            probabilities = np.maximum(own - taken, 0) / total + taken.sum() / total * alike
            probabilities[_FIRST] = 0
            words = np.arange(len(vocabulary))[:, None]
        else:
            totals = np.bincount(grams.context, own, len(probabilities))
            lost = np.bincount(grams.context, taken, len(probabilities)) / np.maximum(totals, 1)
            before = orders[-1]
            weights = np.where(totals > 0, lost, 1.0)[shorter >= 0]
            orders[-1] = before._replace(back=np.log10(weights))
            known = probabilities[grams.suffix]
            probabilities = np.maximum(own - taken, 0) / totals[grams.context] + lost[grams.context] * known
            words = np.stack([text[grams.place + at] for at in range(n)], axis=1)
        with np.errstate(divide="ignore"):
            chance = np.where(probabilities > 0, np.log10(probabilities), _NEVER)
        orders.append(Order(words[kept], chance[kept], np.zeros(int(kept.sum()))))
        shorter = np.where(kept, np.cumsum(kept) - 1, -1)
    return Model(vocabulary, orders, discounts, fallback)


def arpa(model: Model) -> Iterator[bytes]:
    """A model as an ARPA file, piece by piece: n-grams in the order of their words' numbers, six digits.

    >>> print(b"".join(arpa(estimate([["a"]], order=1))).decode().splitlines()[1])
    ngram 1=4
    """
    yield b"\\data\\\n"
    for n, one in enumerate(model.orders, 1):
        yield f"ngram {n}={len(one.words)}\n".encode()
    for n, one in enumerate(model.orders, 1):
        yield f"\n\\{n}-grams:\n".encode()
        order = np.lexsort([one.words[:, at] for at in reversed(range(n))])
        for first in range(0, len(order), _ROWS):
            rows = order[first : first + _ROWS]
            said = [model.vocabulary.take(pa.array(one.words[rows, at])) for at in range(n)]
            fields = [_decimal(one.chance[rows]), pc.binary_join_element_wise(*said, " ")]
            fields += [_decimal(one.back[rows])] if n < len(model.orders) else []
            lines = pc.binary_join_element_wise(*fields, "\t")
            yield ("\n".join(lines.to_pylist()) + "\n").encode()
    yield b"\n\\end\\\n"


class _Grams(NamedTuple):
    """Different n-grams of one length.

    Attributes:
        place: int64[g]; where one of each stands in the text.
        times: int64[g]; how often it does.
        context: int64[g]; the n-gram that is left without its last word, by its place among the shorter ones.
        suffix: int64[g]; that without its first word.
    """

    place: NDArray[np.int64]
    times: NDArray[np.int64]
    context: NDArray[np.int64]
    suffix: NDArray[np.int64]


def _numbered(sentences: Sequence[Sequence[str]], least: int) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The words that are kept, after the three of an ARPA file, in the order of their bytes; and the text by them.

    Each sentence is <s>, its words, </s>.
    """
    plain = pa.array([word for sentence in sentences for word in sentence], pa.string())
    encoded = plain.dictionary_encode()
    words, numbers = encoded.dictionary, encoded.indices.to_numpy()
    enough = np.bincount(numbers, minlength=len(words)) >= least
    enough &= ~pc.is_in(words, pa.array([BEGIN, END, UNKNOWN])).to_numpy(zero_copy_only=False)
    order = pc.sort_indices(words.cast(pa.binary())).to_numpy()
    order = order[enough[order]]
    numbered = np.full(len(words), _OTHER, np.int64)
    numbered[order] = np.arange(len(order)) + 3
    vocabulary = pa.concat_arrays([pa.array([BEGIN, END, UNKNOWN]), words.take(pa.array(order))])
    sizes = np.array([len(sentence) for sentence in sentences], np.int64)
    starts = np.r_[0, np.cumsum(sizes + 2)]
    text = np.full(int(starts[-1]), -1, np.int64)
    text[starts[:-1]], text[starts[1:] - 1] = _FIRST, _LAST
    text[text < 0] = numbered[numbers]
    return vocabulary, text


def _count(text: NDArray[np.int64], order: int) -> list[_Grams]:
    """Different n-grams of each length. Each comes once in the order of its context's number and its last word's."""
    ids = text  # of the n-gram that begins at each place
    here = np.arange(len(text))  # places at which one begins
    present = np.unique(text)
    every = np.arange(int(max(present.max(), _OTHER)) + 1)
    found = [_Grams(every, np.bincount(text, minlength=len(every)), every, every)]
    ends = np.flatnonzero(text == _LAST)
    room = ends[np.searchsorted(ends, np.arange(len(text)))] - np.arange(len(text))  # words after a place
    for n in range(2, order + 1):
        here = here[room[here] >= n - 1]
        packed = ids[here] << 32 | text[here + n - 1]
        _, first, inverse, times = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
        place = here[first]
        found.append(_Grams(place, times, ids[place], ids[place + 1]))
        longer = np.full(len(text), -1, np.int64)
        longer[here] = inverse
        ids = longer
    return found


def _adjusted(counted: list[_Grams]) -> Iterator[tuple[_Grams, NDArray[np.int64]]]:
    """Each length with its counts: of the longest its own, of others how many different words stand before."""
    begins = np.zeros(len(counted[0].times), bool)
    begins[_FIRST] = True
    for n, grams in enumerate(counted):
        if n:
            begins = begins[grams.context]
        own = grams.times.copy()
        if n + 1 < len(counted):
            before = np.bincount(counted[n + 1].suffix, minlength=len(own))
            own = np.where(begins, own, before)
        if n == 0:
            own[_FIRST] = 0  # never predicted
        yield grams, own


def _discounts(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], bool]:
    """What is taken from counts of one, two, and three or more; and whether counts of counts gave none."""
    of = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(np.float64)
    if not of.all():
        return FALLBACK, True
    share = of[0] / (of[0] + 2 * of[1])
    steps = tuple(float(n - (n + 1) * share * of[n] / of[n - 1]) for n in (1, 2, 3))
    fits = all(0 < step <= n for n, step in enumerate(steps, 1))
    return (steps, False) if fits else (FALLBACK, True)


def _decimal(values: NDArray[np.float64]) -> Any:
    """Numbers with six digits after the point, as text."""
    return pa.array(np.round(values, 6) + 0.0).cast(pa.decimal128(9, 6)).cast(pa.string())
