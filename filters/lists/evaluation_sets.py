"""Evaluation sets that a user brings: their files, read once a process and fingerprinted by content.

A set is JSON lines (plain, gzip or zstd), Parquet, or text. Of a record, each field of strings is a *passage*; of a
text, each paragraph is an item with one passage. Nothing of a set is ever written: scores name items by number.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from ..family import JSON

LARGEST_FILE = 1 << 30
"""Bytes of the largest file of a set, unpacked; the largest published test sets have some 100 MB."""

_RECORDS = (".jsonl", ".ndjson", ".json")
_TEXTS = (".txt", ".md", ".text")
_KINDS = "JSON lines (.jsonl, also .gz or .zst), Parquet (.parquet) or text (.txt)"


@dataclass(frozen=True)
class EvaluationSet:
    """One evaluation set: a table ``sets.NAME`` of the score ``contamination``.

    Attributes:
        path: A file or a glob, or several: JSON lines (``.jsonl``, also ``.gz`` or ``.zst``), Parquet, or text whose
            paragraphs, with blank lines between, are the items.
        text: Fields of a record to look for, each a passage of its own; by default all that hold strings, or lists of
            strings, but the answer's.
        answer: The field that holds the answer, where there is one.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str | tuple[str, ...]
    text: tuple[str, ...] = ()
    answer: str | None = None

    @classmethod
    def of(cls, value: Any) -> EvaluationSet:
        """A set from itself or from its fields as JSON holds them."""
        if isinstance(value, cls):
            return value
        plain: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in value.items()}
        return cls(**plain)

    def files(self) -> list[tuple[str, int, int]]:
        """Path, size and time of change of each file, in the order of the paths, globs sorted.

        Raises:
            FileNotFoundError: There is none.
            ValueError: One is too large.
        """
        found = []
        for path in (self.path,) if isinstance(self.path, str) else self.path:
            names = [path] if Path(path).is_file() else sorted(glob.glob(path, recursive=True))  # noqa: PTH207 absolute
            files = [name for name in names if Path(name).is_file()]
            if not files:
                raise FileNotFoundError(f"The evaluation set {path} does not exist; give {_KINDS}.")
            for name in files:
                status = Path(name).stat()
                _check_size(name, status.st_size)
                found.append((name, status.st_size, status.st_mtime_ns))
        return found

    def identity(self) -> dict[str, JSON]:
        """What the set means to a score: the hashes of its files and the names of fields, never a path."""
        return {"files": [_sha256(*file) for file in self.files()], "text": [*self.text], "answer": self.answer}


class Passages(NamedTuple):
    """What is looked for of one set.

    Attributes:
        texts: Passages in the order of the items.
        items: The item of each passage, from 0.
        answers: The answer of each item; "" where there is none.
    """

    texts: tuple[str, ...]
    items: tuple[int, ...]
    answers: tuple[str, ...]


def read(wanted: EvaluationSet) -> Passages:
    """Passages and answers of a set, in the order of its files and records.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file cannot be read, has no such field, or holds nothing.
    """
    return _read(tuple(wanted.files()), wanted.text, wanted.answer)


@cache
def _read(files: tuple[tuple[str, int, int], ...], text: tuple[str, ...], answer: str | None) -> Passages:
    texts: list[str] = []
    items: list[int] = []
    answers: list[str] = []
    for path, *_ in files:
        empty = True
        for record in records(path):
            empty = False
            missing = [field for field in (*text, *([answer] if answer else ())) if field not in record]
            if missing:
                have = ", ".join(record) or "none"
                raise ValueError(f"{path}: a record has no field {missing[0]!r}; it has these: {have}.")
            fields = text or [field for field in record if field != answer]
            passages = [passage for field in fields for passage in strings(record[field])]
            texts += passages
            items += [len(answers)] * len(passages)
            answers.append(_answer(record[answer]) if answer else "")
        if empty:
            raise ValueError(f"The evaluation set {path} holds no record.")
    return Passages(tuple(texts), tuple(items), tuple(answers))


def records(path: str) -> Iterator[dict[str, Any]]:
    """Records of a file of JSON lines or Parquet, or ``{"text": paragraph}`` of a text.

    Raises:
        ValueError: It is of no known kind, damaged, or too large.
    """
    name = Path(path).name.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        yield from _parquet(path)
    elif name.endswith(_RECORDS):
        for number, line in enumerate(_unpacked(path).split(b"\n"), 1):
            if line.strip():
                yield _record(path, number, line)
    elif name.endswith(_TEXTS):
        yield from _paragraphs(path)
    else:
        raise ValueError(f"The evaluation set {path} is of no known kind; give {_KINDS}.")


def _record(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}, line {number}: not a JSON object ({error}); write one object on each line."
        ) from None
    if not isinstance(record, dict):
        raise ValueError(f"{path}, line {number}: not a JSON object; write one object on each line.")  # noqa: TRY004
    return record


def _parquet(path: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=4096):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"The evaluation set {path} cannot be read as Parquet: {error}") from error


def _paragraphs(path: str) -> Iterator[dict[str, Any]]:
    try:
        lines = _unpacked(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error.reason}); save the evaluation set as UTF-8.") from error
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield {"text": "\n".join(paragraph)}
            paragraph = []


def _unpacked(path: str) -> bytes:
    """The bytes of a file, of a compressed one no more than :data:`LARGEST_FILE` and one."""
    import zstandard

    with Path(path).open("rb") as raw:
        file: Any = raw
        if path.lower().endswith(".gz"):
            file = gzip.GzipFile(fileobj=raw)
        elif path.lower().endswith(".zst"):
            file = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
        try:
            data = bytes(file.read(LARGEST_FILE + 1))
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise ValueError(f"The evaluation set {path} cannot be unpacked: {error}") from error
    _check_size(path, len(data))
    return data


def _check_size(path: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise ValueError(f"The evaluation set {path} has over {LARGEST_FILE} bytes; split it into several files.")


def strings(value: Any) -> Iterator[str]:
    """The strings of a field, those of lists and tables in it included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)


def _answer(value: Any) -> str:
    """The first string of an answer; a number as it is written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return next(strings(value), "")


@cache
def _sha256(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
