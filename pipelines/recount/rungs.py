"""Recount rungs: what the manifest says of each, against itself and against what was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .result_files import Amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .result_files import Rung


def check_forms(rungs: Sequence[Rung], length: int) -> tuple[list[str], list[str]]:
    """What rungs say that cannot be, whatever the shards hold.

    Args:
        rungs: As the manifest lists them.
        length: Tokens in a sequence.

    Returns:
        Faults of sizes, and of rungs that are not the beginning of the next.
    """
    exact, nested = [], []
    for smaller, rung in zip([None, *rungs], rungs, strict=False):
        if rung.tokens != rung.sequences * length:
            exact.append(f"{rung.name}: {rung.sequences:,} sequences are not {rung.tokens:,} tokens")
        exact += _requested(rung, length)
        if smaller and (rung.shards[: len(smaller.shards)] != smaller.shards or rung.sequences < smaller.sequences):
            nested.append(f"{rung.name} does not begin with the shards of {smaller.name}")
        listed = sum(shard.sequences for shard in rung.shards)
        if listed != rung.sequences:
            exact.append(f"{rung.name}: its shards hold {listed:,} sequences, not {rung.sequences:,}")
    return exact, nested


def _requested(rung: Rung, length: int) -> list[str]:
    asked = rung.requested_tokens
    if asked is None and rung.unit is None:
        return [f"{rung.name}: what was requested is not told"]
    if asked is not None and 2 * abs(rung.tokens - asked) > length:
        return [f"{rung.name}: {rung.tokens:,} tokens are not the nearest to {asked:,}"]
    return []


def check_amounts(rung: Rung, length: int, counted: Mapping[str, tuple[int, int, int]]) -> list[str]:
    """What a rung says of its strata, and of unique and repeated tokens.

    Args:
        rung: As the manifest has it.
        length: Tokens in a sequence.
        counted: Of each stratum, sequences in the rung, tokens of its first pass, and tokens of padding in the rung.
    """
    if rung.strata is None:
        return [f"{rung.name}: what it holds of each stratum is not told"]
    faults, amounts = [], {}
    for stratum, (sequences, most, padded) in counted.items():
        tokens = sequences * length
        amounts[stratum] = Amount(tokens, sequences, min(tokens - padded, most), padded)
    unique = sum(amount.unique_tokens for amount in amounts.values())
    padding = sum(amount.padding_tokens for amount in amounts.values())
    for stratum in sorted(amounts.keys() | rung.strata.keys()):
        mine, listed = amounts.get(stratum), rung.strata.get(stratum)
        if mine != listed:
            faults.append(f"{rung.name}: {stratum} has {_amount(mine)}, not {_amount(listed)}")
    again = rung.tokens - unique - padding
    if (unique, again) != (rung.unique_tokens, rung.repeated_tokens):
        said = f"{rung.unique_tokens:,} and {rung.repeated_tokens:,}"
        faults.append(f"{rung.name}: {unique:,} unique and {again:,} repeated tokens, not {said}")
    if padding != rung.padding_tokens:
        faults.append(f"{rung.name}: {padding:,} tokens of padding, not {rung.padding_tokens:,}")
    return faults


def _amount(amount: Amount | None) -> str:
    if amount is None:
        return "nothing"
    return f"{amount.sequences:,} sequences, {amount.tokens:,} tokens, {amount.unique_tokens:,} unique" + (
        f", {amount.padding_tokens:,} padding" if amount.padding_tokens else ""
    )
