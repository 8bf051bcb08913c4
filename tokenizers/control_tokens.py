"""Which control token ends a document, and a shared form for errors that libraries raise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

WELL_KNOWN_ENDS = (
    "<|end_of_document|>",
    "<|endofdocument|>",
    "<|eod|>",
    "<eod>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",  # noqa: RUF001 -- DeepSeek's spelling, with full-width bars
    "</s>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
)
"""Looked for in this order: where a vocabulary has several, those that name a document or text come first."""

SHOWN = 20
"""Control tokens named in a message; some vocabularies have hundreds in reserve."""

_CHECKED = re.compile(r"^[A-Z_]+: \S+ \[.*?\] ")
"""SentencePiece begins a message with the line and the condition of its own code."""


@contextmanager
def explained(message: str) -> Iterator[None]:
    """Turn whatever a library raises into a ValueError that begins with `message`.

    The Rust libraries also raise `PanicException`, which is no `Exception`, on files that they trust too much.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        reason = _CHECKED.sub("", str(error)).strip() or str(error).strip() or type(error).__name__
        raise ValueError(f"{message} ({reason})") from error


def choose_end_of_document(
    given: str | int | None, controls: Mapping[str, int], *, preferred: int | None = None
) -> int:
    """Find the id of the token that ends a document.

    Args:
        given: the user's choice, as the token's text or its id; None to guess.
        controls: the control tokens of the vocabulary, text to id.
        preferred: the id that the model itself names as its end of text, if it does.

    Raises:
        ValueError: the choice is no control token, or nothing well-known was found; lists those there are.

    >>> choose_end_of_document(None, {"<s>": 1, "</s>": 2})
    2
    """
    if given is None:
        if preferred is not None and preferred in controls.values():
            return preferred
        for name in WELL_KNOWN_ENDS:
            if name in controls:
                return controls[name]
        raise ValueError(
            f"No token that ends a document is known for this tokenizer; {_listed(controls)}. "
            f"Choose one with end_of_document = …"
        )
    if isinstance(given, str):
        if given in controls:
            return controls[given]
    elif given in controls.values():
        return given
    raise ValueError(f"end_of_document is {given!r}, which is no control token of this tokenizer; {_listed(controls)}.")


def _listed(controls: Mapping[str, int]) -> str:
    if not controls:
        return "it has no control tokens at all"
    ordered = sorted(controls.items(), key=lambda item: item[1])
    shown = ", ".join(f"{name} ({number})" for name, number in ordered[:SHOWN])
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return f"its control tokens are {shown}{more}"
