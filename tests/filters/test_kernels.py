from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
    (tmp_path / "below").mkdir()
    for name, content in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("below/a.py", "2"), ("notes.txt", "")):
        (tmp_path / name).write_text(content)
        kernels._sources.cache_clear()
        names.add(kernels._sources(str(tmp_path)))
    assert len(names) == 4
    assert kernels._sources(str(tmp_path)) != kernels._sources(str(Path(kernels.__file__).parent))


def test_a_kernel_works_where_no_cache_can_be_written(monkeypatch):
    import numba

    original = numba.njit

    def refuses(*function, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return original(*function, **options)

    monkeypatch.setattr(numba, "njit", refuses)
    assert kernels.kernel(lambda value: value + 1)(1) == 2


EXTENDED = """
import numba, sys
from tokenladder.filters.kernels import kernel

print(kernel(lambda value: value + 1)(1), "of_another" in sys.modules)
print(numba.njit(lambda value: value + 2)(1), "of_another" in sys.modules)
"""


def test_kernels_leave_extensions_of_other_packages_alone(tmp_path):
    (tmp_path / "of_another.py").write_text("def start():\n    pass\n")
    (tmp_path / "of_another-1.dist-info").mkdir()
    (tmp_path / "of_another-1.dist-info" / "METADATA").write_text("Name: of-another\nVersion: 1\n")
    (tmp_path / "of_another-1.dist-info" / "entry_points.txt").write_text("[numba_extensions]\ninit=of_another:start\n")
    command = [sys.executable, "-c", EXTENDED]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True
    )
    assert done.stdout.split() == ["2", "False", "3", "True"]


def test_whether_kernels_were_compiled_is_seen_by_the_names_of_their_files(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "kernels.py"))
    (tmp_path / "below" / "__pycache__").mkdir(parents=True)
    (tmp_path / "below" / "__pycache__" / "words.count-7.py311-0123456789abcdef.nbi").touch()
    assert not kernels.are_compiled()
    (tmp_path / "below" / "__pycache__" / f"words.count-7.py311-{kernels._sources(str(tmp_path))}.nbi").touch()
    assert kernels.are_compiled()
    (tmp_path / "words.py").touch()
    kernels._sources.cache_clear()
    assert not kernels.are_compiled()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert kernels.are_compiled()
    kernels._sources.cache_clear()


COMPILED = """
import numpy as np
from tokenladder.pipelines.stages import ranges

copy = ranges._copy.made()
print("ready", flush=True)
input()
copy(np.zeros(1, np.uint16), *np.zeros((3, 1), np.int64), np.zeros(1, np.uint16))
print(sum(copy.stats.cache_misses.values()))
"""


def test_of_two_processes_one_compiles_a_kernel_and_the_other_waits_for_it(tmp_path):
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
    with (
        subprocess.Popen([sys.executable, "-c", COMPILED], **pipes) as one,
        subprocess.Popen([sys.executable, "-c", COMPILED], **pipes) as other,
    ):
        assert [process.stdout.readline() for process in (one, other)] == ["ready\n"] * 2
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
        assert sorted(int(process.stdout.read()) for process in (one, other)) == [0, 1]


other = ModuleType("other")


def twice(n):
    return 2 * n


def fourfold(n):
    return other.twice(other.twice(n))


def test_a_kernel_calls_one_of_another_module_that_nobody_called_before():
    other.twice = kernels.inlined(twice)
    assert kernels.inlined(fourfold)(3) == 12
