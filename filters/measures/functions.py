"""A score of the user's own: a Python function from a batch of documents to columns, named in the study."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from ..family import base_identity
from ..text.buffers import text_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..family import JSON

PROBE = ("One short text.", "Ein zweiter Text,\nin zwei Zeilen.")
"""Documents that tell which columns a function gives."""

_COLUMNS = {  # every column that a part has, so that a function finds at its trial what it finds later
    "document": pa.array([bytes(16)] * len(PROBE), pa.binary(16)),
    "text": pa.array(PROBE, pa.string()),
    "name": pa.array(["http://example.org/1", "http://example.org/2"], pa.string()),
    "record": pa.array(["probe:0", "probe:1"], pa.string()),
    "bytes": pa.array([len(text) for text in PROBE], pa.int64()),
    **{name: pa.array(["", None], pa.string()) for name in ("kind", "file_type", "licence", "licence_id", "date")},
    **{name: pa.array([None] * len(PROBE), pa.string()) for name in ("outcome", "reason")},
}


class FunctionError(ValueError):
    """A user's function cannot be found, failed, or gave what is no columns; the message is for its author."""


@dataclass(frozen=True)
class Function:
    """Score ``function``: columns that a Python function of the user's makes of a batch of documents.

    The function is given a ``pyarrow.RecordBatch`` of documents that all have a text (columns ``text``, ``name``,
    ``kind``, ``file_type`` and so on; any number of rows) and the ``arguments`` by name. It returns a mapping from
    names to columns (Arrow or numpy arrays, or lists) or a ``RecordBatch``, with as many rows. It must give the same
    columns, of the same types, for every batch, and the same values for the same document: no chance, no clock.

    Columns of numbers and strings can stand in rules. The first of strings is the score's label, the first of numbers
    its value.

    Attributes:
        function: ``module:function``. The module is a file beside the study (``mine:count`` is in ``mine.py``), or one
            that Python can import in every worker.
        arguments: Given to the function by name.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    type: ClassVar[str] = "function"
    VERSION: ClassVar[int] = 1

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, colon, name = self.function.rpartition(":")
        if not (module and colon and name.isidentifier()):
            raise ValueError(f'function: write function = "module:function"; it is {self.function!r}.')

    @property
    def columns(self) -> pa.Schema:
        """The schema of the output: what the function gives for two short documents.

        Raises:
            FunctionError: It cannot be found or called, or gives no columns.
        """
        return _schema(self.function, repr(sorted(self.arguments.items())), self)

    @property
    def LABEL(self) -> str | None:  # noqa: N802 (the protocol's name; it depends on what the function gives)
        """The first column of strings."""
        return next((each.name for each in self.columns if pa.types.is_string(each.type)), None)

    @property
    def VALUE(self) -> str | None:  # noqa: N802 (the same)
        """The first column of numbers."""
        numbers = (pa.types.is_integer, pa.types.is_floating)
        return next((each.name for each in self.columns if any(is_one(each.type) for is_one in numbers)), None)

    def identity(self) -> dict[str, JSON]:
        """Everything that the output depends on: the source text of the function's module, and the arguments.

        What that module imports is not part of it; after a change there, change the module too.

        Raises:
            FunctionError: There is no such module.
        """
        name = self.function.rpartition(":")[2]
        return {**base_identity(self), "function": name, "source": hashlib.sha256(_source(self.function)).hexdigest()}

    def score(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """The function's columns; a row without text is null.

        Raises:
            FunctionError: The function cannot be found, raises, or gives something else than before.
            ValueError: There is no column ``text`` of strings.
        """
        text = text_column(documents)
        schema = self.columns
        given = documents.filter(text.is_valid()) if text.null_count else documents
        made = self._call(given)
        if made.schema.names != schema.names:
            raise FunctionError(
                f"{self.function}: gave the columns {', '.join(made.schema.names)}, but at first "
                f"{', '.join(schema.names)}; give the same for every batch."
            )
        columns = []
        for column, kind in zip(made.columns, schema, strict=True):
            try:
                columns.append(column if column.type == kind.type else column.cast(kind.type))
            except pa.ArrowException as error:
                raise FunctionError(
                    f"{self.function}: column {kind.name!r} holds {column.type}, but at first {kind.type}; make it of "
                    f"one type for every batch ({error})."
                ) from error
        made = pa.record_batch(columns, schema=schema)
        if not text.null_count:
            return made
        rows = pa.compute.cumulative_sum(text.is_valid().cast(pa.int64()))
        places = pa.compute.if_else(text.is_valid(), pa.compute.subtract(rows, 1), pa.scalar(None, pa.int64()))
        return made.take(places)

    def _call(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        function = _load(self.function)
        try:
            made = function(documents, **self.arguments)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error}"
            place = f"{where.filename}, line {where.lineno}"
            raise FunctionError(
                f"{self.function}: raised {told} ({place}) for a batch of {len(documents)} documents."
            ) from error
        batch = self._batch(made)
        if len(batch) != len(documents):
            raise FunctionError(
                f"{self.function}: gave {len(batch)} rows for {len(documents)} documents; give one for each, in order."
            )
        return batch

    def _batch(self, made: Any) -> pa.RecordBatch:
        if isinstance(made, pa.Table):
            made = {name: made.column(name).combine_chunks() for name in made.column_names}
        if isinstance(made, pa.RecordBatch):
            return made
        if not isinstance(made, dict) or not made or not all(isinstance(name, str) for name in made):
            raise FunctionError(
                f"{self.function}: gave {type(made).__name__}; return a mapping from names to columns, such as "
                '{"length": pa.compute.utf8_length(documents["text"])}, or a RecordBatch.'
            )
        columns = {}
        for name, values in made.items():
            try:
                column = pa.array(values) if not isinstance(values, pa.ChunkedArray) else values.combine_chunks()
            except (pa.ArrowException, TypeError, ValueError) as error:
                raise FunctionError(f"{self.function}: column {name!r} is no column of values: {error}") from error
            columns[name] = column
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise FunctionError(f"{self.function}: its columns differ in length ({told}); give one row a document.")
        return pa.record_batch(columns)


_schemas: dict[tuple[str, bytes, str], pa.Schema] = {}


def _schema(function: str, arguments: str, family: Function) -> pa.Schema:
    key = function, _source(function), arguments
    if key not in _schemas:
        probe = pa.record_batch(_COLUMNS)
        first, second = family._call(probe), family._call(probe)  # noqa: SLF001 (the class's own helper)
        if first.schema != second.schema or repr(first.to_pydict()) != repr(second.to_pydict()):  # NaN is not NaN
            raise FunctionError(f"{function}: gave other values for the same documents at its second call.")
        for each in first.schema:
            if pa.types.is_null(each.type) or pa.types.is_large_string(each.type):
                raise FunctionError(
                    f"{function}: column {each.name!r} holds {each.type}; give it a type, such as pa.array(values, "
                    "pa.string())."
                )
        _schemas[key] = first.schema
    return _schemas[key]


def _file(function: str) -> Path:
    """The file of a function's module.

    Raises:
        FunctionError: There is none.
    """
    module = function.rpartition(":")[0]
    if module.endswith(".py"):
        path: str | None = module
    else:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            found = None
        path = found.origin if found is not None and found.has_location else None
    if path is None or not Path(path).is_file():
        beside = (
            "" if module.endswith(".py") else f"; put {module.replace('.', '/')}.py beside the study, or install it"
        )
        raise FunctionError(f"{function}: there is no module {module}{beside}.")
    return Path(path)


def _source(function: str) -> bytes:
    return _file(function).read_bytes()


def _load(function: str) -> Callable[..., Any]:
    path, (where, _, name) = _file(function), function.rpartition(":")
    if where.endswith(".py"):
        module = _module(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    else:
        module = _imported(where)
    found = getattr(module, name, None)
    if not callable(found):
        known = ", ".join(each for each in vars(module) if callable(getattr(module, each)) and not each.startswith("_"))
        what = "is no function" if found is not None else "does not exist"
        raise FunctionError(f"{function}: {name} {what} in {path}; there are {known or 'none'}.")
    return found  # type: ignore[no-any-return] # it is callable


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise FunctionError(f"{name}: cannot be imported: {type(error).__name__}: {error}") from error


class _FreshLoader(SourceFileLoader):
    """Compiles the file as it is: Python's cache takes two texts of one length and one second for the same."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module."""
        del fullname
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


@cache
def _module(path: str, sha256: str) -> Any:
    """The module of a file, run once a process for each text of it."""
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that what stands beside it hides no other module
    loader = _FreshLoader(f"tokenladder_function_{sha256[:16]}", path)
    module = ModuleType(loader.name)
    module.__file__ = path
    sys.modules[loader.name] = module  # dataclasses look for their module there
    try:
        loader.exec_module(module)
    except Exception as error:
        del sys.modules[loader.name]
        told = f"{type(error).__name__}: {error}"
        raise FunctionError(f"{path}: cannot be imported: {told}") from error
    return module
