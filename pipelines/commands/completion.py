"""The command that prints a shell's completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "tokenladder"

WHOLE_WORDS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}"
"""For bash, which would otherwise take OUT:RECIPE for three words."""


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options, and names of recipes and rungs when Tab is pressed.

    bash: eval "$(tokenladder completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc. fish: tokenladder
    completion fish > ~/.config/fish/completions/tokenladder.fish

    Example: tokenladder completion bash
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 the choice has only those that there are
    made = kind(context.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(made.source_template % made.source_vars())  # `source()` would look at the version of bash first
    if shell == "bash":
        click.echo(WHOLE_WORDS)
