"""Lookup: which rows of the pool have an id or a name, found without reading the pool.

The index belongs to the pool, so all recipes and all studies over it share one. It holds a hash of each document's id,
of each name, and of the last one and two components of each name, so that `json/decoder.py` finds every path that ends
so. Entries are sorted in files by range of hash; of ten million documents a question reads one row group of one file.
What is found are candidates: who asks compares the names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...filters.hashing import hash_bytes, hash_text
from ..files import store
from ..files.parts import Part, Store
from . import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

VERSION = 1
"""Raised whenever the same pool would give another index."""

DOCUMENTS_PER_FILE = 1 << 20
"""Up to four entries of 16 bytes each: 64 MB a group, and several times that while it is sorted."""

ROW_GROUP = 1 << 14

ENTRY = np.dtype([("hash", "<u8"), ("key", "<u8")])

COMPONENTS = (1, 2)
"""Ends of a name that are found: so many of its components."""

_END = re.compile(r"(?s).*/([^/]+/[^/]+)$")


def ends(names: pa.Array, components: int) -> pa.Array:
    """The last so many components of names; a name of no more stays whole.

    >>> ends(pa.array(["a/b/c.py", "c.py"]), 2).to_pylist()
    ['b/c.py', 'c.py']
    """
    wanted = "/".join(["([^/]+)"] * components)
    slots = "/".join(rf"\{n + 1}" for n in range(components))
    return pc.replace_substring_regex(names, rf"(?s)^.*/{wanted}$", slots)


def stripped(names: pa.Array) -> pa.Array:
    """Names without slashes at their end: an address is the same with and without one."""
    return pc.utf8_rtrim(names, "/")


def emit_entries(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Entries of one part, by file of the index.

    Args:
        payload: `store`, `part`, `ordinal`, `files` (how many the index has).
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    documents = place.column(part, ("document",)).combine_chunks()
    names = stripped(place.column(part, ("name",)).combine_chunks())
    rows = keys.keys(payload["ordinal"], np.arange(part.rows))
    exists = documents.is_valid().to_numpy(zero_copy_only=False)
    whole = hash_text(names)
    hashes, owners = [keys.id_array(documents)["high"][exists].astype("<u8"), whole], [rows[exists], rows]
    known = [whole]
    for components in COMPONENTS:
        found = hash_text(ends(names, components))
        new = np.logical_and.reduce([found != other for other in known])
        known.append(found)
        hashes.append(found[new])
        owners.append(rows[new])
    packed = np.empty(sum(map(len, hashes)), ENTRY)
    packed["hash"], packed["key"] = np.concatenate(hashes), np.concatenate(owners)
    yield from keys.split(packed, _file_of(packed["hash"], payload["files"]))


def _file_of(hashes: NDArray[np.uint64], files: int) -> NDArray[np.int64]:
    """The file of each hash: ranges of equal width, in order."""
    return ((hashes >> np.uint64(32)) * np.uint64(files) >> np.uint64(32)).astype(np.int64)


def sort_entries(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Write one file of the index: `hash` and `key`, sorted by both."""
    packed = keys.joined(values, ENTRY)
    packed = packed[np.lexsort((packed["key"], packed["hash"]))]
    table = pa.table({name: packed[name] for name in ENTRY.names or ()})
    store.write_table(
        store.join(payload["folder"], f"{bucket:05d}.parquet"),
        table,
        row_group_size=ROW_GROUP,
        use_dictionary=False,
        column_encoding=dict.fromkeys(table.column_names, "DELTA_BINARY_PACKED"),
        compression="none",
        compression_level=None,
    )
    return
    yield


def find(folder: str, hashed: int) -> NDArray[np.uint64]:
    """Keys of the rows that have this hash, ascending; uint64 of shape (n,).

    Args:
        folder: The index.
        hashed: Of an id (its first half) or of a name (`hash_name`).
    """
    files = store.read_json(store.join(folder, "done.json"))["files"]
    number = int(_file_of(np.array([hashed], np.uint64), files)[0])
    path = store.join(folder, f"{number:05d}.parquet")
    if not store.exists(path):
        return np.zeros(0, np.uint64)
    with store.open_parquet(path) as table:
        groups = _groups_with(table.metadata, hashed)
        found = table.read_row_groups(list(groups), use_threads=False)
    hashes = found.column("hash").to_numpy()
    low, high = np.searchsorted(hashes, np.uint64(hashed)), np.searchsorted(hashes, np.uint64(hashed), "right")
    return found.column("key").to_numpy()[low:high]  # type: ignore[no-any-return] # an array


def _groups_with(metadata: pq.FileMetaData, hashed: int) -> range:
    """The row groups that may hold a hash."""

    def first_where(bound: str, *, beyond: bool) -> int:
        low, high = 0, metadata.num_row_groups
        while low < high:
            middle = (low + high) // 2
            value = getattr(metadata.row_group(middle).column(0).statistics, bound)
            if value > hashed or (not beyond and value == hashed):
                high = middle
            else:
                low = middle + 1
        return low

    return range(first_where("max", beyond=False), first_where("min", beyond=True))


def hash_name(name: str) -> int:
    """The hash of a name, or of the end of one."""
    return hash_bytes(name.rstrip("/").encode())


def hash_end(name: str) -> int:
    """The hash of the longest end of a name that the index holds."""
    found = _END.match(name.rstrip("/"))  # as `ends` has it; one name as an Arrow array would load pandas
    return hash_name(found[1] if found else name)
