"""All laws that ship, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from .data import DATA_CONSTRAINED, FILTERING, QUALITY, REPETITION_PENALTY
from .law import Law
from .mixture import BIMIX, D_CPT, data_mixing, mixture_regression
from .shape import FARSEER, VOCABULARY
from .surface import CHINCHILLA, CHINCHILLA_TIED, GADRE, KAPLAN, POWER_COMPUTE, POWER_PARAMS, POWER_TOKENS
from .task import LOSS_TO_ERROR, LOSS_TO_LOSS, TASK_SIGMOID

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.name: law
        for law in (
            CHINCHILLA,
            CHINCHILLA_TIED,
            KAPLAN,
            GADRE,
            POWER_PARAMS,
            POWER_TOKENS,
            POWER_COMPUTE,
            DATA_CONSTRAINED,
            REPETITION_PENALTY,
            FILTERING,
            QUALITY,
            BIMIX,
            D_CPT,
            FARSEER,
            VOCABULARY,
            LOSS_TO_LOSS,
            LOSS_TO_ERROR,
            TASK_SIGMOID,
        )
    }
)
"""Name → law."""

MIXTURES: Mapping[str, Callable[[Sequence[str]], Law]] = MappingProxyType(
    {"data-mixing": data_mixing, "mixture-regression": mixture_regression}
)
"""Name → function from the names of a study's strata to a law over their shares."""
