"""Prospect: what some paths hold, so that a first study can be proposed: formats, languages, how much text there is.

Formats are told by names; a few hundred records of each source are then read as a build would read them, in a child
process, because nothing read is trusted. The same files give the same survey.
"""

from __future__ import annotations

import collections
import itertools
import re
import zlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ... import filters
from ..engines import isolate
from ..files import store
from ..formats import Slice, Source, documents
from ..formats.source import VCS_FOLDERS
from .not_input import find_not_input, is_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..files.store import File

RECORDS = 300
"""Records that are read of a slice, at most; a WARC file has two or three for each page."""

SLICES = 4
"""Slices of a source that are looked into, spread over it."""

_DATA = {
    "wet": r"\.wet(\.gz|\.zst)?$",
    "warc": r"\.warc(\.gz|\.zst)?$",
    "jsonl": r"\.(jsonl|ndjson)(\.gz|\.zst)?$",
    "parquet": r"\.parquet$",
    "tar": r"\.(tar|tar\.gz|tgz|tar\.zst)$",
    "zip": r"\.zip$",
}
_PAGES = re.compile(r"\.(html?|xhtml)$", re.IGNORECASE)
_NO_TEXT = re.compile(
    r"\.(png|jpe?g|gif|webp|avif|ico|bmp|tiff?|mng|mp[34]|webm|og[gv]|wav|pdf|woff2?|ttf|otf|eot)$", re.IGNORECASE
)
_KINDS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _DATA.items()}
_CHECKOUT = (*VCS_FOLDERS, "pyproject.toml", "package.json", "Cargo.toml", "go.mod", "Makefile", "CMakeLists.txt")
_COMPRESSED = re.compile(r"\.(gz|tgz|zst|zip)$", re.IGNORECASE)
_TEXT = ("text", "content", "body", "raw_content", "document", "markdown", "code")
_ID = ("id", "url", "uri", "doc_id", "path", "name", "title")


@dataclass(frozen=True)
class Found:
    """One source that could be read.

    Attributes:
        name: What it could be called.
        source: How to read it.
        files: How many files.
        bytes: Of these.
        left_out: Folders below it that are not read, and what each is.
    """

    name: str
    source: Source
    files: int
    bytes: int
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """What a look into a source found.

    Attributes:
        records: Records read.
        documents: Those that gave one.
        text_bytes: Of these.
        consumed: Bytes of files that they stood in.
        languages: Bytes of text by language, as the shipped model tells it.
        file_types: Bytes of text by programming language.
        plain: Bytes of text that is neither vendored, generated nor minified.
        gopher: Bytes of text that pass Gopher's rules.
        rejected: Records that cannot be read, by reason.
        dropped: Records that hold no text, such as pictures, by reason.
    """

    records: int = 0
    documents: int = 0
    text_bytes: int = 0
    consumed: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    file_types: dict[str, int] = field(default_factory=dict)
    plain: int = 0
    gopher: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, other: dict[str, Any]) -> None:
        """Take in what another slice showed."""
        for name, value in other.items():
            if isinstance(value, dict):
                mine = getattr(self, name)
                for key, count in value.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                setattr(self, name, getattr(self, name) + value)


