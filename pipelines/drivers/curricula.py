"""The driver's side of curricula: which ladder each reorders, its plan, and the proof of its order."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import marks, store
from ..files.parts import read_all
from ..recount.result_files import begins_at
from ..stages.curriculum import ITEM, mean_difficulty, seat_seed
from ..stages.schedule import ONE
from ..study.curricula import settings_of
from . import shards
from .ladders import Ladder
from .manifest import SHARD
from .plan import FORMAT
from .pool import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..study.curricula import Curriculum
    from .plan import Plan
    from .pool import Pool

VERSION = 1
"""Raised whenever the same rung can give another order."""

ALL = "all"
"""The stratum of a curriculum's sequences where it does not keep the mixture: one may hold several strata."""


@dataclasses.dataclass(frozen=True)
class Ordered:
    """A curriculum, its documents placed.

    Attributes:
        name: Its name.
        rung: Name of the rung.
        recipe: Name of the recipe.
        settings: As the manifest tells them.
        ladder: What is packed: of one rung, over streams of its own.
        early: Documents, or sequences where documents are fitted to these, that came before the pace allowed them.
    """

    name: str
    rung: str
    recipe: str
    settings: dict[str, Any]
    ladder: Ladder
    early: int

    @property
    def folder(self) -> str:
        """Where its shards go, relative to the folder of the result."""
        return f"curricula/{self.name}/{self.rung}"

    @property
    def target(self) -> shards.Target:
        """Where shards and tables of documents go."""
        return shards.Target(self.ladder, f"{self.folder}/shards", f"{self.folder}/documents")


def order_documents(plan: Plan, pool: Pool, planned: dict[str, Ladder], clusters: str) -> list[Ordered]:
    """Order the documents of all curricula, in one exchange, except those for which that was done before.

    Args:
        plan: The plan.
        pool: The pool.
        planned: Ladders by the recipes' names.
        clusters: Folder of the clusters.

    Raises:
        UserError: A phase names a stratum that the rung does not have, or a stratum is in no phase.
    """
    drafts = [_Draft(plan, pool, name, one, planned[one.recipe]) for name, one in plan.study.settings.curricula.items()]
    todo = [draft for draft in drafts if not marks.is_done(draft.folder)]
    tasks, volume = [], 0
    for number, draft in enumerate(todo):
        tasks += pool.tasks(**draft.task, clusters=clusters, number=number)
        volume += sum(part.documents for part in pool.parts) * ITEM.itemsize
    reduces = [(f"{STAGES}.curriculum:arrange", {"curricula": [draft.wanted for draft in todo]})]
    written = lambda: sum(len(store.names(store.join(draft.folder, "classes"))) for draft in todo)  # noqa: E731
    with pool.report.stage("order", sum(len(draft.wanted["bases"]) for draft in todo), written):
        pool.engine.exchange("order", f"{STAGES}.curriculum:emit_documents", reduces, tasks, volume)
    for draft in todo:
        draft.write_plan(pool)
    return [draft.finish() for draft in drafts]


class _Draft:
    """A curriculum in the making."""

    def __init__(self, plan: Plan, pool: Pool, name: str, one: Curriculum, ladder: Ladder) -> None:
        self.name, self.one, self.source = name, one, ladder
        self.rung = plan.study.settings.rung_name(one.rung)
        self.length, self.piece = plan.study.settings.sequence_length, plan.study.settings.piece_tokens
        self.fits = plan.study.settings.packing == "best-fit"
        at = list(ladder.rungs).index(self.rung)
        self.sequences, self.counts = ladder.rungs[self.rung], ladder.counts[at]
        self.ends = ladder.ends(self.length)[at]
        classes = self._classes()
        tokens = np.bincount(classes, self.ends, max(classes) + 1).astype(np.int64)
        strata = list(range(len(tokens))) if one.mixed else [0] * len(tokens)
        bases = np.zeros(len(tokens), np.int64) if one.mixed else np.cumsum(tokens) - tokens
        self.settings = settings_of(one)
        where = plan.value(one.sort) if one.sort else None
        seed = seat_seed(plan.study.settings.seed, one.permutation)
        known = [ladder.identity, self.rung, self.settings, where, seed, classes, self.length]
        self.identity = store.fingerprint([FORMAT, VERSION, *known])
        self.folder = pool.store.path("curricula", self.identity)
        self.task = {
            "places": store.join(ladder.folder, "places"),
            "ends": self.ends,
            "available": [max(1, tokens) for tokens in ladder.available],
            "classes": classes,
            "where": where,
            "order": one.order,
            "seed": seed,
            "length": self.length if self.fits else 0,
        }
        bounds = {"strata": strata, "bases": bases.tolist(), "length": self.length if self.fits else 0}
        self.wanted: dict[str, Any] = {"folder": self.folder, **bounds, "settings": self.settings}

    def _classes(self) -> list[int]:
        """The class of each stratum: its own, its phase's, or the one that all share."""
        strata = self.source.strata
        if self.one.mixed:
            return list(range(len(strata)))
        if self.one.phases is None:
            return [0] * len(strata)
        where, found = f"curricula.{self.name}.phases", dict[str, int]()
        for n, phase in enumerate(self.one.phases):
            for named in phase:
                inside = [s for s in strata if s == named] or [s for s in strata if s.split("/")[0] == named]
                if not inside:
                    raise store.UserError(
                        f"{where}[{n}]: {self.one.recipe} has no stratum '{named}'. Its strata: {', '.join(strata)}."
                    )
                # a stratum that is named by itself does not go where its source goes
                found |= {s: n for s in inside if s == named or s not in found}
        outside = [s for s in strata if s not in found]
        if outside:
            raise store.UserError(
                f"{where}: {', '.join(outside)} of {self.one.recipe} in no phase. Name every stratum."
            )
        return [found[s] for s in strata]

    def _ladder(self) -> Ladder:
        mixed = self.one.mixed
        return Ladder(
            name=self.name,
            identity=self.identity,
            folder=self.folder,
            strata=self.source.strata if mixed else [ALL],
            weights=self.source.weights if mixed else [ONE],
            course=self.source.course if mixed else [],
            available=self.ends if mixed else [self.sequences * self.length],
            rungs={self.rung: self.sequences},
            counts=[self.counts if mixed else [self.sequences]],
        )

    def write_plan(self, pool: Pool) -> None:
        """Write what the writers of shards read, and mark the order as done."""
        folder, ladder = store.join(self.folder, "classes"), self._ladder()
        classes = read_all(store.read_json, [store.join(folder, name) for name in sorted(store.names(folder))])
        plan = {
            "strata": ladder.strata,
            "weights": ladder.weights,
            "course": ladder.course,
            "available": ladder.available,
            "groups": [group for one in classes for group in one["groups"]],
            "sequence_length": self.length,
            "dtype": pool.dtype,
            "difficulty": True,
            **({"piece": self.piece} if self.piece else {}),
            **({"fit": [], "padding": pool.tokenizer["end"]} if self.fits else {}),
        }
        store.write_json(store.join(self.folder, "plan.json"), plan)
        marks.mark(self.folder, {"early": sum(one["early"] for one in classes)}, ["order"])

    def finish(self) -> Ordered:
        """The curriculum, once its order stands."""
        early = store.read_json(store.join(self.folder, "done.json"))["early"]
        return Ordered(self.name, self.rung, self.one.recipe, self.settings, self._ladder(), early)


