"""Train one run, keep checkpoints, and measure it on the held-out set.

A run is decided by its settings and its tokens: on the CPU, with one number of threads, it ends with the same bits
whether or not it was stopped on the way.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...pipelines.ask.rungs import open_result
from ...pipelines.files import store
from ..batch import Batch
from ..cache import Cache
from ..rung import HELD_OUT, Rung, open_rung
from ..stream import Stream
from .settings import Run, need_torch, row
from .shape import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from .model import Decoder


@dataclass(frozen=True)
class Machine:
    """How a run is computed; the loss on the CPU does not depend on it but for the number of threads.

    Attributes:
        device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
        threads: Of PyTorch on the CPU.
        micro_tokens: Tokens that go through the model at once; gradients of a step's pieces are summed. By default
            65,536 on a GPU, and on the CPU as many as have 16 MB of logits: larger blocks are mapped and unmapped at
            each step, which took a third of the time.
        compiled: Whether `torch.compile` is used.
        bfloat16: Whether products are in bfloat16; the parameters stay in float32.
        checkpoint_seconds: Between checkpoints.
        cache: Where decoded shards stand.
    """

    device: str = "auto"
    threads: int = 1
    micro_tokens: int | None = None
    compiled: bool = False
    bfloat16: bool = False
    checkpoint_seconds: float = 60.0
    cache: Cache | None = None

    def torch_device(self) -> str:
        """`cpu` or `cuda`.

        Raises:
            UserError: There is no such device here.
        """
        import torch

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:  # the latter where PyTorch was made without GPUs
            reason = str(error).splitlines()[0]
            raise store.UserError(f"--device {self.device} cannot be used here: {reason} Give cpu, or auto.") from error
        return self.device


def optimiser_of(model: Decoder, run: Run) -> torch.optim.Optimizer:
    """AdamW; gains are not decayed."""
    import torch

    matrices = [p for p in model.parameters() if p.dim() == 2]
    gains = [p for p in model.parameters() if p.dim() != 2]
    own = run.optimisation
    groups = [{"params": matrices, "weight_decay": own.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=own.betas, fused=True)


class Trainer:
    """One run in progress.

    Args:
        out: Folder of the build.
        run: What to train.
        folder: Where its checkpoint, log and result stand.
        machine: How it is computed.

    Raises:
        UserError: The build has no such rung or no held-out set, or the run asks for too few tokens.
    """

    def __init__(self, out: str, run: Run, folder: str, machine: Machine) -> None:
        need_torch()
        import torch

        from .model import Decoder

        self.out, self.run, self.folder, self.machine = out, run, Path(folder), machine
        self.device = machine.torch_device()
        torch.use_deterministic_algorithms(self.device == "cpu")
        torch.set_num_threads(machine.threads)
        self.rung = open_rung(out, run.opens, cache=machine.cache)
        self.held_out = open_rung(out, HELD_OUT, cache=machine.cache)
        shape = Shape.parse(run.size, self.rung.vocabulary_size, tied=run.tied)
        length = self.rung.length
        self.sequences = len(self.rung) if run.tokens is None else run.tokens // length
        self.batch = max(1, run.optimisation.batch_tokens // length)
        if self.sequences < 1:
            raise store.UserError(f"{run.name}: {run.tokens:,} tokens are less than one sequence of {length:,}.")
        self.stream = Stream(self.rung, seed=run.seed, shuffled=run.shuffled)
        micro = machine.micro_tokens or ((1 << 22) // shape.vocabulary if self.device == "cpu" else 65_536)
        self.at_once = max(1, micro // length)
        self.steps = -(-self.sequences // self.batch)
        self.model = Decoder(shape, run.seed).to(self.device)
        self.loss_of: Any = torch.compile(self.model) if machine.compiled else self.model
        self.optimiser = optimiser_of(self.model, run)
        self.identity = run.identity(self.stream.identity)
        self.step, self.position, self.recent = 0, 0, math.nan

    def train(self, *, stop: int | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        """Train from the last checkpoint on, to the end or to step `stop`, and leave a checkpoint.

        Args:
            stop: Where to stop.
            say: Is told how far the run is at each checkpoint on the way.
        """
        self._load()
        self.model.train()
        saved = time.monotonic()
        for batch in self.stream.batches(self.batch, position=self.position):
            if self.step in {self.steps, stop}:
                break
            used = min(len(batch), self.sequences - self.position)
            self.recent = self._one_step(batch, used)
            self.step, self.position = self.step + 1, self.position + used
            if time.monotonic() - saved > self.machine.checkpoint_seconds and self.step < self.steps:
                self._save()
                say(f"{self.run.name}: step {self.step:,} of {self.steps:,}, training loss {self.recent:.4f}")
                saved = time.monotonic()
        self._save()

    def _one_step(self, batch: Batch, used: int) -> float:
        """One step of the optimiser on the first `used` sequences; the loss per token."""
        import torch

        rate = self.run.optimisation.rate(self.step, self.steps, self.model.shape.width)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        labels = used * (self.stream.length - 1) - int(batch.padding[:used].sum())
        total = 0.0
        for start in range(0, used, self.at_once):
            loss = self._loss(batch, start, min(start + self.at_once, used))
            (loss / labels).backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.run.optimisation.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        mean = float(total) / labels
        if not math.isfinite(mean):
            raise store.UserError(
                f"{self.run.name}: the loss is {mean} at step {self.step:,}. Lower the learning rate, which is {rate}."
            )
        return mean

    def _loss(self, batch: Batch, start: int, stop: int) -> Any:
        """The sum of the loss over some sequences of a batch."""
        import torch

        ids = torch.from_numpy(batch.tokens[start:stop].astype(np.int64)).to(self.device, non_blocking=True)
        labels = ids
        if batch.padding.any():
            labels = torch.from_numpy(batch.labels()[start:stop]).to(self.device, non_blocking=True)
        extra: dict[str, Any] = {}
        if self.run.masked:
            extra["positions"] = torch.from_numpy(batch.position_ids[start:stop, :-1].astype(np.int64)).to(self.device)
            numbers = torch.from_numpy(batch.document_numbers[start:stop, :-1].astype(np.int64)).to(self.device)
            extra["mask"] = (numbers[:, :, None] == numbers[:, None, :]).tril()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.machine.bfloat16):
            return self.loss_of(ids[:, :-1].contiguous(), labels[:, 1:].contiguous(), **extra)

    def evaluate(self) -> float:
        """Loss on the whole held-out set, in nats per token."""
        import torch

        stream = Stream(self.held_out, epochs=1)
        total = 0.0
        self.model.eval()
        with torch.no_grad():
            for batch in stream.batches(self.at_once):
                total += float(self._loss(batch, 0, len(batch)))
        return total / (len(self.held_out) * (stream.length - 1))

    def result(self, bytes_per_token: float) -> dict[str, Any]:
        """The run's row of `runs.csv`."""
        loss = self.evaluate()
        if not math.isfinite(loss):
            raise store.UserError(f"{self.run.name}: the held-out loss is {loss}. Lower the learning rate.")
        padding = self.rung.entry.get("padding_tokens", 0) * self.sequences // len(self.rung)  # it trains nothing
        tokens = self.sequences * self.stream.length - padding
        unique = min(tokens, int(self.rung.entry.get("unique_tokens", self.rung.tokens)))
        return row(
            self.run,
            self.model.shape,
            {
                "tokens": tokens,
                "unique_tokens": unique,
                "steps": self.steps,
                "batch_tokens": self.batch * self.stream.length,
            },
            {
                "loss": loss,
                "train_loss": self.recent,
                "bits_per_byte": loss / math.log(2) / bytes_per_token,
                "bytes_per_token": bytes_per_token,
            },
        )

    def _save(self) -> None:
        import torch

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "checkpoint.pt"
        temporary = path.with_name(store.temporary_name(path.name))
        state = {
            "identity": self.identity,
            "step": self.step,
            "recent": self.recent,
            "data": self.stream.state(self.position),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        try:
            torch.save(state, temporary)
            os.replace(temporary, path)  # noqa: PTH105 the same file system
        except (OSError, RuntimeError) as error:  # PyTorch tells a full disk as either
            store.remove(str(temporary))
            reason = str(error).splitlines()[0]
            raise OSError(
                f"{path}: the checkpoint of step {self.step:,} cannot be written: {reason} Make room; the one "
                "before it is whole."
            ) from error

    def _load(self) -> None:
        import torch

        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise store.UserError(f"{path}: is no checkpoint. Delete it to begin the run anew.") from error
        if state.get("identity") != self.identity:
            raise store.UserError(
                f"{path}: is of a run with other settings or other data. Give another --runs folder, or delete it."
            )
        self.position = self.stream.resume(state["data"])
        self.step, self.recent = state["step"], state["recent"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])