def find_sources(paths: Sequence[str], own: Sequence[str] = ()) -> list[Found]:
    """The sources that some paths could be, told by the names of files.

    Args:
        paths: Files, folders or globs, absolute, local, s3:// or gs://.
        own: Files and folders that the study itself will have, which it does not read.

    Raises:
        UserError: A path names nothing, or nothing that could be read.
        OSError: A storage cannot be read.
    """
    found: list[Found] = []
    for path in paths:
        try:
            files = store.list_files(path, skip_folders=VCS_FOLDERS)
        except PermissionError as error:
            raise store.UserError(f"{path}: {error.filename or path} may not be read: permission denied.") from error
        if not files:
            raise store.UserError(f"{path}: {_nothing(path)}")
        left_out = find_not_input(store.fixed_root(path), files)
        below = tuple(f"{folder}/" for folder in (*left_out, *own))  # tested at once: there may be millions of files
        files = [file for file in files if not f"{file.path}/".startswith(below)]
        if not files:
            what = "; ".join(f"{folder} ({kind})" for folder, kind in left_out.items()) or "the study's own files"
            raise store.UserError(f"{path}: holds nothing to read but {what}. Name what is to be read all the same.")
        for one, source, listed in _sources(path, files):
            name = _unused(one, {other.name for other in found})
            root = store.fixed_root(source.paths[0])
            mine = {folder: kind for folder, kind in left_out.items() if is_below(folder, [root])}
            exclude = (*mine, *(each for each in own if is_below(each, [root]) and each != root))
            size = sum(file.size for file in listed)
            found.append(Found(name, replace(source, exclude=(*source.excluded, *exclude)), len(listed), size, mine))
    return found


def _nothing(path: str) -> str:
    """Why a path names no file."""
    if store.fixed_root(path) != path:
        return "no file has such a name."
    if store.exists(path):
        return "an empty folder: no file in it, nor in folders below it."
    return "no such file or folder."


def _sources(path: str, files: Sequence[File], depth: int = 0) -> Iterable[tuple[str, Source, Sequence[File]]]:
    """Name, source and files of what one path holds."""
    root = store.fixed_root(path)
    if len(files) == 1 and files[0].path == path:
        kind = kind_of(path) or "tree"
        yield _name(path), _source(kind, path, files), files
        return
    by_kind = collections.defaultdict(list)
    for file in files:
        by_kind[kind_of(file.path)].append(file)
    below = {file.path[len(root) :].strip("/").split("/")[0] for file in files}
    data = [kind for kind in _KINDS if kind in by_kind]
    pages = by_kind["html"]
    texts = [file for file in files if not _NO_TEXT.search(file.path)]  # a manual may have as many pictures as pages
    if any(store.exists(store.join(root, name)) for name in _CHECKOUT) and not store.is_remote(root):
        yield _name(root), _source("tree", path, files), files
    elif 2 * sum(len(by_kind[kind]) for kind in data) >= len(files):
        for kind in data:
            few = by_kind[kind]
            alone = len(few) == len(files) or root != path
            where = path if alone else store.join(path, "**", _glob(few))
            yield _name(root) if len(data) == 1 else f"{_name(root)}-{kind}", _source(kind, where, few), few
    elif depth == 0 and root == path and data and len(below) > 1:
        for name in sorted(below):
            inside = store.join(path, name)
            yield from _sources(inside, [f for f in files if f"{f.path}/".startswith(f"{inside}/")], depth + 1)
    elif pages and 2 * len(pages) >= len(texts):
        yield _name(root), _source("html", path, files), files
    elif root == path and _glob(pages) != "*" and 2 * sum(f.size for f in pages) >= sum(f.size for f in texts):
        where = store.join(path, "**", _glob(pages))  # as manuals that come as pages and as their sources
        yield f"{_name(root)}-pages", _source("html", where, pages), pages
        rest = [file for file in files if kind_of(file.path) != "html"]
        yield f"{_name(root)}-text", Source("tree", path, exclude=(where,)), rest
    else:
        yield _name(root), _source("tree", path, files), files


def kind_of(path: str) -> str | None:
    """The format that a file's name speaks of; None for text and code.

    >>> kind_of("a/CC-1.warc.wet.gz"), kind_of("a.jsonl.zst"), kind_of("a.py")
    ('wet', 'jsonl', None)
    """
    for kind, pattern in _KINDS.items():
        if pattern.search(path):
            return kind
    return "html" if _PAGES.search(path) else None


