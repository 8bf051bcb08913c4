import ctypes
import sys
from types import SimpleNamespace

import pytest

from tokenladder.pipelines.engines import allocators


@pytest.fixture
def told(monkeypatch):
    """What the C library is told, by the number of the setting."""
    found = {}
    for name in ("ARROW_DEFAULT_MEMORY_POOL", *allocators.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=found.__setitem__))
    return found


def test_the_c_library_is_told_all_settings(told):
    allocators.settle()
    assert told == {-8: 2, -3: 32 << 20, -1: 64 << 20}


@pytest.mark.parametrize("name", allocators.SETTINGS)
def test_settings_of_the_user_stay(told, monkeypatch, name):
    monkeypatch.setenv(name, "7")
    allocators.settle()
    assert set(told) == {number for other, (number, _) in allocators.SETTINGS.items() if other != name}


def test_a_library_without_such_settings_is_left_alone(told, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    allocators.settle()
    assert not told


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_glibc_takes_all_settings():
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        pytest.skip("not glibc")
    assert all(mallopt(number, value) == 1 for number, value in allocators.SETTINGS.values())
