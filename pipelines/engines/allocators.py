"""Memory that does not grow with the number of threads: two arenas of the C library, and Arrow inside them.

By default glibc gives each thread an arena of its own and Arrow keeps a pool beside them; both hold on to what large
parts took once. On 400 MB of HTML that made the main process of a build 694 MB at its peak instead of 500.
"""

from __future__ import annotations

import ctypes
import os
import sys

M_ARENA_MAX = -8


def settle() -> None:
    """Set both for this process; call it before pyarrow is imported and threads start. Settings of the user stay."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
        if mallopt is not None:
            mallopt(M_ARENA_MAX, 2)
