"""When kernels are worth loading: numba's start takes 0.4 s of CPU time.

Numpy and memmove do the same work at 1 to 8 µs more a sequence, in batches of 16. So a process that looks at a few
batches starts at once, and a job that trains loads the kernels on the way.
"""

from __future__ import annotations

ENOUGH = 1 << 13
"""Sequences that a process copies without kernels."""

_done = 0


def pays(copied: int = 0) -> bool:
    """Whether this process has copied enough to gain by kernels.

    Args:
        copied: Sequences that are to be copied now.
    """
    global _done  # noqa: PLW0603 one count for the process, as numba starts once in it
    _done += copied
    return _done >= ENOUGH
