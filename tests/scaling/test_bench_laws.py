"""The benchmark of fits in small."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tokenladder.scaling.fits.fit import fit
from tokenladder.scaling.laws.registry import LAWS

import published

BENCH = Path(__file__).resolve().parents[2] / "bench"
pytestmark = pytest.mark.bench


@pytest.fixture
def laws(monkeypatch):
    """The script by its path: `laws` is too common a name to import."""
    monkeypatch.syspath_prepend(BENCH)
    spec = importlib.util.spec_from_file_location("bench_laws", BENCH / "laws.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_fits_the_same_runs_as_the_tests(laws):
    runs = laws.chinchilla()
    assert runs.keys() == {"params", "tokens", "loss"}
    for name, values in runs.items():
        np.testing.assert_allclose(values, published.chinchilla()[name], rtol=1e-12)


def test_the_usual_protocol_looks_at_the_same_objective(laws):
    _, best = laws.usual(laws.chinchilla(), 2)
    assert best >= fit(LAWS["chinchilla"], laws.chinchilla()).value * (1 - 1e-9)


@pytest.mark.parametrize("name", ["chinchilla", "data-mixing", "vocabulary"])
def test_surfaces_are_laws_with_noise(laws, name):
    kind = laws.KINDS[name]
    theta, runs = kind.draw(3, 0.0)
    np.testing.assert_allclose(runs[kind.law.target], kind.law.predict(theta, runs))
    again, noisy = kind.draw(3, 0.01)
    assert again == theta
    assert 0.003 < np.std(noisy[kind.law.target] / runs[kind.law.target]) < 0.03


def test_trust_counts_surfaces(laws):
    inside, best, closed = laws.trust(laws.KINDS["power-tokens"], 3)
    assert 0 <= inside <= 3
    assert (best, closed) == (3, 3)
