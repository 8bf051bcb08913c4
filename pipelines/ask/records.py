"""Records of a result that fit a description: of a recipe, rung, stratum, source, outcome or rule, by its ledgers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..files import store
from ..files.schema import OUTCOMES
from ..stages.evidence import Evidence, open_evidence
from ..study.checks import did_you_mean
from .explain import read_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = ("document", "source", "name", "record", "outcome", "reason", "survivor", "tokens", "first_rung")
"""What is told of a record."""


@dataclass(frozen=True)
class Wanted:
    """Which records.

    Attributes:
        recipe: Of which recipe; the first one without.
        rung: Only what stands in this rung.
        stratum: Only what is of this stratum.
        source: Only what is of this source.
        outcomes: Only these bins of the ledger; all where there are none.
        rule: Only what this part of a reason dropped or rejected.
    """

    recipe: str | None = None
    rung: str | None = None
    stratum: str | None = None
    source: str | None = None
    outcomes: tuple[str, ...] = ()
    rule: str | None = None


@dataclass(frozen=True)
class Records:
    """The records of a result that fit.

    Attributes:
        evidence: The result and its store.
        recipe: The recipe.
        rungs: Names of the rungs in which they may first stand; empty for any.
        wanted: What was asked for.
    """

    evidence: Evidence
    recipe: str
    rungs: tuple[str, ...]
    wanted: Wanted

    @property
    def ledgers(self) -> list[str]:
        """The recipe's ledgers, one for each part."""
        listed = self.evidence.manifest["recipes"][self.recipe]["ledger"]
        return [store.join(self.evidence.out, one["path"]) for one in listed]

    def mask(self, ordinal: int) -> NDArray[np.bool_]:
        """Which rows of a part fit; bool of shape (rows,)."""
        part, wanted = self.evidence.parts[ordinal], self.wanted
        if wanted.source not in {None, part.source}:
            return np.zeros(part.rows, bool)
        ledger = store.read_table(self.ledgers[ordinal], ["outcome", "reason", "first_rung"])
        fits = np.ones(part.rows, bool)
        if wanted.outcomes:
            fits &= _is_in(ledger.column("outcome"), wanted.outcomes)
        if self.rungs:
            fits &= _is_in(ledger.column("first_rung"), self.rungs)
        if wanted.rule is not None:
            found = pc.match_substring(ledger.column("reason"), wanted.rule).fill_null(False)
            fits &= found.to_numpy()
        if wanted.stratum is not None and fits.any():
            path = store.join(self.evidence.choices(self.recipe), "choices", f"{ordinal:07d}.parquet")
            fits &= _is_in(store.read_table(path, ["stratum"]).column(0), (wanted.stratum,))
        return fits

    def told(self, ordinal: int, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
        """What the ledger says of some rows of a part: COLUMNS, and the recipe."""
        table = store.read_table(self.ledgers[ordinal], list(COLUMNS)).take(pa.array(rows))
        return [{"recipe": self.recipe, **row} for row in table.to_pylist()]


def _is_in(column: pa.ChunkedArray, values: tuple[str, ...]) -> NDArray[np.bool_]:
    return pc.is_in(column, value_set=pa.array(values, pa.string())).to_numpy()  # type: ignore[no-any-return]  # untyped pyarrow


def open_records(out: str, wanted: Wanted) -> Records:
    """Look at which records of a result fit.

    Args:
        out: Folder of a finished build.
        wanted: Which.

    Raises:
        UserError: The result has no such recipe, rung, stratum or source, no record has such a reason, or its store,
            which has the texts, is gone.
    """
    out = store.absolute(out)
    manifest = read_manifest(out)
    recipe = wanted.recipe or next(iter(manifest["recipes"]))
    told = _known(manifest["recipes"], recipe, "recipe", out)
    rungs: tuple[str, ...] = ()
    if wanted.rung is not None:
        names = [rung["name"] for rung in told["rungs"]]
        _known(dict.fromkeys(names), wanted.rung, f"rung of {recipe}", out)
        rungs = tuple(names[: names.index(wanted.rung) + 1])
    if wanted.source is not None:
        _known(told["counts"], wanted.source, "source", out)
    if wanted.stratum is not None:
        _known(told["strata"], wanted.stratum, f"stratum of {recipe}", out)
    reasons = sorted({reason for one in told["counts"].values() for bin_ in OUTCOMES for reason in _reasons(one, bin_)})
    if wanted.rule is not None and not any(wanted.rule in reason for reason in reasons):
        shown = "; ".join(reasons[:20]) or "none"
        raise store.UserError(f"{out}: no reason of {recipe} has {wanted.rule!r} in it. Reasons: {shown}.")
    evidence = open_evidence(out, manifest)
    if evidence is None:
        raise store.UserError(
            f"{out}: its store is gone, and with it the texts. Build the study again; meanwhile `tokenladder decode` "
            "shows sequences, and `tokenladder explain` the fate of a document."
        )
    return Records(evidence, recipe, rungs, wanted)


def _reasons(counts: dict[str, Any], outcome: str) -> list[str]:
    return list(counts["outcomes"][outcome]["reasons"])


def _known(there: dict[str, Any], name: str, what: str, out: str) -> Any:
    if name not in there:
        raise store.UserError(f"{out}: has no {what} {name!r}{did_you_mean(name, there)}")
    return there[name]
