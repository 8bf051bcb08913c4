"""Curricula as a study writes them: in which order a rung's documents are trained on."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

Part = Annotated[float, Field(gt=0, le=1)]
Phase = Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Curriculum:
    """An order of exactly those documents that stand in one rung; with best-fit packing, of its sequences as they are.

    Attributes:
        recipe: Whose rung.
        rung: Which rung, as `budgets` has it.
        sort: The difficulty: a score, one of its columns, a value that every document has, or `tokens`, its length.
        order: `ascending` from the least difficulty, `descending` (an anti-curriculum), or `random`, the control.
        pace: How the share of the documents that may be drawn grows, the first in the order first: `linear`, `root`,
            `step` or `exponential`; among those that may, chance decides (Bengio et al. 2009; Hacohen and Weinshall
            2019, https://arxiv.org/abs/1904.03626).
        start: Share that may be drawn from the beginning, where there is a pace.
        full_at: Share of the stream after which all may be drawn, where there is a pace.
        steps: Steps of `step` and `exponential`.
        buckets: Cut the order into so many equal shares of tokens, or into these shares, and shuffle inside each.
        sweeps: Go through the order so many times, each time through another, equally difficult part of the documents.
        phases: Lists of sources or strata, one after the other, each in the order above.
        mixed: Keep the rung's mixture in every prefix, and order the documents of each stratum by themselves.
        permutation: Another number is another chance, for ties, shuffles and the control.
    """

    recipe: str
    rung: str | int
    sort: str | None = None
    order: Literal["ascending", "descending", "random"] = "ascending"
    pace: Literal["linear", "root", "step", "exponential"] | None = None
    start: Part = 0.1
    full_at: Part = 0.5
    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    buckets: Annotated[int, Field(ge=2, le=1_000_000)] | tuple[Part, ...] | None = None
    sweeps: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    phases: Annotated[tuple[Phase, ...], Field(min_length=2)] | None = None
    mixed: bool = False
    permutation: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def is_sorted(self) -> bool:
        """Whether difficulty alone decides, but for ties and phases."""
        return self.order != "random" and self.pace is None and self.buckets is None and self.sweeps is None


def check_curriculum(where: str, one: Curriculum, recipes: Sequence[str], mistakes: list[str]) -> None:
    """What a curriculum asks of itself; recipes, rungs and scores that it names are looked up elsewhere.

    Args:
        where: Its key.
        one: The curriculum.
        recipes: Names of recipes, which it may not have.
        mistakes: Grows by a line for each mistake.
    """
    name = where.partition(".")[2]
    if name in recipes or name == "held_out":
        mistakes.append(f"{where}: '{name}' is the name of something else that can be loaded. Choose another name")
    given = [key for key in ("pace", "buckets", "sweeps") if getattr(one, key) is not None]
    if len(given) > 1:
        mistakes.append(f"{where}: has {' and '.join(given)}. Give one of them")
    if one.sort is None and (one.order != "random" or given):
        hint = 'Write sort = "SCORE"' + ("" if given else ', or order = "random"')
        mistakes.append(f"{where}.sort: missing. {hint}")
    if given and one.order == "random":
        mistakes.append(f"{where}: {given[0]} goes by an order. Write order = 'ascending' or 'descending'")
    if isinstance(one.buckets, tuple) and sum(Decimal(str(share)) for share in one.buckets) != 1:
        total = float(sum(Decimal(str(share)) for share in one.buckets))
        mistakes.append(f"{where}.buckets: shares sum to {total:g}. They must sum to 1")
    if one.phases is not None and one.mixed:
        mistakes.append(f"{where}: has phases and mixed. A phase holds some strata only; give one of them")
    names = [stratum for phase in one.phases or () for stratum in phase]
    twice = sorted({stratum for stratum in names if names.count(stratum) > 1})
    mistakes.extend(f"{where}.phases: '{stratum}' stands in two phases. Name it once" for stratum in twice)


def settings_of(one: Curriculum) -> dict[str, Any]:
    """What the manifest tells of a curriculum: the settings that matter to it."""
    paced = {"pace": one.pace, "start": one.start, "full_at": one.full_at}
    if one.pace in {"step", "exponential"}:
        paced["steps"] = one.steps
    told: dict[str, Any] = {"sort": one.sort, "order": one.order} | (paced if one.pace else {})
    if one.buckets is not None:
        told["buckets"] = list(one.buckets) if isinstance(one.buckets, tuple) else one.buckets
    if one.sweeps is not None:
        told["sweeps"] = one.sweeps
    if one.phases is not None:
        told["phases"] = [list(phase) for phase in one.phases]
    return {**told, "mixed": one.mixed, "permutation": one.permutation}
