"""What a score is: a family of columns with parameters, computed from a batch of documents."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


@runtime_checkable
class Family(Protocol):
    """A frozen dataclass of parameters: one ``[scores.NAME]`` section of a study, without its key ``type``.

    A score's columns are addressed in a study as ``NAME.column``; ``NAME`` alone means the column ``LABEL`` for the
    rules ``is`` and ``in``, and the column ``VALUE`` for ``min``, ``max`` and ``top``. (Upper case, because families
    have fields of their own: fastText's ``label``.) Scores never drop a row.

    A new family is one file with such a class, and one line in :data:`tokenladder.filters.FAMILIES`.
    """

    type: ClassVar[str]
    """The name in the registry; what a study writes as ``type``."""
    VERSION: ClassVar[int]
    """Raised whenever the same text can give other output."""
    LABEL: ClassVar[str | None]
    """The output column that ``is`` and ``in`` look at."""
    VALUE: ClassVar[str | None]
    """The output column that ``min``, ``max`` and ``top`` look at."""

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        ...

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on besides the text: type, version, parameters, hashes of model files.

        Never a path, a machine or a time: two studies that give the same identity share one computed score.

        Raises:
            OSError: A model file cannot be read.
            ValueError: A file is not a model.
        """
        ...

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The score's columns for a batch of documents.

        Args:
            documents: A batch with at least the column ``text``; any number of rows, slices and nulls included.

        Returns:
            As many rows as ``documents``, in its order, in the schema ``columns``. A row whose text is null is null.

        Raises:
            ValueError: A column that the family reads is missing or of another type.
        """
        ...


def base_identity(family: Any) -> dict[str, JSON]:
    """Type, version and all fields of a family: the identity of one that depends on nothing else.

    >>> from tokenladder.filters.measures.lengths import Lengths
    >>> base_identity(Lengths())
    {'type': 'lengths', 'version': 1}
    """
    identity: dict[str, JSON] = {"type": family.type, "version": family.VERSION}
    for field in dataclasses.fields(family):
        value = getattr(family, field.name)
        identity[field.name] = list(value) if isinstance(value, tuple) else value
    return identity
