from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokenladder.filters import kernels

SHARED = "from tokenladder.filters.kernels import kernel\n\n\n@kernel\ndef step(value):\n    return value + {}\n"
CALLER = SHARED.replace("step", "twice").replace("value + {}", "step(step(value))")
CALLER = "from shared import step\n" + CALLER


def run(folder):
    program = "import caller; print(caller.twice(1), sum(caller.twice.stats.cache_hits.values()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_kernel_is_cached_until_one_that_it_calls_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "caller.py").write_text(CALLER)
    (tmp_path / "shared.py").write_text(SHARED.format(1))
    assert run(tmp_path) == "3 0"
    assert run(tmp_path) == "3 1"
    (tmp_path / "shared.py").write_text(SHARED.format(20))
    assert run(tmp_path) == "41 0"


def test_the_name_of_the_cache_depends_on_every_source(tmp_path):
    names = set()
    for name, content in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("notes.txt", "")):
        (tmp_path / name).write_text(content)
        kernels._sources.cache_clear()
        names.add(kernels._sources(str(tmp_path)))
    assert len(names) == 3
    assert kernels._sources(str(tmp_path)) != kernels._sources(str(Path(kernels.__file__).parent))


def test_a_kernel_works_where_no_cache_can_be_written(monkeypatch):
    import numba

    original = numba.njit

    def refuses(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return original(**options)

    monkeypatch.setattr(numba, "njit", refuses)
    assert kernels.kernel(lambda value: value + 1)(1) == 2
