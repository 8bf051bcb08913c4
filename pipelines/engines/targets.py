"""Functions by name: what a task says is to be done."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(target: str) -> Any:
    """The function that `module:function` names."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)
