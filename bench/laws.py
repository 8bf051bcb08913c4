"""Fits of scaling laws: speed against the usual protocol, and whether intervals and optima can be trusted.

    python bench/laws.py [--rounds 5] [--sample 45] [--surfaces 1000] [--laws chinchilla,gadre]

Speed is processor time on the 240 runs of Chinchilla that the tests hold. The usual protocol goes down with scipy's
L-BFGS-B and numerical gradients from each of 4,500 starts (Hoffmann et al. 2022; Besiroglu et al. 2024); every
hundredth start is run, and the mean time of a start multiplied. Truth is random surfaces of each law with 1 % noise
(`surfaces.py`): how often the 95 % profile interval holds the truth, and how often no descent from the truth itself
ends lower than the fit.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from surfaces import KINDS, Kind

from tokenladder.scaling.fits.descent import descend
from tokenladder.scaling.fits.fit import Fit, fit
from tokenladder.scaling.fits.intervals import bootstrap, profiles
from tokenladder.scaling.fits.objectives import LeastSquares
from tokenladder.scaling.laws.registry import LAWS

from measure import machine, run

POINTS = Path(__file__).resolve().parent.parent / "tests" / "scaling" / "data" / "chinchilla.csv"
AXES = (
    np.arange(0, 30, 5),
    np.arange(0, 30, 5),
    np.arange(-1, 1.5, 0.5),
    np.arange(0, 2.5, 0.5),
    np.arange(0, 2.5, 0.5),
)


def chinchilla() -> dict[str, NDArray[np.float64]]:
    """The runs without the five highest losses."""
    params, flops, loss = np.loadtxt(POINTS, delimiter=",", skiprows=1).T
    kept = np.sort(np.argsort(loss, kind="stable")[:240])
    return {"params": params[kept], "tokens": (flops / 6 / params)[kept], "loss": loss[kept]}


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median processor time."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return float(np.median(times))


def usual(runs: dict[str, NDArray[np.float64]], sample: int) -> tuple[float, float]:
    """Processor seconds of the usual protocol, extrapolated from a sample of starts, and the best objective found."""
    size, data, loss = (np.log(runs[name]) for name in ("params", "tokens", "loss"))

    def objective(point: NDArray[np.float64]) -> float:
        a, b, e, alpha, beta = point
        terms = np.stack([a - alpha * size, b - beta * data, np.full_like(size, e)])
        residuals = np.abs(logsumexp(terms, axis=0) - loss)
        return float(np.where(residuals <= 1e-3, 0.5 * residuals**2, 1e-3 * (residuals - 5e-4)).sum())

    starts = list(itertools.product(*AXES))
    chosen = starts[:: max(1, len(starts) // sample)]
    began = time.process_time()
    best = min(float(minimize(objective, np.array(start), method="L-BFGS-B").fun) for start in chosen)
    return (time.process_time() - began) / len(chosen) * len(starts), best


def sandwich(found: Fit) -> NDArray[np.float64]:
    """Standard errors by the curvature at the optimum alone (Huber 1967)."""
    points = found.problem.coordinates(found.vector)[None]
    residuals, slopes = found.problem.slopes(points)
    delta, gradient = found.objective.delta, slopes[0]
    inside = np.abs(residuals[0]) <= delta
    bread = np.linalg.inv((gradient * inside) @ gradient.T)
    meat = (gradient * np.clip(residuals[0], -delta, delta) ** 2) @ gradient.T
    errors = np.sqrt(np.diag(bread @ meat @ bread))
    return np.where(found.problem.logs, errors * found.vector, errors)


def speed(rounds: int, sample: int) -> None:
    """Print the table of speed."""
    runs = chinchilla()
    found = fit(LAWS["chinchilla"], runs)
    ours = seconds(lambda: fit(LAWS["chinchilla"], runs), rounds)
    boots = seconds(lambda: bootstrap(found, samples=4000, seed=42), min(rounds, 3))
    profile = seconds(lambda: profiles(found), min(rounds, 3))
    theirs, best = usual(runs, sample)
    command = [sys.executable, "-c", "import tokenladder.scaling.fits.fit, tokenladder.scaling.laws.registry"]
    run(command)
    start = run(command).cpu
    rows = (
        ("a fit, 10 starts", f"{ours:.4f}"),
        ("4,000 bootstraps", f"{boots:.2f}"),
        ("profiles of 5 parameters", f"{profile:.2f}"),
        (f"the usual protocol, 4,500 starts (from {sample})", f"{theirs:.0f}"),
        ("ratio to a fit", f"{theirs / ours:,.0f}"),
        ("a new interpreter that imports fits and laws", f"{start:.2f}"),
    )
    print("\n| Chinchilla's law, 240 runs | CPU s |\n| --- | ---: |")
    for what, figure in rows:
        print(f"| {what} | {figure} |")
    print(f"\nobjective {found.value:.12g}, best of the usual protocol's sample {best:.12g}")
    errors, curved = bootstrap(found, samples=4000, seed=42).standard_errors, sandwich(found)
    print("standard errors, bootstrap over sandwich:", end=" ")
    print(", ".join(f"{name} {errors[name] / one:.2f}" for name, one in zip(found.law.names, curved, strict=True)))


def trust(kind: Kind, surfaces: int) -> tuple[int, int, int]:
    """How many surfaces had the truth inside the interval, the best optimum, and an interval with both ends."""
    inside = found_best = closed = 0
    of = "loss" if kind.law.target in kind.law.signed else "log loss"
    for seed in range(surfaces):
        theta, runs = kind.draw(seed, 0.01)
        found = fit(kind.law, runs, objective=LeastSquares(of))
        from_truth = descend(found.problem, found.problem.coordinates(kind.law.vector(theta))[None])[1][0]
        found_best += found.value <= from_truth * (1 + 1e-6)
        interval = profiles(found, names=(kind.of_interest,))[kind.of_interest].interval
        inside += theta[kind.of_interest] in interval
        closed += not (interval.open_low or interval.open_high)
    return inside, found_best, closed


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each fit is timed")
    parser.add_argument("--sample", type=int, default=45, help="starts of the usual protocol that are run")
    parser.add_argument("--surfaces", type=int, default=1000, help="random surfaces of each law; 0 for none")
    parser.add_argument("--laws", default=",".join(KINDS), help="laws to draw surfaces of")
    options = parser.parse_args()
    print(machine())
    if options.rounds:
        speed(options.rounds, options.sample)
    if options.surfaces:
        print(
            f"\n| law, {options.surfaces} surfaces | 95 % interval of | holds the truth | best optimum found | CPU s |"
        )
        print("| --- | --- | ---: | ---: | ---: |")
        for name in options.laws.split(","):
            began = time.process_time()
            inside, best, closed = trust(KINDS[name], options.surfaces)
            share, spent = 100 / options.surfaces, time.process_time() - began
            ends = "" if closed == options.surfaces else f" ({share * closed:.1f} % have two ends)"
            print(f"| {name} | {KINDS[name].of_interest}{ends} |", end=" ")
            print(f"{share * inside:.1f} % | {share * best:.1f} % | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
