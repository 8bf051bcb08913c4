"""How surprised an n-gram language model is by a document: KenLM, as CCNet filters the web by it.

Heafield 2011, "KenLM: Faster and Smaller Language Model Queries"; Wenzek et al. 2020, "CCNet: Extracting High Quality
Monolingual Datasets from Web Crawl Data" (https://arxiv.org/abs/1911.00359). Its Python module comes in wheels as the
package ``kenlm-ex``, and is built from source as ``kenlm``; both read models. Models are trained by
:mod:`.kneser_ney` (``tokenladder train-perplexity``) and by KenLM's own programs.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..family import JSON

_LOG2_10 = 3.321928094887362
_loading = threading.Lock()


@dataclass(frozen=True)
class Perplexity:
    """Score ``perplexity``: of a language model in KenLM's form, over the lines of a document.

    Each line that is not blank is a sentence, with its end counted as a token, as CCNet has it. Tokens are what stands
    between white space, or SentencePiece's pieces: give the text in the form that the model was trained on.

    Attributes:
        model: An ARPA file or KenLM's binary.
        sentencepiece: The SentencePiece model with whose pieces the language model was trained; by default none.
        lower: Whether text is lower-cased first.

    Output columns:
        perplexity: float32; of a token; 0 for a text of nothing but white space.
        bits_per_byte: float32; what the model needs for a byte of the text. It can be compared between models whose
            tokens differ.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "perplexity"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = None
    VALUE: ClassVar[str | None] = "perplexity"

    model: str
    sentencepiece: str | None = None
    lower: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("perplexity: model is empty; give the path of an ARPA file or of KenLM's binary.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        return pa.schema([pa.field("perplexity", pa.float32()), pa.field("bits_per_byte", pa.float32())])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, and the hashes of the models; not their paths.

        Raises:
            FileNotFoundError: There is no such model.
        """
        pieces = None if self.sentencepiece is None else _sha256(*_stamp(self.sentencepiece))
        return {**base_identity(self), "model": _sha256(*_stamp(self.model)), "sentencepiece": pieces}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Figures of the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such model.
            ModuleNotFoundError: KenLM is not installed.
            ValueError: There is no column ``text`` of strings, or a file is no model.
        """
        column = text_column(documents)
        model = _load(*_stamp(self.model))
        cut = None if self.sentencepiece is None else _pieces(*_stamp(self.sentencepiece))
        figures = np.zeros((2, len(column)), np.float64)
        for row, text in enumerate(column.to_pylist()):  # the library takes one sentence a call
            lines = [] if text is None else [line for line in text.splitlines() if not line.isspace() and line]
            if not lines:
                continue
            sentences = [line.lower() for line in lines] if self.lower else lines
            if cut is not None:
                sentences = [" ".join(each) for each in cut(sentences)]
            total = sum(model.score(each) for each in sentences)
            figures[0, row] = 10 ** min(38.0, -total / sum(len(each.split()) + 1 for each in sentences))
            figures[1, row] = -total * _LOG2_10 / sum(len(line.encode()) for line in lines)
        missing = ~np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        arrays = [pa.array(each.astype(np.float32), mask=missing) for each in figures]
        return pa.record_batch(arrays, schema=self.columns)


def cut_pieces(path: str) -> Callable[[list[str]], list[list[str]]]:
    """What cuts sentences into the pieces of a SentencePiece model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such model.
    """
    return _pieces(*_stamp(path))


def _stamp(model: str) -> tuple[str, int, int]:
    path = Path(model)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"perplexity: the model {model} {what}; give the path of its file.")
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@cache
def _sha256(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_loaded: dict[tuple[str, int, int], Any] = {}


def _load(*stamp: Any) -> Any:
    """The model, read at most once a process."""
    with _loading:
        if stamp not in _loaded:
            _loaded[stamp] = _read(stamp[0])
        return _loaded[stamp]


def _read(path: str) -> Any:
    try:
        import kenlm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("perplexity: KenLM is not installed: pip install 'tokenladder[kenlm]'.") from error
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(path, config)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"perplexity: {path} is no language model that KenLM reads: {error}") from error


@cache
def _pieces(path: str, _size: int, _changed: int) -> Callable[[list[str]], list[list[str]]]:
    from sentencepiece import SentencePieceProcessor

    try:
        processor: Any = SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"perplexity: {path} is no SentencePiece model: {error}") from error
    return lambda sentences: processor.encode(sentences, out_type=str, num_threads=1)
