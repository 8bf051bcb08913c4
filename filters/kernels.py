"""What every kernel over Arrow text needs: compiling, the buffers of a column, UTF-8 decoding, and the next token.

A *kernel* is a private function that only computes: numpy arrays in, numpy arrays out, no Python object inside, so that
it runs without the interpreter's lock. The public function around it checks and converts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from functools import cache, update_wrapper
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np
import pyarrow as pa

from .words import ALPHA, MARK, SOLO, SPACE, WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from numpy.typing import NDArray

Function = TypeVar("Function", bound="Callable[..., Any]")

REPLACEMENT = 0xFFFD
"""What a byte that is not UTF-8 decodes to. Arrow does not check text that is read from a file."""

TOKEN_WORD = 1
TOKEN_SYMBOL = 2


class Kernel:
    """A function that numba gets when it is first called, with the kernels whose names it uses.

    Numba takes 0.3 s of processor time to import, which commands that look something up do without.

    Attributes:
        function: As it is written.
        decorate: What makes a numba function of it.
    """

    _lock = RLock()

    def __init__(self, function: Callable[..., Any], decorate: Callable[[Callable[..., Any]], Any]) -> None:
        self.function = function
        self.decorate = decorate
        self._made: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives; the first call compiles it, or takes it from numba's cache."""
        return (self._made or self.made())(*arguments)

    def made(self) -> Any:
        """Numba's function. Numba looks names up among the globals, so there it stands from now on, too."""
        with self._lock:
            if self._made is None:
                made, known = self.decorate(self.function), self.function.__globals__
                names = list(_names(self.function.__code__))
                for name in names:
                    if isinstance(known.get(name), Kernel) and known[name] is not self:
                        known[name] = known[name].made()
                    elif isinstance(known.get(name), ModuleType):  # as in `grouping.table_size(…)`
                        for inner in names:
                            if isinstance(one := getattr(known[name], inner, None), Kernel):
                                setattr(known[name], inner, one.made())
                if known.get(self.function.__name__) is self:
                    known[self.function.__name__] = made
                self._made = made
            return self._made


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function looks up among its globals, functions inside it included."""
    yield from code.co_names
    for inner in code.co_consts:
        if hasattr(inner, "co_names"):
            yield from _names(inner)


def kernel(function: Function) -> Function:
    """Compile ``function`` with numba: without the interpreter's lock, and cached on disk.

    A kernel contains the kernels that it calls, but numba's cache looks at the kernel's own file alone: after a change
    in this module it would go on with the old machine code. So the names of the cache's files hold a hash of every
    source file of this folder and of the kernel's own.

    Where no folder can be written for the cache, as in a read-only container without a home, the kernel is compiled
    anew in each process (seconds) and is otherwise the same.
    """
    return cast("Function", Kernel(function, _cached))


def _cached(function: Callable[..., Any]) -> Any:
    import numba
    from numba.core.caching import IndexDataCacheFile

    try:
        compiled: Any = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "cannot cache function: no locator available for file"
        return _without_extensions(numba.njit(nogil=True)(function))
    files = compiled._cache  # noqa: SLF001 (numba has no other way to name its files)
    folders = {Path(__file__).parent, Path(function.__code__.co_filename).parent}
    base = f"{files._impl.filename_base}-{_sources(*sorted(map(str, folders)))}"  # noqa: SLF001
    stamp = files._impl.locator.get_source_stamp()  # noqa: SLF001
    files._cache_file = IndexDataCacheFile(files.cache_path, base, stamp)  # noqa: SLF001
    own, index = _without_extensions(compiled)._compile_for_args, Path(files.cache_path, f"{base}.nbi")  # noqa: SLF001

    def compile_for_args(*args: Any, **keywords: Any) -> Any:
        with contextlib.nullcontext() if index.exists() else _one_process(function.__code__.co_filename):
            return own(*args, **keywords)

    compiled._compile_for_args = compile_for_args  # noqa: SLF001
    return compiled


@contextlib.contextmanager
def _one_process(source: str) -> Iterator[None]:
    """In the body, this process alone compiles kernels of a file: those that wait find them in the cache then.

    A build's workers would otherwise all compile the same kernels at once. They do where files cannot be locked.
    """
    with Path(source).open("rb") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: a process forked meanwhile has the file, too


def _without_extensions(compiled: Any) -> Any:
    """Load or compile a kernel without the extensions that other packages register with numba.

    Numba imports all of them before the first function of a process, whatever it is: awkward, which gigatoken needs,
    and with it pandas took 0.8 s in every process. Kernels know numpy's arrays alone. Functions of others still find
    their extensions.
    """
    from numba.core import entrypoints
    from numba.core.compiler_lock import global_compiler_lock

    own = compiled._compile_for_args  # noqa: SLF001

    def compile_for_args(*args: Any, **keywords: Any) -> Any:
        with global_compiler_lock:
            before = entrypoints._already_initialized  # noqa: SLF001
            entrypoints._already_initialized = True  # noqa: SLF001
            try:
                return own(*args, **keywords)
            finally:
                entrypoints._already_initialized = before  # noqa: SLF001

    compiled._compile_for_args = compile_for_args  # noqa: SLF001
    return compiled


def are_compiled() -> bool:
    """Whether kernels of this folder, as they stand, were compiled before; True where that cannot be seen from here.

    Numba keeps them beside the sources, or, where it may not write there, in a folder of the user's.
    """
    here = Path(__file__).parent
    beside = not os.environ.get("NUMBA_CACHE_DIR") and os.access(here, os.W_OK)
    return not beside or any(here.glob(f"__pycache__/*-{_sources(str(here))}*.nbi"))


@cache
def _sources(*folders: str) -> str:
    """A hash of all Python files of the folders: 16 hexadecimal digits, under 1 ms."""
    files = sorted((path.name, path) for folder in folders for path in Path(folder).glob("*.py"))
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def inlined(function: Function) -> Function:
    """Compile ``function`` into each kernel that calls it. For the small steps inside a kernel's loop."""
    return cast("Function", Kernel(function, _inlined))


