"""SentencePiece (Kudo and Richardson 2018): models from a file, and models trained on the study's own text."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from .control_tokens import choose_end_of_document, explained
from .fast_path import open_giga_path
from .protocol import JSON, Ids, Offsets, Texts, check_texts, gather, in_batches, joined, smallest_dtype, text_ids
from .sections import TrainSentencePiece

VERSION = 1

PIECE_CHARACTERS = 4096
"""Longest stretch of text that training sees as one; the library leaves longer ones than its own limit out."""

TRAINING_THREADS = 4
"""Part of the result: a unigram model sums its counts thread by thread. Never the number of cores."""


class SentencePieceTokenizer:
    """A SentencePiece model.

    Its control pieces are never made from text. SentencePiece writes a space as U+2581 inside, so that a U+2581 in
    the text itself comes back as a space; with a model of `train_sentencepiece`, all other text comes back as it was.

    Attributes:
        engine: "gigatoken" or "sentencepiece". Both give equal ids, so it is no part of the identity.
    """

    def __init__(self, model: bytes, end_of_document: str | int | None = None, *, fast: bool = True) -> None:
        """Read a serialised model.

        Args:
            model: the content of a `.model` file.
            end_of_document: a control piece, or its id; None for the model's end-of-sentence piece.
            fast: use gigatoken if it is installed and agrees with the library; see `fast_path`.

        Raises:
            ValueError: not a model, or no such control piece.
        """
        with explained("The file is not a SentencePiece model"):
            if not model:
                raise ValueError("it is empty")
            self._processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.vocabulary_size: int = self._processor.vocab_size()
        self.dtype: np.dtype[Any] = smallest_dtype(self.vocabulary_size)
        controls = {
            self._processor.id_to_piece(number): number
            for number in range(self.vocabulary_size)
            if self._processor.is_control(number)
        }
        own_end = self._processor.eos_id()
        self.end_of_document: int = choose_end_of_document(
            end_of_document, controls, preferred=own_end if own_end >= 0 else None
        )
        self._sha256 = hashlib.sha256(model).hexdigest()
        self._fast = open_giga_path(model, self._reference, sorted(controls)) if fast else None
        self.engine: str = "sentencepiece" if self._fast is None else "gigatoken"

    def encode(self, texts: Texts) -> tuple[Offsets, Ids]:
        """Encode a column; see `Tokenizer.encode`."""
        check_texts(texts)
        return joined(map(self._encode_batch, in_batches(texts)), self.dtype)

    def _encode_batch(self, batch: list[str]) -> tuple[Offsets, Ids]:
        if self._fast is not None:
            try:
                return self._fast.encode(batch)
            except Exception:  # noqa: BLE001 -- a control token's name, or a limit that the reference has not
                return self._reference(batch)
        return self._reference(batch)

    def _reference(self, batch: list[str]) -> tuple[Offsets, Ids]:
        # num_threads=1: the default starts a thread for every core, in each of the worker processes.
        options = {"num_threads": 1, "add_bos": False, "add_eos": False}
        return gather(self._processor.EncodeAsNumpy(batch, **options), np.dtype(np.uint32))

    def decode(self, ids: NDArray[Any]) -> str:
        """Join the pieces; control pieces become nothing, and bytes that are not UTF-8 become U+FFFD."""
        kept = text_ids(ids, self.vocabulary_size, self.end_of_document)
        return str(self._processor.decode(kept)) if kept else ""

    def identity(self) -> dict[str, JSON]:
        """Name the model by its SHA-256, and the library by its version."""
        return {
            "type": "sentencepiece",
            "version": VERSION,
            "sha256": self._sha256,
            "library": f"sentencepiece {sentencepiece.__version__}",
            "end_of_document": self.end_of_document,
        }


def train_sentencepiece(texts: Iterable[str], parameters: TrainSentencePiece) -> bytes:
    """Train a model; equal texts in equal order and equal parameters give equal bytes.

    Text is taken as it is: no Unicode normalisation (the library's default replaces characters such as the ligature
    ﬁ), no space added or removed, and single bytes for characters that have no piece. Ids 0, 1 and 2 are `<unk>`,
    `<s>` and `</s>`, the end of a document. Documents go in line by line, because a line over the library's limit
    would be left out. A line's end is no part of a piece; it is encoded as its byte, one token.

    Args:
        texts: documents, in an order that does not depend on the run; read until the sample is full.
        parameters: what to train.

    Returns:
        The serialised model, what a `.model` file holds.

    Raises:
        ValueError: no text, or too little or too varied text for the vocabulary.
    """
    sample = list(training_pieces(texts, parameters.sample_bytes))
    size = sum(len(piece.encode()) for piece in sample)
    if not sample:
        raise ValueError("There is no text to train a tokenizer on: every document of the sample is empty.")
    model = io.BytesIO()
    with explained(
        f"A SentencePiece vocabulary of {parameters.vocabulary:,} cannot be trained on this sample of {size:,} bytes; "
        "choose another vocabulary, or a larger sample"
    ):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            model_type=parameters.model,
            vocab_size=parameters.vocabulary,
            character_coverage=parameters.character_coverage,
            split_digits=parameters.split_digits,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            byte_fallback=True,
            max_sentence_length=8 * PIECE_CHARACTERS,
            shuffle_input_sentence=False,
            input_sentence_size=0,
            num_threads=TRAINING_THREADS,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            minloglevel=2,
        )
    return model.getvalue()


def training_pieces(texts: Iterable[str], size: int) -> Iterator[str]:
    r"""Cut documents into lines of at most 4,096 characters until they hold `size` bytes of UTF-8.

    >>> list(training_pieces(["ab\ncd\n\n", "efgh"], size=6))
    ['ab', 'cd', 'ef']
    """
    left = size
    for text in texts:
        for line in text.split("\n"):
            for start in range(0, len(line), PIECE_CHARACTERS):
                data = line[start : start + PIECE_CHARACTERS].encode()
                piece = data[:left].decode(errors="ignore")
                if piece:
                    yield piece
                left -= len(data)
                if left <= 0:
                    return
