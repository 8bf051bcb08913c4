"""The command `train-perplexity`; what it runs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import complete


@click.command("train-perplexity", short_help="Train the language model of a perplexity score.")
@click.argument("texts", nargs=-1, required=True)
@click.option("--out", "folder", required=True, help="Folder for the model and its report.")
@click.option("--recipe", help="Of a build: whose text. The first by default.", shell_complete=complete.recipes)
@click.option("--order", default=5, show_default=True, help="Words of the longest n-gram, up to 6.")
@click.option("--least", default=2, show_default=True, help="Least count of n-grams of three words and more.")
@click.option("--least-word", default=1, show_default=True, help="Least count of a word; rarer ones are unknown.")
@click.option("--lower", is_flag=True, help="Lower-case the text; say lower = true in the score.")
@click.option("--sentencepiece", help="A SentencePiece model whose pieces are the words.")
@click.option("--bytes", "size", default="20MB", show_default=True, help="How much text to train on.")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def train_perplexity(
    texts: tuple[str, ...], folder: str, recipe: str | None, size: str, *, quiet: bool, **training: Any
) -> None:
    """Train an n-gram language model on TEXTS: the folder of a build (a recipe's own text), or files and folders.

    Modified Kneser-Ney smoothing, as an ARPA file, which KenLM and the score `perplexity` read. One document in ten is
    not trained on but measured, where KenLM is installed.

    Example: tokenladder train-perplexity built --recipe clean --out language-model
    """
    from ...tokenizers.sections import parse_bytes
    from ..files import store
    from ..models.train_perplexity import MODEL, Training
    from ..models.train_perplexity import train_perplexity as run

    try:
        wanted = parse_bytes(size)
    except ValueError as error:
        raise store.UserError(f"--bytes {size}: {error}") from error
    report = run(texts, recipe, wanted, Training(**training), folder)
    if quiet:
        return
    trained, measured = report["trained_on"], report["measured"]
    counts = ", ".join(f"{count:,} of {n}" for n, count in enumerate(report["ngrams"], 1))
    click.echo(f"Trained on {report['text']}: {trained['documents']:,} documents, {trained['bytes']:,} bytes")
    click.echo(f"  n-grams   {counts} words")
    if measured is None:
        click.echo("  measured  nothing: pip install 'tokenladder[kenlm]'")
    else:
        said = f"perplexity {measured['perplexity']:g} of a word, {measured['bits_per_byte']:g} bits of a byte"
        click.echo(f"  measured  {said}, means of {measured['documents']:,} other documents")
    click.echo(f"  model     {Path(folder) / MODEL}")