def _inlined(function: Callable[..., Any]) -> Any:
    import numba

    return numba.njit(nogil=True, inline="always")(function)


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """As numba's: ``function`` gives types and what generates the code. It imports llvmlite and numba inside itself."""
    return Kernel(function, _intrinsic)


def _intrinsic(function: Callable[..., Any]) -> Any:
    from numba import extending

    return extending.intrinsic(function)


@intrinsic
def load64(_typing: Any, _address: Any, _offset: Any) -> Any:
    """Eight bytes at ``address + offset`` as uint64: one instruction, where eight indexed bytes would be twenty."""
    from llvmlite import ir
    from numba import types

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*arguments), ir.IntType(64).as_pointer())
        value = builder.load(pointer)
        value.align = 1
        return value

    return types.uint64(types.uint64, types.uint64), generate


class Text(NamedTuple):
    """The buffers of a string column of ``n`` rows, as kernels take them.

    Attributes:
        offsets: int64[n + 1]; row ``i`` is ``data[offsets[i] : offsets[i + 1]]``.
        data: uint8[bytes]; UTF-8, read only.
        valid: bool[n]; False for a null row, whose bytes mean nothing.
    """

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]
    valid: NDArray[np.bool_]


def text_column(documents: pa.RecordBatch, name: str = "text") -> pa.StringArray:
    """The column of text that a score reads.

    Raises:
        ValueError: There is no such column, or it holds no strings.

    >>> text_column(pa.record_batch({"text": ["a", None]})).null_count
    1
    """
    if name not in documents.schema.names:
        have = ", ".join(documents.schema.names) or "none"
        raise ValueError(f"The score reads the column {name!r}, but the batch holds these columns: {have}.")
    column = documents.column(name)
    if pa.types.is_string(column.type):
        return cast("pa.StringArray", column)
    if not (pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)):
        raise ValueError(f"The score reads the column {name!r} as text, but it holds {column.type}.")
    return cast("pa.StringArray", column.cast(pa.string()))


