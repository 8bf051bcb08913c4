"""Training of tokenizers on a study's own text: equal texts in equal order and equal parameters give equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .control_tokens import explained
from .sections import TrainHuggingFace, TrainSentencePiece

Train: TypeAlias = TrainSentencePiece | TrainHuggingFace

END = "<|endoftext|>"
"""The only control token of a trained `tokenizer.json`; its id is 0."""

EXPRESSIONS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""As OpenAI published them with tiktoken (https://github.com/openai/tiktoken)."""


def train(texts: Iterable[str], parameters: Train) -> bytes:
    """Train what the parameters say.

    Args:
        texts: documents, in an order that does not depend on the run; read until the sample is full.
        parameters: what to train.

    Returns:
        The file's content: a `.model` or a `tokenizer.json`.

    Raises:
        ValueError: no text, or too little or too uniform text for the vocabulary.
    """
    if isinstance(parameters, TrainHuggingFace):
        return train_byte_level(texts, parameters)
    from .sentencepieces import train_sentencepiece  # only by studies that use it

    return train_sentencepiece(texts, parameters)


def train_byte_level(texts: Iterable[str], parameters: TrainHuggingFace) -> bytes:
    """Train a byte-level BPE with Hugging Face's `tokenizers`; any number of threads gives the same bytes.

    There is no Unicode normalisation and no unknown token: every text comes back as it was.

    Args:
        texts: documents, read until the sample is full.
        parameters: what to train.

    Returns:
        The content of a `tokenizer.json`.

    Raises:
        ValueError: no text, or fewer different pairs of tokens than the vocabulary has room for.
    """
    import tokenizers
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads and a later fork do not go together
    sample = list(first_bytes(texts, parameters.sample_bytes))
    size = sum(len(text.encode()) for text in sample)
    if not sample:
        raise ValueError("There is no text to train a tokenizer on: every document of the sample is empty.")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(EXPRESSIONS[parameters.pattern]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=parameters.vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with explained(f"A tokenizer cannot be trained on this sample of {size:,} bytes"):
        tokenizer.train_from_iterator(iter(sample), trainer)
    made = tokenizer.get_vocab_size()
    if made < parameters.vocabulary:
        raise ValueError(
            f"A vocabulary of {parameters.vocabulary:,} cannot be trained on this sample of {size:,} bytes: it has "
            f"pairs for {made:,}. Choose a smaller vocabulary, or a larger sample."
        )
    return str(tokenizer.to_str()).encode()


def first_bytes(texts: Iterable[str], size: int) -> Iterator[str]:
    """Texts until they hold `size` bytes of UTF-8; the last one is cut, empty ones are left out.

    >>> list(first_bytes(["ab", "", "cé", "never"], size=4))
    ['ab', 'c']
    """
    left = size
    for text in texts:
        data = text.encode()
        piece = data[:left].decode(errors="ignore")
        if piece:
            yield piece
        left -= len(data)
        if left <= 0:
            return
