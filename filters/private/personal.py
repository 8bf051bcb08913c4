"""Personal data: mailboxes, internet addresses, telephones, cards, bank accounts, national identity numbers.

Patterns find candidates, and what can be verified is: check digits, countries' lengths, calling codes, reserved ranges
(see :mod:`.personal_kinds`, :mod:`.checksums` and :mod:`.addresses`). What documentation may print is left alone:
``example.com`` and its like (RFC 2606), the documentation ranges of RFC 5737, RFC 3849 and RFC 9637, telephone numbers
set aside for fiction, test cards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_buffers, text_column
from ..text.masks import CUT, Edits, Masked, apply_edits, merge_spans
from ..text.spans import candidates, counts, separate
from .personal_kinds import kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..family import JSON
    from ..text.buffers import Text
    from ..text.spans import Kind, Spans

NAMES = tuple(dict.fromkeys(kind.name for kind in kinds(private=False)))
"""All kinds, in the order of the columns."""


@dataclass(frozen=True)
class Personal:
    """Score ``personal``: how much personal data of which kind a document holds.

    A recipe drops documents by it (``{ score = "personal", is = "pass" }``, or ``personal.card`` with ``max = 0``).
    Masks take the place of finds where text is encoded: a document's id and its place in the order stay those of its
    original.

    Attributes:
        kinds: What to look for; by default everything.
        masks: Which of these kinds to mask, ``all`` for each of them.
        private_addresses: Whether addresses in private networks (RFC 1918 and the like) count.

    Output columns:
        reason: string; ``pass``, or the first kind, in the order of the columns, that was found.
        total: int32; all finds.
        One column a kind: int32; finds of that kind. Finds do not overlap.
        mask_starts, mask_stops, mask_names: only with ``masks``; lists of int32 and int8: the bytes to mask, and the
            number of each one's kind among the kinds to mask, in the order of the columns.

    >>> Personal().score(pa.record_batch({"text": ["Write to ada@analytical.org"]}))["reason"].to_pylist()
    ['email']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "personal"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "total"

    kinds: tuple[str, ...] = NAMES
    masks: tuple[str, ...] = ()
    private_addresses: bool = False

    def __post_init__(self) -> None:
        check_names("personal", self.kinds, self.masks, NAMES)

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return count_columns(ordered(self.kinds, NAMES), masks=bool(self.masks))

    @property
    def masked(self) -> tuple[str, ...]:
        """The kinds to mask, in the order of the columns."""
        return mask_names(self.kinds, self.masks, NAMES)

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version and parameters."""
        return {**base_identity(self), "kinds": list(ordered(self.kinds, NAMES)), "masks": list(self.masked)}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Counts in the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        return count_kinds(documents, self._wanted(self.kinds), ordered(self.kinds, NAMES), self.masked)

    def mask(self, column: pa.StringArray) -> Masked:
        """The column with a mask in the place of each find of a kind in ``masks``, and how many of each.

        A mask names its kind, and is as long as the least of 16, 32 and 64 bytes that the original fits into: a masked
        text keeps its length to that class. Finds that overlap get one mask over all of them. The counts' columns are
        ``masked``.

        Raises:
            ValueError: The result would pass 2 GiB.

        >>> Personal(masks=("email",)).mask(pa.array(["To ada@analytical.org!"])).column.to_pylist()
        ['To [email_________________________]!']
        """
        return mask_column(column, self._wanted(self.masked), self.masked)

    def _wanted(self, names: tuple[str, ...]) -> list[Kind]:
        return [kind for kind in kinds(private=self.private_addresses) if kind.name in names]


def ordered(some: tuple[str, ...], every: tuple[str, ...]) -> tuple[str, ...]:
    """These names, each once, in the order of all: a study's order of writing changes nothing."""
    return tuple(name for name in every if name in some)


def check_names(family: str, wanted: tuple[str, ...], masks: tuple[str, ...], names: tuple[str, ...]) -> None:
    """See that a family's kinds and masks are ones that there are.

    Raises:
        ValueError: One is not, or something is to be masked that is not looked for.
    """
    if not wanted:
        raise ValueError(f"{family}: kinds is empty; name some of {', '.join(names)}, or leave it out for all.")
    for field, given, more in (("kinds", wanted, ()), ("masks", masks, ("all",))):
        unknown = sorted(set(given) - {*names, *more})
        if unknown:
            raise ValueError(f"{family}: {field} has {unknown[0]!r}, which is none of {', '.join([*more, *names])}.")
    unseen = sorted(set(masks) - {*wanted, "all"})
    if unseen:
        raise ValueError(f"{family}: masks has {unseen[0]!r}, but kinds has not; add it there too.")


def mask_names(kinds: tuple[str, ...], masks: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that a family masks, in the order of all.

    >>> mask_names(("phone", "card"), ("all",), ("card", "phone", "email"))
    ('card', 'phone')
    """
    return ordered(kinds if "all" in masks else masks, names)


MASKS = pa.schema(
    [
        pa.field("mask_starts", pa.list_(pa.int32())),
        pa.field("mask_stops", pa.list_(pa.int32())),
        pa.field("mask_names", pa.list_(pa.int8())),
    ]
)
"""Columns of a score that says what to mask."""


def count_columns(names: tuple[str, ...], *, masks: bool) -> pa.Schema:
    """The schema of a score that counts finds of these kinds, and may say which to mask."""
    fields: list[pa.Field[Any]] = [pa.field("reason", pa.string()), pa.field("total", pa.int32())]
    return pa.schema([*fields, *(pa.field(name, pa.int32()) for name in names), *(MASKS if masks else ())])


def count_kinds(
    documents: pa.RecordBatch, wanted: list[Kind], names: tuple[str, ...], masks: tuple[str, ...]
) -> pa.RecordBatch:
    """The columns of a score that counts finds of these kinds, and says which to mask.

    Raises:
        ValueError: There is no column ``text`` of strings.
    """
    column = text_column(documents)
    text = text_buffers(column)
    finds = candidates(text, wanted, names)
    found = counts(separate(finds), len(column), len(names))
    first = (found > 0).argmax(axis=1) if len(names) else found.sum(axis=1)
    first[~found.any(axis=1)] = len(names)
    reason = pa.array([*names, "pass"]).take(pa.array(first, mask=~text.valid))
    numbers = [found.sum(axis=1, dtype="int32"), *found.T]
    arrays = [reason, *(pa.array(each, mask=~text.valid) for each in numbers)]
    if masks:
        number = np.array([masks.index(name) if name in masks else CUT for name in names])
        arrays += edits_of(text, finds, number)
    return pa.record_batch(arrays, schema=count_columns(names, masks=bool(masks)))


def edits_of(text: Text, finds: Spans, number: NDArray[np.int64]) -> Edits:
    """The edits that mask finds: those whose name has a number of its own, the rest being left as they are."""
    rows, starts, stops, names = (each[number[finds.names] != CUT] for each in finds)
    first = text.offsets[rows]
    return merge_spans(rows, starts - first, stops - first, number[names], text.valid)


def mask_column(column: pa.StringArray, kinds: Iterable[Kind], names: tuple[str, ...]) -> Masked:
    """Find and mask in one go.

    Raises:
        ValueError: The result would pass 2 GiB.
    """
    text = text_buffers(column)
    edits = edits_of(text, candidates(text, kinds, names), np.arange(len(names)))
    return Masked(apply_edits(column, edits, names), edits.counts(len(names)))
