"""The data card and the Croissant metadata of a result: every build writes them, and keeps what people wrote."""

from __future__ import annotations

import json
from typing import Any

from ...data_cards.card import render_card
from ...data_cards.croissant import make_croissant
from ...data_cards.words import only_words, read_words
from ..files import store

CARD = "README.md"
CROISSANT = "croissant.json"


def words_of(out: str) -> dict[str, str]:
    """What people wrote into the card of a result; nothing where there is no card."""
    path = store.join(out, CARD)
    return read_words(store.read_bytes(path).decode("utf-8", "replace")) if store.exists(path) else {}


def withdraw_card(out: str) -> None:
    """Remove what is about to be untrue: all of the card but what people wrote into it, and the metadata."""
    words, path = words_of(out), store.join(out, CARD)
    if words:
        store.write_bytes(path, only_words(words).encode())
    else:
        store.remove(path)
    store.remove(store.join(out, CROISSANT))


def card_files(out: str, manifest: dict[str, Any]) -> dict[str, bytes]:
    """The card and the metadata of a result, by name.

    Args:
        out: Folder of the result, whose card may hold people's words.
        manifest: The manifest.
    """
    metadata = json.dumps(make_croissant(manifest), indent=2, ensure_ascii=False) + "\n"
    return {CARD: render_card(manifest, words_of(out)).encode(), CROISSANT: metadata.encode()}


def make_card(out: str, *, write: bool) -> dict[str, str]:
    """The card and the metadata of a result, made from its manifest and people's words.

    Args:
        out: Folder of the result.
        write: Whether to write them into the folder.

    Returns:
        The texts of `README.md` and `croissant.json`, by name.

    Raises:
        UserError: The folder holds no result, or something else stands in its manifest.
    """
    out = store.absolute(out)
    path = store.join(out, "manifest.json")
    if not store.exists(path):
        raise store.UserError(f"{out}: holds no manifest.json. Give the folder of a finished build.")
    try:
        files = card_files(out, store.read_json(path))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise store.UserError(f"{path}: is no manifest of a build. Build the study again.") from error
    if write:
        for name, data in files.items():
            store.write_bytes(store.join(out, name), data)
    return {name: data.decode() for name, data in files.items()}
