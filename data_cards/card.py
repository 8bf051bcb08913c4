"""The data card: a Hugging Face dataset card made from a manifest alone."""

from __future__ import annotations

from typing import Any


def render_card(manifest: dict[str, Any]) -> str:
    """A study's README.md, from its manifest."""
    return f"# {manifest['name']}\n"
