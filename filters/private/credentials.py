"""Secrets in text: keys and tokens of services, private keys, passwords in addresses, and values named as secrets.

(The module is not called ``secrets``: the standard library has one of that name.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from ..family import base_identity
from .credential_kinds import KINDS
from .personal import check_names, count_columns, count_kinds, mask_column, mask_names, ordered

if TYPE_CHECKING:
    from ..family import JSON
    from ..text.masks import Masked
    from ..text.spans import Kind

NAMES = tuple(dict.fromkeys(kind.name for kind in KINDS))
"""All kinds, in the order of the columns."""


@dataclass(frozen=True)
class Secrets:
    """Score ``secrets``: how many secrets of which kind a document holds.

    What the kinds are: :mod:`.credential_kinds`.

    Attributes:
        kinds: What to look for; by default everything.
        masks: Which of these kinds to mask where text is encoded, ``all`` for each of them.

    Output columns:
        reason: string; ``pass``, or the first kind, in the order of the columns, that was found.
        total: int32; all finds.
        One column a kind: int32; finds of that kind. Finds do not overlap.
        mask_starts, mask_stops, mask_names: only with ``masks``; see ``Personal``.

    >>> line = "client_secret = '9fQ2xLm0Zr7TbV4kWd1s'"
    >>> Secrets().score(pa.record_batch({"text": [line, "a secret"]}))["reason"].to_pylist()
    ['assignment', 'pass']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "secrets"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "reason"
    VALUE: ClassVar[str | None] = "total"

    kinds: tuple[str, ...] = NAMES
    masks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names("secrets", self.kinds, self.masks, NAMES)

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
        return count_kinds(documents, _wanted(self.kinds), ordered(self.kinds, NAMES), self.masked)

    def mask(self, column: pa.StringArray) -> Masked:
        """The column with a mask in the place of each find of a kind in ``masks``; see ``Personal.mask``.

        Raises:
            ValueError: The result would pass 2 GiB.

        >>> Secrets(masks=("aws",)).mask(pa.array(["key AKIA2E0A8F3B9C7D6E5F."])).column.to_pylist()
        ['key [aws___________________________].']
        """
        return mask_column(column, _wanted(self.masked), self.masked)


def _wanted(names: tuple[str, ...]) -> list[Kind]:
    return [kind for kind in KINDS if kind.name in names]
