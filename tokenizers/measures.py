"""What a tokenizer makes of some text: counts from which fertility, compression and coverage follow, group by group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..filters.measures.lengths import Lengths
from .protocol import JSON, Texts, Tokenizer

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Counts:
    """What was counted of one group of documents.

    Attributes:
        documents: Documents.
        bytes: UTF-8 bytes of their text.
        characters: Code points.
        words: Words as the score `lengths` counts them: runs of letters and digits, and each sign of a script that is
            written without spaces.
        tokens: Tokens, without the end-of-document tokens.
        fragments: Tokens that are a part of a character: characters that have no token of their own.
        changed: Documents whose text does not come back as it was.
    """

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0
    tokens: int = 0
    fragments: int = 0
    changed: int = 0

    @property
    def fertility(self) -> float:
        """Tokens a word (Rust et al. 2021, "How Good is Your Tokenizer?")."""
        return self.tokens / max(self.words, 1)

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text a token: its compression."""
        return self.bytes / max(self.tokens, 1)

    @property
    def coverage(self) -> float:
        """Share of tokens that are whole characters, words or parts of words."""
        return 1 - self.fragments / max(self.tokens, 1)


def measure(
    tokenizer: Tokenizer, texts: Texts, groups: Mapping[str, Sequence[str]]
) -> tuple[dict[str, dict[str, Counts]], NDArray[np.bool_]]:
    """Count what a tokenizer makes of a column of n documents.

    Args:
        tokenizer: The tokenizer.
        texts: Arrow strings, without nulls.
        groups: By the name of a grouping, such as `language`, the group of each document.

    Returns:
        Counts by grouping and group, `all` being both for all documents; and which ids occur, of shape
        (vocabulary_size,).

    >>> from tokenladder.tokenizers.raw_bytes import ByteTokenizer
    >>> found, _ = measure(ByteTokenizer(), pa.array(["two words", "é"]), {"source": ["web", "code"]})
    >>> found["source"]["web"].fertility, found["source"]["code"].coverage
    (4.5, 0.0)
    """
    offsets, ids = tokenizer.encode(texts)
    used = np.zeros(tokenizer.vocabulary_size, np.bool_)
    used[ids] = True
    torn = np.zeros(tokenizer.vocabulary_size, np.bool_)
    for number in np.flatnonzero(used):
        torn[number] = REPLACEMENT in tokenizer.decode(np.array([number]))
    torn &= ~_replacement_itself(tokenizer)
    fragments = np.diff(np.r_[0, np.cumsum(torn[ids])][offsets])
    changed = [tokenizer.decode(ids[offsets[n] : offsets[n + 1]]) != text.as_py() for n, text in enumerate(texts)]
    sizes = Lengths().score(pa.record_batch({"text": texts.cast(pa.string())}))
    columns = [np.ones(len(texts), np.int64)]
    columns += [sizes.column(name).to_numpy() for name in ("bytes", "characters", "words")]
    columns += [np.diff(offsets), fragments, np.array(changed, np.int64)]
    found = {
        name: {
            group: Counts(*(int(column[[one == group for one in of]].sum()) for column in columns))
            for group in sorted(set(of))
        }
        for name, of in {"all": ["all"] * len(texts), **groups}.items()
    }
    return found, used


def _replacement_itself(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Ids that spell the replacement character, where the vocabulary has it whole."""
    whole = np.zeros(tokenizer.vocabulary_size, np.bool_)
    spelled = tokenizer.encode(pa.array([REPLACEMENT]))[1]
    if len(spelled) == 1:
        whole[spelled] = True
    return whole


def add(one: dict[str, dict[str, Counts]], other: dict[str, dict[str, Counts]]) -> dict[str, dict[str, Counts]]:
    """Counts of two sets of documents together."""
    return {
        name: {
            group: _sum(found.get(name, {}).get(group, Counts()) for found in (one, other))
            for group in sorted({*one.get(name, {}), *other.get(name, {})})
        }
        for name in {**one, **other}
    }


def _sum(counts: Iterable[Counts]) -> Counts:
    return Counts(*(sum(column) for column in zip(*map(dataclasses.astuple, counts), strict=True)))


def as_json(counts: Counts) -> dict[str, JSON]:
    """Counts and what follows from them, to four places."""
    ratios = {name: round(getattr(counts, name), 4) for name in ("fertility", "bytes_per_token", "coverage")}
    return {**dataclasses.asdict(counts), **ratios}