def _glob(files: Sequence[File]) -> str:
    """A pattern of names that these files have: by the longest end that all share."""
    names = [file.path.rpartition("/")[2] for file in files]
    shared = itertools.takewhile(lambda signs: len(set(signs)) == 1, zip(*(name[::-1] for name in names), strict=False))
    end = "".join(signs[0] for signs in shared)[::-1]
    return f"*{end[end.find('.') :]}" if "." in end else "*"


def _name(path: str) -> str:
    """A source's name from a path."""
    bare = re.split(r"[*?\[]", path.rstrip("/"))[0].rstrip("/")
    last = bare.rpartition("/")[2].partition(".")[0]
    clean = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-_").lower()
    return clean or "source"


def _unused(name: str, used: set[str]) -> str:
    free, n = name, 2
    while free in used or free == "held_out":
        free, n = f"{name}-{n}", n + 1
    return free


def _source(kind: str, path: str, files: Sequence[File]) -> Source:
    """How to read files of a kind; of rows, by which columns."""
    more: dict[str, Any] = {}
    if kind in {"jsonl", "parquet"}:
        more = _columns(kind, files[0].path)
    elif kind in {"tar", "zip"}:
        more = {"inner": _inner(kind, files)}
    return Source(kind, path, **more)


def _columns(kind: str, path: str) -> dict[str, str]:
    """The fields of text, id and date; what is not found stays as it is by default."""
    if kind == "parquet":
        try:
            with store.open_input(path) as file:
                schema = pq.read_schema(file)
        except (pa.ArrowException, ValueError) as error:
            raise store.UserError(f"{path}: is no Parquet file: {error}") from error
        strings = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]
        lengths = dict.fromkeys(strings, 0)
    else:
        lengths = _fields(path)
    if not lengths:
        raise store.UserError(f"{path}: has no column of text in its first record.")
    known = {name.lower(): name for name in reversed(lengths)}
    longest = max(lengths, key=lambda name: (lengths[name], name == "text"))
    found = {"text": next((known[name] for name in _TEXT if name in known), longest)}
    named = next((known[name] for name in _ID if name in known and known[name] != found["text"]), None)
    dated = next((known[name] for name in ("date", "timestamp", "created", "published") if name in known), None)
    return found | ({"id": named} if named else {}) | ({"date": dated} if dated else {})


def _fields(path: str) -> dict[str, int]:
    """The fields of strings in the first record of JSON lines, and the length of each."""
    import json

    try:
        with store.open_input(path) as file:
            ends = {".gz": "gzip", ".zst": "zstd"}
            kind = next((name for end, name in ends.items() if path.endswith(end)), None)
            stream = pa.CompressedInputStream(file, kind) if kind else file
            line = bytes(stream.read(1 << 20)).split(b"\n", 1)[0]
        first = json.loads(line)
    except (pa.ArrowException, ValueError, RecursionError) as error:
        raise store.UserError(f"{path}: its first line is no JSON: {error}") from error
    pairs = first.items() if isinstance(first, dict) else ()
    return {name: len(value) for name, value in pairs if isinstance(value, str)}


def _inner(kind: str, files: Sequence[File]) -> str:
    """Whether an archive holds pages or source code, by the names of its first members."""
    source = Source(kind, files[0].path)
    names = []
    for batch in _batches(source, files[:1], {}, lambda _: None):
        names += batch.column("name").to_pylist()
        if len(names) >= RECORDS:
            break
    return "html" if 2 * sum(kind_of(name) == "html" for name in names) > len(names) else "tree"


def _batches(source: Source, files: Sequence[File], reject: dict[int, str], at: Callable[[int], None]) -> Any:
    for piece in source.slices(list(files), source.root(list(files))):
        yield from documents(source, piece, reject=reject, at=at, rows=50)


