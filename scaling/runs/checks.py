"""Checks of a runs table, and what can be derived in it: units, nats against bits, epochs, runs listed twice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import UNITS, Numbers
from .names import BOOKKEEPING, TEXT, plain

FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""C = 6ND: two for the forward pass, four for the backward (Kaplan et al. 2020, section 2.1)."""

LEAST = {"params": 1e3, "params_non_embedding": 100.0, "tokens": 1e3, "unique_tokens": 1e3, "flops": 1e6}
"""Below this a count is taken for one in millions or billions: no language model is smaller."""

POSITIVE = (*LEAST, "params_embedding", "epochs", "steps", "batch_tokens", "loss", "train_loss", "vocabulary")
HELPERS = frozenset({"perplexity", "bits_per_byte", "bytes_per_token"})
"""Numbers that no law reads, but that tell the unit of a loss."""

SAME_RUN = ("recipe", "rung", "params", "params_non_embedding", "tokens", "unique_tokens", "epochs")
SHOWN = 5
"""Rows that a message lists."""


@dataclass
class Review:
    """Columns under review.

    Attributes:
        columns: Column name → float64[runs] or str[runs]; derived columns are added.
        at: Line or row of each run in its file, for messages.
        mistakes: What makes the table unusable: one sentence each.
        notes: What was derived, converted or left out.
    """

    at: list[int]
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, ours: str, theirs: str, cells: list[Any], values: Numbers) -> None:
        """Take a column of numbers; one that no law knows and that is not all numbers is kept as text.

        Args:
            ours: Its name here.
            theirs: Its name in the file, for messages.
            cells: As the file has them.
            values: As numbers, NaN where a cell is none.
        """
        bad = ~np.isfinite(values)
        if ours not in UNITS and ours not in HELPERS:
            self.columns[ours] = values if not bad.any() else np.array(["" if c is None else str(c) for c in cells])
        elif bad.all() and all(cell is None or not str(cell).strip() for cell in cells):
            pass  # an export lists every column of every run, the unused ones empty
        elif bad.any():
            first = cells[int(np.argmax(bad))]
            self._wrong(theirs, "not a number", bad, f"The first is {first!r}")
        elif (ours in POSITIVE or ours in HELPERS) and (values <= 0).any():
            self._wrong(theirs, "not above zero", values <= 0, f"It counts {UNITS.get(ours, ours)}")
        elif (values < LEAST.get(ours, -math.inf)).any():
            first = values[int(np.argmax(values < LEAST[ours]))]
            hint = f'{first:g} cannot be {UNITS[ours]}. Write whole counts, or with a unit: "{first:g}M", "{first:g}B"'
            self._wrong(theirs, f"under {LEAST[ours]:g}", values < LEAST[ours], hint)
        else:
            self.columns[ours] = values

    def finish(self, loss_unit: str | None) -> None:
        """Derive what can be derived, and check what the columns say of each other.

        Args:
            loss_unit: `nats`, `bits` or None.
        """
        if loss_unit not in {None, "nats", "bits"}:
            self.mistakes.append(f"loss unit {loss_unit!r} is not known. Give nats or bits (per token)")
        self._derive_params()
        self._derive_tokens()
        self._derive_unique()
        self._derive_loss(loss_unit)
        self._check_loss_unit(loss_unit)
        if not self.mistakes:
            self.mistakes += [
                f"{name}: missing ({UNITS[name]}). Name it with --column {name}=ITS_NAME"
                for name in ("params", "tokens", "loss")
                if name not in self.columns
            ]
        if not self.mistakes:
            self._check_duplicates()

    def _wrong(self, name: str, what: str, rows: NDArray[np.bool_], hint: str) -> None:
        where = [str(self.at[row]) for row in np.flatnonzero(rows)]
        listed = ", ".join(where[:SHOWN]) + ", …" * (len(where) > SHOWN)
        count = "1 run" if len(where) == 1 else f"{len(where)} runs"
        self.mistakes.append(f"{name}: {what} in {count} (line{'s' * (len(where) > 1)} {listed}). {hint}")

    def _derive_params(self) -> None:
        columns = self.columns
        total, outer, inner = (columns.get(n) for n in ("params", "params_embedding", "params_non_embedding"))
        if total is None and inner is not None:
            columns["params"] = inner if outer is None else inner + outer
            if outer is None:
                self.notes.append("params: only counts without embeddings are known, and are used as they are")
        elif total is not None and outer is not None and inner is None:
            if (total <= outer).any():
                hint = "params counts the embedding too"
                self._wrong("params_embedding", "not below params", total <= outer, hint)
            columns["params_non_embedding"] = total - outer
        elif total is not None and inner is not None:
            if (inner > total).any():
                self._wrong("params_non_embedding", "above params", inner > total, "params counts all parameters")
            if outer is None:
                columns["params_embedding"] = total - inner

    def _derive_tokens(self) -> None:
        columns = self.columns
        params, flops = columns.get("params"), columns.get("flops")
        if "tokens" not in columns and "steps" in columns and "batch_tokens" in columns:
            columns["tokens"] = columns["steps"] * columns["batch_tokens"]
            self.notes.append("tokens: steps × batch_tokens")
        if params is None:
            return
        if "tokens" not in columns and flops is not None:
            columns["tokens"] = flops / (FLOPS_PER_PARAMETER_AND_TOKEN * params)
            self.notes.append("tokens: flops / (6 × params)")
        elif "tokens" in columns and flops is None:
            columns["flops"] = FLOPS_PER_PARAMETER_AND_TOKEN * params * columns["tokens"]
            self.notes.append("flops: 6 × params × tokens")
        elif "tokens" in columns and flops is not None:
            ratio = flops / (FLOPS_PER_PARAMETER_AND_TOKEN * params * columns["tokens"])
            far = np.abs(np.log(ratio)) > math.log(3)
            if far.any():
                hint = f"The first is {ratio[int(np.argmax(far))]:.3g} times it: one of the three is in another unit"
                self._wrong("flops", "over 3 times off 6 × params × tokens", far, hint)

    def _derive_unique(self) -> None:
        tokens, unique, epochs = (self.columns.get(name) for name in ("tokens", "unique_tokens", "epochs"))
        if tokens is None:
            return
        if unique is not None:
            more = unique > tokens * (1 + 1e-6)
            if more.any():
                hint = "It counts the distinct tokens that training saw, not those that were there to see"
                self._wrong("unique_tokens", "more than tokens", more, hint)
            elif epochs is None:
                self.columns["epochs"] = tokens / unique
            elif (np.abs(tokens / unique / epochs - 1) > 0.05).any():
                off = np.abs(tokens / unique / epochs - 1) > 0.05
                self._wrong("epochs", "not tokens / unique_tokens", off, "Leave epochs out, and it is derived")
        elif epochs is not None:
            self.columns["unique_tokens"] = tokens / np.maximum(epochs, 1)

    def _other_losses(self) -> dict[str, Numbers]:
        """Nats per token as other columns tell them."""
        columns, told = self.columns, {}
        if "perplexity" in columns:
            told["perplexity"] = np.log(columns["perplexity"])
        if "bits_per_byte" in columns and "bytes_per_token" in columns:
            told["bits_per_byte × bytes_per_token"] = (
                columns["bits_per_byte"] * columns["bytes_per_token"] * math.log(2)
            )
        return told

    def _derive_loss(self, unit: str | None) -> None:
        if "loss" in self.columns and unit == "bits":
            self.columns["loss"] = self.columns["loss"] * math.log(2)
            self.notes.append("loss: bits per token, made nats (× ln 2)")
        elif "loss" not in self.columns:
            for name, nats in self._other_losses().items():
                self.columns["loss"] = nats
                self.notes.append(f"loss: made nats per token from {name}")
                return
            if "bits_per_byte" in self.columns:
                self.mistakes.append(
                    "loss: only bits_per_byte is there. Add bytes_per_token, to make it nats per token"
                )

    def _check_loss_unit(self, unit: str | None) -> None:
        """Refuse a loss that another column shows to be something else."""
        loss = self.columns.get("loss")
        if loss is None:
            return
        for name, nats in self._other_losses().items():
            if (np.abs(loss * math.log(2) / nats - 1) < 0.01).all():
                self.mistakes.append(f"loss: in bits per token, as {name} shows. With --loss-unit bits it is converted")
            elif (np.abs(loss / nats - 1) > 0.02).any():
                self._wrong(
                    "loss", f"not what {name} tells", np.abs(loss / nats - 1) > 0.02, "Keep the one that is right"
                )
        if "vocabulary" in self.columns and unit is None:
            above = loss > np.log(self.columns["vocabulary"]) * 1.1
            if above.any():
                hint = "With --loss-unit bits it is converted from bits; leave out a run that diverged"
                self._wrong("loss", "above ln(vocabulary), what guessing gives,", above, hint)

    def _check_duplicates(self) -> None:
        """One run listed twice: the same settings and seed, or, without seeds, the same settings and the same loss."""
        columns = self.columns
        names = [name for name in (*SAME_RUN, "seed" if "seed" in columns else "loss") if name in columns]
        known = {*UNITS, *TEXT, *HELPERS}
        names += [name for name in columns if name not in known and plain(name) not in BOOKKEEPING]
        seen: dict[tuple[Any, ...], int] = {}
        pairs = []
        for line, key in zip(self.at, zip(*(columns[name].tolist() for name in names), strict=True), strict=True):
            if key in seen:
                pairs.append(f"{seen[key]} and {line}")
            seen.setdefault(key, line)
        if pairs:
            shown = ", ".join(pairs[:SHOWN]) + ", …" * (len(pairs) > SHOWN)
            self.mistakes.append(
                f"the same run is listed twice, in lines {shown}. Remove one, or tell them apart by seed or by a column"
            )
