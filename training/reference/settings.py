"""What decides about a run of the reference trainer, and what it reports. Nothing here needs PyTorch."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any, Literal

from ...pipelines.files import store

COLUMNS = (
    "run",
    "recipe",
    "rung",
    "params",
    "params_non_embedding",
    "params_embedding",
    "params_vocabulary",
    "tokens",
    "unique_tokens",
    "epochs",
    "flops",
    "steps",
    "batch_tokens",
    "loss",
    "train_loss",
    "bits_per_byte",
    "bytes_per_token",
    "vocabulary",
    "seed",
)
"""Columns of `runs.csv`, as :mod:`...scaling.runs.columns` names them. Losses are nats per token."""


@dataclass(frozen=True)
class Optimisation:
    """How a model is trained.

    Attributes:
        batch_tokens: Tokens in one step, down to whole sequences; at least one sequence.
        learning_rate: The highest; by default 0.2 / width, for a wider model needs smaller steps in proportion (the
            rule of Yang et al. 2022 for Adam), and 0.2 served widths from 16 to 128 here.
        schedule: `cosine` to a tenth; or `wsd`: constant, then straight to zero over the last fifth.
        warm_up: Share of the steps in which the rate rises.
        weight_decay: Of matrices, not of gains.
        betas: Of AdamW.
        clip: Largest norm of the gradient.

    Raises:
        UserError: A number that no run can have.
    """

    batch_tokens: int = 4096
    learning_rate: float | None = None
    schedule: Literal["cosine", "wsd"] = "cosine"
    warm_up: float = 0.05
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0

    def __post_init__(self) -> None:
        wrong = []
        if self.batch_tokens < 1:
            wrong.append(f"{self.batch_tokens} tokens in a batch: it takes one or more")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            wrong.append(f"a learning rate of {self.learning_rate}: it is above zero")
        if self.schedule not in ("cosine", "wsd"):
            wrong.append(f"the schedule {self.schedule!r}: cosine and wsd are known")
        if not 0 <= self.warm_up < 1:
            wrong.append(f"a warm-up over {self.warm_up} of the steps: it is a share below 1")
        if wrong:
            raise store.UserError("The optimisation has " + "; ".join(wrong) + ".")

    def rate(self, step: int, steps: int, width: int) -> float:
        """The learning rate of a step, counted from 0.

        >>> one = Optimisation(learning_rate=1.0, warm_up=0.2)
        >>> [round(one.rate(step, 10, 64), 3) for step in (0, 1, 2, 5, 9)]
        [0.5, 1.0, 0.966, 0.55, 0.1]
        """
        highest = 0.2 / width if self.learning_rate is None else self.learning_rate
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return highest * (step + 1) / rising
        if self.schedule == "wsd":
            falling = max(1, round(0.2 * steps))
            return highest * min(1.0, (steps - step) / falling)
        done = (step + 1 - rising) / max(1, steps - rising)
        return highest * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        recipe: Recipe.
        rung: Rung, or a curriculum of the build.
        size: `LAYERSxWIDTH`.
        seed: Of the first parameters and, where the order is shuffled, of the order.
        tokens: Tokens to train on; the rung's by default, more are further epochs.
        tied: Whether the head is the embedding table.
        shuffled: Whether each epoch is permuted; else it is in the order of the stream.
        masked: Whether attention stops at the borders of documents, and positions restart there.
        optimisation: How it is trained.
    """

    recipe: str
    rung: str
    size: str
    seed: int = 0
    tokens: int | None = None
    tied: bool = True
    shuffled: bool = True
    masked: bool = False
    optimisation: Optimisation = Optimisation()

    @property
    def opens(self) -> str:
        """The name that `open_rung` knows."""
        return f"{self.recipe}-{self.rung}"

    @property
    def name(self) -> str:
        """A name for people and for the run's folder."""
        pieces = [self.opens, self.size, f"seed{self.seed}"]
        return "_".join(pieces if self.tokens is None else [*pieces, f"{self.tokens}tokens"])

    def identity(self, data: str) -> str:
        """A name for all that decides about the run's result; `data` names its tokens."""
        from dataclasses import asdict

        return store.fingerprint({"run": asdict(self), "data": data, "version": 1})


def need_torch() -> None:
    """Say what to install where PyTorch is missing.

    Raises:
        ModuleNotFoundError: It is.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError(
            "The reference trainer needs PyTorch, which is not installed: pip install 'tokenladder[torch]'"
        )


def row(run: Run, shape: Any, counts: dict[str, Any], losses: dict[str, float]) -> dict[str, Any]:
    """A row of `runs.csv`.

    Args:
        run: The run.
        shape: The model's shape.
        counts: `tokens`, `unique_tokens`, `steps`, `batch_tokens`.
        losses: `loss`, `train_loss`, `bits_per_byte`, `bytes_per_token`.
    """
    value = {
        "run": run.name,
        "recipe": run.recipe,
        "rung": run.rung,
        "params": shape.params,
        "params_non_embedding": shape.params_non_embedding,
        "params_embedding": shape.params_embedding,
        "params_vocabulary": shape.params_vocabulary,
        "epochs": counts["tokens"] / counts["unique_tokens"],
        "flops": 6 * shape.params * counts["tokens"],
        "vocabulary": shape.vocabulary,
        "seed": run.seed,
        **counts,
        **losses,
    }
    return {column: value[column] for column in COLUMNS}
