"""Survey: what one part adds to the report: histograms, what each rule sees, overlaps of recipes, clusters, samples.

Nothing is compared between parts here, and all sums are of whole numbers, so that the driver can add parts up in any
order. A histogram's bins are the same for every study (`bin_of`), so that those of parts can be added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...filters.hashing import hash_text
from ..files import store
from ..files.parts import Part, Store, cluster_sizes, read_clusters
from ..files.schema import CLASS_STARTS, CLASSES, KEPT
from .edits import Editor
from .view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFT = np.uint64(47)
"""Bits below a bin: five of the mantissa are left, 32 bins an octave, so that a bin is 3 % of its value wide."""

LARGEST = 1e18
"""What lies beyond counts as this: a report has no use for infinity, and JSON no word."""

SAMPLES = 10
"""Records that a part gives for each reason of each recipe."""

SHOWN = 500
"""Characters of a sample's text."""

LABELS = 500
"""Labels of one score that a part tells, its most common ones; the report shows 20."""

CLUSTERS = 10
"""Clusters that a part tells, the largest ones that it has a document in."""

MEMBERS = 3
"""Names of documents that a part tells of a cluster."""

LEDGER = ["outcome", "reason", "survivor", "tokens", "first_rung"]


def bin_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the bin of each value; bins stand in the order of their values.

    Args:
        values: float64[n], none of them NaN.

    >>> bin_of(np.array([-0.5, 0.0, 0.5, 0.51, 1.0])).tolist()
    [-32705, 0, 32704, 32704, 32736]
    """
    numbers = (np.minimum(np.abs(values), LARGEST).view(np.uint64) >> SHIFT).astype(np.int64)
    return np.where(values < 0, -numbers - 1, numbers)


def lower_edge(number: int) -> float:
    """The least value of a bin; of one below zero, the greatest value that lies below the bin.

    >>> [lower_edge(n) for n in bin_of(np.array([-0.5, 0.0, 0.51, 1.0, 300.0])).tolist()]
    [-0.515625, 0.0, 0.5, 1.0, 296.0]
    """
    edge = float(np.array([abs(number) << int(SHIFT)], np.uint64).view(np.float64)[0])
    return -edge if number < 0 else edge


def survey_part(payload: dict[str, Any], **_: Any) -> None:
    """Write what one part adds to the report.

    Args:
        payload: `store`, `part`, `ordinal`, `source_ordinal`, `clusters` (folder), `values` and `labels` (places of
            columns by their address), `recipes` (for each its `name`, `recipe` as `choose` knows it, and `ledger`, a
            path), `edits` (`Pool.edits`), `samples` (whether this part gives any) and `path` of what is written.
    """
    place, part = Store(payload["store"]), Part(**payload["part"])
    exists = place.column(part, ("document",)).combine_chunks().is_valid().to_numpy(zero_copy_only=False)
    ledgers = {one["name"]: store.read_table(one["ledger"], LEDGER).combine_chunks() for one in payload["recipes"]}
    kept = {
        name: pc.equal(ledger.column("outcome"), KEPT).to_numpy(zero_copy_only=False)
        for name, ledger in ledgers.items()
    }
    values = {address: _numbers(place.column(part, where)) for address, where in payload["values"].items()}
    labels = {address: _texts(place.column(part, where)) for address, where in payload["labels"].items()}
    tokens = {name: _tokens(ledger) for name, ledger in ledgers.items()}
    groups = {"source": exists, **{f"recipe {name}": mask for name, mask in kept.items()}}
    store.write_json(
        payload["path"],
        {
            "values": {
                address: {group: _histogram(column, mask) for group, mask in groups.items()}
                for address, column in values.items()
            },
            "labels": {
                address: {group: _counted(column, mask) for group, mask in groups.items()}
                for address, column in labels.items()
            },
            "tokens": {name: _histogram(tokens[name].astype(np.float64), mask) for name, mask in kept.items()},
            "kept": {
                name: [int(mask.sum()), int(values["text_bytes"][mask].sum()), int(tokens[name][mask].sum())]
                for name, mask in kept.items()
            },
            "rules": {one["name"]: _rules({**payload, "recipe": one["recipe"]}) for one in payload["recipes"]},
            "overlaps": _overlaps(ledgers, kept, tokens),
            "clusters": _clusters(place, part, read_clusters(payload["clusters"], payload["ordinal"]), exists),
            "samples": _samples(place, part, payload, ledgers, {**values, **labels}) if payload["samples"] else {},
        },
    )


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    filled = pc.cast(column.combine_chunks(), pa.float64(), safe=False).fill_null(np.nan)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.float64)


def _texts(column: pa.ChunkedArray) -> pa.Array:
    return pc.cast(column.combine_chunks(), pa.string()).fill_null("none")


def _tokens(ledger: pa.Table) -> NDArray[np.int64]:
    filled = ledger.column("tokens").combine_chunks().fill_null(0)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def _histogram(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> list[list[int]]:
    """Number and count of each bin that has a value."""
    bins, counts = np.unique(bin_of(values[inside & ~np.isnan(values)]), return_counts=True)
    return np.stack([bins, counts], axis=1).tolist()  # type: ignore[no-any-return] # numpy's stubs: a list of lists


def _counted(labels: pa.Array, inside: NDArray[np.bool_]) -> dict[str, int]:
    found = pc.value_counts(labels.filter(pa.array(inside)))
    pairs = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:LABELS])


def _rules(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """What each rule of a recipe sees: all documents that it speaks about, and those that pass every other rule.

    Returns:
        For each rule `bins` (number of the bin, whether its values pass, documents and bytes, and those of documents
        that pass all else) and `labels` (by label documents and bytes, and those of documents that pass all else).
    """
    view = View(payload)
    rules = view.recipe["rules"]
    passes = [view.passes(n) for n in range(len(rules))]
    sizes = view.text_bytes.to_numpy(zero_copy_only=False).astype(np.int64)
    base = view.codes(0) == 0
    out = []
    for n, rule in enumerate(rules):
        told: dict[str, Any] = {"bins": [], "labels": {}}
        if rule["sources"] is None or view.part.source in rule["sources"]:
            others = np.logical_and.reduce([base, *(one for m, one in enumerate(passes) if m != n)])
            in_range = view.passes(n, {**rule, "labels": None})
            if rule["labels"] is not None:
                column = _texts(pa.chunked_array([view.column(rule["label"])]))
                told["labels"] = _seen_labels(column, base, others & in_range, sizes)
                others = others & view.passes(n, {**rule, "min": None, "max": None, "top": None})
            if any(rule[key] is not None for key in ("min", "max", "top")):
                numbers = view.ranked(rule) if rule["top"] is not None else view.values(rule["value"])
                told["bins"] = _seen_values(numbers, in_range, base, others, sizes)
        out.append(told)
    return out


def _seen_values(
    values: NDArray[np.float64],
    passes: NDArray[np.bool_],
    base: NDArray[np.bool_],
    others: NDArray[np.bool_],
    sizes: NDArray[np.int64],
) -> list[list[int]]:
    known = base & ~np.isnan(values)
    codes, at = np.unique(2 * bin_of(values[known]) + passes[known], return_inverse=True)
    weights = (np.ones_like(sizes), sizes, others.astype(np.int64), np.where(others, sizes, 0))
    # sums of whole numbers in float64 are exact below 2**53, and a part holds 2**27 bytes or little more
    sums = [np.bincount(at, weight[known], len(codes)).astype(np.int64) for weight in weights]
    return np.stack([codes // 2, codes % 2, *sums], axis=1).tolist()  # type: ignore[no-any-return] # a list of lists


def _seen_labels(
    labels: pa.Array, base: NDArray[np.bool_], others: NDArray[np.bool_], sizes: NDArray[np.int64]
) -> dict[str, list[int]]:
    columns = {"label": labels, "documents": np.ones_like(sizes), "bytes": sizes}
    columns |= {"others": others.astype(np.int64), "other_bytes": np.where(others, sizes, 0)}
    table = pa.table(columns).filter(pa.array(base))
    summed = table.group_by("label", use_threads=False).aggregate(
        [(name, "sum") for name in ("documents", "bytes", "others", "other_bytes")]
    )
    rows = summed.sort_by([("documents_sum", "descending"), ("label", "ascending")]).slice(0, LABELS).to_pylist()
    return {row["label"]: [row[f"{name}_sum"] for name in table.column_names[1:]] for row in rows}


def _overlaps(
    ledgers: dict[str, pa.Table], kept: dict[str, NDArray[np.bool_]], tokens: dict[str, NDArray[np.int64]]
) -> dict[str, dict[str, Any]]:
    """For each two recipes, documents and tokens that the first keeps, by what the second does with them."""
    out: dict[str, dict[str, Any]] = {}
    for name, mask in kept.items():
        for other, ledger in ledgers.items():
            if other != name:
                outcome = ledger.column("outcome").combine_chunks()
                why = pc.if_else(
                    pc.equal(outcome, "dropped"), pc.coalesce(ledger.column("reason").combine_chunks(), ""), ""
                )
                table = pa.table({"outcome": outcome, "reason": why, "tokens": tokens[name]}).filter(pa.array(mask))
                groups = table.group_by(["outcome", "reason"], use_threads=False)
                rows = groups.aggregate([("tokens", "count"), ("tokens", "sum")])
                rows = rows.sort_by([("outcome", "ascending"), ("reason", "ascending")]).to_pylist()
                out.setdefault(name, {})[other] = [
                    [row["outcome"], row["reason"], row["tokens_count"], row["tokens_sum"]] for row in rows
                ]
    return out


def _clusters(place: Store, part: Part, clusters: pa.Table, exists: NDArray[np.bool_]) -> dict[str, Any]:
    """Documents by the size of their cluster, and the largest clusters with some of their documents' names."""
    classes = np.searchsorted(CLASS_STARTS, cluster_sizes(clusters, part.rows)[exists], "right") - 1
    sizes = dict(zip(CLASSES, np.bincount(classes, minlength=len(CLASSES)).tolist(), strict=True))
    columns = ("row", "cluster", "leads", "size", "similarity")
    table = clusters.select(columns).filter(pc.greater(clusters.column("size"), 1))
    order = [("size", "descending"), ("cluster", "ascending"), ("leads", "descending"), ("row", "ascending")]
    table = table.sort_by(order)
    ids = table.column("cluster").to_pylist()
    largest: dict[str, dict[str, Any]] = {}
    names = place.column(part, ("name",)) if ids else None
    for n, one in enumerate(ids):
        if one.hex() not in largest:
            if len(largest) == CLUSTERS:
                break
            largest[one.hex()] = {"size": table.column("size")[n].as_py(), "members": []}
        members = largest[one.hex()]["members"]
        if names is not None and len(members) < MEMBERS:
            leads, similarity = table.column("leads")[n].as_py(), table.column("similarity")[n].as_py()
            name = names[table.column("row")[n].as_py()].as_py()
            members.append([not leads, part.source, name, round(similarity, 4)])
    return {"sizes": sizes, "largest": largest}


