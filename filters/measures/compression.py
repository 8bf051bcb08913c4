"""How well a document compresses: a cheap measure of how much it repeats itself."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..lists import evaluation_sets
from ..lists.evaluation_sets import EvaluationSet
from ..text.buffers import text_buffers, text_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..family import JSON

_DICTIONARY = 1 << 16
"""Bytes of a dictionary: zstd's own tool makes 110 kB, and training takes time with it."""

_SAMPLE = 1 << 16
"""Bytes of a text that a dictionary sees."""

_TRAINED_ON = 1 << 25
"""Bytes that a dictionary is trained on, at most; a hundred times its size is what zstd advises."""

_LEVELS = {"zlib": (0, 9, 6), "zstd": (1, 19, 3)}  # least, most, and the library's own default


@dataclass(frozen=True)
class Compression:
    """Score ``compression``: compressed bytes over raw bytes.

    Higher means more varied, lower more repetitive: under 0.05 for one sentence over and over, near 0.5 for a page of
    prose. Beware that others divide the other way round. A short text can exceed 1, because formats have a header;
    compare texts of like length, or set ``first_bytes``.

    Attributes:
        codec: ``zlib`` or ``zstd`` (some five times faster).
        level: Compression level, 0 to 9 for zlib, 1 to 19 for zstd; by default the library's own (6 and 3).
        first_bytes: Look at so many bytes of each text only; by default at all.
        files: Texts of a domain that documents are compared with: JSON lines (their strings), Parquet, or text. A
            dictionary of 64 kB is trained on them, and documents of that domain compress better with it. zstd only.

    Output columns:
        ratio: float32; 0 for an empty text.
        gain: float32, with ``files``: by what share the dictionary makes the document smaller; near 0 for another
            domain, 0 for an empty text.

    >>> batch = pa.record_batch({"text": ["again and " * 100]})
    >>> Compression().score(batch)["ratio"][0].as_py() < 0.05
    True
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "compression"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "ratio"

    codec: Literal["zlib", "zstd"] = "zlib"
    level: int | None = None
    first_bytes: int | None = None
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.codec not in _LEVELS:
            raise ValueError(f"compression: codec must be zlib or zstd; it is {self.codec!r}.")
        least, most, _ = _LEVELS[self.codec]
        if self.level is not None and not least <= self.level <= most:
            raise ValueError(f"compression: level of {self.codec} must be from {least} to {most}; it is {self.level}.")
        if self.first_bytes is not None and self.first_bytes < 1:
            raise ValueError(f"compression: first_bytes must be at least 1; it is {self.first_bytes}.")
        if self.files and self.codec != "zstd":
            raise ValueError(f'compression: files need codec = "zstd"; it is {self.codec!r}.')

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        gain = [pa.field("gain", pa.float32())] if self.files else []
        return pa.schema([pa.field("ratio", pa.float32()), *gain])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, the files' hashes, the library's version.

        Raises:
            FileNotFoundError: There is no such file.
        """
        if self.codec == "zlib":
            library = zlib.ZLIB_RUNTIME_VERSION
        else:
            import zstandard

            library = ".".join(str(number) for number in zstandard.ZSTD_VERSION)
        files = self._domain.identity()["files"] if self.files else []
        return {**base_identity(self), "level": self._level, "library": library, "files": files}

    @property
    def _domain(self) -> EvaluationSet:
        return EvaluationSet(tuple(self.files))

    @property
    def _level(self) -> int:
        return _LEVELS[self.codec][2] if self.level is None else self.level

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Ratios of the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: There is no column ``text`` of strings, or the files are too little for a dictionary.
        """
        column = text_column(documents)
        text = text_buffers(column)
        data = text.data.data
        starts = text.offsets[:-1]
        stops = text.offsets[1:]
        if self.first_bytes is not None:
            stops = np.minimum(stops, starts + self.first_bytes)
        rows = np.flatnonzero(text.valid & (stops > starts)).tolist()
        made = [self._compressor()]
        if self.files:
            made.append(_trained(tuple(self._domain.files()), tuple(self.files), self._level))
        sizes = np.zeros((len(made), len(column)), np.int64)
        # The libraries take one text a call; at 50 MB/s the loop around it costs nothing.
        for row in rows:
            raw = data[starts[row] : stops[row]]
            for codec, compress in enumerate(made):
                sizes[codec, row] = len(compress(raw))
        raw_sizes = np.maximum(stops - starts, 1)
        columns = [sizes[0] / raw_sizes]
        if self.files:
            columns.append(np.where(sizes[0] > 0, 1 - sizes[1] / np.maximum(sizes[0], 1), 0))
        arrays = [pa.array(each.astype(np.float32), mask=~text.valid) for each in columns]
        return pa.record_batch(arrays, schema=self.columns)

    def _compressor(self) -> Callable[[memoryview], bytes]:
        level = self._level
        if self.codec == "zlib":
            return lambda raw: zlib.compress(raw, level)
        import zstandard

        return zstandard.ZstdCompressor(level=level).compress


@cache
def _trained(
    files: tuple[tuple[str, int, int], ...], paths: tuple[str, ...], level: int
) -> Callable[[memoryview], bytes]:
    """The compressor with a dictionary of the files; they are listed with their times, so that a new one is seen."""
    import zstandard

    del files
    texts: list[Any] = [text.encode()[:_SAMPLE] for text in evaluation_sets.read(EvaluationSet(paths)).texts if text]
    texts = texts[:: max(1, sum(map(len, texts)) // _TRAINED_ON)]
    try:
        dictionary = zstandard.train_dictionary(_DICTIONARY, texts, k=512, d=8, level=level)
    except zstandard.ZstdError as error:
        total = sum(map(len, texts))
        raise ValueError(
            f"compression: {len(texts)} texts of {total} bytes in {', '.join(paths)} make no dictionary ({error}); "
            "give some hundred texts, and a megabyte."
        ) from error
    return zstandard.ZstdCompressor(level=level, dict_data=dictionary).compress
