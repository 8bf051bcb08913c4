"""The loop on a laptop: quickstart's two recipes, 3 sizes × 4 rungs × 3 seeds of tiny decoders, and a figure.

    python bench/loop.py --out bench-loop [--processes 2]

Needs pip install 'tokenladder[torch,plots]'. The build is the quickstart's with a vocabulary of 1,024 and 128 tokens
to a sequence; training takes some 10 minutes of CPU time.

What such runs can show: that the loss falls with tokens, how far seeds scatter, and that a difference between recipes
smaller than that scatter is none. What they cannot: a law. They take 62 to 500 steps and end before the model's size
matters, so that the exponents of a fit say how fast optimisation starts, not what data is worth.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tokenladder.scaling.runs.table import RunsTable, read_runs

SIZES = ("2x16", "2x32", "2x64")
CHANGES = {
    r'(?m)^name( *= *)"quickstart"': r'name\1"loop"',
    r"(?m)^(budgets *= *)\[.*?\]": r'\1["64K", "128K", "256K", "512K"]',
    r"(?m)^(sequence_length *= *)\d+": r"\g<1>128",
    r"vocabulary = 8000": "vocabulary = 1024",
}


def tokenladder(*arguments: str) -> None:
    """Run a command of this environment's TokenLadder."""
    subprocess.run([sys.executable, "-m", "tokenladder", *arguments], check=True)


def build(out: Path, name: str = "loop", more: str = "") -> None:
    """The quickstart, then the same corpus again with short sequences, a small vocabulary, and `more` in its study."""
    if not (out / "quickstart" / "built" / "manifest.json").exists():
        tokenladder("quickstart", "--out", str(out / "quickstart"), "--quiet")
    study = (out / "quickstart" / "study.toml").read_text()
    for pattern, replacement in CHANGES.items():
        study, changed = re.subn(pattern, replacement, study)
        if changed != 1:
            raise SystemExit(f"The quickstart's study has {changed} places for {pattern}, not one.")
    (out / "quickstart" / f"{name}.toml").write_text(study + more)
    store = str(out / "quickstart" / "built" / ".store")
    study_file = str(out / "quickstart" / f"{name}.toml")
    tokenladder("build", study_file, "--out", str(out / "built"), "--store", store, "--quiet")


def cells(table: RunsTable) -> list[tuple[str, int, int, float, float, int]]:
    """Recipe, parameters, tokens, mean loss, standard deviation over seeds, and number of seeds of each cell."""
    columns = table.columns
    out = []
    for recipe in table.recipes():
        for params in np.unique(columns["params"]):
            for tokens in np.unique(columns["tokens"]):
                mine = (columns["recipe"] == recipe) & (columns["params"] == params) & (columns["tokens"] == tokens)
                losses = columns["loss"][mine]
                if len(losses) > 1:
                    deviation = float(losses.std(ddof=1))
                    out.append((recipe, int(params), int(tokens), float(losses.mean()), deviation, len(losses)))
    return out


def draw(found: list[tuple[str, int, int, float, float, int]], path: Path) -> None:
    """Loss over tokens, a panel for each size, a line for each recipe, bars of one standard deviation."""
    from matplotlib.figure import Figure

    sizes = sorted({params for _, params, *_ in found})
    figure = Figure(figsize=(3.6 * len(sizes), 3.6), layout="constrained")
    for axes, params in zip(figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0], sizes, strict=True):
        for n, recipe in enumerate(sorted({name for name, *_ in found})):
            mine = [
                (tokens, mean, bar) for name, size, tokens, mean, bar, _ in found if (name, size) == (recipe, params)
            ]
            if mine:
                tokens, means, bars = np.array(mine).T
                place = tokens * (1.03 if n else 0.97)  # beside each other, so that bars do not hide bars
                colour, marker = (("#0072b2", "o"), ("#d55e00", "s"))[n % 2]
                axes.errorbar(place, means, bars, color=colour, marker=marker, markersize=5, capsize=3, label=recipe)
        axes.set(xscale="log", xlabel="tokens", title=f"{params:,} parameters")
        axes.set_xticks([64e3, 128e3, 256e3, 512e3], ["64K", "128K", "256K", "512K"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("held-out loss, nats per token")
    figure.axes[0].legend(title="recipe, ± 1 sd of 3 seeds")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Build, train, print the table of cells, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to fill")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=Path, help="only draw: a folder of finished runs")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    runs = given.runs or given.out / "runs"
    if given.runs is None:
        build(given.out)
        sizes = [word for size in SIZES for word in ("--size", size)]
        common = ["--seeds", "3", "--batch-tokens", "1024", "--device", "cpu", "--processes", str(given.processes)]
        tokenladder("train-reference", str(given.out / "built"), "--runs", str(runs), *sizes, *common)
    found = cells(read_runs(str(runs)))
    for recipe, params, tokens, mean, deviation, seeds in found:
        print(f"{recipe:12} {params:9,} parameters {tokens:9,} tokens  {mean:.3f} ± {deviation:.3f} ({seeds} seeds)")
    draw(found, given.out / "loss.png")
    print(given.out / "loss.png")


if __name__ == "__main__":
    main()
