"""Census: how many documents of each host, top-level domain, year, licence and label there are, and which are kept.

Each part is grouped first, so that what travels are distinct values, not documents: one exchange by hash of the value.
All sums are of whole numbers, so that no order changes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.hashing import hash_text
from ...filters.provenance.hosts import hosts, top_level_domains
from ..files import store
from ..files.parts import Part, Store
from ..files.schema import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEYS = ("group", "stratum", "dimension", "value")
COUNTS = pa.schema([*((name, pa.string()) for name in KEYS), ("documents", pa.int64()), ("amount", pa.int64())])
"""Documents of a group (a recipe, or the pool) and stratum that have a value, and their bytes.

A score's mean is kept the same way: `dimension` is its address, `value` null, and `amount` a sum of millionths.
"""

POOL = ""
"""The group of all documents; no recipe has this name."""

MILLION = 1_000_000


def emit_counts(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The values of a part by range of their hash.

    Args:
        payload: `store`, `part`, `ordinal`, `labels` and `means` (places of columns by name), `recipes` (for each its
            `name`, its folder of `choices` and the paths of its `ledgers`), `ranges`.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    dimensions = _dimensions(place, part, payload["labels"])
    means = {name: place.column(part, where).combine_chunks() for name, where in payload["means"].items()}
    size = place.column(part, ("text_bytes",)).combine_chunks()
    tables = []
    for group, stratum, inside in _groups(place, part, payload):
        for name, values in dimensions.items():
            tables.append(_grouped(group, name, stratum, values, size, pc.and_(inside, pc.is_valid(values))))
        for name, values in means.items():
            millionths = pc.cast(pc.round(pc.multiply(pc.cast(values, pa.float64()), MILLION)), pa.int64())
            empty = pa.nulls(len(values), pa.string())
            tables.append(_grouped(group, name, stratum, empty, millionths, pc.and_(inside, pc.is_valid(values))))
    table = pa.concat_tables(tables).combine_chunks()
    bucket = hash_text(table.column("value").combine_chunks().fill_null("")) % np.uint64(payload["ranges"])
    for number in np.unique(bucket):
        yield int(number), _packed(table.filter(pa.array(bucket == number)))


def sum_counts(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The sums of one range of values, in their order, as a file of `COUNTS`."""
    table = _summed(pa.concat_tables([pa.ipc.open_stream(data).read_all() for data in values]))
    store.write_table(store.join(payload["folder"], "counts", f"{bucket:07d}.parquet"), table)
    return
    yield


def _dimensions(place: Store, part: Part, labels: dict[str, list[str]]) -> dict[str, pa.Array]:
    """What a document is counted by, where it is known."""
    host = hosts(place.column(part, ("name",)).combine_chunks())
    date = place.column(part, ("date",)).combine_chunks()
    year = pc.struct_field(pc.extract_regex(date, r"^(?P<year>[12][0-9]{3})(?:-|$)"), "year")
    found = {"host": host, "top_level_domain": top_level_domains(host), "year": year}
    found["licence"] = place.column(part, ("licence_id",)).combine_chunks()
    found |= {name: pc.cast(place.column(part, where).combine_chunks(), pa.string()) for name, where in labels.items()}
    return found


def _groups(place: Store, part: Part, payload: dict[str, Any]) -> Iterator[tuple[str, pa.Array, pa.Array]]:
    """Each group's name, the documents' strata, and which of them are in it."""
    exists = pc.is_valid(place.column(part, ("document",)).combine_chunks())
    for n, recipe in enumerate(payload["recipes"]):
        path = store.join(recipe["choices"], f"{payload['ordinal']:07d}.parquet")
        stratum = store.read_table(path, ["stratum"]).column(0).combine_chunks()
        if n == 0:  # strata are the same for every recipe
            yield POOL, stratum, exists
        outcome = store.read_table(recipe["ledgers"][payload["ordinal"]], ["outcome"]).column(0).combine_chunks()
        yield recipe["name"], stratum, pc.equal(outcome, KEPT)


def _grouped(  # noqa: PLR0917 each is a column
    group: str, dimension: str, stratum: pa.Array, values: pa.Array, amounts: pa.Array, inside: pa.Array
) -> pa.Table:
    rows = len(values)
    columns = [pa.repeat(pa.scalar(group), rows), stratum, pa.repeat(pa.scalar(dimension), rows), values]
    table = pa.table([*columns, pa.array(np.ones(rows, np.int64)), amounts], schema=COUNTS).filter(inside)
    return _summed(table)


def _summed(table: pa.Table) -> pa.Table:
    """One row for each combination of keys, in their order."""
    groups = table.group_by(list(KEYS), use_threads=False).aggregate([("documents", "sum"), ("amount", "sum")])
    groups = groups.rename_columns(COUNTS.names)
    return groups.sort_by([(name, "ascending") for name in KEYS]).cast(COUNTS)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
