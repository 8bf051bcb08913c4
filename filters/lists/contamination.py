"""Contamination: documents that hold items of evaluation sets, found by n-grams that re-wrapping does not change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text import words
from ..text.buffers import text_column
from . import evaluation_sets, ngram_index
from .evaluation_sets import EvaluationSet

if TYPE_CHECKING:
    from ..family import JSON
    from .ngram_index import Index

NONE = "none"
"""The label of a document in which nothing is found."""


@dataclass(frozen=True)
class Contamination:
    """Score ``contamination``: which items of evaluation sets stand in a document.

    Words are compared without case, diacritics and punctuation, however lines are wrapped. An *item* is a record of a
    set; it is found in a document that has at least a share of its n-grams, in any order and place. That is the rule of
    PaLM (Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311: 70 % of a prompt's 8-grams), where GPT-3 (Brown et
    al. 2020, https://arxiv.org/abs/2005.14165) took one shared 13-gram: a share survives changed words, and one
    standing phrase is no find. Half of the 5-grams find 72 % of items in which a word in ten was replaced, half of the
    8-grams 41 %, half of the 13-grams 20 % (``bench/scores_eval.py --settings``).

    Attributes:
        sets: By name, ``[scores.NAME.sets.SET]`` with ``path`` and perhaps ``text`` and ``answer``.
        ngram: Words of an n-gram.
        shortest: Words of a passage that is looked for, and of what is found of an item, at least. A passage of fewer
            than ``ngram`` words must stand in the document whole.
        min_overlap: Share of an item's n-grams that a document has, for the item to be found in it.
        enough: N-grams of one item that are enough, however long it is.

    Output columns:
        set: string; the set of the item with the greatest share, ``none`` where no item is found.
        overlap: float32; the greatest share of any item's n-grams, found or not.
        longest: int32; words of the longest run that evaluation sets hold too, from ``ngram`` on; 0 for none.
        ngrams: int32; distinct n-grams of evaluation sets in the document.
        answered: int32; items that are found and whose answer stands within 64 words of them.
        items: list<int32>; items that are found, counted over all sets in the order of the study.
        answered_items: list<int32>; those whose answer is found too.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "contamination"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "set"
    VALUE: ClassVar[str | None] = "overlap"

    sets: dict[str, EvaluationSet]
    ngram: int = 5
    shortest: int = 8
    min_overlap: float = 0.5
    enough: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", {name: EvaluationSet.of(value) for name, value in self.sets.items()})
        if not self.sets or NONE in self.sets:
            raise ValueError(
                f"contamination: sets must name at least one evaluation set, and none may be called {NONE!r}."
            )
        for field, least, most in (("ngram", 2, 64), ("shortest", 1, 1000), ("enough", 1, 1_000_000)):
            if not least <= getattr(self, field) <= most:
                raise ValueError(
                    f"contamination: {field} must be from {least} to {most}; it is {getattr(self, field)}."
                )
        if not 0 < self.min_overlap <= 1:
            raise ValueError(f"contamination: min_overlap must be above 0 and at most 1; it is {self.min_overlap}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema(
            [
                pa.field("set", pa.string()),
                pa.field("overlap", pa.float32()),
                pa.field("longest", pa.int32()),
                pa.field("ngrams", pa.int32()),
                pa.field("answered", pa.int32()),
                pa.field("items", pa.list_(pa.int32())),
                pa.field("answered_items", pa.list_(pa.int32())),
            ]
        )

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, the sets' hashes (not their paths), the Unicode tables.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A file is too large.
        """
        sets: list[JSON] = [[name, value.identity()] for name, value in self.sets.items()]  # their order counts
        return {**base_identity(self), "sets": sets, "unicode": words.UNICODE}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Finds in the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such evaluation set.
            ValueError: There is no column ``text`` of strings, or a set cannot be read.
        """
        column = text_column(documents)
        loaded = self._loaded()
        found = ngram_index.find(loaded.ngrams, column)
        names = pa.array([*self.sets, NONE], pa.string())
        sets = np.where(found.best < 0, len(self.sets), loaded.set_of[found.best])
        missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False), np.bool_)
        valid = pa.array(~missing)
        rows = np.arange(len(column) + 1)
        lists = [found.items, found.items[found.answered]]
        offsets = [np.searchsorted(each, rows) for each in (found.rows, found.rows[found.answered])]
        figures = (found.overlap, found.longest, found.ngrams, np.diff(offsets[1]).astype(np.int32))
        arrays = [
            names.take(pa.array(sets, mask=missing)),
            *(pa.array(each, mask=missing) for each in figures),
            *(_lists(each, starts, valid) for each, starts in zip(lists, offsets, strict=True)),
        ]
        return pa.record_batch(arrays, schema=self.columns)

    def set_sizes(self) -> dict[str, dict[str, int]]:
        """Of each set, in order: ``items``, and those too short to be looked for (``too_short``).

        Raises:
            FileNotFoundError: There is no such evaluation set.
            ValueError: A set cannot be read.
        """
        loaded = self._loaded()
        short = loaded.ngrams.totals == 0
        return {
            name: {
                "items": int(np.count_nonzero(loaded.set_of == number)),
                "too_short": int(np.count_nonzero(short[loaded.set_of == number])),
            }
            for number, name in enumerate(self.sets)
        }

    def _loaded(self) -> _Loaded:
        sets = tuple((tuple(each.files()), each.path, each.text, each.answer) for each in self.sets.values())
        return _load(sets, self.ngram, self.shortest, self.min_overlap, self.enough)


class _Loaded(NamedTuple):
    ngrams: Index
    set_of: Any
    """int64[i]; the number of each item's set."""


@cache
def _load(sets: tuple[tuple[Any, ...], ...], *parameters: Any) -> _Loaded:
    passages: list[str] = []
    owners: list[int] = []
    answers: list[str] = []
    set_of: list[int] = []
    for number, (_, *fields) in enumerate(sets):
        found = evaluation_sets.read(EvaluationSet(*fields))
        passages += found.texts
        owners += [len(answers) + item for item in found.items]
        answers += found.answers
        set_of += [number] * len(found.answers)
    return _Loaded(ngram_index.build_index(passages, owners, answers, set_of, *parameters), np.array(set_of, np.int64))


def _lists(values: Any, offsets: Any, valid: pa.Array) -> pa.ListArray:
    """Values as lists; a row that is not valid is null."""
    starts = pa.array(offsets.astype(np.int32), mask=np.r_[~np.asarray(valid), False])
    return pa.ListArray.from_arrays(starts, pa.array(values, pa.int32()))
