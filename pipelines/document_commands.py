"""The commands that ask about documents of a result."""

from __future__ import annotations

import json

import click


@click.command(short_help="Say why a document is in or out of each recipe.")
@click.argument("out")
@click.argument("document")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def explain(out: str, document: str, *, as_json: bool) -> None:
    """Say why DOCUMENT is in or out of each recipe: its id, its URL or path, or the end of one, or words of its text.

    Tells what each rule and score found of it, its near duplicates, and where it stands in the stream. An id or a name
    is found by an index; for words of a text, all texts are read.

    Example: tokenladder explain built json/decoder.py
    """
    import dataclasses

    from .document_tables import show_explanations
    from .explain import explain as look

    found = look(out, document)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        show_explanations(found)