def describe(
    out: str, one: Ordered, packed: list[dict[str, Any]], length: int, piece: int = 0, *, fits: bool = False
) -> dict[str, Any]:
    """What the manifest tells of a curriculum: settings, sizes, shards, and how its order goes with the difficulty.

    Args:
        out: Folder of the result.
        one: The curriculum.
        packed: Its shards.
        length: Tokens in a sequence.
        piece: Tokens after which documents are cut, 0 where they are not; the pieces count as documents.
        fits: Whether documents are fitted to sequences.
    """
    tables = read_all(store.read_table, [store.join(out, shard["documents"]) for shard in packed])
    labels = [store.read_table(store.join(out, shard["path"]), ["stratum"]).column(0) for shard in packed]
    documents = pa.concat_tables(tables)
    stratum = pc.take(pa.chunked_array([chunk for column in labels for chunk in column.chunks]), documents["sequence"])
    begins = pa.array(begins_at(documents["offset"].to_numpy(), piece))
    difficulty = documents["difficulty"].filter(begins).to_numpy(zero_copy_only=False)
    stratum = stratum.filter(begins).combine_chunks()
    sequences = one.ladder.counts[0]
    strata: dict[str, dict[str, Any]] = {}
    for name, count in zip(one.ladder.strata, sequences, strict=True):
        mine = pc.equal(stratum, name).to_numpy(zero_copy_only=False)
        strata[name] = {"sequences": count, "tokens": count * length, "documents": int(mine.sum())}
        strata[name]["spearman"] = spearman(difficulty[mine])
    fitted = {}
    if fits:
        wholes = (documents["difficulty"].to_numpy(zero_copy_only=False), documents["length"].to_numpy())
        means = mean_difficulty(*wholes, documents["sequence"].to_numpy(), sum(sequences))
        fitted = {
            "padding_tokens": sum(sum(shard["padding"]) for shard in packed),
            "sequence_spearman": spearman(means),
        }
    return {
        "recipe": one.recipe,
        "rung": one.rung,
        **one.settings,
        "tokens": sum(sequences) * length,
        "sequences": sum(sequences),
        "documents": len(difficulty),
        "without_difficulty": int(np.isnan(difficulty).sum()),
        "early": one.early,
        "spearman": spearman(difficulty),
        **fitted,
        "strata": strata,
        "shards": [{key: shard[key] for key in SHARD} for shard in packed],
    }


def spearman(values: NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation between numbers and their places, ties at their mean rank; in exact arithmetic.

    Args:
        values: float64[n]; NaN is left out.

    Returns:
        From -1 to 1, rounded to nine digits; None where fewer than two different numbers are left.

    >>> spearman(np.array([1.0, 2.0, 2.0, 5.0])), spearman(np.array([3.0, 2.0, 1.0]))
    (0.948683298, -1.0)
    """
    values = values[~np.isnan(values)]
    n = len(values)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    ranks = (2 * np.cumsum(counts) - counts)[inverse] - n  # twice the mean rank, about its middle
    places = 2 * np.arange(n, dtype=np.int64) + 1 - n
    covariance, own, other = (_exact_sum(a, b) for a, b in ((ranks, places), (ranks, ranks), (places, places)))
    return round(float(Fraction(covariance, math.isqrt(own * other << 80))) * 2**40, 9)


def _exact_sum(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """The sum of products of numbers below 2**31, which in whole is beyond 64 bits."""
    largest = max(int(np.abs(one).max()), int(np.abs(other).max()), 1)
    starts = np.arange(0, len(one), max(1, (1 << 62) // largest**2))
    return sum(np.add.reduceat(one * other, starts).tolist())


def files_of(every: Sequence[Ordered], made: Sequence[dict[str, Any]]) -> set[str]:
    """Paths, relative to the folder of the result, of all files that curricula have there."""
    listed = {shard[key] for one in made for shard in one["shards"] for key in ("path", "documents")}
    return listed | {
        f".build/{one.folder}/shards/{n:05d}.json" for one, told in zip(every, made, strict=True)
        for n in range(len(told["shards"]))
    }  # fmt: skip
