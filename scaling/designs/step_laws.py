"""Batch size, learning rate and schedule for a run, as published step laws have them, each with its range.

The laws disagree by factors of two to four, because optimisers, initialisation and what counts as a parameter differ.
So all of them are shown, and which apply is said; a sweep at the smallest size is worth more than any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..runs.checks import FLOPS_PER_PARAMETER_AND_TOKEN


@dataclass(frozen=True)
class StepLaw:
    """A published law for the best learning rate and batch size.

    Attributes:
        name: Short name.
        source: Paper.
        learning_rate: (N, D) → peak learning rate of AdamW, or None where the law gives none.
        batch_tokens: (N, D) → tokens in a step, or None.
        ranges: What it was fitted over: `params`, `tokens` or `flops` → (least, largest).
        note: What N is there, and what else to know.
    """

    name: str
    source: str
    learning_rate: Callable[[float, float], float] | None
    batch_tokens: Callable[[float, float], float] | None
    ranges: Mapping[str, tuple[float, float]]
    note: str


@dataclass(frozen=True)
class Advice:
    """What a law says of one run.

    Attributes:
        law: Its name.
        source: Its paper.
        learning_rate: Peak learning rate, or None.
        batch_tokens: Tokens in a step, or None.
        outside: How the run lies outside of what the law was fitted over; empty if it lies inside.
    """

    law: str
    source: str
    learning_rate: float | None
    batch_tokens: float | None
    outside: tuple[str, ...] = field(default=())


def _compute(params: float, tokens: float) -> float:
    return FLOPS_PER_PARAMETER_AND_TOKEN * params * tokens


STEP_LAWS = (
    StepLaw(
        "step-law",
        "Li et al. 2025, Predictable Scale: Part I, arXiv 2503.04715",
        lambda params, tokens: 1.79 * params**-0.713 * tokens**0.307,
        lambda _, tokens: 0.58 * tokens**0.571,
        {"params": (59e6, 1e9), "tokens": (2e9, 100e9)},
        "N without the vocabulary; AdamW with weight decay, the learning rate decays to a fixed 1e-5",
    ),
    StepLaw(
        "deepseek",
        "Bi et al. 2024, DeepSeek LLM (section 3.1), arXiv 2401.02954",
        lambda params, tokens: 0.3118 * _compute(params, tokens) ** -0.1250,
        lambda params, tokens: 0.2920 * _compute(params, tokens) ** 0.3271,
        {"flops": (1e17, 2e19)},
        "over FLOPs without embeddings; multi-step schedule",
    ),
    StepLaw(
        "porian",
        "Porian et al. 2024, Resolving Discrepancies in Compute-Optimal Scaling, arXiv 2406.19146",
        lambda params, _: 3.7 * params**-0.36,
        lambda params, _: 0.7576 * params**0.703,
        {"params": (5e6, 901e6)},
        "near the best ratio of tokens to parameters; constant learning rate; beta2 .99 and more for small batches",
    ),
)
"""In order of how many runs stand behind them: the first was fitted to over 3,700."""

WARM_UP = "as many tokens as the model has parameters (Porian et al. 2024), and no more than a tenth of the run"
DECAY_SHARE = 0.1
"""Share of tokens in which a warm-up–stable–decay schedule decays (Hu et al. 2024, MiniCPM, arXiv 2404.06395)."""

SCHEDULE = (
    "decay over this run's own tokens: a checkpoint in the middle of a longer cosine is not a run of its length "
    "(Hoffmann et al. 2022). With warm-up–stable–decay the rungs of one size share the stable stretch, and each needs "
    "only its last tenth anew (Hu et al. 2024, Hägele et al. 2024)"
)


def advise(params: float, tokens: float) -> list[Advice]:
    """What each step law says of one run.

    Args:
        params: Parameters without embeddings.
        tokens: Tokens that the run sees.

    Returns:
        One for each of `STEP_LAWS`, in their order.

    >>> for said in advise(1e9, 1e11):
    ...     print(said.law, f"{said.learning_rate:.2e}", f"{said.batch_tokens:.3g}", *said.outside)
    step-law 1.63e-03 1.11e+06
    deepseek 7.88e-04 1.83e+06 flops 6e+20 above 2e+19
    porian 2.13e-03 1.61e+06 params 1e+09 above 9.01e+08
    """
    at = {"params": params, "tokens": tokens, "flops": _compute(params, tokens)}
    said = []
    for law in STEP_LAWS:
        outside = tuple(
            f"{name} {at[name]:g} {'below' if at[name] < least else 'above'} {least if at[name] < least else largest:g}"
            for name, (least, largest) in law.ranges.items()
            if not least <= at[name] <= largest
        )
        rate = law.learning_rate(params, tokens) if law.learning_rate else None
        batch = law.batch_tokens(params, tokens) if law.batch_tokens else None
        said.append(Advice(law.name, law.source, rate, batch, outside))
    return said


def nearest(params: float, tokens: float) -> Advice:
    """The first law that the run lies inside of, or the first law if there is none."""
    said = advise(params, tokens)
    return next((one for one in said if not one.outside), said[0])


def warm_up_tokens(params: float, tokens: float) -> float:
    """Tokens of the warm-up, as `WARM_UP` has it."""
    return min(params, tokens / 10)
