"""Documents to train a classifier on: read, drawn by hash, without duplicates, balanced, and split without a leak."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...filters.duplicates.minhash import MinHash, band_hashes, signature_matrix
from ...filters.hashing import priorities
from ...filters.lists.evaluation_sets import records, strings
from ..files import store
from ..files.parts import Store
from ..stages.earlier import open_earlier
from ..stages.grouping import components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .quality_file import Documents, QualityFile, Scored

SIGNATURE = MinHash(unit="words", ngram=5, bands=14, rows=8)
"""Documents that share one band of it count as near duplicates: 94 % of pairs of similarity 0.8 do, 0.1 % of 0.3."""

_BATCH = 4096


@dataclass
class Drawn:
    """Documents of all classes.

    Attributes:
        texts: Of the documents.
        labels: The number of each one's label (int64).
        held_out: Whether each is kept from training (bool).
        ids: BLAKE2b of 16 bytes of each text.
        counts: By label: `read`, `drawn` (of them, by the seed), `empty`, `copies`, `near_duplicates`,
            `contradicting` (copies and near duplicates of a document of another class), `train` and `held_out`.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    ids: list[bytes]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def draw(wanted: QualityFile) -> Drawn:
    """Read, draw, clean, balance and split the documents of a file.

    Of documents that equal or nearly equal each other the one with the least hash stays, none if their classes differ;
    so none stands on both sides of the split, and none twice.

    Raises:
        UserError: Files or builds cannot be read, or a class has too few documents.
    """
    labels = wanted.labels
    counts = {label: dict.fromkeys(_COUNTS, 0) for label in labels}
    pools = [_Pool(wanted.seed, wanted.per_class) for _ in labels]
    for number, text in _texts(wanted, labels):
        counts[labels[number]]["read"] += 1
        if text.strip():
            pools[number].add(text)
        else:
            counts[labels[number]]["empty"] += 1
    for label, pool in zip(labels, pools, strict=True):
        counts[label]["copies"] += pool.prune()
        counts[label]["drawn"] = len(pool.rows)
    rows = sorted(
        (priority, identity, number, text)
        for number, pool in enumerate(pools)
        for identity, (priority, text) in pool.rows.items()
    )
    kinds = np.array([row[2] for row in rows], np.int64)
    stays = _without_duplicates([row[3] for row in rows], kinds, labels, counts)
    most = [min(wanted.per_class, int(np.count_nonzero(stays & (kinds == n)))) for n in range(len(labels))]
    if wanted.scored is None:  # numbers keep their shares: the mean over classes is what is learnt
        most = [min(most)] * len(labels)
    chosen = np.zeros(len(rows), np.bool_)
    held = np.zeros(len(rows), np.bool_)
    for number, label in enumerate(labels):
        mine = np.flatnonzero(stays & (kinds == number))[: most[number]]
        measured = round(len(mine) * wanted.held_out)
        if measured < 1 or measured == len(mine):
            told = ", ".join(f"{name} {count}" for name, count in counts[label].items() if count)
            raise store.UserError(
                f"classes.{label}: {len(mine)} documents are left ({told or 'none was read'}), too few to train on and "
                f"to measure with {wanted.held_out:g} of them. Give more documents"
            )
        chosen[mine] = True
        held[mine[:measured]] = True
        counts[label].update(train=len(mine) - measured, held_out=measured)
    order = np.flatnonzero(chosen)
    return Drawn([rows[n][3] for n in order], kinds[order], held[order], [rows[n][1] for n in order], counts)


_COUNTS = ("read", "empty", "drawn", "copies", "near_duplicates", "contradicting", "train", "held_out")


class _Pool:
    """The documents of a class with the least hashes, each text once."""

    def __init__(self, seed: int, most: int) -> None:
        self.rows: dict[bytes, tuple[int, str]] = {}
        self._seed = seed
        self._most = 2 * most  # some will turn out to be duplicates
        self._new: list[str] = []
        self._copies = 0

    def add(self, text: str) -> None:
        self._new.append(text)
        if len(self._new) >= _BATCH:
            self._settle()

    def prune(self) -> int:
        """Settle what was added; how many copies were left out."""
        self._settle()
        return self._copies

    def _settle(self) -> None:
        ids = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in self._new]
        order = priorities(pa.array(ids, pa.binary(16)), self._seed).tolist()
        for identity, priority, text in zip(ids, order, self._new, strict=True):
            self._copies += identity in self.rows
            self.rows[identity] = priority, text
        self._new = []
        if len(self.rows) > self._most:
            least = sorted(self.rows.items(), key=lambda row: (row[1][0], row[0]))[: self._most]
            self.rows = dict(least)


