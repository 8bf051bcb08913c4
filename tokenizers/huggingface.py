"""Tokenizers of Hugging Face's `tokenizers` library, from a `tokenizer.json` file."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tokenizers

from .control_tokens import WELL_KNOWN_ENDS, choose_end_of_document, explained
from .fast_path import open_fast_path
from .protocol import JSON, Ids, Offsets, Texts, check_texts, gather, in_batches, joined, smallest_dtype, text_ids

VERSION = 1


class HuggingFaceTokenizer:
    """A `tokenizer.json`, used for plain text only.

    What the file says about truncation, padding, BPE dropout (which draws random numbers) and tokens to add around a
    text is left out. Added tokens marked special are encoded as the characters they are made of.

    The library's own threads are switched off for the whole process, by the environment variable
    `TOKENIZERS_PARALLELISM=false`: workers are processes already, and a second level of threads only competes.

    Attributes:
        engine: "fastokens" or "tokenizers". Both give equal ids, so it is no part of the identity.
    """

    def __init__(self, data: bytes, end_of_document: str | int | None = None, *, fast: bool = True) -> None:
        """Read the file's bytes.

        Args:
            data: the content of `tokenizer.json`.
            end_of_document: the token, or its id; None to look for a well-known one.
            fast: use fastokens if it is installed and agrees with the library; see `fast_path`.

        Raises:
            ValueError: not such a file, no end of document, or a control token that plain text would reach.
        """
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        settings = _settings(data)
        with explained("The file is not a tokenizer.json that Hugging Face's tokenizers can read"):
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(settings))
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary_size: int = max(vocabulary.values(), default=-1) + 1
        self.dtype: np.dtype[Any] = smallest_dtype(self.vocabulary_size)
        self.end_of_document: int = choose_end_of_document(
            end_of_document, self._candidates(end_of_document, vocabulary)
        )
        self._make_special(self.end_of_document)
        self._tokenizer.encode_special_tokens = True
        self._refuse_reachable(settings)
        self._sha256 = hashlib.sha256(data).hexdigest()
        self._fast = None
        if fast:
            self._fast = open_fast_path(self._tokenizer.to_str(), self._reference, self._specials())
        self.engine: str = "tokenizers" if self._fast is None else "fastokens"

    def encode(self, texts: Texts) -> tuple[Offsets, Ids]:
        """Encode a column; see `Tokenizer.encode`."""
        check_texts(texts)
        return joined(map(self._encode_batch, in_batches(texts)), self.dtype)

    def decode(self, ids: NDArray[Any]) -> str:
        """Decode by the file's decoder; special tokens become nothing."""
        kept = text_ids(ids, self.vocabulary_size, self.end_of_document)
        return self._tokenizer.decode(kept, skip_special_tokens=True)

    def identity(self) -> dict[str, JSON]:
        """Name the file by its SHA-256, and the library by its version."""
        return {
            "type": "huggingface",
            "version": VERSION,
            "sha256": self._sha256,
            "library": f"tokenizers {tokenizers.__version__}",
            "end_of_document": self.end_of_document,
        }

    def _encode_batch(self, batch: list[str]) -> tuple[Offsets, Ids]:
        if self._fast is not None:
            try:
                return self._fast.encode(batch)
            except Exception:  # noqa: BLE001 -- a limit of its pattern engine; the reference has none and equal ids
                return self._reference(batch)
        return self._reference(batch)

    def _reference(self, batch: list[str]) -> tuple[Offsets, Ids]:
        encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        return gather((encoding.ids for encoding in encodings), np.dtype(np.uint32))

    def _specials(self) -> dict[str, int]:
        added = self._tokenizer.get_added_tokens_decoder()
        return {token.content: number for number, token in added.items() if token.special}

    def _candidates(self, given: str | int | None, vocabulary: dict[str, int]) -> dict[str, int]:
        """Special tokens, and whatever else the user or the common names point at."""
        names = set(WELL_KNOWN_ENDS)
        if isinstance(given, str):
            names.add(given)
        elif given is not None:
            names.update(name for name, number in vocabulary.items() if number == given)
        return self._specials() | {name: vocabulary[name] for name in sorted(names) if name in vocabulary}

    def _make_special(self, number: int) -> None:
        """Mark the end of a document as special, so that the library encodes its name as text."""
        name = self._tokenizer.id_to_token(number)
        if name is not None and name not in self._specials():
            self._tokenizer.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False)])

    def _refuse_reachable(self, settings: dict[str, Any]) -> None:
        """Raise if the model itself, not the added tokens, turns a control token's name into its id."""
        model = settings["model"]
        unknown = model.get("unk_token"), model.get("unk_id")
        for name, number in sorted(self._specials().items(), key=lambda item: item[1]):
            is_end = number == self.end_of_document
            if not is_end and (name in unknown or number in unknown or not name.startswith(("<", "["))):
                continue
            for text in (name, f" {name}", f"a{name}b", f"a {name} b", f"\n{name}\n"):
                if number in self._reference([text])[1]:
                    raise ValueError(
                        f"This tokenizer encodes the text {text!r} with the control token {name} ({number}): its "
                        f"{model.get('type', '')} model holds that name as an ordinary piece, so a page that shows it "
                        "would forge a control token. Use another tokenizer, or one whose model lacks the name."
                    )


def _settings(data: bytes) -> dict[str, Any]:
    """Parse the file and take out what plain text must not meet."""
    with explained("The file is not a tokenizer.json: it is not JSON"):
        settings = json.loads(data)
    if not isinstance(settings, dict) or not isinstance(settings.get("model"), dict):
        raise ValueError('The file is JSON but not a tokenizer.json: it has no "model".')  # noqa: TRY004 -- a file's content
    settings["truncation"] = None
    settings["padding"] = None
    if settings["model"].get("dropout") is not None:
        settings["model"]["dropout"] = None
    return settings
