"""Texts: those of some documents of a result, and those in which a pattern is found, read from the parts of its store.

By default as they are encoded, with repeated lines cut out and finds masked where the study asks for it.
"""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from ..engines.processors import processors
from ..files import store
from ..stages.edits import Editor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from ..stages.evidence import Evidence

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Hit:
    """A document in which a pattern was found.

    Attributes:
        ordinal: Number of its part.
        row: Its row there.
        text: Its text.
    """

    ordinal: int
    row: int
    text: str


def compiled(pattern: str, *, ignore_case: bool = False) -> Any:
    """A pattern of RE2, in which ^ and $ stand for the ends of lines.

    Raises:
        UserError: It is none; the message says what RE2 says.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(f"(?m){pattern}", options)
    except UnicodeEncodeError as error:
        raise store.UserError(f"{pattern!r}: is no text in UTF-8, as all documents are.") from error
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        told = said.replace("(?m)", "")
        raise store.UserError(
            f"{pattern!r}: is no pattern of RE2: {told}. Its syntax has neither look-around nor back-references; a \\ "
            "before a sign takes it as it is."
        ) from error


def matching(
    evidence: Evidence,
    pattern: str,
    rows_of: Callable[[int], NDArray[np.bool_] | None] = lambda _: None,
    *,
    as_read: bool = False,
    ignore_case: bool = False,
) -> Iterator[Hit]:
    """Documents in whose text a pattern is found, in the order of parts and rows.

    Args:
        evidence: The result's store.
        pattern: For RE2; ^ and $ stand for the ends of lines.
        rows_of: Of a part, by its number: bool of shape (rows,), which of its documents to look at; None for all.
        as_read: Look at texts as they were read, not as they are encoded.
        ignore_case: Whether a letter stands for both its cases.

    Raises:
        UserError: The pattern is none.
        OSError: A part is missing or damaged.
    """
    compiled(pattern, ignore_case=ignore_case)

    def search(ordinal: int) -> list[Hit]:
        wanted = rows_of(ordinal)
        if wanted is not None and not wanted.any():
            return []
        found = []
        for first, texts in _read(evidence, ordinal, wanted, as_read=as_read):
            hits = pc.match_substring_regex(texts, f"(?m){pattern}", ignore_case=ignore_case).fill_null(False)
            rows = np.flatnonzero(hits.to_numpy(zero_copy_only=False))
            if wanted is not None:
                rows = rows[wanted[first + rows]]
            found += [Hit(ordinal, first + row, texts[row].as_py()) for row in rows.tolist()]
        return found

    for hits in ahead(search, range(len(evidence.parts))):
        yield from hits


def ahead(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """A function of each item, in order, worked out by some threads a few items ahead of who asks."""
    threads = processors()
    waiting = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        running = deque(pool.submit(function, item) for item in itertools.islice(waiting, threads))
        try:
            while running:
                value = running.popleft().result()
                running.extend(pool.submit(function, item) for item in itertools.islice(waiting, 1))
                yield value
        finally:
            for future in running:
                future.cancel()


def _read(
    evidence: Evidence, ordinal: int, wanted: NDArray[np.bool_] | None, *, as_read: bool
) -> Iterator[tuple[int, pa.StringArray]]:
    """The texts of a part by row group, each with its first row; groups without a wanted row are left out."""
    part = evidence.parts[ordinal]
    editor = None if as_read else Editor(evidence.place, part, evidence.said["edits"])
    with store.open_parquet(evidence.place.documents(part.id)) as table:
        first = 0
        for group in range(table.metadata.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            if wanted is None or wanted[first : first + count].any():
                texts = table.read_row_group(group, ["text"], use_threads=False).column(0).combine_chunks()
                if editor is not None:
                    texts = editor.edit(texts, np.arange(first, first + count))
                yield first, texts
            first += count


def read_texts(evidence: Evidence, ordinal: int, rows: NDArray[np.int64], *, as_read: bool = False) -> list[str | None]:
    """The texts of some rows of a part; None where a record gave no document.

    Args:
        evidence: The result's store.
        ordinal: Number of the part.
        rows: int64 of shape (n,), ascending.
        as_read: As for `matching`.
    """
    wanted = np.zeros(evidence.parts[ordinal].rows, bool)
    wanted[rows] = True
    out: list[str | None] = []
    for first, texts in _read(evidence, ordinal, wanted, as_read=as_read):
        inside = rows[(rows >= first) & (rows < first + len(texts))] - first
        out += texts.take(pa.array(inside)).to_pylist()
    return out
