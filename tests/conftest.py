"""What every test shares: fixed seeds, no network, the root of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its thread pool and fork do not go together
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that wants the network should fail at once

# Examples are drawn from the test's own name, not from the clock, so that two runs test the same; compiling a kernel in
# the first example takes seconds, so there is no deadline.
hypothesis.settings.register_profile("tokenladder", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tokenladder")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parent.parent