def _samples(
    place: Store, part: Part, payload: dict[str, Any], ledgers: dict[str, pa.Table], columns: dict[str, Any]
) -> dict[str, Any]:
    """A few records for each reason of each recipe, those of the least hash: which ones has nothing to do with them.

    Returns:
        `groups` (recipe, outcome and reason, with rows and their hashes) and `records` by row.
    """
    told = store.read_table(place.documents(part.id), ["document", "name", "record", "text_bytes"]).combine_chunks()
    order = hash_text(pc.binary_join_element_wise(told.column("name"), told.column("record"), "\n").combine_chunks())
    groups, rows = [], set[int]()
    for name, ledger in ledgers.items():
        why = [ledger.column(key).combine_chunks().fill_null("") for key in ("outcome", "reason")]
        joined = pc.dictionary_encode(pc.binary_join_element_wise(*why, "\n"))
        numbers = joined.indices.to_numpy()
        for number, group in enumerate(joined.dictionary.to_pylist()):
            inside = np.flatnonzero(numbers == number)
            first = inside[np.lexsort((inside, order[inside]))][:SAMPLES]
            groups.append([name, *group.split("\n", 1), [[int(order[row]), int(row)] for row in first]])
            rows.update(first.tolist())
    taken = np.array(sorted(rows), np.int64)
    text = place.column(part, ("text",)).take(pa.array(taken)).combine_chunks()
    shown = pc.utf8_slice_codeunits(Editor(place, part, payload["edits"]).edit(text, taken), 0, SHOWN)
    fates = {name: ledger.take(pa.array(taken)).to_pylist() for name, ledger in ledgers.items()}
    records = {}
    for n, (row, record) in enumerate(zip(taken.tolist(), told.take(pa.array(taken)).to_pylist(), strict=True)):
        records[str(row)] = {
            "source": part.source,
            "name": record["name"],
            "record": record["record"],
            "document": record["document"].hex() if record["document"] else None,
            "bytes": record["text_bytes"],
            "text": shown[n].as_py(),
            "scores": {address: _shown(column[row]) for address, column in columns.items()},
            "fates": {name: [fate[n][key] for key in LEDGER] for name, fate in fates.items()},
        }
    return {"groups": groups, "records": records}


def _shown(value: Any) -> str | float | None:
    if isinstance(value, pa.Scalar):
        return str(value.as_py())
    return None if np.isnan(value) else float(f"{value:.6g}")
