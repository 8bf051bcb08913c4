"""Curricula against random orders of the same documents: quickstart's text, tiny decoders, several seeds, a verdict.

    python bench/curriculum.py --out bench-curriculum [--processes 2] [--schedule wsd]

Needs pip install 'tokenladder[torch,plots]'; 27 runs take some seven minutes of CPU time.

A curriculum is one order. Whether it differs from chance is therefore asked of other orders, not of seeds alone: five
random orders of the same rung are trained with the same three seeds. If the curriculum were a sixth, its mean loss
would fall within t(4) · s · √(1 + 1/5) of theirs 95 times in 100, s being the standard deviation of their means. All
share seeds, and so first parameters, whose scatter leaves the differences.

What it shows is about 500 steps of such models on half a million tokens of documentation and code, and about one key
(how well a document compresses): no word on curricula at large. The rate falls along a run, so that the documents that
come late count less; `--schedule wsd` keeps it up for four fifths.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loop import build, tokenladder
from scipy.stats import t as student

from tokenladder.scaling.runs.table import RunsTable, read_runs

RANDOM = 5
SEEDS = 3
CURRICULA = {
    "easy-first": 'order = "ascending"',
    "hard-first": 'order = "descending"',
    "paced": 'order = "ascending"\npace = "linear"',
    "sweeps": 'order = "ascending"\nsweeps = 10',
} | {f"random-{n}": f'order = "random"\npermutation = {n}' for n in range(RANDOM)}


@dataclass(frozen=True)
class Verdict:
    """A curriculum beside the random orders.

    Attributes:
        name: Of the curriculum.
        difference: Its mean loss less that of the random orders, in nats per token.
        chance: Half the width of the interval in which one more random order would fall 95 times in 100.
        seeds: Seeds with which it did better than the mean of the random orders.
    """

    name: str
    difference: float
    chance: float
    seeds: int

    def __str__(self) -> str:
        """A line of the report."""
        word = (
            "as any random order" if abs(self.difference) <= self.chance else ("worse", "better")[self.difference < 0]
        )
        return (
            f"{self.name:12} {self.difference:+.4f} nats, chance gives ± {self.chance:.4f}; "
            f"lower with {self.seeds} of {SEEDS} seeds: {word}"
        )


def losses(table: RunsTable, name: str) -> np.ndarray:
    """Held-out losses of an order, by seed."""
    mine = table.columns["recipe"] == name
    return np.asarray(table.columns["loss"][mine][np.argsort(table.columns["seed"][mine])])


def compare(table: RunsTable) -> list[Verdict]:
    """Each curriculum against the random orders."""
    control = np.array([losses(table, name) for name in CURRICULA if name.startswith("random-")])
    means = control.mean(axis=1)
    chance = float(student.ppf(0.975, len(means) - 1) * means.std(ddof=1) * np.sqrt(1 + 1 / len(means)))
    out = []
    for name in CURRICULA:
        if not name.startswith("random-"):
            apart = losses(table, name) - control.mean(axis=0)
            out.append(Verdict(name, float(apart.mean()), chance, int((apart < 0).sum())))
    return out


def main() -> None:
    """Build, train, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--size", default="2x32")
    parser.add_argument("--schedule", default="cosine", choices=["cosine", "wsd"])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    entries = [
        f'\n[curricula.{name}]\nrecipe = "everything"\nrung = "512K"\nsort = "compression"\n{keys}\n'
        for name, keys in CURRICULA.items()
    ]
    build(given.out, "curriculum", "".join(entries))
    runs = str(given.out / f"runs-{given.size}-{given.schedule}")
    names = [word for name in CURRICULA for word in ("--rung", name)]
    common = ["--seeds", str(SEEDS), "--batch-tokens", "1024", "--device", "cpu", "--processes", str(given.processes)]
    chosen = ["--size", given.size, "--schedule", given.schedule, "--stream-order"]
    tokenladder("train-reference", str(given.out / "built"), "--runs", runs, *names, *chosen, *common)
    table = read_runs(runs)
    for name in CURRICULA:
        own = losses(table, name)
        print(f"{name:12} {own.mean():.4f} nats per token, seeds ± {own.std(ddof=1):.4f}")
    print()
    for verdict in compare(table):
        print(verdict)


if __name__ == "__main__":
    main()