def held_out_bytes(out: str, rung: Rung) -> float:
    """Bytes of text in a token of the held-out set, on average; a document's end counts as a token of none."""
    tokenizer = open_result(out).tokenizer()
    size = sum(len(tokenizer.decode(rung.slice(n, min(n + 64, len(rung))).reshape(-1)).encode("utf-8", "replace"))
               for n in range(0, len(rung), 64))  # fmt: skip
    return size / rung.tokens


def finished(out: str, run: Run, folder: str) -> dict[str, Any] | None:
    """The row of a run that is done, or None.

    Raises:
        UserError: The folder holds the result of other settings or other data.
    """
    path = Path(folder) / "result.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    stream = Stream(open_rung(out, run.opens), seed=run.seed, shuffled=run.shuffled)
    if found["identity"] != run.identity(stream.identity):
        raise store.UserError(
            f"{path}: is of a run with other settings or other data. Give another --runs folder, or delete it."
        )
    return found["row"]  # type: ignore[no-any-return]  # JSON of our own


def train_run(
    out: str, run: Run, folder: str, machine: Machine, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Train a run, or go on with it, and return its row; a finished one is not trained again.

    Args:
        out: Folder of the build.
        run: What to train.
        folder: Folder of the run: `checkpoint.pt` while it is trained, `result.json` when it is done.
        machine: How it is computed.
        say: Is told what was done, in a line.

    Raises:
        UserError: The build cannot be trained on so, or the folder holds another run.
    """
    path = Path(folder) / "result.json"
    known = finished(out, run, folder)
    if known is not None:
        return known
    trainer = Trainer(out, run, folder, machine)
    began = time.monotonic()
    trainer.train(say=say)
    done = trainer.result(held_out_bytes(out, trainer.held_out))
    store.write_json(str(path), {"identity": trainer.identity, "row": done})
    store.remove(str(Path(folder) / "checkpoint.pt"))
    say(
        f"{run.name}: {done['loss']:.4f} nats per token, {done['bits_per_byte']:.4f} bits per byte, "
        f"{done['tokens']:,} tokens in {time.monotonic() - began:,.0f} s"
    )
    return done
