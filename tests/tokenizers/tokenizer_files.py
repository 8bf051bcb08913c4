"""Small tokenizer files, trained here so that no test needs the network."""

from __future__ import annotations

import base64
import json
from functools import cache

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
O200K_PATTERN = "|".join(  # noqa: FLY002 -- one alternative a line
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

TEXTS = [
    "The quick brown fox jumps over the lazy dog.\nIt was the best of times, it was the worst of times.\n",
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n",
    "Größe, naïve, façade — 日本語のテキスト, русский текст и ещё слова, 1234567890.\n",
    "A ladder of token budgets: 100 million, 300 million, 1 billion tokens; every rung is a prefix of the next.\n",
] * 8


def word_level(vocabulary: dict[str, int], specials: list[str]) -> bytes:
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 -- no password
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(specials)
    return tokenizer.to_str().encode()


@cache
def byte_level_bpe(vocabulary: int = 400, specials: tuple[str, ...] = (END, "<|pad|>")) -> bytes:
    """A tokenizer.json as GPT-2's: byte-level BPE, `specials` first."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer.to_str().encode()


def with_everything_on() -> bytes:
    """The same file with a template that adds tokens, truncation, padding and dropout."""
    tokenizer = tokenizers.Tokenizer.from_str(byte_level_bpe().decode())
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{END} $A {END}", special_tokens=[(END, 0)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=16, pad_token="<|pad|>", pad_id=1)  # noqa: S106 -- no password
    settings = json.loads(tokenizer.to_str())
    settings["model"]["dropout"] = 0.5
    return json.dumps(settings).encode()


@cache
def ranks() -> bytes:
    """A .tiktoken file with the merges of `byte_level_bpe`, whose characters stand for bytes as in GPT-2's code."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    vocabulary = json.loads(byte_level_bpe())["model"]["vocab"]
    tokens = [token for token in sorted(vocabulary, key=vocabulary.get) if not token.startswith("<|")]
    lines = [base64.b64encode(bytes(byte_of[c] for c in token)) + b" %d" % i for i, token in enumerate(tokens)]
    return b"\n".join(lines) + b"\n"