def _without_duplicates(
    texts: list[str], kinds: NDArray[np.int64], labels: list[str], counts: dict[str, dict[str, int]]
) -> NDArray[np.bool_]:
    """Which documents stay; they come in the order in which the first of equals stays."""
    edges = []
    hashes = np.concatenate([_bands(texts[n : n + _BATCH]) for n in range(0, len(texts), _BATCH)])
    for band in hashes.T:
        order = np.argsort(band, kind="stable")
        same = (band[order][1:] == band[order][:-1]) & (band[order][1:] != 0)
        edges.append(np.stack([order[:-1][same], order[1:][same]], axis=1))
    members, leaders = components(np.concatenate(edges).astype(np.uint64))
    group = np.arange(len(texts))
    group[members.astype(np.int64)] = leaders.astype(np.int64)
    mixed = np.zeros(len(texts), np.bool_)
    mixed[group[kinds[group] != kinds]] = True
    contradicts = mixed[group]
    if labels and _are_numbers(labels):  # two who judge one document may differ by a point
        contradicts[:] = False
    stays: NDArray[np.bool_] = (group == np.arange(len(texts))) & ~contradicts
    for number, label in enumerate(labels):
        mine = kinds == number
        counts[label]["contradicting"] = int(np.count_nonzero(mine & contradicts))
        counts[label]["near_duplicates"] = int(np.count_nonzero(mine & ~contradicts & ~stays))
    return stays


def _are_numbers(labels: list[str]) -> bool:
    return all(label.lstrip("-").replace(".", "", 1).isdigit() for label in labels)


def _bands(texts: list[str]) -> NDArray[np.uint64]:
    """Hashes of bands, 0 for a text without words."""
    signed = SIGNATURE.score(pa.record_batch({"text": pa.array(texts, pa.string())})).column("signature")
    hashes = band_hashes(signature_matrix(signed), SIGNATURE.bands, SIGNATURE.rows)
    hashes[np.asarray(signed.is_null())] = 0
    return hashes


def _texts(wanted: QualityFile, labels: list[str]) -> Iterator[tuple[int, str]]:
    """Every text with the number of its label."""
    if wanted.scored is not None:
        yield from _scored(wanted.scored)
        return
    for number, label in enumerate(labels):
        for n, documents in enumerate((wanted.classes or {})[label]):
            where = f"classes.{label}[{n}]"
            found = _built(documents, where) if documents.build else _files(documents, where)
            for text in found:
                yield number, text


def _files(documents: Documents, where: str) -> Iterator[str]:
    for record, path in _every(documents.path, where):
        yield _joined(record, documents.text, path)


def _scored(documents: Scored) -> Iterator[tuple[int, str]]:
    bins = np.array(documents.bins)
    for record, path in _every(documents.path, "scored"):
        value = record.get(documents.score)
        if isinstance(value, bool) or not isinstance(value, int | float):
            have = ", ".join(record) or "none"
            raise store.UserError(
                f"scored.score: a record of {path} has no number in {documents.score!r}; its fields are {have}"
            )
        yield int(np.argmin(np.abs(bins - value))), _joined(record, documents.text, path)


def _every(paths: tuple[str, ...], where: str) -> Iterator[tuple[dict[str, Any], str]]:
    for path in paths:
        files = [name for name in sorted(glob.glob(path, recursive=True)) if Path(name).is_file()]
        if not files:
            raise store.UserError(f"{where}.path: {path}: there is no such file")
        for name in files:
            try:
                for record in records(name):
                    yield record, name
            except ValueError as error:
                raise store.UserError(f"{where}.path: {error}") from error


def _joined(record: dict[str, Any], fields: tuple[str, ...], path: str) -> str:
    for name in fields:
        if name not in record:
            have = ", ".join(record) or "none"
            raise store.UserError(f"text: a record of {path} has no field {name!r}; its fields are {have}")
    return "\n\n".join(text for name in fields for text in strings(record[name]))


def _built(documents: Documents, where: str) -> Iterator[str]:
    """Texts of a build's documents: of a recipe, of a source, or of both."""
    out = documents.build or ""
    place = Store(documents.store or store.join(out, ".store"))
    try:
        earlier = open_earlier(out, {}, place)
    except store.UserError as error:
        raise store.UserError(f"{where}.build: {error}") from error
    recipes = store.read_json(store.join(out, "manifest.json"))["recipes"]
    known = {part.source for part in earlier.parts}
    for key, given, names in (("recipe", documents.recipe, recipes), ("source", documents.source, known)):
        if given is not None and given not in names:
            raise store.UserError(f"{where}.{key}: {out} has no {key} {given!r}; it has {', '.join(sorted(names))}")
    for part, ledgers in zip(earlier.parts, earlier.ledgers, strict=True):
        if documents.source is not None and part.source != documents.source:
            continue
        wanted = None
        if documents.recipe is not None:
            ledger = store.read_table(ledgers[list(recipes).index(documents.recipe)], ["document", "outcome"])
            rows = ledger.filter(pa.compute.equal(ledger.column("outcome"), documents.outcome))
            wanted = {bytes.fromhex(one) for one in rows.column("document").to_pylist() if one is not None}
        with store.open_input(earlier.place.documents(part.id)) as file:
            for batch in pq.ParquetFile(file).iter_batches(_BATCH, columns=["document", "text"], use_threads=False):
                for identity, text in zip(batch["document"].to_pylist(), batch["text"].to_pylist(), strict=True):
                    if text is not None and (wanted is None or identity in wanted):
                        yield text
