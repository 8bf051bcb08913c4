"""Memory that does not grow with the number of threads: two arenas of the C library, and Arrow inside them.

By default glibc gives each thread an arena of its own and Arrow keeps a pool beside them; both hold on to what large
parts took once. On 400 MB of HTML that made the main process of a build 694 MB at its peak instead of 500.

Large arrays come from the kernel at first, page by page, and go back to it as soon as they are freed, until glibc has
learned from arrays that were freed how large they get here. It begins with what that comes to at most: the first shards
of a process then cost a quarter less, and the memory is that which a long run had before.
"""

from __future__ import annotations

import ctypes
import os
import sys

LARGEST = 32 << 20
"""Bytes: to what glibc's threshold for arrays of their own rises in 64 bits; that for giving back, to twice as much."""

SETTINGS = {
    "MALLOC_ARENA_MAX": (-8, 2),  # the number of M_ARENA_MAX in malloc.h, and our value
    "MALLOC_MMAP_THRESHOLD_": (-3, LARGEST),  # M_MMAP_THRESHOLD
    "MALLOC_TRIM_THRESHOLD_": (-1, 2 * LARGEST),  # M_TRIM_THRESHOLD
}
"""By the variable with which a user sets the same."""


def settle() -> None:
    """Set all for this process; call it before pyarrow is imported and threads start. Settings of the user stay."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None  # glibc has it, not musl
    if mallopt is not None:
        for variable, (parameter, value) in SETTINGS.items():
            if variable not in os.environ:
                mallopt(parameter, value)