def text_buffers(column: pa.StringArray | pa.BinaryArray) -> Text:
    """The buffers of a column of ``string`` or ``binary``, without copying its bytes; slices and nulls included.

    >>> text_buffers(pa.array(["ab", None, "c"]).slice(1)).offsets.tolist()
    [2, 2, 3]
    """
    rows = len(column)
    _, offsets, data = column.buffers()
    if rows and offsets is not None:
        start = np.frombuffer(memoryview(offsets), np.int32, rows + 1, column.offset * 4).astype(np.int64)
    else:
        start = np.zeros(1, np.int64)
    raw = np.frombuffer(b"" if data is None else memoryview(data), np.uint8)
    valid = np.ones(rows, np.bool_)
    if column.null_count:
        import pyarrow.compute as pc

        valid = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    return Text(start, raw, valid)


@inlined
def decode(data: Any, index: Any, stop: Any) -> tuple[Any, Any]:
    """The code point at ``data[index]`` and the index after it; never reads at or past ``stop``."""
    first = np.int64(data[index])
    if first < 0x80:
        return first, index + 1
    if 0xC2 <= first < 0xE0 and index + 1 < stop:
        return ((first & 0x1F) << 6) | (np.int64(data[index + 1]) & 0x3F), index + 2
    if 0xE0 <= first < 0xF0 and index + 2 < stop:
        point = ((first & 0x0F) << 12) | ((np.int64(data[index + 1]) & 0x3F) << 6)
        return point | (np.int64(data[index + 2]) & 0x3F), index + 3
    if 0xF0 <= first < 0xF5 and index + 3 < stop:
        point = ((first & 0x07) << 18) | ((np.int64(data[index + 1]) & 0x3F) << 12)
        point |= ((np.int64(data[index + 2]) & 0x3F) << 6) | (np.int64(data[index + 3]) & 0x3F)
        return (point, index + 4) if point < 0x110000 else (np.int64(REPLACEMENT), index + 1)
    return np.int64(REPLACEMENT), index + 1


@kernel
def next_token(data: Any, index: Any, stop: Any, flags: Any) -> tuple[Any, int, int, bool]:
    """The token that begins at ``data[index]``, which must not be white space; see :mod:`.words` for the rule.

    Returns:
        Where it ends (a byte index), TOKEN_WORD or TOKEN_SYMBOL, its code points, and whether one of them is a letter.
    """
    point, after = decode(data, index, stop)
    flag = flags[point]
    characters = 1
    letter = (flag & ALPHA) != 0
    alpha = letter
    if not flag & WORD:
        while after < stop:  # a run of one repeated symbol is one token: "...", "====="
            following, end = decode(data, after, stop)
            if following != point:
                break
            after = end
            characters += 1
        return after, TOKEN_SYMBOL, characters, False
    solo = (flag & SOLO) != 0
    while after < stop:
        while not solo and after < stop and data[after] < 0x80 and flags[data[after]] & WORD:  # ASCII, the quick way
            letter = (flags[data[after]] & ALPHA) != 0
            alpha = alpha or letter
            characters += 1
            after += 1
        if after == stop:
            break
        following, end = decode(data, after, stop)
        flag = flags[following]
        if flag & WORD and not flag & SOLO and (not solo or flag & MARK):
            characters += 1
            letter = (flag & ALPHA) != 0
            alpha = alpha or letter
            after = end
            continue
        # What joins the word characters on both sides of it: "don't", "example.org", "snake_case", "1,000".
        comma = following == 0x2C and not letter
        if (comma or following in (0x27, 0x2019, 0x2E, 0x5F)) and not solo and end < stop:
            third, _ = decode(data, end, stop)
            flag = flags[third]
            if flag & WORD and not flag & SOLO and not (comma and flag & ALPHA):
                characters += 1
                after = end
                continue
        break
    return after, TOKEN_WORD, characters, alpha


@inlined
def is_space(flags: Any, point: int) -> bool:
    """Whether ``str.isspace`` holds for the code point."""
    return bool((flags[point] & SPACE) != 0)
