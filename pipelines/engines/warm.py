"""What a worker pool loads once, for all workers that it will start: what they load themselves without one."""

from __future__ import annotations

from .allocators import settle

settle()  # before pyarrow is there

import pyarrow.compute  # noqa: E402 stages need it
import pyarrow.parquet  # noqa: E402, F401 the same

from . import transforms, worker  # noqa: E402, F401 Beam asks for transforms with each graph

worker.identity()  # of the code that is loaded now: its files may be changed while the pool runs
