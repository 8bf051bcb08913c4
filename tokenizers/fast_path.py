"""Faster engines, used only where they are seen to give the same ids.

fastokens (Crusoe) encodes by the same files 13 to 35 times as fast as Hugging Face's library and writes ids into one
buffer. It is a young reimplementation, so it has to agree with the reference on 2,000 probes when a tokenizer is
loaded; otherwise, or where it is not installed, the reference does the work. Its cache of words grows to about 200 MB.

gigatoken encodes by SentencePiece's BPE models with byte fallback, some eight times as fast as SentencePiece, on the
same condition. It knows no way to take the names of control tokens as text, so texts that hold one go to the reference.
Its cache of words grows with the text, so it is opened anew now and then.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .protocol import Ids, Offsets

_LOG = logging.getLogger(__name__)

PROBES = 2000

_FRAGMENTS = (
    "the quick brown fox",
    " of",
    "'s",
    "'LL",
    "n't ",
    "  ",
    "    ",
    "\t",
    "\n",
    "\r\n",
    "\n\n\n",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\x00",
    "\x7f",
    "3.14159",
    "1234567",
    "٣٤",
    "½",
    "Ⅻ",
    "...",
    "—",
    "->",
    "!=",
    "==",
    "//",
    "__init__",
    "camelCase",
    "HTTPServer",
    "def f(x):\n    return x\n",
    "<div>&amp;</div>",
    "https://example.org/?q=1",
    "e\u0301",
    "ﬁ",
    "İstanbul",
    "ß",
    "ǅ",
    "Ω",
    "日本語",
    "한국어",
    "हिन्दी",
    "العربية",
    "ไทย",
    "👩‍👩‍👧",
    "🇫🇷",
    "👍🏽",
    "𝒳",  # noqa: RUF001 -- a letter outside the basic plane
    "▁",
    "<0x0A>",
    "Ġ",
    "##ing",
)
_SURROGATES = range(0xD800, 0xE000)


def probe_texts(count: int = PROBES, extra: Sequence[str] = ()) -> list[str]:
    """Make the same `count` strings on every machine: fragments, any code points, long runs, and `extra` in between.

    >>> probe_texts(3) == probe_texts(3)
    True
    """
    state = 20240229

    def draw(below: int) -> int:
        nonlocal state
        # Numerical Recipes' linear congruential generator; the high bits are the good ones.
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        return (state >> 8) % below

    def fragment() -> str:
        kind = draw(8)
        if kind == 0 and extra:
            return extra[draw(len(extra))]
        if kind == 1:
            point = draw(0x110000)
            return "" if point in _SURROGATES else chr(point)
        if kind == 2:
            return chr(0x20 + draw(0x250))
        if kind == 3:
            return _FRAGMENTS[draw(len(_FRAGMENTS))][:1] * (1 + draw(40))
        if kind == 4:
            return "".join(chr(97 + draw(26)) for _ in range(1 + draw(12)))
        return _FRAGMENTS[draw(len(_FRAGMENTS))]

    return ["".join(fragment() for _ in range(1 + draw(16))) for _ in range(count)]


class FastPath:
    """fastokens behind the flat form of `Tokenizer.encode`."""

    def __init__(self, engine: Any) -> None:
        """Wrap a `fastokens.Tokenizer`."""
        self._engine = engine

    def encode(self, texts: list[str]) -> tuple[Offsets, Ids]:
        """Encode texts; special tokens in them are taken as text. Raises what the engine raises."""
        ids, offsets = self._engine.encode_batch_flat(texts, add_special_tokens=False, split_special_tokens=True)
        return np.frombuffer(offsets, "<u8").astype(np.int64), np.frombuffer(ids, "<u4")


class UnfitError(ValueError):
    """A batch that a fast engine must not encode; the reference does."""


class GigaPath:
    """gigatoken behind the flat form of `Tokenizer.encode`, for a SentencePiece model."""

    RENEWED_AFTER = 1 << 28
    """Characters after which the engine is opened anew; that takes 10 ms for 8,000 ids."""

    def __init__(self, model: bytes, control_tokens: Iterable[str]) -> None:
        """Open the engine on a model's bytes; raises whatever it raises for a model that it cannot take."""
        self._open = importlib.import_module("gigatoken").Tokenizer.from_sentencepiece
        self._model, self._names = model, sorted(control_tokens)
        self._engine, self._encoded = self._open(model), 0

    def encode(self, texts: list[str]) -> tuple[Offsets, Ids]:
        """Encode texts.

        Raises:
            UnfitError: one of them holds the name of a control token. Else what the engine raises.
        """
        if any(name in text for text in texts for name in self._names):
            raise UnfitError("a text holds the name of a control token")
        if self._encoded > self.RENEWED_AFTER:
            self._engine, self._encoded = self._open(self._model), 0
        self._encoded += sum(map(len, texts))
        rows = self._engine.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(rows.offsets.data).astype(np.int64)
        ids = np.asarray(rows.content.data)[offsets[0] : offsets[-1]]
        return offsets - offsets[0], ids.astype(np.uint32, copy=False)


def open_giga_path(
    model: bytes, reference: Callable[[list[str]], tuple[Offsets, Ids]], control_tokens: Sequence[str]
) -> GigaPath | None:
    """Open gigatoken if it is installed, can read the model, and agrees with the reference on every probe.

    Args:
        model: a SentencePiece model.
        reference: encodes a list of texts to offsets and ids.
        control_tokens: names that text must not reach as tokens.

    Returns:
        The engine, or None with the reason logged at level INFO.
    """
    try:
        importlib.import_module("gigatoken")
    except ImportError:
        return None
    texts = [text for text in probe_texts() if not any(name in text for name in control_tokens)]
    try:
        fast = GigaPath(model, control_tokens)
        found = fast.encode(texts)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 -- Rust's PanicException is no Exception; whatever it was, we go on
        _LOG.info("gigatoken cannot take this tokenizer, so SentencePiece encodes: %s", error)
        return None
    if all(np.array_equal(one, other) for one, other in zip(found, reference(texts), strict=True)):
        return fast
    _LOG.info("gigatoken gives other ids for this tokenizer, so SentencePiece encodes")
    return None


def open_fast_path(
    tokenizer_json: str, reference: Callable[[list[str]], tuple[Offsets, Ids]], control_tokens: Iterable[str]
) -> FastPath | None:
    """Open the fast engine if it is installed, can read the file, and agrees with the reference on every probe.

    Args:
        tokenizer_json: the very text that the reference was made from.
        reference: encodes a list of texts to offsets and ids.
        control_tokens: put into the probes, because hostile text will hold them.

    Returns:
        The engine, or None with the reason logged at level INFO.
    """
    try:
        fastokens = importlib.import_module("fastokens")
    except ImportError:
        return None
    texts = probe_texts(extra=sorted(control_tokens))
    try:
        fast = FastPath(fastokens.Tokenizer.from_json_str(tokenizer_json))
        found = fast.encode(texts)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 -- Rust's PanicException is no Exception; whatever it was, we go on
        _LOG.info("fastokens cannot take this tokenizer, so Hugging Face's library encodes: %s", error)
        return None
    expected = reference(texts)
    if all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
        return fast
    _LOG.info("fastokens gives other ids for this tokenizer, so Hugging Face's library encodes")
    return None
