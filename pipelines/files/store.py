"""Files: one layer over local paths, s3:// and gs:// (`remote`), and what is written in one form.

Everything that a build writes goes through `write_bytes`: a temporary name and a rename on local disks, one whole put
on object stores, so that nothing half-written is ever visible under its final name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from . import remote
from .errors import DAMAGED, DamagedError
from .errors import UserError as UserError  # noqa: PLC0414 `store` is the one door: who handles files imports it alone
from .remote import Place as Place  # noqa: PLC0414 the same
from .temporaries import TEMPORARY as TEMPORARY  # noqa: PLC0414 the same
from .temporaries import sweep as sweep  # noqa: PLC0414 the same
from .temporaries import temporary_name as temporary_name  # noqa: PLC0414 the same

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_SCHEME = re.compile(r"^(?!file:)[a-z][a-z0-9+.-]+://")
_WILDCARD = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True)
class File:
    """One raw input file.

    Attributes:
        path: Absolute local path, or an s3:// or gs:// address.
        size: Bytes.
        modified: Nanoseconds since 1970, 0 where the storage does not say.
        link: Whether it is a symbolic link (its size is then that of the target, 0 for a folder or a broken link).
    """

    path: str
    size: int
    modified: int
    link: bool = False


def is_remote(path: str) -> bool:
    """Whether a path names an object store.

    >>> is_remote("s3://corpora/crawl"), is_remote("crawl/part.warc.gz")
    (True, False)
    """
    return bool(_SCHEME.match(path))


def absolute(path: str, folder: str = "") -> str:
    """The absolute form of a path; a relative one is taken from `folder`.

    >>> absolute("crawl/*.warc.gz", "s3://corpora")
    's3://corpora/crawl/*.warc.gz'
    """
    if is_remote(path):
        return path.rstrip("/")
    path = os.path.expanduser(path.removeprefix("file://"))
    if folder and is_remote(folder) and not path.startswith("/"):
        return join(folder, path)
    return os.path.abspath(os.path.join(folder, path))


def join(folder: str, *names: str) -> str:
    """A path below a folder, on local disks and object stores alike."""
    return "/".join([folder.rstrip("/"), *(name.strip("/") for name in names)])


def place(path: str) -> Place:
    """The file system that holds a path, and the path on it.

    Raises:
        UserError: The address is of no storage that is known, or not written as one.
        OSError: The storage cannot be reached.
    """
    return remote.place(path) if is_remote(path) else Place(fs.LocalFileSystem(), path)


def list_files(pattern: str, *, skip_folders: Collection[str] = ()) -> list[File]:
    """Files that a path, a folder (with everything below it) or a glob names, sorted by path.

    `**` stands for any number of folders, `*` and `?` stay within one name. Links to folders are not followed; they
    are listed as links.

    Args:
        pattern: Local path or address, absolute.
        skip_folders: Names of folders that are not entered, such as `.git`.

    Raises:
        UserError: The pattern is no glob, or names a storage that is not known.
        OSError: The storage cannot be read.
    """
    root = fixed_root(pattern)
    try:
        matches = None if root == pattern else re.compile(_translate(pattern[len(root) :].lstrip("/")), re.DOTALL)
    except re.error as error:
        raise UserError(f"{pattern}: is no glob: {error}. Write *, ?, ** or [a-z], and [[] for a bracket.") from error
    if is_remote(pattern):
        found = _list_remote(root)
    elif os.path.isdir(root):
        found = _walk(root, frozenset(skip_folders))
    else:
        found = iter([_local_file(root)] if os.path.lexists(root) else [])
    if matches is not None:
        found = (f for f in found if f.path != root and matches.fullmatch(f.path[len(root) :].lstrip("/")))
    return sorted(found, key=lambda file: file.path)


def fixed_root(pattern: str) -> str:
    """The folder in front of a pattern's first wildcard, or the path itself where it has none.

    >>> fixed_root("s3://corpora/crawl/**/*.warc.gz")
    's3://corpora/crawl'
    """
    if not is_remote(pattern) and os.path.lexists(pattern):
        return pattern  # a name may hold brackets
    wild = _WILDCARD.search(pattern)
    return pattern if wild is None else pattern[: wild.start()].rpartition("/")[0] or "/"


def _translate(glob: str) -> str:
    out = ""
    for piece in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob):
        special = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        if piece in special:
            out += special[piece]
        elif piece.startswith("[") and piece.endswith("]"):
            inside = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            out += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        else:
            out += re.escape(piece)
    return out


def _local_file(path: str) -> File:
    link = os.path.islink(path)
    try:
        status = os.stat(path)
    except OSError:
        return File(path, 0, 0, link)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    changed = max(status.st_mtime_ns, status.st_ctime_ns)  # a copied time does not hide a changed content
    return File(path, size, changed, link)


def _walk(folder: str, skip: frozenset[str]) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in skip:
                    yield from _walk(entry.path, skip)
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield _local_file(entry.path)


def _list_remote(root: str) -> Iterator[File]:
    scheme = root.partition("://")[0]
    for one in remote.files(root):
        yield File(f"{scheme}://{one.path}", one.size or 0, one.mtime_ns or 0)


def open_input(path: str, *, offset: int = 0) -> pa.NativeFile:
    """A seekable binary file, positioned at `offset` bytes."""
    file = remote.open_input(path) if is_remote(path) else fs.LocalFileSystem().open_input_file(path)
    if offset:
        file.seek(offset)
    return file


def read_bytes(path: str) -> bytes:
    """The whole content of a file."""
    with open_input(path) as file:
        return bytes(file.read())


def exists(path: str) -> bool:
    """Whether a file or folder stands under this name."""
    if not is_remote(path):
        return os.path.lexists(path)
    return bool(remote.info(path).type != fs.FileType.NotFound)


def size(path: str) -> int | None:
    """Bytes of a file; None where there is none."""
    if not is_remote(path):
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None
    info = remote.info(path)
    return info.size if info.type == fs.FileType.File else None


def names(folder: str) -> set[str]:
    """Names of the finished files directly in a folder; empty where there is no such folder."""
    if not is_remote(folder):
        try:
            return {name for name in os.listdir(folder) if not name.startswith(TEMPORARY)}
        except FileNotFoundError:
            return set()
    return remote.names(folder)


def write_bytes(path: str, data: bytes | pa.Buffer) -> None:
    """Put a whole file in place at once.

    Raises:
        OSError: The disk is full, the connection lost or the permission missing; nothing is then visible.
    """
    if is_remote(path):
        remote.put(path, data)
        return
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, temporary_name(name))
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def output_file(path: str) -> Iterator[str]:
    """A local file to fill, for what is too large to be held in memory; it is put in place whole when the body ends.

    Raises:
        OSError: As for `write_bytes`; nothing is then visible.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="tokenladder-") as folder:
            local = os.path.join(folder, "file")
            yield local
            with pa.memory_map(local) as file:
                write_bytes(path, file.read_buffer())
        return
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, temporary_name(name))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_json(path: str, value: Any) -> None:
    """Put a JSON file in place: sorted keys, two-space indent, one final newline."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: str) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: It is missing, or damaged.
    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise DamagedError(f"{path}{DAMAGED}{error}") from error


@dataclasses.dataclass(frozen=True)
class Written:
    """A file that was put in place.

    Attributes:
        sha256: Of its bytes.
        size: Bytes.
    """

    sha256: str
    size: int


def write_table(path: str, table: pa.Table, **options: Any) -> None:
    """Put a Parquet file in place, the same bytes for the same table."""
    with output_file(path) as local:
        _write_parquet(local, table, options)


def write_hashed_table(path: str, table: pa.Table, **options: Any) -> Written:
    """Put a Parquet file in place, and tell what stands in it."""
    with output_file(path) as local:
        _write_parquet(local, table, options)
        with pa.memory_map(local) as file:
            data = file.read_buffer()
            written = Written(hashlib.sha256(data).hexdigest(), data.size)
    return written


def _write_parquet(local: str, table: pa.Table, options: dict[str, Any]) -> None:
    """Straight to the file: 30 MB collected in memory first, by a buffer that grows, take three times as long."""
    options = {"compression": "zstd", "compression_level": 1, "write_page_index": False, **options}
    with pa.OSFile(local, "wb") as sink:
        pq.write_table(table, sink, **options)


@contextlib.contextmanager
def open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file, to be read in the body.

    Raises:
        OSError: It is missing, or damaged: Arrow's own error for that is no OSError and names no file.
    """
    with open_input(path) as file:
        try:
            yield pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise DamagedError(f"{path}{DAMAGED}{error}") from error


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """Columns of a Parquet file, read in this thread alone."""
    with open_parquet(path) as file:
        return file.read(columns=columns, use_threads=False)


def remove(path: str) -> None:
    """Delete a file; nothing happens where there is none."""
    if is_remote(path):
        remote.remove(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_folder(folder: str) -> None:
    """Delete a folder with all that is in it; nothing happens where there is none."""
    if is_remote(folder):
        remote.remove_folder(folder)
    else:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def fingerprint(value: Any) -> str:
    """A name for a value that is the same in every process: 32 hex digits of SHA-256 over its canonical JSON.

    Raises:
        TypeError: Some value in it has no stable form; the message names where and what would work.

    >>> fingerprint({"b": 1, "a": [1, 2]}) == fingerprint({"a": (1, 2), "b": 1})
    True
    """
    text = json.dumps(_stable(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stable(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return f"float:{value.hex()}"
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__} | _stable(fields, where)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _stable(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_stable(item, f"{where}[{n}]") for n, item in enumerate(value)]
    raise TypeError(
        f"{where} is {type(value).__name__}, which has no stable form to fingerprint. "
        "Use numbers, strings, bytes, lists, dicts with string keys, or dataclasses of these."
    )
