"""What feeding costs the reference trainer: tokens a second from a build's shards, and from arrays in memory.

    python bench/trainer.py --build bench-loop/built [--size 2x32] [--rung everything-512K] [--turns 6]
    python bench/trainer.py --build … --rung … --size 12x768 --batch-tokens 262144 --device cuda --bfloat16 --compile

Needs pip install 'tokenladder[torch]'. Both sides are the trainer's own loop with the same model, steps and shuffled
batches; one reads the rung through the loader, the other gets lists of batches that were copied before. They take turns
in one process, which goes first changes, and the figure is the median of the turns' ratios; the first turn is not
counted. The loader is timed alone, too, for on a busy machine turns differ by a tenth: its share of a run's CPU time is
what feeding can cost. The smaller the model, the more feeding weighs: give the smallest that you train.

Seconds are of the CPU, or with `--device cuda` those of a clock: give a GPU to nothing else then.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tokenladder.training import Batch, Cache, Stream, open_rung
from tokenladder.training.reference.settings import Optimisation, Run
from tokenladder.training.reference.train import Machine, Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator


class FromMemory(Stream):
    """A run whose batches were copied beforehand."""

    def copy(self, size: int, steps: int) -> None:
        """Keep the first batches."""
        self.kept = [
            replace(batch, tokens=batch.tokens.copy())
            for batch, _ in zip(super().batches(size), range(steps), strict=False)
        ]

    def batches(self, size: int, *, position: int = 0, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """The kept ones; the trainer begins at 0 and asks for the size that was copied."""
        if (position, rank, ranks) != (0, 0, 1) or size != len(self.kept[0]):
            raise ValueError(f"Batches of {len(self.kept[0])} from the beginning were copied, nothing else.")
        return iter(self.kept)


def machine(given: argparse.Namespace, cache: Cache) -> Machine:
    """What both sides are computed by."""
    return Machine(given.device, compiled=given.compile, bfloat16=given.bfloat16, cache=cache)


def turn(given: argparse.Namespace, cache: Cache, *, memory: bool) -> tuple[float, float]:
    """Tokens a second of one side, and the last loss, by which both sides are seen to train on the same."""
    recipe, _, rung = given.rung.rpartition("-")
    run = Run(recipe, rung, given.size, optimisation=Optimisation(given.batch_tokens))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(str(given.build), run, folder, machine(given, cache))
        if memory:
            trainer.stream = FromMemory(open_rung(given.build, given.rung, cache=cache), seed=run.seed, shuffled=True)
            trainer.stream.copy(trainer.batch, trainer.steps)
        clock = time.process_time if given.device == "cpu" else time.perf_counter
        began = clock()
        trainer.train()  # its end reads losses, for which the device's work must be done
        seconds = clock() - began
    return trainer.sequences * trainer.stream.length / seconds, trainer.recent


def loader_alone(given: argparse.Namespace, cache: Cache, passes: int = 20) -> float:
    """Tokens a CPU-second of the batches alone, their conversion to the model's integers included."""
    stream = Stream(open_rung(given.build, given.rung, cache=cache), shuffled=True, epochs=passes)
    began = time.process_time()
    for batch in stream.batches(max(1, given.batch_tokens // stream.length)):
        _ = batch.tokens.astype(np.int64)
    return len(stream) * stream.length / (time.process_time() - began)


def main() -> None:
    """Measure both sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", type=Path, required=True, help="folder of a build")
    parser.add_argument("--rung", default="everything-512K")
    parser.add_argument("--size", default="2x32")
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bfloat16", action="store_true", help="products in bfloat16")
    parser.add_argument("--compile", action="store_true", help="by torch.compile")
    given = parser.parse_args()
    ratios, fastest = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(folder)
        for n in range(given.turns + 1):
            speeds, losses = {}, {}
            for memory in (n % 2 == 0, n % 2 == 1):
                speeds[memory], losses[memory] = turn(given, cache, memory=memory)
            if losses[True] != losses[False]:
                raise SystemExit(f"The sides trained on different tokens: losses {losses}.")
            ratio = speeds[False] / speeds[True]
            print(f"from shards {speeds[False]:9,.0f} tokens/s, from memory {speeds[True]:9,.0f}, ratio {ratio:.3f}")
            ratios += [ratio] if n else []
            fastest = max(fastest, *speeds.values())
        alone = [loader_alone(given, cache) for _ in range(2)][1]  # kernels are loaded on the way
    low, high = min(ratios), max(ratios)
    print(f"{given.size}: {np.median(ratios):.3f} of the speed from memory ({low:.3f} to {high:.3f})")
    print(f"the loader alone {alone:,.0f} tokens/s: {fastest / alone:.2%} of the time of the fastest run")


if __name__ == "__main__":
    main()
