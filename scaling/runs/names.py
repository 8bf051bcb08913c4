"""What other tools call the columns of a runs table, and how to find them in an export of W&B or MLflow.

Exports differ in prefixes alone: MLflow's `search_runs` and `mlflow experiments csv` write `params.NAME`,
`metrics.NAME` and `tags.NAME` beside `run_id` and `status`; W&B's CSV writes bare names beside `Name` and `State`, and
its API `config` and `summary` tables. Names are compared in lower case, with everything but letters and digits as `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

TEXT = ("run", "recipe", "rung", "stratum")
"""Columns that hold names, not numbers."""

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run": ("run", "run_name", "name", "mlflow_runname", "run_id", "id"),
        "recipe": ("recipe", "dataset", "train_dataset", "data"),
        "rung": ("rung", "budget"),
        "params": ("params", "n_params", "num_params", "parameters", "num_parameters", "model_size", "n"),
        "params_non_embedding": (
            "params_non_embedding", "non_embedding_params", "n_nonembed", "n_non_embedding", "params_no_embed",
        ),
        "params_embedding": ("params_embedding", "embedding_params", "n_embedding"),
        "tokens": ("tokens", "n_tokens", "num_tokens", "train_tokens", "training_tokens", "tokens_seen", "d"),
        "unique_tokens": ("unique_tokens", "n_unique_tokens", "unique"),
        "epochs": ("epochs", "num_epochs", "n_epochs"),
        "flops": ("flops", "training_flop", "training_flops", "total_flops", "flop", "compute"),
        "steps": ("steps", "train_steps", "training_steps", "n_steps"),
        "batch_tokens": ("batch_tokens", "batch_size_tokens", "tokens_per_step"),
        "loss": ("loss", "held_out_loss", "val_loss", "validation_loss", "eval_loss", "test_loss"),
        "train_loss": ("train_loss", "training_loss"),
        "vocabulary": ("vocabulary", "vocab_size", "vocabulary_size", "n_vocab"),
        "seed": ("seed", "random_seed"),
        "perplexity": ("perplexity", "ppl", "val_perplexity", "eval_perplexity"),
        "bits_per_byte": ("bits_per_byte", "bpb", "val_bpb"),
        "bytes_per_token": ("bytes_per_token",),
        "state": ("state", "status"),
    }
)  # fmt: skip
"""Our column → names that it has elsewhere, the surest first."""

BOOKKEEPING = frozenset(
    {
        "artifact_uri", "created", "duration", "end_time", "experiment_id", "host", "hostname", "lifecycle_stage",
        "notes", "relative_time", "runtime", "start_time", "timestamp", "updated", "user", "wall_time",
    }
)  # fmt: skip
"""Columns that differ between two listings of one run."""

_PREFIX = re.compile(r"^(params|metrics|tags|config|summary|summary_metrics)[./](?=.)")
FINISHED = frozenset({"finished", "completed", "success", "succeeded", ""})
"""What the state of a run may be for its loss to be final: W&B writes `finished`, MLflow `FINISHED`."""


def plain(name: str) -> str:
    """A column's name without prefix, case and punctuation.

    >>> plain("params.n_params"), plain("val/loss"), plain("tags.mlflow.runName"), plain("Model Size")
    ('n_params', 'val_loss', 'mlflow_runname', 'model_size')
    """
    return re.sub(r"[^a-z0-9]+", "_", _PREFIX.sub("", name.strip()).lower()).strip("_")


def match_columns(given: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Which given column serves as which of ours.

    Args:
        given: Names in the file.
        chosen: Our column → the file's, as the user said; these go before what is recognised.

    Returns:
        Our column → the file's. Columns that are ours by name already, and any that laws of one's own may read, keep
        their names.

    Raises:
        ValueError: A chosen column is not in the file, or two columns could be the same one of ours.

    >>> match_columns(["Name", "config.n_params", "summary.val/loss"], {})
    {'run': 'Name', 'params': 'config.n_params', 'loss': 'summary.val/loss'}
    """
    given = list(given)
    for ours, theirs in chosen.items():
        if theirs not in given:
            raise ValueError(f"no column is named {theirs!r} (asked for as {ours!r}). There are: {', '.join(given)}")
    matched = dict(chosen)
    taken = set(chosen.values())
    for ours, names in ALIASES.items():
        if ours in matched:
            continue
        for alias in names:
            found = [name for name in given if plain(name) == alias and name not in taken]
            if len(found) > 1 and alias in found:
                found = [alias]
            if len(found) > 1:
                raise ValueError(
                    f"{' and '.join(map(repr, found))} could both be {ours!r}. "
                    f"Say which with --column {ours}={found[0]!r}"
                )
            if found:
                matched[ours] = found[0]
                taken.add(found[0])
                break
    return matched | {name: name for name in given if name not in taken and name not in matched}
