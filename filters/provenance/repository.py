"""Which repository a document comes from, by its name: a label to sample, to cap and to count by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..family import base_identity
from ..text.buffers import optional_column, text_column

if TYPE_CHECKING:
    from ..family import JSON

_FORGE = (
    r"^https?://(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|raw\.githubusercontent\.com)"
    r"/(?P<found>[^/?#]+/[^/?#]+)"
)
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?P<found>[^/?#]+)"
_MOST_FOLDERS = 8


@dataclass(frozen=True)
class Repository:
    """Score ``repository``: the repository that a document's name stands for.

    Reads ``name``, or ``record``, where the batch has them. A URL on GitHub, GitLab, Bitbucket or Codeberg gives
    ``owner/name``; another URL its host.

    Attributes:
        depth: How many of a path's folders name the repository: 1 for a folder of checkouts, 2 where they lie as
            ``owner/name``. A path with fewer folders gives those it has, and one without any "".
        by: ``folder``, or ``archive`` where each archive of a source is one repository.

    Output columns:
        repository: string.

    >>> names = ["numpy/numpy/core.py", "README.md", "https://github.com/ada/engine/blob/main/a.py"]
    >>> batch = pa.record_batch({"text": ["a", "b", "c"], "name": names})
    >>> Repository().score(batch)["repository"].to_pylist()
    ['numpy', '', 'ada/engine']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "repository"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "repository"
    VALUE: ClassVar[str | None] = None

    depth: int = 1
    by: Literal["folder", "archive"] = "folder"

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= _MOST_FOLDERS:
            raise ValueError(f"repository: depth must be from 1 to {_MOST_FOLDERS} folders; it is {self.depth}.")
        if self.by not in {"folder", "archive"}:
            raise ValueError(f"repository: by must be folder or archive; it is {self.by!r}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("repository", pa.string())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters and version."""
        return base_identity(self)

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Repositories by the documents' names; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings, or ``name`` or ``record`` is none of strings.
        """
        text = text_column(documents)
        if self.by == "archive":
            found = _found(optional_column(documents, "record"), r"^(?P<found>[^!]*)!")
        else:
            found = repositories(optional_column(documents, "name"), self.depth)
        filled = pc.fill_null(found, "")
        return pa.record_batch([pc.if_else(text.is_valid(), filled, pa.scalar(None, pa.string()))], schema=self.columns)


def repositories(names: pa.StringArray, depth: int = 1) -> pa.StringArray:
    """The repository that each name stands for; null where it names none.

    Args:
        names: URLs, or paths below the root of a source.
        depth: How many of a path's folders name it.

    >>> repositories(pa.array(["numpy/core.py", "https://docs.example/a", "a.py"])).to_pylist()
    ['numpy', 'docs.example', None]
    """
    folders = _found(names, rf"^(?P<found>[^/]+(?:/[^/]+){{0,{depth - 1}}})/")
    return pc.coalesce(_found(names, _FORGE), _found(names, _HOST), folders)


def _found(column: pa.StringArray, pattern: str) -> pa.Array[Any]:
    return pc.struct_field(pc.extract_regex(column, pattern), "found")