def look_into(found: Found) -> Seen:
    """Read some records of a source, in a child process.

    Raises:
        OSError: A file cannot be read now.
        UserError: The source cannot be read at all.
    """
    files = found.source.list_files()
    pieces = found.source.slices(files, found.source.root(files))
    chosen = sorted({n * (len(pieces) - 1) // max(1, SLICES - 1) for n in range(SLICES)})
    seen = Seen()
    for number in chosen:
        payload = {"source": asdict(found.source), "slice": pieces[number].to_json(), "records": RECORDS}
        seen.add(isolate.call(f"{__name__}:look", payload))
    return seen


def look(payload: dict[str, Any], *, at: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """What the first records of a slice are like, as plain values of `Seen`.

    Args:
        payload: `source` and `slice` (as JSON), `records` (at most), `reject` (reasons by ordinal of record).
        at: Called with the ordinal of each record before it is worked on.
    """
    source, piece = Source(**payload["source"]), Slice.from_json(payload["slice"])
    reject = {int(ordinal): reason for ordinal, reason in payload.get("reject", {}).items()}
    seen, raw, packed = Seen(), 0, zlib.compressobj(1)
    size, position, ended = 0, "", True
    for batch in documents(source, piece, reject=reject, at=at, rows=50):
        at(-1)
        seen.add(_describe(batch))
        raw += pc.sum(batch.column("bytes")).as_py()
        for text in batch.column("text").drop_null().slice(0, 10):
            size += len(packed.compress(text.as_py().encode()))
        position = batch.column("record")[-1].as_py()
        if seen.records >= payload["records"]:
            ended = False
            break
    size += len(packed.flush())
    seen.consumed = piece.bytes if ended else _consumed(source, piece, position, raw)
    return asdict(seen)


def _consumed(source: Source, piece: Slice, position: str, raw: int) -> int:
    """Bytes of a slice's files that were read up to a record: a WARC's says where it stands, others' by their size."""
    name, _, offset = position.rpartition(":")
    before = 0
    if source.format in {"warc", "wet"} and offset.isdigit():
        for file in piece.files:
            if file.name == name:
                return before + int(offset)
            before += file.size
    # text in columns or archives shrinks to some third
    return max(1, raw // 3 if source.format == "parquet" or _COMPRESSED.search(piece.files[0].name) else raw)


def _describe(batch: pa.RecordBatch) -> dict[str, Any]:
    """What a batch of documents is like."""
    lengths = pc.binary_length(batch.column("text")).fill_null(0)
    rejected = batch.filter(pc.equal(batch.column("outcome"), "rejected").fill_null(False))
    dropped = batch.filter(pc.equal(batch.column("outcome"), "dropped").fill_null(False))
    there = batch.filter(pc.is_valid(batch.column("text")))
    size = lengths.filter(pc.is_valid(batch.column("text")))
    said: dict[str, Any] = {
        "records": len(batch),
        "documents": len(there),
        "text_bytes": pc.sum(lengths).as_py() or 0,
        "rejected": dict(collections.Counter(rejected.column("reason").to_pylist())),
        "dropped": dict(collections.Counter(dropped.column("reason").to_pylist())),
    }
    if len(there):
        language = filters.build("fasttext", {"model": "lid.176.ftz"}).score(there)
        passes = pc.equal(filters.build("gopher", {}).score(there).column("reason"), "pass").fill_null(False)
        sure = pc.and_(passes, pc.greater_equal(language.column("probability"), 0.5).fill_null(False))
        said["gopher"] = pc.sum(size.filter(sure)).as_py() or 0
        said["languages"] = _summed(language.column("label"), size)
        said["file_types"] = _summed(there.column("file_type"), size)
        plain = pc.is_in(there.column("kind"), value_set=pa.array(["plain"]))
        said["plain"] = pc.sum(size.filter(plain)).as_py() or 0
    return said


def _summed(labels: pa.Array, sizes: pa.Array) -> dict[str, int]:
    table = (
        pa.table({"label": pc.cast(labels, pa.string()), "size": sizes}).group_by("label").aggregate([("size", "sum")])
    )
    rows = sorted(table.to_pylist(), key=lambda row: row["label"] or "")
    return {row["label"]: row["size_sum"] for row in rows if row["label"] is not None}
