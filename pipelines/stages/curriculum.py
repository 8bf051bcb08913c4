"""Curriculum: the documents of one rung in another order, each with exactly the tokens that it has in the rung.

A difficulty puts the documents in a row. Then, by the study's choice, they stay so, or the row is cut into buckets that
are shuffled, or gone through in sweeps, or drawn from at a pace: a pacing function says which share of the row, from
its beginning, may be drawn at each place of the stream (Bengio et al. 2009; Hacohen and Weinshall 2019,
https://arxiv.org/abs/1904.03626). Those authors draw with repetition; here each document comes as often as in the rung,
so that where the pace allows fewer documents than the stream needs the next ones come early, and are counted.

One exchange, grouped by *class* (all, a phase, or a stratum), of 76 bytes a document. A class is ordered as a whole, in
some 250 bytes a document: 2.5 GB for ten million of them, a rung of some ten billion tokens.

Where documents are fitted to sequences, sequences are ordered in their place, each as it stands in the rung: as
difficult as its tokens in the mean, its seat that of its first document. Documents that were ordered and then fitted
again would come to another number of sequences than the rung has.
"""

from __future__ import annotations

import heapq
import itertools
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...filters.hashing import fmix64, mix64
from ...filters.kernels import kernel
from ..files import store
from ..files.parts import Part, Store, cluster_sizes, read_clusters
from . import keys, order_files
from .ladder import GROUP_DOCUMENTS
from .view import descending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

ITEM = np.dtype(
    [
        ("value", "<u8"),
        ("seat", "<u8"),
        ("pass", "<u4"),
        ("id", keys.ID),
        ("tie", "<u8"),
        ("key", "<u8"),
        ("tokens", "<i8"),
        ("start", "<i8"),
        ("difficulty", "<f8"),
    ]
)
FITTED = np.dtype([*ITEM.descr, ("stratum", "<u2"), ("sequence", "<i8"), ("place", "<i8")])
"""The same with the sequence of the stratum's stream that holds it, over all passes, and its place there."""

LAST = np.uint64(2**64 - 1)


def seat_seed(seed: int, permutation: int) -> int:
    """The seed of a curriculum's shuffles and ties; unrelated to the order of documents in the stream.

    >>> seat_seed(17, 0) != seat_seed(17, 1)
    True
    """
    return int(mix64(0x6375_7272, np.array([seed], np.uint64), np.array([permutation], np.uint64))[0])


