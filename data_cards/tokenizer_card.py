"""The card of a trained tokenizer: what it was trained on, and how it compares with others on the same text."""

from __future__ import annotations

from typing import Any

MOST = 12
"""Groups that a table shows, the largest ones."""

WORDS = (
    "A word is a run of letters and digits, or one sign of a script without spaces. *Whole characters* is the share of "
    "tokens that are no part of a character. *Texts that change* do not come back as they were."
)


def render_tokenizer_card(card: dict[str, Any]) -> str:
    """Markdown for the card of `train_tokenizer`.

    Args:
        card: What `card.json` says.
    """
    first = next(iter(card["tokenizers"].values()))
    settings = ", ".join(f"{key} {value}" for key, value in card["parameters"].items())
    trained, every = card["trained_on"], first["all"]["all"]
    lines = [
        "# Tokenizer",
        "",
        f"`{card['file']}` ({card['type']}): {first['vocabulary']:,} ids, trained with {settings}.",
        f"Text: {_text(card['text'])}; {trained['documents']:,} documents, {trained['bytes'] / 1e6:,.2f} MB.",
        "The same text gives the same bytes.",
        "",
        f"Measured on {card['measured_on']}: {every['documents']:,} documents, {every['bytes'] / 1e6:,.2f} MB.",
        "",
        "| tokenizer | ids | of them used | bytes a token | tokens a word | whole characters | texts that change |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in card["tokenizers"].items():
        every = one["all"]["all"]
        lines.append(
            f"| {_text(name)} | {one['vocabulary']:,} | {one['used'] / one['vocabulary']:.1%} | "
            f"{every['bytes_per_token']:.2f} | {every['fertility']:.2f} | {every['coverage']:.2%} | "
            f"{every['changed']:,} |"
        )
    for grouping in ("source", "language"):
        lines += ["", f"## By {grouping}", "", *_table(card["tokenizers"], grouping)]
    return "\n".join([*lines, "", WORDS, ""])


def _table(tokenizers: dict[str, Any], grouping: str) -> list[str]:
    first = next(iter(tokenizers.values()))[grouping]
    groups = sorted(first, key=lambda group: (-first[group]["bytes"], group))
    names = " | ".join(f"{_text(name)}: bytes a token | tokens a word" for name in tokenizers)
    lines = [f"| {grouping} | MB | {names} |", f"| --- | ---: |{' ---: | ---: |' * len(tokenizers)}"]
    for group in groups[:MOST]:
        figures = " | ".join(
            f"{one[grouping][group]['bytes_per_token']:.2f} | {one[grouping][group]['fertility']:.2f}"
            for one in tokenizers.values()
        )
        lines.append(f"| {_text(group)} | {first[group]['bytes'] / 1e6:,.2f} | {figures} |")
    if len(groups) > MOST:
        lines += ["", f"{len(groups) - MOST} smaller ones are in `card.json`."]
    return lines


def _text(name: str) -> str:
    """A name from the input inside a table: on one line, without what Markdown or HTML would read."""
    shown = "".join(sign if sign.isprintable() else " " for sign in name)
    for sign, entity in {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "`": "&#96;", "*": "&#42;"}.items():
        shown = shown.replace(sign, entity)
    return shown
