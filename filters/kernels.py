"""Kernels: how they are compiled, when, and where what was compiled is kept.

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
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType


Function = TypeVar("Function", bound="Callable[..., Any]")


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
    source file in and below this folder and in the kernel's own.

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
    here, folder = Path(__file__).parent, Path(function.__code__.co_filename).parent
    others = () if folder.is_relative_to(here) else (str(folder),)
    base = f"{files._impl.filename_base}-{_sources(str(here), *others)}"  # noqa: SLF001
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
    """Whether kernels of this package, as they stand, were compiled before; True where that cannot be seen from here.

    Numba keeps them beside the sources, or, where it may not write there, in a folder of the user's.
    """
    here = Path(__file__).parent
    beside = not os.environ.get("NUMBA_CACHE_DIR") and os.access(here, os.W_OK)
    return not beside or any(here.rglob(f"__pycache__/*-{_sources(str(here))}*.nbi"))


@cache
def _sources(folder: str, *others: str) -> str:
    """A hash of all Python files in and below a folder, and in others: 16 hexadecimal digits, 5 ms."""
    files = [(path.relative_to(folder).as_posix(), path) for path in Path(folder).rglob("*.py")]
    files += [(path.name, path) for other in others for path in Path(other).glob("*.py")]
    digest = hashlib.sha256()
    for name, path in sorted(files):
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