def emit_documents(payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The documents of a part that stand in the rung, once for each pass in which they do, by class.

    Args:
        payload: `store`, `part`, `ordinal`, `source_ordinal`; `places` (folder of the ladder's), `ends` and `available`
            (tokens of each stratum in the rung, and in one pass), `classes` (of each stratum), `where` (place of the
            difficulty's column, `["tokens"]`, or None), `clusters` (folder), `order`, `seed`, `number` of the
            curriculum, and `length`: tokens in a sequence where documents are fitted to sequences, else 0.
    """
    path = store.join(payload["places"], f"{payload['ordinal']:07d}.parquet")
    if not store.exists(path):
        return
    place, part = Store(payload["store"]), Part(**payload["part"])
    places = store.read_table(path)
    stratum = places.column("stratum").to_numpy().astype(np.int64)
    ends, available = (np.array(payload[key], np.int64)[stratum] for key in ("ends", "available"))
    offsets, lengths = places.column("offset").to_numpy(), places.column("tokens").to_numpy()
    times = np.where(offsets < ends, -(-(ends - offsets) // available), 0)  # passes that reach its beginning
    at = np.repeat(np.arange(len(times)), times)
    passes = np.arange(len(at)) - np.repeat(np.cumsum(times) - times, times)
    rows = places.column("row").to_numpy().astype(np.int64)
    ids = keys.id_array(place.column(part, ("document",)))[rows]
    difficulty = _difficulty(payload, place, part, rows, lengths)
    items = np.empty(len(at), FITTED if payload["length"] else ITEM)
    items["difficulty"] = difficulty[at]
    items["value"] = _value(difficulty, payload["order"])[at]
    items["seat"] = mix64(payload["seed"], ids["high"].astype("<u8"), ids["low"].astype("<u8"))[at]
    starts = places.column("start").to_numpy()[at] if "start" in places.column_names else np.zeros(len(at), np.int64)
    items["seat"] ^= fmix64(passes.astype(np.uint64)) ^ fmix64(starts.astype(np.uint64) << np.uint64(32))  # first: 0
    items["start"] = starts
    items["pass"] = passes
    items["id"] = ids[at]
    items["tie"] = keys.ties(place, part, payload["source_ordinal"])[rows][at]
    items["key"] = keys.keys(payload["ordinal"], rows)[at]
    items["tokens"] = np.minimum(lengths[at], ends[at] - passes * available[at] - offsets[at])
    if payload["length"]:
        items["stratum"] = stratum[at]
        items["sequence"], items["place"] = np.divmod(passes * available[at] + offsets[at], payload["length"])
    classes = np.array(payload["classes"], np.int64)[stratum[at]]
    yield from keys.split(items, keys.numbered(payload["number"], classes))


def _difficulty(
    payload: dict[str, Any], place: Store, part: Part, rows: NDArray[np.int64], tokens: NDArray[np.int64]
) -> NDArray[np.float64]:
    where = payload["where"]
    if where is None:
        return np.full(len(rows), np.nan)
    if where == ["tokens"]:
        return tokens.astype(np.float64)
    if where == ["cluster.size"]:
        sizes = cluster_sizes(read_clusters(payload["clusters"], payload["ordinal"]), part.rows)
        return sizes[rows].astype(np.float64)
    column = place.column(part, where).cast(pa.float64(), safe=False).fill_null(np.nan)
    values: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    return values[rows]


def _value(difficulty: NDArray[np.float64], order: str) -> NDArray[np.uint64]:
    """Unsigned integers in the wanted order; a document without a difficulty comes last, either way."""
    if order == "random":
        return np.zeros(len(difficulty), np.uint64)
    down = descending(difficulty)
    return down if order == "descending" else np.where(down == LAST, LAST, ~down)


def arrange(bucket: int, values: Iterable[bytes], payload: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Put one class in order, and write where each document stands in its stream.

    Writes `order/CLASS-NUMBER.parquet`: `key`, `id`, `offset`, `tokens`, `start`, `difficulty`; and
    `classes/CLASS.json`: the files as `groups` of `write_shard`, and `early`, the documents that came before the pace
    allowed them.

    Args:
        bucket: Number of the curriculum, and of the class.
        values: What `emit_documents` yields.
        payload: `curricula`: of each `folder`, `strata` and `bases` (by class: the stratum's number, and its tokens
            before the class), `length` as in `emit_documents`, and what `settings_of` tells.
    """
    number, one_class = keys.unnumbered(bucket)
    wanted = payload["curricula"][number]
    base, length = wanted["bases"][one_class], wanted["length"]
    items = keys.joined(values, FITTED if length else ITEM)
    if length:
        items, whole, index = sequences_of(items, length, wanted["settings"]["order"])
        order, early = _ordered(whole, wanted["settings"])
        offsets = base + np.argsort(order)[index] * length + items["place"]
        order = np.argsort(offsets)
        items, offsets = items[order], offsets[order]
        end = base + len(whole) * length
    else:
        order, early = _ordered(items, wanted["settings"])
        items = items[order]
        end = base + int(items["tokens"].sum())
        offsets = base + np.cumsum(items["tokens"]) - items["tokens"]
    starts = np.flatnonzero(items["place"] == 0) if length else np.arange(len(items))
    ends = np.append(offsets, end)
    listed = []
    for n, (first, stop) in enumerate(itertools.pairwise(_bounds(starts, len(items)))):
        some = items[first:stop]
        columns = {
            "key": some["key"],
            "id": keys.id_column(some["id"]),
            "offset": offsets[first:stop],
            "tokens": some["tokens"],
            "start": some["start"],
            "difficulty": some["difficulty"],
        }
        name = f"{one_class:05d}-{n:05d}"
        order_files.write(order_files.path_of(wanted["folder"], name), columns)
        group = {"stratum": wanted["strata"][one_class], "base": int(ends[first]), "name": name}
        listed.append({**group, "tokens": int(ends[stop] - ends[first])})
    path = store.join(wanted["folder"], "classes", f"{one_class:05d}.json")
    store.write_json(path, {"groups": listed, "early": early})
    return
    yield


def _bounds(starts: NDArray[np.int64], count: int) -> list[int]:
    """Rows at which files begin and end: of some `GROUP_DOCUMENTS` each, none of which cuts what is ordered."""
    at = np.searchsorted(starts, np.arange(0, count, GROUP_DOCUMENTS))
    return [*np.unique(starts[at[at < len(starts)]]).tolist(), count]


def _ordered(items: NDArray[Any], settings: dict[str, Any]) -> tuple[NDArray[np.int64], int]:
    """The order of some items, and how many of them came before the pace allowed it."""
    ids = items["id"]
    rank = (
        items["start"],
        items["key"],
        items["tie"],
        ids["low"],
        ids["high"],
        items["pass"],
        items["seat"],
        items["value"],
    )
    ranked = np.lexsort(rank)
    order, early = place_items(items["tokens"][ranked], items["seat"][ranked], settings)
    return ranked[order], early


def sequences_of(items: NDArray[Any], length: int, order: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """What is ordered where documents are fitted to sequences: sequences, each as difficult as its tokens in the mean.

    Args:
        items: `FITTED` of shape (n,): pieces of documents.
        length: Tokens in a sequence.
        order: `ascending`, `descending` or `random`.

    Returns:
        The pieces as they stand in their sequences; for each sequence its first piece, with all of its tokens and the
        mean difficulty of those that have one; and int64 of shape (n,), the sequence of each piece.
    """
    items = items[np.lexsort((items["place"], items["sequence"], items["stratum"]))]
    new = np.r_[True, np.diff(items["sequence"]) != 0][: len(items)]
    new[1:] |= np.diff(items["stratum"].astype(np.int64)) != 0
    whole, index = items[new], np.cumsum(new) - 1  # the first is a copy
    whole["difficulty"] = mean_difficulty(items["difficulty"], items["tokens"], index, len(whole))
    whole["value"] = _value(whole["difficulty"], order)
    whole["tokens"] = length
    return items, whole, index


def mean_difficulty(
    difficulty: NDArray[np.float64], tokens: NDArray[np.int64], index: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """The mean difficulty of the tokens of each sequence, without documents that have none; NaN where none has one.

    Sums go from one document to the next, so that every machine agrees.

    >>> mean_difficulty(np.array([1.0, 4.0, np.nan]), np.array([10, 20, 5]), np.array([0, 0, 1]), 2)
    array([ 3., nan])
    """
    known = ~np.isnan(difficulty)
    index, tokens = index[known], tokens[known]
    with np.errstate(invalid="ignore"):  # none at all, or infinities of both signs
        return np.bincount(index, tokens * difficulty[known], count) / np.bincount(index, tokens, count)


def place_items(
    tokens: NDArray[np.int64], seats: NDArray[np.uint64], settings: dict[str, Any]
) -> tuple[NDArray[np.int64], int]:
    """The order in which sorted documents are trained on.

    Args:
        tokens: int64[n], of each document, the least difficult first.
        seats: uint64[n]; the least goes first where chance decides.
        settings: Of `study_curricula.settings_of`: `pace` with `start`, `full_at` and `steps`; `buckets`; or `sweeps`.

    Returns:
        int64[n], the documents by their places in `tokens`; and how many were drawn before the pace allowed them.

    >>> place_items(np.array([5, 5, 5, 5]), np.zeros(4, np.uint64), {"sweeps": 2})[0].tolist()
    [0, 2, 1, 3]
    """
    total = int(tokens.sum())
    before = np.cumsum(tokens) - tokens
    if "pace" in settings:
        order = np.empty(len(tokens), np.int64)
        early = int(_draw(releases(before, total, settings), seats, tokens, order))
        return order, early
    if "buckets" in settings:
        buckets = settings["buckets"]
        shares = [Fraction(1, buckets)] * buckets if isinstance(buckets, int) else [Fraction(str(n)) for n in buckets]
        bounds = np.array([int(sum(shares[: n + 1]) * total) for n in range(len(shares) - 1)], np.int64)
        return np.lexsort((seats, np.searchsorted(bounds, before, side="right"))), 0
    places = np.arange(len(tokens))
    if "sweeps" in settings:
        return np.argsort(places % settings["sweeps"], kind="stable"), 0
    return places, 0


def releases(before: NDArray[np.int64], total: int, settings: dict[str, Any]) -> NDArray[np.int64]:
    """How many tokens of the stream come before each document may be drawn.

    With the share `x` of the stream behind, the first `g(x)` of the row may be drawn, in tokens: with `a` = `start`,
    `T` = `full_at` and `k` = `steps`, for `x < T`

    * `linear`: `a + (1 - a) x / T`
    * `root`: `sqrt(a² + (1 - a²) x / T)` (Platanios et al. 2019, https://arxiv.org/abs/1903.09848)
    * `step`: `a + (1 - a) j / k`, with `j = floor(k x / T)`
    * `exponential`: `a^(1 - j / k)`: the share grows by one factor at each step.

    Args:
        before: int64[n], tokens before each document in the row, ascending.
        total: Tokens of the row.
        settings: `pace`, `start`, `full_at` and, for the last two, `steps`.

    Returns:
        int64[n], ascending. Only additions, multiplications and divisions of float64 decide, so every machine agrees.

    >>> linear = {"pace": "linear", "start": 0.5, "full_at": 0.5}
    >>> releases(np.array([0, 50, 75]), 100, linear).tolist()
    [0, 0, 25]
    """
    start, full_at = settings["start"], settings["full_at"]
    share = before / max(total, 1)
    if settings["pace"] == "linear":
        when = np.maximum(share - start, 0.0) / max(1.0 - start, 1e-9)
    elif settings["pace"] == "root":
        when = np.maximum(share * share - start * start, 0.0) / max(1.0 - start * start, 1e-9)
    else:
        levels = np.array(_levels(settings["pace"], start, settings["steps"]))
        when = np.searchsorted(levels, share, side="right") / settings["steps"]
    released: NDArray[np.int64] = np.floor(np.minimum(when, 1.0) * full_at * total).astype(np.int64)
    return released


def _levels(pace: str, start: float, steps: int) -> Sequence[float]:
    """Shares that may be drawn before each step; decimals give the same powers on every machine."""
    first = Decimal(str(start))
    if pace == "step":
        return [float(first + (1 - first) * j / steps) for j in range(steps)]
    return [float(first ** (1 - Decimal(j) / steps)) for j in range(steps)]


@kernel
def _draw(released: Any, seats: Any, tokens: Any, order: Any) -> int:
    waiting = [(seats[0], np.int64(0)) for _ in range(0)]
    following, position, early = np.int64(0), 0, 0
    for n in range(len(order)):
        while following < len(order) and released[following] <= position:
            heapq.heappush(waiting, (seats[following], following))
            following += 1
        if len(waiting) == 0:  # the pace allows fewer than the stream needs: the next one comes early
            order[n] = following
            following += 1
            early += 1
        else:
            order[n] = heapq.heappop(waiting)[1]
        position += tokens[order[n]]
    return early
