"""All laws that ship, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .law import Law
from .laws_surface import CHINCHILLA, CHINCHILLA_TIED, GADRE, KAPLAN, POWER_COMPUTE, POWER_PARAMS, POWER_TOKENS

LAWS: Mapping[str, Law] = MappingProxyType(
    {law.name: law for law in (CHINCHILLA, CHINCHILLA_TIED, KAPLAN, GADRE, POWER_PARAMS, POWER_TOKENS, POWER_COMPUTE)}
)
"""Name → law."""
