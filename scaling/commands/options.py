"""Options that are more than a word: pairs, counts with units, sizes, targets, causes; as callbacks of click."""

from __future__ import annotations

from collections.abc import Sequence

import click


def names(_: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` options as a mapping."""
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (name, sign, value) in zip(given, pairs, strict=True) if not (name and sign and value)]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r}: write NAME=VALUE", param=parameter)
    return {name.strip(): value.strip() for name, _, value in pairs}


def count(_: click.Context, parameter: click.Parameter, given: str | None) -> float | None:
    """A number, with a unit if people like: 70M, 1.5B, 3e19."""
    if given is None:
        return None
    from ..runs.table import as_number

    value = as_number(given)
    if not 0 <= value < float("inf"):
        raise click.BadParameter(f"{given!r} is no count. Write 70000000, 70M or 7e7", param=parameter)
    return value


def sizes(context: click.Context, parameter: click.Parameter, given: str) -> int | tuple[float, ...]:
    """How many sizes, or a list of them."""
    if given.isdigit() and int(given) < 100:
        return int(given)
    return tuple(count(context, parameter, one) or 0.0 for one in given.split(","))


def target(context: click.Context, parameter: click.Parameter, given: str | None) -> tuple[float, float] | None:
    """Parameters and tokens of one run, as `7B,140B`."""
    if given is None:
        return None
    params, _, tokens = given.partition(",")
    pair = count(context, parameter, params) or 0.0, count(context, parameter, tokens) or 0.0
    if not min(pair) > 0:
        raise click.BadParameter(f"{given!r}: write parameters,tokens, such as 7B,140B", param=parameter)
    return pair


def causes(_: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, dict[str, str]]:
    """`CAUSE: NAME=VALUE, NAME=VALUE` options as a mapping."""
    found: dict[str, dict[str, str]] = {}
    for text in given:
        name, changed = text.rpartition(":")[::2]
        pairs = [pair.partition("=") for pair in changed.split(",")]
        if not name.strip() or not all(left.strip() and right.strip() for left, _sign, right in pairs):
            raise click.BadParameter(f"{text!r}: write 'CAUSE: NAME=VALUE, NAME=VALUE'", param=parameter)
        found[name.strip()] = {left.strip(): right.strip() for left, _sign, right in pairs}
    return found
