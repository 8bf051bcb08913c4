"""How well a document compresses: a cheap measure of how much it repeats itself."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa

from .family import base_identity
from .kernels import text_buffers, text_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from .family import JSON

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

    Output columns:
        ratio: float32; 0 for an empty text.

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

    def __post_init__(self) -> None:
        if self.codec not in _LEVELS:
            raise ValueError(f"compression: codec must be zlib or zstd; it is {self.codec!r}.")
        least, most, _ = _LEVELS[self.codec]
        if self.level is not None and not least <= self.level <= most:
            raise ValueError(f"compression: level of {self.codec} must be from {least} to {most}; it is {self.level}.")
        if self.first_bytes is not None and self.first_bytes < 1:
            raise ValueError(f"compression: first_bytes must be at least 1; it is {self.first_bytes}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("ratio", pa.float32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: parameters, version, and which version of the library compresses."""
        if self.codec == "zlib":
            library = zlib.ZLIB_RUNTIME_VERSION
        else:
            import zstandard

            library = ".".join(str(number) for number in zstandard.ZSTD_VERSION)
        return {**base_identity(self), "level": self._level, "library": library}

    @property
    def _level(self) -> int:
        return _LEVELS[self.codec][2] if self.level is None else self.level

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Ratios of the column ``text``; see the class.

        Raises:
            ValueError: There is no column ``text`` of strings.
        """
        column = text_column(documents)
        text = text_buffers(column)
        data = text.data.data
        starts = text.offsets[:-1]
        stops = text.offsets[1:]
        if self.first_bytes is not None:
            stops = np.minimum(stops, starts + self.first_bytes)
        compress = self._compressor()
        ratios = np.zeros(len(column), np.float32)
        # The libraries take one text a call; at 50 MB/s the loop around it costs nothing.
        for row in np.flatnonzero(text.valid & (stops > starts)).tolist():
            raw = data[starts[row] : stops[row]]
            ratios[row] = len(compress(raw)) / len(raw)
        return pa.record_batch([pa.array(ratios, mask=~text.valid)], schema=self.columns)

    def _compressor(self) -> Callable[[memoryview], bytes]:
        level = self._level
        if self.codec == "zlib":
            return lambda raw: zlib.compress(raw, level)
        import zstandard

        return zstandard.ZstdCompressor(level=level).compress
