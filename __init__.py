"""TokenLadder: raw web and code corpora to exact, nested, mixed token budgets.

What a script or a notebook needs is here; names are imported when they are first used, so that the command starts at
once. Studies, plans, builds, rungs and fits show themselves as tables in notebooks.

>>> import tokenladder as tl
>>> sorted(tl.__all__)
['Built', 'Fits', 'Plan', 'Rung', 'Study', 'build', 'fit', 'load', 'open_rung', 'plan']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipelines.api import Built, build, load, plan
    from .pipelines.drivers.plan import Plan
    from .pipelines.study.study import Study
    from .scaling.api import Fits, fit
    from .training.rung import Rung, open_rung

__version__ = "0.1.0"

__all__ = ["Built", "Fits", "Plan", "Rung", "Study", "build", "fit", "load", "open_rung", "plan"]

_HOMES = {
    "Built": "pipelines.api",
    "Fits": "scaling.api",
    "Plan": "pipelines.drivers.plan",
    "Rung": "training.rung",
    "Study": "pipelines.study.study",
    "build": "pipelines.api",
    "fit": "scaling.api",
    "load": "pipelines.api",
    "open_rung": "training.rung",
    "plan": "pipelines.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
